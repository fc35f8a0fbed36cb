"""Every number that can be compared or gated, by name, as one numerator and denominator per row.

The names are those of ``evalkit.metrics.table``; a path of summary.json (``precision_at.0.5``,
``latency_s.mean``) and the field's other words are accepted too. Gate rules have a few names besides. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evalkit.errors import ConfigError, nearest
from evalkit.extensions import own_object
from evalkit.metrics.answers import AnswerRows
from evalkit.metrics.protocol_numbers import PREFIX, StatisticColumns, protocol_keys
from evalkit.metrics.table import FAMILIES, METRIC_KIND, METRICS, Metric, find_metric
from evalkit.stats.bootstrap import ratio_estimates
from evalkit.stats.resampling import statistic_estimate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from evalkit.metrics.answers import Columns
    from evalkit.stats.estimates import Estimate

COST = "cost_usd_per_answer"


def known_names() -> tuple[str, ...]:
    """Return every metric's own name; those of codes that only answers tell as ``FAMILY.CODE``."""
    codes = (f"{family.name}.{code}" for family in FAMILIES for code in family.codes or ("CODE",))
    return (*(metric.name for metric in METRICS), *codes)


def metric_of(name: str) -> Metric:
    """Return the metric of any accepted spelling. Raises ``ConfigError`` on an unknown one.

    ``precision_at.0.5``, ``precision_at 0.5`` and ``P@0.5`` are ``precision_at_0.5``.
    """
    found = find_metric(name) or find_metric(name.lower())
    if found is None:
        known = {*known_names(), *METRIC_KIND.names()} - {alias for one in METRICS for alias in one.aliases}
        raise ConfigError(f"'{name}' is not a metric.{nearest(name, known)}")
    return found


def measure_name(name: str) -> str:
    """Return the metric's own name for any accepted spelling. Raises ``ConfigError`` on an unknown one.

    Any ``protocol.NAME`` is one: the numbers of a protocol of one's own are known to its function alone. Whether
    the protocols in question can have it is for ``protocol_numbers.check_numbers``.
    """
    spelled = name.lower()
    if not spelled.startswith(PREFIX):
        return metric_of(name).name
    if spelled.removeprefix(PREFIX) in protocol_keys():
        return spelled
    if spelled == PREFIX:
        raise ConfigError(f"'{name}' is not a metric.{nearest(name, known_names())}")
    return PREFIX + name[len(PREFIX) :]


def lower_is_better(measure: str) -> bool:
    """Tell whether less is better."""
    return metric_of(measure).better == "lower"


def is_share(measure: str) -> bool:
    """Tell whether the measure lies in 0..1, so that differences are differences of shares."""
    return metric_of(measure).is_share


def row_measures(rows: pd.DataFrame, measures: Sequence[str]) -> dict[str, Columns]:
    """Return measure -> (numerators, denominators), each shape (rows,); the measure is sum over sum.

    Rows that were not answered have zeros in both.
    """
    taken = AnswerRows(rows)
    return {measure: metric_of(measure).columns(taken) for measure in measures}


def estimate_measure(rows: pd.DataFrame, measure: str, *, seed: int) -> Estimate | None:
    """Return the estimate of a measure over the images of ``rows``, None where it is undefined."""
    columns = row_measures(rows, [measure])[measure]
    images = rows["image_id"].to_numpy(dtype=str)
    if isinstance(columns, StatisticColumns):
        return statistic_estimate(columns.statistic, images[columns.places], seed=seed)
    above, below = columns
    return ratio_estimates(above, below, images, seed=seed, shares=[is_share(measure)])[0]


def answered_rows(rows: pd.DataFrame) -> NDArray[np.bool_]:
    """Return which rows were answered, shape (rows,)."""
    return AnswerRows(rows).answered


def codes_of(rows: pd.DataFrame, family: str) -> list[frozenset[str]]:
    """Return the codes of each row: its failure, its wire formats or its outcome."""
    return AnswerRows(rows).codes(family)


TOTAL_COST = "cost_usd"
"""The run's bill: a sum and no estimate, so its bounds are compared exactly."""

PERCENTILE_PREFIX = "latency_s.p"
"""``latency_s.p95``: gated by ``max`` alone, as the share of answers that took longer."""


def metric_of_rule(name: str) -> str:
    """Return the metric that a rule names, in its own spelling. Raises ``ConfigError`` where there is none."""
    special = name == TOTAL_COST or percentile_of(name) is not None
    installed = name not in METRIC_KIND.built_in and name in METRIC_KIND.names()
    if installed and (special or name in built_in_gates()):
        raise ConfigError(
            f"'{name}' is a rule of evalkit's own, and an installed package declares a metric of that name: which one is "
            "meant cannot be told. Rename it there, or uninstall the package"
        )
    if special:
        return name
    try:
        return measure_name(name)
    except ConfigError as error:
        gates = built_in_gates()
        if name in gates:
            return name
        raise ConfigError(f"{error} Gates of every run: {', '.join(gates)}.") from None


def built_in_gates() -> Mapping[str, Any]:
    """Return the gates that every run has, by name; the comparison, which judges by them, holds their table."""
    gates: Mapping[str, Any] = own_object("gate", "evalkit.comparison.gate.built_in:GATES")
    return gates


def percentile_of(name: str) -> float | None:
    """Return 95.0 for ``latency_s.p95``, None for anything else."""
    digits = name.removeprefix(PERCENTILE_PREFIX)
    known = name.startswith(PERCENTILE_PREFIX) and digits.replace(".", "", 1).isdigit()
    return float(digits) if known and 0 < float(digits) < 100 else None
