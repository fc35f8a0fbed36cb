"""The ground truth of one line of ``format: jsonl``: masks in every spelling, and sizes that must agree."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evalkit.datasets.files import is_file, join
from evalkit.datasets.image_sizes import image_sizes
from evalkit.datasets.mask_files import UNDRAWN, mask_file_size
from evalkit.datasets.regions import read_rings, read_rle
from evalkit.errors import DataError
from evalkit.images import SizePx
from evalkit.types import GroundTruth, MaskFile, Region

UNKNOWN_SIZE: SizePx = (0, 0)
"""Of a photograph that is missing where nothing else says its size."""


def read_truth(record: Mapping[str, Any], image: str, folder: str, where: str) -> GroundTruth:
    """Return what a record marks on its image; ``image``, ``folder``: locations of both files.

    A mask picture that cannot be read is the truth's own fault. Raises ``DataError``, starting with ``where``
    (file and line), on every contradiction inside the line.
    """
    mask, no_target = record.get("mask"), record.get("no_target", False)
    if (mask is None) != no_target:
        says = "both a mask and" if no_target else "neither a mask nor"
        raise DataError(
            f'{where}: the sample has {says} "no_target": true. Give a mask, or null and no_target where '
            "nothing in the image fits the expression"
        )
    parts = mask["instances"] if isinstance(mask, dict) and "instances" in mask else [mask] * (not no_target)
    if not no_target and (not isinstance(parts, list) or not parts):
        raise DataError(f"{where}: 'instances' must be a list with a mask for every target object")
    files = [join(folder, part) for part in parts if isinstance(part, str)]
    try:
        sizes = [mask_file_size(file, where) for file in files]
        width_px, height_px = size = _size_of(record, image, folder, where)
        for file, of_mask in zip(files, sizes, strict=True):
            _same_size(of_mask, size, f"the mask {file}", where)
    except DataError as error:
        width_px, height_px = _size_of({**record, "mask": None}, image, folder, where)
        if not files:
            raise
        return GroundTruth(height_px, width_px, (UNDRAWN,), fault=str(error))
    if (width_px, height_px) == UNKNOWN_SIZE:
        return GroundTruth(0, 0, (UNDRAWN,) * len(parts))
    instances = tuple(_read_mask(part, height_px, width_px, folder, where) for part in parts)
    return GroundTruth(height_px, width_px, instances, box_px_xyxy=_read_box(record.get("box"), where))


def _read_mask(mask: Any, height_px: int, width_px: int, folder: str, where: str) -> Region:
    if isinstance(mask, str):
        return MaskFile(join(folder, mask))
    if isinstance(mask, dict):
        size = mask.get("size", [height_px, width_px])
        if isinstance(size, list) and len(size) == 2:
            _same_size((size[1], size[0]), (width_px, height_px), "the mask", where)
        return read_rle(mask, height_px, width_px, where)
    return read_rings(mask, height_px, width_px, where)


def _size_of(record: Mapping[str, Any], image: str, folder: str, where: str) -> SizePx:
    """Return (width, height): as declared, else of the mask, else of the image; they must agree.

    ``UNKNOWN_SIZE`` where the image is missing or damaged and the line says no size.
    """
    declared = (record["width"], record["height"]) if "width" in record and "height" in record else None
    if declared and min(declared) < 1:
        raise DataError(f"{where}: width and height must be at least 1 pixel, got {declared}")
    masked = _mask_size(record.get("mask"), folder, where)
    known = declared or masked
    if known is not None and not _is_image(image):
        return known
    if not is_file(image) or not _is_image(image):
        return UNKNOWN_SIZE
    shown, stored = _sizes(image, where)
    size = known or shown
    if size not in (shown, stored):
        mask = record.get("mask")
        what = (
            "'width' and 'height'"
            if declared
            else f"the mask {mask}"
            if isinstance(mask, str)
            else "the mask"
        )
        _same_size(size, shown, what, where, image)
    return size


def _is_image(location: str) -> bool:
    """Tell whether a picture's head can be read; one that cannot is its sample's data error, when it is asked."""
    try:
        image_sizes(location)
    except DataError:
        return False
    return True


def _sizes(location: str, where: str) -> tuple[SizePx, SizePx]:
    try:
        return image_sizes(location)
    except DataError as error:
        raise DataError(f"{where}: {error}") from error


def _mask_size(mask: Any, folder: str, where: str) -> SizePx | None:
    if isinstance(mask, dict) and isinstance(mask.get("instances"), list) and mask["instances"]:
        mask = mask["instances"][0]
    if isinstance(mask, str) and is_file(join(folder, mask)):
        return _sizes(join(folder, mask), where)[1]
    if isinstance(mask, dict) and isinstance(mask.get("size"), list) and len(mask["size"]) == 2:
        return mask["size"][1], mask["size"][0]
    return None


def _same_size(found: SizePx, expected: SizePx, what: str, where: str, image: str = "") -> None:
    if found != expected:
        raise DataError(
            f"{where}: {what} is {found[0]}x{found[1]} pixels (width x height) but the image {image} is "
            f"{expected[0]}x{expected[1]}: a mask must have the size of its image".replace(
                "image  is", "image is"
            )
        )


def _read_box(box: Any, where: str) -> tuple[float, float, float, float] | None:
    if box is None:
        return None
    numbers = [v for v in box if isinstance(v, int | float) and not isinstance(v, bool)]
    if len(box) != 4 or len(numbers) != 4 or not (box[0] < box[2] and box[1] < box[3]):
        raise DataError(f"{where}: box {box!r} is not [x0, y0, x1, y1] in pixels with x0 < x1 and y0 < y1")
    x0, y0, x1, y1 = (float(number) for number in numbers)
    return x0, y0, x1, y1
