"""Every loss against the originals' own numbers: value and gradient within a relative 1e-4."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from mlic_hf import losses
from tests.golden.cases import GOLDEN, load, params

KNOWN_PREFIXES = (
    "asl_sum_",
    "asl_mean1000_",
    "l2d_class_aware",
    "l2d_instance_aware",
    "l2d_label_embedding",
    "l2d_mld_",
    "l2d_partial_softmax",
    "l2d_bce_sum",
    "l2d_pkt",
    "l2d_rkd",
    "l2d_reviewkd",
    "psd_kl",
    "psd_student_mse",
    "psd_student_kl",
    "mulcon_supcon",
    "head_ml_decoder",
    "head_query2label",
    "head_label_transformer",
    "head_mulcon",
    "head_cooccurrence",
    "metric_l2d",
    "metric_voc",
    "oass_keypoints_ctopk_w",
    "oass_step",
    "partition_",
    "checkpoint_",
)


@pytest.mark.skipif(not GOLDEN.is_dir(), reason=f"no golden folder at {GOLDEN} (set MLIC_GOLDEN_DIR)")
def test_every_case_has_a_known_prefix() -> None:
    names = {path.stem for path in GOLDEN.iterdir() if path.suffix in (".safetensors", ".json", ".npz")}
    unknown = sorted(name for name in names if not name.startswith(KNOWN_PREFIXES))
    assert names
    assert not unknown, f"golden cases that no test reads: {unknown}"


def assert_close(actual: Tensor, expected: Tensor, what: str) -> None:
    """Within 1e-4 of the largest magnitude, and elementwise as far as float32 carries."""
    error = (actual.detach() - expected).abs().max() / expected.abs().max().clamp(min=1e-30)
    assert error < 1e-4, f"{what}: relative error {error:.2e}"


def check(
    case: dict[str, Any], loss: Callable[[Tensor], Tensor], at: str = "student", grad: str = "grad_student"
) -> None:
    leaf = case[at].clone().requires_grad_()
    value = loss(leaf)
    value.backward()
    assert_close(value, case["loss"], "loss")
    assert_close(leaf.grad, case[grad], "gradient")


@pytest.mark.parametrize("name", params("asl_"))
@pytest.mark.parametrize("focus", ["detached_focus", "full"])
def test_asymmetric(name: str, focus: str) -> None:
    case, spec = load(name)
    scale = 1000.0 if spec["reduction"] == "mean over all cells x 1000" else 1.0
    check(
        case,
        lambda z: (
            scale
            * losses.asymmetric_loss(
                z,
                case["targets"],
                spec["gamma_neg"],
                spec["gamma_pos"],
                spec["clip"],
                spec["eps"],
                disable_grad_focal=focus == "detached_focus",
                reduction="mean" if scale > 1 else "sum",
            )
        ),
        "logits",
        f"grad_logits_{focus}",
    )


@pytest.mark.parametrize("name", params("l2d_bce_sum"))
def test_binary_cross_entropy(name: str) -> None:
    case, _ = load(name)
    check(case, lambda z: losses.binary_cross_entropy(z, case["targets"]), "logits", "grad_logits")


@pytest.mark.parametrize("name", params("l2d_class_aware"))
def test_class_aware(name: str) -> None:
    case, _ = load(name)
    check(case, lambda s: losses.class_aware_distillation(s, case["teacher"], case["targets"]))


@pytest.mark.parametrize("name", params("l2d_instance_aware"))
def test_instance_aware(name: str) -> None:
    case, _ = load(name)
    check(case, lambda s: losses.instance_aware_distillation(s, case["teacher"], case["targets"]))


@pytest.mark.parametrize("name", params("l2d_label_embedding"))
def test_label_embedding(name: str) -> None:
    case, spec = load(name)

    def both(student: Tensor) -> Tensor:
        class_aware, instance_aware = losses.label_embedding_distillation(student, case["teacher"], case["targets"])
        return spec["lambda_cd"] * class_aware + spec["lambda_id"] * instance_aware

    check(case, both)


@pytest.mark.parametrize("name", params("l2d_mld_"))
def test_multi_label_logit_distillation(name: str) -> None:
    case, spec = load(name)
    check(
        case,
        lambda s: losses.multi_label_logit_distillation(
            s, case["teacher"], case["targets"], reduction=spec["reduction"]
        ),
    )


@pytest.mark.parametrize("name", params("l2d_partial_softmax"))
def test_partial_softmax(name: str) -> None:
    case, _ = load(name)
    check(case, lambda s: losses.partial_softmax_distillation(s, case["teacher"], case["targets"]))


@pytest.mark.parametrize("name", params("l2d_pkt"))
def test_probabilistic_knowledge_transfer(name: str) -> None:
    case, _ = load(name)
    check(case, lambda s: losses.probabilistic_knowledge_transfer(s, case["teacher"]))


@pytest.mark.parametrize("name", params("l2d_rkd"))
def test_relational(name: str) -> None:
    case, spec = load(name)
    weights = spec["distance_weight"], spec["angle_weight"]
    check(case, lambda s: losses.relational_distillation(s, case["teacher"], *weights))


def stages(case: dict[str, Tensor], prefix: str) -> list[Tensor]:
    count = sum(key.startswith(f"{prefix}.") for key in case)
    return [case[f"{prefix}.{stage}"] for stage in range(count)]


@pytest.mark.parametrize("name", [p for p in params("l2d_reviewkd") if "fusion" not in p.values[0]])
def test_review(name: str) -> None:
    case, spec = load(name)
    student = [stage.clone().requires_grad_() for stage in stages(case, "student")]
    loss = spec["weight"] * losses.review_distillation(student, stages(case, "teacher"))
    loss.backward()
    assert_close(loss, case["loss"], "loss")
    for number, stage in enumerate(student):
        assert_close(stage.grad, case[f"grad_student.{number}"], f"gradient of stage {number}")


@pytest.mark.parametrize("name", params("l2d_reviewkd_fusion"))
def test_review_fusion(name: str) -> None:
    case, spec = load(name)
    student, teacher = stages(case, "student"), stages(case, "teacher")
    fusion = losses.ReviewFusion([s.shape[1] for s in student], [t.shape[1] for t in teacher], spec["mid_channels"])
    # the original counts its modules from the pooled vector down; ours are in the order of the stages
    last = len(student) - 1
    names = {"conv1": "narrow", "conv2": "widen", "att_conv": "gate"}
    state: dict[str, Tensor] = {}
    for key, value in case.items():
        if key.startswith("state.abfs."):
            _, _, number, module, rest = key.split(".", 4)
            rest = rest.split(".", 1)[1] if module == "att_conv" else rest
            state[f"stages.{last - int(number)}.{names[module]}.{rest}"] = value
    fusion.load_state_dict(state)
    fused = fusion.train()(student, [(t.shape[-2], t.shape[-1]) if t.dim() == 4 else (1, 1) for t in teacher])
    for number, stage in enumerate(fused):
        assert_close(stage, case[f"fused.{number}"], f"fused stage {number}")
    teacher[-1] = teacher[-1][:, :, None, None]
    assert_close(losses.review_distillation(fused, teacher), case["loss"], "loss")


@pytest.mark.parametrize("name", params("psd_kl"))
def test_partition_kl(name: str) -> None:
    case, spec = load(name)
    check(case, lambda s: losses.partition_distillation_kl(s, case["teacher"], spec["temperature"]))


@pytest.mark.parametrize("name", params("psd_student_"))
def test_partition_student(name: str) -> None:
    case, spec = load(name)

    def student_loss(z: Tensor) -> Tensor:
        distances = []
        for view in ("cgp", "dgp"):
            parts = spec[f"partition_{view}"]
            teacher = losses.scatter_parts(stages(case, f"teacher_{view}"), parts, z.shape[1])
            if spec["metric"] == "mse":
                distances.append(losses.partition_distillation_mse(z, teacher))
            else:
                distances.append(losses.partition_distillation_kl(z, teacher, spec["temperature"]))
        hard = losses.asymmetric_loss(z, case["targets"], **spec["asl"])
        assert_close(hard, case["loss_classification"], "classification loss")
        share = 0.5 * spec["alpha"]
        return 0.5 * hard + share * distances[0] + (0.5 - share) * distances[1]

    check(case, student_loss)


@pytest.mark.parametrize("name", params("mulcon_supcon"))
def test_supervised_contrastive(name: str) -> None:
    case, spec = load(name)
    labels = torch.where(case["labels"].any(dim=1), case["labels"].argmax(dim=1), -1)
    assert int((labels >= 0).sum()) == spec["num_positives"]
    scale = spec["temperature"] / spec["base_temperature"]
    check(
        case,
        lambda f: scale * losses.supervised_contrastive(f, labels, spec["temperature"]),
        "features",
        "grad_features",
    )


@pytest.mark.parametrize("name", params("head_mulcon"))
def test_mulcon_head_losses(name: str) -> None:
    case, spec = load(name)
    projections = case["projections"].view(*case["targets"].shape, -1)
    contrast = losses.label_contrastive(
        projections,
        case["targets"],
        case["logits"],
        spec["temperature"],
        denominator_size=spec["denominator_size"],
    )
    hard = losses.binary_cross_entropy(case["logits"], case["targets"], reduction="mean")
    assert_close(contrast, case["loss_contrastive"], "contrastive loss")
    assert_close(hard, case["loss_attention"], "classification loss")
    total = spec["coef_attention"] * hard + spec["coef_contrastive"] * contrast
    assert_close(total, case["loss_total"], "total loss")


def part_of(case: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in case.items() if key.startswith(prefix)}


def graph_network(weights: dict[str, Tensor], edges: Tensor, embeddings: Tensor, steps: int) -> Tensor:
    """CoCo's gated graph network, on the original's own weights."""
    for _ in range(steps):
        message = edges @ embeddings

        def gate(number: int, own: Tensor, message: Tensor = message) -> Tensor:
            return message @ weights[f"fc{number}_w.weight"].t() + own @ weights[f"fc{number}_u.weight"].t()

        update, keep = torch.sigmoid(gate(1, embeddings)), torch.sigmoid(gate(2, embeddings))
        fresh = torch.tanh(gate(3, keep * embeddings))
        embeddings = (1 - update) * embeddings + update * fresh
    return embeddings


@pytest.mark.parametrize("name", params("head_cooccurrence"))
def test_co_occurrence_contrast(name: str) -> None:
    case, spec = load(name)
    features, targets = case["features"], case["targets"]
    transformer = torch.nn.Transformer(
        spec["dim"],
        spec["num_heads"],
        spec["encoder_layers"],
        spec["decoder_layers"],
        spec["dim_feedforward"],
        dropout=0.0,
        batch_first=True,
    )
    transformer.load_state_dict(part_of(case, "state.attention."))
    with torch.no_grad():
        queries = case["state.query_embed.weight"].expand(len(features), -1, -1)
        embeddings = transformer(features, queries)
        pooled = features.mean(dim=1, keepdim=True).expand_as(embeddings)
        rows = torch.cat([embeddings, pooled], dim=2)
        edges = torch.sigmoid(rows @ case["state.net.weight"].t() + case["state.net.bias"])
        weights = part_of(case, "state.encoder.")
        graph, positive, negative = (
            graph_network(weights, view, embeddings, spec["gnn_steps"])
            for view in (edges, *losses.true_label_edges(edges, targets))
        )
    assert_close(graph, case["graph_embeddings"], "graph embeddings")
    loss = losses.co_occurrence_contrast(graph, positive, negative, targets, spec["tau"])
    assert_close(loss, case["contrastive_loss"], "contrastive loss")


@pytest.mark.parametrize("name", params("head_cooccurrence"))
def test_co_occurrence_classification_loss(name: str) -> None:
    case, spec = load(name)
    asl = {key: value for key, value in spec["asl"].items() if key != "scale"}
    loss = 1000 * losses.asymmetric_loss(case["logits_train"], case["targets"], reduction="mean", **asl)
    assert_close(loss, case["classification_loss"], "classification loss")
