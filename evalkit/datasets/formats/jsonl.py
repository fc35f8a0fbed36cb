"""``format: jsonl``: one's own samples, one JSON object a line; paths are relative to the file.

``{"id", "image", "expression", "mask", "no_target", "tags"}`` and, where wanted, ``image_id``,
``image_sha256``, ``width``, ``height``, ``box`` ([x0, y0, x1, y1] in pixels) and ``split``. ``mask`` is
a mask image's path, run lengths, polygons in pixels, ``{"instances": [...]}`` for several target
objects, or null together with ``"no_target": true``.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from evalkit.config.schema import DatasetConfig
from evalkit.datasets.files import (
    check_options,
    is_file,
    path_of,
    place,
    read_head,
    read_lines,
    unknown_split,
)
from evalkit.datasets.formats.csv_header import looks_like_csv
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
    for number, text in _lines(path):
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


def _lines(path: str) -> Iterator[tuple[int, str]]:
    """Yield the lines of the file; where the first one is of another format, that is what the error says."""
    lines = read_lines(path)
    try:
        first = next(lines, None)
    except DataError as error:
        head = read_head(path) if is_file(path) else b""
        raise DataError(f"{path}: {_BINARY[head[:4]]}") if head[:4] in _BINARY else error from None
    if first is None:
        return
    other = _another_format(first[1])
    if other is not None:
        raise DataError(f"{path}:{first[0]}: {other}")
    yield first
    yield from lines


_BINARY = {
    b"PAR1": "the file is Parquet: set `format: parquet`",
    b"PK\x03\x04": "the file is a ZIP archive (or an Excel workbook, which is one): unpack it, or save the sheet as CSV "
    "and set `format: csv`",
    b"\x89PNG": "the file is a picture: `path:` is the file that lists the samples",
}
"""First bytes of files that are no text, and what to do with them."""

COCO_KEY = re.compile(r'"(images|annotations|categories|info|licenses)"\s*:\s*[\[{]')


def _another_format(line: str) -> str | None:
    """Return what a first line shows the file to be, with the way out; None where it may be JSON Lines."""
    if line.startswith("["):
        return (
            "the file is a JSON array, and `format: jsonl` has one object a line, without brackets and commas between. "
            "To convert it: jq -c '.[]' FILE > FILE.jsonl"
        )
    if line.startswith("{"):
        if COCO_KEY.search(line[:1000]):
            return "the file looks like COCO annotations: set `format: coco`"
        if not line.rstrip().endswith("}"):
            return (
                "the JSON object does not end on its line, and `format: jsonl` has one object a line. To convert a "
                "file of several lines an object: jq -c . FILE > FILE.jsonl; COCO annotations are `format: coco`"
            )
        return None
    if looks_like_csv(line):
        return "the file is a CSV with a header: set `format: csv`"
    return None


def _read_record(text: str, where: str, path: str) -> dict[str, Any]:
    try:
        record = json.loads(text, object_pairs_hook=_without_doubles)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: not one valid JSON object a line: {error}") from error
    if not isinstance(record, dict):
        raise DataError(f"{where}: the line is a JSON {type(record).__name__}, not an object with keys")
    for key, value in record.items():
        if key not in KEYS:
            slips = difflib.get_close_matches(key, KEYS, n=1, cutoff=TOO_NEAR)
            if slips:
                raise DataError(f"{where}: unknown key '{key}'. Did you mean '{slips[0]}'?")
            note(f"{path}: {_unread(key)}")
        elif not isinstance(value, KEYS[key]) or (isinstance(value, bool) and key != "no_target"):
            allowed = " or ".join("null" if kind is type(None) else kind.__name__ for kind in KEYS[key])
            raise DataError(f"{where}: '{key}' must be {allowed}, got {value!r}"[:300])
    for key in ("id", "image", "expression"):
        if not str(record.get(key, "")).strip():
            raise DataError(f"{where}: '{key}' is missing or empty: every sample needs one")
    return record


def _unread(key: str) -> str:
    """Return words on a key that nothing reads."""
    near = difflib.get_close_matches(key, KEYS, n=1, cutoff=0.6)
    hint = f", or did you mean '{near[0]}'?" if near else ""
    return f'the key \'{key}\' is not read: `"tags": {{"{key}": ...}}` makes it a tag to slice by{hint}'


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    for key in keys:
        if keys.count(key) > 1:
            raise ValueError(f"the key '{key}' stands twice")
    return dict(pairs)


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
