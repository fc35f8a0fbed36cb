"""``format: saco``: SA-Co Gold and Silver (facebookresearch/sam3: scripts/eval/gold/README.md, eval_sam3.py).

A record of ``images`` is a photograph together with a noun phrase; one without annotations is a negative.
Gold has three annotators in files ``..._merged_{a,b,c}_release_test.json``: the first is the truth here,
the others its alternatives. Boxes are normalised by the image's size and are turned into pixels.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from evalkit.config.schema import DatasetConfig
from evalkit.datasets import files
from evalkit.datasets.formats.class_names import index_by_id
from evalkit.datasets.regions import hull_of, read_segmentation
from evalkit.errors import DataError
from evalkit.types import GroundTruth, ImageRef, Sample

ANNOTATOR = re.compile(r"^(?P<subset>.+)_merged_(?P<annotator>[abc])_release_test\.json$")


def load_saco(dataset: DatasetConfig, directory: Path) -> Iterator[Sample]:
    """Yield every pair of photograph and phrase; ``split`` is the subset, such as ``metaclip`` or ``sa1b``.

    ``root:`` holds the files of one or more subsets, or ``path:`` names one annotator's file alone.
    """
    files.check_options(dataset)
    folder, groups = _find_groups(dataset, directory)
    default_images = files.first_folder([files.join(folder, "images"), folder])
    images = default_images if dataset.images is None else files.place(directory, dataset.images)
    for subset, paths in groups.items():
        yield from _read_subset(dataset.name, subset, paths, images)


def _find_groups(dataset: DatasetConfig, directory: Path) -> tuple[str, dict[str, list[str]]]:
    if dataset.path is not None:
        path = files.place(directory, dataset.path)
        return path.rpartition("/")[0], {_subset_of(path.rpartition("/")[2]): [path]}
    layout = "gold_*_merged_{a,b,c}_release_test.json (or give `path:`, one annotator's file)"
    root = files.place(directory, files.root_of(dataset, layout))
    folder = next((f for f in (root, files.join(root, "saco_gold")) if _is_here(f)), root)
    groups: dict[str, list[str]] = defaultdict(list)
    for name in files.names_in(folder) or []:
        if ANNOTATOR.match(name):
            groups[_subset_of(name)].append(files.join(folder, name))
    found = dict(groups)
    if dataset.split not in (None, "all"):
        groups = {name: paths for name, paths in groups.items() if name == dataset.split}
    if not groups:
        raise DataError(
            f"dataset '{dataset.name}': looked for *_merged_{{a,b,c}}_release_test.json"
            f"{f' of the subset {dataset.split}' if found else ''} in {folder}, found the subsets: "
            f"{', '.join(found) or 'none'}. Set `root:`, or `split:` to a subset or `all`"
        )
    for subset, paths in groups.items():
        if len(paths) != 3:
            raise DataError(
                f"subset {subset} in {folder} has {len(paths)} of 3 annotators ({', '.join(paths)}): download the "
                "others, or give one file as `path:` to use a single annotator on purpose"
            )
    return folder, dict(groups)


def _is_here(folder: str) -> bool:
    return any(ANNOTATOR.match(name) for name in files.names_in(folder) or [])


def _subset_of(name: str) -> str:
    match = ANNOTATOR.match(name)
    return match["subset"].removeprefix("gold_") if match else name.removesuffix(".json")


def _read_subset(dataset: str, subset: str, paths: list[str], images: str) -> Iterator[Sample]:
    annotators = [_read_annotator(path) for path in paths]
    first = annotators[0]
    for pair_id, (pair, truth) in first.items():
        for path, other in zip(paths[1:], annotators[1:], strict=True):
            if pair_id not in other:
                raise DataError(
                    f"{path}: pair {pair_id} of {paths[0]} is missing: the files are of two releases"
                )
        others = tuple(other[pair_id][1] for other in annotators[1:])
        yield Sample(
            dataset=dataset,
            split=subset,
            sample_id=str(pair_id),
            image_id=str(pair["file_name"]),
            image=ImageRef(files.place(images, str(pair["file_name"]))),
            expression=str(pair["text_input"]),
            truth=replace(truth, alternatives=others),
            tags=files.tags_of(
                subset=subset, targets=files.count_word(len(truth.instances)), exhaustive=truth.exhaustive
            ),
        )


def _read_annotator(path: str) -> dict[Any, tuple[Mapping[str, Any], GroundTruth]]:
    content = files.read_json(path)
    pairs = index_by_id(content, "images", path)
    grouped: dict[Any, list[dict[str, Any]]] = defaultdict(list)
    for annotation in content.get("annotations", []):
        if annotation["image_id"] not in pairs:
            raise DataError(f"{path}: annotation {annotation['id']} belongs to no pair of the file")
        grouped[annotation["image_id"]].append(annotation)
    for pair_id, pair in pairs.items():
        if "text_input" not in pair:
            raise DataError(f"{path}: pair {pair_id} has no 'text_input': this is no SA-Co file")
    return {
        pair_id: (pair, _truth_of(pair, grouped.get(pair_id, []), path)) for pair_id, pair in pairs.items()
    }


def _truth_of(pair: Mapping[str, Any], annotations: list[dict[str, Any]], path: str) -> GroundTruth:
    height_px, width_px = pair["height"], pair["width"]
    kept = [entry for entry in annotations if not entry.get("iscrowd") and not entry.get("ignore")]
    boxes = []
    for entry in kept:
        x, y, width, height = entry["bbox"]
        boxes.append((x * width_px, y * height_px, (x + width) * width_px, (y + height) * height_px))
    return GroundTruth(
        height_px,
        width_px,
        tuple(
            read_segmentation(e["segmentation"], height_px, width_px, f"{path}: annotation {e['id']}")
            for e in kept
        ),
        box_px_xyxy=hull_of(boxes),
        exhaustive=bool(pair.get("is_instance_exhaustive", 1)),
    )
