"""Masks as the page draws them: every pixel in small images, a grid of whole factors in large ones."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from evalkit.masks import crop_of, full_mask, reduced_crop, rle_decode
from evalkit.report.raw_text import kept_text
from evalkit.report.shown_masks import grid_factor, shown_mask
from evalkit.types import Rle

masks = hnp.arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12)))


@given(masks)
def test_every_pixel_is_kept_in_a_small_image(mask_hw):
    """The run lengths of the crop, put at its place, are the mask again."""
    found = shown_mask(crop_of(mask_hw), 1)
    back = np.zeros_like(mask_hw)
    if found is not None:
        x0, y0, width, height, counts = found
        back[y0 : y0 + height, x0 : x0 + width] = rle_decode(Rle(height, width, counts.encode()))
    assert np.array_equal(back, mask_hw)


@given(masks, st.integers(2, 5))
def test_a_cell_is_set_where_more_than_half_of_it_is(mask_hw, factor):
    """Cells at the edge count the pixels that are left there."""
    found = full_mask(reduced_crop(crop_of(mask_hw), factor))
    for y in range(found.shape[0]):
        for x in range(found.shape[1]):
            cell = mask_hw[y * factor : (y + 1) * factor, x * factor : (x + 1) * factor]
            assert found[y, x] == (2 * cell.sum() > cell.size)


@pytest.mark.parametrize(
    ("size", "factor"), [((640, 480), 1), ((1280, 9), 1), ((1281, 9), 2), ((4000, 3000), 4), ((0, 0), 1)]
)
def test_large_images_are_reduced_by_whole_factors(size, factor):
    """The grid's longest side is at most 1,280 cells."""
    assert grid_factor(*size) == factor


def test_long_answers_are_shortened_where_it_is_said():
    """Base64 goes first, then what stands beyond the limit; a short answer stays whole."""
    assert kept_text("short", 10) == ("short", "")
    text, note = kept_text('{"mask": "' + "A" * 500 + '"}', 300)
    assert text == '{"mask": "' + "A" * 60 + '[440 characters]"}'
    assert "Base64 is shortened; the answer has 512." in note
    text, note = kept_text("a b " * 100, 50)
    assert len(text) == 50
    assert note.startswith("Cut after 50 characters")
