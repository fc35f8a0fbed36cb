"""Who leads whom, and whether by more than chance: what verdicts, tag tables and decisions are made of. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evalkit.comparison.compare import MeasureTable, Pair, RunComparison
from evalkit.comparison.evidence import is_real, p_words, why_apart
from evalkit.types import Interval


@dataclass(frozen=True, slots=True)
class Lead:
    """The measure of ``better`` minus that of ``other`` on ``n`` common answers of ``n_images`` images.

    ``real``: the evidence allows to call it one. ``p``: its p-value in words, with what it is adjusted for.
    ``why``: where p and interval seem to disagree, what makes them; empty elsewhere.
    """

    better: str
    other: str
    interval: Interval
    real: bool
    p: str
    why: str
    n: int
    n_images: int

    @property
    def span(self) -> str:
        """The difference with its interval, as in ``+0.077, -0.026 to +0.182``."""
        gap = self.interval
        return f"{gap.value:+z.3f}, {gap.low:+z.3f} to {gap.high:+z.3f}"


def lead(pair: Pair | None, table: MeasureTable | None, better: str, tests: int) -> Lead | None:
    """Return the lead of ``better`` in a table of a pair, None where the pair shares too little."""
    found = None if table is None else table.primary
    if pair is None or found is None:
        return None
    gap = found.difference
    other = pair.a.label if pair.b.label == better else pair.b.label
    if pair.a.label == better:
        gap = Interval(0.0 - gap.value, 0.0 - gap.high, 0.0 - gap.low)
    real = is_real(found) and gap.value > 0
    why = why_apart(found, tests)
    return Lead(better, other, gap, real, p_words(found, tests), why, found.n, found.n_images)


def leads(
    compared: RunComparison, dataset: str, order: Sequence[str], part: str = "all"
) -> list[Lead | None]:
    """Return the leads of the first of ``order`` over every other one on a dataset, or on a slice of it."""
    found = []
    for other in order[1:]:
        pair = compared.find(dataset, order[0], other)
        table = None if pair is None else pair.table(part)
        found.append(lead(pair, table, order[0], compared.tests))
    return found


def ranked(values: Mapping[str, float | None]) -> list[str]:
    """Return the models that have a value, the best first."""
    known = {label: value for label, value in values.items() if value is not None}
    return sorted(known, key=lambda label: -known[label])


def winner(family: Sequence[Lead | None]) -> str | None:
    """Return the model whose lead over every other one is real, None where there is none."""
    if not family or not all(gap is not None and gap.real for gap in family):
        return None
    return family[0].better if family[0] is not None else None
