"""The ways annotation files write a region of pixels -> ``Region``; nothing is rasterised here.

Forms (cocodataset/cocoapi, PythonAPI/pycocotools/mask.py): compressed run lengths with ``counts``
as text or bytes, uncompressed ones with ``counts`` as a list, and polygons in pixels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from evalkit.errors import DataError
from evalkit.masks import require_drawable, rle_from_counts
from evalkit.types import Polygons, Region, Rle

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evalkit.types import BoolMask

RING_RULE = "a ring is a list of at least 3 points in pixels, flat [x, y, x, y, ...] or [[x, y], ...]"


def read_segmentation(value: Any, height_px: int, width_px: int, where: str) -> Region:
    """Return COCO's ``segmentation`` as a region: polygons, one run-length mapping, or a list of those.

    ``where`` (file and record) starts every complaint. Raises ``DataError`` on any other form, and on
    run lengths of another size than the image. Rings with fewer than 3 points are left out, as ReLA
    does (henghuiding/ReLA, gres_model/data/datasets/grefcoco.py).
    """
    if isinstance(value, Mapping):
        return read_rle(value, height_px, width_px, where)
    if isinstance(value, Sequence) and value and isinstance(value[0], Mapping):
        parts = [read_rle(part, height_px, width_px, where) for part in value]
        return parts[0] if len(parts) == 1 else union_of(parts)
    if isinstance(value, list):
        rings = tuple(
            tuple(ring) for ring in value if isinstance(ring, list) and len(ring) >= 6 and len(ring) % 2 == 0
        )
        if rings:
            for ring in rings:
                drawable_ring(ring, height_px, width_px, where)
            return Polygons(rings)
    raise DataError(
        f"{where}: segmentation {_shown(value)} is neither polygons nor run lengths with 'size' and 'counts'"
    )


def drawable_ring(ring_px: Sequence[float], height_px: int, width_px: int, where: str) -> None:
    """Raise ``DataError``, starting with ``where``, on a ring that holds no pixel coordinates of its image."""
    try:
        require_drawable(ring_px, height_px, width_px)
    except DataError as error:
        raise DataError(f"{where}: {error}. Correct it, or leave the annotation out") from error


def read_rle(value: Mapping[str, Any], height_px: int, width_px: int, where: str) -> Rle:
    """Return one run-length mapping, compressed or not, of exactly the image's size."""
    size = value.get("size", [height_px, width_px])
    counts = value.get("counts")
    if list(size) != [height_px, width_px]:
        raise DataError(
            f"{where}: the run lengths are of size {list(size)} (height, width) but the image is "
            f"{height_px} x {width_px}: a mask must have the size of its image"
        )
    if isinstance(counts, str | bytes):
        packed = counts.encode("ascii", "replace") if isinstance(counts, str) else counts
        return checked_rle(packed, height_px, width_px, where)
    if isinstance(counts, Sequence) and all(isinstance(run, int) for run in counts):
        try:
            return rle_from_counts(counts, height_px, width_px)
        except DataError as error:
            raise DataError(f"{where}: {error}") from error
    raise DataError(f"{where}: 'counts' is {_shown(counts)}, not text and not a list of integers")


def checked_rle(counts: bytes, height_px: int, width_px: int, where: str) -> Rle:
    """Return compressed run lengths after checking that they fill the image exactly.

    pycocotools trusts its input and would read past the end of damaged ones.
    """
    runs = _run_lengths(counts, where)
    total = int(runs.sum())
    if total != height_px * width_px or (runs < 0).any():
        raise DataError(
            f"{where}: the run lengths cover {total} pixels, not the {height_px} x {width_px} = "
            f"{height_px * width_px} of the image: they are damaged or of another image"
        )
    return Rle(height_px, width_px, counts)


def _run_lengths(counts: bytes, where: str) -> NDArray[np.int64]:
    """Return the runs that compressed ``counts`` hold: 5-bit digits, low first, then differences to the run before last."""
    digits = np.frombuffer(counts, dtype=np.uint8).astype(np.int64) - 48
    ends = np.flatnonzero((digits & 0x20) == 0)
    if (
        not digits.size
        or digits.min() < 0
        or digits.max() >= 64
        or ends.size == 0
        or ends[-1] != digits.size - 1
    ):
        raise DataError(f"{where}: {_shown(counts)} are not compressed run lengths, or were cut off")
    starts = np.concatenate([[0], ends[:-1] + 1])
    place = np.arange(digits.size) - np.repeat(starts, ends - starts + 1)
    if place.max() > 6:
        raise DataError(f"{where}: the compressed run lengths hold a run beyond any image")
    runs = np.add.reduceat((digits & 0x1F) << (5 * place), starts)
    runs -= np.where(digits[ends] & 0x10, np.int64(1) << (5 * (place[ends] + 1)), 0)
    runs[1::2] = np.cumsum(runs[1::2])
    runs[2::2] = np.cumsum(runs[2::2])
    return runs


def union_of(parts: Sequence[Rle]) -> Rle:
    """Return the union of run lengths of one size, clipped to 1 where they overlap."""
    from pycocotools import mask as coco_mask

    first = parts[0]
    coded: Any = [{"size": [part.height_px, part.width_px], "counts": part.counts} for part in parts]
    return Rle(first.height_px, first.width_px, coco_mask.merge(coded)["counts"])  # type: ignore[arg-type]


def read_rings(value: Any, height_px: int, width_px: int, where: str) -> Polygons:
    """Return polygons in pixels: one ring or several, each flat or as points. Raises ``DataError``."""
    if not isinstance(value, list) or not value:
        raise DataError(f"{where}: {_shown(value)} holds no ring; {RING_RULE}")
    if _is_number(value[0]) or all(_is_point(part) for part in value):
        value = [value]
    rings = tuple(_read_ring(ring, where) for ring in value)
    for ring in rings:
        drawable_ring(ring, height_px, width_px, where)
    return Polygons(rings)


def _read_ring(ring: Any, where: str) -> tuple[float, ...]:
    flat = list(chain.from_iterable(ring)) if isinstance(ring, list) and all(map(_is_point, ring)) else ring
    if not isinstance(flat, list) or len(flat) < 6 or len(flat) % 2 or not _are_numbers(flat):
        raise DataError(f"{where}: {_shown(ring)} is not a ring; {RING_RULE}")
    return tuple(map(float, flat))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9


def _are_numbers(values: Sequence[Any]) -> bool:
    """Tell what ``_is_number`` tells, of all at once: most of the time that a dataset takes to read goes here."""
    if set(map(type, values)) <= {int, float}:
        return all([-1e9 < value < 1e9 for value in values])  # noqa: C419  a list is twice as fast as a generator
    return all(map(_is_number, values))


def _is_point(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) == 2 and all(map(_is_number, value))


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def xywh_to_xyxy(box: Any, where: str) -> tuple[float, float, float, float] | None:
    """Return COCO's ``[x, y, width, height]`` in pixels as ``(x0, y0, x1, y1)``, half open; None for None."""
    if box is None:
        return None
    if not isinstance(box, Sequence) or len(box) != 4 or not all(map(_is_number, box)):
        raise DataError(f"{where}: box {_shown(box)} is not [x, y, width, height] in pixels")
    x, y, width, height = (float(number) for number in box)
    return x, y, x + width, y + height


def hull_of(
    boxes: Sequence[tuple[float, float, float, float] | None],
) -> tuple[float, float, float, float] | None:
    """Return the box around several boxes, or None where there is none or one is unknown."""
    known = [box for box in boxes if box is not None]
    if not known or len(known) < len(boxes):
        return None
    x0, y0, x1, y1 = zip(*known, strict=True)
    return min(x0), min(y0), max(x1), max(y1)


def mask_region(mask_hw: BoolMask) -> Rle:
    """Return a full-image mask (bool, H x W) as the region that samples carry."""
    from evalkit.masks import rle_encode

    return rle_encode(mask_hw)
