"""``format: reasonseg`` (dvlab-research/LISA: README.md, utils/data_processing.py, utils/dataset.py).

``NAME.jpg`` with ``NAME.json`` per photograph. Shapes are drawn with OpenCV's polygon filling, largest
first, so that smaller ones overwrite larger ones; a label with "ignore" marks pixels that count for
nothing. val and test ask for the first text only, train has several; the id is ``stem:index``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from evalkit.config.schema import DatasetConfig
from evalkit.datasets import files
from evalkit.datasets.formats.fill_poly import fill_polygon
from evalkit.datasets.formats.jsonl_truth import UNKNOWN_SIZE
from evalkit.datasets.image_sizes import image_sizes
from evalkit.datasets.mask_files import UNDRAWN
from evalkit.datasets.regions import mask_region
from evalkit.errors import DataError
from evalkit.images import SizePx
from evalkit.types import GroundTruth, ImageRef, Sample

SPLITS = ("train", "val", "test")
TARGET, IGNORED = 1, 255


def load_reasonseg(dataset: DatasetConfig, directory: Path) -> Iterator[Sample]:
    """Yield the samples of one split, by file name; tags: ``query`` (short or long) and ``split``."""
    files.check_options(dataset)
    root = files.place(directory, files.root_of(dataset, "reason_seg/ReasonSeg/val/*.json and so on"))
    bases = [files.join(root, "reason_seg", "ReasonSeg"), files.join(root, "ReasonSeg"), root]
    base = next((b for b in bases if any(s in SPLITS for s in files.names_in(b) or [])), None)
    if base is None:
        raise DataError(
            f"dataset '{dataset.name}': looked for train/, val/ or test/ in {', '.join(bases)}, but "
            f"{files.what_is_in(root)}. Set `root:` to the folder that holds reason_seg/"
        )
    found = [split for split in SPLITS if files.names_in(files.join(base, split)) is not None]
    wanted = found if (dataset.split or "all") == "all" else [dataset.split or ""]
    if not set(wanted) <= set(found):
        raise files.unknown_split(dataset, found, base)
    for split in wanted:
        folder = files.join(base, split)
        images = folder if dataset.images is None else files.place(directory, dataset.images)
        names = [name for name in files.names_in(folder) or [] if name.endswith(".json")]
        _require_annotations(folder, names)
        for name in names:
            yield from _read_file(files.join(folder, name), images, split, dataset.name)


def _require_annotations(folder: str, names: list[str]) -> None:
    """Raise ``DataError`` where photographs lie without their annotations: a part would pass for the whole."""
    photographs = [
        name.removesuffix(".jpg") for name in files.names_in(folder) or [] if name.endswith(".jpg")
    ]
    alone = sorted(set(photographs) - {name.removesuffix(".json") for name in names})
    if alone or not names:
        shown = (
            f"{len(alone)} of {len(photographs)} photographs, the first {alone[0]}.jpg"
            if alone
            else "the folder"
        )
        raise DataError(f"{folder}: {shown} has no annotation (*.json): the download is incomplete")


def _read_file(path: str, images: str, split: str, dataset: str) -> Iterator[Sample]:
    text = files.decode_text(files.read_bytes(path), path, ("utf-8", "cp1252"))
    try:
        record = json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(
            f"{path}:{error.lineno}: not valid JSON ({error.msg}): fetch the file again"
        ) from error
    if not isinstance(record, dict) or not record.get("text") or not isinstance(record.get("shapes"), list):
        raise DataError(f"{path}: has no 'text' and 'shapes': this is not a ReasonSeg annotation")
    stem = path.replace("\\", "/").rsplit("/", 1)[-1].removesuffix(".json")
    image = files.join(images, f"{stem}.jpg")
    truth = _read_truth(record, _size_of(record, image), path)
    texts = [record["text"]] if isinstance(record["text"], str) else record["text"]
    asked = texts if split == "train" else texts[:1]
    for index, expression in enumerate(asked):
        yield Sample(
            dataset=dataset,
            split=split,
            sample_id=f"{stem}:{index}",
            image_id=stem,
            image=ImageRef(image),
            expression=str(expression).strip(),
            truth=truth,
            tags=files.tags_of(split=split, query="long" if record.get("is_sentence") else "short"),
        )


def _size_of(record: Mapping[str, Any], image: str) -> SizePx:
    """Return (width, height) of the photograph as LISA reads it: EXIF orientation applied.

    ``UNKNOWN_SIZE`` where it is missing: most annotation files do not say it.
    """
    if files.is_file(image):
        return image_sizes(image)[0]
    if record.get("imageWidth") and record.get("imageHeight"):
        return int(record["imageWidth"]), int(record["imageHeight"])
    return UNKNOWN_SIZE


def _read_truth(record: Mapping[str, Any], size_px: SizePx, path: str) -> GroundTruth:
    if size_px == UNKNOWN_SIZE:
        return GroundTruth(0, 0, (UNDRAWN,))
    width_px, height_px = size_px
    drawn: list[tuple[int, int, np.ndarray[Any, np.dtype[np.bool_]]]] = []
    for number, shape in enumerate(record["shapes"]):
        label = str(shape.get("label", "")).lower()
        if label == "flag":
            continue
        try:
            points = (
                np.array(shape["points"], dtype=np.float64).astype(np.int32).astype(np.int64).reshape(-1, 2)
            )
        except (KeyError, ValueError, TypeError) as error:
            raise DataError(f"{path}: shape {number} has no list of [x, y] points ({error})") from error
        if len(points) == 0:
            raise DataError(f"{path}: shape {number} ('{label}') has no points")
        mask_hw = fill_polygon(points, height_px, width_px)
        drawn.append((int(mask_hw.sum()), IGNORED if "ignore" in label else TARGET, mask_hw))
    canvas = np.zeros((height_px, width_px), dtype=np.uint8)
    # LISA orders by numpy's argsort of the areas, reversed: of two equal shapes the later is drawn first.
    for index in np.argsort([area for area, _, _ in drawn])[::-1]:
        canvas[drawn[index][2]] = drawn[index][1]
    if not (canvas == TARGET).any():
        raise DataError(f"{path}: no pixel of a target is left among its {len(drawn)} shapes")
    ignored_hw = canvas == IGNORED
    ignore = mask_region(ignored_hw) if ignored_hw.any() else None
    return GroundTruth(height_px, width_px, (mask_region(canvas == TARGET),), ignore=ignore)
