"""Doors for `accelerate launch`: each file starts the verb of its name, as `mlic <verb>` does."""
