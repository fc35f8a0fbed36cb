"""Contours -> mask: a pixel belongs to a ring when its centre lies inside (even-odd). Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from evalkit.decode.codes import Unreadable
from evalkit.decode.mask_reading import PixelBudget
from evalkit.types import BoxPx, CropMask

if TYPE_CHECKING:
    from evalkit.types import BoolMask

Ring = NDArray[np.float64]
"""N x 2 points (x, y) in pixels of the image; the last joins the first."""

MAX_RINGS: Final = 1000
_EDGE_ROWS_AT_ONCE: Final = 2_000_000


def fill_rings(rings_px: Sequence[Ring], height_px: int, width_px: int, budget: PixelBudget) -> CropMask:
    """Return the region of one or more rings, cut to the image.

    Rings are laid down from the largest to the smallest: one that lies inside what is already
    filled is a hole, any other adds to it (an island in a hole too). Overlapping neighbours are
    united, never cancelled. A ring given twice counts once. Raises ``Unreadable``:
    polygon_degenerate where no pixel centre is inside, too_large.
    """
    boxes = [box for ring in rings_px if (box := _extent(ring, height_px, width_px)) is not None]
    if len(rings_px) > MAX_RINGS:
        raise Unreadable("too_large")
    if not boxes:
        raise Unreadable("polygon_degenerate")
    x0, y0 = min(box[0] for box in boxes), min(box[1] for box in boxes)
    x1, y1 = max(box[2] for box in boxes), max(box[3] for box in boxes)
    budget.spend((x1 - x0) * (y1 - y0))
    canvas = (
        _fill(rings_px[0], (x0, y0, x1, y1))
        if len(rings_px) == 1
        else _nest(rings_px, (x0, y0, x1, y1), budget)
    )
    if not canvas.any():
        raise Unreadable("polygon_degenerate")
    return CropMask(height_px, width_px, x0, y0, canvas)


def _extent(ring: Ring, height_px: int, width_px: int) -> BoxPx | None:
    """Return the pixels whose centres a ring can cover, on the image; None where there are none."""
    low, high = np.ceil(ring.min(axis=0) - 0.5), np.ceil(ring.max(axis=0) - 0.5)
    x0, y0 = max(int(low[0]), 0), max(int(low[1]), 0)
    x1, y1 = min(int(high[0]), width_px), min(int(high[1]), height_px)
    return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None


def _fill(ring: Ring, window: BoxPx) -> BoolMask:
    """Return one ring's pixels inside a window (bool, H x W) by counting edges to the left of each."""
    x0, y0, x1, y1 = window
    height, width = y1 - y0, x1 - x0
    start, end = ring, np.roll(ring, -1, axis=0)
    upward = start[:, 1] > end[:, 1]
    top = np.where(upward[:, None], end, start)
    bottom = np.where(upward[:, None], start, end)
    first = np.clip(np.ceil(top[:, 1] - 0.5) - y0, 0, height).astype(np.int64)
    rows = np.clip(np.ceil(bottom[:, 1] - 0.5) - y0, 0, height).astype(np.int64) - first
    toggles = np.zeros((height, width + 1), dtype=np.uint8)
    for part in _parts(rows):
        _toggle(toggles, top[part], bottom[part], first[part], rows[part], window)
    return np.bitwise_xor.accumulate(toggles[:, :width], axis=1).view(bool)


def _parts(rows: NDArray[np.int64]) -> list[slice]:
    """Cut the edges so that no part crosses more rows than fit in memory comfortably."""
    if int(rows.sum()) <= _EDGE_ROWS_AT_ONCE:
        return [slice(0, rows.size)]
    groups = np.cumsum(rows) // _EDGE_ROWS_AT_ONCE
    cuts = [0, *(np.flatnonzero(np.diff(groups)) + 1).tolist(), rows.size]
    return [slice(a, b) for a, b in zip(cuts[:-1], cuts[1:], strict=True)]


def _toggle(toggles: Any, top: Ring, bottom: Ring, first: Any, rows: Any, window: BoxPx) -> None:
    """Flip, in every row that an edge crosses, the first pixel whose centre is right of the edge."""
    x0, y0, x1, _ = window
    total = int(rows.sum())
    if not total:
        return
    edge = np.repeat(np.arange(rows.size), rows)
    row = np.arange(total) - np.repeat(np.cumsum(rows) - rows, rows) + first[edge]
    rise = bottom[:, 1] - top[:, 1]
    slope = (bottom[:, 0] - top[:, 0]) / np.where(rise > 0, rise, 1.0)
    crossing = top[edge, 0] + (row + y0 + 0.5 - top[edge, 1]) * slope[edge]
    column = np.clip(np.ceil(crossing - 0.5) - x0, 0, x1 - x0).astype(np.int64)
    width = toggles.shape[1]
    np.bitwise_xor.at(toggles.reshape(-1), row * width + column, 1)


def _nest(rings_px: Sequence[Ring], window: BoxPx, budget: PixelBudget) -> BoolMask:
    """Lay rings down from the largest to the smallest: inside the filled region = a hole."""
    x0, y0, x1, y1 = window
    canvas = np.zeros((y1 - y0, x1 - x0), dtype=bool)
    shapes: list[tuple[int, int, int, BoolMask]] = []
    seen: set[bytes] = set()
    for ring in rings_px:
        box = _extent(ring, y1, x1)
        if box is None or ring.tobytes() in seen:
            continue
        seen.add(ring.tobytes())
        budget.spend((box[2] - box[0]) * (box[3] - box[1]))
        shape = _fill(ring, box)
        shapes.append((int(np.count_nonzero(shape)), box[0] - x0, box[1] - y0, shape))
    for pixels, left, top, shape in sorted(shapes, key=lambda entry: -entry[0]):
        below = canvas[top : top + shape.shape[0], left : left + shape.shape[1]]
        # A hole may share its edge with the ring around it: a hundredth of its pixels is let pass.
        inside = np.count_nonzero(below & shape) >= 0.99 * pixels > 0
        below[shape] = not inside
    return canvas
