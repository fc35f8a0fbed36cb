"""Cards of the gallery: names of files and enlargement."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from evalkit.report.overlays import Zoom, card_zoom, slug

masks = hnp.arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12)))


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


def test_slugs_are_safe_and_unique():
    """File names hold no path, and samples that read alike stay apart."""
    names = {slug("d", text) for text in ("../../etc/passwd", "a/b", "a b", "a?b", "\u00e4\u00f6", "x" * 300)}
    assert len(names) == 6
    assert all(set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-") and len(name) < 70 for name in names)
