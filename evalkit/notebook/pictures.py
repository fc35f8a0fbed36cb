"""Overlays that a notebook draws inline: tiles with captions, as HTML and as one PNG.

The layers and their colours are those of the report (``evalkit.report.overlays``). Model text is
shown as text: every caption is escaped.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from evalkit.masks import full_mask, truth_mask
from evalkit.report import overlays

if TYPE_CHECKING:
    from PIL.Image import Image

    from evalkit.types import BoolMask, Decoded, Sample

TILE_SIDE_PX = 360
"""Longest side of a tile; a photograph is never enlarged."""

COLUMNS = 4
GAP_PX = 10
LINE_PX = 17
LEGEND = "yellow outline: truth · blue: prediction"
DIFFERENCE_LEGEND = "blue: hit · orange stripes: missed · magenta: false"


@dataclass(frozen=True, slots=True, eq=False)
class Tile:
    """One picture (RGB) with a title and further lines of caption."""

    picture: Image
    title: str
    lines: tuple[str, ...] = ()


class Pictures:
    """Tiles that draw themselves: the last value of a notebook cell shows them.

    ``tiles``: the pictures in order. ``note``: one line above them. ``image`` is all of them as one
    PIL picture, and ``save`` writes that to a file.
    """

    def __init__(self, tiles: Sequence[Tile], note: str = "") -> None:
        self.tiles = tuple(tiles)
        self.note = note

    def __len__(self) -> int:
        return len(self.tiles)

    def __repr__(self) -> str:
        titles = "".join(f"\n  {tile.title}: {' · '.join(tile.lines)}" for tile in self.tiles)
        return f"{len(self)} pictures: {self.note}{titles}"

    @property
    def image(self) -> Image:
        """All tiles with their captions on one white picture (PIL, RGB)."""
        return contact_sheet(self.tiles, self.note)

    def save(self, path: str | Path) -> Path:
        """Write ``image`` to a file, in the format that its ending names; return the path."""
        self.image.save(path)
        return Path(path)

    def _repr_png_(self) -> bytes:
        return picture_bytes(self.image, "PNG")

    def _repr_html_(self) -> str:
        figures = "".join(tile_html(tile) for tile in self.tiles)
        return (
            f"<div><p>{html.escape(self.note)}</p>"
            f'<div style="display:flex;flex-wrap:wrap;gap:{GAP_PX}px">{figures}</div></div>'
        )


def tile_html(tile: Tile) -> str:
    """Return a figure element with the picture inside it and its caption as text."""
    data = base64.b64encode(picture_bytes(tile.picture, "JPEG")).decode("ascii")
    title, lines = html.escape(tile.title), "<br>".join(html.escape(line) for line in tile.lines)
    return (
        f'<figure style="margin:0;max-width:{tile.picture.width}px">'
        f'<img alt="{html.escape(tile.title, quote=True)}" src="data:image/jpeg;base64,{data}">'
        f'<figcaption style="font-size:0.85em"><b>{title}</b><br>{lines}</figcaption></figure>'
    )


def picture_bytes(picture: Image, form: str) -> bytes:
    """Return a picture as the bytes of a PNG or JPEG file."""
    stream = io.BytesIO()
    picture.save(stream, form)
    return stream.getvalue()


def contact_sheet(tiles: Sequence[Tile], note: str) -> Image:
    """Return the tiles in rows of ``COLUMNS`` on white, captions below each, as one RGB picture."""
    from PIL import Image, ImageDraw, ImageFont

    columns = max(1, min(COLUMNS, len(tiles)))
    width = max((tile.picture.width for tile in tiles), default=TILE_SIDE_PX)
    height = max(
        (tile.picture.height + LINE_PX * (1 + len(tile.lines)) + GAP_PX for tile in tiles), default=0
    )
    rows = -(-len(tiles) // columns)
    size = (columns * (width + GAP_PX) + GAP_PX, rows * (height + GAP_PX) + LINE_PX + 2 * GAP_PX)
    sheet = Image.new("RGB", size, "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    draw.text((GAP_PX, GAP_PX // 2), note, fill="black", font=font)
    for index, tile in enumerate(tiles):
        left = GAP_PX + index % columns * (width + GAP_PX)
        top = LINE_PX + GAP_PX + index // columns * (height + GAP_PX)
        sheet.paste(tile.picture, (left, top))
        for row, words in enumerate((tile.title, *tile.lines)):
            place = (left, top + tile.picture.height + 2 + LINE_PX * row)
            draw.text(place, _fitted(words, width, font.getlength), fill="black", font=font)
    return sheet


def _fitted(words: str, width_px: int, length_of: object) -> str:
    """Return as much of a caption as fits in one line."""
    measure = length_of if callable(length_of) else len
    while len(words) > 4 and measure(words) > width_px:
        words = words[:-4].rstrip() + "..."
    return words


def truth_tile(sample: Sample, lines: Sequence[str] = ()) -> Tile:
    """Return the photograph with the outline of the ground truth."""
    photo, size, note = _ground(sample)
    truth_hw = overlays.shrink(truth_mask(sample.truth), size)
    title = "no target" if sample.truth.no_target else "ground truth"
    return Tile(_laid_over(photo, overlays.truth_layer(truth_hw)), title, (*lines, *note))


def prediction_tile(sample: Sample, decoded: Decoded | None, title: str, lines: Sequence[str]) -> Tile:
    """Return the photograph with the predicted mask below the outline of the truth."""
    photo, size, note = _ground(sample)
    mask_hw, truth_hw = _masks(sample, decoded, size)
    return Tile(_laid_over(photo, overlays.prediction_layer(mask_hw, truth_hw)), title, (*lines, *note))


def difference_tile(sample: Sample, decoded: Decoded | None, title: str) -> Tile:
    """Return the photograph with hit, missed and false pixels in their colours."""
    photo, size, _ = _ground(sample)
    layer = overlays.difference_layer(*_masks(sample, decoded, size))
    return Tile(_laid_over(photo, layer), title, (DIFFERENCE_LEGEND,))


def _ground(sample: Sample) -> tuple[Image, tuple[int, int], tuple[str, ...]]:
    size = overlays.shown_size(sample.truth.width_px, sample.truth.height_px, TILE_SIDE_PX)
    photo, missing = overlays.photograph(sample)
    return photo.resize(size, reducing_gap=3.0), size, () if missing is None else (missing,)


def _masks(sample: Sample, decoded: Decoded | None, size: tuple[int, int]) -> tuple[BoolMask, BoolMask]:
    truth_hw = overlays.shrink(truth_mask(sample.truth), size)
    if decoded is None or decoded.mask is None:
        return np.zeros_like(truth_hw), truth_hw
    return overlays.shrink(full_mask(decoded.mask), size), truth_hw


def _laid_over(photo: Image, layer: tuple[overlays.Layer, list[overlays.Rgba]]) -> Image:
    from PIL import Image

    numbers, colours = layer
    rgba = Image.fromarray(np.asarray(colours, dtype=np.uint8)[numbers])
    return Image.alpha_composite(photo.convert("RGBA"), rgba).convert("RGB")
