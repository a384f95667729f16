"""Plain loops written from the equations of the papers, one image, label or pair at a time.

The tests compare values with them and `benchmarks/losses.py` compares speed. They are written as one writes them
first: tensors in the inner step, Python loops outside, autograd for the gradient. With `unbind` the embeddings are
taken apart once, so that autograd does not write a gradient as large as the whole input at every turn.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

CellCost = Callable[[Tensor, Tensor], Tensor]


def asymmetric_loss(
    z: Tensor, y: Tensor, gamma_neg: float = 4, gamma_pos: float = 0, clip: float = 0.05, eps: float = 1e-8
) -> Tensor:
    total = z.sum() * 0
    for image in range(len(z)):
        known = y[image] >= 0
        p, t = torch.sigmoid(z[image][known]), y[image][known]
        q = (1 - p + clip).clamp(max=1)
        loss = t * p.clamp(min=eps).log() + (1 - t) * q.clamp(min=eps).log()
        pt = p * t + q * (1 - t)
        total = total - (loss * (1 - pt).detach() ** (gamma_pos * t + gamma_neg * (1 - t))).sum()
    return total


def binary_cross_entropy(z: Tensor, y: Tensor, eps: float = 1e-8) -> Tensor:
    total = z.sum() * 0
    for image in range(len(z)):
        known = y[image] >= 0
        p, t = torch.sigmoid(z[image][known]), y[image][known]
        total = total - (t * p.clamp(min=eps).log() + (1 - t) * (1 - p).clamp(min=eps).log()).sum()
    return total


def focal(z: Tensor, y: Tensor, gamma: float = 2.0, alpha: float = 0.25) -> Tensor:
    total = z.sum() * 0
    for image in range(len(z)):
        known = y[image] >= 0
        p, t = torch.sigmoid(z[image][known]), y[image][known]
        pt = p * t + (1 - p) * (1 - t)
        at = alpha * t + (1 - alpha) * (1 - t)
        total = total - (at * (1 - pt) ** gamma * pt.log()).sum()
    return total


def soft_margin(z: Tensor, y: Tensor) -> Tensor:
    """The sum over images of the mean over known labels."""
    total = z.sum() * 0
    for image in range(len(z)):
        known = y[image] >= 0
        if known.any():
            logits, t = z[image][known], y[image][known]
            total = total - (t * F.logsigmoid(logits) + (1 - t) * F.logsigmoid(-logits)).mean()
    return total


def multi_label_logit_distillation(s: Tensor, t: Tensor, y: Tensor) -> Tensor:
    total = s.sum() * 0
    for image in range(len(s)):
        known = y[image] >= 0
        ps = torch.sigmoid(s[image][known]).clamp(1e-8, 1 - 1e-8)
        pt = torch.sigmoid(t[image][known]).clamp(1e-8, 1 - 1e-8)
        total = total + (pt * (pt / ps).log() + (1 - pt) * ((1 - pt) / (1 - ps)).log()).sum()
    return total


def symmetric_logit_distillation(s: Tensor, t: Tensor, y: Tensor) -> Tensor:
    total = s.sum() * 0
    for image in range(len(s)):
        known = y[image] >= 0
        p, q = torch.sigmoid(s[image][known]), torch.sigmoid(t[image][known])
        there = q * (q / p).log() + (1 - q) * ((1 - q) / (1 - p)).log()
        back = p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()
        total = total + 0.5 * (there + back).sum()
    return total


def class_map_distillation(student: Tensor, teacher: Tensor, y: Tensor) -> Tensor:
    total = student.sum() * 0
    size = [min(a, b) for a, b in zip(student.shape[2:], teacher.shape[2:])]
    for s, t, flags in zip(student, teacher, y):
        for label in (flags == 1).nonzero()[:, 0]:
            a, b = (F.adaptive_avg_pool2d(maps[label][None], size) for maps in (s, t))
            a, b = ((x - x.mean()) / (x.var(unbiased=False) + 1e-5).sqrt() for x in (a, b))
            total = total + ((a - b) ** 2).mean() / 2
    return total


def partial_softmax_distillation(s: Tensor, t: Tensor, y: Tensor) -> Tensor:
    total = s.sum() * 0
    for image in range(len(s)):
        negatives = (y[image] == 0).nonzero()[:, 0]
        for positive in (y[image] == 1).nonzero()[:, 0]:
            members = torch.cat([positive[None], negatives])
            log_s, log_t = s[image][members].log_softmax(0), t[image][members].log_softmax(0)
            total = total + (log_t.exp() * (log_t - log_s)).sum()
    return total


def partition_distillation_mse(s: Tensor, t: Tensor) -> Tensor:
    total = s.sum() * 0
    for image in range(len(s)):
        total = total + ((s[image] - t[image]) ** 2).sum()
    return total


def partition_distillation_kl(s: Tensor, t: Tensor, temperature: float = 4.0) -> Tensor:
    total = s.sum() * 0
    for image in range(len(s)):
        log_s, log_t = (s[image] / temperature).log_softmax(0), (t[image] / temperature).log_softmax(0)
        total = total + (log_t.exp() * (log_t - log_s)).sum()
    return total * temperature**2


def cell_loop(z: Tensor, y: Tensor, positive: CellCost, unlisted: CellCost) -> Tensor:
    """The sum over known cells of what a function of (z, p) says of a positive and of an unlisted one."""
    total = z.sum() * 0
    for image in range(len(z)):
        for label in range(z.shape[1]):
            if y[image, label] >= 0:
                cost = positive if y[image, label] == 1 else unlisted
                total = total + cost(z[image, label], torch.sigmoid(z[image, label]))
    return total


def entropy_maximization(z: Tensor, y: Tensor, alpha: float = 0.1) -> Tensor:
    return cell_loop(z, y, lambda z, p: -p.log(), lambda z, p: alpha * (p * p.log() + (1 - p) * (1 - p).log()))


def weak_negatives(z: Tensor, y: Tensor) -> Tensor:
    weight = 1 / max(1, z.shape[1] - 1)
    return cell_loop(z, y, lambda z, p: -p.log(), lambda z, p: -weight * (1 - p).log())


def hill(z: Tensor, y: Tensor) -> Tensor:
    def positive(z: Tensor, p: Tensor) -> Tensor:
        shifted = torch.sigmoid(z - 1)
        return -((1 - shifted) ** 2) * shifted.log()

    return cell_loop(z, y, positive, lambda z, p: (1.5 - p) * p**2)


def self_paced_correction(z: Tensor, y: Tensor) -> Tensor:
    def positive(z: Tensor, p: Tensor) -> Tensor:
        shifted = torch.sigmoid(z - 1)
        return -((1 - shifted) ** 2) * shifted.log()

    return cell_loop(z, y, positive, lambda z, p: -((1 - p) ** 2) * p.log() if p > 0.6 else -(1 - p).log())


def expected_positives(z: Tensor, y: Tensor, expected: float) -> Tensor:
    """The mean times the images of which something is known."""
    images = [row for row in range(len(z)) if (y[row] >= 0).any()]
    if not images:
        return z.sum() * 0
    found = sum(torch.sigmoid(z[row][y[row] >= 0]).sum() for row in images) / len(images)
    listed = cell_loop(z, y, lambda z, p: -p.log(), lambda z, p: 0 * z) / (y >= 0).sum()
    return len(images) * (listed + ((found - expected) / z.shape[1]) ** 2)


def large_loss(z: Tensor, y: Tensor, share: float, corrected: bool) -> Tensor:
    """A list of all cells' losses; the largest of the unlisted ones are struck out or turned round."""
    cells = [(i, c) for i in range(len(z)) for c in range(z.shape[1]) if y[i, c] >= 0]
    unlisted = sorted((float(z[cell].detach()) for cell in cells if y[cell] == 0), reverse=True)
    wanted = min(math.ceil(share * len(cells)), len(unlisted))
    least = unlisted[wanted - 1] if wanted else math.inf
    total = z.sum() * 0
    for cell in cells:
        large = y[cell] == 0 and float(z[cell].detach()) >= least
        if y[cell] == 1 or (large and corrected):
            total = total - F.logsigmoid(z[cell])
        elif not large:
            total = total - F.logsigmoid(-z[cell])
    return total


def distribution_balanced(z: Tensor, y: Tensor, counts: Tensor, num_images: int) -> Tensor:
    total = z.sum() * 0
    for image in range(len(z)):
        drawn = sum(1 / float(counts[label]) for label in range(z.shape[1]) if y[image, label] == 1)
        for label in range(z.shape[1]):
            n = float(counts[label])
            if y[image, label] < 0:
                continue
            ratio = 1 / n / drawn if drawn else math.inf
            weight = 0.1 + 1 / (1 + math.exp(-min(700.0, 10 * (ratio - 0.3))))
            shifted = z[image, label] - 0.05 * math.log(num_images / n - 1)
            p, q = torch.sigmoid(shifted), torch.sigmoid(2 * shifted)
            cost = (1 - p) ** 2 * -p.log() if y[image, label] == 1 else q**2 * -(1 - q).log() / 2
            total = total + weight * cost
    return total


def two_way(z: Tensor, y: Tensor, temperature: float = 4.0) -> Tensor:
    """The mean times the images of which something is known."""
    total = z.sum() * 0
    for scores, flags in ((z, y), (z.t(), y.t())):
        costs = []
        for row, flag in zip(scores, flags):
            if (flag == 1).any():
                positive = temperature * (-row[flag == 1] / temperature).exp().sum().log()
                negative = row[flag == 0].exp().sum().log() if (flag == 0).any() else z.new_tensor(-math.inf)
                costs.append((1 + (negative + positive).exp()).log())
        if costs:
            total = total + torch.stack(costs).mean()
    return total * (y >= 0).any(dim=1).sum()


def zlpr(z: Tensor, y: Tensor) -> Tensor:
    total = z.sum() * 0
    for row, flag in zip(z, y):
        total = total + (1 + (-row[flag == 1]).exp().sum()).log() + (1 + row[flag == 0].exp().sum()).log()
    return total


def phi(rows: Tensor) -> Tensor:
    """Pairwise distances over the mean of the positive ones."""
    squares = rows.pow(2).sum(1)
    distances = (squares[:, None] + squares[None, :] - 2 * rows @ rows.t()).clamp(min=1e-12).sqrt()
    distances = distances * (1 - torch.eye(len(rows), dtype=rows.dtype, device=rows.device))
    return distances / distances[distances > 0].mean()


def structure(student: Tensor, teacher: Tensor) -> Tensor:
    """h: the summed Huber loss between two phis, by the number of rows."""
    return F.smooth_l1_loss(phi(student), phi(teacher), reduction="sum") / len(student)


def turns(x: Tensor, dim: int, unbind: bool) -> Sequence[Tensor]:
    return x.unbind(dim) if unbind else [x.select(dim, turn) for turn in range(x.shape[dim])]


def class_aware_distillation(student: Tensor, teacher: Tensor, y: Tensor, unbind: bool = False) -> Tensor:
    total = student.sum() * 0
    for s, t, flags in zip(turns(student, 1, unbind), teacher.unbind(1), y.unbind(1)):
        if (flags == 1).sum() > 1:
            total = total + structure(s[flags == 1], t[flags == 1])
    return total


def instance_aware_distillation(student: Tensor, teacher: Tensor, y: Tensor, unbind: bool = False) -> Tensor:
    total = student.sum() * 0
    for s, t, flags in zip(turns(student, 0, unbind), teacher.unbind(), y.unbind()):
        if (flags == 1).sum() > 1:
            total = total + structure(s[flags == 1], t[flags == 1])
    return total


def probabilistic_knowledge_transfer(s: Tensor, t: Tensor) -> Tensor:
    def conditional(x: Tensor) -> list[Tensor]:
        rows = []
        for image in x:
            cosine = [image @ other / ((image.norm() + 1e-7) * (other.norm() + 1e-7)) for other in x]
            row = (torch.stack(cosine) + 1) / 2
            rows.append(row / row.sum())
        return rows

    total = s.sum() * 0
    for row_s, row_t in zip(conditional(s), conditional(t)):
        total = total + (row_t * ((row_t + 1e-7) / (row_s + 1e-7)).log()).sum()
    return total / len(s) ** 2


def relational_distillation(s: Tensor, t: Tensor) -> Tensor:
    def angles(x: Tensor, corner: int) -> Tensor:
        unit = F.normalize(x - x[corner], dim=1)
        return unit @ unit.t()

    total = s.sum() * 0
    for corner in range(len(s)):
        total = total + F.smooth_l1_loss(angles(s, corner), angles(t, corner), reduction="sum")
    return 10 * structure(s, t) + 10 * total / len(s) ** 3


def review_distillation(student: list[Tensor], teacher: list[Tensor]) -> Tensor:
    total = student[0].sum() * 0
    for s, t in zip(student, teacher):
        loss, weight, weights = F.mse_loss(s, t), 1.0, 1.0
        for level in (4, 2, 1):
            if level < s.shape[2]:
                weight /= 2
                weights += weight
                pooled = F.adaptive_avg_pool2d(s, level), F.adaptive_avg_pool2d(t, level)
                loss = loss + weight * F.mse_loss(*pooled)
        total = total + loss / weights
    return total


def supervised_contrastive(features: Tensor, labels: Tensor, temperature: float = 0.2) -> Tensor:
    """The mean over anchors (rows with a label >= 0)."""
    total = features.sum() * 0
    anchors = (labels >= 0).nonzero()[:, 0]
    for anchor in anchors:
        row = features @ features[anchor] / temperature
        others = torch.arange(len(features), device=features.device) != anchor
        positives = others & (labels == labels[anchor])
        if positives.any():
            total = total - (row[positives] - row[others].logsumexp(0)).mean()
    return total / max(1, len(anchors))


def label_contrastive(projections: Tensor, y: Tensor, temperature: float = 0.2) -> Tensor:
    images, labels = (y == 1).nonzero(as_tuple=True)
    return supervised_contrastive(projections[images, labels], labels, temperature)


def co_occurrence_contrast(graph: Tensor, positive: Tensor, negative: Tensor, y: Tensor, tau: float = 1.0) -> Tensor:
    """The sum over images of the mean over true labels."""
    total = graph.sum() * 0
    for g, g_pos, g_neg, flags in zip(graph.unbind(), positive.unbind(), negative.unbind(), y.unbind()):
        labels = (flags == 1).nonzero()[:, 0].tolist()
        for label in labels:
            row = [g[label] @ g_pos[label], g[label] @ g_neg[label]]
            row += [g[label] @ g[other] for other in labels if other != label]
            logits = torch.stack(row)[None] / tau
            target = torch.zeros(1, dtype=torch.long, device=logits.device)
            total = total + F.cross_entropy(logits, target) / len(labels)
    return total


def partial_class_loss(merged: Tensor, labels: Tensor) -> Tensor:
    total = merged.sum() * 0
    for maps, label in zip(merged, labels):
        target = F.one_hot(label, len(maps)).to(maps.dtype)
        total = total + F.multilabel_soft_margin_loss(maps.mean(dim=(1, 2))[None], target[None])
    return total / len(labels)


def reconstruction_loss(class_maps: Tensor, merged: Tensor, images: Tensor, labels: Tensor) -> Tensor:
    total = merged.sum() * 0
    for maps, image, label in zip(merged, images, labels):
        mask = F.one_hot(label, len(maps)).to(maps.dtype)[:, None, None]
        total = total + (class_maps[image] * mask - maps * mask).abs().mean()
    return total / len(labels)
