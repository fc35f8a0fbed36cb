"""Pictures of the gallery: photographs as JPEG, masks as small transparent PNG files laid over them.

A photograph is written once however many expressions and models share it; a mask layer is a
palette PNG of a few kilobytes. The colours of hit, missed and false stay apart for every common
kind of colour blindness, and missed is striped as well.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from evalkit.errors import DataError
from evalkit.masks import box_of, full_mask, region_mask, truth_mask

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

    from evalkit.report.answers import DrawnSample
    from evalkit.types import BoolMask, BoxPx, Decoded, Sample

    Layer = NDArray[np.uint8]

PICTURE_SIDE_PX = 720
THUMBNAIL_SIDE_PX = 480

Rgba = tuple[int, int, int, int]
CLEAR: Rgba = (0, 0, 0, 0)
OUTLINE: Rgba = (247, 255, 80, 255)
CASING: Rgba = (15, 18, 22, 230)
PREDICTION: Rgba = (32, 134, 235, 120)
PREDICTION_EDGE: Rgba = (32, 134, 235, 255)
IGNORE: Rgba = (128, 128, 128, 150)
HIT: Rgba = (32, 134, 235, 150)
MISSED: Rgba = (245, 166, 35, 215)
MISSED_STRIPE: Rgba = (245, 166, 35, 90)
FALSE: Rgba = (214, 51, 132, 175)
"""Layer colours (red, green, blue, alpha); the page's legend repeats them in report.css."""

CARD_ASPECT = 4 / 3
LARGEST_ZOOM = 3.0
STRIPE_PX = 5
PLAIN_GROUND = (118, 116, 112)
"""What is shown in place of a photograph that is not there."""


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
    """Files of one sample, relative to the report; ``note`` says why a photograph is missing."""

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
    """Writes pictures into a report's folder, each photograph once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.notes: dict[str, str | None] = {}
        for name in ("pictures", "overlays"):
            (folder / name).mkdir(parents=True, exist_ok=True)

    def draw(self, drawn: DrawnSample, model_numbers: Mapping[str, int]) -> Drawing:
        """Write the files of one sample; ``model_numbers`` gives each label its number in file names."""
        sample = drawn.sample
        photo = self._photograph(sample)
        size = shown_size(sample.truth.width_px, sample.truth.height_px, PICTURE_SIDE_PX)
        name = slug(sample.dataset, sample.sample_id)
        truth_hw = shrink(truth_mask(sample.truth), size)
        truth_file = f"overlays/{name}-truth.png"
        self._save_layer(truth_file, truth_layer(truth_hw, _ignore(sample, size)))
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
        picture, thumbnail = f"pictures/{photo}.jpg", f"pictures/{photo}-small.jpg"
        return Drawing(
            name, *size, picture, thumbnail, truth_file, card_zoom(truth_hw), layers, self.notes[photo]
        )

    def _photograph(self, sample: Sample) -> str:
        """Write a photograph at both sizes unless it is there; return its files' stem."""
        named = f"{sample.dataset}\0{sample.image.path}\0{sample.image_id}"
        stem = hashlib.sha256(named.encode()).hexdigest()[:12]
        if stem not in self.notes:
            picture, self.notes[stem] = photograph(sample)
            for side_px, suffix in ((PICTURE_SIDE_PX, ""), (THUMBNAIL_SIDE_PX, "-small")):
                size = shown_size(sample.truth.width_px, sample.truth.height_px, side_px)
                picture.resize(size, reducing_gap=3.0).save(
                    self.folder / f"pictures/{stem}{suffix}.jpg", "JPEG", quality=82
                )
        return stem

    def _save_layer(self, name: str, layer: tuple[Layer, list[Rgba]]) -> None:
        (self.folder / name).write_bytes(png_bytes(*layer))


def slug(dataset: str, sample_id: str) -> str:
    """Return a file name for a sample: readable, unique by a digest, the same on every rebuild."""
    digest = hashlib.sha256(f"{dataset}\0{sample_id}".encode()).hexdigest()[:8]
    readable = re.sub(r"[^a-z0-9]+", "-", f"{dataset}-{sample_id}".lower()).strip("-")[:48].strip("-")
    return f"{readable}-{digest}"


def photograph(sample: Sample) -> tuple[Image, str | None]:
    """Return the photograph (RGB), or a plain ground and the reason where it cannot be read."""
    from PIL import Image

    from evalkit.images import open_image, read_image

    size = (sample.truth.width_px, sample.truth.height_px)
    try:
        sent = read_image(sample.image, size)
        return open_image(sent.data, sample.image.path).convert("RGB"), None
    except (DataError, OSError) as error:
        return Image.new("RGB", shown_size(*size, max(1, *size)), PLAIN_GROUND), str(error)


def shown_size(width_px: int, height_px: int, side_px: int) -> tuple[int, int]:
    """Return (width, height) with the longest side at most ``side_px``, at least 1 pixel each.

    Also where the size is 0 x 0, not known: of a photograph that is missing.
    """
    scale = min(1.0, side_px / max(1, width_px, height_px))
    return max(1, round(width_px * scale)), max(1, round(height_px * scale))


def shrink(mask_hw: BoolMask, size: tuple[int, int]) -> BoolMask:
    """Return a mask at the shown ``size`` (width, height), by area average over half."""
    from PIL import Image

    if (mask_hw.shape[1], mask_hw.shape[0]) == size:
        return np.ascontiguousarray(mask_hw)
    grey = Image.fromarray(np.ascontiguousarray(mask_hw, dtype=np.uint8) * 255)
    return np.asarray(grey.resize(size, Image.Resampling.BOX)) > 127


def truth_layer(truth_hw: BoolMask, ignore_hw: BoolMask | None = None) -> tuple[Layer, list[Rgba]]:
    """Return the truth's outline, with the pixels that do not count in grey."""
    layer = np.zeros(truth_hw.shape, dtype=np.uint8)
    if ignore_hw is not None:
        layer[ignore_hw] = 3
    _outline(layer, truth_hw, line=1, casing=2)
    return layer, [CLEAR, OUTLINE, CASING, IGNORE]


def prediction_layer(
    mask_hw: BoolMask, truth_hw: BoolMask, boxes: Sequence[BoxPx] = ()
) -> tuple[Layer, list[Rgba]]:
    """Return the predicted mask as a fill with an edge and its boxes, below the truth's outline."""
    layer = np.zeros(mask_hw.shape, dtype=np.uint8)
    for x0, y0, x1, y1 in boxes:
        layer[y0:y1, [x0, x1 - 1]] = 4
        layer[[y0, y1 - 1], x0:x1] = 4
    layer[mask_hw] = 3
    layer[mask_hw & ~eroded(mask_hw)] = 4
    _outline(layer, truth_hw, line=1, casing=2)
    return layer, [CLEAR, OUTLINE, CASING, PREDICTION, PREDICTION_EDGE]


def difference_layer(mask_hw: BoolMask, truth_hw: BoolMask) -> tuple[Layer, list[Rgba]]:
    """Return hit, missed (striped) and false pixels in their colours."""
    rows, columns = np.indices(mask_hw.shape)
    stripes = (rows + columns) // STRIPE_PX % 2 == 0
    missed = truth_hw & ~mask_hw
    layer = np.zeros(mask_hw.shape, dtype=np.uint8)
    layer[mask_hw & truth_hw] = 1
    layer[missed & stripes] = 2
    layer[missed & ~stripes] = 3
    layer[mask_hw & ~truth_hw] = 4
    return layer, [CLEAR, HIT, MISSED, MISSED_STRIPE, FALSE]


def eroded(mask_hw: BoolMask) -> BoolMask:
    """Return the mask without its outermost pixels (4-neighbours; the image's border counts as outside)."""
    padded = np.pad(mask_hw, 1)
    inner: BoolMask = (
        padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:] & padded[1:-1, 1:-1]
    )
    return inner


def dilated(mask_hw: BoolMask) -> BoolMask:
    """Return the mask with the pixels that touch it (4-neighbours)."""
    return ~eroded(~np.pad(mask_hw, 1))[1:-1, 1:-1]


def _outline(layer: Layer, mask_hw: BoolMask, *, line: int, casing: int) -> None:
    """Draw a bright line around the mask with a dark one around that, readable on any photograph.

    The line stands outside, so that small objects stay visible; it is thick enough for thumbnails.
    """
    grown = mask_hw
    for _ in range(max(2, round(max(mask_hw.shape) / 220))):
        grown = dilated(grown)
    layer[dilated(grown) & ~grown] = casing
    layer[grown & ~mask_hw] = line


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


def png_bytes(layer: Layer, colours: list[Rgba]) -> bytes:
    """Return a layer of colour numbers (H x W) as a palette PNG with transparency."""
    from PIL import Image

    image = Image.fromarray(layer).convert("L")
    image = Image.frombytes("P", image.size, image.tobytes())
    image.putpalette([channel for colour in colours for channel in colour[:3]])
    stream = io.BytesIO()
    options: dict[str, Any] = {"transparency": bytes(colour[3] for colour in colours)}
    image.save(stream, "PNG", **options)
    return stream.getvalue()


def _ignore(sample: Sample, size: tuple[int, int]) -> BoolMask | None:
    if sample.truth.ignore is None:
        return None
    return shrink(region_mask(sample.truth.ignore, sample.truth.height_px, sample.truth.width_px), size)
