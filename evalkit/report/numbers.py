"""Numbers as text: one place decides how many digits a reader gets. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["ratio", "percent", "seconds", "count", "usd", "difference"]

NOTHING = "\u2013"
"""Shown where a number is undefined or was not measured."""


SPACE = "\u00a0"
"""Between a number and its unit, so that no line breaks there."""


@dataclass(frozen=True, slots=True)
class TableCell:
    """One number of a table: ``text`` for people, ``range_text`` its interval, ``more`` a further line."""

    text: str
    range_text: str = ""
    value: float | None = None
    low: float | None = None
    high: float | None = None
    more: str = ""


def cell(measured: Any, kind: Kind) -> TableCell:
    """Return the cell of a summary value: ``{"value", "low", "high"}``, a plain number or None."""
    value, low, high = triple(measured)
    if value is None:
        return TableCell(NOTHING)
    text = spell(value, kind)
    if low is None or high is None:
        return TableCell(text, value=value)
    ends = [bare(spell(end, kind, like=value)) for end in (low, high)]
    return TableCell(text, " to ".join(ends), value, low, high)


def triple(measured: Any) -> tuple[float | None, float | None, float | None]:
    """Return (value, low, high) of a summary value, None for what is missing or not finite."""
    if isinstance(measured, Mapping):
        return _finite(measured.get("value")), _finite(measured.get("low")), _finite(measured.get("high"))
    return _finite(measured), None, None


def spell(value: float, kind: Kind, like: float | None = None) -> str:
    """Return one number as text: 0.712, 3.4 %, 2.1 s, 1,204, $0.0042, +0.031.

    ``like``: the number whose digits after the point are followed (the value of an interval's ends).
    """
    if kind == "ratio":
        return f"{value:z.3f}"
    if kind == "difference":
        return signed(value)
    if kind == "percent":
        return f"{100 * value:.1f}{SPACE}%"
    if kind == "seconds":
        size = value if like is None else like
        digits = 0 if size >= 100 else 1 if size >= 10 else 2
        return f"{value:.{digits}f}{SPACE}s"
    if kind == "usd":
        return usd(value)
    return f"{value:,.0f}"


def bare(text: str) -> str:
    """Return a number's text without its unit."""
    return text.removesuffix(f"{SPACE}%").removesuffix(f"{SPACE}s")


def signed(value: float) -> str:
    """Return a difference with its sign and a true minus, as in +0.031; 0.000 has none."""
    text = f"{value:+.3f}".replace("-", "\u2212")
    return "0.000" if text[1:] == "0.000" else text


def usd(value: float) -> str:
    """Return an amount with two significant digits below a dollar: $12.40, $0.0042, $0."""
    if value == 0:
        return "$0"
    if abs(value) >= 1:
        return f"${value:,.2f}"
    digits = 1 - math.floor(math.log10(abs(value)))
    return f"${value:.{max(2, digits)}f}"


def _finite(value: Any) -> float | None:
    if value is None or isinstance(value, (str, Mapping, list)):
        return None
    number = float(value)
    return number if math.isfinite(number) else None
