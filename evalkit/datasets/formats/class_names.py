"""Annotation files read by class name (COCO, LVIS, panoptic): what they share.

One sample = one (image, category): the expression is the category's name, the target every instance of
it; crowd regions count neither for nor against (cocodataset/cocoapi: PythonAPI/pycocotools/coco.py).
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalkit.config.schema import DatasetConfig
from evalkit.datasets.files import count_word, is_file, place, tags_of
from evalkit.datasets.mask_files import UNDRAWN
from evalkit.datasets.regions import hull_of, read_segmentation, union_of, xywh_to_xyxy
from evalkit.errors import DataError
from evalkit.masks import polygons_to_mask, rle_encode
from evalkit.types import GroundTruth, ImageRef, Polygons, Region, Rle, Sample

LOG = logging.getLogger(__name__)

MOST_PIXELS = 1e6
"""No side of a photograph is longer; JPEG ends at 65,535 (ITU-T T.81, B.2.2)."""

SHOWN_IDS = 8


@dataclass(frozen=True, slots=True)
class ClassNameFile:
    """An annotation file that is read by class names, and the folder of its photographs."""

    dataset: DatasetConfig
    path: str
    folder: str


def index_by_id(content: Any, key: str, path: str) -> dict[Any, dict[str, Any]]:
    """Return the records of one list of a COCO file by id. Raises ``DataError`` where it has none."""
    if not isinstance(content, dict) or not isinstance(content.get(key), list):
        found = (
            f"the keys {', '.join(content)}" if isinstance(content, dict) else f"a {type(content).__name__}"
        )
        raise DataError(f"{path}: has no list '{key}' but {found}: this is not a COCO annotation file")
    found_records: dict[Any, dict[str, Any]] = {}
    for number, record in enumerate(content[key]):
        if not isinstance(record, dict) or "id" not in record:
            raise DataError(
                f"{path}: entry {number} of '{key}' is {record!r:.60}, not an object with an 'id'"
            )
        same = found_records.setdefault(plain_id(record["id"]), record)
        if same != record:
            raise DataError(
                f"{path}: two entries of '{key}' have the id {record['id']!r} and differ: {same!r:.120} and "
                f"{record!r:.120}. Give each its own id"
            )
    return found_records


def plain_id(value: Any) -> Any:
    """Return an id in one spelling: ``"7"`` and ``7.0``, which other tools write, are the number 7."""
    if isinstance(value, str):
        return int(value) if value.isascii() and value.isdigit() and str(int(value[:18])) == value else value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return str(value) if isinstance(value, list | dict) else value


def pixel_count(value: Any, name: str, where: str) -> int:
    """Return a width or height in pixels, also where it is written as text or as a float without fraction.

    Raises ``DataError``, starting with ``where``, on anything else.
    """
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = 0.0
    if isinstance(value, bool) or not (1 <= number < MOST_PIXELS) or not number.is_integer():
        raise DataError(f"{where}: '{name}' is {value!r:.60}, not a whole number of pixels")
    return int(number)


def is_crowd(annotation: Mapping[str, Any], where: str) -> bool:
    """Return ``iscrowd`` where it is 0 or 1, also as text or truth value. Raises ``DataError`` on anything else."""
    value = annotation.get("iscrowd", 0)
    known = {"0": False, "1": True, "false": False, "true": True, "none": False, "0.0": False, "1.0": True}
    found = known.get(str(value).strip().lower())
    if found is None:
        raise DataError(f"{where}: 'iscrowd' is {value!r:.60}, not 0 or 1")
    return found


def image_folder(dataset: DatasetConfig, directory: Path, path: str) -> str:
    """Return ``images:``, else the folder of the annotation file."""
    if dataset.images is not None:
        return place(directory, dataset.images)
    return path.replace("\\", "/").rpartition("/")[0]


def group_annotations(
    content: Mapping[str, Any], images: Mapping[Any, Any], categories: Mapping[Any, Any], path: str
) -> dict[Any, dict[Any, list[dict[str, Any]]]]:
    """Return annotations by image id and category id. Raises ``DataError`` on ids that lead nowhere."""
    grouped: dict[Any, dict[Any, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    annotations = content.get("annotations")
    if not isinstance(annotations, list):
        raise DataError(f"{path}: has no list 'annotations': a file of image information alone has no masks")
    boxes_only: list[Any] = []
    for number, annotation in enumerate(annotations):
        image_id, category_id = _ids_of(annotation, f"{path}: annotation entry {number}")
        if image_id not in images or category_id not in categories:
            missing = f"image {image_id}" if image_id not in images else f"category {category_id}"
            raise DataError(
                f"{path}: annotation {annotation.get('id')} belongs to {missing}, which the file does not "
                "have: it is incomplete or of another release"
            )
        grouped[image_id][category_id].append(annotation)
        if not annotation.get("segmentation"):
            boxes_only.append((image_id, category_id))
    _leave_out(boxes_only, grouped, path)
    return grouped


def _ids_of(annotation: Any, where: str) -> tuple[Any, Any]:
    if not isinstance(annotation, Mapping) or "image_id" not in annotation or "category_id" not in annotation:
        raise DataError(f"{where} is {annotation!r:.80}, not an object with 'image_id' and 'category_id'")
    return plain_id(annotation["image_id"]), plain_id(annotation["category_id"])


def _leave_out(
    boxes_only: list[tuple[Any, Any]], grouped: dict[Any, dict[Any, list[dict[str, Any]]]], path: str
) -> None:
    """Leave out, and say so, each class of an image one of whose objects has a box alone: its target is not known."""
    left_out = list(dict.fromkeys(boxes_only))
    for image_id, category_id in left_out:
        grouped[image_id].pop(category_id, None)
    if left_out and not any(grouped.values()):
        raise DataError(
            f"{path}: no annotation has a 'segmentation': boxes alone are no masks to score against"
        )
    if left_out:
        shown = ", ".join(f"{image_id}:{category_id}" for image_id, category_id in left_out[:SHOWN_IDS])
        LOG.warning(
            "%s: %d annotations have a box and no segmentation. The target of their class in their image is not "
            "known, so %d samples are left out: %s%s",
            *(path, len(boxes_only), len(left_out), shown, ", ..." if len(left_out) > SHOWN_IDS else ""),
        )


def class_sample(
    source: ClassNameFile,
    image: Mapping[str, Any],
    category: Mapping[str, Any],
    records: list[dict[str, Any]],
    *,
    exhaustive: bool = True,
) -> Sample | None:
    """Return the sample of one image and one class, None where only a crowd is marked."""
    height_px, width_px = image_size(source, image)
    regions = [
        read_segmentation(entry["segmentation"], height_px, width_px, _where(source, entry))
        for entry in records
    ]
    crowd = [is_crowd(entry, _where(source, entry)) for entry in records]
    targets = tuple(region for region, crowded in zip(regions, crowd, strict=True) if not crowded)
    if not targets:
        return None
    boxes = [_own_box(entry) for entry, crowded in zip(records, crowd, strict=True) if not crowded]
    ignored = [region for region, crowded in zip(regions, crowd, strict=True) if crowded]
    truth = GroundTruth(
        height_px,
        width_px,
        targets,
        ignore=union_of([as_rle(region, height_px, width_px) for region in ignored]) if ignored else None,
        box_px_xyxy=hull_of(boxes),
        exhaustive=exhaustive,
    )
    return _sample(source, image, category, truth)


def negative_sample(source: ClassNameFile, image: Mapping[str, Any], category: Mapping[str, Any]) -> Sample:
    """Return the sample of a class that the annotators say is not in the image."""
    return _sample(source, image, category, GroundTruth(*image_size(source, image)))


def faulty_sample(
    source: ClassNameFile, image: Mapping[str, Any], category: Mapping[str, Any], fault: str
) -> Sample:
    """Return the sample of a class whose objects are marked in a file that cannot be read."""
    return _sample(source, image, category, GroundTruth(*image_size(source, image), (UNDRAWN,), fault=fault))


def image_size(source: ClassNameFile, image: Mapping[str, Any]) -> tuple[int, int]:
    """Return (height, width) in pixels of an image's record. Raises ``DataError`` where they are none."""
    where = f"{source.path}: image {image.get('id')}"
    return pixel_count(image.get("height"), "height", where), pixel_count(image.get("width"), "width", where)


def _where(source: ClassNameFile, entry: Mapping[str, Any]) -> str:
    return f"{source.path}: annotation {entry.get('id')} (image {entry.get('image_id')})"


def _own_box(entry: Mapping[str, Any]) -> tuple[float, float, float, float] | None:
    """Return the annotation's box, None where it is no box: the object's mask says where it is all the same."""
    try:
        return xywh_to_xyxy(entry.get("bbox"), "")
    except DataError:
        return None


def as_rle(region: Region, height_px: int, width_px: int) -> Rle:
    """Return polygons or run lengths as run lengths of the image's size."""
    if isinstance(region, Rle):
        return region
    if isinstance(region, Polygons):
        return rle_encode(polygons_to_mask(region.rings_px, height_px, width_px))
    raise TypeError(f"{type(region).__name__} is read when it is scored, not before")


def _sample(
    source: ClassNameFile, image: Mapping[str, Any], category: Mapping[str, Any], truth: GroundTruth
) -> Sample:
    name = str(category["name"]).replace("_", " ")
    return Sample(
        dataset=source.dataset.name,
        split=source.dataset.split or "all",
        sample_id=f"{image['id']}:{category['id']}",
        image_id=str(image["id"]),
        image=ImageRef(_location(source.folder, _file_name(image))),
        expression=name,
        truth=truth,
        tags=tags_of(
            category=name,
            supercategory=category.get("supercategory"),
            targets=count_word(len(truth.instances)),
        ),
    )


def _location(folder: str, name: str) -> str:
    """Return where a photograph lies; a name written on Windows has backslashes where its folders part."""
    location = place(folder, name)
    return location if "\\" not in name or is_file(location) else place(folder, name.replace("\\", "/"))


def _file_name(image: Mapping[str, Any]) -> str:
    """Return the photograph's name: LVIS v1 gives only ``coco_url``, whose last two parts it is."""
    if "file_name" in image:
        return str(image["file_name"])
    return "/".join(str(image["coco_url"]).split("/")[-2:])
