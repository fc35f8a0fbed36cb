"""Every layout of the field, filled with real triples: ids, text, splits and masks, pixel for pixel."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from evalkit.errors import DataError
from evalkit.masks import region_mask, truth_mask


def source_masks(refcocos):
    """Return the mask of each triple by expression, read from its PNG by Pillow alone."""
    masks = {}
    for row in json.loads((refcocos / "triples.json").read_text()):
        empty = np.zeros((row["height"], row["width"]), dtype=bool)
        mask = np.asarray(Image.open(refcocos / row["mask"])) > 0 if row["mask"] else empty
        masks[row["expression"].lower()] = mask
    return masks


LAYOUTS = {
    "refcoco": ({"root": "."}, 12),
    "refcoco+": ({"root": "."}, 12),
    "refcocog": ({"root": "."}, 12),
    "refclef": ({"root": "."}, 12),
    "grefcoco": ({"root": "."}, 17),
    "refzom": ({"root": "."}, 17),
    "phrasecut": ({"root": ".", "split": "miniv"}, 12),
    "saco": ({"root": "saco_gold"}, 17),
    "converseg": ({"root": "converseg", "split": "human_annotated"}, 12),
    "muse": ({"root": "muse"}, 12),
    "mmr": ({"root": "."}, 12),
    "refcocom": ({"root": "."}, 12),
    "gseval": ({"root": "gseval"}, 12),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_masks_are_pixel_equal_to_the_source(layout, fixtures, refcocos, load):
    """Each layout gives back exactly the mask that it was written from, and all of them."""
    settings, expected = LAYOUTS[layout]
    settings = {"split": "all"} | settings | {"root": str(fixtures / settings["root"])}
    masks = source_masks(refcocos)
    compared = 0
    for sample in load(layout, **settings):
        source = masks.get(sample.expression.lower())
        if source is not None:
            assert np.array_equal(truth_mask(sample.truth), source), sample.sample_id
            compared += 1
    assert compared == expected


@pytest.mark.parametrize(
    ("repository", "rows"),
    [("Ricky06662_ReasonSeg_val", 12), ("aadarsh99_ConverSeg", 12), ("moondream_refcoco-m", 12)],
)
def test_parquet_forms_are_pixel_equal_to_the_source(repository, rows, fixtures, refcocos, load):
    """Nested bool masks, mask images with an alpha channel and run lengths in parquet give the source mask."""
    masks = source_masks(refcocos)
    samples = load("parquet", root=str(fixtures / "hf" / repository), split="all")
    assert len(samples) == rows
    for sample in samples:
        expression = sample.expression.lower()
        assert np.array_equal(truth_mask(sample.truth), masks[expression]), sample.sample_id
        assert sample.image.inline is not None
        assert len(sample.image.inline) > 1000


def test_parquet_holds_each_photograph_once(fixtures, load):
    """Two objects of one photograph share its bytes."""
    samples = load("parquet", root=str(fixtures / "hf" / "moondream_refcoco-m"), split="all")
    digests = {sample.image.inline for sample in samples}
    assert len({id(sample.image.inline) for sample in samples}) == len(digests) == 11


@pytest.mark.parametrize(
    ("layout", "split", "expected"),
    [
        ("refcoco", "train", 3),
        ("refcoco", "testA", 3),
        ("refcocog", "test", 4),
        ("refclef", "testA", 3),
        ("refclef", "testB", 4),
        ("refclef", "testC", 3),
        ("refclef", "test", 8),
        ("grefcoco", "val", 33),
        ("grefcoco", "testB", 4),
    ],
)
def test_splits_hold_what_refer_would_keep(layout, split, expected, fixtures, load):
    """Split testA keeps testAB too, test keeps every test split, as refer's getRefIds does."""
    assert len(load(layout, root=str(fixtures), split=split)) == expected


def test_grefcoco_has_none_one_and_many_targets(fixtures, load):
    """The target counts of the fixture: 12 single, 5 none, 29 multi."""
    samples = load("grefcoco", root=str(fixtures), split="all")
    counts = [sample.tags["targets"] for sample in samples]
    assert (counts.count("one") + counts.count("many"), counts.count("none")) == (41, 5)
    assert [sample.truth.no_target for sample in samples] == [count == "none" for count in counts]
    assert all(len(s.truth.instances) > 1 for s in samples if s.tags["targets"] == "many")


def test_reasonseg_areas_are_those_of_the_authors_code(fixtures, load):
    """Target and ignore areas equal what LISA's own reader gave, on all twelve files."""
    expected = json.loads((fixtures / "expected.json").read_text())["reason_seg"]
    samples = load("reasonseg", root=str(fixtures), split="all")
    assert len(samples) == len(expected)
    for sample in samples:
        record = expected[f"{sample.split}/{sample.image_id}"]
        ignore = sample.truth.ignore
        height, width = sample.truth.height_px, sample.truth.width_px
        ignored_px = int(region_mask(ignore, height, width).sum()) if ignore else 0
        assert (int(truth_mask(sample.truth).sum()), ignored_px) == (record["target_px"], record["ignore_px"])


def test_saco_keeps_three_annotators_and_pixel_boxes(fixtures, load):
    """Annotators b (eroded) and c (dilated) are alternatives; boxes come out in pixels."""
    samples = load("saco", root=str(fixtures / "saco_gold"))
    positive = [sample for sample in samples if not sample.truth.no_target]
    assert (len(samples), len(positive)) == (17, 12)
    for sample in positive:
        areas = [int(truth_mask(truth).sum()) for truth in (sample.truth, *sample.truth.alternatives)]
        assert areas[1] < areas[0] < areas[2]
        x0, y0, x1, y1 = sample.truth.box_px_xyxy
        rows, columns = np.nonzero(truth_mask(sample.truth))
        assert (x0, y0, x1, y1) == pytest.approx(
            (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1), abs=1.5
        )
    everyone = [truth.exhaustive for s in samples for truth in (s.truth, *s.truth.alternatives)]
    assert everyone.count(False) >= 1


def test_photographs_are_found_where_the_layout_has_them(fixtures, load):
    """The image is the one of instances.json, not the ref's own file name, and it exists."""
    for layout in ("refcoco", "refclef", "grefcoco", "refzom", "reasonseg", "phrasecut", "refcocom"):
        for sample in load(layout, root=str(fixtures), split="all"):
            assert Path(sample.image.path).is_file(), sample.image.path


def test_lmms_lab_polygons_are_refused_then_marked(fixtures, load):
    """The flat polygon column is refused with the way out, or tagged unreliable where it is asked for."""
    root = str(fixtures / "hf" / "lmms-lab_RefCOCO")
    with pytest.raises(DataError, match="flat_polygons"):
        load("parquet", root=root, split="all")
    samples = load("parquet", root=root, split="all", options={"flat_polygons": "accept"})
    assert {sample.tags["ground_truth"] for sample in samples} == {"unreliable"}
    assert len(samples) == 12
