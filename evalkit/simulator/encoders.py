"""How an object is written in each wire format: a mask and its box -> what stands under ``"mask"``.

Every function is pure. Masks are bool, H x W, of the full image; boxes are Gemini's
``[y0, x0, y1, x1]`` in 0..1000; polygon points are ``(x, y)`` in 0..1000 of the full image.
"""

from __future__ import annotations

import base64
import io
import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from evalkit.masks import box_of

if TYPE_CHECKING:
    from evalkit.types import BoolMask, BoxPx

BoxNorm = tuple[int, int, int, int]
"""``(y0, x0, y1, x1)`` in 0..1000 of the full image."""

Points = list[tuple[int, int]]
"""Polygon corners ``(x, y)`` in 0..1000 of the full image."""

MAP_SIDE_PX = 256
"""Side of the PNG inside a box, as in all public answers of Gemini 2.5."""

DATA_URL_PREFIX = "data:image/png;base64,"


def box_norm(mask_hw: BoolMask) -> BoxNorm | None:
    """Return the smallest 0..1000 box that still holds the mask when it is truncated to pixels."""
    box = box_of(mask_hw)
    if box is None:
        return None
    height_px, width_px = mask_hw.shape
    x0, y0, x1, y1 = box
    return (
        y0 * 1000 // height_px,
        x0 * 1000 // width_px,
        -(-y1 * 1000 // height_px),
        -(-x1 * 1000 // width_px),
    )


def box_px(box: BoxNorm, height_px: int, width_px: int) -> BoxPx:
    """Return the pixel box ``(x0, y0, x1, y1)`` of a 0..1000 box, truncated as Google's sample does.

    At least one pixel in each direction, inside the image.
    """
    y0, x0, y1, x1 = box
    left = min(x0 * width_px // 1000, width_px - 1)
    top = min(y0 * height_px // 1000, height_px - 1)
    right = min(max(x1 * width_px // 1000, left + 1), width_px)
    bottom = min(max(y1 * height_px // 1000, top + 1), height_px)
    return left, top, right, bottom


def png_bytes(mask_hw: BoolMask) -> bytes:
    """Return the mask as an 8-bit grey PNG with the values 0 and 255."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(np.where(mask_hw, 255, 0).astype(np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def box_map(mask_hw: BoolMask, box: BoxNorm, side_px: int = MAP_SIDE_PX) -> BoolMask:
    """Return what of the mask lies in the box, resized to ``side_px`` x ``side_px``."""
    from PIL import Image

    x0, y0, x1, y1 = box_px(box, *mask_hw.shape)
    crop = Image.fromarray(mask_hw[y0:y1, x0:x1].astype(np.uint8) * 255)
    resized = crop.resize((side_px, side_px), Image.Resampling.BILINEAR)
    return np.asarray(resized) > 127


def png_data_url(mask_hw: BoolMask, box: BoxNorm) -> str:
    """Spell the documented format: a PNG of the box's inside as a data URL."""
    return DATA_URL_PREFIX + base64.b64encode(png_bytes(box_map(mask_hw, box))).decode("ascii")


def mask_tokens(rng: np.random.Generator, count: int = 16) -> str:
    """Spell a leaked mask: ``<start_of_mask>`` and ``count`` codes below 128 (they mean nothing)."""
    return "<start_of_mask>" + "".join(f"<seg_{code}>" for code in rng.integers(0, 128, count))


def outline(mask_hw: BoolMask, tolerance_px: float = 1.0) -> Points:
    """Return the largest outer contour of the mask as 0..1000 points; at least 3, else empty.

    The contour is taken at pixel corners' scale (a pixel's centre lies at +0.5) and thinned by
    Douglas and Peucker with ``tolerance_px``; holes and smaller parts are lost, as they are in the
    polygons that models write.
    """
    from skimage import measure

    box = box_of(mask_hw)
    if box is None:
        return []
    tools: Any = measure  # scikit-image ships no types
    x0, y0, x1, y1 = box
    padded = np.pad(mask_hw[y0:y1, x0:x1], 1).astype(np.float32)
    ring = max(tools.find_contours(padded, 0.5), key=_shoelace_area)
    thinned = tools.approximate_polygon(ring, tolerance_px)[:-1]
    height_px, width_px = mask_hw.shape
    points = [
        (round((x0 + column - 0.5) * 1000 / width_px), round((y0 + row - 0.5) * 1000 / height_px))
        for row, column in thinned.tolist()
    ]
    inside = [(min(max(x, 0), 1000), min(max(y, 0), 1000)) for x, y in points]
    distinct = [point for index, point in enumerate(inside) if point != inside[index - 1]]
    return distinct if len(distinct) >= 3 else []


def _shoelace_area(ring: Any) -> float:
    row, column = ring[:-1, 0], ring[:-1, 1]
    return float(abs(np.dot(row, np.roll(column, -1)) - np.dot(column, np.roll(row, -1))))


def pairs_xy(points: Points) -> list[list[int]]:
    """Spell ``[[x, y], ...]``, what prompts ask for."""
    return [[x, y] for x, y in points]


def pairs_yx(points: Points) -> list[list[int]]:
    """Spell ``[[y, x], ...]``, what models at times write although asked for x first."""
    return [[y, x] for x, y in points]


def flat_yx(points: Points) -> list[int]:
    """Spell ``[y, x, y, x, ...]``."""
    return [value for x, y in points for value in (y, x)]


def chunked_yx(points: Points) -> list[list[int]]:
    """Spell one ring cut into rows of two points: ``[[y, x, y, x], [...]]``."""
    flat = flat_yx(points)
    return [flat[start : start + 4] for start in range(0, len(flat), 4)]


def string_yx(points: Points) -> str:
    """Spell ``"y,x,y,x"``."""
    return ",".join(str(value) for value in flat_yx(points))


def points_xy(points: Points) -> list[dict[str, int]]:
    """Spell ``[{"x": x, "y": y}, ...]``."""
    return [{"x": x, "y": y} for x, y in points]


def flat_px(points: Points, width_px: int, height_px: int) -> list[int]:
    """Spell ``[x, y, x, y, ...]`` in pixels of an image of that size, as models do that are told the size."""
    return [value for x, y in points for value in (round(x * width_px / 1000), round(y * height_px / 1000))]


def svg_path(points: Points) -> str:
    """Spell ``M 0.1 0.6 L 0.3 0.6 ... Z`` in 0..1 of the full image."""
    return "M " + " L ".join(f"{x / 1000:g} {y / 1000:g}" for x, y in points) + " Z"


def unit_box(points: Points) -> dict[str, float]:
    """Spell the box around points by its sides in 0..1 of the full image."""
    xs, ys = [x / 1000 for x, _ in points], [y / 1000 for _, y in points]
    return {"x_min": min(xs), "y_min": min(ys), "x_max": max(xs), "y_max": max(ys)}


def sub_boxes(mask_hw: BoolMask, rows: int = 4) -> list[list[int]]:
    """Spell the mask as a list of ``[y0, x0, y1, x1]`` boxes, one for each of ``rows`` bands."""
    box = box_of(mask_hw)
    if box is None:
        return []
    edges = np.linspace(box[1], box[3], rows + 1).astype(int)
    boxes = []
    for top, bottom in itertools.pairwise(edges):
        band = np.zeros_like(mask_hw)
        band[top:bottom] = mask_hw[top:bottom]
        norm = box_norm(band)
        if norm is not None:
            boxes.append(list(norm))
    return boxes
