"""What every method is made of: weighted objectives beside the student, and one place that normalises.

The reduction rule: an objective returns its paper's *sum* over the images it is given and, from the targets
alone, the *count* the paper divides that sum by. Sums and counts add up over micro-batches and processes, so
`sum / count` of the global batch is the same however the batch is cut. Where a paper sums over the batch, every
part is divided by the images of the global batch as well (`Weighted.per_image`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from mlic_hf.losses.gather import world_size
from mlic_hf.methods.ramp import ramp_share
from mlic_hf.methods.teachers.protocol import Teacher
from mlic_hf.methods.views import PixelSpec, convert_pixels


@dataclass
class MethodBatch:
    """One micro-batch as an objective sees it.

    Attributes:
        pixel_values: (B, 3, H, W) what the student sees; None where it starts from feature maps.
        labels: (B, C) in {1, 0, -1}; -1 takes no part.
        student: the student's outputs, with the fields the objectives asked for.
        model: the student itself.
        teacher: the teacher's outputs, or None.
        progress: the share of the run that is done, in [0, 1].
        answered: (C,) or (B, C), which labels or cells the teacher answers; None for all.
        feature_map: (B, D, h, w) what a frozen backbone gave, in place of pixel_values.
        image_id: the ids of the images, where the data has them.
        unlabelled: (B,) which images have no labels and are there for the teacher alone; None for none.
    """

    pixel_values: Any
    labels: Tensor
    student: Any
    model: Any
    teacher: Any = None
    progress: float = 0.0
    answered: Tensor | None = None
    feature_map: Tensor | None = None
    image_id: Sequence[str] | None = None
    unlabelled: Tensor | None = None

    def heard(self) -> MethodBatch:
        """The batch as objectives see it that hear the teacher alone: all cells of its unlabelled images take part."""
        return self if self.unlabelled is None else replace(self, labels=heard_labels(self.labels, self.unlabelled))

    def taught_labels(self, unknown: bool = False) -> Tensor:
        """The labels, with -1 also where the teacher does not answer: the cells of losses on its logits.

        Args:
            unknown: unknown cells take part, too, as 0, in images of which some label is known.
        """
        labels = self.labels
        if unknown:
            labels = labels.masked_fill((labels < 0) & (labels >= 0).any(dim=1, keepdim=True), 0.0)
        if self.answered is None:
            return labels
        return labels.masked_fill(~self.answered.to(labels.device), -1.0)

    @property
    def seen(self) -> dict[str, Tensor]:
        """What the student starts from, by the name of its argument."""
        return {"pixel_values": self.pixel_values} if self.feature_map is None else {"feature_map": self.feature_map}


def heard_labels(labels: Tensor, unlabelled: Tensor | None) -> Tensor:
    """Labels (B, C) in which the cells of unlabelled images (B,) are known; 0 says nothing of them but that."""
    return labels if unlabelled is None else labels.masked_fill(unlabelled[:, None].to(labels.device), 0.0)


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
    #: True where `count_labels` must have been called before the first batch
    counts_labels: bool = False
    #: True where a teacher's outputs are needed
    needs_teacher: bool = False
    #: True where the pixels themselves are needed, so that feature maps cannot stand in for them
    needs_pixels: bool = False
    #: True where labels only tell which cells take part, so that unlabelled images can by the teacher alone
    hears_unlabelled: bool = False

    def count(self, labels: Tensor) -> Tensor | None:
        """What the paper divides the sum by, for these targets (B, C); None where it does not divide."""
        return None

    def forward(self, batch: MethodBatch) -> Tensor:
        """The paper's sum over the micro-batch (over the gathered one, if images are coupled), a scalar."""
        raise NotImplementedError

    def count_labels(self, counts: Tensor, num_images: int) -> None:
        """Take what the objective wants to know of the training set, before the first batch.

        Args:
            counts: (C,) training images with each label.
            num_images: training images of which some label is known.
        """

    def after_step(self, model: nn.Module) -> None:
        """Called after each optimizer step with the student, e.g. to move an averaged copy."""

    def companions(self) -> dict[str, nn.Module]:
        """Modules that are neither trained nor wrapped, yet must survive a restart."""
        return {}


@dataclass(frozen=True)
class Weighted:
    """An objective and how it enters the total.

    Attributes:
        objective: one term of the loss.
        weight: its weight.
        per_image: whether its paper's total is a sum over the batch.
        ramp: the share of the run in which the weight rises from 0; 0 for all of it from the start.
    """

    objective: Objective
    weight: float
    per_image: bool = True
    ramp: float = 0.0


class Method(nn.Module):
    """What is minimised. It stands beside the student: its only parameters are those of its objectives.

    Args:
        objectives: what is minimised, with weights; names must be unique.
        pixels: the pixels the student wants.
        teacher: what teaches, held outside the parameters and the state of this module.
    """

    def __init__(self, objectives: Sequence[Weighted], pixels: PixelSpec, teacher: Teacher | None = None) -> None:
        super().__init__()
        names = [weighted.objective.name for weighted in objectives]
        if not objectives or len(set(names)) != len(names):
            raise ValueError(f"A method wants at least one objective and unique names, found {names}.")
        missing = [w.objective.name for w in objectives if w.objective.needs_teacher]
        if teacher is None and missing:
            raise ValueError(f"The objectives {missing} need a teacher: give one (`teacher`).")
        self.objectives = nn.ModuleDict({weighted.objective.name: weighted.objective for weighted in objectives})
        self.weights = {weighted.objective.name: weighted.weight for weighted in objectives}
        self.per_image = {weighted.objective.name: weighted.per_image for weighted in objectives}
        self.ramps = {weighted.objective.name: weighted.ramp for weighted in objectives}
        self.pixels = pixels
        # The batch is as large as the largest model wants it: upsampling would show a teacher nothing new.
        largest = max(pixels.image_size, teacher.pixels.image_size if teacher is not None else 0)
        self.batch_pixels = replace(pixels, image_size=largest)
        self._outside = (teacher,)  # a tuple, so that nn.Module does not register it

    def taught_by(self, teacher: Teacher | None) -> Method:
        """The same objectives under another teacher, such as the first one's kept answers."""
        weighted = [
            Weighted(own, self.weights[own.name], self.per_image[own.name], self.ramps[own.name])
            for own in self._each()
        ]
        return Method(weighted, self.pixels, teacher)

    @property
    def teacher(self) -> Teacher | None:
        return self._outside[0]

    @property
    def views(self) -> int:
        """How many augmented views of an image a batch must hold."""
        return max(objective.views for objective in self._each())

    @property
    def need_pixels(self) -> list[str]:
        """Who cannot do with feature maps of a frozen backbone: objectives, and a teacher that looks nothing up."""
        found = [objective.name for objective in self._each() if objective.needs_pixels]
        looks = self.teacher is not None and not getattr(self.teacher, "answers_by_id", False)
        return [*found, *(["the teacher"] if looks else [])]

    @property
    def couples_images(self) -> bool:
        """Whether some objective compares images, so that micro-batches are not the same as one batch."""
        return any(objective.couples_images for objective in self._each())

    @property
    def counts_labels(self) -> bool:
        """Whether some objective wants to know the training set's labels."""
        return any(objective.counts_labels for objective in self._each())

    def count_labels(self, labels: Tensor) -> None:
        """Tell every objective how many training images have each label; labels is (images, C) in {1, 0, -1}."""
        for objective in self._each():
            objective.count_labels((labels > 0).sum(dim=0), int(known_images(labels)))

    @property
    def asks(self) -> dict[str, bool]:
        """The keyword arguments with which the student gives all that the objectives need."""
        return _asked(self._each())

    @property
    def asks_teacher(self) -> dict[str, bool]:
        """The keyword arguments with which the teacher does."""
        return _asked(objective for objective in self._each() if objective.needs_teacher)

    def _each(self) -> Iterable[Objective]:
        return self.objectives.values()  # type: ignore[return-value]

    def counts(self, labels: Tensor, unlabelled: Tensor | None = None) -> Tensor:
        """(2 + objectives,) the known images, each objective's count for the targets of a micro-batch (B, C), and the
        images on which the teacher is heard.

        They add up over micro-batches and processes; the trainer does that and hands the totals to `forward`.

        Args:
            labels: (B, C) in {1, 0, -1}.
            unlabelled: (B,) which images are there for the teacher alone.
        """
        if self.views > 1:
            labels = labels.repeat(self.views, 1)
            unlabelled = None if unlabelled is None else unlabelled.repeat(self.views)
        heard = heard_labels(labels, unlabelled)
        zero = labels.new_zeros((), dtype=torch.float32)
        found = [objective.count(heard if objective.hears_unlabelled else labels) for objective in self._each()]
        counted = [zero if n is None else n.float() for n in found]
        return torch.stack([known_images(labels), *counted, known_images(heard)])

    def look(
        self,
        model: Any,
        pixel_values: Tensor | None,
        labels: Tensor,
        second_view: Tensor | None = None,
        image_id: Sequence[str] | None = None,
        view: Sequence[int] | None = None,
        unlabelled: Tensor | None = None,
        progress: float = 0.0,
        feature_map: Tensor | None = None,
    ) -> MethodBatch:
        """A batch as the student is to see it, and what the teacher says of it.

        Args:
            model: the student.
            pixel_values: (B, 3, H, W), normalised as the student wants.
            labels: (B, C) in {1, 0, -1}.
            second_view: another augmentation of the same images, for objectives with two views; pixels as those of
                pixel_values, or feature maps.
            image_id: the images' ids, for a teacher whose answers are looked up.
            view: which draw of each image this is, where the draws come again.
            unlabelled: (B,) which images are there for the teacher alone; None for none.
            progress: the share of the run that is done.
            feature_map: (B, D, h, w) of a frozen backbone, in place of pixel_values.

        Raises:
            ValueError: for a batch without a view that the method needs.
        """
        given = feature_map if pixel_values is None else pixel_values
        if given is None or (pixel_values is None and self.need_pixels):
            wanting = f", which {', '.join(self.need_pixels)} needs." if self.need_pixels else "."
            raise ValueError(f"The batch has no pixel_values{wanting}")
        if self.views > 1:
            if second_view is None:
                raise ValueError("This method compares two views of an image, but the batch has no `second_view`.")
            given = torch.cat([given, second_view])
            labels = torch.cat([labels, labels])
            image_id = None if image_id is None else [*image_id, *image_id]
            unlabelled = None if unlabelled is None else torch.cat([unlabelled, unlabelled])
        taught = None
        if self.teacher is not None:
            asked: Any = self.asks_teacher
            where: Any = {} if view is None else {"view": view}
            taught = self.teacher(given, self.batch_pixels, image_id=image_id, **where, **asked)
        seen = None if pixel_values is None else convert_pixels(given, self.batch_pixels, self.pixels)
        maps = given if pixel_values is None else None
        answered = getattr(taught, "answered", None)  # of every cell
        answered = getattr(self.teacher, "answered", None) if answered is None else answered
        more: Any = {"unlabelled": unlabelled, "image_id": image_id, "feature_map": maps}
        return MethodBatch(seen, labels, None, model, taught, progress, answered, **more)

    def forward(self, batch: MethodBatch, totals: Tensor | None = None) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of a batch that the student has answered (`batch.student`), and its parts.

        Args:
            batch: the micro-batch.
            totals: the `counts` of the global batch; those of this batch alone when None.

        Returns:
            The loss, whose mean over processes is the global loss, and every part, detached, before its weight.
        """
        terms = self.terms(batch, totals)
        loss: Any = sum(weight * part for weight, part in terms.values())
        return loss, {name: part.detach() for name, (_, part) in terms.items()}

    def terms(self, batch: MethodBatch, totals: Tensor | None = None) -> dict[str, tuple[float, Tensor]]:
        """The weight of every part at this point of the run, and the part before it; as in `forward`."""
        scale = 1 if totals is None else world_size()
        if totals is None:
            once = slice(len(batch.labels) // self.views)
            totals = self.counts(batch.labels[once], None if batch.unlabelled is None else batch.unlabelled[once])
        heard = batch.heard()
        terms: dict[str, tuple[float, Tensor]] = {}
        for objective, denominator in zip(self._each(), self._denominators(totals, batch.labels)):
            # A coupled objective sees all processes' images already, on every process.
            factor = 1 if objective.couples_images else scale
            own = heard if objective.hears_unlabelled else batch
            weight = self.weights[objective.name] * ramp_share(batch.progress, self.ramps[objective.name])
            terms[objective.name] = weight, objective(own) * factor / denominator.to(batch.labels.device)
        return terms

    def _denominators(self, totals: Tensor, labels: Tensor) -> list[Tensor]:
        labelled, heard = totals[0].clamp_min(1.0), totals[-1].clamp_min(1.0)
        found = []
        for position, objective in enumerate(self._each(), start=1):
            divides = objective.count(labels[:1]) is not None
            count = totals[position].clamp_min(1e-8) if divides else totals.new_ones(())
            images = heard if objective.hears_unlabelled else labelled
            found.append(count * images if self.per_image[objective.name] else count)
        return found

    def after_step(self, model: nn.Module) -> None:
        for objective in self._each():
            objective.after_step(model)

    def companions(self) -> Mapping[str, nn.Module]:
        return {
            f"{objective.name}.{key}": module
            for objective in self._each()
            for key, module in objective.companions().items()
        }


def _asked(objectives: Iterable[Objective]) -> dict[str, bool]:
    return {f"output_{name}": True for objective in objectives for name in sorted(objective.needs)}
