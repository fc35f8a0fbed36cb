"""``format: converseg``: conversational expressions (AadSah/ConverSeg: README.md, eval.py; arXiv 2602.13195).

Read from ``items.json`` or ``SPLIT.jsonl`` with mask images; the Hugging Face files are ``format: parquet``.
As the authors' JSON mode, the mask is the grey value above 0 and an alpha channel means nothing; their
Hugging Face mode reads the alpha channel instead.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from evalkit.config.schema import DatasetConfig
from evalkit.datasets.files import (
    check_options,
    given_file,
    join,
    names_in,
    place,
    read_json,
    read_lines,
    root_of,
    tags_of,
    unknown_split,
)
from evalkit.datasets.mask_files import mask_file_truth
from evalkit.errors import DataError
from evalkit.types import ImageRef, Sample


def load_converseg(dataset: DatasetConfig, directory: Path) -> Iterator[Sample]:
    """Yield the items of ``split`` (``human_annotated``, ``sam_seeded``: the name of a .jsonl file).

    ``split: all`` reads items.json where there is one, else every .jsonl file of the folder; ``path:``
    names one file of either kind.
    """
    check_options(dataset)
    given = given_file(dataset, directory)
    if given is None:
        root = place(directory, root_of(dataset, "items.json or human_annotated.jsonl and sam_seeded.jsonl"))
        root = next((base for base in (root, join(root, "converseg")) if _is_here(base)), root)
        files = _find_files(dataset, root)
    else:
        root, name = given
        split = "all" if name.endswith(".json") else name.removesuffix(".jsonl")
        files = [(split, join(root, name))]
    images = root if dataset.images is None else place(directory, dataset.images)
    for split, path in files:
        for where, item in _read_items(path):
            yield _sample_of(item, root, images, dataset.name, split, where=where)


def _is_here(folder: str) -> bool:
    return any(name == "items.json" or name.endswith(".jsonl") for name in names_in(folder) or [])


def _find_files(dataset: DatasetConfig, root: str) -> list[tuple[str, str]]:
    names = names_in(root) or []
    found = {name.removesuffix(".jsonl"): join(root, name) for name in names if name.endswith(".jsonl")}
    wanted = dataset.split or "all"
    if wanted == "all" and "items.json" in names:
        return [("all", join(root, "items.json"))]
    chosen = [(split, path) for split, path in found.items() if wanted in ("all", split)]
    if not chosen:
        raise unknown_split(dataset, list(found), root)
    return chosen


def _read_items(path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if path.endswith(".json"):
        content = read_json(path)
        items = content.get("items") if isinstance(content, dict) else None
        if not isinstance(items, list) or content.get("count", len(items)) != len(items):
            held = len(items) if isinstance(items, list) else "no"
            raise DataError(
                f"{path}: holds {held} items but says 'count': {content.get('count')}: incomplete?"
            )
        yield from ((f"{path}: item {number}", item) for number, item in enumerate(items))
        return
    for number, text in read_lines(path):
        try:
            yield f"{path}:{number}", json.loads(text)
        except json.JSONDecodeError as error:
            raise DataError(f"{path}:{number}: not valid JSON ({error.msg}): fetch the file again") from error


def _sample_of(
    item: Mapping[str, Any], root: str, images: str, dataset: str, split: str, *, where: str
) -> Sample:
    mask_name = item.get("mask", item.get("mask_merged"))
    if not mask_name or not item.get("image") or not item.get("prompt"):
        raise DataError(
            f"{where}: an item needs image, mask (or mask_merged) and prompt, this has {', '.join(item)}"
        )
    mask = join(root, str(mask_name))
    stem = str(item["image"]).rsplit("/", 1)[-1].rsplit(".", 1)[0]
    mask_stem = str(mask_name).rsplit("/", 1)[-1].rsplit(".", 1)[0]
    return Sample(
        dataset=dataset,
        split=split,
        sample_id=str(item.get("id", mask_stem)),
        image_id=stem,
        image=ImageRef(place(images, str(item["image"]))),
        expression=str(item["prompt"]),
        truth=mask_file_truth(mask, where, channel="nonzero"),
        tags=tags_of(split=None if split == "all" else split, concept=item.get("concept")),
    )
