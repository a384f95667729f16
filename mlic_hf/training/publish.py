"""What a trained model's card says, and its way to the Hub."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from huggingface_hub import HfApi

from mlic_hf.hub import push_folder
from mlic_hf.hub.privacy import publishable
from mlic_hf.hub.save import library_versions
from mlic_hf.modeling import MultiLabelModel


def card_facts(
    trainer: Any,
    *,
    license: str | None = None,
    finetuned_from: str | None = None,
    dataset: str | None = None,
    tasks: str | None = None,
) -> dict[str, Any]:
    """What is known of a run for its card; what somebody wrote into the README stays beside it.

    Args:
        trainer: a `MultiLabelTrainer`.
        license: of the weights, by the Hub's name for it.
        finetuned_from: the repository that training started from.
        dataset: the name of the data, "owner/name" where it lies on the Hub.
        tasks: as transformers' scripts give it; it can only be image-classification.

    Raises:
        ValueError: for another task.
    """
    if tasks not in (None, "image-classification", ["image-classification"]):
        raise ValueError(f"tasks is {tasks!r}, but these models are for image-classification: leave it out.")
    args = trainer.args
    told = {
        "method": "+".join(trainer.method.objectives) if not isinstance(trainer.wanted, str) else trainer.wanted,
        "metrics": measured(trainer.state, args),
        "settings": publishable(args.to_dict(), args.output_dir),
        "versions": library_versions(),
        "seed": args.seed,
        "processes": args.world_size,
        "license": license,
        "base_model": finetuned_from,
        "data": {"name": dataset} if dataset else None,
    }
    return {name: value for name, value in told.items() if value is not None}


def measured(state: Any, args: Any) -> Mapping[str, float]:
    """The metrics of the weights that a trainer ended with: those of the best step, or of the last."""
    best = state.best_global_step if args.load_best_model_at_end and state.best_model_checkpoint else None
    step = state.global_step if best is None else best
    found = [line for line in state.log_history if line["step"] == step and "eval_loss" in line]
    return {name: value for name, value in found[-1].items() if name.startswith("eval_")} if found else {}


def push(trainer: Any, message: str, token: str | None, private: bool | None, facts: Mapping[str, Any]) -> str:
    """Send a trainer's saved model in one commit that is read back.

    Returns:
        the commit's address.

    Raises:
        ValueError, OSError: as `mlic_hf.hub.push_folder`; a LoRA adapter is not a model of its own and is refused.
    """
    if not isinstance(trainer.accelerator.unwrap_model(trainer.model), MultiLabelModel):
        raise ValueError(
            "The model is wrapped by an adapter, which a model's card and code do not describe: "
            "trainer.model.merge_and_unload() gives the model, and mlic_hf.hub.push_model sends it."
        )
    api = HfApi(token=token or trainer.args.hub_token)
    private = trainer.args.hub_private_repo if private is None else private
    commit = push_folder(
        trainer.args.output_dir, trainer.hub_model_id, facts=facts, private=private, message=message, api=api
    )
    return f"{api.endpoint}/{trainer.hub_model_id}/commit/{commit}"
