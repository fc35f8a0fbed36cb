"""Text of others (expressions, names, answers) in files that programs interpret: spreadsheets and Markdown. Pure.

A cell that starts like a formula is run by spreadsheets (OWASP, "CSV injection"); Markdown lets HTML through.
"""

from __future__ import annotations

from typing import Any

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def csv_cell(value: Any) -> Any:
    """Return a cell for a CSV file: text that a spreadsheet would run has an apostrophe before it; numbers stay."""
    if isinstance(value, str) and value.startswith(FORMULA_STARTS) and not _is_number(value):
        return f"'{value}"
    return value


def _is_number(text: str) -> bool:
    if text[0] not in "+-":
        return False
    try:
        float(text)
    except ValueError:
        return False
    return True


MARKDOWN = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\\": "\\\\", "|": "\\|", "\n": " ", "\r": " "}


def markdown_cell(text: str) -> str:
    """Return text for a cell or a line of Markdown, where it neither ends the cell nor is read as HTML."""
    return "".join(MARKDOWN.get(letter, letter) for letter in text)
