"""Mask layers: the right pixels in the right colours."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from evalkit.report.overlays import (
    Zoom,
    card_zoom,
    difference_layer,
    dilated,
    eroded,
    png_bytes,
    prediction_layer,
    shown_size,
    shrink,
    slug,
    truth_layer,
)

masks = hnp.arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12)))


def naive_erosion(mask):
    """Keep a pixel whose four neighbours are all inside the image and foreground."""
    result = np.zeros_like(mask)
    for y in range(mask.shape[0]):
        for x in range(mask.shape[1]):
            near = [(y, x), (y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
            result[y, x] = all(
                0 <= a < mask.shape[0] and 0 <= b < mask.shape[1] and mask[a, b] for a, b in near
            )
    return result


@given(masks)
def test_erosion_agrees_with_a_naive_one(mask):
    """The outermost pixels go, the image's border counting as outside."""
    assert np.array_equal(eroded(mask), naive_erosion(mask))


@given(masks)
def test_dilation_adds_neighbours_only(mask):
    """Every pixel that touches the mask is added, and no other."""
    expected = mask.copy()
    for y, x in zip(*np.nonzero(mask), strict=True):
        for a, b in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
            if 0 <= a < mask.shape[0] and 0 <= b < mask.shape[1]:
                expected[a, b] = True
    assert np.array_equal(dilated(mask), expected)


@given(st.data())
def test_difference_layer_tells_hit_missed_and_false(data):
    """Every pixel has the class that the two masks give it."""
    truth = data.draw(masks)
    mask = data.draw(hnp.arrays(bool, truth.shape))
    layer, _ = difference_layer(mask, truth)
    assert np.array_equal(layer == 1, mask & truth)
    assert np.array_equal(np.isin(layer, (2, 3)), truth & ~mask)
    assert np.array_equal(layer == 4, mask & ~truth)


def test_the_outline_does_not_cover_the_object():
    """The truth's line stands around the target, where the prediction's fill stays visible."""
    truth = np.zeros((40, 40), dtype=bool)
    truth[15:25, 15:25] = True
    layer, _ = prediction_layer(truth, truth)
    assert set(np.unique(layer[truth])) == {3, 4}
    assert (layer[13:15, 15:25] == 1).all()
    assert layer[0, 0] == 0


def test_boxes_are_drawn_where_there_is_no_mask():
    """An answer with a box and no mask shows the box."""
    empty = np.zeros((20, 30), dtype=bool)
    layer, _ = prediction_layer(empty, empty, [(5, 4, 15, 10)])
    assert layer[4, 5:15].all()
    assert layer[9, 5:15].all()
    assert not layer[5:9, 6:14].any()


def test_ignored_pixels_are_grey():
    """Pixels that do not count are shown as such."""
    truth = np.zeros((20, 20), dtype=bool)
    ignore = np.zeros_like(truth)
    ignore[2:5, 2:5] = True
    layer, _ = truth_layer(truth, ignore)
    assert np.array_equal(layer == 3, ignore)


def test_a_card_is_enlarged_around_what_matters():
    """A small object is shown three times as large in the card's middle; a large one is not enlarged."""
    small = np.zeros((300, 400), dtype=bool)
    small[60:90, 80:120] = True
    zoom = card_zoom(small)
    assert zoom.scale == 3
    assert zoom.scale * (100 / 400 - 0.5) + zoom.shift_x == pytest.approx(0, abs=1e-3)
    assert zoom.scale * (75 / 300 - 0.5) + zoom.shift_y == pytest.approx(0, abs=1e-3)
    assert card_zoom(np.ones((300, 400), dtype=bool)) == Zoom()
    assert card_zoom(np.zeros((300, 400), dtype=bool)) == Zoom()


@given(masks)
def test_an_enlarged_picture_still_fills_its_card(mask):
    """The shift never moves the picture's frame past the card's edge."""
    zoom = card_zoom(mask)
    assert 1 <= zoom.scale <= 3
    assert max(abs(zoom.shift_x), abs(zoom.shift_y)) <= (zoom.scale - 1) / 2 + 1e-3


def test_png_keeps_colours_and_transparency():
    """A layer read back has its colours; the ground is fully transparent."""
    layer = np.array([[0, 1], [1, 0]], dtype=np.uint8)
    back = np.asarray(
        Image.open(io.BytesIO(png_bytes(layer, [(0, 0, 0, 0), (10, 20, 30, 40)]))).convert("RGBA")
    )
    assert back[0, 1].tolist() == [10, 20, 30, 40]
    assert back[0, 0, 3] == 0


@pytest.mark.parametrize(
    ("size", "shown"), [((640, 480), (720, 540)), ((1440, 720), (720, 360)), ((3000, 1), (720, 1))]
)
def test_shown_size_never_enlarges(size, shown):
    """The longest side is at most the one wanted, and nothing vanishes."""
    found = shown_size(*size, 720)
    assert found == (size if size[0] <= 720 else shown)


def test_shrinking_keeps_the_area_in_proportion():
    """A half-covered image stays half covered."""
    mask = np.zeros((200, 400), dtype=bool)
    mask[:, :200] = True
    assert shrink(mask, (100, 50)).mean() == 0.5


def test_slugs_are_safe_and_unique():
    """File names hold no path, and samples that read alike stay apart."""
    names = {slug("d", text) for text in ("../../etc/passwd", "a/b", "a b", "a?b", "\u00e4\u00f6", "x" * 300)}
    assert len(names) == 6
    assert all(set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-") and len(name) < 70 for name in names)
