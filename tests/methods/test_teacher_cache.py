"""A teacher's answers on disk: what comes back, and everything that can be wrong with a cache."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from mlic_hf.data import LabelSpace, MultiLabelDataset, TransformConfig, build_transform, collate
from mlic_hf.methods.l2d import L2DConfig
from mlic_hf.methods.l2d.method import l2d_objectives
from mlic_hf.methods.psd.config import PSDConfig
from mlic_hf.methods.psd.method import psd_objectives
from mlic_hf.methods.psd.part_teachers import PartTeachers
from mlic_hf.methods.psd.partition import Partition
from mlic_hf.methods.teacher_cache import CachedTeacher, compute_cache, missing_shards, sizes, teacher_hash
from mlic_hf.methods.teacher_cache import shards as shards_module
from mlic_hf.methods.teacher_cache.encoding import decode, encode
from mlic_hf.methods.teacher_cache.manifest import Manifest
from mlic_hf.methods.teacher_cache.shards import shard_file, write_shard
from mlic_hf.methods.teachers import MeanTeacher, ModelTeacher, as_teacher
from mlic_hf.methods.views import PixelSpec
from tests.methods.tiny import NAMES, SIZE, tiny_decoder, tiny_linear
from tests.training.tiny import rows

COUNT, SHARD = 11, 4
DRAWN = {"kind": "train", "image_size": SIZE, "resize": "random_resized_crop", "scale": (0.3, 1.0), "hflip": True}
PARTS = (("dog", "ant"), ("bee", "cat", "eel"))


def images(seed: int = 0, given: Any = None, names: list[str] = NAMES, **changes: Any) -> MultiLabelDataset:
    transform = build_transform(TransformConfig(**(DRAWN | changes)))
    return MultiLabelDataset(given or rows(COUNT), LabelSpace(names), transform, seed=seed)


def cache(folder: Path, teacher: Any = None, data: MultiLabelDataset | None = None, **wishes: Any) -> CachedTeacher:
    teacher = tiny_decoder(3) if teacher is None else teacher
    options = {"views": 2, "dtype": "float32", "images_per_shard": SHARD, "batch_size": SHARD, "device": "cpu"}
    return compute_cache(teacher, data or images(), folder, **(options | wishes))


def batch(data: MultiLabelDataset, places: list[int], view: int) -> tuple[Tensor, dict[str, list]]:
    shown = [data.shown(place, view) for place in places]
    where = {"image_id": [one["image_id"] for one in shown], "view": [view] * len(places)}
    return collate(shown)["pixel_values"], where


def parts() -> PartTeachers:
    partitions, teachers = {}, {}
    for number, kind in enumerate(("cgp", "dgp")):
        partitions[kind] = Partition(kind, tuple(NAMES), PARTS, None, 0, "spectral", "test")
        teachers[kind] = [ModelTeacher(tiny_linear(number * 2 + i, list(part)), part) for i, part in enumerate(PARTS)]
    return PartTeachers(teachers, partitions, NAMES)


def test_a_model_answers_from_disk_as_it_does_itself(tmp_path: Path) -> None:
    model = tiny_decoder(3)
    own = cache(tmp_path, model, contents=["logits", "label_embeddings", "pooled"])
    assert own.provides == {"label_embeddings", "feature_map"}
    teacher = ModelTeacher(model, NAMES)
    asked = {"output_label_embeddings": True, "output_feature_map": True}
    for view in (0, 1):
        pixels, where = batch(images(), [10, 0, 7, 3], view)
        said, kept = teacher(pixels, own.pixels, **asked), own(pixels, own.pixels, **where, **asked)
        assert torch.equal(kept.logits, said.logits)
        assert torch.equal(kept.label_embeddings, said.label_embeddings)
        assert torch.equal(kept.feature_map.mean(dim=(2, 3)), said.feature_map.mean(dim=(2, 3)))
    assert own(pixels, own.pixels, **where).label_embeddings is None
    others = own(pixels, own.pixels, image_id=where["image_id"], view=[0] * 4).logits
    assert not torch.allclose(others, said.logits), "the two views are other pictures"


def test_class_maps_and_psds_parts(tmp_path: Path) -> None:
    model = tiny_linear(3)
    maps = cache(tmp_path / "maps", model, contents=["logits", "class_maps"])
    pixels, where = batch(images(), [1, 9], 1)
    said = ModelTeacher(model, NAMES)(pixels, maps.pixels, output_class_maps=True)
    assert torch.equal(maps(pixels, maps.pixels, **where, output_class_maps=True).class_maps, said.class_maps)
    teachers = parts()
    kept = cache(tmp_path / "parts", teachers)
    assert kept.kinds == ("cgp", "dgp")
    expected, found = teachers(pixels, kept.pixels), kept(pixels, kept.pixels, **where)
    assert all(torch.equal(found[kind], expected[kind]) for kind in ("cgp", "dgp"))


def test_labels_are_matched_by_name(tmp_path: Path) -> None:
    own = cache(tmp_path, contents=["logits", "label_embeddings"])
    turned = as_teacher(tmp_path, NAMES[::-1])
    assert isinstance(turned, CachedTeacher)
    pixels, where = batch(images(), [4, 5], 0)
    asked = {**where, "output_label_embeddings": True}
    straight, other = own(pixels, own.pixels, **asked), turned(pixels, own.pixels, **asked)
    assert torch.equal(other.logits, straight.logits.flip(1))
    assert torch.equal(other.label_embeddings, straight.label_embeddings.flip(1))
    with pytest.raises(ValueError, match=r"teacher cache has 5 labels and the data 5: it lacks \['fox'\]"):
        CachedTeacher(tmp_path, [*NAMES[:4], "fox"])


@pytest.mark.parametrize(("dtype", "tolerance"), [("float16", 2e-3), ("bfloat16", 2e-2), ("int8", 0.51)])
def test_fewer_bytes_come_back_to_their_rounding(tmp_path: Path, dtype: str, tolerance: float) -> None:
    logits = torch.randn(6, 40, generator=torch.Generator().manual_seed(0)) * 4
    manifest = Manifest({}, [f"label {i}" for i in range(40)], {"logits": [40]}, {"count": 6}, dtype=dtype)
    found = decode(encode({"logits": logits}, manifest), "logits", manifest)
    spread = logits.amax(1, True) - logits.amin(1, True)
    allowed = tolerance * (spread / 255 if dtype == "int8" else logits.abs())
    assert ((found - logits).abs() <= allowed + 1e-6).all()


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_the_largest_logits_and_one_number_for_the_rest(dtype: str) -> None:
    logits = torch.tensor([[5.0, -2.0, 1.0, -4.0], [-9.0, -8.0, -7.0, -6.0]])
    manifest = Manifest({}, list("abcd"), {"logits": [4]}, {"count": 2}, dtype=dtype, top_k=2)
    found = decode(encode({"logits": logits}, manifest), "logits", manifest)
    torch.testing.assert_close(found.gather(1, logits.topk(2).indices), logits.topk(2).values)
    assert found[0, 1] == found[0, 3]
    torch.testing.assert_close(found.double().sigmoid().sum(1), logits.double().sigmoid().sum(1), rtol=1e-5, atol=1e-6)


def test_numbers_that_do_not_fit_are_refused() -> None:
    manifest = Manifest({}, list("ab"), {"logits": [2]}, {"count": 1})
    with pytest.raises(ValueError, match=r"is 1e\+05, beyond the range of float16: keep bfloat16 or float32"):
        encode({"logits": torch.tensor([[1e5, 0.0]])}, manifest)
    with pytest.raises(ValueError, match="dtype int8 has no place for"):
        encode({"logits": torch.tensor([[float("nan"), 0.0]])}, Manifest({}, list("ab"), {}, {}, dtype="int8"))
    for wrong in ({"dtype": "float8"}, {"views": 0}, {"top_k": 2}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            Manifest({}, list("ab"), {"logits": [2]}, {"count": 1}, **wrong)


def test_a_killed_computation_is_taken_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = cache(tmp_path / "whole")
    written = []

    def dies(*args: Any) -> None:
        if len(written) == 2:
            (tmp_path / "cut" / "view_0000_images_000000008.safetensors.unfinished").write_bytes(b"half")
            raise KeyboardInterrupt
        written.append(args[2:4])
        write_shard(*args)

    monkeypatch.setattr("mlic_hf.methods.teacher_cache.fill.write_shard", dies)
    with pytest.raises(KeyboardInterrupt):
        cache(tmp_path / "cut")
    with pytest.raises(FileNotFoundError, match="is not finished: 4 of 6 shards are missing"):
        CachedTeacher(tmp_path / "cut", NAMES)
    monkeypatch.setattr("mlic_hf.methods.teacher_cache.fill.write_shard", write_shard)
    cache(tmp_path / "cut")
    names = sorted(path.name for path in (tmp_path / "whole").iterdir())
    assert sorted(path.name for path in (tmp_path / "cut").iterdir()) == names
    for place in whole.manifest.shards:
        one, other = (shards_module.read_shard(tmp_path / name, whole.manifest, *place) for name in ("cut", "whole"))
        assert one.keys() == other.keys()
        assert all(torch.equal(one[name], other[name]) for name in one)
    assert missing_shards(tmp_path / "cut", whole.manifest) == []


def test_a_full_disk_leaves_whole_shards_and_a_sentence(tmp_path: Path) -> None:
    own = cache(tmp_path)
    path = shard_file(tmp_path, 1, 0)
    tensors = shards_module.read_shard(tmp_path, own.manifest, 1, 0)
    before = {name: tensor.clone() for name, tensor in tensors.items()}
    path.unlink()
    os.symlink("/dev/full", f"{path}.unfinished")
    with pytest.raises(OSError, match=r"the disk is full. 5 of 6 shards are whole; make room and start the same"):
        write_shard(tmp_path, own.manifest, 1, 0, before)
    assert not path.exists()
    assert not os.path.lexists(f"{path}.unfinished")


def broken(folder: Path, what: str) -> None:
    path = shard_file(folder, 1, 4)
    content = bytearray(path.read_bytes())
    if what == "cut":
        path.write_bytes(content[:-7])
    elif what == "flipped":
        content[-3] ^= 1
        path.write_bytes(content)
    elif what == "empty":
        path.write_bytes(b"")
    elif what == "foreign":
        cache(folder / "other", tiny_decoder(4))
        path.write_bytes(shard_file(folder / "other", 1, 4).read_bytes())
    elif what == "neighbour":
        path.write_bytes(shard_file(folder, 0, 4).read_bytes())


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        ("cut", "view_0001_images_000000004.safetensors cannot be read"),
        ("empty", "cannot be read"),
        ("flipped", "The bytes of the shard .* are not those that were written"),
        ("foreign", "was written for another cache than that of its manifest"),
        ("neighbour", "is that of view 0 from image 4 on"),
    ],
)
def test_a_broken_shard_is_refused(tmp_path: Path, what: str, sentence: str) -> None:
    cache(tmp_path)
    broken(tmp_path, what)
    teacher = CachedTeacher(tmp_path, NAMES)
    pixels, where = batch(images(), [5], 1)
    with pytest.raises(ValueError, match=sentence):
        teacher(pixels, teacher.pixels, **where)
    with pytest.raises(ValueError, match="start `mlic cache` again"):
        teacher(pixels, teacher.pixels, **where)


def test_broken_manifests_are_refused(tmp_path: Path) -> None:
    cache(tmp_path)
    manifest, kept = tmp_path / "manifest.json", (tmp_path / "manifest.json").read_text()
    for change, sentence in (
        ({"format_version": 9}, "format_version 9; this version reads 1"),
        ({"format": "x"}, "is not that of a teacher cache"),
        ({"colour": 1}, "has other fields"),
        ({"images": {"count": 11, "hash": "0"}}, "images.json does not hold the images"),
    ):
        manifest.write_text(json.dumps(json.loads(kept) | change))
        with pytest.raises(ValueError, match=sentence):
            CachedTeacher(tmp_path, NAMES)
    manifest.write_text(kept[:-9])
    with pytest.raises(ValueError, match="cannot be read"):
        CachedTeacher(tmp_path, NAMES)
    manifest.unlink()
    with pytest.raises(FileNotFoundError, match=r"holds no manifest.json, so it is no teacher cache"):
        CachedTeacher(tmp_path, NAMES)


def test_a_folder_of_something_else_is_not_written_to(tmp_path: Path) -> None:
    cache(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    for changes, sentence in (
        ({"teacher": tiny_decoder(4), "name": "ours"}, "holds another teacher cache: the teacher"),
        ({"views": 3}, "the number of views"),
        ({"dtype": "float16"}, r'the number format \("float32", not "float16"\)'),
        ({"contents": ["logits", "pooled"]}, "what is kept"),
        ({"data": images(1)}, r"the seed of the draws \(0, not 1\)"),
        ({"data": images(hflip=False)}, r'the transform \({"hflip": true}, not {"hflip": false}\)'),
        ({"data": images(given=rows(12))}, r'the images \({"count": 11'),
        ({"data": images(names=NAMES[::-1]), "teacher": tiny_decoder(3, NAMES)}, "the labels"),
    ):
        with pytest.raises(ValueError, match=sentence):
            cache(tmp_path, **changes)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_student_shown_something_else_is_refused(tmp_path: Path) -> None:
    teacher = cache(tmp_path)
    source = PixelSpec(SIZE, (0.0,) * 3, (1.0,) * 3)
    assert teacher.taught(images(), source).repeats_after == 2
    with pytest.raises(ValueError, match="another transform: hflip was True and is False here"):
        teacher.taught(images(hflip=False), source)
    with pytest.raises(ValueError, match=r"draws from the seed 0, and here it is 5: set data_seed to 0"):
        teacher.taught(images(5), source)
    with pytest.raises(ValueError, match="lacks 1 of the 12 training images, among them 'image-0-11'"):
        teacher.taught(images(given=rows(12)), source)
    other = rows(COUNT)
    for row in other:
        row["image"] = Image.eval(row["image"], lambda level: 255 - level)
    with pytest.raises(ValueError, match=r"'image-0-0' looks different here"):
        teacher.taught(images(given=other), source)
    one = MultiLabelDataset(rows(COUNT), LabelSpace(NAMES), images().transform, views=2)
    with pytest.raises(ValueError, match="compares two views of an image"):
        teacher.taught(one, source)
    assert len(teacher.taught(images(given=rows(COUNT)[3:8]), source)) == 5, "some of the images are enough"


def test_another_normalisation_is_the_same_picture(tmp_path: Path) -> None:
    teacher = cache(tmp_path)
    mean, std = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)
    assert len(teacher.taught(images(mean=mean, std=std), PixelSpec(SIZE, mean, std))) == COUNT
    with pytest.raises(ValueError, match=r"are normalised with mean \(0.0, 0.0, 0.0\)"):
        teacher.taught(images(), PixelSpec(SIZE, mean, std))


def test_what_is_not_kept_cannot_be_asked_for(tmp_path: Path) -> None:
    teacher = cache(tmp_path)
    pixels, where = batch(images(), [0], 0)
    with pytest.raises(ValueError, match=r"asks the teacher for label_embeddings, but the cache .* holds logits"):
        teacher(pixels, teacher.pixels, **where, output_label_embeddings=True)
    with pytest.raises(ValueError, match="no `image_id`"):
        teacher(pixels, teacher.pixels, view=[0])
    with pytest.raises(ValueError, match=r"does not say which it shows \(`view`\)"):
        teacher(pixels, teacher.pixels, image_id=where["image_id"])
    with pytest.raises(ValueError, match="lacks the image 'other'"):
        teacher(pixels, teacher.pixels, image_id=["other"], view=[0])
    student = tiny_decoder()
    with pytest.raises(ValueError, match=r"need one embedding a label, but the teacher \(CachedTeacher\) has none"):
        l2d_objectives(L2DConfig(), student, teacher)
    with pytest.raises(ValueError, match="need the teacher's feature maps, but this one gives none"):
        l2d_objectives(L2DConfig(weight_review=1.0, weight_class_aware=0, weight_instance_aware=0), student, teacher)
    with pytest.raises(ValueError, match=r"psd.kinds names cgp, but the teacher answers for all labels"):
        psd_objectives(PSDConfig(), tiny_linear(), teacher)
    with pytest.raises(ValueError, match="L2D's teacher is one model of all labels"):
        l2d_objectives(L2DConfig(), student, cache(tmp_path / "parts", parts()))


def test_wishes_that_cannot_be_fulfilled(tmp_path: Path) -> None:
    for wish, sentence in (
        ({"contents": ["logits", "thoughts"]}, "contents names 'thoughts'"),
        ({"contents": ["logits", "class_maps"]}, "The teacher gives no class_maps: it gives logits, label_embeddings"),
        ({"data": images(kind="eval")}, "draws nothing, so all 2 views are the same"),
        ({"data": images(given=[*rows(3), *rows(1)])}, "1 image ids occur twice, among them 'image-0-0'"),
        ({"max_gb": 1e-7}, r"The logits alone take 4.4e-07 GB, more than max_gb 1e-07"),
    ):
        with pytest.raises(ValueError, match=sentence):
            cache(tmp_path, **wish)
    assert not (tmp_path / "manifest.json").exists()


def test_embeddings_are_dropped_before_logits(tmp_path: Path) -> None:
    everything = ["logits", "label_embeddings", "pooled"]
    large = cache(tmp_path / "large", contents=everything)
    assert large.manifest.dropped == []
    told = sizes(large.manifest)
    assert told["logits"] == COUNT * 2 * len(NAMES) * 4
    room = told["logits"] + told["pooled"]
    small = cache(tmp_path / "small", contents=everything, max_gb=room / 1e9)
    assert small.manifest.dropped == ["label_embeddings"]
    assert list(small.manifest.contents) == ["logits", "pooled"]
    pixels, where = batch(images(), [0], 0)
    with pytest.raises(ValueError, match=r"holds logits, pooled \(it was dropped for lack of room\)"):
        small(pixels, small.pixels, **where, output_label_embeddings=True)


def test_a_teacher_is_known_by_its_numbers(tmp_path: Path) -> None:
    model = tiny_decoder(3)
    before = teacher_hash(ModelTeacher(model, NAMES))
    model.save_pretrained(tmp_path)
    saved = as_teacher(str(tmp_path), NAMES)
    assert teacher_hash(saved) == before
    assert teacher_hash(ModelTeacher(tiny_decoder(4), NAMES)) != before
    assert teacher_hash(ModelTeacher(model, NAMES, half=True)) != before
    assert teacher_hash(parts()) == teacher_hash(parts())

    class Service:
        pixels = PixelSpec(SIZE, (0.0,) * 3, (1.0,) * 3)
        provides: frozenset[str] = frozenset()
        stage_channels = ()

        def __call__(self, pixel_values: Tensor, source: PixelSpec, **asked: Any) -> Any:
            return type("Said", (), {"logits": pixel_values.mean(dim=(2, 3))[:, [0, 1, 2, 0, 1]]})()

    service = Service()
    with pytest.raises(ValueError, match="Nothing says which teacher a Service is"):
        teacher_hash(service)
    service.fingerprint = "service 1.2"  # type: ignore[attr-defined]
    kept = cache(tmp_path / "service", service)
    pixels, where = batch(images(), [2, 8], 1)
    assert torch.equal(kept(pixels, kept.pixels, **where).logits, service(pixels, kept.pixels).logits)


def test_the_same_teacher_under_another_name_goes_on(tmp_path: Path) -> None:
    first = cache(tmp_path, name="ours")
    shard_file(tmp_path, 1, 0).unlink()
    assert cache(tmp_path, name="theirs").manifest == first.manifest


def test_the_mean_of_several_teachers(tmp_path: Path) -> None:
    models = [tiny_decoder(3), tiny_linear(4)]
    kept = cache(tmp_path, models)
    assert kept.manifest.teacher["name"] == "MeanTeacher"
    pixels, where = batch(images(), [0, 1, 2, 3], 0)
    mean = sum(ModelTeacher(model, NAMES)(pixels, kept.pixels).logits for model in models) / 2
    torch.testing.assert_close(kept(pixels, kept.pixels, **where).logits, mean, rtol=1e-5, atol=1e-6)
    known = [torch.tensor([True, False, True, False, False]), torch.tensor([True, True, False, False, False])]
    teachers = [ModelTeacher(model, NAMES) for model in models]
    for teacher, own in zip(teachers, known):
        teacher.answered = own  # type: ignore[attr-defined]
    both = MeanTeacher(teachers)
    assert both.answered.tolist() == [True, True, True, False, False]
    own = [teacher(pixels, kept.pixels).logits for teacher in teachers]
    expected = torch.stack([(own[0][:, 0] + own[1][:, 0]) / 2, own[1][:, 1], own[0][:, 2]], dim=1)
    torch.testing.assert_close(both(pixels, kept.pixels).logits[:, :3], expected)
    with pytest.raises(ValueError, match="gives logits alone, but output_class_maps"):
        both(pixels, kept.pixels, output_class_maps=True)
    with pytest.raises(ValueError, match="wants at least one"):
        MeanTeacher([parts()])
