"""Annotation files read by class name (COCO, LVIS, panoptic): what they share.

One sample = one (image, category): the expression is the category's name, the target every instance of
it; crowd regions count neither for nor against (cocodataset/cocoapi: PythonAPI/pycocotools/coco.py).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalkit.config.schema import DatasetConfig
from evalkit.datasets.files import count_word, place, tags_of
from evalkit.datasets.regions import hull_of, read_segmentation, union_of, xywh_to_xyxy
from evalkit.errors import DataError
from evalkit.masks import polygons_to_mask, rle_encode
from evalkit.types import GroundTruth, ImageRef, Polygons, Region, Rle, Sample


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
    return {record["id"]: record for record in content[key]}


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
    for annotation in annotations:
        image_id, category_id = annotation["image_id"], annotation["category_id"]
        if image_id not in images or category_id not in categories:
            missing = f"image {image_id}" if image_id not in images else f"category {category_id}"
            raise DataError(
                f"{path}: annotation {annotation.get('id')} belongs to {missing}, which the file does not "
                "have: it is incomplete or of another release"
            )
        grouped[image_id][category_id].append(annotation)
    return grouped


def class_sample(
    source: ClassNameFile,
    image: Mapping[str, Any],
    category: Mapping[str, Any],
    records: list[dict[str, Any]],
    *,
    exhaustive: bool = True,
) -> Sample | None:
    """Return the sample of one image and one class, None where only a crowd is marked."""
    height_px, width_px = image["height"], image["width"]
    regions = [
        read_segmentation(
            entry["segmentation"], height_px, width_px, f"{source.path}: annotation {entry['id']}"
        )
        for entry in records
    ]
    crowd = [bool(entry.get("iscrowd", 0)) for entry in records]
    targets = tuple(region for region, is_crowd in zip(regions, crowd, strict=True) if not is_crowd)
    if not targets:
        return None
    boxes = [
        xywh_to_xyxy(entry.get("bbox"), f"{source.path}: annotation {entry['id']}")
        for entry, is_crowd in zip(records, crowd, strict=True)
        if not is_crowd
    ]
    ignored = [region for region, is_crowd in zip(regions, crowd, strict=True) if is_crowd]
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
    return _sample(source, image, category, GroundTruth(image["height"], image["width"]))


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
        image=ImageRef(place(source.folder, _file_name(image))),
        expression=name,
        truth=truth,
        tags=tags_of(
            category=name,
            supercategory=category.get("supercategory"),
            targets=count_word(len(truth.instances)),
        ),
    )


def _file_name(image: Mapping[str, Any]) -> str:
    """Return the photograph's name: LVIS v1 gives only ``coco_url``, whose last two parts it is."""
    if "file_name" in image:
        return str(image["file_name"])
    return "/".join(str(image["coco_url"]).split("/")[-2:])
