"""``format: jsonl``: one's own samples, one JSON object a line; paths are relative to the file.

``{"id", "image", "expression", "mask", "no_target", "tags"}`` and, where wanted, ``image_id``,
``image_sha256``, ``width``, ``height``, ``box`` ([x0, y0, x1, y1] in pixels) and ``split``. ``mask`` is
a mask image's path, run lengths, polygons in pixels, ``{"instances": [...]}`` for several target
objects, or null together with ``"no_target": true``.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from evalkit.config.schema import DatasetConfig
from evalkit.datasets.files import (
    check_options,
    path_of,
    place,
    unknown_split,
)
from evalkit.datasets.formats.jsonl_lines import sample_lines, unread, without_doubles
from evalkit.datasets.formats.jsonl_truth import read_truth
from evalkit.datasets.notes import note
from evalkit.errors import DataError
from evalkit.types import ImageRef, Sample

KEYS: dict[str, tuple[type, ...]] = {
    "id": (str, int),
    "image": (str,),
    "expression": (str,),
    "mask": (str, list, dict, type(None)),
    "no_target": (bool,),
    "tags": (dict,),
    "image_id": (str, int),
    "image_sha256": (str, type(None)),
    "width": (int,),
    "height": (int,),
    "box": (list, type(None)),
    "split": (str,),
}
"""Every key with the JSON types it may have; other keys are the user's own: they are not read, and that is told."""

TOO_NEAR = 0.85
"""An unknown key this similar (difflib's ratio) to a known one is taken for a slip and refused."""


def load_jsonl(dataset: DatasetConfig, directory: Path) -> Iterator[Sample]:
    """Yield the samples of one JSON Lines file. Raises ``DataError`` naming file and line."""
    check_options(dataset)
    path = place(directory, path_of(dataset, "a file with one JSON object a line"))
    folder = path.replace("\\", "/").rpartition("/")[0]
    images = folder if dataset.images is None else place(directory, dataset.images)
    wanted = dataset.split or "all"
    first_line: dict[str, int] = {}
    splits: dict[str, int] = {}
    for number, text in sample_lines(path):
        where = f"{path}:{number}"
        record = _read_record(text, where, path)
        split = record.get("split", "all")
        splits[split] = splits.get(split, 0) + 1
        sample_id = str(record["id"])
        if sample_id in first_line:
            raise DataError(f"{where}: the id '{sample_id}' stands on line {first_line[sample_id]} already")
        first_line[sample_id] = number
        if wanted in ("all", split):
            yield sample_of_record(record, dataset.name, folder, images, where)
    if wanted != "all" and splits and wanted not in splits:
        raise unknown_split(dataset, splits, path)


def _read_record(text: str, where: str, path: str) -> dict[str, Any]:
    try:
        record = json.loads(text, object_pairs_hook=without_doubles)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: not one valid JSON object a line: {error}") from error
    if not isinstance(record, dict):
        raise DataError(f"{where}: the line is a JSON {type(record).__name__}, not an object with keys")
    for key, value in record.items():
        if key not in KEYS:
            slips = difflib.get_close_matches(key, KEYS, n=1, cutoff=TOO_NEAR)
            if slips:
                raise DataError(f"{where}: unknown key '{key}'. Did you mean '{slips[0]}'?")
            note(f"{path}: {unread(key, KEYS)}")
        elif not isinstance(value, KEYS[key]) or (isinstance(value, bool) and key != "no_target"):
            allowed = " or ".join("null" if kind is type(None) else kind.__name__ for kind in KEYS[key])
            raise DataError(f"{where}: '{key}' must be {allowed}, got {value!r}"[:300])
    for key in ("id", "image", "expression"):
        if not str(record.get(key, "")).strip():
            raise DataError(f"{where}: '{key}' is missing or empty: every sample needs one")
    return record


def sample_of_record(record: Mapping[str, Any], dataset: str, folder: str, images: str, where: str) -> Sample:
    """Return the sample of one checked record; ``folder``, ``images``: what its mask and its image are relative to.

    Raises ``DataError``, starting with ``where`` (file and line), on a mask that cannot be that image's.
    """
    image = place(images, record["image"])
    tags = record.get("tags", {})
    for name, value in tags.items():
        if isinstance(value, dict | list):
            raise DataError(f"{where}: the tag '{name}' must be text or a number, got {value!r}")
    return Sample(
        dataset=dataset,
        split=record.get("split", "all"),
        sample_id=str(record["id"]),
        image_id=str(record.get("image_id", record["image"])),
        image=ImageRef(image, sha256=record.get("image_sha256")),
        expression=record["expression"],
        truth=read_truth(record, image, folder, where),
        tags={name: _as_text(value) for name, value in tags.items() if value is not None},
    )


def _as_text(value: Any) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)
