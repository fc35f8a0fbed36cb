"""Cells that a spreadsheet would run, and text that Markdown would read as HTML."""

from __future__ import annotations

import pytest

from evalkit.safe_text import csv_cell, markdown_cell


@pytest.mark.parametrize("text", ["=1+1", "+SUM(A1)", "-2+3", "@cmd", "\t=1", "\r=1", "-", "+", "=-1", "@"])
def test_what_a_spreadsheet_would_run_is_text(text: str) -> None:
    """An apostrophe stands before it, and the rest is as it was."""
    assert csv_cell(text) == f"'{text}"


@pytest.mark.parametrize(
    "value", [-1.5, 3, None, True, "-1.25", "+2e3", "the dog", "a=b", "", "left - right"]
)
def test_numbers_and_plain_text_stay(value: object) -> None:
    """Also numbers that stand as text."""
    assert csv_cell(value) is value


def test_markdown_holds_no_html_and_no_second_column() -> None:
    """Pipes, tags, entities and line breaks are shown as they are written."""
    assert markdown_cell("a|b <img src=x> & c\nd") == "a\\|b &lt;img src=x&gt; &amp; c d"
