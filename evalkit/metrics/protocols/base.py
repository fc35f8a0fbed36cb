"""What a scoring protocol is, and the row arrays that most of them share."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

from evalkit.stats.resampling import Statistic, SumStatistic, grouped_influences, value_of

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from evalkit.metrics.truth import Truth
    from evalkit.types import Decoded, Sample

    BoolArray = NDArray[np.bool_]
    FloatArray = NDArray[np.float64]

Statistics = dict[str, Statistic | None]
"""A protocol's results by name as functions of the rows, so that images can be resampled; None where undefined."""


def no_counts(decoded: Decoded, sample: Sample, truth: Truth) -> dict[str, Any] | None:
    """Return None: the columns of scores.parquet are all that most protocols need."""
    del decoded, sample, truth
    return None


@dataclass(frozen=True, slots=True)
class Protocol:
    """One way from answers to a table's numbers.

    ``function`` takes the answered rows of one model on one dataset (columns of scores.parquet) and
    returns its numbers by name, each as a statistic whose rows can be weighted or as a plain number
    (then the whole function is computed again for every draw of images). ``count`` returns what it
    needs of one answer beyond those columns, kept in the column ``protocol_counts`` as JSON text.
    ``keys``: the names in their order; those that ``function`` leaves out are undefined.
    """

    name: str
    source: str
    function: Callable[[pd.DataFrame], Mapping[str, Statistic | float | None]]
    count: Callable[[Decoded, Sample, Truth], dict[str, Any] | None] = no_counts
    keys: tuple[str, ...] = ()

    def numbers(self, rows: pd.DataFrame) -> Statistics:
        """Return every number as a function of its rows, None where undefined."""
        found = self.function(rows)
        plain = RecomputedNumbers(rows, self.function)
        return {
            key: plain.number(key) if isinstance(value := found.get(key), (int, float)) else value
            for key in dict.fromkeys((*self.keys, *found))
        }


class RecomputedNumbers:
    """The plain numbers that a function computes of rows: each draw computes them again, once for all."""

    def __init__(
        self, rows: pd.DataFrame, function: Callable[[pd.DataFrame], Mapping[str, Statistic | float | None]]
    ) -> None:
        self.rows = rows
        self.function = function
        self.known: dict[bytes, Mapping[str, Statistic | float | None]] = {}

    def number(self, key: str) -> RecomputedNumber:
        """Return one of them."""
        return RecomputedNumber(self, key, np.arange(len(self.rows)), len(self.rows))

    def under(self, counts: NDArray[np.int64]) -> Mapping[str, Statistic | float | None]:
        """Return them where row i stands ``counts[i]`` times."""
        drawn = counts.tobytes()
        if drawn not in self.known:
            places = np.repeat(np.arange(len(self.rows)), counts)
            self.known[drawn] = self.function(self.rows.iloc[places])
        return self.known[drawn]


@dataclass(frozen=True, slots=True, eq=False)
class RecomputedNumber:
    """One of ``RecomputedNumbers`` as a statistic; ``codes``: the unit of each row."""

    source: RecomputedNumbers
    key: str
    codes: NDArray[np.intp]
    n_units: int
    draws: int = 199

    def grouped(self, codes: NDArray[np.intp], n_groups: int) -> RecomputedNumber:
        """Return the same number of groups of units."""
        return RecomputedNumber(self.source, self.key, codes[self.codes], n_groups, self.draws)

    def resampled(self, weights: FloatArray) -> FloatArray:
        """Return the number under each row of whole ``weights``."""
        values = [self.source.under(row[self.codes].astype(np.int64)).get(self.key) for row in weights]
        return np.array([value if isinstance(value, (int, float)) else np.nan for value in values], float)

    def influences(self) -> FloatArray:
        """Return what each unit adds to the number, in at most 100 groups that are left out at a time."""
        return grouped_influences(self)


def number_of(statistic: Statistic | None) -> float | None:
    """Return a number itself, None where it is undefined."""
    value = math.nan if statistic is None else value_of(statistic)
    return None if math.isnan(value) else value


@dataclass(frozen=True, slots=True)
class MaskRows:
    """The mask counts of answered rows, each shape (n,); areas in pixels.

    ``empty``: the answer marks nothing on purpose (a refusal, or a mask without a pixel). A
    format failure or a block marks nothing either, but is no refusal: evaluators never saw one,
    and evalkit gives it no credit on a no-target sample.
    """

    intersection: FloatArray
    union: FloatArray
    no_target: BoolArray
    empty: BoolArray

    @property
    def iou(self) -> FloatArray:
        """Intersection over union, 0 where the union is 0."""
        return np.divide(self.intersection, self.union, out=np.zeros_like(self.union), where=self.union != 0)

    def union_plus(self, epsilon_px: float) -> FloatArray:
        """Return the unions with ``epsilon_px``, which an evaluator adds to their sum once, spread over the rows.

        Rows with an empty union get none of it, so that they stay out of the ratio, unless all are empty.
        """
        among = self.union > 0 if (self.union > 0).any() else np.ones(self.union.size, dtype=bool)
        spread: FloatArray = self.union + among * (epsilon_px / max(1, int(among.sum())))
        return spread


def mask_rows(rows: pd.DataFrame, counts: pd.DataFrame | None = None) -> MaskRows | None:
    """Return the mask counts of ``rows``, or None where there are none (no rows, or answers of boxes alone).

    ``counts``: a frame with ``intersection`` and ``union`` that replaces the columns of ``rows``, and
    ``pred_area`` where emptiness is counted elsewhere than on the image's own pixels.
    """
    source = rows if counts is None else counts
    if len(rows) == 0 or "intersection" not in source:
        return None
    intersection = source["intersection"].to_numpy(dtype=np.float64, na_value=np.nan)
    union = source["union"].to_numpy(dtype=np.float64, na_value=np.nan)
    if np.isnan(intersection).any():
        return None
    outcome = rows["outcome"].to_numpy(dtype=object)
    areas = source if "pred_area" in source else rows
    drawn_nothing = (outcome == "decoded") & (areas["pred_area"].to_numpy(dtype=np.float64) == 0)
    return MaskRows(
        intersection,
        union,
        rows["no_target"].to_numpy(dtype=bool),
        np.asarray((outcome == "no_target") | drawn_nothing, dtype=bool),
    )


def protocol_counts(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the column ``protocol_counts`` as a frame, one row per row of ``rows``."""
    import pandas as pd

    return pd.DataFrame(
        [json.loads(text) if isinstance(text, str) else {} for text in rows["protocol_counts"]]
    )


def ratio(above: FloatArray | BoolArray, below: FloatArray | BoolArray) -> SumStatistic:
    """Return sum(above) / sum(below), undefined where the latter is 0."""
    return SumStatistic(np.stack([above, below]).astype(np.float64), quotient)


def quotient(sums: FloatArray) -> FloatArray:
    """Return the first sums over the second, nan where those are 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        found: FloatArray = np.where(sums[1] != 0, sums[0] / sums[1], np.nan)
    return found


def share(condition: BoolArray, among: BoolArray) -> SumStatistic:
    """Return the share of ``among`` that meets ``condition``, undefined where there is none."""
    return ratio(condition & among, among)


def mean(values: FloatArray | BoolArray) -> SumStatistic:
    """Return the mean, undefined of nothing."""
    return ratio(values, np.ones(len(values)))


def is_ratio(statistic: Statistic | None) -> TypeGuard[SumStatistic]:
    """Tell whether a number is a plain sum over sum, for which the estimators of ratios hold."""
    return isinstance(statistic, SumStatistic) and statistic.function is quotient
