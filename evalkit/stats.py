"""Intervals and tests for clustered evaluation data. Pure.

Expressions of one image are not independent, so every interval resamples images (clusters):
an interval that resamples expressions was 1.6 times too narrow on simulated clustered data.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from evalkit.types import Interval

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

DRAWS = 9_999
"""Bootstrap draws of every reported interval."""


def cluster_sums(values: ArrayLike, cluster_codes: NDArray[np.intp], n_clusters: int) -> NDArray[np.float64]:
    """Return the sum of ``values`` (n,) per cluster, shape (n_clusters,)."""
    weights = np.asarray(values, dtype=np.float64)
    return np.bincount(cluster_codes, weights=weights, minlength=n_clusters).astype(np.float64)


def ratio_interval(
    numerators: ArrayLike,
    denominators: ArrayLike,
    clusters: ArrayLike,
    *,
    seed: int,
    draws: int = DRAWS,
) -> Interval | None:
    """Return sum(numerators) / sum(denominators) with its 95 % percentile interval over clusters.

    One row per expression; ``clusters`` names each row's image. A mean is the ratio with ones
    below; cIoU is intersections over unions. None where the denominators sum to 0. Draws in
    which they sum to 0 are left out.
    """
    _, codes = np.unique(np.asarray(clusters), return_inverse=True)
    n_clusters = int(codes.max()) + 1 if codes.size else 0
    if n_clusters == 0:
        return None
    above = cluster_sums(numerators, codes, n_clusters)
    below = cluster_sums(denominators, codes, n_clusters)
    if below.sum() == 0:
        return None
    value = float(above.sum() / below.sum())
    drawn_above, drawn_below = _drawn_sums(np.stack([above, below]), draws, seed)
    usable = drawn_below != 0
    low, high = np.percentile(drawn_above[usable] / drawn_below[usable], [2.5, 97.5])
    return Interval(value, float(low), float(high))


def _drawn_sums(per_cluster: NDArray[np.float64], draws: int, seed: int) -> NDArray[np.float64]:
    """Return the totals of each bootstrap draw, shape (rows of per_cluster, draws), in bounded memory."""
    n_clusters = per_cluster.shape[1]
    generator = np.random.default_rng(seed)
    chunk = max(1, 4_000_000 // n_clusters)
    totals = np.empty((per_cluster.shape[0], draws))
    for start in range(0, draws, chunk):
        stop = min(start + chunk, draws)
        picks = generator.integers(0, n_clusters, size=(stop - start, n_clusters))
        for row, sums in enumerate(per_cluster):
            totals[row, start:stop] = sums[picks].sum(axis=1)
    return totals
