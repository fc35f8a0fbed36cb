"""Stacked shares per model: what became of every sample, and which wire formats came. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evalkit.decoding.codes import FAILURES, OUTCOMES
from evalkit.decoding.formats import WIRE_FORMATS
from evalkit.report.data import ReportData

if TYPE_CHECKING:
    import pandas as pd

STRICT = "#2f7f79"
REPAIRED = "#7fb9ae"
REFUSED = "#8fa8c9"
BLOCKED = "#4a4453"
NOT_RUN = "#b5b3ae"
DATA_ERROR = "#8f8d88"
FAILURE_COLOURS = (
    "#c8553d",
    "#e0925a",
    "#a63d57",
    "#d9b44a",
    "#7d4a6b",
    "#e2a89a",
    "#8c5a3c",
    "#b98b9b",
    "#9c8f3f",
)
FORMAT_COLOURS = ("#4c6f9f", "#8fb0d1", "#5d9c8a", "#b9d0a5", "#b08bb5", "#d9b98a", "#6f6a8c")
"""Each kind keeps its colour in every report; the second round of a palette is striped."""

FAILURE = "failure="
"""Marks a failure code among the kinds of outcome."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One part of a bar: ``query`` selects its answers in the gallery."""

    key: str
    words: str
    count: int
    share: float
    colour: str
    striped: bool
    query: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Bar:
    """One model's bar; the shares of ``segments`` add up to 1 unless it is empty."""

    label: str
    total: int
    segments: tuple[Segment, ...]
    order: tuple[_SegmentKind, ...]


@dataclass(frozen=True, slots=True)
class Legend:
    """One entry of a legend, in the order of the bars."""

    key: str
    words: str
    colour: str
    striped: bool


@dataclass(frozen=True, slots=True)
class _SegmentKind:
    """One kind of segment, in the order bars are stacked."""

    key: str
    words: str
    colour: str
    query: Mapping[str, str]
    striped: bool = False


def outcome_bars(data: ReportData, dataset: str) -> list[Bar]:
    """Return what became of every sample, per model: readable, failed by kind, blocked, not run."""
    rows = {model.label: data.rows(dataset, model.label) for model in data.models}
    counts = {label: _outcome_counts(part) for label, part in rows.items() if len(part)}
    seen = {key[len(FAILURE) :] for count in counts.values() for key in count if key.startswith(FAILURE)}
    codes = [code for code in FAILURES if code in seen] + sorted(seen - set(FAILURES))
    order = [
        _SegmentKind("strict", "as asked", STRICT, {"outcome": "decoded", "strict": "yes"}),
        _SegmentKind("repaired", "after repairs", REPAIRED, {"outcome": "decoded", "strict": "no"}),
        _SegmentKind("no_target", OUTCOMES["no_target"].label, REFUSED, {"outcome": "no_target"}),
        *(_failure_kind(code) for code in codes),
        _SegmentKind("blocked", OUTCOMES["blocked"].label, BLOCKED, {"outcome": "blocked"}),
        _SegmentKind("not_run", OUTCOMES["not_run"].label, NOT_RUN, {"outcome": "not_run"}),
        _SegmentKind("data_error", OUTCOMES["data_error"].label, DATA_ERROR, {"outcome": "data_error"}),
    ]
    return [_bar(label, count, order) for label, count in counts.items()]


def _failure_kind(code: str) -> _SegmentKind:
    words = FAILURES.get(code, code.replace("_", " "))
    colour, striped = _paint(code, list(FAILURES), FAILURE_COLOURS)
    return _SegmentKind(f"{FAILURE}{code}", words, colour, {"failure": code}, striped)


def _paint(name: str, known: Sequence[str], palette: Sequence[str]) -> tuple[str, bool]:
    """Return the colour of a name by its place among the known ones, and whether it is striped."""
    place = known.index(name) if name in known else len(known)
    return palette[place % len(palette)], place // len(palette) % 2 == 1


def kind_colour(name: str) -> tuple[str, bool]:
    """Return the colour of a wire format or failure code in every figure, and whether it is striped."""
    if name in FAILURES:
        return _paint(name, list(FAILURES), FAILURE_COLOURS)
    return _paint(name, list(WIRE_FORMATS), FORMAT_COLOURS)


def _outcome_counts(rows: pd.DataFrame) -> Counter[str]:
    counts: Counter[str] = Counter()
    for outcome, strict, failure in zip(rows["outcome"], rows["strict"], rows["failure"], strict=True):
        if outcome == "decoded":
            counts["strict" if strict is True or strict == 1 else "repaired"] += 1
        elif outcome == "format_failure":
            counts[f"{FAILURE}{failure}"] += 1
        else:
            counts[outcome] += 1
    return counts


def format_bars(data: ReportData, dataset: str) -> list[Bar]:
    """Return the wire formats found, per model; an answer with two formats counts in both."""
    counts: dict[str, Counter[str]] = {}
    for model in data.models:
        rows = data.rows(dataset, model.label)
        found = Counter(name for names in rows["wire_formats"] if names is not None for name in set(names))
        if len(rows):
            counts[model.label] = found
    seen = {name for count in counts.values() for name in count}
    order = [
        _SegmentKind(name, name.replace("_", " "), colour, {"format": name}, striped)
        for name in [*WIRE_FORMATS, *sorted(seen - set(WIRE_FORMATS))]
        for colour, striped in [_paint(name, list(WIRE_FORMATS), FORMAT_COLOURS)]
    ]
    return [_bar(label, count, order) for label, count in counts.items()]


def _bar(label: str, counts: Counter[str], order: Sequence[_SegmentKind]) -> Bar:
    total = sum(counts.values())
    segments = tuple(
        Segment(
            kind.key,
            kind.words,
            counts[kind.key],
            counts[kind.key] / total,
            kind.colour,
            kind.striped,
            {"model": label, **kind.query},
        )
        for kind in order
        if counts[kind.key]
    )
    return Bar(label, total, segments, tuple(order))


def legend(bars: Sequence[Bar]) -> list[Legend]:
    """Return every kind that occurs in the bars, once, in the order they are stacked."""
    seen = {segment.key for bar in bars for segment in bar.segments}
    order = bars[0].order if bars else ()
    return [Legend(kind.key, kind.words, kind.colour, kind.striped) for kind in order if kind.key in seen]
