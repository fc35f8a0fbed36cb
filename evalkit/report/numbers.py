"""Numbers as text: one place decides how many digits a reader gets. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["ratio", "percent", "seconds", "count", "usd", "difference"]

NOTHING = "\u2013"
"""Shown where a number is undefined or was not measured."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One number of a table: ``text`` for people, ``value`` for sorting, ``range_text`` its interval."""

    text: str
    range_text: str = ""
    value: float | None = None
    low: float | None = None
    high: float | None = None


def cell(measured: Any, kind: Kind) -> Cell:
    """Return the cell of a summary value: ``{"value", "low", "high"}``, a plain number or None."""
    value, low, high = triple(measured)
    if value is None:
        return Cell(NOTHING)
    text = spell(value, kind)
    if low is None or high is None:
        return Cell(text, value=value)
    unit = " %" if kind == "percent" else ""
    range_text = f"{spell(low, kind).removesuffix(unit)} to {spell(high, kind).removesuffix(unit)}"
    return Cell(text, range_text, value, low, high)


def triple(measured: Any) -> tuple[float | None, float | None, float | None]:
    """Return (value, low, high) of a summary value, None for what is missing or not finite."""
    if isinstance(measured, Mapping):
        return _finite(measured.get("value")), _finite(measured.get("low")), _finite(measured.get("high"))
    return _finite(measured), None, None


def spell(value: float, kind: Kind) -> str:
    """Return one number as text: 0.712, 3.4 %, 2.1 s, 1,204, $0.0042, +0.031."""
    if kind == "ratio":
        return f"{value:.3f}"
    if kind == "difference":
        return signed(value)
    if kind == "percent":
        return f"{100 * value:.1f} %"
    if kind == "seconds":
        return f"{value:.0f} s" if value >= 100 else f"{value:.1f} s" if value >= 1 else f"{value:.2f} s"
    if kind == "usd":
        return usd(value)
    return f"{value:,.0f}"


def signed(value: float) -> str:
    """Return a difference with its sign and a true minus, as in +0.031."""
    return f"{value:+.3f}".replace("-", "\u2212")


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
