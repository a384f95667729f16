"""The order of the training images, and how several processes share it."""

from __future__ import annotations

from typing import Any

from mlic_hf.data import EpochSampler, MultiLabelStream, StreamOrder, label_matrix, repeat_factors
from mlic_hf.training.even_batches import EvenSampler, UnlabelledRepeats

Order = EpochSampler | EvenSampler | StreamOrder


def training_order(data: Any, args: Any, seed: int) -> Order | None:
    """The order of an epoch, which is a function of seed and epoch; None for data that orders itself.

    Args:
        data: the examples.
        args: the trainer's settings.
        seed: of the order.

    Raises:
        ValueError: images of a stream are to be repeated, or its batches to be shared otherwise.
    """
    strategy = args.train_sampling_strategy
    if isinstance(data, MultiLabelStream):
        if args.world_size > 1 and args.accelerator_config.dispatch_batches:
            raise ValueError(
                "accelerator_config asks for dispatch_batches, but each process reads its own part of a stream: leave "
                "it out."
            )
        if strategy == "repeat_factor":
            raise ValueError(
                "train_sampling_strategy is 'repeat_factor', but a stream is read from its first row to its last: "
                "choose random or sequential, or load the data set without streaming."
            )
        return data.shuffled(strategy != "sequential", args.world_size, args.process_index, args.train_batch_size)
    if not hasattr(data, "__len__"):
        return None
    factors = None
    if strategy == "repeat_factor":
        labels = label_matrix(data)
        factors = repeat_factors(labels, labels.shape[1], args.repeat_threshold)
    order = EpochSampler(data, seed, strategy != "sequential", factors)
    return EvenSampler(order, args.train_batch_size * args.world_size) if args.world_size > 1 else order


def with_fillers(data: Any, args: Any) -> Any:
    """The examples, and for several processes those that fill up the last batch; a stream's order has its own."""
    filled = args.world_size > 1 and hasattr(data, "__len__") and not isinstance(data, MultiLabelStream)
    return UnlabelledRepeats(data) if filled else data
