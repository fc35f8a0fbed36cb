"""Intervals and paired differences for clustered evaluation data. Pure.

Expressions of one image are not independent, so everything is by image (cluster): an interval that
takes expressions as independent was 1.6 times too narrow on simulated clustered data. Every metric is a ratio of
sums: a mean has ones below, cIoU intersections over unions. Which estimator when:

- shares, IoUs and their differences, which have a range: ``bounded.Bounded``, at any number of images;
- amounts (seconds, tokens, USD) and their differences: a bootstrap over images, studentised for a
  single ratio of ``CLUSTERS_FOR_PIVOTS`` images, percentiles below that and for differences, and Student's t on
  the linearised error where fewer than ``FEW_CLUSTERS`` images differ; from ``MANY_CLUSTERS`` images on a normal law on that
  error that allows for skewness, at a cost that grows with the images alone.

All amounts given together share the same draws. Measured coverage and false alarms: docs/statistics.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from evalkit.stats.bounded import Bounded, limits
from evalkit.stats.estimates import (
    Estimate,
    Percentile,
    SingleImage,
    SkewCorrected,
    Student,
    Studentised,
    interval_of,
    spanning,
)
from evalkit.types import Interval

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

DRAWS = 9_999
"""Bootstrap draws of every reported interval."""

FEW_CLUSTERS = 10
"""Below this many images, or images that differ from the most common value, a bootstrap of an amount has too
few distinct draws to hold its level: Student's t takes over."""

CLUSTERS_FOR_PIVOTS = 30
"""Below this many images a studentised bootstrap may say anything: one image that dominates gives draws
whose error is near zero. Percentiles stay within the data and are taken instead."""

MANY_CLUSTERS = 5_000
"""From this many images on amounts take no draws."""

CACHED_CELLS = 60_000_000
"""Draw tables up to this many bytes are kept, so that metrics asked one by one still share them."""

DRAWN_CELLS = 1_000_000
"""Picks that are drawn at a time (8 MB) before they become counts of a byte each."""

CHUNK_CELLS = 2_000_000
"""Cells of a draw table that are held as floats at a time (16 MB)."""


def cluster_codes(clusters: ArrayLike) -> tuple[NDArray[np.intp], int]:
    """Return each row's cluster as a code 0..n-1, shape (rows,), and n."""
    _, codes = np.unique(np.asarray(clusters), return_inverse=True)
    return codes.reshape(-1), int(codes.max()) + 1 if codes.size else 0


def cluster_sums(values: ArrayLike, codes: NDArray[np.intp], n_clusters: int) -> Floats:
    """Return the sum of ``values`` (rows,) per cluster, shape (n_clusters,)."""
    weights = np.asarray(values, dtype=np.float64)
    return np.bincount(codes, weights=weights, minlength=n_clusters).astype(np.float64, copy=False)


def ratio_interval(
    numerators: ArrayLike,
    denominators: ArrayLike,
    clusters: ArrayLike,
    *,
    seed: int,
    draws: int = DRAWS,
) -> Interval | None:
    """Return sum(numerators) / sum(denominators) with its 95 % interval over clusters.

    One row per expression; ``clusters`` names each row's image. A mean is the ratio with ones
    below; cIoU is intersections over unions. None where the denominators sum to 0. See
    ``ratio_estimates`` for the methods.
    """
    above, below = np.asarray(numerators)[None], np.asarray(denominators)[None]
    return ratio_intervals(above, below, clusters, seed=seed, draws=draws)[0]


def ratio_intervals(
    numerators: ArrayLike,
    denominators: ArrayLike,
    clusters: ArrayLike,
    *,
    seed: int,
    draws: int = DRAWS,
    shares: Sequence[bool] | None = None,
) -> list[Interval | None]:
    """Return the 95 % interval of many ratios over the same rows; arrays are (metrics, rows).

    ``shares``: see ``ratio_estimates``.
    """
    estimates = ratio_estimates(numerators, denominators, clusters, seed=seed, draws=draws, shares=shares)
    return intervals_of(estimates)


def intervals_of(estimates: Sequence[Estimate | None]) -> list[Interval | None]:
    """Return the 95 % interval of every estimate, None for None; shares over the same images at once."""
    bounded = [estimate for estimate in estimates if isinstance(estimate, Bounded)]
    found: dict[int, Interval] = {}
    for ends in {(one.least, one.most) for one in bounded}:
        same = [one for one in bounded if (one.least, one.most) == ends]
        above, below = np.stack([one.above for one in same]), np.stack([one.below for one in same])
        low, high = (limits(above, below, level, least=ends[0], most=ends[1]) for level in (0.025, 0.975))
        spans = map(spanning, [one.value for one in same], low.tolist(), high.tolist())
        found |= dict(zip(map(id, same), spans, strict=True))
    return [
        None if estimate is None else found[id(estimate)] if id(estimate) in found else interval_of(estimate)
        for estimate in estimates
    ]


def ratio_estimates(
    numerators: ArrayLike,
    denominators: ArrayLike,
    clusters: ArrayLike,
    *,
    seed: int,
    draws: int = DRAWS,
    shares: Sequence[bool] | None = None,
) -> list[Estimate | None]:
    """Return an estimate of each ratio of sums; ``numerators``, ``denominators``: (metrics, rows).

    A slice is the same rows with zeros outside it. ``shares``: per metric, whether it lies in 0..1
    by definition (a rate, an IoU) and not by chance (a latency below one second); where not
    given, every metric whose numerators all lie between 0 and their denominators. The module says which
    estimator is used when. None where the denominators of a metric sum to 0.
    """
    above, below = (
        np.atleast_2d(np.asarray(numerators, float)),
        np.atleast_2d(np.asarray(denominators, float)),
    )
    codes, n_clusters = cluster_codes(clusters)
    sums = [
        np.stack([cluster_sums(above[m], codes, n_clusters), cluster_sums(below[m], codes, n_clusters)])
        for m in range(len(above))
    ]
    kinds = [
        _ratio_kind(above[m], below[m], sums[m], may_be_share=shares is None or shares[m])
        for m in range(len(above))
    ]
    drawn = [m for m, kind in enumerate(kinds) if kind == "bootstrap"]
    moments = (
        _drawn_totals(np.concatenate([_ratio_columns(sums[m]) for m in drawn]), draws, seed)
        if drawn
        else None
    )
    made: list[Estimate | None] = []
    for m, kind in enumerate(kinds):
        if kind == "undefined":
            made.append(None)
        elif kind == "bounded":
            value = float(sums[m][0].sum() / sums[m][1].sum())
            made.append(Bounded(value, sums[m][0], sums[m][1], 0.0, 1.0))
        elif kind == "bootstrap" and moments is not None:
            first = 5 * drawn.index(m)
            made.append(_bootstrapped(sums[m], moments[first : first + 5]))
        elif kind == "many":
            made.append(_many_clusters_ratio(sums[m]))
        else:
            made.append(_few_clusters_ratio(sums[m]))
    return made


def _ratio_kind(above: Floats, below: Floats, sums: Floats, *, may_be_share: bool) -> str:
    """Return how one ratio is estimated: ``undefined``, ``bounded``, ``few``, ``bootstrap`` or ``many``."""
    if below.size == 0 or below.sum() == 0:
        return "undefined"
    if may_be_share and _within(above, below):
        return "bounded"
    inside = sums[1] != 0
    if inside.sum() >= MANY_CLUSTERS:
        return "many"
    _, counts = np.unique(sums[0, inside] / sums[1, inside], return_counts=True)
    few = counts.sum() < FEW_CLUSTERS or counts.sum() - counts.max() < FEW_CLUSTERS
    return "few" if few else "bootstrap"


def _within(above: Floats, below: Floats) -> bool:
    """Tell whether every numerator lies between 0 and its denominator."""
    return bool((above >= 0).all() and (above <= below * (1 + 1e-9)).all())


def _ratio_columns(sums: Floats) -> Floats:
    """Return the five per-cluster columns whose drawn sums give a ratio and its error, (5, clusters)."""
    above, below = sums
    columns: Floats = np.stack([above, below, above * above, above * below, below * below])
    return columns


def _ratio_error(totals: Floats, n_clusters: int) -> tuple[Floats, Floats]:
    """Return ratios and their linearised standard errors from the sums of ``_ratio_columns``."""
    above, below, above_2, cross, below_2 = totals
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = above / below
        squares = np.maximum(above_2 - 2 * ratio * cross + ratio * ratio * below_2, 0)
        error = np.sqrt(squares * n_clusters / (n_clusters - 1)) / np.abs(below)
    return ratio, error


def _bootstrapped(sums: Floats, moments: Floats) -> Estimate:
    """Return the bootstrap estimate of an amount from its drawn ``moments``, shape (5, draws).

    The error of each draw is the linearised one (Cochran 1977, Sampling Techniques, section 6.3).
    """
    n_clusters = int((sums[1] != 0).sum())
    value, error = _ratio_error(_ratio_columns(sums).sum(axis=1), n_clusters)
    drawn, drawn_error = _ratio_error(moments, n_clusters)
    if n_clusters < CLUSTERS_FOR_PIVOTS:
        return Percentile(float(value), np.sort(drawn[np.isfinite(drawn)]), n_clusters)
    usable = np.isfinite(drawn) & (drawn_error > 1e-9 * float(error))
    pivots = np.sort((drawn[usable] - value) / drawn_error[usable])
    return Studentised(float(value), float(error), pivots, _least(sums[0]))


def _many_clusters_ratio(sums: Floats) -> Estimate:
    """Return the estimate of an amount over so many clusters that no draws are needed."""
    value = float(sums[0].sum() / sums[1].sum())
    residuals = (sums[0] - value * sums[1]) / sums[1].sum()
    return SkewCorrected.of(value, residuals, int((sums[1] != 0).sum()), _least(sums[0]))


def _few_clusters_ratio(sums: Floats) -> Estimate:
    """Return the estimate of an amount that too few clusters inform for a bootstrap."""
    n_clusters = int((sums[1] != 0).sum())
    value = float(sums[0].sum() / sums[1].sum())
    if n_clusters == 1:
        return SingleImage(value)
    error = float(_ratio_error(_ratio_columns(sums).sum(axis=1), n_clusters)[1])
    return Student(value, error, n_clusters - 1, _least(sums[0]))


def _least(above: Floats) -> float:
    return 0.0 if (above >= 0).all() else -np.inf


def paired_differences(
    first: list[tuple[ArrayLike, ArrayLike]],
    second: list[tuple[ArrayLike, ArrayLike]],
    clusters: ArrayLike,
    *,
    seed: int,
    draws: int = DRAWS,
    shares: Sequence[bool] | None = None,
) -> list[Estimate | None]:
    """Return per metric the ratio of ``second`` minus the ratio of ``first``, paired by cluster, with shared draws.

    ``first`` and ``second`` are (numerators, denominators) of the same rows under two models or
    runs. ``shares``: per metric, whether it lies in 0..1 by definition. The module says which estimator is used
    when. None where either ratio is undefined, or where one image cannot tell anything of an amount.
    """
    codes, n_clusters = cluster_codes(clusters)
    rows = [np.asarray([a, b, c, d], dtype=np.float64) for (a, b), (c, d) in zip(first, second, strict=True)]
    sums = [np.stack([cluster_sums(values, codes, n_clusters) for values in four]) for four in rows]
    kinds = [
        _difference_kind(four, by_image, may_be_share=shares is None or shares[m])
        for m, (four, by_image) in enumerate(zip(rows, sums, strict=True))
    ]
    drawn = [m for m, kind in enumerate(kinds) if kind == "bootstrap"]
    totals = _drawn_totals(np.concatenate([sums[m] for m in drawn]), draws, seed) if drawn else None
    made: list[Estimate | None] = []
    for m, kind in enumerate(kinds):
        if kind == "undefined":
            made.append(None)
        elif kind == "bounded":
            made.append(_bounded_difference(sums[m]))
        elif kind == "bootstrap" and totals is not None:
            at = 4 * drawn.index(m)
            made.append(_percentile_difference(sums[m], totals[at : at + 4]))
        elif kind == "many":
            n_images = int(((sums[m][1] != 0) | (sums[m][3] != 0)).sum())
            made.append(SkewCorrected.of(*_difference_residuals(sums[m]), n_images, -np.inf))
        else:
            made.append(_few_clusters_difference(sums[m]))
    return made


def _difference_kind(rows: Floats, sums: Floats, *, may_be_share: bool) -> str:
    if sums.size == 0 or sums[1].sum() == 0 or sums[3].sum() == 0:
        return "undefined"
    if may_be_share and _within(rows[0], rows[1]) and _within(rows[2], rows[3]):
        return "bounded"
    changed = (sums[0] != sums[2]) | (sums[1] != sums[3])
    n_clusters = ((sums[1] != 0) | (sums[3] != 0)).sum()
    if changed.sum() < FEW_CLUSTERS or n_clusters < FEW_CLUSTERS:
        return "few"
    return "many" if n_clusters >= MANY_CLUSTERS else "bootstrap"


def _bounded_difference(sums: Floats) -> Estimate:
    """Return the difference of two shares as one ratio over images, and how far one image can move it.

    Each image weighs the mean of its shares of both denominators. Where they are equal its numerator is
    what it changed; else its part of the linearised difference. The ends of the range are those of an image that
    one side loses, or gets, wholly while the other answers as usual; what is usual is pulled towards the worse end
    by one image, so that a single image says little.
    """
    whole = sums.sum(axis=1)
    parts = sums / np.repeat(whole[1::2], 2)[:, None]
    before, after = whole[0] / whole[1], whole[2] / whole[3]
    value = float(after - before)
    weights = (parts[1] + parts[3]) / 2
    changes = parts[2] - parts[0]
    if (sums[1] != sums[3]).any():
        changes += value * weights + before * parts[1] - after * parts[3]
    n = int((weights > 0).sum())
    fallen = max(n * before + 1, n * (1 - after) + 1) / (n + 1)
    risen = max(n * after + 1, n * (1 - before) + 1) / (n + 1)
    return Bounded(value, changes, weights, -float(fallen), float(risen))


def _percentile_difference(sums: Floats, totals: Floats) -> Estimate:
    whole = sums.sum(axis=1)
    value = float(whole[2] / whole[3] - whole[0] / whole[1])
    usable = (totals[1] != 0) & (totals[3] != 0)
    kept = totals[:, usable]
    drawn = np.sort(kept[2] / kept[3] - kept[0] / kept[1])
    return Percentile(value, drawn, int(((sums[1] != 0) | (sums[3] != 0)).sum()))


def _few_clusters_difference(sums: Floats) -> Estimate | None:
    """Return Student's t on the linearised error, None for one image."""
    n_clusters = int(((sums[1] != 0) | (sums[3] != 0)).sum())
    if n_clusters < 2:
        return None
    value, error = difference_error(sums)
    return Student(value, error, n_clusters - 1, -np.inf)


def difference_error(sums: Floats) -> tuple[float, float]:
    """Return the difference of two ratios and its linearised standard error over clusters.

    ``sums``: per-cluster numerators and denominators of both, shape (4, clusters). Needs two
    clusters or more for an error; with one it is 0.
    """
    value, residuals = _difference_residuals(sums)
    n_clusters = int(((sums[1] != 0) | (sums[3] != 0)).sum())
    correction = n_clusters / (n_clusters - 1) if n_clusters > 1 else 0.0
    return value, float(np.sqrt(correction * (residuals**2).sum()))


def _difference_residuals(sums: Floats) -> tuple[float, Floats]:
    """Return the difference of two ratios and each cluster's part of its linearised error, shape (clusters,)."""
    whole = sums.sum(axis=1)
    before, after = whole[0] / whole[1], whole[2] / whole[3]
    residuals = (sums[2] - after * sums[3]) / whole[3] - (sums[0] - before * sums[1]) / whole[1]
    return float(after - before), residuals


def _drawn_totals(columns: Floats, draws: int, seed: int) -> Floats:
    """Return the totals of each bootstrap draw of clusters, shape (columns, draws).

    ``columns``: per-cluster numbers, shape (columns, clusters).
    """
    totals = np.empty((len(columns), draws))
    transposed = np.ascontiguousarray(columns.T)
    for start, counts in draw_chunks(columns.shape[1], draws, seed):
        totals[:, start : start + len(counts)] = (counts @ transposed).T
    return totals


def draw_chunks(n_clusters: int, draws: int, seed: int) -> Iterator[tuple[int, Floats]]:
    """Yield (first draw, how often each cluster was drawn: float (some draws, clusters))."""
    rows = max(1, CHUNK_CELLS // n_clusters)
    if n_clusters * draws <= CACHED_CELLS:
        table = _cached_counts(n_clusters, draws, seed)
        for start in range(0, draws, rows):
            yield start, table[start : start + rows].astype(np.float64)
        return
    generator = np.random.default_rng(seed)
    for start in range(0, draws, rows):
        yield start, _draw_counts(generator, n_clusters, min(rows, draws - start)).astype(np.float64)


@lru_cache(maxsize=2)
def _cached_counts(n_clusters: int, draws: int, seed: int) -> NDArray[np.uint8]:
    return _draw_counts(np.random.default_rng(seed), n_clusters, draws)


def _draw_counts(generator: np.random.Generator, n_clusters: int, draws: int) -> NDArray[np.uint8]:
    """Return how often each cluster is in each draw with replacement, shape (draws, clusters).

    A count over 255 needs more than 255 clusters, where its chance is below 1e-500. Drawn in blocks, which the
    generator fills with the numbers that one call would give.
    """
    table = np.empty((draws, n_clusters), dtype=np.uint8)
    rows = max(1, DRAWN_CELLS // n_clusters)
    for start in range(0, draws, rows):
        block = table[start : start + rows]
        picks = generator.integers(0, n_clusters, size=block.shape)
        picks += np.arange(len(block))[:, None] * n_clusters
        block[:] = np.bincount(picks.ravel(), minlength=block.size).reshape(block.shape)
    return table
