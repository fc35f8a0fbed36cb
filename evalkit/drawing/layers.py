"""Mask layers over an image: truth, prediction, difference and single objects, in one set of colours.

A layer is an array of colour numbers with its colours, laid over an image. The colours of hit, missed and false can
be told apart with every common kind of colour blindness, and missed pixels are striped as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from evalkit.errors import DataError
from evalkit.masks import full_mask, region_mask

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

    from evalkit.types import BoolMask, BoxPx, Decoded, Sample

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

OBJECT_COLOURS = (
    (0, 229, 255),
    (255, 45, 85),
    (255, 214, 10),
    (48, 209, 88),
    (191, 90, 242),
    (255, 159, 10),
)
"""Colours (red, green, blue) of single objects in turn; all stand out on images and from each other."""

FILL_ALPHA = 128
STRIPE_PX = 5
NO_IMAGE = (118, 116, 112)
"""The plain colour that is shown in place of an image that cannot be read."""


class Layer:
    """Colour numbers (H x W, uint8) and the colours they stand for."""

    __slots__ = ("colours", "numbers_hw")

    def __init__(self, numbers_hw: NDArray[np.uint8], colours: Sequence[Rgba]) -> None:
        self.numbers_hw = numbers_hw
        self.colours = tuple(colours)

    def over(self, image: Image) -> Image:
        """Return ``image`` (any mode, of the layer's size) with the layer laid over it, RGB."""
        from PIL import Image as Images

        rgba = Images.fromarray(np.asarray(self.colours, dtype=np.uint8)[self.numbers_hw])
        return Images.alpha_composite(image.convert("RGBA"), rgba).convert("RGB")


def image_or_plain(sample: Sample) -> tuple[Image, str | None]:
    """Return the sample's image (RGB), or a plain one and the reason where it cannot be read."""
    from PIL import Image

    from evalkit.images import eight_bits, open_image, read_image

    size = (sample.truth.width_px, sample.truth.height_px)
    try:
        sent = read_image(sample.image, size)
        return eight_bits(open_image(sent.data, sample.image.path)).convert("RGB"), None
    except (DataError, OSError) as error:
        return Image.new("RGB", shown_size(*size, max(1, *size)), NO_IMAGE), str(error)


def shown_size(width_px: int, height_px: int, side_px: int) -> tuple[int, int]:
    """Return (width, height) with the longest side at most ``side_px``, at least 1 pixel each.

    Also where the size is 0 x 0, not known: of an image that is missing.
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


def truth_layer(truth_hw: BoolMask, ignore_hw: BoolMask | None = None) -> Layer:
    """Return the truth's outline, with the pixels that do not count in grey."""
    numbers = np.zeros(truth_hw.shape, dtype=np.uint8)
    if ignore_hw is not None:
        numbers[ignore_hw] = 3
    _outline(numbers, truth_hw, line=1, casing=2)
    return Layer(numbers, [CLEAR, OUTLINE, CASING, IGNORE])


def prediction_layer(mask_hw: BoolMask, truth_hw: BoolMask, boxes: Sequence[BoxPx] = ()) -> Layer:
    """Return the predicted mask as a fill with an edge and its boxes, below the truth's outline."""
    numbers = np.zeros(mask_hw.shape, dtype=np.uint8)
    for box in boxes:
        _frame(numbers, box, 4)
    numbers[mask_hw] = 3
    numbers[mask_hw & ~eroded(mask_hw)] = 4
    _outline(numbers, truth_hw, line=1, casing=2)
    return Layer(numbers, [CLEAR, OUTLINE, CASING, PREDICTION, PREDICTION_EDGE])


def difference_layer(mask_hw: BoolMask, truth_hw: BoolMask) -> Layer:
    """Return hit, missed (striped) and false pixels in their colours."""
    rows, columns = np.indices(mask_hw.shape)
    stripes = (rows + columns) // STRIPE_PX % 2 == 0
    missed = truth_hw & ~mask_hw
    numbers = np.zeros(mask_hw.shape, dtype=np.uint8)
    numbers[mask_hw & truth_hw] = 1
    numbers[missed & stripes] = 2
    numbers[missed & ~stripes] = 3
    numbers[mask_hw & ~truth_hw] = 4
    return Layer(numbers, [CLEAR, HIT, MISSED, MISSED_STRIPE, FALSE])


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


def _outline(numbers: NDArray[np.uint8], mask_hw: BoolMask, *, line: int, casing: int) -> None:
    """Draw a bright line around the mask with a dark one around that, readable on any image.

    The line stands outside, so that small objects stay visible; it is thick enough for thumbnails.
    """
    grown = mask_hw
    for _ in range(max(2, round(max(mask_hw.shape) / 220))):
        grown = dilated(grown)
    numbers[dilated(grown) & ~grown] = casing
    numbers[grown & ~mask_hw] = line


def _frame(numbers: NDArray[np.uint8], box_px_xyxy: BoxPx, colour: int, width_px: int = 1) -> None:
    """Draw the border of a box that has an area, inside the box."""
    x0, y0, x1, y1 = box_px_xyxy
    inner = numbers[y0:y1, x0:x1]
    for k in range(min(width_px, *inner.shape)):
        inner[:, [k, -1 - k]] = colour
        inner[[k, -1 - k], :] = colour


def objects_layer(masks: Sequence[BoolMask], ignore_hw: BoolMask | None, size: tuple[int, int]) -> Layer:
    """Return the outline of each mask (bool, H x W) in a colour of its own; ``size`` is (width, height)."""
    numbers = np.zeros(size[::-1], dtype=np.uint8)
    if ignore_hw is not None:
        numbers[ignore_hw] = 2
    for k, mask_hw in enumerate(masks):
        _outline(numbers, mask_hw, line=3 + k % len(OBJECT_COLOURS), casing=1)
    return Layer(numbers, [CLEAR, CASING, IGNORE, *((*colour, 255) for colour in OBJECT_COLOURS)])


def items_layer(decoded: Decoded, size: tuple[int, int]) -> Layer:
    """Return each item's mask as a fill and its box as a frame, in the item's colour; ``size`` is (width, height)."""
    count = len(OBJECT_COLOURS)
    numbers = np.zeros(size[::-1], dtype=np.uint8)
    for k, item in enumerate(decoded.items):
        if item.mask is not None:
            numbers[full_mask(item.mask)] = 1 + k % count
    for k, item in enumerate(decoded.items):
        if item.box_px_xyxy is not None:
            x0, y0, x1, y1 = (max(0, round(edge)) for edge in item.box_px_xyxy)
            _frame(numbers, (x0, y0, x1, y1), 1 + count + k % count, width_px=2)
    fills = [(*colour, FILL_ALPHA) for colour in OBJECT_COLOURS]
    return Layer(numbers, [CLEAR, *fills, *((*colour, 255) for colour in OBJECT_COLOURS)])


def ignored(sample: Sample, size: tuple[int, int]) -> BoolMask | None:
    """Return the pixels that do not count, at the shown ``size`` (width, height); None where all do."""
    if sample.truth.ignore is None:
        return None
    return shrink(region_mask(sample.truth.ignore, sample.truth.height_px, sample.truth.width_px), size)
