"""A comparison in words that anybody can act on, as a text table and as JSON data. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from evalkit.comparison.compare import MeasureDifference, MeasureTable, Pair, RunComparison
from evalkit.comparison.decision import Decision, decide, decision_lines
from evalkit.comparison.evidence import is_real, p_is, p_text, p_words, why_apart
from evalkit.comparison.objections import objections, today
from evalkit.comparison.pareto import ParetoPoint, pareto
from evalkit.metrics.names import lower_is_better, metric_of
from evalkit.stats.bounded import Bounded
from evalkit.stats.estimates import Estimate
from evalkit.stats.power import detectable_by, images_needed
from evalkit.text_table import text_table
from evalkit.types import SIMULATED_WARNING
from evalkit.version import __version__


def measure_words(measure: str) -> str:
    """Return what a table calls a measure."""
    return metric_of(measure).label


def verdict(pair: Pair, tests: int) -> dict[str, Any]:
    """Return the verdict on a pair: ``code`` better, worse or no_difference (of the second side) and a sentence.

    A difference is called one only where its 95 % interval leaves out zero and its p-value, adjusted
    by Holm for the table, is below 0.05. Otherwise the sentence says how large a difference could hide. ``n``,
    ``n_images``: the common answers that its measure counts, and their images; the pair's own ``n`` is all of them.
    """
    found = pair.whole.primary
    if found is None:
        return {
            "code": "no_difference",
            "metric": None,
            "at_most": None,
            "n": 0,
            "n_images": 0,
            "sentence": f"{pair.b.label} and {pair.a.label}: too few common samples to measure any difference.",
        }
    gap = found.difference
    at_most = max(abs(gap.low), abs(gap.high))
    code = "no_difference"
    if is_real(found):
        code = "better" if gap.value > 0 else "worse"
    return {
        "code": code,
        "metric": found.measure,
        "at_most": None if code != "no_difference" else at_most,
        "n": found.n,
        "n_images": found.n_images,
        "sentence": _sentence(pair, found, code, tests=tests),
    }


def _sentence(pair: Pair, found: MeasureDifference, code: str, *, tests: int) -> str:
    gap, name = found.difference, measure_words(found.measure)
    counted = f"{found.n}" if found.n == pair.whole.n else f"the {found.n} that it counts of {pair.whole.n}"
    size = f"{counted} common answers on {found.n_images} images of {pair.dataset}"
    span = f"{gap.value:+z.3f}, 95 % interval {gap.low:+z.3f} to {gap.high:+z.3f}"
    if code == "no_difference":
        at_most = max(abs(gap.low), abs(gap.high))
        seen = (
            f"{pair.b.label} and {pair.a.label}: no difference in {name} larger than {at_most:.3f} at this size "
            f"(seen {span}, {p_words(found, tests)}, on {size})."
        )
        return " ".join(filter(None, (seen, why_apart(found, tests))))
    return (
        f"{pair.b.label} is {code} than {pair.a.label} in {name}: {span}, {p_words(found, tests)}, on {size}."
    )


def rate_sentences(table: MeasureTable, pair: Pair) -> list[str]:
    """Return one sentence for each further measure whose difference is real."""
    primary = table.primary
    return [
        f"{pair.b.label} is {'better' if found.difference.value < 0 else 'worse'} in {measure_words(found.measure)}: "
        f"{found.a.value:.3g} -> {found.b.value:.3g}."
        for found in table.measured
        if found is not primary and lower_is_better(found.measure) and is_real(found)
    ]


def power_of(found: MeasureDifference, tests: int) -> dict[str, Any]:
    """Return what this size can detect (80 % power, 5 % over all tests) and how many images the seen difference needs."""
    error, n, tests, unseen = found.standard_error, found.n_images, max(1, tests), _unseen(found.estimate)
    needed = images_needed(found.difference.value, error, n, comparisons=tests, unseen=unseen)
    detectable = detectable_by(error, n, comparisons=tests, unseen=unseen) if error > 0 else math.inf
    return {
        "detectable": _finite(detectable),
        "images": n,
        "images_needed_for_the_difference_seen": needed,
        "more_images_needed": None if needed is None else max(0, needed - n),
        "power": 0.8,
    }


def _unseen(estimate: Estimate) -> float:
    """Return how far one image that was not drawn can move a difference; 0 for amounts, which have no range."""
    return max(-estimate.least, estimate.most) if isinstance(estimate, Bounded) else 0.0


def not_worse(found: MeasureDifference, margin: float, confidence: float = 0.95) -> dict[str, Any]:
    """Return the test that the second side is not worse than the first by more than ``margin``.

    ``p`` is the one-sided p-value of "worse by ``margin`` or more" (Schuirmann 1987's one half).
    """
    worse_up = lower_is_better(found.measure)
    kept = found.estimate.confidence_below(margin) if worse_up else found.estimate.confidence_above(-margin)
    p = 1 - kept
    return {
        "metric": found.measure,
        "margin": margin,
        "confidence": confidence,
        "p": p,
        "shown": p <= 1 - confidence,
    }


def comparison_json(comparison: RunComparison, margin: float) -> dict[str, Any]:
    """Return the document of ``evalkit compare --json``."""
    points = pareto(comparison.sides, comparison.judged_by)
    return {
        "evalkit": __version__,
        "simulated": any(side.manifest.simulated for side in comparison.sides),
        "difference_is": "b - a",
        "seed": comparison.seed,
        "tests": comparison.tests,
        "models": [side.describe() for side in comparison.sides],
        "without_common_answers": [list(labels) for labels in comparison.apart],
        "decisions": [found.to_json() for found in decisions(comparison)],
        "objections": objections(comparison.sides, today()),
        "pairs": [_pair_json(pair, comparison.tests, margin) for pair in comparison.pairs],
        "pareto": {dataset: [point.to_json() for point in found] for dataset, found in points.items()},
    }


def decisions(comparison: RunComparison) -> list[Decision]:
    """Return the decision on every dataset, none where a model is compared with itself in another run."""
    if any(pair.a.model == pair.b.model for pair in comparison.pairs):
        return []
    datasets = dict.fromkeys(pair.dataset for pair in comparison.pairs)
    return [decide(comparison.sides, comparison, dataset) for dataset in datasets]


def _pair_json(pair: Pair, tests: int, margin: float) -> dict[str, Any]:
    primary = pair.whole.primary
    return {
        "a": pair.a.describe(),
        "b": pair.b.describe(),
        "dataset": pair.dataset,
        "n": pair.whole.n,
        "n_images": pair.whole.n_images,
        "verdict": verdict(pair, tests),
        "settings_differ": [
            {"kind": one.kind, "setting": one.setting, "a": one.a, "b": one.b} for one in pair.settings
        ],
        "metrics": _table_json(pair.whole),
        "slices": [
            {"slice": table.slice, "n": table.n, "n_images": table.n_images, "metrics": _table_json(table)}
            for table in pair.slices
        ],
        "not_worse": None if primary is None else not_worse(primary, margin),
        "power": None if primary is None else power_of(primary, tests),
        "flips": list(pair.flips),
    }


def _table_json(table: MeasureTable) -> dict[str, Any]:
    return {found.measure: found.to_json() for found in table.measured}


def comparison_text(comparison: RunComparison, margin: float) -> str:
    """Return the comparison for a terminal: verdicts first, tables after."""
    lines: list[str] = []
    if any(side.manifest.simulated for side in comparison.sides):
        lines += [SIMULATED_WARNING, ""]
    partial = dict.fromkeys(s.path for s in comparison.sides if not s.manifest.complete)
    lines += [f"{path} is not complete: only what both sides answered is compared." for path in partial]
    lines += [f"{a} and {b} answered no sample in common: not compared." for a, b in comparison.apart]
    told = [found.to_json() for found in decisions(comparison)]
    lines += [*decision_lines(told, objections(comparison.sides, today())), ""]
    for pair in comparison.pairs:
        lines += [*_pair_lines(pair, comparison.tests, margin), ""]
    for dataset, points in pareto(comparison.sides, comparison.judged_by).items():
        lines += pareto_lines(dataset, points)
    return "\n".join(lines).rstrip()


def _pair_lines(pair: Pair, tests: int, margin: float) -> list[str]:
    lines = [verdict(pair, tests)["sentence"], *rate_sentences(pair.whole, pair)]
    lines += [f"  differs in how it was asked or scored: {one.words()}" for one in pair.settings]
    primary = pair.whole.primary
    if primary is not None:
        lines += _power_lines(primary, tests, margin)
    lines += ["", *_rows(pair.whole)]
    real = [(table, found) for table in pair.slices for found in table.measured if is_real(found)]
    lines += [
        f"  {table.slice}: {measure_words(found.measure)} {found.difference.value:+z.3f} "
        f"[{found.difference.low:+z.3f}, {found.difference.high:+z.3f}], {found.n} answers"
        for table, found in real
    ]
    if pair.flips:
        lines += ["  changed most:"]
        lines += [
            f"    {flip['sample_id']}: IoU {flip['iou_a']:.2f} ({flip['outcome_a']}) -> "
            f"{flip['iou_b']:.2f} ({flip['outcome_b']})  {flip['expression']}"
            for flip in pair.flips[:5]
        ]
    return lines


def _power_lines(found: MeasureDifference, tests: int, margin: float) -> list[str]:
    power, test = power_of(found, tests), not_worse(found, margin)
    shown = "shown" if test["shown"] else "not shown"
    lines = [f"  not worse by more than {margin:g}: {shown} at {test['confidence']:.0%} ({p_is(test['p'])})"]
    if power["detectable"] is not None:
        needed = power["images_needed_for_the_difference_seen"]
        more = ""
        if needed is not None and not is_real(found):
            more = f"; the one seen would need about {needed} images, {power['more_images_needed']} more"
        lines += [
            f"  {found.n_images} images detect a difference of {power['detectable']:.3f} (80 % power){more}"
        ]
    return lines


def _rows(table: MeasureTable) -> list[str]:
    header = ("", "first", "second", "difference", "95 % interval", "p (Holm)", "better/tie/worse")
    return text_table(header, [_row(found) for found in table.measured], "<>>>>><", indent="  ")


def _row(found: MeasureDifference) -> list[str]:
    gap = found.difference
    counts = "" if found.wins is None else f"{found.wins}/{found.ties}/{found.losses}"
    digits = 5 if found.measure.startswith("cost") else 3
    return [
        measure_words(found.measure),
        f"{found.a.value:z.{digits}f}",
        f"{found.b.value:z.{digits}f}",
        f"{gap.value:+z.{digits}f}",
        f"[{gap.low:+z.{digits}f}, {gap.high:+z.{digits}f}]",
        p_text(found.p_holm),
        counts,
    ]


def pareto_lines(dataset: str, points: Sequence[ParetoPoint]) -> list[str]:
    """Return who is dominated, for a terminal."""
    lines = [
        f"quality against cost and latency on {dataset} (plain values; whether a lead is real is said above):"
    ]
    for point in points:
        reasons = [
            f"{what} by {', '.join(others)}"
            for what, others in (("cost", point.dominated_on_cost), ("latency", point.dominated_on_latency))
            if others
        ]
        lines.append(
            f"  {point.label}: {'dominated on ' + '; on '.join(reasons) if reasons else 'not dominated'}"
        )
    return lines


def _finite(value: float) -> float | None:
    return value if value < float("inf") else None
