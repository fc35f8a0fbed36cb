"""Polygon filling as OpenCV does it: answers of OpenCV 5.0.0, and what must hold for any polygon."""

import json
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from support.random_search import draws

from evalkit.datasets.formats.fill_poly import fill_polygon
from evalkit.masks import rle_decode
from evalkit.types import Rle

ANSWERS = json.loads((Path(__file__).parent / "opencv_polygons.json").read_text())
"""60 random polygons, half of them partly outside the image, drawn by cv2.polylines and cv2.fillPoly."""


def test_equals_opencv_pixel_for_pixel():
    """Every stored answer of OpenCV is reproduced, inside and across the image's border."""
    for number, case in enumerate(ANSWERS):
        height, width = case["size"]
        mask = fill_polygon(np.array(case["points"]), height, width)
        assert np.array_equal(mask, rle_decode(Rle(height, width, case["counts"].encode()))), number
    assert len(ANSWERS) == 60


def test_one_point_and_a_line_are_drawn():
    """A polygon of one point is a pixel; of two points a line."""
    assert np.argwhere(fill_polygon(np.array([[3, 2]]), 5, 5)).tolist() == [[2, 3]]
    assert fill_polygon(np.array([[0, 0], [4, 4]]), 5, 5).sum() == 5


def test_a_rectangle_includes_its_border():
    """Corners (2, 1) and (5, 4) fill 4 x 4 pixels: OpenCV's polygons include their last row and column."""
    mask = fill_polygon(np.array([[2, 1], [5, 1], [5, 4], [2, 4]]), 8, 8)
    assert mask.sum() == 16
    assert mask[1:5, 2:6].all()


@draws(60)
@given(
    st.lists(st.tuples(st.integers(-30, 60), st.integers(-30, 60)), min_size=1, max_size=9),
    st.integers(1, 30),
    st.integers(1, 30),
)
def test_any_polygon_is_drawn_with_its_visible_corners(points, height, width):
    """No polygon fails, and every corner inside the image is part of it."""
    mask = fill_polygon(np.array(points), height, width)
    assert mask.shape == (height, width)
    assert all(mask[y, x] for x, y in points if 0 <= x < width and 0 <= y < height)
