"""Contact sheets: where tiles stand, and captions in any script."""

import numpy as np
import pytest
from PIL import Image

from evalkit.drawing.sheet import GAP_PX, LINE_PX, Tile, contact_sheet, font_for, missing_letters, wrapped


def tile(colour: str, *lines: str) -> Tile:
    """Return a tile of one colour."""
    return Tile(Image.new("RGB", (60, 40), colour), "title", lines)


def test_tiles_stand_in_rows_with_their_captions_below():
    """Five tiles in rows of four; the fifth begins the second row; the captions are black on white."""
    sheet = contact_sheet([*(tile("red", "one line") for _ in range(4)), tile("blue")], "above")
    assert sheet.size[0] == 4 * (60 + GAP_PX) + GAP_PX
    pixels = np.asarray(sheet)
    blue = np.argwhere((pixels == (0, 0, 255)).all(axis=-1))
    assert blue[:, 1].min() == GAP_PX
    assert blue[:, 0].min() > 40 + 2 * LINE_PX
    assert (pixels[-2:] == 255).all()


def test_a_sheet_without_tiles_is_still_an_image():
    """Nothing found is a note on white."""
    assert contact_sheet([], "nothing").size[0] > 60


@pytest.mark.parametrize("text", ["a" * 400, "two words " * 60, "\u8d64\u3044\u8eca" * 80])
def test_captions_fit_their_tile(text):
    """Long words, many words and text without spaces are cut to the width of the tile, and end in dots."""
    lines = wrapped(text)
    assert 1 <= len(lines) <= 3
    assert lines[-1].endswith("...")
    assert wrapped("a cup") == ["a cup"]


def test_letters_without_a_font_are_named():
    """A private letter has none; letters that DejaVu Sans has need no note, nor have joiners and marks a shape."""
    (note,) = missing_letters(["cup", "\ue000 and \U0001f9ff"])
    assert "u+e000" in note
    assert "2 letters have no installed font" in note
    assert missing_letters(["Stra\u00dfe \u0416 \u03a9 a\u200db", ""]) == []
    assert "DejaVuSans" in str(font_for("cup").path)
