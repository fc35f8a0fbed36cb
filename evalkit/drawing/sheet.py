"""A contact sheet: tiles in rows on white, each an image with a caption below, in any script that has a font."""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFont import FreeTypeFont

TILE_SIDE_PX = 360
"""Longest side of a tile's image; an image is never enlarged."""

COLUMNS = 4
GAP_PX = 10
LINE_PX = 17
FONT_PX = 13

FALLBACK_FONTS = (
    "Noto Sans CJK JP",
    "Noto Sans CJK SC",
    "Noto Sans JP",
    "Noto Sans SC",
    "IPAGothic",
    "WenQuanYi Zen Hei",
    "Droid Sans Fallback",
    "Noto Sans Devanagari",
    "Lohit Devanagari",
    "Noto Naskh Arabic",
    "Noto Sans Arabic",
    "FreeSans",
    "Arial Unicode MS",
)
"""Fonts with scripts that DejaVu Sans, which comes with Matplotlib, lacks; those that are installed are used."""


@dataclass(frozen=True, slots=True, eq=False)
class Tile:
    """One image (RGB) with a title and further lines of caption."""

    picture: Image
    title: str
    lines: tuple[str, ...] = ()


def contact_sheet(tiles: Sequence[Tile], note: str = "", columns: int = COLUMNS) -> Image:
    """Return the tiles in rows of ``columns``, captions below each and ``note`` above all, as one RGB image."""
    from PIL import Image, ImageDraw

    columns = max(1, min(columns, len(tiles)))
    width = max((tile.picture.width for tile in tiles), default=TILE_SIDE_PX)
    height = max(
        (tile.picture.height + LINE_PX * (1 + len(tile.lines)) + GAP_PX for tile in tiles), default=0
    )
    rows = -(-len(tiles) // columns)
    size = (columns * (width + GAP_PX) + GAP_PX, rows * (height + GAP_PX) + LINE_PX + 2 * GAP_PX)
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    draw.text((GAP_PX, GAP_PX // 2), note, fill="black", font=font_for(note))
    for index, tile in enumerate(tiles):
        left = GAP_PX + index % columns * (width + GAP_PX)
        top = LINE_PX + GAP_PX + index // columns * (height + GAP_PX)
        sheet.paste(tile.picture, (left, top))
        for row, text in enumerate((tile.title, *tile.lines)):
            place = (left, top + tile.picture.height + 2 + LINE_PX * row)
            draw.text(place, _fitted(text, width), fill="black", font=font_for(text))
    return sheet


def wrapped(text: str, width_px: int = TILE_SIDE_PX, max_lines: int = 3) -> list[str]:
    """Return a caption as lines that fit a tile of ``width_px``; what does not fit ends in dots."""
    length_px = font_for(text).getlength(text) or 1.0
    characters = max(8, int(len(text) * width_px / length_px))
    return textwrap.wrap(text, characters, max_lines=max_lines, placeholder=" ...")


def _fitted(text: str, width_px: int) -> str:
    """Return as much of a caption as fits in one line."""
    font = font_for(text)
    while len(text) > 4 and font.getlength(text) > width_px:
        text = text[:-4].rstrip() + "..."
    return text


def font_for(text: str) -> FreeTypeFont:
    """Return the first font that has every letter of ``text``, else the one that lacks the fewest."""
    paths = _font_paths()
    best = paths[0] if text.isascii() else min(paths, key=lambda path: len(_lacking(path, text)))
    return _opened(best)


def missing_letters(texts: Iterable[str]) -> list[str]:
    """Return a note on the letters that no installed font has; none where all can be drawn."""
    missing = sorted({letter for text in texts for letter in _lacking(Path(str(font_for(text).path)), text)})
    if not missing:
        return []
    names = [unicodedata.name(letter, f"U+{ord(letter):04X}").lower() for letter in missing]
    shown = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
    advice = "install for example fonts-noto-cjk or fonts-noto-core"
    return [f"{len(missing)} letters have no installed font and appear as boxes ({shown}); {advice}"]


@cache
def _font_paths() -> tuple[Path, ...]:
    """Return DejaVu Sans and the installed fonts for other scripts, in the order they are tried."""
    from matplotlib import font_manager, get_data_path

    installed = {entry.name: Path(entry.fname) for entry in font_manager.fontManager.ttflist}
    fallbacks = [installed[name] for name in FALLBACK_FONTS if name in installed]
    return (Path(get_data_path()) / "fonts/ttf/DejaVuSans.ttf", *fallbacks)


@cache
def _opened(path: Path) -> FreeTypeFont:
    from PIL import ImageFont

    return ImageFont.truetype(str(path), FONT_PX)


@cache
def _letters(path: Path) -> frozenset[int]:
    from matplotlib.ft2font import FT2Font

    return frozenset(FT2Font(str(path)).get_charmap())


def _lacking(path: Path, text: str) -> set[str]:
    """Return the letters that a font lacks; control and formatting characters have no shape."""
    letters = _letters(path)
    return {
        letter
        for letter in text
        if ord(letter) not in letters and unicodedata.category(letter) not in ("Cc", "Cf", "Mn", "Zs", "Zl")
    }
