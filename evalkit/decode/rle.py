"""``rle``: COCO run lengths of the full image, compressed or not; predictions made elsewhere use it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from evalkit.decode.boxes import finite
from evalkit.decode.codes import Unreadable
from evalkit.decode.mask_reading import Context, MaskRead
from evalkit.types import CropMask


def is_rle(value: Any) -> bool:
    """Return True for an object with ``size`` and ``counts``."""
    return isinstance(value, dict) and "counts" in value and "size" in value


def read_rle(value: dict[str, Any], context: Context) -> MaskRead:
    """Return the mask. Raises ``Unreadable``: wrong_shape (another size, runs that do not add up), mask_empty."""
    size, counts = value["size"], value["counts"]
    height_px, width_px = context.height_px, context.width_px
    if not isinstance(size, list) or size != [height_px, width_px]:
        raise Unreadable("wrong_shape")
    runs = _runs(counts, height_px * width_px)
    context.budget.spend(_columns_px(runs, height_px))
    return MaskRead(_crop(runs, height_px, width_px))


def _runs(counts: Any, total_px: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return the run lengths, background first, checked to cover the image exactly."""
    if isinstance(counts, str):
        runs = _uncompress(counts)
    elif isinstance(counts, list) and all(finite(run) and run == int(run) for run in counts):
        runs = [int(run) for run in counts]
    else:
        raise Unreadable("wrong_shape")
    if not runs or min(runs) < 0 or max(runs) > total_px or sum(runs) != total_px:
        raise Unreadable("wrong_shape")
    return np.asarray(runs, dtype=np.int64)


def _uncompress(counts: str) -> Sequence[int]:
    """Undo COCO's compression (pycocotools common/maskApi.c, ``rleFrString``).

    Five bits a character from ASCII 48, 32 = more follow; from the fourth run on a run is stored
    as the difference to the one two before.
    """
    runs: list[int] = []
    value, shift = 0, 0
    for character in counts:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 40:
            raise Unreadable("wrong_shape")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        if len(runs) > 2:
            value += runs[-2]
        runs.append(value)
        value, shift = 0, 0
    if shift:
        raise Unreadable("wrong_shape")
    return runs


def _columns_px(runs: np.ndarray[Any, np.dtype[np.int64]], height_px: int) -> int:
    """Return the pixels of the columns that hold foreground."""
    solid = np.flatnonzero(runs[1::2])
    if solid.size == 0:
        raise Unreadable("mask_empty")
    ends = np.cumsum(runs)
    first = int(ends[2 * solid[0]]) // height_px
    last = (int(ends[2 * solid[-1] + 1]) - 1) // height_px
    return (last - first + 1) * height_px


def _crop(runs: np.ndarray[Any, np.dtype[np.int64]], height_px: int, width_px: int) -> CropMask:
    """Return the crop of the columns that hold foreground, cut to its rows too."""
    solid = np.flatnonzero(runs[1::2])
    ends = np.cumsum(runs)
    first = int(ends[2 * solid[0]]) // height_px
    last = (int(ends[2 * solid[-1] + 1]) - 1) // height_px
    toggles = np.zeros((last - first + 1) * height_px + 1, dtype=np.int8)
    offset = first * height_px
    kept = runs[1::2] > 0
    np.add.at(toggles, ends[0::2][: kept.size][kept] - offset, 1)
    np.add.at(toggles, ends[1::2][kept] - offset, -1)
    columns = np.cumsum(toggles[:-1], dtype=np.int8).astype(bool).reshape(last - first + 1, height_px)
    rows = np.flatnonzero(columns.any(axis=0))
    y0, y1 = int(rows[0]), int(rows[-1]) + 1
    return CropMask(height_px, width_px, first, y0, columns[:, y0:y1].T)
