"""Image files of the gallery: images as JPEG, masks as small transparent PNG files laid over them.

An image is written once however many expressions and models share it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from evalkit.drawing.layers import (
    Layer,
    difference_layer,
    ignored,
    image_or_plain,
    prediction_layer,
    shown_size,
    shrink,
    truth_layer,
)
from evalkit.masks import box_of, full_mask, truth_mask

if TYPE_CHECKING:
    from evalkit.report.answers import DrawnSample
    from evalkit.types import BoolMask, BoxPx, Decoded, Sample

PICTURE_SIDE_PX = 720
THUMBNAIL_SIDE_PX = 480
CARD_ASPECT = 4 / 3
LARGEST_ZOOM = 3.0


@dataclass(frozen=True, slots=True)
class Zoom:
    """Enlargement of a card: ``scale``, then a shift of the centre in parts of the card's size."""

    scale: float = 1.0
    shift_x: float = 0.0
    shift_y: float = 0.0


@dataclass(frozen=True, slots=True)
class Layers:
    """Files of one answer, relative to the report: prediction on the truth's outline, and difference.

    ``zoom``: how its card is enlarged around truth and prediction.
    """

    prediction: str
    difference: str
    zoom: Zoom


@dataclass(frozen=True, slots=True)
class Drawing:
    """Files of one sample, relative to the report; ``note`` says why an image is missing."""

    slug: str
    width_px: int
    height_px: int
    picture: str
    thumbnail: str
    truth: str
    truth_zoom: Zoom
    layers: Mapping[str, Layers]
    note: str | None


class OverlayWriter:
    """Writes pictures into a report's folder, each image once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.notes: dict[str, str | None] = {}
        for name in ("pictures", "overlays"):
            (folder / name).mkdir(parents=True, exist_ok=True)

    def draw(self, drawn: DrawnSample, model_numbers: Mapping[str, int]) -> Drawing:
        """Write the files of one sample; ``model_numbers`` gives each label its number in file names."""
        sample = drawn.sample
        image = self._image(sample)
        size = shown_size(sample.truth.width_px, sample.truth.height_px, PICTURE_SIDE_PX)
        name = slug(sample.dataset, sample.sample_id)
        truth_hw = shrink(truth_mask(sample.truth), size)
        truth_file = f"overlays/{name}-truth.png"
        self._save_layer(truth_file, truth_layer(truth_hw, ignored(sample, size)))
        layers = {}
        for answer in drawn.answers:
            if answer.decoded is None or not answer.decoded.items:
                continue
            crop = answer.decoded.mask
            mask_hw = np.zeros_like(truth_hw) if crop is None else shrink(full_mask(crop), size)
            number = model_numbers[answer.label]
            zoom = card_zoom(mask_hw | truth_hw)
            stem = f"overlays/{name}-{number}"
            files = Layers(f"{stem}.png", f"{stem}-difference.png", zoom)
            boxes = _shown_boxes(answer.decoded, size[0] / sample.truth.width_px)
            self._save_layer(files.prediction, prediction_layer(mask_hw, truth_hw, boxes))
            self._save_layer(files.difference, difference_layer(mask_hw, truth_hw))
            layers[answer.label] = files
        picture, thumbnail = f"pictures/{image}.jpg", f"pictures/{image}-small.jpg"
        return Drawing(
            name, *size, picture, thumbnail, truth_file, card_zoom(truth_hw), layers, self.notes[image]
        )

    def _image(self, sample: Sample) -> str:
        """Write an image at both sizes unless it is there; return its files' stem."""
        named = f"{sample.dataset}\0{sample.image.path}\0{sample.image_id}"
        stem = hashlib.sha256(named.encode()).hexdigest()[:12]
        if stem not in self.notes:
            picture, self.notes[stem] = image_or_plain(sample)
            for side_px, suffix in ((PICTURE_SIDE_PX, ""), (THUMBNAIL_SIDE_PX, "-small")):
                size = shown_size(sample.truth.width_px, sample.truth.height_px, side_px)
                picture.resize(size, reducing_gap=3.0).save(
                    self.folder / f"pictures/{stem}{suffix}.jpg", "JPEG", quality=82
                )
        return stem

    def _save_layer(self, name: str, layer: Layer) -> None:
        (self.folder / name).write_bytes(layer.png_bytes())


def slug(dataset: str, sample_id: str) -> str:
    """Return a file name for a sample: readable, unique by a digest, the same on every rebuild."""
    digest = hashlib.sha256(f"{dataset}\0{sample_id}".encode()).hexdigest()[:8]
    readable = re.sub(r"[^a-z0-9]+", "-", f"{dataset}-{sample_id}".lower()).strip("-")[:48].strip("-")
    return f"{readable}-{digest}"


def _shown_boxes(decoded: Decoded, scale: float) -> list[BoxPx]:
    """Return the boxes of the items at the shown size, those that have an area there."""
    boxes = []
    for item in decoded.items:
        if item.box_px_xyxy is not None:
            x0, y0, x1, y1 = (round(edge * scale) for edge in item.box_px_xyxy)
            if x1 > x0 and y1 > y0:
                boxes.append((x0, y0, x1, y1))
    return boxes


def card_zoom(focus_hw: BoolMask) -> Zoom:
    """Return the enlargement that makes the foreground fill about half of a card; 1 where there is none.

    The card has the proportions of ``CARD_ASPECT`` and shows the whole picture at scale 1.
    """
    box = box_of(focus_hw)
    if box is None:
        return Zoom()
    height, width = focus_hw.shape
    frame_width = max(width, height * CARD_ASPECT)
    frame_height = max(height, width / CARD_ASPECT)
    x0, y0, x1, y1 = box
    fills = max((x1 - x0) / frame_width, (y1 - y0) / frame_height)
    scale = min(LARGEST_ZOOM, max(1.0, 0.55 / fills))
    most = (scale - 1) / 2
    shifts = (
        -scale * ((x0 + x1 - width) / 2) / frame_width,
        -scale * ((y0 + y1 - height) / 2) / frame_height,
    )
    shift_x, shift_y = (max(-most, min(most, shift)) for shift in shifts)
    return Zoom(round(scale, 3), round(shift_x, 4), round(shift_y, 4))
