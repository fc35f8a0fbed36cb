"""How numbers are spelled for people."""

import math

import pytest

from evalkit.report.numbers import NOTHING, bare, cell, signed, spell, usd


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (0.71249, "ratio", "0.712"),
        (0.034, "percent", "3.4\u00a0%"),
        (0.005, "seconds", "0.01\u00a0s"),
        (12.34, "seconds", "12.3\u00a0s"),
        (123.4, "seconds", "123\u00a0s"),
        (1204.4, "count", "1,204"),
        (-0.004, "difference", "\u22120.004"),
        (-0.0001, "difference", "0.000"),
        (-0.0001, "ratio", "0.000"),
    ],
)
def test_spells_each_kind(value, kind, text):
    """Each kind has its digits and its unit."""
    assert spell(value, kind) == text


@pytest.mark.parametrize(
    ("amount", "text"),
    [(0, "$0"), (12.4, "$12.40"), (1234.5, "$1,234.50"), (0.0042, "$0.0042"), (0.26, "$0.26")],
)
def test_spells_dollars(amount, text):
    """Small amounts keep two significant digits."""
    assert usd(amount) == text


@pytest.mark.parametrize("missing", [None, math.nan, math.inf, {"value": None}, "0.5", []])
def test_missing_numbers_are_a_dash(missing):
    """What is undefined never looks like a number."""
    assert cell(missing, "ratio").text == NOTHING


def test_cell_with_an_interval():
    """An interval follows the digits of its value and leaves out the unit."""
    found = cell({"value": 12.3, "low": 1.2, "high": 150.0}, "seconds")
    assert (found.text, found.range_text, found.low) == ("12.3\u00a0s", "1.2 to 150.0", 1.2)


def test_signs_and_units():
    """A rise has a plus, nothing has none; a unit can be taken off."""
    assert signed(0.0312) == "+0.031"
    assert signed(-0.0001) == "0.000"
    assert bare("3.4\u00a0%") == "3.4"
