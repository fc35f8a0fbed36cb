"""Polygons as ``cv2.fillPoly`` and ``cv2.polylines`` (thickness 1) draw them, pixel for pixel, without OpenCV.

ReasonSeg's ground truth is defined by these two calls (dvlab-research/LISA: utils/data_processing.py), and
they differ from pycocotools and from Pillow by about a pixel along edges. Reproduced from the behaviour of
OpenCV (modules/imgproc/src/drawing.cpp): integer vertices, 8-connected lines, even-odd filling. Equal to
4.12.0 and 5.0.0 on 3,000 random polygons, half of them partly outside the image. OpenCV 4.8 rounds where
these cut off, which adds single pixels to right edges that run exactly between two pixels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evalkit.types import BoolMask

    Points = NDArray[np.int64]

FRACTION_BITS = 16
"""Fixed-point digits of an edge's x, as OpenCV's XY_SHIFT."""

ONE = 1 << FRACTION_BITS

Point = tuple[int, int]


def fill_polygon(points_px: Points, height_px: int, width_px: int) -> BoolMask:
    """Return the polygon with its outline as bool, H x W; ``points_px``: integer (x, y), N x 2."""
    mask_hw = np.zeros((height_px, width_px), dtype=bool)
    points = [(int(x), int(y)) for x, y in points_px]
    edges = []
    for start, end in zip([points[-1], *points[:-1]], points, strict=True):
        first, last, visible = _clip(start, end, height_px, width_px)
        if visible:
            _draw_line(mask_hw, first, last)
        if start[1] != end[1]:
            edges.append(_edge(start, end, first, last))
    if edges:
        _fill_between(mask_hw, np.array(edges, dtype=np.int64))
    return mask_hw


def _draw_line(mask_hw: BoolMask, start: Point, end: Point) -> None:
    """Set an 8-connected line (Bresenham, drawn from the left end) whose ends lie inside the image."""
    if start[0] > end[0]:
        start, end = end, start
    (x0, y0), (x1, y1) = start, end
    across, down = x1 - x0, abs(y1 - y0)
    longer, shorter = max(across, down), min(across, down)
    steps = np.arange(longer + 1, dtype=np.int64)
    minor = (2 * shorter * steps + longer - 1) // (2 * longer) if longer else steps
    sign = 1 if y1 >= y0 else -1
    if across >= down:
        mask_hw[y0 + sign * minor, x0 + steps] = True
    else:
        mask_hw[y0 + sign * steps, x0 + minor] = True


def _clip(start: Point, end: Point, height_px: int, width_px: int) -> tuple[Point, Point, bool]:
    """Return the ends of a line cut to the image as cv2.clipLine does, and whether any of it is inside.

    Rows are cut first, then columns, in integers by truncation; a line found to be outside keeps the
    ends it has by then.
    """
    ends = [list(start), list(end)]
    size = (width_px, height_px)
    for axis in (1, 0):
        if _beyond(ends, size):
            break
        for point in ends:
            bound = min(max(point[axis], 0), size[axis] - 1)
            if bound != point[axis]:
                run = ends[1][axis] - ends[0][axis]
                rise = ends[1][1 - axis] - ends[0][1 - axis]
                point[1 - axis] += int(float(bound - point[axis]) * rise / run)
                point[axis] = bound
    return (ends[0][0], ends[0][1]), (ends[1][0], ends[1][1]), not _beyond(ends, size)


def _beyond(ends: list[list[int]], size: Point) -> bool:
    """Tell whether both ends lie beyond the same side of the image of ``(width, height)`` px."""
    return any(
        all(point[axis] < 0 for point in ends) or all(point[axis] >= size[axis] for point in ends)
        for axis in (0, 1)
    )


def _edge(start: Point, end: Point, first: Point, last: Point) -> tuple[int, int, int, int]:
    """Return ``(top row, row after the last, x at the top row, x per row)``, x in fixed point.

    ``first`` and ``last`` are the clipped ends: OpenCV takes x from them always, the rows that x belongs
    to only where they differ.
    """
    rows = (first[1], last[1]) if first[1] != last[1] else (start[1], end[1])
    slope = int((last[0] - first[0]) * ONE / (rows[1] - rows[0]))
    down = start[1] < end[1]
    anchor_x, anchor_row = (first[0], rows[0]) if down else (last[0], rows[1])
    top, bottom = (start[1], end[1]) if down else (end[1], start[1])
    return top, bottom, anchor_x * ONE + (top - anchor_row) * slope, slope


def _fill_between(mask_hw: BoolMask, edges: Points) -> None:
    """Set the pixels between each odd crossing and the next, row by row (even-odd rule)."""
    height_px, width_px = mask_hw.shape
    first, last = max(0, int(edges[:, 0].min())), min(height_px, int(edges[:, 1].max()))
    for row in range(first, last):
        active = edges[(edges[:, 0] <= row) & (row < edges[:, 1])]
        crossings = np.sort(active[:, 2] + (row - active[:, 0]) * active[:, 3])
        left = np.maximum((crossings[0::2] + ONE - 1) >> FRACTION_BITS, 0)
        right = np.minimum(crossings[1::2] >> FRACTION_BITS, width_px - 1)
        for x0, x1 in zip(left, right, strict=True):
            mask_hw[row, x0 : max(x0, x1 + 1)] = True
