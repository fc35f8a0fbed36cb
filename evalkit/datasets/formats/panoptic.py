"""COCO panoptic files by class name (cocodataset/panopticapi): segment id = R + 256 G + 65536 B in a PNG.

The PNGs lie in a folder named like the JSON file, or in option ``masks``. Segments of one category in an
image make one sample; each PNG is read once, and its segments are kept as run lengths. A PNG that cannot be read is
the fault of the samples of its image.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from evalkit.config.schema import DatasetConfig
from evalkit.datasets.files import check_options, is_file, join, place, read_bytes
from evalkit.datasets.formats.class_names import (
    ClassNameFile,
    class_sample,
    faulty_sample,
    image_folder,
    index_by_id,
    is_crowd,
)
from evalkit.datasets.regions import mask_region
from evalkit.errors import DataError
from evalkit.images import load_image
from evalkit.types import Sample

if TYPE_CHECKING:
    from numpy.typing import NDArray


def is_panoptic(content: Any) -> bool:
    """Tell whether a parsed COCO file is a panoptic one: its annotations list segments of a PNG."""
    annotations = content.get("annotations") if isinstance(content, dict) else None
    return isinstance(annotations, list) and bool(annotations) and "segments_info" in annotations[0]


def read_panoptic(content: Any, dataset: DatasetConfig, directory: Path, path: str) -> Iterator[Sample]:
    """Yield a sample per image and category of a parsed panoptic file."""
    images = index_by_id(content, "images", path)
    categories = index_by_id(content, "categories", path)
    options = check_options(dataset, ("masks",))
    folder = place(directory, options["masks"]) if "masks" in options else path.removesuffix(".json")
    source = ClassNameFile(dataset, path, image_folder(dataset, directory, path))
    for annotation in content["annotations"]:
        image = images.get(annotation["image_id"])
        if image is None:
            raise DataError(
                f"{path}: a panoptic record belongs to image {annotation['image_id']}, which is not listed"
            )
        try:
            ids_hw = _read_ids(join(folder, annotation["file_name"]), image)
        except DataError as error:
            asked = {s["category_id"]: None for s in annotation["segments_info"] if not is_crowd(s, path)}
            for category_id in sorted(asked):
                yield faulty_sample(source, image, categories[category_id], str(error))
            continue
        grouped: dict[Any, list[dict[str, Any]]] = defaultdict(list)
        for segment in annotation["segments_info"]:
            segment_hw = ids_hw == segment["id"]
            if not segment_hw.any():
                raise DataError(
                    f"{path}: segment {segment['id']} is not in {annotation['file_name']}: two releases?"
                )
            coded = mask_region(segment_hw).to_json()
            grouped[segment["category_id"]].append({**segment, "segmentation": coded})
        for category_id, records in sorted(grouped.items()):
            sample = class_sample(source, image, categories[category_id], records)
            if sample is not None:
                yield sample


def _read_ids(location: str, image: Mapping[str, Any]) -> NDArray[np.uint32]:
    """Return the segment id of every pixel (H x W) of one PNG. Raises ``DataError`` on another size."""
    if not is_file(location):
        raise DataError(
            f"the panoptic mask {location} does not exist: unpack the PNGs beside the JSON file, or set options.masks"
        )
    colours = np.asarray(load_image(read_bytes(location), location).convert("RGB"), dtype=np.uint32)
    if colours.shape[:2] != (image["height"], image["width"]):
        raise DataError(
            f"the panoptic mask {location} is {colours.shape[1]}x{colours.shape[0]} pixels (width x height) but its "
            f"image is {image['width']}x{image['height']}"
        )
    ids: NDArray[np.uint32] = colours[..., 0] + 256 * colours[..., 1] + 65536 * colours[..., 2]
    return ids
