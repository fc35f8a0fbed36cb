"""The ground truth of one sample as arrays, built once and used for the answers of every model."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from evalkit.masks import (
    area,
    box_of,
    crop_union,
    crop_without,
    full_mask,
    region_crop,
    region_mask,
    ring_overlap,
)
from evalkit.metrics.boundary import boundary_radius_px, erode
from evalkit.types import CropMask, GroundTruth

if TYPE_CHECKING:
    from evalkit.types import BoolMask

FloatBox = tuple[float, float, float, float]
"""(x0, y0, x1, y1) in pixels, half open."""


class Truth:
    """The arrays of one ground truth, each made when first asked for and then kept.

    Masks are ``bool``, H x W of the full image; boxes are ``(x0, y0, x1, y1)`` pixels, half open.
    Raises ``DataError`` where a region cannot be read or has another size than its image.
    """

    def __init__(self, truth: GroundTruth) -> None:
        self.source = truth
        self.height_px = truth.height_px
        self.width_px = truth.width_px
        self.no_target = truth.no_target

    @cached_property
    def ignore_hw(self) -> BoolMask | None:
        """Pixels that count neither for nor against, None where there are none."""
        ignore = self.source.ignore
        return None if ignore is None else region_mask(ignore, self.height_px, self.width_px)

    @cached_property
    def instances(self) -> tuple[CropMask, ...]:
        """The target objects one by one."""
        return tuple(region_crop(region, self.height_px, self.width_px) for region in self.source.instances)

    @cached_property
    def mask(self) -> CropMask:
        """The target: the union of the instances without the ignored pixels."""
        nothing = CropMask(self.height_px, self.width_px, 0, 0, np.zeros((0, 0), dtype=bool))
        union = crop_union(self.instances or [nothing])
        return union if self.ignore_hw is None else crop_without(union, self.ignore_hw)

    @cached_property
    def mask_hw(self) -> BoolMask:
        """The target as a full image, for protocols that need one."""
        return full_mask(self.mask)

    @cached_property
    def area_px(self) -> int:
        """Pixels of the target."""
        return area(self.mask)

    @cached_property
    def box_px_xyxy(self) -> FloatBox | None:
        """The dataset's own box where it has one, else the target's tight box; None without a target."""
        if self.source.box_px_xyxy is not None:
            return self.source.box_px_xyxy
        return box_of_crop(self.mask)

    @cached_property
    def boundary(self) -> CropMask:
        """The target's boundary (see ``boundary_iou``) without the ignored pixels."""
        whole = self.mask
        rim_hw = whole.crop_hw.copy()
        radius = boundary_radius_px(self.height_px, self.width_px)
        height, width = rim_hw.shape
        if height > 2 * radius and width > 2 * radius:
            rim_hw[radius : height - radius, radius : width - radius] &= ~erode(whole.crop_hw, radius)
        return CropMask(whole.height_px, whole.width_px, whole.x0_px, whole.y0_px, rim_hw)

    @cached_property
    def boundary_area_px(self) -> int:
        """Pixels of the boundary."""
        return area(self.boundary)

    @cached_property
    def overlap_hw(self) -> BoolMask:
        """Pixels that more than one polygon or instance covers: where refer's summed masks are 2 or more."""
        height_px, width_px = self.height_px, self.width_px
        kept = self.source.overlap
        rings_hw = ring_overlap(self.source) if kept is None else region_mask(kept, height_px, width_px)
        times_covered = np.zeros((height_px, width_px), dtype=np.int16)
        for region in self.source.instances:
            times_covered += region_mask(region, height_px, width_px)
        return times_covered > 1 if rings_hw is None else (times_covered > 1) | rings_hw

    @cached_property
    def alternatives(self) -> tuple[Truth, ...]:
        """The further annotators of the same sample."""
        return tuple(Truth(other) for other in self.source.alternatives)


def box_of_crop(crop: CropMask | None) -> FloatBox | None:
    """Return the tight box of a mask in the image, None where it has no pixel."""
    inside = None if crop is None or not crop.crop_hw.size else box_of(crop.crop_hw)
    if crop is None or inside is None:
        return None
    x0, y0, x1, y1 = inside
    return x0 + crop.x0_px, y0 + crop.y0_px, x1 + crop.x0_px, y1 + crop.y0_px
