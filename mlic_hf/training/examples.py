"""From whatever holds pictures and labels to the examples that a model trains on and is measured with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from mlic_hf.data import (
    FeatureMaps,
    LabelSpace,
    MultiLabelDataset,
    TransformConfig,
    WithUnlabelled,
    adapt,
    build_transform,
    examples_of,
    is_stream,
    transform_preset,
)
from mlic_hf.methods.base import Method
from mlic_hf.methods.teacher_cache import CachedTeacher
from mlic_hf.methods.views import PixelSpec

#: what an example may hold for a model to start from
STARTS = ("pixel_values", "feature_map")


def training_examples(
    data: Any, labels: Sequence[str], pixels: PixelSpec, transform: Any, views: int = 1, seed: int = 0
) -> Any:
    """Augmented examples {pixel_values, labels, image_id[, second_view]}.

    Args:
        data: what `mlic_hf.data.adapt` takes, or a dataset of examples, which is left as it is.
        labels: the model's label names; those of the data are matched to them by name.
        pixels: size and normalisation.
        transform: a paper's pipeline by its name ("l2d" when None), a `TransformConfig`, or a function (image,
            generator) -> (3, H, W).
        views: 1, or 2 for a second, independently drawn view.
        seed: of the draws.
    """
    if gives_examples(data):
        if transform is not None and data is not None:
            raise ValueError(
                "The training data are examples already, so the transform would have no effect: leave it out, or give "
                "rows of pictures and labels."
            )
        return data
    return of_rows(adapt(data, labels=labels)[0], labels, pixels, transform or "l2d", views=views, seed=seed)


def taught_examples(data: Any, method: Method) -> Any:
    """Training examples as the method's teacher was shown them, where its answers were kept before the run.

    Raises:
        ValueError: for images that the answers are not of, a stream, which does not tell its images beforehand, or
            unlabelled images that no loss asks the teacher about.
    """
    if isinstance(data, WithUnlabelled):
        if not any(weighted.hears_unlabelled for weighted in method.objectives.values()):
            raise ValueError(
                "Unlabelled images are taught by the teacher alone, but no loss of this method asks it without "
                "labels: distil logits or features (l2d, psd), or leave the unlabelled images out."
            )
        return data.each(lambda part: taught_examples(part, method))
    if not isinstance(method.teacher, CachedTeacher) or data is None:
        return data
    if is_stream(data):
        raise ValueError(
            "A teacher cache is held against the ids of all training images, which a stream does not tell: load the "
            "data set without streaming, or teach with the model itself."
        )
    return method.teacher.taught(data, method.batch_pixels) if isinstance(data, MultiLabelDataset) else data


def evaluation_examples(data: Any, labels: Sequence[str], pixels: PixelSpec) -> Any:
    """Examples as the saved image processor will show pictures to the model; splits by name stay splits by name."""
    if isinstance(data, Mapping):
        return {name: evaluation_examples(part, labels, pixels) for name, part in data.items()}
    return data if gives_examples(data) else of_rows(adapt(data, labels=labels)[0], labels, pixels, None)


def of_rows(rows: Any, labels: Sequence[str], pixels: PixelSpec, transform: Any, **options: Any) -> MultiLabelDataset:
    """Examples of adapted rows; labels of theirs that are not among those asked for are left out.

    Args:
        rows: what `adapt` returned.
        labels: the label names of the examples.
        pixels: size and normalisation.
        transform: as in `training_examples`; None for evaluation.
        **options: of `MultiLabelDataset`, or of `MultiLabelStream` for a stream.
    """
    if transform is None:
        transform = TransformConfig(kind="eval", **vars(pixels))
    elif isinstance(transform, str):
        transform = transform_preset(transform, pixels.image_size, pixels.mean, pixels.std)
    function = build_transform(transform) if isinstance(transform, TransformConfig) else transform
    return examples_of(rows, LabelSpace(labels), function, **options)


def gives_examples(data: Any) -> bool:
    """Whether rows are examples already: they hold a tensor that a model starts from."""
    if data is None or isinstance(data, (MultiLabelDataset, FeatureMaps, WithUnlabelled)):
        return True
    if isinstance(data, Mapping) or is_stream(data) or not len(data):
        return False
    row = data[0]
    return isinstance(row, Mapping) and any(isinstance(row.get(name), torch.Tensor) for name in STARTS)


def refuse_mixed_unlabelled(data: Any) -> None:
    """Refuse mixup where some images have no labels.

    Raises:
        ValueError: saying why.
    """
    if isinstance(data, WithUnlabelled):
        raise ValueError(
            "mixup_alpha mixes the labels of images, and a mixture with an unlabelled image has none: set it to 0."
        )
