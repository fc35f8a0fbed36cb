"""One rule of the gate on one model and dataset: the evidence that its bound is broken, or kept. Pure.

A bound is broken only on evidence: the one-sided test of "it is kept" must reject at the rule's
confidence, after Holm over everything the gate tests. It is kept only on evidence as well: the test
of "it is broken" must reject (non-inferiority, where the bound allows a drop against a baseline).
Anything between is inconclusive.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from evalkit.comparison.compare import paired_estimates
from evalkit.errors import ConfigError, nearest
from evalkit.metrics.names import (
    COST,
    TOTAL_COST,
    answered_rows,
    estimate_measure,
    metric_of_rule,
    percentile_of,
    row_measures,
)
from evalkit.metrics.summary import slice_rows
from evalkit.metrics.table import find_metric
from evalkit.stats.bootstrap import cluster_codes, cluster_sums, ratio_estimates
from evalkit.stats.estimates import Estimate, interval_of, spanning
from evalkit.stats.significance import rise_test
from evalkit.types import Interval

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from evalkit.config.gate_rules import GateRule

Status = Literal["pass", "fail", "inconclusive", "incomplete"]
Bound = Literal["max_drop", "max_rise", "min", "max"]

DEFAULT_CONFIDENCE = 0.95
"""Of a rule that names none (``GateRule.confidence``); another one is part of the rule's name."""


@dataclass(frozen=True, slots=True)
class GateCheck:
    """The verdict of one bound of one rule on one model and dataset.

    ``group``: the rule it belongs to, in words. ``p_broken``: one-sided p-value of "the bound is
    kept" (small = evidence that it is broken); ``p_kept``: that of "it is broken". ``tested``: the
    verdict rests on a test and belongs to the family that Holm adjusts; others are exact.
    ``observed``: the difference from the baseline for ``max_drop`` and ``max_rise``, else the value.
    """

    group: str
    metric: str
    model: str
    dataset: str
    slice: str
    bound: Bound
    limit: float
    confidence: float
    when_inconclusive: Literal["pass", "warn", "fail"]
    p_broken: float
    p_kept: float
    tested: bool
    observed: Interval | None
    value: float | None = None
    baseline: float | None = None
    n: int = 0
    n_images: int = 0
    detail: str = ""
    p_holm: float = 1.0
    status: Status = "inconclusive"

    @property
    def counts_as(self) -> Literal["pass", "warn", "fail", "incomplete"]:
        """What the gate takes the status for: an inconclusive check is what its rule says."""
        return self.when_inconclusive if self.status == "inconclusive" else self.status

    def decided(self, p_holm: float) -> GateCheck:
        """Return the check with its status, given its adjusted p-value."""
        level = 1 - self.confidence
        status: Status = "inconclusive"
        if p_holm <= level:
            status = "fail"
        elif self.p_kept <= level:
            status = "pass"
        return replace(self, p_holm=p_holm, status=status)


def bounds_of(rule: GateRule) -> list[tuple[Bound, float]]:
    """Return the bounds that a rule sets."""
    found: list[tuple[Bound, float | None]] = [
        ("max_drop", rule.max_drop),
        ("max_rise", rule.max_rise),
        ("min", rule.min),
        ("max", rule.max),
    ]
    return [(bound, limit) for bound, limit in found if limit is not None]


def rule_words(rule: GateRule) -> str:
    """Return a rule as one line, the name of its test case."""
    words = {
        "max_drop": "falls by at most",
        "max_rise": "rises by at most",
        "min": "is at least",
        "max": "is at most",
    }
    bounds = " and ".join(f"{words[bound]} {limit:g}" for bound, limit in bounds_of(rule))
    where = "".join(
        f", {what} {name}"
        for what, name in (
            ("model", rule.model),
            ("dataset", rule.dataset),
            ("slice", None if rule.slice == "all" else rule.slice),
        )
        if name
    )
    sure = "" if rule.confidence == DEFAULT_CONFIDENCE else f", confidence {rule.confidence:g}"
    return f"{rule.metric} {bounds}{where}{sure}"


def absolute_check(
    rule: GateRule, bound: Bound, limit: float, rows: pd.DataFrame, *, seed: int
) -> GateCheck | None:
    """Return the check of ``min`` or ``max`` on one model's rows; None where the metric is undefined."""
    metric = metric_of_rule(rule.metric)
    if metric == TOTAL_COST:
        return _total_check(rule, bound, limit, rows)
    percentile = percentile_of(metric)
    if percentile is not None:
        return _percentile_check(rule, limit, rows, percentile, seed=seed)
    estimate = estimate_measure(rows, metric, seed=seed)
    if estimate is None:
        return None
    _, below = row_measures(rows, [metric])[metric]
    return _estimated(rule, bound, limit, estimate, rows, value=estimate.value, counted=below > 0)


def relative_check(
    rule: GateRule, bound: Bound, limit: float, before: pd.DataFrame, after: pd.DataFrame, *, seed: int
) -> GateCheck | None:
    """Return the check of ``max_drop`` or ``max_rise`` on aligned rows; None where it is undefined.

    Raises ``ConfigError`` for a percentile, which is gated by ``max`` alone.
    """
    metric = metric_of_rule(rule.metric)
    if percentile_of(metric) is not None:
        raise ConfigError(
            f"gate rule '{rule_words(rule)}': a percentile cannot be gated against a baseline. Give `max`, or gate "
            "latency_s (the mean) by max_rise"
        )
    if metric == TOTAL_COST:
        metric = COST
    columns = row_measures(before, [metric]), row_measures(after, [metric])
    estimate = paired_estimates(*columns, _images(after), seed=seed).get(metric)
    if estimate is None:
        return None
    first, second = (side[metric] for side in columns)
    old, new = (float(above.sum() / below.sum()) for above, below in (first, second))
    check = _estimated(rule, bound, limit, estimate, after, value=new, counted=second[1] > 0)
    check = replace(check, baseline=old, metric=metric)
    return _alarmed(check, _image_sums([*first, *second], _images(after)), seed=seed)


def _alarmed(check: GateCheck, sums: NDArray[np.float64], *, seed: int) -> GateCheck:
    """Return a relative check with the evidence that its bound is broken.

    That it is kept needs the estimate's confidence, which allows for losses not seen; that it is broken is
    judged as a change between two runs of one model (``significance.rise_test``). The interval shown has the
    limit of either side from the test that uses it.
    """
    rises = check.bound == "max_rise"
    p_broken, rise = rise_test(sums if rises else sums[[2, 3, 0, 1]], check.limit, seed=seed)
    shown = check.observed
    if rise is not None and shown is not None:
        nearer = rise.limit(1 - check.confidence)
        ends = (nearer, shown.high) if rises else (shown.low, -nearer)
        shown = spanning(shown.value, *ends)
    return replace(check, p_broken=p_broken, observed=shown)


def _image_sums(columns: Sequence[NDArray[np.float64]], images: NDArray[np.str_]) -> NDArray[np.float64]:
    codes, n_images = cluster_codes(images)
    return np.stack([cluster_sums(column, codes, n_images) for column in columns])


def _estimated(
    rule: GateRule,
    bound: Bound,
    limit: float,
    estimate: Estimate,
    rows: pd.DataFrame,
    *,
    value: float,
    counted: Any,
) -> GateCheck:
    """Return the check of an estimate against a bound, not yet decided."""
    at = -limit if bound == "max_drop" else limit
    p_below, p_above = 1 - estimate.confidence_below(at), 1 - estimate.confidence_above(at)
    p_broken, p_kept = (p_below, p_above) if bound in ("max_drop", "min") else (p_above, p_below)
    metric = find_metric(metric_of_rule(rule.metric))
    if metric is not None and metric.is_share and (bound, limit) in (("max", 0.0), ("min", 1.0)):
        # At the edge of what a share can be, one answer beyond it breaks the rule, and none keeps it.
        p_broken, p_kept = (0.0, 1.0) if value != limit else (1.0, 0.0)
    images = _images(rows)[counted]
    return GateCheck(
        **_place(rule, bound, limit, rows),
        p_broken=p_broken,
        p_kept=p_kept,
        tested=True,
        observed=interval_of(estimate, 2 * rule.confidence - 1, exact=True),
        value=value,
        n=int(counted.sum()),
        n_images=int(np.unique(images).size),
    )


def _total_check(rule: GateRule, bound: Bound, limit: float, rows: pd.DataFrame) -> GateCheck | None:
    above, below = row_measures(rows, [COST])[COST]
    if below.sum() == 0:
        return None
    total = float(above.sum())
    above_limit = total > limit
    unknown = int(answered_rows(rows).sum() - below.sum())
    # What is unknown can only add to the sum: it settles a sum above the limit and no other.
    settled = above_limit or not unknown
    broken = above_limit if bound == "max" else total < limit
    check = GateCheck(
        **_place(rule, bound, limit, rows),
        p_broken=0.0 if broken and settled else 1.0,
        p_kept=0.0 if settled and not broken else 1.0,
        tested=False,
        observed=Interval(total, total, total),
        value=total,
        n=int(below.sum()),
        detail=f"{unknown} more answers of unknown cost" if unknown else "",
    )
    return check.decided(check.p_broken)


def _percentile_check(
    rule: GateRule, limit: float, rows: pd.DataFrame, percentile: float, *, seed: int
) -> GateCheck | None:
    """Return the check of "the share of answers slower than ``limit`` s is at most 1 - percentile"."""
    import pandas as pd

    if rule.max is None or rule.min is not None:
        raise ConfigError(f"gate rule '{rule_words(rule)}': a percentile is gated by `max` alone")
    seconds = pd.to_numeric(rows["latency_s"]).to_numpy(dtype=np.float64, na_value=np.nan)
    known = answered_rows(rows) & ~np.isnan(seconds)
    if not known.any():
        return None
    slow = ((seconds > limit) & known).astype(np.float64)
    estimate = ratio_estimates(slow, known.astype(np.float64), _images(rows), seed=seed)[0]
    if estimate is None:
        return None
    value = float(np.percentile(seconds[known], percentile))
    check = _estimated(rule, "max", 1 - percentile / 100, estimate, rows, value=value, counted=known)
    detail = f"{estimate.value:.1%} of the answers took longer than {limit:g} s"
    return replace(check, limit=limit, detail=detail, observed=None)


def _place(rule: GateRule, bound: Bound, limit: float, rows: pd.DataFrame) -> dict[str, Any]:
    return {
        "group": rule_words(rule),
        "metric": metric_of_rule(rule.metric),
        "model": str(rows["model"].iloc[0]),
        "dataset": str(rows["dataset"].iloc[0]),
        "slice": rule.slice,
        "bound": bound,
        "limit": limit,
        "confidence": rule.confidence,
        "when_inconclusive": rule.inconclusive,
    }


def unmeasured(
    rule: GateRule, bound: Bound, limit: float, *, model: str, dataset: str, detail: str
) -> GateCheck:
    """Return the inconclusive check of a bound that nothing could be measured for."""
    return GateCheck(
        group=rule_words(rule),
        metric=metric_of_rule(rule.metric),
        model=model,
        dataset=dataset,
        slice=rule.slice,
        bound=bound,
        limit=limit,
        confidence=rule.confidence,
        when_inconclusive=rule.inconclusive,
        p_broken=1.0,
        p_kept=1.0,
        tested=False,
        observed=None,
        detail=detail,
    )


def slice_of(rows: pd.DataFrame, name: str) -> Any:
    """Return which rows are in slice ``name`` (``all`` or ``tag=value``), shape (rows,).

    Raises ``ConfigError`` where the rows have no such slice.
    """
    tag = name.partition("=")[0]
    slices = slice_rows(rows, [] if name == "all" else [tag])
    if name not in slices:
        known = slice_rows(rows, None)
        raise ConfigError(f"a gate rule names the slice '{name}', which no sample has.{nearest(name, known)}")
    return slices[name]


def _images(rows: pd.DataFrame) -> Any:
    return rows["image_id"].to_numpy(dtype=str)
