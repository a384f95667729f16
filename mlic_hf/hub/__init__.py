"""Everything between a checkpoint folder and the Hub: cards, checks, uploads, and the originals' checkpoints.

A trainer needs three of these, on its main process: `save_model(model, folder, run)` where it saves,
`write_card(folder, facts)` for `create_model_card`, and for `push_to_hub` `push_folder(folder, repo_id, facts=...,
message=..., api=HfApi(token=...))`, which returns the id of a commit that was read back. Secrets and private paths are
taken out of `run`; a folder whose files hold any is not sent.
"""

from __future__ import annotations

from mlic_hf.hub.card import card_difference, write_card
from mlic_hf.hub.card_facts import CardFacts
from mlic_hf.hub.check import check_checkpoint
from mlic_hf.hub.convert import convert_checkpoint, convert_state
from mlic_hf.hub.push import push_folder, push_model, verify_push
from mlic_hf.hub.save import save_model

__all__ = [
    "CardFacts",
    "card_difference",
    "check_checkpoint",
    "convert_checkpoint",
    "convert_state",
    "push_folder",
    "push_model",
    "save_model",
    "verify_push",
    "write_card",
]
