"""Files of predictions made elsewhere: their lines, checked, and the text that the decoder reads. Pure but for reading."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO

import numpy as np

from evalkit.datasets.regions import drawable_ring
from evalkit.errors import DataError, GiveUp
from evalkit.masks import polygons_to_mask, rle_encode, rle_from_counts
from evalkit.types import Rle, Sample

MOST_PX = 1e9
"""A coordinate beyond is no pixel of any image."""


def answer_text(lines: Sequence[Mapping[str, Any]], sample: Sample) -> str:
    """Return the predictions of one sample as text that the decoder reads.

    A raw answer stays what it is; masks and boxes become a JSON list of items in the wire format
    ``rle`` (``box_px``: pixels xyxy), ``[]`` where all of them say that nothing fits. A mask without a
    pixel is no object beside others; alone it stays in the text, as GSEval counts it as a prediction.
    """
    texts = [line["text"] for line in lines if line.get("text") is not None]
    if texts:
        if len(lines) > 1:
            raise GiveUp(
                f"sample '{sample.sample_id}' has a raw `text` and other predictions: give one of them"
            )
        return str(texts[0])
    items = [item for line in lines if (item := _item(line, sample)) is not None]
    marked = [item for item in items if not item.pop("without_pixel", False)]
    return json.dumps(marked or items[:1])


def _item(line: Mapping[str, Any], sample: Sample) -> dict[str, Any] | None:
    """Return one instance as an item, None where the line marks nothing."""
    mask, box = _mask_of(line), _box_of(line)
    if mask is None and box is None:
        return None
    coded = None if mask is None else _full_rle(mask, sample.truth.height_px, sample.truth.width_px)
    if mask is not None and coded is None:
        nothing = np.zeros((sample.truth.height_px, sample.truth.width_px), dtype=bool)
        return {"mask": rle_encode(nothing).to_json(), "without_pixel": True}
    return {"label": line.get("label"), "score": line.get("score"), "box_px": box, "mask": coded}


def _mask_of(line: Mapping[str, Any]) -> Any:
    return line.get("mask") if "mask" in line else line.get("segmentation")


def _box_of(line: Mapping[str, Any]) -> list[float] | None:
    """Return the box in pixels xyxy; a COCO ``bbox`` (xywh) counts only where there is no mask.

    SA-Co writes ``bbox`` as fractions of the image: beside a mask the mask says where the object is.
    """
    if line.get("box") is not None:
        return list(line["box"])
    if line.get("bbox") is None or _mask_of(line) is not None:
        return None
    x, y, width, height = line["bbox"]
    return [x, y, x + width, y + height]


def _full_rle(mask: Any, height_px: int, width_px: int) -> dict[str, object] | None:
    """Return a mask in compressed run lengths, None where it has no pixel."""
    from pycocotools import mask as coco_mask

    if isinstance(mask, list):
        rle = rle_encode(polygons_to_mask(mask, height_px, width_px))
    elif isinstance(mask["counts"], list):
        rle = rle_from_counts(mask["counts"], height_px, width_px)
    else:
        rle = Rle(height_px, width_px, mask["counts"].encode("ascii"))
    coded: Any = {"size": [height_px, width_px], "counts": rle.counts}
    return rle.to_json() if int(coco_mask.area(coded)) else None


def check_prediction(line: Mapping[str, Any], size_px: tuple[int, int], where: str) -> None:
    """Raise ``DataError`` where a prediction is malformed or its mask is not of its image's size."""
    mask = _mask_of(line)
    if isinstance(mask, dict):
        if not isinstance(mask.get("counts"), str | list) or mask.get("size") != list(size_px):
            raise DataError(
                f"{where}: the mask must be run lengths with size [{size_px[0]}, {size_px[1]}] (height, width of its "
                f"image) and counts; its size is {mask.get('size')}"
            )
        if isinstance(mask["counts"], list):
            try:
                rle_from_counts(mask["counts"], *size_px)
            except DataError as error:
                raise DataError(f"{where}: {error}") from error
        elif not mask["counts"].isascii():
            raise DataError(f"{where}: the counts of the mask are not COCO run lengths (ASCII text)")
    elif isinstance(mask, list) and _is_polygons(mask):
        for ring in mask:
            drawable_ring(ring, *size_px, where)
    elif mask is not None:
        raise DataError(
            f"{where}: the mask is a {type(mask).__name__}; it must be run lengths, polygons or null"
        )
    for key in ("box", "bbox"):
        box = line.get(key)
        if box is not None and not _is_box(box):
            raise DataError(f'{where}: "{key}" is {box!r}; it must be four numbers in pixels, or null')
    if mask is None and line.get("bbox") is not None and max(line["bbox"]) <= 1:
        raise DataError(
            f'{where}: "bbox" {line["bbox"]} is in fractions of the image; write pixels, or give the mask'
        )


def _is_polygons(mask: Any) -> bool:
    return isinstance(mask, list) and all(
        isinstance(ring, list) and all(isinstance(v, int | float) for v in ring) for ring in mask
    )


def _is_box(box: Any) -> bool:
    if not isinstance(box, list) or len(box) != 4:
        return False
    return all(isinstance(v, int | float) and not isinstance(v, bool) and abs(v) < MOST_PX for v in box)


def json_lines(file: BinaryIO, path: str) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """Yield (file:line, offset in bytes, prediction) of every line that is not blank."""
    file.seek(0)
    offset = 0
    for number, raw in enumerate(file, start=1):
        where = f"{path}:{number}"
        if raw.strip():
            yield where, offset, _object(raw, where)
        offset += len(raw)


def _object(raw: bytes, where: str) -> dict[str, Any]:
    try:
        line = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: not a JSON object: {error}") from error
    if not isinstance(line, dict):
        raise DataError(f"{where}: a {type(line).__name__}, not a JSON object with a sample_id")
    return line


def coco_entries(file: BinaryIO, path: str) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Yield (file and entry, prediction, prediction) of every detection of a COCO results file."""
    file.seek(0)
    try:
        entries = json.load(file)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not a COCO results file: {error}") from error
    for number, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise DataError(
                f"{path}: entry {number} is a {type(entry).__name__}, not an object with an image_id"
            )
        yield f"{path}: entry {number}", entry, entry


def first_character(file: BinaryIO) -> bytes:
    """Return the first character that is not white space: ``[`` opens a COCO results file."""
    file.seek(0)
    return file.read(1024).lstrip()[:1]
