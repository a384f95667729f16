"""The fields of transformers' TrainingArguments that mean nothing here, or would make an answer wrong, and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transformers.trainer_utils import HubStrategy

#: field -> (the values it may have, why no other)
KEPT: dict[str, tuple[tuple[Any, ...], str]] = {
    "remove_unused_columns": ((False,), "the columns of a batch are made by the library: leave it false"),
    "label_names": ((None, ["labels"]), "the labels of a batch are called labels: leave it out"),
    "label_smoothing_factor": ((0, None), "it is defined for one label an image: leave it 0"),
    "prediction_loss_only": ((False,), "mAP is measured from the logits: leave it false"),
    "batch_eval_metrics": ((False,), "mAP ranks all images at once: leave it false"),
    "eval_do_concat_batches": ((True,), "mAP ranks all images at once: leave it true"),
    "dataloader_drop_last": (
        (False,),
        "evaluation would lose images too, and a smaller last batch is weighed exactly: leave it false",
    ),
    "average_tokens_across_devices": ((True,), "losses are always those of the global batch: leave it true"),
    "logging_nan_inf_filter": ((False,), "it hides a loss that is not finite, which stops the run: leave it false"),
    "optim_target_modules": ((None,), "its optimizers leave out the method's parameters: leave it out"),
    "neftune_noise_alpha": ((None,), "it adds noise to word embeddings: leave it out"),
    "use_cache": ((False, None), "the models have no cache of keys and values: leave it false"),
    "use_liger_kernel": ((False,), "its kernels are for language models: leave it false"),
    "liger_kernel_config": ((None,), "its kernels are for language models: leave it out"),
    "include_num_input_tokens_seen": (("no", False), "there are no tokens: leave it 'no'"),
    "length_column_name": (("length", None), "images are not grouped by length: leave it out"),
    "train_sampling_strategy": (
        ("random", "sequential", "repeat_factor"),
        "lengths are those of texts: it is random, sequential or repeat_factor",
    ),
    "parallelism_config": ((None,), "a student is trained whole in each process: leave it out"),
    "hub_always_push": ((False,), "a push waits until it was read back: leave it false"),
    "hub_revision": ((None,), "a push goes to main and is read back there: leave it out"),
    "hub_strategy": (
        (HubStrategy.END, "end"),
        "unfinished checkpoints would be published with everything that lies beside them: set it to 'end', and "
        "push_to_hub() sends the result",
    ),
}
#: what the library's own optimizer and schedules do not read
UNREAD: dict[str, dict[str, tuple[Any, ...]]] = {
    "adam": {"optim_args": (None, "")},
    "one_cycle": {"warmup_steps": (0,), "lr_scheduler_kwargs": (None, {})},
    "step": {"warmup_steps": (0,), "lr_scheduler_kwargs": (None, {})},
}
INSTEAD = {
    "adam": "another optim reads it, e.g. adamw_torch",
    "one_cycle": "pct_start is the share of the steps that rise",
    "step": "step_epochs and gamma say what it does",
}


def refuse_what_means_nothing(args: Any) -> None:
    """Look at every field that would be accepted and then ignored.

    Raises:
        ValueError: naming the field, its value and why.
    """
    for name, (allowed, why) in KEPT.items():
        value = getattr(args, name, allowed[0])  # some are not in every version of transformers
        if value not in allowed:
            raise ValueError(f"{name} is {value!r}, but {why}.")
    for chosen in (args.optim, args.lr_scheduler_type):
        for name, allowed in UNREAD.get(chosen, {}).items():
            value = getattr(args, name)
            if value not in allowed:
                raise ValueError(f"{name} is {value!r}, but {chosen} does not read it: {INSTEAD[chosen]}.")
    if isinstance(args.accelerator_config, Mapping) and args.accelerator_config.get("split_batches"):
        raise ValueError("accelerator_config asks for split_batches, but the batch size is that of a process.")
