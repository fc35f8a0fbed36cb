"""Contours -> mask: a pixel belongs to a ring when its centre lies inside (even-odd). Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from evalkit.decoding.budget import PixelBudget
from evalkit.decoding.codes import Unreadable
from evalkit.masks import crop_union
from evalkit.types import BoxPx, CropMask

if TYPE_CHECKING:
    from evalkit.types import BoolMask

Ring = NDArray[np.float64]
"""N x 2 points (x, y) in pixels of the image; the last joins the first."""

MAX_RINGS: Final = 1000
MAX_CROSSINGS: Final = 1_000_000
"""Edges times the pixel rows they cross: a contour with more is noise (our choice)."""
_CROSSING_COST_PX: Final = 10


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
    window = (x0, y0, x1, y1)
    canvas = _fill(rings_px[0], window, budget) if len(rings_px) == 1 else _nest(rings_px, window, budget)
    if not canvas.any():
        raise Unreadable("polygon_degenerate")
    return CropMask(height_px, width_px, x0, y0, canvas)


def fill_pieces(
    rings_px: Sequence[Ring],
    pieces: Sequence[int] | None,
    height_px: int,
    width_px: int,
    budget: PixelBudget,
) -> CropMask:
    """Return the region of rings of which the answer says how they belong together, cut to the image.

    ``pieces``: the number of rings of each piece, its outline first and its holes after it; pieces are
    united. None = nothing says so: see ``fill_rings``. Raises ``Unreadable`` as that does.
    """
    if pieces is None or len(rings_px) == 1:
        return fill_rings(rings_px, height_px, width_px, budget)
    if len(rings_px) > MAX_RINGS:
        raise Unreadable("too_large")
    masks: list[CropMask] = []
    start = 0
    for rings in pieces:
        outline = _extent(rings_px[start], height_px, width_px)
        if outline is not None:
            budget.spend((outline[2] - outline[0]) * (outline[3] - outline[1]))
            canvas = _fill(rings_px[start], outline, budget)
            for hole in rings_px[start + 1 : start + rings]:
                budget.spend(canvas.size)
                canvas &= ~_fill(hole, outline, budget)
            if canvas.any():
                masks.append(CropMask(height_px, width_px, outline[0], outline[1], canvas))
        start += rings
    if not masks:
        raise Unreadable("polygon_degenerate")
    budget.spend(height_px * width_px)
    return crop_union(masks)


def _extent(ring: Ring, height_px: int, width_px: int) -> BoxPx | None:
    """Return the pixels whose centres a ring can cover, on the image; None where there are none."""
    (left, top), (right, bottom) = ring.min(axis=0).tolist(), ring.max(axis=0).tolist()
    x0, y0 = max(math.ceil(left - 0.5), 0), max(math.ceil(top - 0.5), 0)
    x1, y1 = min(math.ceil(right - 0.5), width_px), min(math.ceil(bottom - 0.5), height_px)
    return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None


def _fill(ring: Ring, window: BoxPx, budget: PixelBudget) -> BoolMask:
    """Return one ring's pixels inside a window (bool, H x W).

    In every row of pixel centres the edges that cross it are sorted; foreground lies between the
    first and the second, the third and the fourth... (even-odd).
    """
    x0, y0, x1, y1 = window
    height, width = y1 - y0, x1 - x0
    x, y = ring[:, 0], ring[:, 1]
    # Rows whose centre lies in [top, bottom) of the edge: a vertex on a centre counts once.
    row_a = np.ceil(y - (y0 + 0.5)).clip(0, height).astype(np.int64)
    row_b = np.concatenate((row_a[1:], row_a[:1]))
    first, rows = np.minimum(row_a, row_b), np.abs(row_a - row_b)
    total = int(rows.sum())
    if total > MAX_CROSSINGS:
        raise Unreadable("too_large")
    budget.spend(_CROSSING_COST_PX * total)
    rise, run = np.concatenate((y[1:], y[:1])) - y, np.concatenate((x[1:], x[:1])) - x
    slope = run / np.where(rows > 0, rise, 1.0)
    edge = np.arange(rows.size).repeat(rows)
    row = np.arange(total) - (rows.cumsum() - rows - first).repeat(rows)
    crossing_x = x[edge] + (row + (y0 + 0.5) - y[edge]) * slope[edge]
    column = np.ceil(crossing_x - (x0 + 0.5)).clip(0, width).astype(np.int64)
    borders = np.concatenate(([0], np.sort(row * width + column), [height * width]))
    inside = np.zeros(borders.size - 1, dtype=bool)
    inside[1::2] = True
    return np.repeat(inside, np.diff(borders)).reshape(height, width)


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
        shape = _fill(ring, box, budget)
        shapes.append((int(np.count_nonzero(shape)), box[0] - x0, box[1] - y0, shape))
    for pixels, left, top, shape in sorted(shapes, key=lambda entry: -entry[0]):
        below = canvas[top : top + shape.shape[0], left : left + shape.shape[1]]
        # A hole may share its edge with the ring around it: a hundredth of its pixels is let pass.
        inside = np.count_nonzero(below & shape) >= 0.99 * pixels > 0
        below[shape] = not inside
    return canvas
