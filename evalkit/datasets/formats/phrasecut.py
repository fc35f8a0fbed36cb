"""``format: phrasecut`` (ChenyunWu/PhraseCutDataset: README.md, utils/data_transfer.py).

A phrase of a Visual Genome photograph with the polygons of every instance. The mask is Pillow's polygon,
outline included, on points cut to integers; polygons with fewer than 2 points are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from evalkit.config.schema import DatasetConfig
from evalkit.datasets.files import (
    check_options,
    choose_splits,
    count_word,
    given_file,
    join,
    names_in,
    need_file,
    place,
    read_json,
    root_of,
    tags_of,
)
from evalkit.datasets.formats.class_names import index_by_id
from evalkit.datasets.regions import hull_of, mask_region
from evalkit.errors import DataError
from evalkit.types import GroundTruth, ImageRef, Rle, Sample

FOLDERS = ("VGPhraseCut_v0", "data/VGPhraseCut_v0", ".")


def load_phrasecut(dataset: DatasetConfig, directory: Path) -> Iterator[Sample]:
    """Yield the phrases of one split: train, val, test or miniv, or ``val_miniv`` for both of these.

    The files named val leave out miniv, whose photographs the published val row includes.
    """
    check_options(dataset)
    given = given_file(dataset, directory)
    root = (
        place(directory, root_of(dataset, "VGPhraseCut_v0/refer_val.json and image_data_split3000.json"))
        if given is None
        else given[0]
    )
    listing = need_file(
        [join(root, folder) for folder in FOLDERS],
        ["image_data_split3000.json"],
        f"dataset '{dataset.name}'",
        "Set `root:` to the folder that holds VGPhraseCut_v0/",
    )
    base = listing.rpartition("/")[0]
    found = [
        name.removeprefix("refer_").removesuffix(".json")
        for name in (names_in(base) or [] if given is None else [given[1]])
        if name.startswith("refer_") and name.endswith(".json") and not name.startswith("refer_input_")
    ]
    both = dataset.split == "val_miniv" and {"val", "miniv"} <= set(found)
    wanted = ["val", "miniv"] if both else choose_splits(dataset, found, base)
    sizes = index_by_id(
        {"images": [{**r, "id": r["image_id"]} for r in read_json(listing)]}, "images", listing
    )
    images = join(base, "images") if dataset.images is None else place(directory, dataset.images)
    for split in wanted:
        path = join(base, f"refer_{split}.json")
        for task in read_json(path):
            yield _sample_of(task, sizes, images, dataset.name, split, path=path)


def _sample_of(
    task: Mapping[str, Any], sizes: Mapping[Any, Any], images: str, dataset: str, split: str, *, path: str
) -> Sample:
    image_id, where = task["image_id"], f"{path}: task {task['task_id']}"
    if image_id not in sizes:
        raise DataError(
            f"{where}: image {image_id} is not in image_data_split3000.json: files of two releases?"
        )
    height_px, width_px = sizes[image_id]["height"], sizes[image_id]["width"]
    masks = [draw_instance(polygons, height_px, width_px) for polygons in task["Polygons"]]
    # The box ends on its last pixel, x + w - 1 in the authors' code: half open that is x + w.
    boxes = [
        (float(x), float(y), float(x + w), float(y + h)) for x, y, w, h in task.get("instance_boxes", [])
    ]
    structure = task.get("phrase_structure") or {}
    return Sample(
        dataset=dataset,
        split=split,
        sample_id=str(task["task_id"]),
        image_id=str(image_id),
        image=ImageRef(join(images, f"{image_id}.jpg")),
        expression=str(task["phrase"]),
        truth=GroundTruth(height_px, width_px, tuple(masks), box_px_xyxy=hull_of(boxes)),
        tags=tags_of(
            split=split,
            targets=count_word(len(masks)),
            phrase=structure.get("type"),
            category=structure.get("name"),
        ),
    )


def draw_instance(polygons: list[list[list[float]]], height_px: int, width_px: int) -> Rle:
    """Return the union of one instance's polygons as Pillow draws them (int-truncated points, outline 1)."""
    from PIL import Image, ImageDraw

    canvas = Image.new("L", (width_px, height_px), 0)
    draw = ImageDraw.Draw(canvas)
    for polygon in polygons:
        if len(polygon) >= 2:
            draw.polygon([(int(x), int(y)) for x, y in polygon], outline=1, fill=1)
    return mask_region(np.asarray(canvas) > 0)
