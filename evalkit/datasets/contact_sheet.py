"""A contact sheet of a dataset: images with each target outlined and the expression in the caption."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from evalkit.drawing.layers import NO_IMAGE, ignored, image_or_plain, objects_layer, shown_size, shrink
from evalkit.drawing.sheet import TILE_SIDE_PX, Tile, contact_sheet, missing_letters, wrapped
from evalkit.errors import DataError
from evalkit.masks import region_mask
from evalkit.types import Sample

UNKNOWN_SIZE_PX = (360, 270)
"""The tile (width, height) of an image that is missing and whose size nothing says."""


def spread(samples: Sequence[Sample], limit: int) -> list[Sample]:
    """Return at most ``limit`` samples, evenly spaced over the whole dataset."""
    if len(samples) <= limit:
        return list(samples)
    return [samples[index * len(samples) // limit] for index in range(limit)]


def draw_sheet(samples: Sequence[Sample], out: Path) -> list[str]:
    """Write a PNG with a tile per sample; return notes on what could not be shown as it is.

    An image that cannot be read leaves a grey tile that says so, and a note with the reason. Letters for which no
    font is installed appear as boxes, and the note says which. Raises ``DataError`` where there is no sample.
    """
    if not samples:
        raise DataError("there is no sample to draw: the split is empty")
    tiles, notes = [], []
    for sample in samples:
        tile, fault = _tile(sample)
        tiles.append(tile)
        notes += [] if fault is None else [f"{sample.sample_id}: {fault}"]
    contact_sheet(tiles).save(out, "PNG")
    return notes + missing_letters(text for tile in tiles for text in (tile.title, *tile.lines))


def _tile(sample: Sample) -> tuple[Tile, str | None]:
    """Return a sample's tile, and why its image is missing."""
    from PIL import Image

    truth = sample.truth
    kind = "no target" if truth.no_target else f"{len(truth.instances)} target"
    plural = "s" if len(truth.instances) > 1 else ""
    lines = [*wrapped(sample.expression)[1:], f"[{sample.sample_id} · {kind}{plural}]"]
    title = (wrapped(sample.expression) or ["(no text)"])[0]
    image, fault = image_or_plain(sample)
    if fault is not None:
        lines.append("image not readable")
    if truth.fault is not None:
        lines.append("ground truth not readable")
        fault = truth.fault if fault is None else f"{fault}; {truth.fault}"
    if not truth.size_known:
        return Tile(Image.new("RGB", UNKNOWN_SIZE_PX, NO_IMAGE), title, tuple(lines)), fault
    size = shown_size(truth.width_px, truth.height_px, TILE_SIDE_PX)
    masks = [shrink(region_mask(region, truth.height_px, truth.width_px), size) for region in truth.instances]
    layer = objects_layer(masks, ignored(sample, size), size)
    return Tile(layer.over(image.resize(size, reducing_gap=3.0)), title, tuple(lines)), fault
