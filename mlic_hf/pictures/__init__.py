"""What needs no torch: how a picture is read, and how an exported model tags it."""
