"""``rle``: COCO run lengths of the full image, compressed or not; predictions made elsewhere use it."""

from __future__ import annotations

from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from evalkit.decoding.boxes import finite
from evalkit.decoding.codes import Unreadable
from evalkit.decoding.context import Context, MaskRead, WireFormat
from evalkit.types import CropMask

Runs = NDArray[np.int64]

_MAX_CHARACTERS: Final = 7
"""Characters of one run: 35 bits, far more pixels than any image has."""


def is_rle(value: Any) -> bool:
    """Return True for an object with ``counts``; without a ``size`` too, which is then told."""
    return isinstance(value, dict) and "counts" in value


def read_rle(value: dict[str, Any], context: Context) -> MaskRead:
    """Return the mask. Raises ``Unreadable``: wrong_shape (another size, runs that do not add up), mask_empty."""
    size, counts = value.get("size"), value["counts"]
    height_px, width_px = context.height_px, context.width_px
    if not isinstance(size, list) or size != [height_px, width_px]:
        raise Unreadable("wrong_shape")
    return MaskRead(_crop(_runs(counts, height_px * width_px), context))


def _runs(counts: Any, total_px: int) -> Runs:
    """Return the run lengths, background first, checked to cover the image exactly."""
    if isinstance(counts, str):
        runs = _uncompress(counts)
    elif isinstance(counts, list) and all(finite(run) and run == int(run) for run in counts):
        runs = np.array(counts, dtype=np.int64)
    else:
        raise Unreadable("wrong_shape")
    if not runs.size or runs.min() < 0 or runs.max() > total_px or int(runs.sum()) != total_px:
        raise Unreadable("wrong_shape")
    return runs


def _uncompress(counts: str) -> Runs:
    """Undo COCO's compression (pycocotools common/maskApi.c, ``rleFrString``).

    Five bits a character from ASCII 48, 32 = more follow, the last one's 16 = negative; from the
    fourth run on a run is stored as the difference to the one two before.
    """
    codes = np.frombuffer(counts.encode("utf-8", "replace"), dtype=np.uint8).astype(np.int64) - 48
    ends = np.flatnonzero(codes & 32 == 0)
    if not codes.size or codes.min() < 0 or codes.max() > 63 or not ends.size or ends[-1] != codes.size - 1:
        raise Unreadable("wrong_shape")
    starts = np.concatenate(([0], ends[:-1] + 1))
    lengths = ends - starts + 1
    if lengths.max() > _MAX_CHARACTERS:
        raise Unreadable("wrong_shape")
    shifts = 5 * (np.arange(codes.size) - starts.repeat(lengths))
    runs = np.add.reduceat((codes & 31) << shifts, starts)
    runs -= np.where(codes[ends] & 16, 1 << (5 * lengths), 0)
    runs[1::2] = runs[1::2].cumsum()
    runs[2::2] = runs[2::2].cumsum()
    return cast("Runs", runs)


def _crop(runs: Runs, context: Context) -> CropMask:
    """Return the columns that hold foreground, cut to its rows too. Raises ``Unreadable`` (mask_empty)."""
    height_px = context.height_px
    solid = np.flatnonzero(runs[1::2])
    if not solid.size:
        raise Unreadable("mask_empty")
    begin, end = 2 * int(solid[0]) + 1, 2 * int(solid[-1]) + 2
    start_px = int(runs[:begin].sum())
    stop_px = start_px + int(runs[begin:end].sum())
    x0, x1 = start_px // height_px, -(-stop_px // height_px)
    context.budget.spend((x1 - x0) * height_px)
    lengths = np.concatenate(([start_px - x0 * height_px], runs[begin:end], [x1 * height_px - stop_px]))
    foreground = np.arange(lengths.size) % 2 == 1
    columns = foreground.repeat(lengths).reshape(x1 - x0, height_px)
    rows = np.flatnonzero(columns.any(axis=0))
    y0, y1 = int(rows[0]), int(rows[-1]) + 1
    return CropMask(height_px, context.width_px, x0, y0, np.ascontiguousarray(columns[:, y0:y1].T))


FORMAT = WireFormat(
    "rle",
    'COCO run lengths {"size": [h, w], "counts": ...} of the full image',
    is_rle,
    read_rle,
    ("other",),
    needs_box=False,
)
