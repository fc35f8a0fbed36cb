"""``format: csv``: one's own samples from a spreadsheet, one a row; paths are relative to the file.

Columns ``id``, ``image``, ``expression``, ``mask`` and, where some rows have no target, ``no_target``; every other
column is a tag of its name. ``mask`` is a mask picture's path, or run lengths, polygons or
``{"instances": [...]}`` as JSON. Commas, semicolons and tabs are told apart by the header; UTF-8 with and without
a byte order mark, UTF-16 with one and, where nothing else fits, Windows-1252 are what spreadsheets write.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evalkit.config.schema import DatasetConfig
from evalkit.datasets.files import check_options, decode_text, path_of, place, read_bytes, unknown_split
from evalkit.datasets.formats.csv_header import OPTIONAL, REQUIRED, find_header
from evalkit.datasets.formats.jsonl import sample_of_record
from evalkit.datasets.notes import note
from evalkit.errors import ConfigError, DataError
from evalkit.types import Sample

WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False, "": False}
"""What a ``no_target`` cell may hold, in lower case."""

UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")

FOREIGN_WORD = re.compile(r"[^\W\d_\x00-\x7f]{3,}")
"""Three letters in a row outside ASCII: no word of the languages that Windows-1252 is for, but what others become."""


def load_csv(dataset: DatasetConfig, directory: Path) -> Iterator[Sample]:
    """Yield the samples of one CSV file. Raises ``DataError`` naming file and line, ``ConfigError`` on a split."""
    options = check_options(dataset, ("encoding",))
    path = place(directory, path_of(dataset, "a CSV file with a header"))
    folder = path.replace("\\", "/").rpartition("/")[0]
    images = folder if dataset.images is None else place(directory, dataset.images)
    text = _text(read_bytes(path), path, options.get("encoding"))
    first_line: dict[str, int] = {}
    splits: dict[str, int] = {}
    wanted = dataset.split or "all"
    for number, cells in _rows(text, path):
        where = f"{path}:{number}"
        record = _record(cells, where)
        if record["id"] in first_line:
            raise DataError(
                f"{where}: the id '{record['id']}' stands on line {first_line[record['id']]} already"
            )
        first_line[record["id"]] = number
        split = record["tags"].get("split", "all")
        splits[split] = splits.get(split, 0) + 1
        if wanted in ("all", split):
            yield sample_of_record({**record, "split": split}, dataset.name, folder, images, where)
    if wanted != "all" and wanted not in splits:
        raise unknown_split(dataset, splits, path)


def _text(data: bytes, path: str, encoding: Any) -> str:
    """Return the file as text: in the encoding that was given, else in the first that is certain."""
    if encoding is not None:
        try:
            return data.decode(str(encoding))
        except LookupError:
            raise ConfigError(f"options: encoding: '{encoding}' is no encoding that Python knows") from None
        except UnicodeDecodeError as error:
            raise DataError(
                f"{path}: is not {encoding} text ({error.reason} at byte {error.start})"
            ) from error
    if data[:2] in UTF_16_MARKS:
        return decode_text(data, path, ("utf-16",))
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return _windows_text(data, f"{path}:{line}")


def _windows_text(data: bytes, where: str) -> str:
    """Return text that is not UTF-8 as Windows-1252, Excel's plain CSV in western Europe, and say so."""
    way = "Save the file as 'CSV UTF-8', or name its encoding: `options: {encoding: cp1251}`"
    try:
        text = data.decode("cp1252")
    except UnicodeDecodeError:
        raise DataError(f"{where}: is neither UTF-8 nor Windows-1252 text. {way}") from None
    foreign = FOREIGN_WORD.search(text)
    if foreign:
        raise DataError(
            f"{where}: is not UTF-8 text, and as Windows-1252 it reads '{foreign.group()}', which looks like another "
            f"encoding. {way}"
        )
    note(f"{where}: is not UTF-8 text and was read as Windows-1252. {way}")
    return text


def _rows(text: str, path: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield (line of the row's start, cells by column) of every row that is not blank."""
    skipped, body = _without_separator_line(text)
    delimiter, header = find_header(body, f"{path}:{skipped + 1}")
    reader = csv.reader(io.StringIO(body, newline=""), delimiter=delimiter, strict=True)
    before = 0
    try:
        for index, cells in enumerate(reader):
            number, before = skipped + before + 1, reader.line_num
            if index == 0 or not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(header):
                raise DataError(
                    f"{path}:{number}: the row has {len(cells)} cells and the header {len(header)} columns: a cell "
                    f"that holds '{delimiter}' or a line break needs double quotes around it"
                )
            yield number, dict(zip(header, (cell.strip() for cell in cells), strict=True))
    except csv.Error as error:
        raise DataError(f"{path}:{skipped + reader.line_num}: not a valid CSV row: {error}") from error


def _without_separator_line(text: str) -> tuple[int, str]:
    """Return how many lines were left out, and the rest: a first line ``sep=;`` is Excel's own remark."""
    first, found, rest = text.partition("\n")
    return (1, rest) if found and re.fullmatch(r"sep=.\r?", first) else (0, text)


def _record(cells: dict[str, str], where: str) -> dict[str, Any]:
    """Return a row as the record of a JSONL line. Raises ``DataError`` on a cell that cannot be read."""
    for name in ("id", "image", "expression"):
        if not cells[name]:
            raise DataError(f"{where}: '{name}' is empty: every sample needs one")
    word = cells.get("no_target", "")
    if word.lower() not in WORDS:
        raise DataError(
            f"{where}: no_target is '{word}'; it must be true or false (yes, no, 1 and 0 will do)"
        )
    known = (*REQUIRED, *OPTIONAL)
    return {
        **{name: cells[name] for name in ("id", "image", "expression")},
        "mask": _mask(cells["mask"], where),
        "no_target": WORDS[word.lower()],
        "tags": {name: text for name, text in cells.items() if name and text and name not in known},
    }


def _mask(cell: str, where: str) -> Any:
    """Return a cell as the ``mask`` of a JSONL line: JSON where it looks like it, else a path; None where empty."""
    if not cell.startswith(("{", "[")):
        return cell or None
    try:
        return json.loads(cell)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: the mask looks like JSON but is not valid: {error}") from error
