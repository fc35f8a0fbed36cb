"""Overlays that a notebook draws inline: tiles with captions, as HTML and as one PNG.

The layers and their colours are those of the report (``evalkit.drawing.layers``). Model text is
shown as text: every caption is escaped.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from evalkit.drawing import layers
from evalkit.drawing.sheet import GAP_PX, TILE_SIDE_PX, Tile, contact_sheet
from evalkit.masks import full_mask, truth_mask

if TYPE_CHECKING:
    from PIL.Image import Image

    from evalkit.types import BoolMask, Decoded, Sample

LEGEND = "yellow outline: truth · blue: prediction"
DIFFERENCE_LEGEND = "blue: hit · orange stripes: missed · magenta: false"


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


def truth_tile(sample: Sample, lines: Sequence[str] = ()) -> Tile:
    """Return the image with the outline of the ground truth."""
    image, size, note = _plain_image(sample)
    truth_hw = layers.shrink(truth_mask(sample.truth), size)
    title = "no target" if sample.truth.no_target else "ground truth"
    return Tile(layers.truth_layer(truth_hw).over(image), title, (*lines, *note))


def prediction_tile(sample: Sample, decoded: Decoded | None, title: str, lines: Sequence[str]) -> Tile:
    """Return the image with the predicted mask below the outline of the truth."""
    image, size, note = _plain_image(sample)
    mask_hw, truth_hw = _masks(sample, decoded, size)
    return Tile(layers.prediction_layer(mask_hw, truth_hw).over(image), title, (*lines, *note))


def difference_tile(sample: Sample, decoded: Decoded | None, title: str) -> Tile:
    """Return the image with hit, missed and false pixels in their colours."""
    image, size, _ = _plain_image(sample)
    layer = layers.difference_layer(*_masks(sample, decoded, size))
    return Tile(layer.over(image), title, (DIFFERENCE_LEGEND,))


def _plain_image(sample: Sample) -> tuple[Image, tuple[int, int], tuple[str, ...]]:
    size = layers.shown_size(sample.truth.width_px, sample.truth.height_px, TILE_SIDE_PX)
    image, missing = layers.image_or_plain(sample)
    return image.resize(size, reducing_gap=3.0), size, () if missing is None else (missing,)


def _masks(sample: Sample, decoded: Decoded | None, size: tuple[int, int]) -> tuple[BoolMask, BoolMask]:
    truth_hw = layers.shrink(truth_mask(sample.truth), size)
    if decoded is None or decoded.mask is None:
        return np.zeros_like(truth_hw), truth_hw
    return layers.shrink(full_mask(decoded.mask), size), truth_hw
