"""What counts as the boundary of a mask: the pixels near its outline, as deep as the image is large."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from evalkit.types import BoolMask


BOUNDARY_DIAGONAL_RATIO = 0.02
"""Boundary width over image diagonal; bowenc0221/boundary-iou-api boundary_utils.py, 37d25586a677."""


def boundary_radius_px(height_px: int, width_px: int) -> int:
    """Return how many pixels deep a boundary is: 2 % of the image diagonal, at least 1."""
    return max(1, round(BOUNDARY_DIAGONAL_RATIO * math.hypot(height_px, width_px)))


def erode(mask_hw: BoolMask, radius_px: int) -> BoolMask:
    """Return the inner part of a mask whose (2 r + 1) x (2 r + 1) neighbourhood is all foreground.

    Shape (H - 2 r, W - 2 r): nothing nearer than r to the edge can survive, as all outside counts
    as background. It is r erosions with a 3x3 kernel, done by rows and then by columns.
    """
    size = 2 * radius_px + 1
    return _all_in_window(_all_in_window(mask_hw, size).T, size).T


def _all_in_window(mask: BoolMask, size: int) -> BoolMask:
    """Return row i = all of rows i .. i + size - 1, shape (H - size + 1, W), by doubling the window."""
    if mask.shape[0] < size:
        return np.zeros((0, mask.shape[1]), dtype=bool)
    have = 1
    while have < size:
        step = min(have, size - have)  # windows of `have` rows that start `step` apart cover have + step
        mask = mask[:-step] & mask[step:]
        have += step
    return mask
