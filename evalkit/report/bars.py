"""Stacked shares per model: what became of every sample, and which wire formats came. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evalkit.report.data import ReportData
from evalkit.report.words import FAILURE_WORDS

if TYPE_CHECKING:
    import pandas as pd

STRICT = "#2f7f79"
REPAIRED = "#7fb9ae"
REFUSED = "#8fa8c9"
FAILURES = ("#c8553d", "#e0925a", "#a63d57", "#d9b44a", "#7d4a6b", "#e2a89a", "#8c5a3c", "#b98b9b")
BLOCKED = "#4a4453"
NOT_RUN = "#b5b3ae"
DATA_ERROR = "#8f8d88"
FORMATS = ("#4c6f9f", "#8fb0d1", "#5d9c8a", "#b9d0a5", "#b08bb5", "#d9b98a", "#6f6a8c", "#c48a8a")


@dataclass(frozen=True, slots=True)
class Segment:
    """One part of a bar: ``query`` selects its answers in the gallery."""

    key: str
    words: str
    count: int
    share: float
    colour: str
    query: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Bar:
    """One model's bar; the shares of ``segments`` add up to 1 unless it is empty."""

    label: str
    total: int
    segments: tuple[Segment, ...]


@dataclass(frozen=True, slots=True)
class Legend:
    """One entry of a legend, in the order of the bars."""

    key: str
    words: str
    colour: str


def outcome_bars(data: ReportData, dataset: str) -> list[Bar]:
    """Return what became of every sample, per model: readable, failed by kind, blocked, not run."""
    rows = {model.label: data.rows(dataset, model.label) for model in data.models}
    counts = {label: _outcome_counts(part) for label, part in rows.items() if len(part)}
    codes = Counter(
        {key: sum(count[key] for count in counts.values()) for count in counts.values() for key in count}
    )
    failures = [key for key, _ in codes.most_common() if key.startswith("failure=")]
    colours = {key: FAILURES[place % len(FAILURES)] for place, key in enumerate(failures)}
    order = [
        ("strict", "mask as asked", STRICT, {"outcome": "decoded", "strict": "yes"}),
        ("repaired", "mask after repairs", REPAIRED, {"outcome": "decoded", "strict": "no"}),
        ("no_target", "says nothing fits", REFUSED, {"outcome": "no_target"}),
        *((key, FAILURE_WORDS.get(key[8:], key[8:]), colours[key], {"failure": key[8:]}) for key in failures),
        ("blocked", "blocked by policy", BLOCKED, {"outcome": "blocked"}),
        ("not_run", "not run", NOT_RUN, {"outcome": "not_run"}),
        ("data_error", "data error", DATA_ERROR, {"outcome": "data_error"}),
    ]
    return [_bar(label, count, order) for label, count in counts.items()]


def _outcome_counts(rows: pd.DataFrame) -> Counter[str]:
    counts: Counter[str] = Counter()
    for outcome, strict, failure in zip(rows["outcome"], rows["strict"], rows["failure"], strict=True):
        if outcome == "decoded":
            counts["strict" if strict is True or strict == 1 else "repaired"] += 1
        elif outcome == "format_failure":
            counts[f"failure={failure}"] += 1
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
    total: Counter[str] = sum(counts.values(), Counter())
    order = [
        (name, name, FORMATS[place % len(FORMATS)], {"format": name})
        for place, (name, _) in enumerate(total.most_common())
    ]
    return [_bar(label, count, order) for label, count in counts.items()]


def _bar(label: str, counts: Counter[str], order: Sequence[tuple[str, str, str, Mapping[str, str]]]) -> Bar:
    total = sum(counts.values())
    segments = tuple(
        Segment(key, words, counts[key], counts[key] / total, colour, {"model": label, **query})
        for key, words, colour, query in order
        if counts[key]
    )
    return Bar(label, total, segments)


def legend(bars: Sequence[Bar]) -> list[Legend]:
    """Return every kind that occurs in the bars, each once, readable ones first."""
    seen: dict[str, Legend] = {}
    for bar in bars:
        for segment in bar.segments:
            seen.setdefault(segment.key, Legend(segment.key, segment.words, segment.colour))
    return list(seen.values())
