"""Boxes: rounding as documented, pixels recognised, nothing made up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.decoding import decode_answer
from evalkit.decoding.boxes import Frame, ItemBox, raw_box, read_box_px
from evalkit.decoding.boxes import read_box as read_raw_box
from evalkit.decoding.codes import Unreadable
from evalkit.decoding.settings import DecodeSettings
from evalkit.types import AskedFormat

DEFAULT = DecodeSettings()


def read_box(
    value, height, width, settings, *, order="yxyx", unit="norm1000", key="box_2d", sent=None
) -> ItemBox:
    """Return the box under a key of an image that was sent as large as it is, or in another (width, height)."""
    sent_width, sent_height = sent or (width, height)
    frame = Frame(height, width, sent_height, sent_width, settings)
    return read_raw_box(raw_box(value, key, "box_2d", order, unit), frame)


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
        (["100", "200", "500\x1e", "600"], ("quoted_number",), (128, 48, 384, 240)),
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


ORDERS = {
    "yxyx": [96, 64, 384, 320],
    "xyxy": [64, 96, 320, 384],
    "xywh": [64, 96, 256, 288],
    "cxcywh": [192, 240, 256, 288],
}
"""One box of 640 x 480 in pixels, x 64..320 and y 96..384, in every order."""


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("unit", ["norm1000", "norm1", "pixel"])
def test_every_order_and_unit_gives_the_same_box(order, unit):
    """What the prompt states is what is read, without a repair."""
    across, down = {"norm1000": (1000 / 640, 1000 / 480), "norm1": (1 / 640, 1 / 480), "pixel": (1, 1)}[unit]
    scales = (down, across, down, across) if order == "yxyx" else (across, down, across, down)
    numbers = [number * scale for number, scale in zip(ORDERS[order], scales, strict=True)]
    box = read_box(numbers, 480, 640, DecodeSettings(box_rounding="round"), order=order, unit=unit)
    assert (box.visible_px_xyxy, box.repairs) == ((64, 96, 320, 384), ())


def test_pixels_are_those_of_the_image_as_sent():
    """A photograph of 4000 x 3000 that is sent at 1000 x 750: every pixel of the answer is four."""
    box = read_box([100, 150, 500, 600], 3000, 4000, DEFAULT, order="xyxy", unit="pixel", sent=(1000, 750))
    assert box.visible_px_xyxy == (400, 600, 2000, 2400)


@pytest.mark.parametrize("size", [(480, 640), (1500, 2000), (3000, 4000), (90, 120)])
@pytest.mark.parametrize("unit", ["norm1000", "pixel"])
def test_fractions_of_at_most_one_are_unit_coordinates_at_every_size(size, unit):
    """Thousandths or pixels of that size are a speck nobody means; without fractions nothing is told."""
    box = read_box([0.1, 0.2, 0.5, 0.6], *size, DEFAULT, unit=unit)
    assert box.repairs == ("unit_coordinates",)
    assert box.norm_yxyx == pytest.approx((100, 200, 500, 600))
    with pytest.raises(Unreadable):
        read_box([0, 0, 1, 1], *size, DEFAULT, unit=unit)


@pytest.mark.parametrize(
    ("value", "order", "unit"),
    [
        ([100, 200, 500, 600], "yxyx", "norm1"),
        ([100, 600, 300, 900], "xyxy", "pixel"),
        ([9, 9, -5, 3], "xywh", "pixel"),
    ],
)
def test_numbers_that_the_stated_unit_cannot_hold_are_refused(value, order, unit):
    """Which other unit was meant, nothing says."""
    with pytest.raises(Unreadable):
        read_box(value, 480, 640, DEFAULT, order=order, unit=unit)


def test_a_key_of_another_model_brings_its_own_order():
    """bbox_2d is x first by Qwen's documentation; other keys are read as the prompt states."""
    own = read_box([100, 600, 300, 900], 480, 640, DEFAULT, key="bbox_2d")
    assert (own.visible_px_xyxy, own.repairs) == ((64, 288, 192, 432), ("key_convention",))
    assert read_box([600, 100, 900, 300], 480, 640, DEFAULT, key="bbox").visible_px_xyxy == (
        64,
        288,
        192,
        432,
    )


@pytest.mark.parametrize(
    "value",
    [
        {"x_min": 100, "y_min": 600, "x_max": 300, "y_max": 900},
        {"left": 100, "top": 600, "right": 300, "bottom": 900},
        {"x": 100, "y": 600, "width": 200, "height": 300},
        {"cx": 200, "cy": 750, "w": 200, "h": 300},
    ],
)
@pytest.mark.parametrize("order", ["yxyx", "xyxy", "xywh"])
def test_names_leave_no_order_to_guess(value, order):
    """Whatever the prompt states for lists."""
    assert read_box(value, 480, 640, DEFAULT, order=order).visible_px_xyxy == (64, 288, 192, 432)


@pytest.mark.parametrize(("place", "outcome"), [("1023", "decoded"), ("1024", "format_failure")])
def test_places_are_those_that_paligemma_has(place, outcome):
    """There are 1,024 places; a later one is no place at all, and no edge of the image."""
    text = f"<loc0100><loc0200><loc{place}><loc0900> mug"
    asked = AskedFormat(task="box", keys=("box_2d",))
    assert decode_answer(text, height_px=480, width_px=640, asked=asked).outcome == outcome
