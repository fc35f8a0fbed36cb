"""Masks as models write them, read back by independent means."""

import base64
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as coco_mask
from support.random_search import draws

from evalkit.simulator import encoders


def ellipse(height, width, centre_y, centre_x, radius_y, radius_x):
    """Return a filled ellipse (bool, H x W)."""
    rows, columns = np.mgrid[:height, :width]
    return ((rows - centre_y) / radius_y) ** 2 + ((columns - centre_x) / radius_x) ** 2 <= 1


def iou(first, second):
    """Return intersection over union of two masks."""
    return np.logical_and(first, second).sum() / np.logical_or(first, second).sum()


def paste_reference(mask_text, box, height, width):
    """Decode one PNG item as Google's sample does: truncate the box, bilinear, above 127."""
    png = Image.open(io.BytesIO(base64.b64decode(mask_text.removeprefix("data:image/png;base64,"))))
    y0, x0, y1, x1 = (int(v * size / 1000) for v, size in zip(box, (height, width) * 2, strict=True))
    full = np.zeros((height, width), dtype=bool)
    resized = png.resize((x1 - x0, y1 - y0), Image.Resampling.BILINEAR)
    full[y0:y1, x0:x1] = np.asarray(resized) > 127
    return full


def fill_points(points, height, width):
    """Rasterise 0..1000 (x, y) points over the full image with pycocotools."""
    ring = [v for x, y in points for v in (x * width / 1000, y * height / 1000)]
    return coco_mask.decode(coco_mask.frPyObjects([ring], height, width))[..., 0].astype(bool)


MASKS = [
    ellipse(480, 640, 200, 300, 90, 150),
    ellipse(333, 517, 50, 60, 20, 13),
    ellipse(1200, 900, 700, 300, 400, 250),
    ellipse(90, 120, 89, 119, 30, 40),
]


@pytest.mark.parametrize("mask_hw", MASKS)
def test_png_masks_read_back_as_the_same_object(mask_hw):
    """The box holds the whole object and the map loses little of it at 256 x 256."""
    box = encoders.box_norm(mask_hw)
    back = paste_reference(encoders.png_data_url(mask_hw, box), box, *mask_hw.shape)
    assert iou(back, mask_hw) > 0.97


@pytest.mark.parametrize("mask_hw", MASKS)
def test_outlines_fill_to_the_same_object(mask_hw):
    """Contour, thinning and rounding to 0..1000 keep the shape."""
    points = encoders.outline(mask_hw)
    assert all(0 <= x <= 1000 and 0 <= y <= 1000 for x, y in points)
    assert iou(fill_points(points, *mask_hw.shape), mask_hw) > 0.95


@given(st.integers(1, 1500), st.integers(1, 1500), st.data())
@draws(60)
def test_boxes_contain_the_object_after_truncation(height, width, data):
    """Truncating the 0..1000 box to pixels never cuts the object, by at most two pixels' rounding more."""
    y0, y1 = sorted(data.draw(st.tuples(st.integers(0, height - 1), st.integers(0, height - 1))))
    x0, x1 = sorted(data.draw(st.tuples(st.integers(0, width - 1), st.integers(0, width - 1))))
    mask_hw = np.zeros((height, width), dtype=bool)
    mask_hw[y0 : y1 + 1, x0 : x1 + 1] = True
    top, left, bottom, right = encoders.box_norm(mask_hw)
    assert int(top * height / 1000) <= y0
    assert int(left * width / 1000) <= x0
    assert int(bottom * height / 1000) >= y1 + 1
    assert int(right * width / 1000) >= x1 + 1
    assert 0 <= top < bottom <= 1000
    assert 0 <= left < right <= 1000


def test_maps_are_grey_pngs_of_two_values_as_on_record():
    """8 bit, mode L, 256 x 256, values 0 and 255: the prefix of all public PNG answers."""
    text = encoders.png_data_url(MASKS[0], encoders.box_norm(MASKS[0]))
    assert text.startswith("data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAQAAAAEACAAAAAB5Gfe6AAA")
    image = Image.open(io.BytesIO(base64.b64decode(text.partition(",")[2])))
    assert (image.mode, image.size) == ("L", (256, 256))
    assert set(np.unique(np.asarray(image))) == {0, 255}


def test_point_spellings_are_the_same_polygon():
    """Every spelling of three points, by hand."""
    points = [(1, 2), (3, 4), (5, 6)]
    assert encoders.pairs_xy(points) == [[1, 2], [3, 4], [5, 6]]
    assert encoders.pairs_yx(points) == [[2, 1], [4, 3], [6, 5]]
    assert encoders.flat_yx(points) == [2, 1, 4, 3, 6, 5]
    assert encoders.chunked_yx(points) == [[2, 1, 4, 3], [6, 5]]
    assert encoders.string_yx(points) == "2,1,4,3,6,5"
    assert encoders.points_xy(points) == [{"x": 1, "y": 2}, {"x": 3, "y": 4}, {"x": 5, "y": 6}]


def test_leaked_tokens_have_the_recorded_shape():
    """Sixteen codes below 128."""
    text = encoders.mask_tokens(np.random.default_rng(0))
    codes = [
        int(code) for code in text.removeprefix("<start_of_mask><seg_").removesuffix(">").split("><seg_")
    ]
    assert len(codes) == 16
    assert all(0 <= code < 128 for code in codes)


def test_sub_boxes_cover_the_object():
    """The bands together hold every pixel of the object."""
    mask_hw = MASKS[0]
    covered = np.zeros_like(mask_hw)
    for y0, x0, y1, x1 in encoders.sub_boxes(mask_hw):
        covered[y0 * 480 // 1000 : y1 * 480 // 1000, x0 * 640 // 1000 : x1 * 640 // 1000] = True
    assert not (mask_hw & ~covered).any()


def test_nothing_has_no_outline_and_no_box():
    """An empty mask is not made into a shape."""
    nothing = np.zeros((20, 30), dtype=bool)
    assert encoders.box_norm(nothing) is None
    assert encoders.outline(nothing) == []
    assert encoders.sub_boxes(nothing) == []
