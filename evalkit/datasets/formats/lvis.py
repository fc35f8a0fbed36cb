"""``format: lvis``: LVIS v1 instances by class name (lvis-dataset/lvis-api: lvis/lvis.py).

A category counts on an image only where it is annotated or listed in ``neg_category_ids``, which makes a
sample without target; ``not_exhaustive_category_ids`` marks samples whose instances are not all there.
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
    negative_sample,
)
from evalkit.errors import DataError
from evalkit.types import Sample


def load_lvis(dataset: DatasetConfig, directory: Path) -> Iterator[Sample]:
    """Yield a sample per image and category that is annotated or known to be absent; ids ``image:category``."""
    check_options(dataset)
    path = place(directory, path_of(dataset, "an LVIS annotation file (lvis_v1_val.json)"))
    content = read_json(path)
    images = index_by_id(content, "images", path)
    categories = index_by_id(content, "categories", path)
    source = ClassNameFile(dataset, path, image_folder(dataset, directory, path))
    grouped = group_annotations(content, images, categories, path)
    for image_id, image in images.items():
        if "neg_category_ids" not in image:
            raise DataError(f"{path}: image {image_id} has no 'neg_category_ids': this is COCO, not LVIS")
        partial = set(image.get("not_exhaustive_category_ids", []))
        for category_id, records in sorted(grouped.get(image_id, {}).items()):
            category = categories[category_id]
            sample = class_sample(source, image, category, records, exhaustive=category_id not in partial)
            if sample is not None:
                yield sample
        for category_id in image["neg_category_ids"]:
            yield negative_sample(source, image, categories[category_id])
