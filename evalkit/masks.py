"""Binary masks: run lengths, polygons, crops, and the counts that metrics divide. Pure.

Every count is in pixels of the full image, computed inside crops. Arrays are ``bool``, H x W.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from evalkit.errors import DataError
from evalkit.mask_pictures import read_mask_picture
from evalkit.types import BoxPx, CropMask, GroundTruth, MaskFile, Polygons, Region, Rle

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evalkit.types import BoolMask

LONGEST_NUMBER = 12
"""Groups of 5 bits in the longest run length that is read: 60 bits, more than any image has pixels."""


def rle_encode(mask_hw: BoolMask) -> Rle:
    """Return the compressed run lengths of a full-image mask (bool, H x W)."""
    from pycocotools import mask as coco_mask

    height_px, width_px = mask_hw.shape
    encoded = coco_mask.encode(np.asfortranarray(mask_hw, dtype=np.uint8))
    return Rle(height_px, width_px, cast("bytes", encoded["counts"]))


def rle_decode(rle: Rle) -> BoolMask:
    """Return the full-image mask (bool, H x W) of compressed run lengths."""
    crop = rle_crop(rle)
    return full_mask(crop)


def rle_crop(rle: Rle) -> CropMask:
    """Return the crop of compressed run lengths that holds their foreground, without a full image.

    About a third of the time of decoding the whole image, as only the columns that the mask touches
    are made. Raises ``DataError`` on run lengths that do not fill the image.
    """
    height_px, width_px = rle.height_px, rle.width_px
    runs = rle_runs(rle)
    lengths = runs[1::2]
    starts = runs.cumsum()[1::2] - lengths
    if not lengths.all():
        starts, lengths = starts[lengths > 0], lengths[lengths > 0]
    if not lengths.size:
        return CropMask(height_px, width_px, 0, 0, np.zeros((0, 0), dtype=bool))
    first_columns = starts // height_px
    tops = starts - first_columns * height_px
    bottoms = tops + lengths
    x0, x1 = int(first_columns[0]), int(starts[-1] + lengths[-1] - 1) // height_px + 1
    y0, y1 = int(tops.min()), int(bottoms.max())
    if y1 > height_px:  # a run that goes on into the next column
        y0, y1 = 0, height_px
    columns = _painted(tops + ((first_columns - x0) * (y1 - y0) - y0), lengths, (x1 - x0) * (y1 - y0))
    return CropMask(height_px, width_px, x0, y0, np.ascontiguousarray(columns.reshape(x1 - x0, y1 - y0).T))


def _painted(starts: NDArray[np.int64], lengths: NDArray[np.int64], size: int) -> BoolMask:
    """Return ``size`` pixels in a row of which the runs at ``starts`` are foreground."""
    runs = np.empty(2 * starts.size + 1, dtype=np.int64)
    ends = starts + lengths
    runs[0] = starts[0]
    runs[1::2] = lengths
    runs[2:-1:2] = starts[1:] - ends[:-1]
    runs[-1] = size - ends[-1]
    is_foreground = np.zeros(runs.size, dtype=bool)
    is_foreground[1::2] = True
    return np.repeat(is_foreground, runs)


def rle_runs(rle: Rle) -> NDArray[np.int64]:
    """Return the run lengths of compressed ``counts``: background, foreground, background, ...

    The coding is that of cocodataset/cocoapi common/maskApi.c (8c9bcc3cf640): each number in groups
    of 5 bits, lowest first, 48 added to make it printable, bit 5 set where more groups follow, the
    highest group signed; from the fourth number on, the difference to the one two before is kept.
    Raises ``DataError`` where the text is no such coding or does not fill the image.
    """
    groups = np.frombuffer(rle.counts, dtype=np.uint8).astype(np.int64) - 48
    ends = np.flatnonzero((groups & 0x20) == 0)
    is_coding = (
        groups.size and ends.size and ends[-1] == groups.size - 1 and 0 <= groups.min() <= groups.max() < 64
    )
    if not is_coding:
        raise DataError(f"run lengths {rle.counts[:40]!r} are not COCO's compressed coding")
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts + 1
    if lengths.max() > LONGEST_NUMBER:
        raise DataError(f"run lengths {rle.counts[:40]!r} hold a number that no image can need")
    place = np.arange(groups.size) - np.repeat(starts, lengths)
    runs = np.add.reduceat((groups & 0x1F) << (5 * place), starts)
    is_negative = (groups[ends] & 0x10) != 0
    runs[is_negative] -= 1 << (5 * lengths[is_negative])
    runs[1::2] = np.cumsum(runs[1::2])
    runs[2::2] = np.cumsum(runs[2::2])
    if runs.min() < 0 or runs.sum() != rle.height_px * rle.width_px:
        raise DataError(
            f"run lengths add up to {runs.sum()}, not to {rle.height_px} x {rle.width_px} pixels: "
            "check the mask's 'size' and 'counts'"
        )
    return cast("NDArray[np.int64]", runs)


def reduced_crop(crop: CropMask, factor: int) -> CropMask:
    """Return a mask on a grid of ``factor`` x ``factor`` pixels a cell: set where more than half of the cell is.

    Cells at the right and lower edge hold the pixels that are left there.
    """
    height, width = -(-crop.height_px // factor), -(-crop.width_px // factor)
    x0, y0 = crop.x0_px // factor, crop.y0_px // factor
    rows, columns = crop.crop_hw.shape
    above, left = crop.y0_px - y0 * factor, crop.x0_px - x0 * factor
    below, right = -(above + rows) % factor, -(left + columns) % factor
    padded = np.pad(crop.crop_hw, ((above, below), (left, right)))
    n_rows, n_columns = padded.shape[0] // factor, padded.shape[1] // factor
    counts = padded.reshape(n_rows, factor, n_columns, factor).sum(axis=(1, 3))
    cell_height = np.minimum(factor, crop.height_px - factor * (y0 + np.arange(n_rows)))
    cell_width = np.minimum(factor, crop.width_px - factor * (x0 + np.arange(n_columns)))
    return CropMask(height, width, x0, y0, 2 * counts > cell_height[:, None] * cell_width)


def rle_from_counts(counts: Sequence[int], height_px: int, width_px: int) -> Rle:
    """Return the compressed form of uncompressed COCO run lengths (a list of integers).

    Raises ``DataError`` where the runs are negative or do not add up to ``height_px * width_px``.
    """
    from pycocotools import mask as coco_mask

    if not all(type(run) is int for run in counts):
        wrong = next(run for run in counts if type(run) is not int)
        raise DataError(f"run lengths hold {wrong!r:.40}: they are a list of whole numbers")
    if any(run < 0 for run in counts) or sum(counts) != height_px * width_px:
        raise DataError(
            f"run lengths add up to {sum(counts)}, not to {height_px} x {width_px} pixels "
            f"= {height_px * width_px}: check 'size' and 'counts' of this mask"
        )
    coded: Any = {"size": [height_px, width_px], "counts": list(counts)}
    return Rle(
        height_px, width_px, cast("bytes", coco_mask.frPyObjects(coded, height_px, width_px)["counts"])
    )


def polygons_to_mask(rings_px: Iterable[Sequence[float]], height_px: int, width_px: int) -> BoolMask:
    """Return the union of COCO polygons (flat x, y, x, y rings in pixels) as bool, H x W.

    Rasterised by pycocotools, the reference of COCO and of the refer family. Rings with fewer
    than 3 points are left out, as ReLA does; overlaps are clipped to 1.
    """
    return rle_decode(polygons_to_rle(rings_px, height_px, width_px))


def polygons_to_rle(rings_px: Iterable[Sequence[float]], height_px: int, width_px: int) -> Rle:
    """Return what ``polygons_to_mask`` draws as compressed run lengths, without drawing pixels."""
    from pycocotools import mask as coco_mask

    rings: Any = [list(ring) for ring in rings_px if len(ring) >= 6 and len(ring) % 2 == 0]
    for ring in rings:
        require_drawable(ring, height_px, width_px)
    if not rings:
        return rle_from_counts([height_px * width_px], height_px, width_px)
    merged = coco_mask.merge(coco_mask.frPyObjects(rings, height_px, width_px))
    return Rle(height_px, width_px, cast("bytes", merged["counts"]))


def require_drawable(ring_px: Sequence[float], height_px: int, width_px: int) -> None:
    """Raise ``DataError`` on a flat x, y, x, y ring that pycocotools must not be handed.

    Its rasteriser walks every edge pixel by pixel, five times enlarged (cocodataset/cocoapi common/maskApi.c,
    rleFrPoly): a coordinate of 1e8 takes gigabytes, one that is no number ends the process. An annotated object
    may reach over the edge of its image: a whole image beyond each side, and 1,000 pixels of a small one, are drawn;
    further out is no annotation.
    """
    if len(ring_px) < 2:
        raise DataError(f"a ring holds {len(ring_px)} numbers: it needs x and y of at least 3 points")
    for axis, numbers, size_px in (("x", ring_px[0::2], width_px), ("y", ring_px[1::2], height_px)):
        try:
            low, high, is_finite = min(numbers), max(numbers), math.isfinite(sum(numbers))
        except (TypeError, OverflowError):
            wrong = next((value for value in numbers if not isinstance(value, int | float)), numbers)
            raise DataError(
                f"a ring holds {wrong!r:.40} among its {axis} coordinates: pixels are numbers"
            ) from None
        if not is_finite:
            odd = next(value for value in numbers if not math.isfinite(value))
            raise DataError(f"a ring holds {odd} among its {axis} coordinates: pixels are finite numbers")
        margin_px = max(size_px, 1000)
        if low < -margin_px or high > size_px + margin_px:
            furthest = low if low < -margin_px else high
            raise DataError(
                f"a ring reaches to {axis} = {furthest:g} of an image {size_px} pixels "
                f"{'wide' if axis == 'x' else 'high'}: coordinates are pixels inside the image or near its edge"
            )


def region_mask(region: Region, height_px: int, width_px: int) -> BoolMask:
    """Return one annotated region as bool, H x W. Raises ``DataError`` on another size."""
    if isinstance(region, Polygons):
        return polygons_to_mask(region.rings_px, height_px, width_px)
    mask_hw = rle_decode(region) if isinstance(region, Rle) else read_mask_picture(region)
    if mask_hw.shape != (height_px, width_px):
        where = f"mask {region.path}" if isinstance(region, MaskFile) else "mask"
        raise DataError(
            f"{where} is {mask_hw.shape[1]}x{mask_hw.shape[0]} pixels (width x height) but its image is "
            f"{width_px}x{height_px}: a mask must have the size of its image"
        )
    return mask_hw


def region_rle(region: Region, height_px: int, width_px: int) -> Rle:
    """Return one annotated region as compressed run lengths. Raises ``DataError`` on another size.

    Polygons are never rasterised for it: pycocotools draws them as runs.
    """
    if isinstance(region, Rle) and (region.height_px, region.width_px) == (height_px, width_px):
        return region
    if isinstance(region, Polygons):
        return polygons_to_rle(region.rings_px, height_px, width_px)
    return rle_encode(region_mask(region, height_px, width_px))


def region_crop(region: Region, height_px: int, width_px: int) -> CropMask:
    """Return one annotated region as a crop. Raises ``DataError`` on another size."""
    if isinstance(region, Rle) and (region.height_px, region.width_px) == (height_px, width_px):
        return rle_crop(region)
    return crop_of(region_mask(region, height_px, width_px))


def truth_mask(truth: GroundTruth) -> BoolMask:
    """Return the target of one annotator: the union of its instances, bool, H x W."""
    mask_hw = np.zeros((truth.height_px, truth.width_px), dtype=bool)
    for region in truth.instances:
        mask_hw |= region_mask(region, truth.height_px, truth.width_px)
    return mask_hw


def ring_overlap(truth: GroundTruth) -> BoolMask | None:
    """Return where two rings of one polygon instance overlap, bool, H x W; None where none do."""
    in_rings = [
        region for region in truth.instances if isinstance(region, Polygons) and len(region.rings_px) > 1
    ]
    if not in_rings:
        return None
    overlap_hw = np.zeros((truth.height_px, truth.width_px), dtype=bool)
    for region in in_rings:
        rings = [polygons_to_mask([ring], truth.height_px, truth.width_px) for ring in region.rings_px]
        overlap_hw |= np.sum(rings, axis=0) > 1
    return overlap_hw if overlap_hw.any() else None


def crop_of(mask_hw: BoolMask) -> CropMask:
    """Return a full-image mask as the tightest crop that holds its foreground."""
    height_px, width_px = mask_hw.shape
    box = box_of(mask_hw)
    if box is None:
        return CropMask(height_px, width_px, 0, 0, np.zeros((0, 0), dtype=bool))
    x0, y0, x1, y1 = box
    return CropMask(height_px, width_px, x0, y0, mask_hw[y0:y1, x0:x1])


def full_mask(crop: CropMask) -> BoolMask:
    """Return the full-image array of a crop (bool, H x W); for drawing, not for scoring."""
    mask_hw = np.zeros((crop.height_px, crop.width_px), dtype=bool, order="F")
    height, width = crop.crop_hw.shape
    mask_hw[crop.y0_px : crop.y0_px + height, crop.x0_px : crop.x0_px + width] = crop.crop_hw
    return mask_hw


def box_of(mask_hw: BoolMask) -> BoxPx | None:
    """Return the tight ``(x0, y0, x1, y1)`` box of the foreground in pixels, half open."""
    if (
        mask_hw.size
        and mask_hw[0].any()
        and mask_hw[-1].any()
        and mask_hw[:, 0].any()
        and mask_hw[:, -1].any()
    ):
        return 0, 0, mask_hw.shape[1], mask_hw.shape[0]  # the usual case: crops are tight
    rows = np.flatnonzero(mask_hw.any(axis=1))
    if rows.size == 0:
        return None
    columns = np.flatnonzero(mask_hw[rows[0] : rows[-1] + 1].any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def crop_union(crops: Sequence[CropMask]) -> CropMask:
    """Return the union of one or more crops of the same image, as one crop."""
    if len(crops) == 1:
        return crops[0]
    first = crops[0]
    solid = [crop for crop in crops if crop.crop_hw.size]
    if not solid:
        return first
    x0 = min(crop.x0_px for crop in solid)
    y0 = min(crop.y0_px for crop in solid)
    x1 = max(crop.x0_px + crop.crop_hw.shape[1] for crop in solid)
    y1 = max(crop.y0_px + crop.crop_hw.shape[0] for crop in solid)
    canvas = np.zeros((y1 - y0, x1 - x0), dtype=bool)
    for crop in solid:
        height, width = crop.crop_hw.shape
        canvas[crop.y0_px - y0 : crop.y0_px - y0 + height, crop.x0_px - x0 : crop.x0_px - x0 + width] |= (
            crop.crop_hw
        )
    return CropMask(first.height_px, first.width_px, x0, y0, canvas)


def area(crop: CropMask) -> int:
    """Return the number of foreground pixels."""
    return int(np.count_nonzero(crop.crop_hw))


def crop_without(crop: CropMask, mask_hw: BoolMask) -> CropMask:
    """Return the crop without the pixels of a full-image mask."""
    height, width = crop.crop_hw.shape
    window = mask_hw[crop.y0_px : crop.y0_px + height, crop.x0_px : crop.x0_px + width]
    return CropMask(crop.height_px, crop.width_px, crop.x0_px, crop.y0_px, crop.crop_hw & ~window)


def crop_intersection(a: CropMask, b: CropMask) -> int:
    """Return |a and b| in pixels for two crops of the same image, reading only where both lie."""
    x0, y0 = max(a.x0_px, b.x0_px), max(a.y0_px, b.y0_px)
    x1 = min(a.x0_px + a.crop_hw.shape[1], b.x0_px + b.crop_hw.shape[1])
    y1 = min(a.y0_px + a.crop_hw.shape[0], b.y0_px + b.crop_hw.shape[0])
    if x1 <= x0 or y1 <= y0:
        return 0
    part_a = a.crop_hw[y0 - a.y0_px : y1 - a.y0_px, x0 - a.x0_px : x1 - a.x0_px]
    part_b = b.crop_hw[y0 - b.y0_px : y1 - b.y0_px, x0 - b.x0_px : x1 - b.x0_px]
    return int(np.count_nonzero(part_a & part_b))


def intersection_with(crop: CropMask, mask_hw: BoolMask) -> int:
    """Return |crop and mask| in pixels, reading only the crop's part of the full mask."""
    height, width = crop.crop_hw.shape
    window = mask_hw[crop.y0_px : crop.y0_px + height, crop.x0_px : crop.x0_px + width]
    return int(np.count_nonzero(window & crop.crop_hw))
