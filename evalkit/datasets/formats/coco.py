"""``format: coco``: instances and panoptic files of COCO (cocodataset/cocoapi), asked for by class name.

A panoptic file is recognised by its segments and read by ``panoptic``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from evalkit.config.schema import DatasetConfig
from evalkit.datasets.files import check_options, path_of, place, read_json
from evalkit.datasets.formats.class_names import (
    ClassNameFile,
    class_sample,
    group_annotations,
    image_folder,
    index_by_id,
)
from evalkit.datasets.formats.panoptic import is_panoptic, read_panoptic
from evalkit.types import Sample


def load_coco(dataset: DatasetConfig, directory: Path) -> Iterator[Sample]:
    """Yield a sample per image and category that is annotated in it, in the file's order of images."""
    path = place(directory, path_of(dataset, "a COCO annotation file (instances_*.json, panoptic_*.json)"))
    content = read_json(path)
    if is_panoptic(content):
        yield from read_panoptic(content, dataset, directory, path)
        return
    check_options(dataset)
    images = index_by_id(content, "images", path)
    categories = index_by_id(content, "categories", path)
    source = ClassNameFile(dataset, path, image_folder(dataset, directory, path))
    grouped = group_annotations(content, images, categories, path)
    for image_id, image in images.items():
        for category_id, records in sorted(grouped.get(image_id, {}).items()):
            sample = class_sample(source, image, categories[category_id], records)
            if sample is not None:
                yield sample
