"""Mask layers: the right pixels in the right colours."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from evalkit.drawing.layers import (
    OBJECT_COLOURS,
    Layer,
    difference_layer,
    dilated,
    eroded,
    items_layer,
    objects_layer,
    prediction_layer,
    shown_size,
    shrink,
    truth_layer,
)
from evalkit.masks import crop_of
from evalkit.types import Decoded, Item

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
    layer = difference_layer(mask, truth).numbers_hw
    assert np.array_equal(layer == 1, mask & truth)
    assert np.array_equal(np.isin(layer, (2, 3)), truth & ~mask)
    assert np.array_equal(layer == 4, mask & ~truth)


def test_the_outline_does_not_cover_the_object():
    """The truth's line stands around the target, where the prediction's fill stays visible."""
    truth = np.zeros((40, 40), dtype=bool)
    truth[15:25, 15:25] = True
    layer = prediction_layer(truth, truth).numbers_hw
    assert set(np.unique(layer[truth])) == {3, 4}
    assert (layer[13:15, 15:25] == 1).all()
    assert layer[0, 0] == 0


def test_boxes_are_drawn_where_there_is_no_mask():
    """An answer with a box and no mask shows the box."""
    empty = np.zeros((20, 30), dtype=bool)
    layer = prediction_layer(empty, empty, [(5, 4, 15, 10)]).numbers_hw
    assert layer[4, 5:15].all()
    assert layer[9, 5:15].all()
    assert not layer[5:9, 6:14].any()


def test_ignored_pixels_are_grey():
    """Pixels that do not count are shown as such."""
    truth = np.zeros((20, 20), dtype=bool)
    ignore = np.zeros_like(truth)
    ignore[2:5, 2:5] = True
    layer = truth_layer(truth, ignore).numbers_hw
    assert np.array_equal(layer == 3, ignore)


def test_a_layer_covers_what_it_marks_and_nothing_else():
    """Marked pixels have the layer's colour, the others those of the image."""
    layer = Layer(np.array([[0, 1], [1, 0]], dtype=np.uint8), [(0, 0, 0, 0), (10, 20, 30, 255)])
    laid = np.asarray(layer.over(Image.new("RGB", (2, 2), (200, 100, 0))))
    assert laid[0, 1].tolist() == [10, 20, 30]
    assert laid[0, 0].tolist() == [200, 100, 0]


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


def test_each_object_has_an_outline_of_its_own():
    """Two objects stand in two colours, neither is covered, and ignored pixels are grey."""
    first, second = np.zeros((60, 80), dtype=bool), np.zeros((60, 80), dtype=bool)
    first[10:30, 10:30], second[35:50, 50:70] = True, True
    ignore = np.zeros_like(first)
    ignore[0, 0] = True
    layer = objects_layer([first, second], ignore, (80, 60))
    assert layer.numbers_hw[20, 31] != layer.numbers_hw[40, 71]
    assert not layer.numbers_hw[first | second].any()
    assert layer.colours[layer.numbers_hw[0, 0]][:3] == (128, 128, 128)


def test_each_item_has_a_fill_and_a_frame_in_its_colour():
    """The fill lets the image through; a frame may lie on the image's border or beyond it."""
    mask = np.zeros((40, 50), dtype=bool)
    mask[10:20, 10:20] = True
    items = (
        Item(None, (8, 8, 24, 24), "png_data_url", mask=crop_of(mask)),
        Item(None, (30, 0, 60, 50), "box_only"),
        Item(None, (45, 3, 45, 9), "box_only"),
    )
    decoded = Decoded("decoded", None, strict=True, items=items)
    shown = np.asarray(items_layer(decoded, (50, 40)).over(Image.new("RGB", (50, 40), (100, 100, 100))))
    assert shown[0, 0].tolist() == [100, 100, 100]
    assert shown[15, 15].tolist() == pytest.approx([(100 + edge) / 2 for edge in OBJECT_COLOURS[0]], abs=1)
    assert shown[8, 15].tolist() == list(OBJECT_COLOURS[0])
    assert shown[20, 30].tolist() == list(OBJECT_COLOURS[1])
    assert shown[5, 45].tolist() == [100, 100, 100]
