"""Masks against pycocotools and naive loops: run lengths, polygons, crops, counts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from pycocotools import mask as coco_mask
from support.random_search import draws

from evalkit.errors import DataError
from evalkit.mask_pictures import read_mask_picture
from evalkit.masks import (
    area,
    box_of,
    crop_of,
    crop_union,
    full_mask,
    intersection_with,
    polygons_to_mask,
    region_mask,
    region_rle,
    rle_crop,
    rle_decode,
    rle_encode,
    rle_from_counts,
    rle_runs,
    truth_mask,
)
from evalkit.types import GroundTruth, MaskFile, Polygons, Rle

masks = hnp.arrays(bool, st.tuples(st.integers(1, 40), st.integers(1, 40)))


@st.composite
def two_masks(draw):
    shape = draw(st.tuples(st.integers(1, 20), st.integers(1, 20)))
    return draw(hnp.arrays(bool, shape)), draw(hnp.arrays(bool, shape))


@given(mask=masks)
def test_run_lengths_are_those_of_pycocotools(mask):
    """Encoding gives the reference's bytes, decoding the reference's pixels."""
    reference = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
    encoded = rle_encode(mask)
    assert encoded.counts == reference["counts"]
    assert np.array_equal(rle_decode(encoded), coco_mask.decode(reference).astype(bool))
    assert np.array_equal(full_mask(rle_crop(encoded)), mask)


@draws(20)
@given(x=st.integers(0, 1999), y=st.integers(0, 1499), width=st.integers(1, 900), height=st.integers(1, 900))
def test_large_images_decode_to_the_right_place(x, y, width, height):
    """Runs longer than one group of 5 bits come back, on an image of 3 megapixels."""
    mask = np.zeros((1500, 2000), dtype=bool)
    mask[y : y + height, x : x + width] = True
    crop = rle_crop(rle_encode(mask))
    assert (crop.x0_px, crop.y0_px) == (x, y)
    assert crop.crop_hw.all()
    assert area(crop) == mask.sum()


@given(mask=masks)
def test_a_crop_of_run_lengths_is_the_tight_crop_of_the_pixels(mask):
    """Only rows and columns that hold foreground are unpacked, runs over several columns among them."""
    for whole in (mask, np.pad(mask, ((3, 2), (1, 4)))):
        found, wanted = rle_crop(rle_encode(whole)), crop_of(whole)
        assert np.array_equal(found.crop_hw, wanted.crop_hw)
        if whole.any():
            assert (found.x0_px, found.y0_px) == (wanted.x0_px, wanted.y0_px)


@draws(200)
@given(runs=st.lists(st.integers(0, 12), min_size=1, max_size=12), height=st.integers(1, 9))
def test_runs_without_pixels_change_no_crop(runs, height):
    """Run lengths of 0 (two runs of one value in a row) crop to the same pixels as in pycocotools."""
    width = -(-sum(runs) // height) or 1
    runs.append(height * width - sum(runs))
    counts = coco_mask.frPyObjects({"size": [height, width], "counts": runs}, height, width)["counts"]
    wanted = crop_of(coco_mask.decode({"size": [height, width], "counts": counts}).astype(bool))
    found = rle_crop(Rle(height, width, counts))
    assert np.array_equal(found.crop_hw, wanted.crop_hw)
    assert not wanted.crop_hw.size or (found.x0_px, found.y0_px) == (wanted.x0_px, wanted.y0_px)


@given(mask=masks)
def test_uncompressed_counts_give_the_same_mask(mask):
    """A list of integers and the compressed text are one mask."""
    encoded = rle_encode(mask)
    counts = [int(run) for run in rle_runs(encoded)]
    assert rle_from_counts(counts, *mask.shape).counts == encoded.counts


@pytest.mark.parametrize(
    "counts", [b"", b"~~~", b"0", b"PPPP", b"o" * 40, "é".encode(), b"\x00\x01", b"11111111"]
)
def test_damaged_run_lengths_are_data_errors(counts):
    """No crash in C code, no mask out of nowhere."""
    with pytest.raises(DataError, match="run lengths"):
        rle_decode(Rle(4, 5, counts))


@draws(300)
@given(counts=st.binary(max_size=40), height=st.integers(1, 30), width=st.integers(1, 30))
def test_any_bytes_are_a_mask_or_a_data_error(counts, height, width):
    """Whatever stands in `counts`, the answer is a mask of the right size or a typed error."""
    try:
        mask = rle_decode(Rle(height, width, counts))
    except DataError:
        return
    assert mask.shape == (height, width)
    assert np.array_equal(mask, coco_mask.decode({"size": [height, width], "counts": counts}).astype(bool))


@given(pair=two_masks())
def test_counts_in_crops_equal_counts_on_full_images(pair):
    """Area, intersection and union by crops are those of a plain loop over pixels."""
    first, second = pair
    crop = crop_of(first)
    assert area(crop) == sum(bool(v) for v in first.ravel())
    assert intersection_with(crop, second) == sum(
        bool(a and b) for a, b in zip(first.ravel(), second.ravel(), strict=True)
    )
    assert np.array_equal(full_mask(crop_union([crop, crop_of(second)])), first | second)


@given(mask=masks)
def test_the_box_is_tight_and_half_open(mask):
    """Every foreground pixel lies in the box, and each side touches one."""
    box = box_of(mask)
    if box is None:
        assert not mask.any()
        return
    x0, y0, x1, y1 = box
    assert mask[y0:y1, x0:x1].sum() == mask.sum()
    assert mask[y0].any()
    assert mask[y1 - 1].any()
    assert mask[:, x0].any()
    assert mask[:, x1 - 1].any()


@given(
    rings=st.lists(st.lists(st.floats(-5, 50), min_size=2, max_size=14), max_size=3),
    height=st.integers(1, 40),
    width=st.integers(1, 40),
)
def test_polygons_become_the_run_lengths_of_their_pixels(rings, height, width):
    """To the byte, without drawing them: what a run stores of a sample does not depend on the way."""
    polygons = Polygons(tuple(tuple(ring) for ring in rings))
    drawn = [ring for ring in rings if len(ring) >= 6 and len(ring) % 2 == 0]
    pixels = np.zeros((height, width), dtype=bool)
    for coded in coco_mask.frPyObjects(drawn, height, width) if drawn else ():
        pixels |= coco_mask.decode(coded).astype(bool)
    assert region_rle(polygons, height, width) == rle_encode(pixels)
    assert np.array_equal(region_mask(polygons, height, width), pixels)


def test_overlapping_rings_are_clipped_to_one():
    """The union of two overlapping polygons is a mask, not a sum."""
    square = (1.0, 1.0, 6.0, 1.0, 6.0, 6.0, 1.0, 6.0)
    shifted = tuple(value + 2 for value in square)
    both = polygons_to_mask([square, shifted], 12, 12)
    assert both.dtype == bool
    assert np.array_equal(both, polygons_to_mask([square], 12, 12) | polygons_to_mask([shifted], 12, 12))


def test_rings_that_are_no_polygon_are_left_out():
    """Two points or an odd count of numbers draw nothing."""
    assert not polygons_to_mask([(1, 1, 5, 5), (1, 1, 5, 5, 2, 2, 7)], 8, 8).any()


def test_a_region_of_another_size_is_a_data_error():
    """A mask never silently stretches to its image."""
    with pytest.raises(DataError, match="is 3x2 pixels .* but its image is 4x2"):
        region_mask(rle_encode(np.ones((2, 3), dtype=bool)), 2, 4)


def test_the_truth_is_the_union_of_its_instances():
    """Several target objects make one target."""
    truth = GroundTruth(9, 9, (Polygons(((0, 0, 4, 0, 4, 4, 0, 4),)), Polygons(((5, 5, 9, 5, 9, 9, 5, 9),))))
    parts = [region_mask(region, 9, 9) for region in truth.instances]
    assert np.array_equal(truth_mask(truth), parts[0] | parts[1])
    assert not truth_mask(GroundTruth(9, 9)).any()


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "I;16"])
def test_mask_files_of_any_mode_are_read(tmp_path, mode):
    """Non-zero is foreground, whatever the bit depth."""
    values = np.zeros((4, 5), dtype=np.uint8)
    values[1:3, 2:4] = 200
    image = (
        Image.fromarray(values.astype(np.uint16) * 200)
        if mode == "I;16"
        else Image.fromarray(values).convert(mode)
    )
    image.save(tmp_path / "m.png")
    assert np.array_equal(read_mask_picture(MaskFile(str(tmp_path / "m.png"))), values > 0)


def test_the_alpha_channel_can_be_the_mask(tmp_path):
    """Hugging Face copies keep the mask in alpha over a black picture."""
    values = np.zeros((4, 5, 4), dtype=np.uint8)
    values[1, 2, 3] = 255
    Image.fromarray(values, "RGBA").save(tmp_path / "m.png")
    assert read_mask_picture(MaskFile(str(tmp_path / "m.png"), "alpha")).sum() == 1
    assert read_mask_picture(MaskFile(str(tmp_path / "m.png"), "nonzero")).sum() == 0


def test_a_missing_or_damaged_mask_file_is_a_data_error(tmp_path):
    """The file is named."""
    with pytest.raises(DataError, match="does not exist"):
        read_mask_picture(MaskFile(str(tmp_path / "none.png")))
    (tmp_path / "bad.png").write_bytes(b"\x89PNG nonsense")
    with pytest.raises(DataError, match="cannot be read"):
        read_mask_picture(MaskFile(str(tmp_path / "bad.png")))
