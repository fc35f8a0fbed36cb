"""Which model to take: the sentences that `evalkit run`, `evalkit compare` and the page say alike. Pure.

Quality decides where its lead is more than chance. Where it does not, cost, format and time do: each of them where
the paired 95 % interval of the difference leaves out zero, on its own and without adjustment, as the sentences say.
Floors (``python`` functions that look at nothing) are no candidates; they are what a candidate has to beat.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from evalkit.comparison.compare import RunComparison, paired_estimates
from evalkit.comparison.leads import Lead, leads, ranked, winner
from evalkit.comparison.objections import NAMED, listed
from evalkit.comparison.sides import Side, common_questions, common_rows
from evalkit.metrics.names import COST, metric_of, row_measures
from evalkit.metrics.reading_words import suspect_results
from evalkit.metrics.table import Metric
from evalkit.models.python import FLOORS
from evalkit.stats.estimates import interval_of
from evalkit.types import Interval

if TYPE_CHECKING:
    from evalkit.metrics.answers import Columns

STRICT = "strict_failure_rate"
LATENCY = "latency_s"
BREAKERS = (COST, STRICT, LATENCY)
"""What may break a tie of quality; all are better low."""

LEAST_FACTOR = 1.1
"""A price or a time that is nearer to another one than this is no reason to choose."""

DESCRIBED = 3
"""Models whose price, time and failures are told in words."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What to conclude on one dataset.

    ``headline`` names the model, ``details`` how sure that is and what it costs, ``against`` what speaks against
    the candidates. ``chosen``: None where nothing parts those of ``level``, the models that quality does not part.
    """

    dataset: str
    headline: str
    details: tuple[str, ...]
    against: tuple[str, ...] = ()
    chosen: str | None = None
    level: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "dataset": self.dataset,
            "chosen": self.chosen,
            "level": list(self.level),
            "headline": self.headline,
            "details": list(self.details),
            "against": list(self.against),
        }


def decision_lines(decisions: Sequence[Mapping[str, Any]], objections: Sequence[str]) -> list[str]:
    """Return decisions (as ``to_json`` gives them) and what stands against the models, for a terminal."""
    lines = []
    for found in decisions:
        lines += [f"{found['dataset']}: {found['headline']}", *(f"  {told}" for told in found["details"])]
        lines += [f"  against: {told}" for told in found["against"]]
    return [*lines, *(f"against: {told}" for told in objections)]


@dataclass(frozen=True, slots=True)
class Break:
    """One measure by which ``best`` is better than every one of ``others``: (its value, theirs)."""

    measure: str
    best: str
    value: float
    others: tuple[float, ...]


def is_floor(side: Side) -> bool:
    """Tell whether a side is a shipped floor: it shows what understanding nothing scores."""
    return side.config.get("provider") == "python" and side.config.get("function") in FLOORS


def decide(sides: Sequence[Side], compared: RunComparison, dataset: str) -> Decision:
    """Return the decision on one dataset.

    ``sides``: the models of one run, or of several that share no name. ``compared``: their pairs.
    """
    results = {side.label: found for side in sides if (found := result_of(side, dataset)) is not None}
    by_label = {side.label: side for side in sides if side.label in results}
    floors = [label for label, side in by_label.items() if is_floor(side)]
    measure = metric_of(compared.judged_by[dataset])
    values = {label: _value(measure.of(result)) for label, result in results.items()}
    order = ranked({label: value for label, value in values.items() if label not in floors}) or ranked(values)
    family = leads(compared, dataset, order)
    level = [*order[:1], *(gap.other for gap in family if gap is not None and not gap.real)]
    against = _against(compared, dataset, level, [label for label in floors if label not in order], results)
    if not order:
        return Decision(dataset, "No model has a score yet.", (), against)
    if len(order) == 1:
        headline, sure, chosen = _alone(order[0], measure, results[order[0]]), [], order[0]
    elif winner(family) is not None:
        verb = "localises" if measure.about == "boxes" else "segments"
        headline, sure, chosen = f"{order[0]} {verb} best.", [_lead(measure, values, family[0])], order[0]
    elif len(level) == 1:
        headline = (
            f"{order[0]} has the highest {measure.label}; it is not compared with every other model here."
        )
        sure, chosen = [_uncompared(measure, order[0], values)], None
    else:
        breaks = tie_breaks([by_label[label] for label in level], dataset, compared.seed)
        headline, chosen = _tied(measure, level, family, breaks)
        sure = _level(measure, order[0], values, family, breaks)
    told = level if len(level) > 1 else order[:2]
    facts = [_facts(label, results[label]) for label in told[:DESCRIBED]]
    return Decision(dataset, headline, tuple(filter(None, (*sure, *facts))), against, chosen, tuple(level))


def result_of(side: Side, dataset: str) -> Mapping[str, Any] | None:
    """Return what summary.json says of a side on a whole dataset, None where it has no row there."""
    wanted = (side.model, dataset, "all")
    return next(
        (one for one in side.summary.results if (one["model"], one["dataset"], one["slice"]) == wanted), None
    )


# ---- what breaks a tie --------------------------------------------------------------------------------------


def tie_breaks(level: Sequence[Side], dataset: str, seed: int) -> list[Break]:
    """Return by which measures one of ``level`` is better than every other one, on the answers they share."""

    @cache
    def gaps(one: int, other: int) -> dict[str, tuple[float, float, Interval]]:
        return _gaps(level[one], level[other], dataset, seed)

    found = []
    for measure in BREAKERS:
        values = [_mean(side, dataset, measure) for side in level]
        known = [place for place, value in enumerate(values) if value is not None]
        if len(known) < len(level):
            continue
        best = min(known, key=lambda place: values[place] or 0.0)
        others = [gaps(best, place).get(measure) for place in known if place != best]
        if any(gap is None or gap[2].low <= 0 for gap in others):
            continue
        pairs = [(gap[0], gap[1]) for gap in others if gap is not None]
        if measure != STRICT and any(theirs < LEAST_FACTOR * own for own, theirs in pairs):
            continue
        found.append(Break(measure, level[best].label, pairs[0][0], tuple(theirs for _, theirs in pairs)))
    return found


def _mean(side: Side, dataset: str, measure: str) -> float | None:
    columns = row_measures(side.rows[side.rows["dataset"] == dataset], [measure])[measure]
    return _ratio(columns) if columns[1].sum() else None


def _gaps(one: Side, other: Side, dataset: str, seed: int) -> dict[str, tuple[float, float, Interval]]:
    """Return measure -> (value of ``one``, of ``other``, second minus first with its interval) on common answers."""
    if not len(common_questions(one, other)):
        return {}
    left, right = common_rows(one, other)
    inside = (left["dataset"] == dataset).to_numpy()
    if not inside.any():
        return {}
    left, right = left[inside], right[inside]
    first, second = row_measures(left, BREAKERS), row_measures(right, BREAKERS)
    estimates = paired_estimates(first, second, left["image_id"].to_numpy(dtype=str), seed=seed)
    return {
        name: (_ratio(first[name]), _ratio(second[name]), interval_of(found))
        for name, found in estimates.items()
    }


def _ratio(columns: Columns) -> float:
    above, below = columns
    return float(above.sum() / below.sum())


# ---- words --------------------------------------------------------------------------------------------------


def _tied(
    measure: Metric, level: Sequence[str], family: Sequence[Lead | None], breaks: Sequence[Break]
) -> tuple[str, str | None]:
    """Return the headline where quality decides nothing, and the one model that every break speaks for."""
    gaps = [gap for gap in family if gap is not None and not gap.real]
    span = f" ({gaps[0].span})" if len(gaps) == 1 else ""
    head = f"{listed(level)} cannot be told apart in {measure.label}{span}"
    speakers = list(dict.fromkeys(one.best for one in breaks))
    if not speakers:
        return f"{head}; neither cost nor format nor time parts them.", None
    parts = [
        f"{label} is {_and([_break_words(one) for one in breaks if one.best == label])}" for label in speakers
    ]
    return f"{head}; {', '.join(parts)}.", speakers[0] if len(speakers) == 1 else None


def _break_words(one: Break) -> str:
    if one.measure == STRICT:
        other = "the other" if len(one.others) == 1 else "the next"
        return f"on format {times(1 - one.value)}, {other} {times(1 - min(one.others))}"
    least = "" if len(one.others) == 1 else "at least "
    word = "cheaper" if one.measure == COST else "faster"
    if one.value == 0:
        return "free of charge" if one.measure == COST else "faster"
    return f"{least}{min(one.others) / one.value:.1f}x {word}"


def times(share: float) -> str:
    """Return a share as people say it: ``9 in 10 times``, ``97 in 100 times``, ``every time``."""
    if share in (0.0, 1.0):
        return "every time" if share else "never"
    if abs(share - round(10 * share) / 10) <= 0.03 and 0 < round(10 * share) < 10:
        return f"{round(10 * share)} in 10 times"
    return f"{min(99, max(1, round(100 * share)))} in 100 times"


def _and(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]


def _alone(label: str, measure: Metric, result: Mapping[str, Any]) -> str:
    number = measure.of(result)
    return f"{label} reaches {measure.label} {number['value']:.3f} ({number['low']:.3f} to {number['high']:.3f})."


def _lead(measure: Metric, values: Mapping[str, float | None], gap: Lead | None) -> str:
    if gap is None:
        return ""
    return (
        f"Its {measure.label} is {values[gap.better]:.3f}, ahead of {gap.other}, the next, by {gap.span} ({gap.p}, on "
        f"{gap.n:,} common answers of {gap.n_images:,} images)."
    )


def _level(
    measure: Metric,
    leader: str,
    values: Mapping[str, float | None],
    family: Sequence[Lead | None],
    breaks: Sequence[Break],
) -> list[str]:
    gaps = [gap for gap in family if gap is not None and not gap.real]
    told = "; ".join(f"{gap.span} against {gap.other} ({gap.p})" for gap in gaps[:NAMED])
    size = f"on {gaps[0].n:,} common answers of {gaps[0].n_images:,} images" if gaps else ""
    sentences = [f"{leader} has the highest {measure.label}, {values[leader]:.3f}: {told}, {size}."]
    sentences += [
        f"Against {gap.other}: {gap.why[:1].lower()}{gap.why[1:]}" for gap in gaps[:NAMED] if gap.why
    ]
    if breaks:
        sentences.append("What breaks the tie does so by its own paired 95 % interval, unadjusted.")
    return sentences


def _uncompared(measure: Metric, leader: str, values: Mapping[str, float | None]) -> str:
    return (
        f"Its {measure.label} is {values[leader]:.3f}. Models are compared on answers in common, and of several runs "
        "each with itself in the first run."
    )


def _facts(label: str, result: Mapping[str, Any]) -> str:
    """Return what a model costs, how long it takes and how it fails."""
    told = [_price(result), _time(result), _failures(result)]
    return f"{label}: {'; '.join(filter(None, told))}."


def _price(result: Mapping[str, Any]) -> str:
    cost, priced = result.get("cost_usd"), int(result["n_answered"]) - int(result.get("n_cost_unknown") or 0)
    if cost is None or priced <= 0:
        return "price not known"
    each = 1000 * float(cost) / priced
    return f"${each:,.2f} per 1,000 answers" if each >= 0.1 or not each else f"${each:.2g} per 1,000 answers"


def _time(result: Mapping[str, Any]) -> str:
    latency = result.get("latency_s") or {}
    middle, slow = (_value(latency.get(key)) for key in ("p50", "p95"))
    if middle is None:
        return ""
    return f"{middle:.2f} s each" if slow is None else f"{middle:.2f} s each (1 in 20 over {slow:.2f} s)"


def _failures(result: Mapping[str, Any]) -> str:
    failed, strict = (_value(metric_of(name).of(result)) for name in ("format_failure_rate", STRICT))
    if failed is None:
        return ""
    codes = sorted((result.get("failures") or {}).items(), key=lambda entry: -int(entry[1]))
    named = ", ".join(f"{code.replace('_', ' ')} {count}" for code, count in codes[:3] if count)
    told = f"{100 * failed:.1f} % unreadable" + (f" ({named})" if failed and named else "")
    return told if strict is None else f"{told}, {100 * strict:.1f} % not as asked"


def _against(
    compared: RunComparison,
    dataset: str,
    level: Sequence[str],
    floors: Sequence[str],
    results: Mapping[str, Mapping[str, Any]],
) -> tuple[str, ...]:
    """Return what speaks against a dataset's candidates: floors that those of ``level`` do not beat, readings, rows outside means."""
    told = []
    for label in level:
        unbeaten = [
            gap.other
            for gap in leads(compared, dataset, [label, *floors])
            if gap is not None and not gap.real
        ]
        if unbeaten:
            told.append(
                f"{label} is not shown to beat the floor {listed(unbeaten)}, which understands nothing."
            )
    labelled = [{**result, "model": label} for label, result in results.items()]
    told += [
        f"{found['model']}: suspect reading, its coordinates fit another convention far better."
        for found in suspect_results(labelled)
    ]
    return (*told, *filter(None, (_outside(results),)))


def _outside(results: Mapping[str, Mapping[str, Any]]) -> str:
    """Say what stands outside every mean: samples that were not run, and samples with damaged data."""
    parts = []
    for key, words in (("n_not_run", "not run"), ("n_data_error", "their data missing or damaged")):
        counts = {label: int(str(result.get(key) or 0)) for label, result in results.items()}
        named = [f"{label} {count:,}" for label, count in counts.items() if count]
        parts += (
            [f"{words}: {', '.join(named[:NAMED])}{', ...' if len(named) > NAMED else ''}"] if named else []
        )
    return f"Outside every mean: {'; '.join(parts)}." if parts else ""


def _value(number: Any) -> float | None:
    """Return the value of a number of summary.json, which may be plain, an interval or missing."""
    found = number.get("value") if isinstance(number, Mapping) else number
    return None if found is None else float(found)
