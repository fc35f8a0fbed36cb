"""The verdict and the codes in words that a reader can act on. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evalkit.comparison.compare import RunComparison
from evalkit.report.changes import RunChange
from evalkit.report.data import ReportData, ReportModel
from evalkit.report.differences import Lead, leads, ranked, winner
from evalkit.report.numbers import signed, spell, triple

NAMED = 4
"""Models that a sentence names at most."""


@dataclass(frozen=True, slots=True)
class DatasetVerdict:
    """What to conclude on one dataset: a headline and the sentences that qualify it."""

    dataset: str
    headline: str
    details: tuple[str, ...]


def verdict(
    data: ReportData, dataset: str, compared: RunComparison, changes: Sequence[RunChange] = ()
) -> DatasetVerdict:
    """Return the verdict on one dataset: a winner only where its lead is more than chance.

    ``compared``: ``page_comparison``.
    ``changes``: with several runs, what changed against the first; the headline then speaks of that.
    """
    results = {model.label: data.result(dataset, model.label) for model in data.models}
    known = {label: result for label, result in results.items() if result is not None}
    measure = data.measure(dataset)
    values = {label: triple(measure.of(result))[0] for label, result in known.items()}
    details = tuple(filter(None, (_unreadable(known), _outside(known))))
    own = [change for change in changes if change.dataset == dataset]
    if own:
        sentences = tuple(change.sentence for change in own)
        return DatasetVerdict(dataset, _change_headline(own, data.runs[0].name), (*sentences, *details))
    order = ranked(values)
    if not order:
        return DatasetVerdict(dataset, "No model has a score yet.", details)
    if len(order) == 1:
        only = order[0]
        _, low, high = triple(measure.of(known[only]))
        span = "" if low is None or high is None else f" ({low:.3f} to {high:.3f})"
        headline = f"{only} reaches {measure.label} {spell(values[only] or 0.0, 'ratio')}{span}."
        return DatasetVerdict(dataset, headline, details)
    gaps = leads(compared, dataset, order)
    if winner(gaps) is not None:
        return DatasetVerdict(
            dataset,
            f"{order[0]} {'localises' if measure.about == 'boxes' else 'segments'} best.",
            (_lead(measure.label, values, gaps[0]), *details),
        )
    if not any(gaps):
        headline = f"{order[0]} has the highest {measure.label}; it is compared with no other model here."
        return DatasetVerdict(dataset, headline, (_alone(measure.label, order, values), *details))
    headline = f"No clear winner: {order[0]} leads, but within chance."
    if values[order[0]] == values[order[1]]:
        headline = f"No clear winner: {_and([label for label in order if values[label] == values[order[0]]])} are level."
    level = [gap for gap in gaps if gap is not None and not gap.real]
    return DatasetVerdict(dataset, headline, (_no_lead(measure.label, order[0], values, level), *details))


def _change_headline(changes: Sequence[RunChange], first: str) -> str:
    worse = [change.name for change in changes if change.code == "worse"]
    better = [change.name for change in changes if change.code == "better"]
    if not worse and not better:
        return f"No model changed by more than chance since {first}."
    parts = [f"{_and(names)} got {word}" for names, word in ((worse, "worse"), (better, "better")) if names]
    return f"{', '.join(parts)} since {first}."


def _lead(name: str, values: Mapping[str, float | None], gap: Lead | None) -> str:
    if gap is None:
        return ""
    interval = gap.interval
    return (
        f"Its {name} is {values[gap.better]:.3f}: {interval.value:z.3f} ({interval.low:z.3f} to {interval.high:z.3f}) "
        f"above {gap.other}, the next, {gap.p}, on {gap.n:,} common answers of {gap.n_images:,} images."
    )


def _no_lead(name: str, leader: str, values: Mapping[str, float | None], level: Sequence[Lead]) -> str:
    if not level:
        return f"Its {name} is {values[leader]:.3f}; it shares too few answers with the others to compare."
    first = level[0]
    low, high = first.interval.low, first.interval.high
    return (
        f"Its {name} is {values[leader]:.3f}. {_and([gap.other for gap in level])} cannot be told from it: the "
        f"difference from {first.other} is {signed(first.interval.value)} ({signed(low)} to {signed(high)}), {first.p}, "
        f"on {first.n:,} common answers of {first.n_images:,} images."
    )


def _alone(name: str, order: Sequence[str], values: Mapping[str, float | None]) -> str:
    return (
        f"Its {name} is {values[order[0]]:.3f}. Models are compared on answers in common, and of several runs each with "
        "itself in the first run."
    )


def _unreadable(results: Mapping[str, Mapping[str, object]]) -> str:
    rates = {label: triple(result["format_failure_rate"])[0] for label, result in results.items()}
    known = {label: rate for label, rate in rates.items() if rate is not None}
    if not known:
        return ""
    if max(known.values()) == 0:
        return "Every answer of every model could be read."
    worst = sorted((label for label in known if known[label] > 0), key=lambda label: -known[label])
    named = ", ".join(f"{label} {spell(known[label], 'percent')}" for label in worst[:NAMED])
    others = len(known) - len(worst[:NAMED])
    tail = "" if not others else "; the others less" if len(worst) > NAMED else "; the others none"
    return f"Unreadable answers: {named}{tail}."


def _outside(results: Mapping[str, Mapping[str, object]]) -> str:
    """Say what stands outside every mean: samples that were not run, and samples with damaged data."""
    parts = []
    for key, words in (("n_not_run", "not run"), ("n_data_error", "their data missing or damaged")):
        counts = {label: int(str(result.get(key) or 0)) for label, result in results.items()}
        named = [f"{label} {count:,}" for label, count in counts.items() if count]
        parts += (
            [f"{words}: {', '.join(named[:NAMED])}{', ...' if len(named) > NAMED else ''}"] if named else []
        )
    return f"Outside every mean: {'; '.join(parts)}." if parts else ""


def who_answered(models: Sequence[ReportModel]) -> list[str]:
    """Return what a reader must know before any number: answers by another model, thinking that was off."""
    sentences = []
    for model in models:
        if model.routed:
            others = _and([f"{version} ({count:,} answers)" for version, count in model.routed])
            answered = f"{model.label} asked for {model.requested} and was answered by {others}."
            sentences.append(" ".join(filter(None, (answered, model.routed_costs))))
        if model.unasked_thinking is not None:
            answers, tokens = model.unasked_thinking
            sentences.append(
                f"{model.label} was asked not to think, and thought in {answers:,} answers ({tokens:,} tokens, billed)."
            )
    return sentences


def _and(names: Sequence[str]) -> str:
    shown = list(names[:NAMED])
    if len(names) > NAMED:
        shown.append(f"{len(names) - NAMED} more")
    return shown[0] if len(shown) == 1 else ", ".join(shown[:-1]) + " and " + shown[-1]
