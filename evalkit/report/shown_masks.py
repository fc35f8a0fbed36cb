"""Masks as the page draws them: run lengths of the crop that holds the foreground, on the page's grid. Pure.

The browser draws outlines, fills and differences from these run lengths. An image of at most ``GRID_SIDE_PX`` on
its longest side keeps every pixel; a larger one is reduced by a whole factor, which its page says.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from evalkit.masks import crop_union, reduced_crop, region_crop, rle_encode

if TYPE_CHECKING:
    from evalkit.types import CropMask, Decoded, GroundTruth, Region

GRID_SIDE_PX = 1280
"""Longest side of the grid that masks are shown on: more than a picture takes on most screens."""

ShownMask = tuple[int, int, int, int, str]
"""``x0, y0, width, height`` of the crop in cells of the grid, and its run lengths in COCO's compressed coding."""


def grid_factor(width_px: int, height_px: int) -> int:
    """Return how many pixels of the image one cell of the page's grid is wide and high; 1 = every pixel is shown."""
    return max(1, -(-max(width_px, height_px) // GRID_SIDE_PX))


def shown_mask(crop: CropMask | None, factor: int) -> ShownMask | None:
    """Return a mask as the page draws it, None where it has no foreground on the grid."""
    if crop is None or not crop.crop_hw.size:
        return None
    if factor > 1:
        crop = reduced_crop(crop, factor)
    if not crop.crop_hw.any():
        return None
    height, width = crop.crop_hw.shape
    return crop.x0_px, crop.y0_px, width, height, rle_encode(crop.crop_hw).counts.decode("ascii")


def shown_regions(regions: Sequence[Region], truth: GroundTruth, factor: int) -> ShownMask | None:
    """Return the union of annotated regions as the page draws it. Raises ``DataError`` where one cannot be read."""
    if not regions or not truth.size_known:
        return None
    crops = [region_crop(region, truth.height_px, truth.width_px) for region in regions]
    return shown_mask(crop_union(crops), factor)


def shown_boxes(decoded: Decoded) -> list[list[float]]:
    """Return the boxes (``box_px_xyxy``) of an answer's items, those that have an area, to a hundredth of a pixel."""
    boxes = [item.box_px_xyxy for item in decoded.items if item.box_px_xyxy is not None]
    return [[round(edge, 2) for edge in box] for box in boxes if box[2] > box[0] and box[3] > box[1]]
