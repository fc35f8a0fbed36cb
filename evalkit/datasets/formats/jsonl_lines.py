"""The lines of a JSON Lines file, files of other formats that are taken for one, and keys that nothing reads."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from typing import Any

from evalkit.datasets.files import is_file, read_head, read_lines
from evalkit.datasets.formats.csv_header import looks_like_csv
from evalkit.errors import DataError


def sample_lines(path: str) -> Iterator[tuple[int, str]]:
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


def unread(key: str, known: Iterable[str]) -> str:
    """Return words on a key that nothing reads."""
    near = difflib.get_close_matches(key, list(known), n=1, cutoff=0.6)
    hint = f", or did you mean '{near[0]}'?" if near else ""
    return f'the key \'{key}\' is not read: `"tags": {{"{key}": ...}}` makes it a tag to slice by{hint}'


def without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object's pairs as a dict. Raises ``ValueError`` where a key stands twice."""
    keys = [key for key, _ in pairs]
    for key in keys:
        if keys.count(key) > 1:
            raise ValueError(f"the key '{key}' stands twice")
    return dict(pairs)
