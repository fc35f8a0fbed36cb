"""Intervals and paired differences of numbers that are no ratio of sums, such as cgF1 or average precision. Pure.

Such a number is still determined by sums over rows (or by weighted detections), so a bootstrap over
images needs no second look at any mask: the rows of an image are drawn together. Where the images
that inform it are too few for a bootstrap, ``evalkit.stats.bounded`` stands in, fed with the number's influences
(Efron & Tibshirani 1993, An Introduction to the Bootstrap, section 21.3); where they are ``MANY_CLUSTERS``, the error of a
function of sums is that of its influences (the delta method, section 21.9), which takes no draws.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from evalkit.stats.bootstrap import (
    DRAWS,
    FEW_CLUSTERS,
    MANY_CLUSTERS,
    cluster_codes,
    cluster_sums,
    draw_chunks,
)
from evalkit.stats.bounded import Bounded
from evalkit.stats.estimates import Estimate, Percentile, SkewCorrected

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

STEP = 1e-5
"""Relative step of numeric derivatives; central differences of smooth functions err by its square."""


class Statistic(Protocol):
    """One number of many units (rows, or images after ``grouped``), each of which can be weighted."""

    @property
    def draws(self) -> int:
        """How many bootstrap draws it is worth: fewer where one evaluation is dear."""
        ...

    @property
    def n_units(self) -> int:
        """How many units there are."""
        ...

    def grouped(self, codes: NDArray[np.intp], n_groups: int) -> Statistic:
        """Return the same number of groups of units; ``codes``: each unit's group, 0..n-1."""
        ...

    def resampled(self, weights: Floats) -> Floats:
        """Return the number under each row of ``weights``, (draws, units) -> (draws,); nan where undefined."""
        ...

    def influences(self) -> Floats:
        """Return the derivative by each unit's weight where all weights are 1, shape (units,)."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class SumStatistic:
    """A function of sums: ``columns`` (k, units), ``function`` (k, ...) sums -> (...) numbers, nan where undefined."""

    columns: Floats
    function: Callable[[Floats], Floats]
    draws: int = DRAWS

    @property
    def n_units(self) -> int:
        """How many units there are."""
        return int(self.columns.shape[1])

    def grouped(self, codes: NDArray[np.intp], n_groups: int) -> SumStatistic:
        """Return the same number of groups of units."""
        sums = np.stack([cluster_sums(column, codes, n_groups) for column in self.columns])
        return SumStatistic(sums, self.function, self.draws)

    def resampled(self, weights: Floats) -> Floats:
        """Return the number under each row of ``weights``."""
        return self.function((weights @ self.columns.T).T)

    def influences(self) -> Floats:
        """Return the derivative by each unit's weight: the gradient by the sums times the unit's columns."""
        sums = self.columns.sum(axis=1)
        steps = STEP * np.maximum(np.abs(self.columns).max(axis=1, initial=0.0), 1.0)
        moved = sums[:, None, None] + np.stack([np.diag(steps), -np.diag(steps)], axis=1)
        above, below = self.function(moved)
        gradient: Floats = (above - below) / (2 * steps)
        influence: Floats = gradient @ self.columns
        return influence


def value_of(statistic: Statistic) -> float:
    """Return the number itself, nan where it is undefined."""
    if statistic.n_units == 0:
        return float("nan")
    return float(statistic.resampled(np.ones((1, statistic.n_units)))[0])


def linear_columns(statistic: Statistic) -> tuple[Floats, Floats]:
    """Return (numerators, denominators), one per unit, whose ratio is the number and whose spread is its own.

    The numerators are the pseudo-values value + n (influence - mean influence), the denominators ones: so
    every test for means serves this number too. Zeros where it is undefined.
    """
    value, n_units = value_of(statistic), statistic.n_units
    if np.isnan(value):
        return np.zeros(n_units), np.zeros(n_units)
    influences = np.nan_to_num(statistic.influences())
    return value + n_units * (influences - influences.mean()), np.ones(n_units)


def statistic_estimate(statistic: Statistic, clusters: ArrayLike, *, seed: int) -> Estimate | None:
    """Return an estimate of the number over clusters, None where it is undefined.

    ``clusters`` names each unit's image. Percentile bootstrap; where fewer than ``FEW_CLUSTERS`` images
    have any influence, that of a bounded mean of the pseudo-values.
    """
    codes, n_clusters = cluster_codes(clusters)
    by_cluster = statistic.grouped(codes, n_clusters)
    value = value_of(by_cluster)
    if np.isnan(value):
        return None
    residuals = _residuals(by_cluster)
    if _is_linear(by_cluster):
        return SkewCorrected.of(value, residuals, n_clusters, -np.inf)
    if _moving(residuals) >= FEW_CLUSTERS:
        drawn = _drawn(by_cluster, n_clusters, statistic.draws, seed)
        return Percentile(value, np.sort(drawn[np.isfinite(drawn)]), n_clusters)
    return _bounded(value, residuals, 0.0 if value >= 0 else -1.0)


def statistic_difference(
    first: Statistic, second: Statistic, clusters: ArrayLike, *, seed: int
) -> Estimate | None:
    """Return the number of ``second`` minus that of ``first`` over the same units, paired by cluster.

    Percentile bootstrap with the same draws for both; where fewer than ``FEW_CLUSTERS`` images moved
    the difference, that of a bounded mean of the pseudo-values. None where either is undefined.
    """
    codes, n_clusters = cluster_codes(clusters)
    before, after = first.grouped(codes, n_clusters), second.grouped(codes, n_clusters)
    value = value_of(after) - value_of(before)
    if np.isnan(value):
        return None
    residuals = _residuals(after) - _residuals(before)
    if _is_linear(before) and _is_linear(after):
        return SkewCorrected.of(value, residuals, n_clusters, -np.inf)
    if _moving(residuals) >= FEW_CLUSTERS:
        draws = min(first.draws, second.draws)
        drawn = _drawn(after, n_clusters, draws, seed) - _drawn(before, n_clusters, draws, seed)
        return Percentile(value, np.sort(drawn[np.isfinite(drawn)]), n_clusters)
    return _bounded(value, residuals, -1.0)


def _residuals(by_cluster: Statistic) -> Floats:
    """Return how far each cluster pulls the number from its value, shape (clusters,)."""
    influences = np.nan_to_num(by_cluster.influences())
    pulls: Floats = influences - influences.mean()
    return pulls


def _moving(residuals: Floats) -> int:
    """Return how many clusters pull the number from its value at all."""
    return int((np.abs(residuals) > 1e-9).sum())


def _is_linear(by_cluster: Statistic) -> bool:
    """Tell whether the number's influences give its error: a function of sums over many clusters that move it."""
    is_sum = isinstance(by_cluster, SumStatistic) and by_cluster.n_units >= MANY_CLUSTERS
    return is_sum and _moving(_residuals(by_cluster)) >= MANY_CLUSTERS // 10


def _bounded(value: float, residuals: Floats, least: float) -> Estimate:
    """Return the estimate of a mean over images whose values are the pseudo-values, in ``least``..1."""
    return Bounded(value, value + residuals.size * residuals, np.ones(residuals.size), least, 1.0)


def _drawn(by_cluster: Statistic, n_clusters: int, draws: int, seed: int) -> Floats:
    """Return the number in each bootstrap draw of clusters, shape (draws,)."""
    found = np.empty(draws)
    for start, counts in draw_chunks(n_clusters, draws, seed):
        found[start : start + len(counts)] = by_cluster.resampled(counts)
    return found


MOST_GROUPS = 100
"""Groups of units that are left out one at a time where each evaluation is dear (the delete-a-group jackknife)."""


def grouped_influences(statistic: Statistic) -> Floats:
    """Return about what each unit adds to the number: its value minus the value without the unit (the jackknife).

    More than ``MOST_GROUPS`` units are left out in groups, each unit taking an equal part of its group's.
    """
    n_units = statistic.n_units
    n_groups = min(n_units, MOST_GROUPS)
    groups = np.arange(n_units) % max(1, n_groups)
    without = 1.0 - (groups == np.arange(n_groups)[:, None])
    added = value_of(statistic) - statistic.resampled(without)
    parts: Floats = (added / np.bincount(groups, minlength=n_groups))[groups]
    return parts
