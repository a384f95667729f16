"""The teachers of PSD's partitions as one: their logits put back into the label order."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call, stack_module_state

from mlic_hf.losses import scatter_parts
from mlic_hf.methods.psd.partition import FILE_NAME, Partition
from mlic_hf.methods.saved_model import load_saved
from mlic_hf.methods.teachers.half_precision import half_precision
from mlic_hf.methods.teachers.model import ModelTeacher, list_labels
from mlic_hf.methods.views import PixelSpec, convert_pixels
from mlic_hf.modeling import MultiLabelModel
from mlic_hf.modeling.base_mlic import HeadRequest


class PartTeachers:
    """All teachers of one or two partitions; a `Teacher` that answers {kind: logits (B, C)}.

    Attributes:
        kinds: the partitions.

    Args:
        teachers: for each kind of partition, one teacher a part, in the order of its parts.
        partitions: the partitions themselves.
        labels: the student's label names.
        stacked: run all backbones as one batched call; they must be of one architecture.

    Raises:
        ValueError: if a teacher's labels are not those of its part, or the parts do not cover the labels.
    """

    provides: frozenset[str] = frozenset()
    stage_channels: Sequence[int] = ()

    def __init__(
        self,
        teachers: Mapping[str, Sequence[ModelTeacher]],
        partitions: Mapping[str, Partition],
        labels: Sequence[str],
        stacked: bool = False,
    ) -> None:
        self.teachers = {kind: list(of_kind) for kind, of_kind in teachers.items()}
        self.kinds = tuple(self.teachers)
        self.num_labels = len(labels)
        self.positions: dict[str, list[list[int]]] = {}
        for kind, of_kind in self.teachers.items():
            partitions[kind].positions(labels)  # refuses parts that do not cover the labels
            self.positions[kind] = [
                own_positions(teacher.model, part, labels, f"{kind} teacher of part {number}")
                for number, (teacher, part) in enumerate(zip(of_kind, partitions[kind].parts))
            ]
            if len(of_kind) != partitions[kind].num_parts:
                raise ValueError(
                    f"The {kind} partition has {partitions[kind].num_parts} parts, but {len(of_kind)} teachers "
                    "were given; train the missing ones with `mlic train_teachers`."
                )
        sizes = {teacher.pixels.image_size for of_kind in self.teachers.values() for teacher in of_kind}
        self.pixels: PixelSpec = next(iter(self.teachers.values()))[0].pixels
        if len(sizes) > 1:
            raise ValueError(f"The teachers have different image sizes {sorted(sizes)}; train them with one.")
        flat = [t for of_kind in self.teachers.values() for t in of_kind]
        self.together: StackedBackbones | SharedBackbone | None = None
        if same_backbone(flat):
            self.together = SharedBackbone(flat)
        elif stacked:
            self.together = StackedBackbones(flat)

    @torch.no_grad()
    def __call__(
        self,
        pixel_values: Tensor,
        source: PixelSpec,
        *,
        image_id: Sequence[str] | None = None,
        view: Sequence[int] | None = None,
        **asked: bool,
    ) -> dict[str, Tensor]:
        """{kind: logits (B, C)} for a batch (B, 3, H, W) prepared for `source`."""
        if self.together is not None:
            flat = iter(self.together(pixel_values, source))
        else:
            flat = (t(pixel_values, source).logits for of_kind in self.teachers.values() for t in of_kind)
        answers = {}
        for kind, of_kind in self.teachers.items():
            parts = [next(flat) for _ in of_kind]
            answers[kind] = scatter_parts(parts, self.positions[kind], self.num_labels)
        return answers


def load_part_teachers(
    folder: Path, labels: Sequence[str], kinds: Sequence[str] | None = None, half: bool = False, stacked: bool = False
) -> PartTeachers:
    """The teachers of a folder that holds `<kind>/partition.json` and `<kind>/part_<i>/`.

    Args:
        folder: what `train_part_teachers` or `mlic train_teachers` wrote.
        labels: the student's label names.
        kinds: the partitions that teach; all that are there when None.
        half: run them in half precision.
        stacked: run all backbones as one batched call.

    Raises:
        FileNotFoundError: if a partition or a teacher is missing.
        ValueError: if labels do not match.
    """
    found = kinds or sorted(path.parent.name for path in folder.glob(f"*/{FILE_NAME}"))
    partitions = {kind: Partition.load(folder / kind / FILE_NAME) for kind in found}
    teachers: dict[str, list[ModelTeacher]] = {}
    for kind, partition in partitions.items():
        teachers[kind] = []
        for part in range(partition.num_parts):
            place = folder / kind / f"part_{part}"
            if not (place / "config.json").is_file():
                raise FileNotFoundError(
                    f"There is no teacher of part {part} of the {kind} partition in {place}; train it with "
                    "`mlic train_teachers` or mlic_hf.train_part_teachers."
                )
            model = load_saved(str(place), "teacher")
            teachers[kind].append(ModelTeacher(model, list_labels(model), half))
    return PartTeachers(teachers, partitions, labels, stacked)


def own_positions(model: MultiLabelModel, part: Sequence[str], labels: Sequence[str], what: str) -> list[int]:
    """Where a teacher's own labels stand among the student's, by name.

    Raises:
        ValueError: if its labels are not those of the part.
    """
    own = list_labels(model)
    if sorted(own) != sorted(part):
        raise ValueError(
            f"The {what} answers for {own[:5]}..., but its part holds {list(part)[:5]}...; the teachers belong to "
            "another partition. Train them for this one."
        )
    index = {name: position for position, name in enumerate(labels)}
    return [index[name] for name in own]


def same_backbone(teachers: Sequence[ModelTeacher]) -> bool:
    """Whether all backbones hold the same weights, as those of heads on one frozen backbone do, and hold any."""
    first, *others = [
        {name: value for name, value in teacher.model.state_dict().items() if name.startswith("backbone.")}
        for teacher in teachers
    ]
    return bool(first) and all(
        own.keys() == first.keys() and all(torch.equal(value, first[name]) for name, value in own.items())
        for own in others
    )


class SharedBackbone:
    """Teachers with the same weights in their backbones, which run once: as dear as one teacher."""

    def __init__(self, teachers: Sequence[ModelTeacher]) -> None:
        self.teachers = teachers

    def __call__(self, pixel_values: Tensor, source: PixelSpec) -> list[Tensor]:
        device, first = pixel_values.device, self.teachers[0]
        models = [teacher.model.to(device) for teacher in self.teachers]  # type: ignore[arg-type]
        with half_precision(device, first.half):
            feature_map = models[0].backbone.feature_map(convert_pixels(pixel_values, source, first.pixels))
            return [model(feature_map=feature_map).logits for model in models]


class StackedBackbones:
    """The backbones of several teachers of one architecture as one batched call; their heads run one by one.

    Raises:
        ValueError: if the backbones differ.
    """

    def __init__(self, teachers: Sequence[ModelTeacher]) -> None:
        names = {teacher.model.config.backbone for teacher in teachers}
        if len(names) > 1:
            raise ValueError(f"Teachers on {sorted(names)} cannot be stacked; set psd.stack_teachers to false.")
        self.pixels = teachers[0].pixels
        self.heads = [teacher.model.head for teacher in teachers]
        self.half = teachers[0].half
        backbones = [teacher.model.backbone for teacher in teachers]
        self.parameters, self.buffers = stack_module_state(backbones)
        # The skeleton's own tensors are never read.
        self.skeleton = copy.deepcopy(backbones[0]).to("meta")

    def __call__(self, pixel_values: Tensor, source: PixelSpec) -> list[Tensor]:
        device = pixel_values.device
        self.parameters, self.buffers = (
            {name: value.to(device) for name, value in tensors.items()} for tensors in (self.parameters, self.buffers)
        )
        seen = convert_pixels(pixel_values, source, self.pixels)

        def maps(parameters: Any, buffers: Any) -> Tensor:
            return functional_call(self.skeleton, (parameters, buffers), (seen,))[0]

        with half_precision(device, self.half):
            stacked = torch.vmap(maps)(self.parameters, self.buffers)
            return [head.to(device)(found, HeadRequest())["logits"] for head, found in zip(self.heads, stacked)]
