"""Cells that a spreadsheet would run, text that Markdown would read as HTML, characters that XML has no place for."""

from __future__ import annotations

import csv
import io
import re
from xml.etree import ElementTree as ET

import pytest

from evalkit.safe_text import csv_cell, file_part, markdown_cell, xml_text


@pytest.mark.parametrize(
    "text",
    [
        *("=1+1", "+SUM(A1)", "-2+3", "@cmd", "\t=1", "-", "+", "=-1", "@", "\tx", "\n=1", "\nx"),
        *(
            " =1",
            "\x00=1",
            "\ufeff=1",
            "\u200b=1",
            "\u00a0+1",
            '"=1',
            "'=1",
            " \n\t =1",
            "\uff1d1",
            "-1,5",
            "+1_0",
        ),
    ],
)
def test_what_a_spreadsheet_would_run_is_text(text: str) -> None:
    """An apostrophe stands before it, and the rest is as it was."""
    assert csv_cell(text) == f"'{text}"


@pytest.mark.parametrize(
    "value", [-1.5, 3, None, True, "-1.25", "+2e3", "the dog", "a=b", "", "left - right"]
)
def test_numbers_and_plain_text_stay(value: object) -> None:
    """Also numbers that stand as text."""
    assert csv_cell(value) is value


def test_no_cell_begins_a_row() -> None:
    """A carriage return stands within its quotes, whichever Python writes."""
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerow(csv_cell(text) for text in ("a\r=1", "\r=1", "b\r\nc"))
    assert stream.getvalue() == '"a\n=1","\'\n=1","b\nc"\n'


def test_xml_holds_what_xml_may_hold() -> None:
    """Every other character is shown as one that cannot be; the document is read back."""
    text = xml_text("a\0b\x1b[1m\ud800\ufffe\x85 <x> ]]> \U0001f600\t")
    assert text == "a\ufffdb\ufffd[1m\ufffd\ufffd\x85 <x> ]]> \U0001f600\t"
    element = ET.Element("a", name=text)
    element.text = text
    again = ET.fromstring(ET.tostring(element, encoding="unicode"))
    assert (again.get("name"), again.text) == (text, text)


def test_markdown_holds_no_html_and_no_second_column() -> None:
    """Pipes, tags, entities and line breaks are shown as they are written."""
    assert markdown_cell("a|b <img src=x> & c\nd") == "a\\|b &lt;img src=x&gt; &amp; c d"
    assert markdown_cell("`c` ![x](y)\u2028e\0\ud800") == "\\`c\\` !\\[x\\](y) e\ufffd\ufffd"


def test_names_as_parts_of_files() -> None:
    """Plain names stay; others leave no folder, move in none, and never meet."""
    assert [file_part(name) for name in ("flash-2.5", "médias_1", "a+b")] == ["flash-2.5", "médias_1", "a+b"]
    odd = ["a/b", "a b", "a-b", "../../x", ".x", "", "x" * 300, '"><script>', "a\\b", "nul\0", "\ud800"]
    parts = [file_part(name) for name in odd]
    assert len(set(parts)) == len(odd)
    assert all(re.fullmatch(r"[\w.+-]{1,100}", part) and not part.startswith(".") for part in parts)
