"""What `train`, `distill`, `contrast` and `object_aware` do: run the stages, print what each reached, publish."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def train_and_tell(description: str, default_method: str, arguments: Sequence[str] | None = None) -> None:
    """Parse, run the stages, print the table.

    Args:
        description: the verb's docstring.
        default_method: what it trains when neither recipe nor flag says.
        arguments: the command line; the process's own when None.
    """
    from accelerate import PartialState

    from mlic_hf.cli.parsing import parse
    from mlic_hf.cli.results import print_table
    from mlic_hf.hub import push_folder
    from mlic_hf.runs.stages import run

    settings = parse(description, default_method, arguments)
    outcome = run(settings)
    if PartialState().is_main_process:
        saved = Path(outcome["student"]["folder"])
        print_table(outcome, saved)
        if settings.run.push_to is not None:
            print(f"\nPublished and verified: {push_folder(saved, settings.run.push_to)}")
