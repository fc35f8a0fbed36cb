"""Every number that can be compared or gated, by name, as one numerator and denominator per row.

The names are those of summary.json, flattened: ``giou``, ``precision_at_0.5``,
``format_failure_rate``, ``latency_s``; further ``failures.CODE``, ``wire_formats.CODE`` and
``outcomes.OUTCOME`` (shares of the answered requests) and ``cost_usd_per_answer``. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from evalkit.errors import ConfigError, nearest
from evalkit.metrics.summary import AMOUNTS, ANSWERED, PRECISION_THRESHOLDS, SIZE_LIMITS_PX2, row_ratios

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    Columns = tuple[NDArray[np.float64], NDArray[np.float64]]

PLAIN = (
    *("giou", "giou_decoded", "giou_targeted", "ciou", "boundary_iou", "box_accuracy_0.5", "box_iou"),
    *("n_acc", "t_acc", "instance_f1", "format_failure_rate", "strict_failure_rate", "blocked_rate"),
    *("latency_s", "input_tokens", "output_tokens", "thought_tokens"),
)
"""Measures that a summary holds under the same name."""

NAMES_IN_SUMMARY = {
    **{name: name for name in PLAIN},
    **{f"precision_at_{threshold}": f"precision_at {threshold}" for threshold in PRECISION_THRESHOLDS},
    **{f"giou_by_size_{size}": f"giou_by_size {size}" for size in SIZE_LIMITS_PX2},
}
"""Measure -> key of ``summary.row_ratios``."""

COST = "cost_usd_per_answer"
SHARES = ("failures", "wire_formats", "outcomes")
"""Families of measures: ``FAMILY.CODE`` is the share of answered requests with that code."""

MEASURES = (*NAMES_IN_SUMMARY, COST)
"""All measures that are not a share of a code."""

LOWER_IS_BETTER = frozenset({"format_failure_rate", "strict_failure_rate", "blocked_rate", COST, *AMOUNTS})

ALIASES = {
    "latency_s.mean": "latency_s",
    "latency_s_mean": "latency_s",
    "tokens.input_mean": "input_tokens",
    "tokens.output_mean": "output_tokens",
    "tokens.thought_mean": "thought_tokens",
    "miou": "giou",
    "oiou": "ciou",
}
"""Other names of a measure: the path in summary.json, or what other papers call it."""


def measure_name(name: str) -> str:
    """Return the measure's own name for any accepted spelling. Raises ``ConfigError`` on an unknown one.

    ``precision_at.0.5``, ``precision_at 0.5`` and ``p@0.5`` are ``precision_at_0.5``.
    """
    plain = ALIASES.get(name, name)
    for prefix, other in (
        ("precision_at", "precision_at_"),
        ("p@", "precision_at_"),
        ("giou_by_size", "giou_by_size_"),
    ):
        if plain.lower().startswith(prefix):
            plain = other + plain[len(prefix) :].lstrip("._ @")
    family, dot, code = plain.partition(".")
    if plain in MEASURES or (dot and code and family in SHARES):
        return plain
    known = (*MEASURES, *(f"{family}.CODE" for family in SHARES))
    raise ConfigError(f"'{name}' is not a metric.{nearest(plain, known)}")


def lower_is_better(measure: str) -> bool:
    """Tell whether less is better; wire formats have no better direction and count as higher."""
    if measure.startswith("failures."):
        return True
    if measure.startswith("outcomes."):
        return measure.removeprefix("outcomes.") in ("format_failure", "blocked")
    return measure in LOWER_IS_BETTER


def is_share(measure: str) -> bool:
    """Tell whether the measure lies in 0..1, so that differences are differences of shares."""
    return measure != COST and measure not in AMOUNTS


def row_measures(rows: pd.DataFrame, measures: tuple[str, ...] | list[str]) -> dict[str, Columns]:
    """Return measure -> (numerators, denominators), each shape (rows,); the measure is sum over sum.

    Rows that were not answered have zeros in both.
    """
    ratios = row_ratios(rows)
    found: dict[str, Columns] = {}
    for measure in measures:
        if measure in NAMES_IN_SUMMARY:
            found[measure] = ratios[NAMES_IN_SUMMARY[measure]]
        elif measure == COST:
            found[measure] = _cost(rows)
        else:
            family, _, code = measure.partition(".")
            found[measure] = _share_of_code(rows, family, code)
    return found


def answered_rows(rows: pd.DataFrame) -> NDArray[np.bool_]:
    """Return which rows were answered, shape (rows,)."""
    return np.asarray(rows["outcome"].isin(ANSWERED), dtype=bool)


def codes_of(rows: pd.DataFrame, family: str) -> list[set[str]]:
    """Return the codes of each row: its failure, its wire formats or its outcome."""
    if family == "wire_formats":
        return [set() if codes is None else {str(code) for code in codes} for codes in rows["wire_formats"]]
    column = rows["failure" if family == "failures" else "outcome"]
    return [{code} if isinstance(code, str) else set() for code in column]


def _share_of_code(rows: pd.DataFrame, family: str, code: str) -> Columns:
    answered = answered_rows(rows)
    has_code = np.array([code in codes for codes in codes_of(rows, family)], dtype=bool)
    return (has_code & answered).astype(np.float64), answered.astype(np.float64)


def _cost(rows: pd.DataFrame) -> Columns:
    import pandas as pd

    cost_usd = pd.to_numeric(rows["cost_usd"]).to_numpy(dtype=np.float64, na_value=np.nan)
    known = answered_rows(rows) & ~np.isnan(cost_usd)
    return np.where(known, cost_usd, 0.0), known.astype(np.float64)


TOTAL_COST = "cost_usd"
"""The run's bill: a sum and no estimate, so its bounds are compared exactly."""

PERCENTILE_PREFIX = "latency_s.p"
"""``latency_s.p95``: gated by ``max`` alone, as the share of answers that took longer."""


def metric_of_rule(name: str) -> str:
    """Return the metric that a rule names, in its own spelling. Raises ``ConfigError`` where there is none."""
    if name in BUILT_IN or name == TOTAL_COST or percentile_of(name) is not None:
        return name
    try:
        return measure_name(name)
    except ConfigError as error:
        raise ConfigError(f"{error} Gates of every run: {', '.join(BUILT_IN)}.") from None


BUILT_IN = ("not_run", "routing", "format_drift", "new_failures")
"""Gates that every run has; see ``evalkit.comparison.gate.built_in``."""


def percentile_of(name: str) -> float | None:
    """Return 95.0 for ``latency_s.p95``, None for anything else."""
    digits = name.removeprefix(PERCENTILE_PREFIX)
    known = name.startswith(PERCENTILE_PREFIX) and digits.replace(".", "", 1).isdigit()
    return float(digits) if known and 0 < float(digits) < 100 else None
