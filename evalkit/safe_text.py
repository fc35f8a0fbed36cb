"""Text of others (expressions, names, answers) in files that programs interpret: spreadsheets, Markdown, XML. Pure.

A cell that starts like a formula is run by spreadsheets (OWASP, "CSV injection"); Markdown lets HTML through; XML has no
place for most control characters.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any, Final

FORMULA: Final = re.compile(
    r"[\s\x00-\x1f\x7f-\x9f\u200b-\u200f\u2060\ufeff'\"]*[=+\-@\uff0b\uff0d\uff1d\uff20]|[\t\r\n]"
)
"""What spreadsheets run: an operator, its full-width form too, also behind blanks, marks and quotes, which some drop."""

NO_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 has no place for, by number or written out (section 2.2)."""

REPLACEMENT: Final = "\ufffd"


def csv_cell(value: Any) -> Any:
    """Return a cell for a CSV file: text that a spreadsheet would run has an apostrophe before it; numbers stay.

    A carriage return becomes a line feed: the writer quotes cells that hold the latter alone, and what stands behind
    a bare one would begin a row.
    """
    if not isinstance(value, str):
        return value
    text = value.replace("\r\n", "\n").replace("\r", "\n") if "\r" in value else value
    return f"'{text}" if FORMULA.match(value) and not _is_number(value) else text


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[+-](\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", text, re.ASCII) is not None


def markdown_cell(text: str) -> str:
    """Return text for a cell or a line of Markdown: no end of the cell, no HTML, no code, link or picture."""
    return _MARKDOWN.sub(lambda found: _MARKDOWN_FOR.get(found.group(), REPLACEMENT), text)


_MARKDOWN: Final = re.compile("[&<>\\\\|`\\[\\]\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029]")
_MARKDOWN_FOR: Final = (
    {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
    | {letter: f"\\{letter}" for letter in "\\|`[]"}
    | dict.fromkeys("\n\r\t\x0b\x0c\x85\u2028\u2029", " ")
)


def xml_text(text: str) -> str:
    """Return text that may stand in XML 1.0; every other character is the sign of one that cannot be shown."""
    return NO_XML.sub(REPLACEMENT, text)


LONGEST_FILE_PART: Final = 80


def file_part(name: str) -> str:
    """Return a name as a part of a file's name: as it is where that is possible, else its plain letters and a digest.

    By the digest two names never end in one file.
    """
    plain = re.sub(r"[^\w.+-]+", "-", name).strip(".-")[:LONGEST_FILE_PART]
    if plain == name != "":
        return name
    return f"{plain}-{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"
