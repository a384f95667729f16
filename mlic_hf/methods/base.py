"""What every method is made of: a student, a list of weighted objectives, and one place that normalises.

The reduction rule: an objective returns its paper's *sum* over the images it is given and, from the targets
alone, the *count* the paper divides that sum by. Sums and counts add up over micro-batches and processes, so
`sum / count` of the global batch is the same however the batch is cut. Where a paper sums over the batch, every
part is divided by the images of the global batch as well (`Weighted.per_image`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mlic_hf.losses.gather import world_size
from mlic_hf.methods.teacher import Teacher
from mlic_hf.methods.views import PixelSpec, convert_pixels
from mlic_hf.modeling import MultiLabelModel


@dataclass
class MethodBatch:
    """One micro-batch as an objective sees it.

    Attributes:
        pixel_values: (B, 3, H, W) what the student saw.
        labels: (B, C) in {1, 0, -1}; -1 takes no part.
        student: the student's outputs, with the fields the objectives asked for.
        model: the student itself.
        teacher: the teacher's outputs, or None.
        progress: the share of the run that is done, in [0, 1].
    """

    pixel_values: Tensor
    labels: Tensor
    student: Any
    model: MultiLabelModel
    teacher: Any = None
    progress: float = 0.0


def known_images(labels: Tensor) -> Tensor:
    """The number of images with at least one known label, a scalar float tensor."""
    return (labels >= 0).any(dim=1).sum().float()


class Objective(nn.Module):
    """One term of a method's loss. Subclasses say what they need and compute their paper's sum."""

    #: key in the log, unique inside a method
    name: str = ""
    #: fields of the student's (and teacher's) output that must be asked for
    needs: frozenset[str] = frozenset()
    #: augmented views of an image the objective wants, concatenated along the batch
    views: int = 1
    #: True where images of a batch are compared with each other; the inputs are then gathered from all processes
    couples_images: bool = False
    #: True where a teacher's outputs are needed
    needs_teacher: bool = False

    def count(self, labels: Tensor) -> Tensor | None:
        """What the paper divides the sum by, for these targets (B, C); None where it does not divide."""
        return None

    def forward(self, batch: MethodBatch) -> Tensor:
        """The paper's sum over the micro-batch (over the gathered one, if images are coupled), a scalar."""
        raise NotImplementedError

    def after_step(self, model: MultiLabelModel) -> None:
        """Called after each optimizer step with the student, e.g. to move an averaged copy."""

    def companions(self) -> dict[str, nn.Module]:
        """Modules that are neither trained nor wrapped, yet must survive a restart."""
        return {}


@dataclass(frozen=True)
class Weighted:
    """An objective, its weight in the total, and whether its paper's total is a sum over the batch."""

    objective: Objective
    weight: float
    per_image: bool = True


class Method(nn.Module):
    """The module that is trained: the student and the trainable parts of its objectives.

    Args:
        student: an mlic_hf model.
        objectives: what is minimised, with weights; names must be unique.
        teacher: a frozen teacher, held outside the parameters and the state of this module.
        student_pixels: the pixels the student wants; its model's own when None.
        batch_pixels: the pixels a batch holds, which may be larger for a teacher's sake; the student's when None.
    """

    def __init__(
        self,
        student: MultiLabelModel,
        objectives: Sequence[Weighted],
        teacher: Teacher | None = None,
        student_pixels: PixelSpec | None = None,
        batch_pixels: PixelSpec | None = None,
    ) -> None:
        super().__init__()
        names = [weighted.objective.name for weighted in objectives]
        if not objectives or len(set(names)) != len(names):
            raise ValueError(f"A method wants at least one objective and unique names, found {names}.")
        if teacher is None and any(weighted.objective.needs_teacher for weighted in objectives):
            missing = [w.objective.name for w in objectives if w.objective.needs_teacher]
            raise ValueError(f"The objectives {missing} need a teacher: give one with --teacher.")
        self.student = student
        self.config = student.config
        self.objectives = nn.ModuleDict({weighted.objective.name: weighted.objective for weighted in objectives})
        self.weights = {weighted.objective.name: weighted.weight for weighted in objectives}
        self.per_image = {weighted.objective.name: weighted.per_image for weighted in objectives}
        self.student_pixels = student_pixels or PixelSpec.of_model(student)
        self.batch_pixels = batch_pixels or self.student_pixels
        self.progress = 0.0
        self._outside = (teacher,)  # a tuple, so that nn.Module does not register it

    @property
    def teacher(self) -> Teacher | None:
        return self._outside[0]

    @property
    def views(self) -> int:
        """How many augmented views of an image a batch must hold."""
        return max(objective.views for objective in self._each())

    @property
    def couples_images(self) -> bool:
        """Whether some objective compares images, so that micro-batches are not the same as one batch."""
        return any(objective.couples_images for objective in self._each())

    def _each(self) -> Iterable[Objective]:
        return self.objectives.values()  # type: ignore[return-value]

    def _asked(self, objectives: Iterable[Objective]) -> dict[str, bool]:
        return {f"output_{name}": True for objective in objectives for name in objective.needs}

    def counts(self, labels: Tensor) -> Tensor:
        """(1 + objectives,) the known images and each objective's count for the targets of a micro-batch (B, C).

        They add up over micro-batches and processes; the trainer does that and hands the totals to `forward`.
        """
        if self.views > 1:
            labels = labels.repeat(self.views, 1)
        zero = labels.new_zeros((), dtype=torch.float32)
        found = [objective.count(labels) for objective in self._each()]
        return torch.stack([known_images(labels), *(zero if n is None else n.float() for n in found)])

    def _denominators(self, totals: Tensor, labels: Tensor) -> dict[str, Tensor]:
        images = totals[0].clamp_min(1.0)
        found = {}
        for position, objective in enumerate(self._each(), start=1):
            name = objective.name
            divides = objective.count(labels[:1]) is not None
            count = totals[position].clamp_min(1e-8) if divides else totals.new_ones(())
            found[name] = count * images if self.per_image[name] else count
        return found

    def forward(
        self,
        pixel_values: Tensor,
        labels: Tensor,
        second_view: Tensor | None = None,
        totals: Tensor | None = None,
        image_id: Any = None,
    ) -> Mapping[str, Tensor]:
        """Loss and its parts.

        Args:
            pixel_values: (B, 3, H, W).
            labels: (B, C) in {1, 0, -1}.
            second_view: (B, 3, H, W) another augmentation of the same images, for objectives with two views.
            totals: the `counts` of the global batch; those of this batch alone when None.
            image_id: the images' ids, for a teacher whose answers are looked up.

        Returns:
            `loss` (whose mean over processes is the global loss), `logits`, and every part before its weight.
        """
        scale = 1 if totals is None else world_size()
        totals = self.counts(labels) if totals is None else totals
        if self.views > 1:
            if second_view is None:
                raise ValueError("This method compares two views of an image, but the batch has no `second_view`.")
            pixel_values = torch.cat([pixel_values, second_view])
            labels = torch.cat([labels, labels])
        batch = self._run_models(pixel_values, labels, image_id)
        denominators = self._denominators(totals, labels)
        parts, loss = {}, 0.0
        for objective in self._each():
            name = objective.name
            # A coupled objective sees all processes' images already, on every process.
            factor = 1 if objective.couples_images else scale
            parts[name] = objective(batch) * factor / denominators[name].to(labels.device)
            loss = loss + self.weights[name] * parts[name]
        detached = {name: part.detach() for name, part in parts.items()}
        return {"loss": loss, "logits": batch.student.logits, **detached}  # type: ignore[dict-item]

    def _run_models(self, pixel_values: Tensor, labels: Tensor, image_id: Any) -> MethodBatch:
        seen = convert_pixels(pixel_values, self.batch_pixels, self.student_pixels)
        student = self.student(seen, **self._asked(self._each()))
        taught = None
        if self.teacher is not None:
            asked: dict[str, Any] = dict(self._asked(o for o in self._each() if o.needs_teacher))
            if self.teacher.by_image:
                asked["image_id"] = image_id
            taught = self.teacher(pixel_values, self.batch_pixels, **asked)
        return MethodBatch(seen, labels, student, self.student, taught, self.progress)

    def after_step(self) -> None:
        for objective in self._each():
            objective.after_step(self.student)

    def companions(self) -> dict[str, nn.Module]:
        return {
            f"{objective.name}.{key}": module
            for objective in self._each()
            for key, module in objective.companions().items()
        }
