"""The header of a CSV file of samples: which columns it needs, and which delimiter it is written with."""

from __future__ import annotations

import csv
import io

from evalkit.errors import DataError, nearest

REQUIRED = ("id", "image", "expression", "mask")
OPTIONAL = ("no_target",)
DELIMITERS = (",", ";", "\t")


def find_header(text: str, where: str) -> tuple[str, list[str]]:
    """Return (delimiter, columns): the delimiter that splits the first row into the most known columns."""
    if not text.strip():
        raise DataError(f"{where}: the file is empty: a header with {', '.join(REQUIRED)} is needed")
    found = {delimiter: _columns(text, delimiter, where) for delimiter in DELIMITERS}
    known = (*REQUIRED, *OPTIONAL)
    delimiter = max(found, key=lambda mark: sum(column in known for column in found[mark]))
    header = found[delimiter]
    missing = [name for name in REQUIRED if name not in header]
    if missing:
        raise DataError(
            f"{where}: the header has no column '{missing[0]}'.{nearest(missing[0], [h for h in header if h])} "
            f"It has: {', '.join(header)[:200]}. Needed are {', '.join(REQUIRED)}; no_target where a row has no "
            "target; every other column is a tag"
        )
    twice = [name for name in header if header.count(name) > 1]
    if twice:
        raise DataError(
            f"{where}: the column '{twice[0]}' stands twice: every column needs a name of its own"
        )
    return delimiter, header


def _columns(text: str, delimiter: str, where: str) -> list[str]:
    """Return the names of the first row; those that evalkit knows in lower case, as a spreadsheet may start them big."""
    try:
        cells = next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True), [])
    except csv.Error as error:
        raise DataError(f"{where}: the header is not a valid CSV row: {error}") from error
    names = [cell.strip() for cell in cells]
    return [name.lower() if name.lower() in (*REQUIRED, *OPTIONAL) else name for name in names]


def looks_like_csv(line: str) -> bool:
    """Tell whether a file's first line is a header with the columns of a CSV of samples."""
    return any({"image", "expression"} <= _plain_cells(line, delimiter) for delimiter in DELIMITERS)


def _plain_cells(line: str, delimiter: str) -> set[str]:
    return {cell.strip(' "\ufeff\r\n').lower() for cell in line.split(delimiter)}
