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
    height, width = mask_hw.shape
    if min(height, width) < size:
        return np.zeros((max(0, height - size + 1), max(0, width - size + 1)), dtype=bool)
    # Both passes run over memory in one piece: a window that reaches into the next row starts right of the last
    # column that is kept.
    upright = _all_in_window(np.ascontiguousarray(mask_hw).reshape(-1), size, width)
    sideways = np.empty(upright.size, dtype=bool)
    sideways[: upright.size - size + 1] = _all_in_window(upright, size, 1)
    return sideways.reshape(-1, width)[:, : width - size + 1]


def _all_in_window(flat: BoolMask, size: int, stride: int) -> BoolMask:
    """Return pixel i = all of pixels i, i + stride .. i + (size - 1) * stride, by doubling the window."""
    have = 1
    while have < size:
        step = min(have, size - have)  # windows of `have` pixels that start `step` apart cover have + step
        flat = flat[: -step * stride] & flat[step * stride :]
        have += step
    return flat
