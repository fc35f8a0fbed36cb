"""``format: gseval`` (hustvl/GroundingSuite: GroundingSuite-Eval.jsonl, evaluate_grounding.py).

One JSON object a line: ``idx, image_path, class_id, label, caption, box`` (xyxy) and ``segmentation``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from evalkit.config.schema import DatasetConfig
from evalkit.datasets.files import check_options, first_folder, join, need_file, place, read_lines, tags_of
from evalkit.datasets.regions import read_rle
from evalkit.errors import ConfigError, DataError
from evalkit.types import GroundTruth, ImageRef, Sample

SUBSETS = {1: "stuff", 2: "part", 3: "multi", 4: "single"}
"""What ``class_id`` stands for (README of the repository)."""


def load_gseval(dataset: DatasetConfig, directory: Path) -> Iterator[Sample]:
    """Yield the rows of GroundingSuite-Eval.jsonl, given as ``path:`` or lying in ``root:``."""
    check_options(dataset)
    if dataset.path is not None:
        path = place(directory, dataset.path)
    elif dataset.root is not None:
        root = place(directory, dataset.root)
        path = need_file(
            [root, join(root, "gseval")],
            ["GroundingSuite-Eval.jsonl"],
            f"dataset '{dataset.name}'",
            "Set `root:` to its folder or `path:` to the file",
        )
    else:
        raise ConfigError(
            f"dataset '{dataset.name}' (format gseval) needs `path:`, GroundingSuite-Eval.jsonl"
        )
    folder = path.rpartition("/")[0]
    default = first_folder([join(folder, "images"), folder])
    images = default if dataset.images is None else place(directory, dataset.images)
    for number, text in read_lines(path):
        where = f"{path}:{number}"
        try:
            row = json.loads(text)
        except json.JSONDecodeError as error:
            raise DataError(f"{where}: not valid JSON ({error.msg}): fetch the file again") from error
        yield _sample_of(row, images, dataset.name, where)


def _sample_of(row: Mapping[str, Any], images: str, dataset: str, where: str) -> Sample:
    missing = [key for key in ("idx", "image_path", "caption", "segmentation") if row.get(key) is None]
    if missing:
        raise DataError(f"{where}: the row has no {', '.join(missing)}: this is no GroundingSuite-Eval file")
    height_px, width_px = row["segmentation"]["size"]
    region = read_rle(row["segmentation"], height_px, width_px, where)
    box = row.get("box")
    return Sample(
        dataset=dataset,
        split="all",
        sample_id=str(row["idx"]),
        image_id=str(row["image_path"]).rsplit(".", 1)[0],
        image=ImageRef(place(images, str(row["image_path"]))),
        expression=str(row["caption"]),
        truth=GroundTruth(
            height_px,
            width_px,
            (region,),
            box_px_xyxy=None if box is None else (float(box[0]), float(box[1]), float(box[2]), float(box[3])),
        ),
        tags=tags_of(subset=SUBSETS.get(row.get("class_id", 0)), category=row.get("label")),
    )
