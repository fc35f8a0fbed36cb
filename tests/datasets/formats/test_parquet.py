"""Hugging Face parquet forms: text annotations, nested masks, repeated ids, missing parts, unknown columns."""

import io
import json
import re

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet

from evalkit.errors import ConfigError, DataError
from evalkit.masks import truth_mask


def jpeg(width=60, height=40):
    """Return a plain JPEG's bytes."""
    stream = io.BytesIO()
    Image.new("RGB", (width, height)).save(stream, "JPEG")
    return stream.getvalue()


def write(path, rows):
    """Write rows as a parquet file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pa.Table.from_pylist(rows), path)


def nested_row(mask, **more):
    """Return a row of Ricky06662's form."""
    height, width = mask.shape
    base = {"image": {"bytes": jpeg(), "path": "x"}, "text": "dog", "mask": mask.tolist()}
    return base | {"image_id": "7", "ann_id": "2", "img_height": height, "img_width": width} | more


def test_raw_anns_need_no_photographs(load, make, tmp_path):
    """jxu124/refcoco keeps COCO's annotation as JSON text; polygons keep their parts."""
    annotation = {"id": 1, "image_id": 7, "bbox": [10, 10, 15, 15]}
    annotation["segmentation"] = [make.square, [value + 5 for value in make.square]]
    row = {
        "ref_id": 3,
        "sent_ids": [30, 31],
        "sentences": [{"sent_id": 30, "sent": "red dog"}, {"sent_id": 31, "sent": "dog"}],
        "raw_anns": json.dumps(annotation),
        "raw_image_info": json.dumps({"height": 40, "width": 60, "file_name": "a.jpg"}),
        "image_path": "train2014/a.jpg",
    }
    write(tmp_path / "val-00000-of-00001.parquet", [row])
    first, second = load("parquet", path="val-00000-of-00001.parquet", images="coco")
    assert (first.sample_id, second.expression, first.split) == ("3:30", "dog", "val")
    assert first.image.path == str(tmp_path / "coco/train2014/a.jpg")
    assert truth_mask(first.truth).sum() == 175


def test_ref_list_rows_are_photographs(load, make, tmp_path):
    """jxu124/refcoco-benchmark: one row holds the refs of a photograph."""
    info = {"ref_id": 3, "sentences": [{"sent_id": 1, "sent": "a"}, {"sent_id": 2, "sent": "b"}]}
    annotation = {"image_id": 7, "bbox": [10.0, 10.0, 10.0, 10.0], "segmentation": [make.square]}
    row = {
        "ref_list": [{"ann_info": annotation, "ref_info": info}],
        "image_info": {"height": 40, "width": 60, "file_name": "a.jpg"},
        "image": {"bytes": jpeg(), "path": None},
    }
    write(tmp_path / "a.parquet", [row])
    samples = load("parquet", path="a.parquet")
    assert [sample.sample_id for sample in samples] == ["3:1", "3:2"]
    assert samples[0].image.inline == jpeg()


def test_repeated_ids_are_numbered(load, tmp_path):
    """Forms with one text a row repeat the object's id: the second becomes #2, whatever its text."""
    mask = np.eye(40, 60, dtype=bool)
    write(
        tmp_path / "a.parquet",
        [nested_row(mask), nested_row(mask, text="the dog"), nested_row(mask, ann_id="3")],
    )
    samples = load("parquet", path="a.parquet")
    assert [sample.sample_id for sample in samples] == ["7:2", "7:2#2", "7:3"]
    assert np.array_equal(truth_mask(samples[0].truth), mask)


def test_a_nested_mask_of_another_size_is_refused(load, tmp_path):
    """img_height and img_width must be those of the mask."""
    write(tmp_path / "a.parquet", [nested_row(np.eye(40, 60, dtype=bool), img_width=61)])
    with pytest.raises(DataError, match=r"a\.parquet: row 0: the mask holds 40 rows and 2400 pixels"):
        load("parquet", path="a.parquet")


@pytest.mark.parametrize(("mode", "expected"), [("RGBA", 6), ("LA", 6), ("L", 35), ("RGB", 35)])
def test_mask_images_use_alpha_where_there_is_one(mode, expected, load, tmp_path):
    """ConverSeg's Hugging Face mode: alpha if present, else grey, above 0."""
    grey, alpha = np.zeros((40, 60), np.uint8), np.zeros((40, 60), np.uint8)
    grey[5:12, 5:10], alpha[0:2, 0:3] = 200, 255
    bands = {"RGBA": [grey, grey, grey, alpha], "LA": [grey, alpha], "L": [grey], "RGB": [grey, grey, grey]}[
        mode
    ]
    image = Image.merge(mode, [Image.fromarray(band) for band in bands])
    stream = io.BytesIO()
    image.save(stream, "PNG")
    row = {"id": "a", "prompt": "x", "concept": "c", "mask": {"bytes": stream.getvalue(), "path": None}}
    write(tmp_path / "a.parquet", [row | {"image": {"bytes": jpeg(), "path": "a.jpg"}}])
    (sample,) = load("parquet", path="a.parquet")
    assert truth_mask(sample.truth).sum() == expected
    write(tmp_path / "a.parquet", [row | {"image": {"bytes": jpeg(61), "path": "a.jpg"}}])
    (other_size,) = load("parquet", path="a.parquet")
    assert re.search("the mask is 60x40 .* image is 61x40", other_size.truth.fault)
    row["mask"]["bytes"] = row["mask"]["bytes"][:40]
    write(tmp_path / "a.parquet", [row | {"image": {"bytes": jpeg(), "path": "a.jpg"}}])
    assert "row 0, mask" in load("parquet", path="a.parquet")[0].truth.fault


def test_files_splits_and_parts(load, tmp_path):
    """The split is the name before the dash; a missing part of several is half a download."""
    mask = np.eye(40, 60, dtype=bool)
    write(tmp_path / "data/val-00000-of-00002.parquet", [nested_row(mask)])
    with pytest.raises(DataError, match="1 of 2 parquet parts"):
        load("parquet", root=".")
    write(tmp_path / "data/val-00001-of-00002.parquet", [nested_row(mask, ann_id="9")])
    assert len(load("parquet", root=".", split="val")) == 2
    with pytest.raises(ConfigError, match=r"split 'test' is not in .*val \(2\)"):
        load("parquet", root=".", split="test")
    with pytest.raises(DataError, match=r"looked for \*\.parquet in .*there is no folder"):
        load("parquet", root="nowhere")


def test_unknown_columns_and_damaged_files(load, tmp_path):
    """The message lists the columns found and the known forms; a truncated file says so."""
    write(tmp_path / "a.parquet", [{"a": 1}])
    with pytest.raises(DataError, match="columns a are of no known form.*moondream"):
        load("parquet", path="a.parquet")
    whole = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "a.parquet").write_bytes(whole[:-20])
    with pytest.raises(DataError, match="no complete parquet file"):
        load("parquet", path="a.parquet")
    with pytest.raises(DataError, match="does not exist"):
        load("parquet", path="b.parquet")
