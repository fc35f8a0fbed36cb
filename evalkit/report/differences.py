"""Which differences between models are real: paired over the common samples. Pure.

Both models must have answered a sample for it to count, so that a difference never comes from one
of them having been asked easier questions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from evalkit.decoding.codes import ANSWERED
from evalkit.report.data import ReportData
from evalkit.report.numbers import triple
from evalkit.stats.bootstrap import cluster_codes, cluster_sums, paired_difference
from evalkit.stats.estimates import interval_of
from evalkit.stats.significance import holm, swap_test
from evalkit.types import Interval

if TYPE_CHECKING:
    import pandas as pd

LEVEL = 0.05
"""A lead is called real where its p-value, adjusted for the table it stands in, is below this."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Mean quality of ``better`` minus that of ``other`` over ``n`` common samples of ``n_images`` images.

    ``p_value``: two-sided, by swapping whole images; 1 where the interval holds 0, which no adjustment
    could make real.
    """

    better: str
    other: str
    interval: Interval
    p_value: float
    n: int
    n_images: int


def iou_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the mean quality over trials per sample (rows; index sample_id) and model (columns).

    ``image_id`` stands in a column of that name. Samples that no model answered are left out.
    """
    answered = rows[rows["outcome"].isin(ANSWERED)]
    table = answered.pivot_table(index="sample_id", columns="model", values="quality", aggfunc="mean")
    table["image_id"] = answered.groupby("sample_id")["image_id"].first()
    return table


def difference(table: pd.DataFrame, better: str, other: str, *, seed: int) -> Difference | None:
    """Return the paired difference of two models of an ``iou_table``, None where there is too little."""
    if better not in table or other not in table:
        return None
    common = table[[better, other, "image_id"]].dropna()
    ones = [1.0] * len(common)
    images = common["image_id"].astype(str).to_numpy()
    estimate = paired_difference((common[other], ones), (common[better], ones), images, seed=seed)
    if estimate is None:
        return None
    interval = interval_of(estimate)
    p_value = 1.0
    if interval.low > 0 or interval.high < 0:
        codes, n_images = cluster_codes(images)
        columns = (common[other], ones, common[better], ones)
        p_value = swap_test(np.stack([cluster_sums(c, codes, n_images) for c in columns]), seed=seed)
    return Difference(better, other, interval, p_value, len(common), common["image_id"].nunique())


def ranked(values: Mapping[str, float | None]) -> list[str]:
    """Return the models that have a value, the best first."""
    known = {label: value for label, value in values.items() if value is not None}
    return sorted(known, key=lambda label: -known[label])


def leads(table: pd.DataFrame, values: Mapping[str, float | None], *, seed: int) -> list[Difference | None]:
    """Return the differences of the best model from every other one, in the order of rank."""
    order = ranked(values)
    return [difference(table, order[0], other, seed=seed) for other in order[1:]]


def every_pair(data: ReportData) -> dict[str, list[Difference | None]]:
    """Return per dataset the differences of all pairs of models, the leads of the best one first.

    Together they are the family of the page's verdicts, the same that ``evalkit compare`` adjusts for.
    """
    pairs = {}
    for dataset in data.datasets:
        table = iou_table(data.rows(dataset))
        key = data.measure(dataset).key
        results = {model.label: data.result(dataset, model.label) for model in data.models}
        order = ranked({label: triple(r[key])[0] for label, r in results.items() if r is not None})
        pairs[dataset] = [difference(table, *pair, seed=data.seed) for pair in combinations(order, 2)]
    return pairs


def real_winners(families: Sequence[Sequence[Difference | None]]) -> list[str | None]:
    """Return for each row of a table the model whose lead over every other is real, else None.

    ``families``: per row its ``leads``. The p-values of the whole table are adjusted together
    (Holm), so that a table of twenty tags does not show a winner by luck.
    """
    flat = [gap for row in families for gap in row if gap is not None]
    adjusted = dict(zip(map(id, flat), holm([gap.p_value for gap in flat]), strict=True))
    winners: list[str | None] = []
    for row in families:
        certain = bool(row) and all(
            gap is not None and gap.interval.value > 0 and adjusted[id(gap)] < LEVEL for gap in row
        )
        winners.append(row[0].better if certain and row[0] is not None else None)
    return winners


def certain(gap: Difference, family: Sequence[Difference | None]) -> bool:
    """Tell whether a lead is real among the family of leads it belongs to."""
    return gap.interval.value > 0 and adjusted_p(gap, family) < LEVEL


def adjusted_p(gap: Difference, family: Sequence[Difference | None]) -> float:
    """Return the p-value of a difference, adjusted (Holm) for the family it belongs to."""
    known = [other for other in family if other is not None]
    return float(holm([other.p_value for other in known])[known.index(gap)])


def disagreement(values: Sequence[float]) -> float:
    """Return how far the models' IoUs on one sample lie apart: the highest minus the lowest."""
    return max(values) - min(values) if values else 0.0
