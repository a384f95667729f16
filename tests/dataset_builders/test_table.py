from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from dataset_builders import load_splits, table
from tests.dataset_builders.trees import picture, write

datasets = pytest.importorskip("datasets")


def pictures(folder: Path, *names: str) -> Path:
    for name in names:
        picture(folder / name)
    return folder


def labels(place: Path, **options: Any) -> dict[str, list[tuple[str, tuple, tuple]]]:
    annotations = table.read_annotations(place, **options)
    return {
        split: [(record.image_id, record.labels, record.ignored) for record in records]
        for split, records in annotations.splits.items()
    }


TAGS = [("a.jpg", ("cat", "dog"), ()), ("sub/b.jpg", (), ()), ("c.jpg", ("sea",), ())]
TAG_TABLES = {
    "plain.csv": 'path,tags\na.jpg,"dog,cat"\nsub/b.jpg,\nc.jpg,sea\n',
    "bar.csv": "path,labels,width\na.jpg,cat|dog,24\nsub/b.jpg,,24\nc.jpg,sea,24\n",
    "json.csv": 'path,tags\na.jpg,"[""cat"", ""dog""]"\nsub/b.jpg,[]\nc.jpg,"[""sea""]"\n',
    "pandas.csv": "path,tags\na.jpg,\"['cat', 'dog']\"\nsub/b.jpg,[]\nc.jpg,['sea']\n",
    "one.tsv": "what\tpath\r\ndog;cat\ta.jpg\r\n\tsub/b.jpg\r\nsea\tc.jpg\r\n",
    "bom.csv": "\ufeffpath,tags\na.jpg,cat;dog\n\nsub/b.jpg,\nc.jpg, sea \n",
    "lines.jsonl": '{"path": "a.jpg", "tags": ["dog", "cat", "dog"]}\n{"path": "sub/b.jpg", "tags": []}\n'
    '{"path": "c.jpg", "tags": ["sea"]}\n',
}


@pytest.mark.parametrize("name", TAG_TABLES)
def test_tags_in_one_column(tmp_path: Path, name: str) -> None:
    assert labels(write(tmp_path / name, TAG_TABLES[name])) == {"train": TAGS}


def test_a_separator_of_ones_own(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "path,tags\na.jpg,traffic light / cat\nb.jpg,cat\n")
    assert labels(path, separator=" / ")["train"][0][1] == ("cat", "traffic light")
    with pytest.raises(ValueError, match=r"between the tags of 'tags' \('traffic light / cat' is one tag or sev"):
        labels(path)
    path = write(tmp_path / "t.csv", 'path,tags\na.jpg,"cat,dog"\nb.jpg,cat;dog\n')
    with pytest.raises(ValueError, match=r"',' and ';' occur\)\? Say it with separator"):
        labels(path)


FLAGS = [("a.jpg", ("sky",), ("dog",)), ("b.jpg", ("cat", "sky"), ()), ("c.jpg", (), ("cat", "dog", "sky"))]
FLAG_TABLES = {
    "flags.csv": "file,sky,cat,dog\na.jpg,1,0,-1\nb.jpg,1,1,0\nc.jpg,,,\n",
    "floats.csv": "file,sky,cat,dog\na.jpg,1.0,0.0,-1.0\nb.jpg,1.0,1.0,0.0\nc.jpg,,,\n",
    "words.tsv": "file\tsky\tcat\tdog\na.jpg\tTrue\tFalse\t\nb.jpg\tTrue\tTrue\tFalse\nc.jpg\t\t\t\n",
    "flags.jsonl": '{"file": "a.jpg", "sky": 1, "cat": 0, "dog": -1}\n'
    '{"file": "b.jpg", "sky": true, "cat": 1, "dog": false}\n'
    '{"file": "c.jpg", "sky": null, "cat": null, "dog": null}\n',
}


@pytest.mark.parametrize("name", FLAG_TABLES)
def test_one_column_a_label(tmp_path: Path, name: str) -> None:
    place = write(tmp_path / name, FLAG_TABLES[name])
    names = ["sky", "cat", "dog"]
    found = [(image, tuple(sorted(a)), tuple(sorted(b))) for image, a, b in labels(place)["train"]]
    assert found == FLAGS
    assert table.read_annotations(place).names == names  # the order of the columns
    assert table.read_annotations(place, label_columns=("dog", "sky")).names == ["dog", "sky"]


def test_parquet(tmp_path: Path) -> None:
    rows = {"file": ["a.jpg", "b.jpg"], "tags": [["cat"], []], "ignored": [[], ["cat"]], "split": ["train", "test"]}
    datasets.Dataset.from_dict(rows).to_parquet(tmp_path / "t.parquet")
    assert labels(tmp_path / "t.parquet") == {"train": [("a.jpg", ("cat",), ())], "test": [("b.jpg", (), ("cat",))]}
    flags = {"file": ["a.jpg", "b.jpg"], "x": [1.0, None], "y": [True, False]}
    datasets.Dataset.from_dict(flags).to_parquet(tmp_path / "f.parquet")
    assert labels(tmp_path / "f.parquet")["train"] == [("a.jpg", ("x", "y"), ()), ("b.jpg", (), ("x",))]
    photos = datasets.Dataset.from_dict({"photo": [b"x"], "tags": [["a"]]})
    photos.to_parquet(tmp_path / "p.parquet")
    with pytest.raises(ValueError, match=r"the column 'photo' holds bytes, and a table names its pictures by path"):
        labels(tmp_path / "p.parquet")
    write(tmp_path / "no.parquet", "rubbish")
    with pytest.raises(ValueError, match=r"no\.parquet cannot be read as Parquet"):
        labels(tmp_path / "no.parquet")


def test_a_damaged_parquet_is_one_sentence(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    path = tmp_path / "t.parquet"
    rows = pyarrow.table({"path": ["a.jpg", "b.jpg"], "tags": [["cat", "sofa"], ["dog"]]})
    parquet.write_table(rows, path, compression="none", use_dictionary=False, write_page_checksum=True)
    whole = path.read_bytes()
    said: list[str] = []
    for place in range(0, len(whole), 7):
        for damaged in (whole[:place], whole[:place] + bytes([whole[place] ^ 16]) + whole[place + 1 :]):
            path.write_bytes(damaged)
            try:
                labels(path)
            except ValueError as error:
                said.append(str(error))
    assert len(said) > 100
    assert all(str(path) in sentence and "\n" not in sentence for sentence in said)
    path.write_bytes(whole.replace(b"sofa", b"sofe"))
    with pytest.raises(ValueError, match=r"t\.parquet cannot be read as Parquet: .*CRC checksum verification failed"):
        labels(path)


def test_a_table_a_split(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", "file,x,y\na.jpg,1,0\n")
    write(tmp_path / "val.csv", "file,x,y\nb.jpg,0,1\n")
    assert labels(tmp_path) == {"train": [("a.jpg", ("x",), ())], "validation": [("b.jpg", ("y",), ())]}
    write(tmp_path / "val.csv", "file,y,x\nb.jpg,0,1\n")
    with pytest.raises(ValueError, match=r"val\.csv: its label columns differ from those of the other split"):
        labels(tmp_path)
    write(tmp_path / "validation.tsv", "file\tx\n")
    with pytest.raises(ValueError, match=r"are both tables of split 'validation'"):
        labels(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"t\.csv, line 1: no column names"),
        ("file,tags\n", r"t\.csv has no rows"),
        ("file,x,x\na.jpg,1,1\n", r"line 1: column 3 'x' occurs twice"),
        ("file,,x\na.jpg,1,1\n", r"line 1: column 2 is empty"),
        ("file,x\na.jpg,1\nb.jpg\n", r"line 3: 1 cells, but the header has 2 columns"),
        ('file,tags\na.jpg,"cat\n', r"line 2: not a valid row \(unexpected end"),
        ("file;x\na.jpg;1\n", r"no column holds them\).*delimiter. Columns: 'file;x'"),
        ("file,copy,x\na.jpg,b.jpg,1\n", r"'file', 'copy' all hold them"),
        ("file,x,y\na.jpg,1,1\nb.jpg,1,2\n", r"where are the labels\?.*line 3: 'y' holds '2'"),
        ("file,x\na.jpg,1\nb.jpg,2\n", r"where are the labels\?.*line 3: 'x' holds '2'"),
        ("file,tags\na.jpg,cat||dog\n", r"line 2, column 'tags': 'cat\|\|dog'; expected names"),
        ("file,tags\na.jpg,['cat'\n", r"begins like a list, but is none"),
        ('file,tags\na.jpg,"[1, 2]"\n', r"expected names of labels"),
        ("file,tags,split\na.jpg,cat,dev\n", r"line 2: unknown split 'dev'"),
        ("file,tags,ignored\na.jpg,cat,cat\n", r"'cat' is a label and in 'ignored'"),
        ("file,tags\na.jpg,cat\na.jpg,dog\n", r"line 3: a\.jpg was already given in .*line 2"),
        ("file,tags\n../a.jpg,cat\n", r"line 2: '../a.jpg' points outside"),
        ("file,tags\n/etc/a.jpg,cat\n", r"line 2: '/etc/a.jpg' is an absolute path"),
        ("file,tags\na.jpg,cat\n,dog\n", r"line 3: 'file' is ''; expected the path of a picture"),
        ("file,tags\na.jpg,\n", r"Not one row of .* has a label"),
    ],
)
def test_wrong_tables(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        labels(write(tmp_path / "t.csv", text))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('{"path": "b.jpg", "tags": ["x"], "split": ["train"], "image_id": 1}', r"unknown split \['train'\]"),
        ('{"path": "b.jpg", "tags": ["x"], "split": {}, "image_id": 1}', "unknown split {}"),
        ('{"path": "b.jpg", "tags": ["x"], "split": null, "image_id": [1]}', r"'image_id' is \[1\]; expected a text"),
        ('{"path": "b.jpg", "tags": ["x"], "split": null, "image_id": 1.0}', "'image_id' is 1.0; expected a text"),
        ('{"path": "b.jpg", "tags": ["x"], "tags": ["y"], "split": null}', "the key 'tags' occurs twice"),
        ('{"path": "b.jpg", "tags": NaN, "split": null}', "NaN is no number"),
        ('{"path": "b.jpg", "tags": ["\\ud800"], "split": null}', "half a character"),
        (
            '{"path": "b.jpg", "tags": "[\\"\\\\ud800\\"]", "split": null, "image_id": 1}',
            "begins like a list, but is none",
        ),
        ('{"path": "b.jpg", "split": null, "tags": ' + "[" * 200_000, "brackets are nested too deep"),
        ('{"path": "b.jpg", "split": null, "tags": ' + "9" * 5000 + "}", "not valid JSON, Exceeds the limit"),
        ('["path", "tags"]', "is no object; expected one with a key a column"),
    ],
)
def test_wrong_lines(tmp_path: Path, row: str, message: str) -> None:
    path = write(tmp_path / "t.jsonl", f'{{"path": "a.jpg", "tags": ["x"], "split": null, "image_id": null}}\n{row}\n')
    with pytest.raises(ValueError, match=rf"t\.jsonl, line 2(: |, ).*{message}"):
        labels(path)


def test_options_of_a_table_for_a_folder_name_the_folder(tmp_path: Path) -> None:
    (tmp_path / "t.csv").mkdir()
    with pytest.raises(ValueError, match=r"Unknown option 'image_column' of folder \(.*t\.csv\); expected one of"):
        load_splits(tmp_path / "t.csv", image_column="path")


def test_wrong_options(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "file,x,y\na.jpg,1,2\n")
    with pytest.raises(ValueError, match=r"label_columns names 'z', but the columns are 'file', 'x', 'y'"):
        labels(path, label_columns=("x", "z"))
    with pytest.raises(ValueError, match=r"line 2, column 'y': '2'; expected 1, 0, -1 or nothing"):
        labels(path, label_columns=("y",))
    with pytest.raises(ValueError, match="two forms of labels"):
        labels(path, label_columns=("y",), tags_column="x")
    with pytest.raises(ValueError, match=r"expected a list of texts"):
        labels(path, label_columns="y")
    with pytest.raises(ValueError, match=r"delimiter is 'ab'"):
        labels(path, delimiter="ab")
    with pytest.raises(ValueError, match=r"t\.xml is no table; expected a file that ends in \.csv"):
        labels(write(tmp_path / "t.xml", "x"))
    with pytest.raises(FileNotFoundError, match=r"is no table and has none; expected train\.csv"):
        labels(tmp_path / "nowhere")
    jsonl = write(tmp_path / "t.jsonl", '{"file": "a.jpg", "tags": []}\n{"file": "b.jpg"}\n')
    with pytest.raises(ValueError, match=r"line 2: no 'tags', which other rows have"):
        labels(jsonl)


def test_it_loads_like_every_data_set(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pictures(tmp_path / "photos", "a.jpg", "b.jpg", "c.jpg")
    path = write(
        tmp_path / "lists" / "t.csv", "file,sky,cat,split\na.jpg,1,-1,train\nb.jpg,0,1,train\nc.jpg,1,1,test\n"
    )
    with caplog.at_level(logging.WARNING):
        splits = load_splits(path, root=str(tmp_path / "photos"))
    assert "t.csv: paths from 'file', one label from each of 2 columns." in caplog.text
    assert {split: rows["image_id"][:] for split, rows in splits.items()} == {
        "train": ["a.jpg", "b.jpg"],
        "test": ["c.jpg"],
    }
    row = splits["train"][0]
    assert (row["labels"], row["ignored"], row["image"].size) == ([0], [1], (24, 16))
    with pytest.raises(FileNotFoundError, match=r"missing \(named by .*t\.csv, line 2"):
        load_splits(path)
    # a named data set and a folder of tables as well
    write(tmp_path / "photos" / "train.csv", "file,sky\na.jpg,1\nb.jpg,0\n")
    assert load_splits(tmp_path / "photos")["train"]["labels"][:] == [[0], []]
    assert load_splits("table", tmp_path / "photos", labels=["sky"])["train"]["image_id"][:] == ["a.jpg", "b.jpg"]
    # an edited table is read anew
    write(tmp_path / "photos" / "train.csv", "file,sky\na.jpg,1\nb.jpg,1\n")
    assert load_splits(tmp_path / "photos")["train"]["labels"][:] == [[0], [0]]


def test_it_says_what_metadata_jsonl_says(tmp_path: Path) -> None:
    rows = [{"file_name": f"{i}.png", "labels": ["a", "b"][: i % 3]} for i in range(5)]
    pictures(tmp_path, *(str(row["file_name"]) for row in rows))
    write(tmp_path / "metadata.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    same = write(tmp_path / "t.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    left, right = load_splits(tmp_path)["train"], load_splits(same)["train"]
    assert [{**row, "image": None} for row in left] == [{**row, "image": None} for row in right]


def test_what_nobody_listed_for_a_training_picture_may_be_unknown(tmp_path: Path) -> None:
    pictures(tmp_path, "a.jpg", "b.jpg", "c.jpg")
    path = write(tmp_path / "t.csv", "path,tags,split\na.jpg,cat|dog,train\nb.jpg,,train\nc.jpg,cat,test\n")
    splits = load_splits(path, unlisted="unknown", cache_dir=tmp_path / "cache")
    assert splits["train"]["ignored"] == [[], [0, 1]]
    assert splits["test"]["ignored"] == [[]]
    assert load_splits(path, cache_dir=tmp_path / "cache")["train"]["ignored"] == [[], []]
    flags = write(tmp_path / "flags.csv", "path,cat,dog\na.jpg,1,0\n")
    with pytest.raises(ValueError, match="unlisted is 'unknown', but its columns list every label; leave cells blank"):
        load_splits(flags, unlisted="unknown", cache_dir=tmp_path / "cache")
    with pytest.raises(ValueError, match="unlisted is 'no'; expected one of"):
        load_splits(path, unlisted="no", cache_dir=tmp_path / "cache")
