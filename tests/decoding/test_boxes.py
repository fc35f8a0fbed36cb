"""Boxes: rounding as documented, pixels recognised, nothing made up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.decoding.boxes import read_box, read_box_px
from evalkit.decoding.codes import Unreadable
from evalkit.decoding.settings import DecodeSettings

DEFAULT = DecodeSettings()


@given(corners=st.tuples(*[st.integers(0, 999)] * 2), size=st.tuples(*[st.integers(200, 5000)] * 2))
def test_truncation_is_integer_arithmetic(corners, size):
    """int(v * size / 1000), for every value and size."""
    (y0, x0), (height, width) = corners, size
    try:
        box = read_box([y0, x0, 1000, 1000], height, width, DEFAULT)
    except Unreadable:
        assert y0 * height // 1000 == height or x0 * width // 1000 == width
        return
    assert box.visible_px_xyxy == (x0 * width // 1000, y0 * height // 1000, width, height)


@given(x0=st.integers(0, 1900), y0=st.integers(0, 1400))
def test_pixels_stay_what_they_are(x0, y0):
    """A box of whole pixels is not moved by a trip through 0..1000."""
    box = read_box([y0, x0, 1499, 1997], 1499, 1997, DEFAULT)
    assert (box.visible_px_xyxy, box.repairs) == ((x0, y0, 1997, 1499), ("pixel_box",))
    assert read_box_px([x0, y0, 1997, 1499], 1499, 1997).visible_px_xyxy == (x0, y0, 1997, 1499)


@pytest.mark.parametrize(
    ("value", "repairs", "box_px"),
    [
        ([100, 200, 500, 600], (), (128, 48, 384, 240)),
        ([100.9, 200.0, 500.0, 600.0], (), (128, 48, 384, 240)),
        ([500, 600, 100, 200], ("corners_sorted",), (128, 48, 384, 240)),
        ([-5, 0, 1010, 1000], ("box_clamped",), (0, 0, 640, 480)),
        ([100, 200, 1500, 1800], ("box_clamped",), (128, 48, 640, 480)),
        ({"ymin": 100, "xmin": 200, "ymax": 500, "xmax": 600}, ("alternate_key",), (128, 48, 384, 240)),
        (["100", "200", "500", "600"], ("quoted_number",), (128, 48, 384, 240)),
        ("[100, 200, 500, 600]", ("quoted_number",), (128, 48, 384, 240)),
    ],
)
def test_a_box_that_can_be_read_is_read(value, repairs, box_px):
    """On a 640 x 480 image, where pixels never exceed 1000."""
    box = read_box(value, 480, 640, DEFAULT)
    assert (box.repairs, box.visible_px_xyxy) == (repairs, box_px)


def test_pixels_in_x_first_order_are_turned_only_where_the_other_order_is_off_the_image():
    """1800 cannot be a row of a 1080-row image."""
    box = read_box([100, 200, 1800, 900], 1080, 1920, DEFAULT)
    assert (box.repairs, box.visible_px_xyxy) == (("order_swapped", "pixel_box"), (100, 200, 1800, 900))


@pytest.mark.parametrize(
    "value",
    [
        [], [1, 2, 3], [1, 2, 3, 4, 5], [1, 2, 3, None], [True, 0, 5, 5], "1,2,3", "here", {}, 7, [[1, 2, 3, 4]],
        [float("nan"), 0, 5, 5], [0, 0, float("inf"), 5], [10**30, 0, 5, 5], [5, 5, 5, 9], [0, 0, 9000, 9000],
        [1200, 1200, 1300, 1300], ["1" * 50, "2", "3", "4"],
    ],
)  # fmt: skip
def test_a_box_that_cannot_be_read_is_invalid(value):
    """Four finite numbers with an area on the image, or nothing."""
    with pytest.raises(Unreadable) as caught:
        read_box(value, 480, 640, DEFAULT)
    assert caught.value.code == "box_invalid"
