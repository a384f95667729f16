"""Any image classifier as a teacher: its logits, its labels, its pixels, and what it can say of a student's labels."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from mlic_hf.methods.teachers.half_precision import half_precision
from mlic_hf.methods.teachers.label_match import places_by_label
from mlic_hf.methods.views import PixelSpec, convert_pixels

logger = logging.getLogger(__name__)
ACTIVATIONS = ("sigmoid", "softmax")
MERGES = ("logsumexp", "max")


@dataclass(frozen=True)
class Classifier:
    """An image classifier of anybody: a function, what its logits mean, and what it wants to see.

    Attributes:
        function: pixels (B, 3, H, W), prepared as `pixels` says, to logits (B, T).
        labels: the T names.
        pixels: side, mean, standard deviation and filter of its pictures.
        activation: what makes its logits probabilities: "sigmoid", of each label by itself, or "softmax", of one
            label an image.
        module: whose weights the function uses, so that they follow the batch to its device; None for a function
            that looks after itself.
    """

    function: Callable[[Tensor], Tensor]
    labels: Sequence[str]
    pixels: PixelSpec
    activation: str = "sigmoid"
    module: nn.Module | None = None

    def __post_init__(self) -> None:
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"activation is {self.activation!r}; it is sigmoid or softmax.")
        if not self.labels or len(set(self.labels)) != len(self.labels):
            raise ValueError(f"A classifier wants one name a logit, each once; found {list(self.labels)[:5]}.")


@dataclass(frozen=True)
class TeacherOptions:
    """How a classifier's answers are read.

    Attributes:
        labels: {its label: the student's}, for labels whose names differ; several to one are merged.
        merge: of several to one: "logsumexp" adds their odds (of a softmax, their probabilities), "max" takes the
            highest.
        partial: labels of the student that it lacks are left out of its part; otherwise they are an error.
        activation: "sigmoid" or "softmax", where the classifier does not say it or says it wrongly.
        template: what a dual encoder is asked about a label, with {} in the place of its name.
        names: the labels of an ONNX file that does not tell them.
        image_size, image_mean, image_std: its pixels, likewise.
    """

    labels: Mapping[str, str] = field(default_factory=dict)
    merge: str = "logsumexp"
    partial: bool = False
    activation: str | None = None
    template: str = "a photo of a {}."
    names: Sequence[str] | None = None
    image_size: int | None = None
    image_mean: Sequence[float] | None = None
    image_std: Sequence[float] | None = None

    def __post_init__(self) -> None:
        if self.merge not in MERGES:
            raise ValueError(f"merge is {self.merge!r}; it is one of {', '.join(MERGES)}.")
        if self.activation not in (None, *ACTIVATIONS):
            raise ValueError(f"activation is {self.activation!r}; it is one of {', '.join(ACTIVATIONS)}, or null.")


@dataclass
class Answers:
    """Logits (B, C) in the student's order; 0 for the labels that the teacher does not answer."""

    logits: Tensor


class ClassifierTeacher:
    """A `Teacher` that a classifier stands behind. What it says of a label is a log-odds, whatever it was trained as.

    The logits of a softmax compare its labels with each other; here each becomes log(p / (1 - p)) of its share p. So a
    label that is in the picture beside a larger one gets little: such a teacher knows the main label, which is said
    in the log.

    Args:
        classifier: what answers.
        labels: the student's label names.
        options: how labels are matched and merged.
        half: run it in half precision (float16 on a GPU, bfloat16 on the CPU), where torch runs it.

    Attributes:
        answered: (C,) which of the labels it answers; None for all.

    Raises:
        ValueError: for a label that it lacks (unless `options.partial`), a map that does not fit, no label in common.
    """

    provides: frozenset[str] = frozenset()
    stage_channels: Sequence[int] = ()

    def __init__(
        self,
        classifier: Classifier,
        labels: Sequence[str],
        options: TeacherOptions | None = None,
        half: bool = False,
    ) -> None:
        options = options or TeacherOptions()
        self.classifier, self.half, self.merge = classifier, half, options.merge
        self.pixels: PixelSpec = classifier.pixels
        self.softmax = (options.activation or classifier.activation) == "softmax"
        if classifier.module is not None:
            classifier.module.eval().requires_grad_(False)
        places = places_by_label(classifier.labels, labels, options.labels)
        lacks = [label for label, its in zip(labels, places) if not its]
        if len(lacks) == len(labels) or (lacks and not options.partial):
            raise ValueError(
                f"The teacher has {len(classifier.labels)} labels, the first {list(classifier.labels[:3])}, and lacks "
                f"{len(lacks)} of the student's {len(labels)}: {shortened(lacks)}. Name those that it calls otherwise "
                "(teacher_labels: {its name: the student's}); the others are left out of its part with "
                "teacher_options: {partial: true}."
            )
        self.answered = torch.tensor([bool(its) for its in places]) if lacks else None
        self.places = padded([its for its in places if its], len(classifier.labels))
        self._say(lacks, len(labels), sum(map(len, places)))

    def _say(self, lacks: Sequence[str], labels: int, used: int) -> None:
        known = len(self.classifier.labels)
        logger.info(
            "The teacher answers for %d of %d labels by %d of its %d.", labels - len(lacks), labels, used, known
        )
        if lacks:
            logger.warning("The teacher's part leaves out %d labels that it lacks: %s.", len(lacks), shortened(lacks))
        if self.softmax:
            logger.warning(
                "The teacher was trained to name one label an image (softmax): what it says of a label is the "
                "log-odds of its share, which is low for all but the main label of a picture."
            )

    @torch.no_grad()
    def __call__(
        self,
        pixel_values: Tensor,
        source: PixelSpec,
        *,
        image_id: Sequence[str] | None = None,
        view: Sequence[int] | None = None,
        **asked: bool,
    ) -> Answers:
        """Its log-odds for a batch (B, 3, H, W) prepared for `source`.

        Raises:
            ValueError: when more than logits is asked for, or the classifier gives another shape than its labels.
        """
        wanted = sorted(name for name, value in asked.items() if value)
        if wanted:
            raise ValueError(f"This teacher gives logits alone, but {', '.join(wanted)} is asked of it.")
        device, module = pixel_values.device, self.classifier.module
        if module is not None and next(module.parameters()).device != device:
            module.to(device)
        seen = convert_pixels(pixel_values, source, self.pixels)
        with half_precision(device, self.half):
            scores = self.classifier.function(seen)
        expected = (len(seen), len(self.classifier.labels))
        if tuple(scores.shape) != expected:
            raise ValueError(f"The teacher's logits have the shape {tuple(scores.shape)}; expected {expected}.")
        odds = self._log_odds(scores.to(device)).to(torch.float32)
        if self.answered is None:
            return Answers(odds)
        logits = odds.new_zeros(len(odds), len(self.answered))
        logits[:, self.answered.to(device)] = odds
        return Answers(logits)

    def _log_odds(self, scores: Tensor) -> Tensor:
        """(B, T) logits to (B, answered labels), several of the classifier's labels merged."""
        scores = scores.double()  # shares near 1 keep their complement
        values = torch.log_softmax(scores, dim=1) if self.softmax else scores
        nothing = values.new_full((len(values), 1), -torch.inf)
        chosen = torch.cat([values, nothing], dim=1)[:, self.places.to(values.device)]
        merged = chosen.amax(dim=2) if self.merge == "max" else chosen.logsumexp(dim=2)
        if not self.softmax:
            return merged
        share = merged.clamp(max=-1e-12)
        return share - torch.log(-torch.expm1(share))


def padded(places: Sequence[Sequence[int]], filling: int) -> Tensor:
    """Lists of places as one tensor (lists, longest), filled up with a place of its own."""
    longest = max(map(len, places))
    return torch.tensor([[*its, *[filling] * (longest - len(its))] for its in places])


def shortened(names: Sequence[str], most: int = 6) -> str:
    """Names for a sentence, the first few of many."""
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")
