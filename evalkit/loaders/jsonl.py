"""``format: jsonl``: one's own samples, one JSON object a line; paths are relative to the file.

``{"id", "image", "expression", "mask", "no_target", "tags"}`` and, where wanted, ``image_id``,
``image_sha256``, ``width``, ``height``, ``box`` ([x0, y0, x1, y1] in pixels) and ``split``. ``mask`` is
a mask image's path, run lengths, polygons in pixels, ``{"instances": [...]}`` for several target
objects, or null together with ``"no_target": true``.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from evalkit.config import DatasetConfig
from evalkit.errors import DataError
from evalkit.images import SizePx
from evalkit.loaders.files import check_options, is_file, join, path_of, place, read_lines, unknown_split
from evalkit.loaders.regions import read_rings, read_rle
from evalkit.loaders.sizes import image_sizes
from evalkit.types import GroundTruth, ImageRef, MaskFile, Region, Sample

KEYS: dict[str, tuple[type, ...]] = {
    "id": (str, int),
    "image": (str,),
    "expression": (str,),
    "mask": (str, list, dict, type(None)),
    "no_target": (bool,),
    "tags": (dict,),
    "image_id": (str, int),
    "image_sha256": (str, type(None)),
    "width": (int,),
    "height": (int,),
    "box": (list, type(None)),
    "split": (str,),
}
"""Every key with the JSON types it may have; other keys are the user's own and are left alone."""

TOO_NEAR = 0.85
"""An unknown key this similar (difflib's ratio) to a known one is taken for a slip and refused."""


def load_jsonl(dataset: DatasetConfig, directory: Path) -> Iterator[Sample]:
    """Yield the samples of one JSON Lines file. Raises ``DataError`` naming file and line."""
    check_options(dataset)
    path = place(directory, path_of(dataset, "a file with one JSON object a line"))
    folder = path.replace("\\", "/").rpartition("/")[0]
    images = folder if dataset.images is None else place(directory, dataset.images)
    wanted = dataset.split or "all"
    first_line: dict[str, int] = {}
    splits: dict[str, int] = {}
    for number, text in read_lines(path):
        where = f"{path}:{number}"
        record = _read_record(text, where)
        split = record.get("split", "all")
        splits[split] = splits.get(split, 0) + 1
        sample_id = str(record["id"])
        if sample_id in first_line:
            raise DataError(f"{where}: the id '{sample_id}' stands on line {first_line[sample_id]} already")
        first_line[sample_id] = number
        if wanted in ("all", split):
            yield _read_sample(record, dataset.name, folder, images, where)
    if wanted != "all" and splits and wanted not in splits:
        raise unknown_split(dataset, splits, path)


def _read_record(text: str, where: str) -> dict[str, Any]:
    try:
        record = json.loads(text, object_pairs_hook=_without_doubles)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: not one valid JSON object a line: {error}") from error
    if not isinstance(record, dict):
        raise DataError(f"{where}: the line is a JSON {type(record).__name__}, not an object with keys")
    for key, value in record.items():
        if key not in KEYS:
            slips = difflib.get_close_matches(key, KEYS, n=1, cutoff=TOO_NEAR)
            if slips:
                raise DataError(f"{where}: unknown key '{key}'. Did you mean '{slips[0]}'?")
        elif not isinstance(value, KEYS[key]) or (isinstance(value, bool) and key != "no_target"):
            allowed = " or ".join("null" if kind is type(None) else kind.__name__ for kind in KEYS[key])
            raise DataError(f"{where}: '{key}' must be {allowed}, got {value!r}"[:300])
    for key in ("id", "image", "expression"):
        if not str(record.get(key, "")).strip():
            raise DataError(f"{where}: '{key}' is missing or empty: every sample needs one")
    return record


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    for key in keys:
        if keys.count(key) > 1:
            raise ValueError(f"the key '{key}' stands twice")
    return dict(pairs)


def _read_sample(record: Mapping[str, Any], dataset: str, folder: str, images: str, where: str) -> Sample:
    image = place(images, record["image"])
    tags = record.get("tags", {})
    for name, value in tags.items():
        if isinstance(value, dict | list):
            raise DataError(f"{where}: the tag '{name}' must be text or a number, got {value!r}")
    return Sample(
        dataset=dataset,
        split=record.get("split", "all"),
        sample_id=str(record["id"]),
        image_id=str(record.get("image_id", record["image"])),
        image=ImageRef(image, sha256=record.get("image_sha256")),
        expression=record["expression"],
        truth=_read_truth(record, image, folder, where),
        tags={name: _as_text(value) for name, value in tags.items() if value is not None},
    )


def _as_text(value: Any) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def _read_truth(record: Mapping[str, Any], image: str, folder: str, where: str) -> GroundTruth:
    mask, no_target = record.get("mask"), record.get("no_target", False)
    if (mask is None) != no_target:
        says = "both a mask and" if no_target else "neither a mask nor"
        raise DataError(
            f'{where}: the sample has {says} "no_target": true. Give a mask, or null and no_target where '
            "nothing in the image fits the expression"
        )
    width_px, height_px = _size_of(record, image, folder, where)
    parts = mask["instances"] if isinstance(mask, dict) and "instances" in mask else [mask] * (not no_target)
    if not no_target and (not isinstance(parts, list) or not parts):
        raise DataError(f"{where}: 'instances' must be a list with a mask for every target object")
    instances = tuple(_read_mask(part, height_px, width_px, folder, where) for part in parts)
    return GroundTruth(height_px, width_px, instances, box_px_xyxy=_read_box(record.get("box"), where))


def _read_mask(mask: Any, height_px: int, width_px: int, folder: str, where: str) -> Region:
    if isinstance(mask, str):
        location = join(folder, mask)
        if not is_file(location):
            raise DataError(f"{where}: the mask {location} does not exist (paths are relative to the file)")
        _same_size(image_sizes(location)[1], (width_px, height_px), f"the mask {location}", where)
        return MaskFile(location)
    if isinstance(mask, dict):
        size = mask.get("size", [height_px, width_px])
        if isinstance(size, list) and len(size) == 2:
            _same_size((size[1], size[0]), (width_px, height_px), "the mask", where)
        return read_rle(mask, height_px, width_px, where)
    return read_rings(mask, where)


def _size_of(record: Mapping[str, Any], image: str, folder: str, where: str) -> SizePx:
    """Return (width, height): as declared, else of the image, else of the mask; the first two must agree."""
    declared = (record["width"], record["height"]) if "width" in record and "height" in record else None
    if declared and min(declared) < 1:
        raise DataError(f"{where}: width and height must be at least 1 pixel, got {declared}")
    masked = _mask_size(record.get("mask"), folder)
    if not is_file(image):
        if declared or masked:
            return declared or masked or (0, 0)
        raise DataError(
            f"{where}: the image {image} does not exist, and the line says no size: check `images:` and the "
            'path, or add "width" and "height" where only the annotations are here'
        )
    shown, stored = image_sizes(image)
    size = declared or masked or shown
    if size not in (shown, stored):
        what = "'width' and 'height'" if declared else "the mask"
        _same_size(size, shown, what, where, image)
    return size


def _mask_size(mask: Any, folder: str) -> SizePx | None:
    if isinstance(mask, dict) and isinstance(mask.get("instances"), list) and mask["instances"]:
        mask = mask["instances"][0]
    if isinstance(mask, str) and is_file(join(folder, mask)):
        return image_sizes(join(folder, mask))[1]
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
