"""Where a series of runs over the same samples shifted, and how sure that is. Pure.

The null hypothesis is that nothing changed: image by image, the runs could have come in any other
order, but for noise that a whole run shares (another server, another hour). So the reference distribution
comes from shuffling the order of each image's results on its own, which keeps hard images hard and rare
failures rare, and from adding to each run a normal deviate with what the runs' variance has beyond that of the images.
The statistic is the largest squared difference of means before and after a split (Page 1954; the permutation
form as in Matteson & James 2014, J. Am. Stat. Assoc. 109(505)) over the variance between neighbouring runs, by
their median difference, which a few shifts do not move; that ratio hardly depends on the size of the common
noise, which a few runs tell badly. Fewer than ``FEWEST_RUNS`` runs tell nothing of it, and ``ASSUMED_NOISE`` is
taken. Found shifts split the series and both parts are searched again. False alarms measured by
benchmarks/history_alarms.py, see docs/statistics.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

LEVEL = 0.01
"""Chance that a month in which nothing changed shows a shift, for all series watched together."""

FEWEST_RUNS = 4
"""With fewer there are two differences of neighbouring runs or one, and the shift is among them."""

ASSUMED_NOISE = 0.02
"""Standard deviation of what a whole run shares (of a share or an IoU) where too few runs tell it."""

MEDIAN_OF_DIFFERENCES = 0.6745 * 2**0.5
"""Median size of the difference of two normal deviates of variance 1."""

SHUFFLES = 1_999

ENOUGH = 20
"""A test ends once so many shuffles were as extreme: its p-value is far above any level asked for
(Besag & Clifford 1991, Biometrika 78(2))."""

SHUFFLES_AT_A_TIME = 100


@dataclass(frozen=True, slots=True)
class Shift:
    """A change between run ``at`` - 1 and run ``at`` (index into the series): segment means and p-value."""

    at: int
    before: float
    after: float
    p: float


def shifts_of(image_sums: Floats, n_rows: int, *, seed: int, level: float = LEVEL) -> list[Shift]:
    """Return the shifts of a series, in order of time.

    ``image_sums``: per run and image, the sum of a measure over the rows that all runs answered, shape
    (runs, images); ``n_rows``: how many rows that is, so that sum / n_rows is the run's mean.
    """
    found = sorted(_search(image_sums, (0, len(image_sums)), n_rows, seed=seed, level=level))
    edges = [0, *(at for at, _ in found), len(image_sums)]
    means = image_sums.sum(axis=1) / n_rows
    return [
        Shift(at, float(means[edges[k] : at].mean()), float(means[at : edges[k + 2]].mean()), p)
        for k, (at, p) in enumerate(found)
    ]


def _search(
    image_sums: Floats, span: tuple[int, int], n_rows: int, *, seed: int, level: float
) -> list[tuple[int, float]]:
    """Return (index of the first run after it, p) of every shift inside ``span``."""
    start, stop = span
    at, p = largest_shift(image_sums[start:stop], n_rows, seed=seed)
    if at is None or p > level:
        return []
    middle = start + at
    return [
        *_search(image_sums, (start, middle), n_rows, seed=seed, level=level),
        (middle, p),
        *_search(image_sums, (middle, stop), n_rows, seed=seed, level=level),
    ]


def largest_shift(
    image_sums: Floats, n_rows: int, *, seed: int, shuffles: int = SHUFFLES
) -> tuple[int | None, float]:
    """Return the most likely place of one shift and its p-value; (None, 1.0) where nothing varies.

    ``image_sums`` and ``n_rows``: as for ``shifts_of``.
    """
    n_runs = len(image_sums)
    varies = (image_sums != image_sums[:1]).any(axis=0)
    if n_runs < 2 or not varies.any():
        return None, 1.0
    series = image_sums[:, varies].T
    of_images = float(series.var(axis=1, ddof=1).sum())
    totals = series.sum(axis=0)
    common = float(np.sqrt(max(0.0, float(totals.var(ddof=1)) - of_images)))
    if n_runs < FEWEST_RUNS:
        common = ASSUMED_NOISE * n_rows
    observed = _split_statistics(totals[None], of_images)[0]
    at = int(observed.argmax())
    generator = np.random.default_rng(seed)
    as_extreme = done = 0
    while done < shuffles and as_extreme < ENOUGH:
        size = min(SHUFFLES_AT_A_TIME, shuffles - done)
        shuffled = generator.permuted(np.broadcast_to(series, (size, *series.shape)), axis=2).sum(axis=1)
        noisy = shuffled + generator.normal(0, common, shuffled.shape)
        largest = _split_statistics(noisy, of_images).max(axis=1)
        as_extreme += int((largest >= observed[at] * (1 - 1e-9)).sum())
        done += size
    return at + 1, (as_extreme + 1) / (done + 1)


def _split_statistics(totals: Floats, of_images: float) -> Floats:
    """Return the variance between the parts of every split over that of neighbouring runs, (series, runs - 1).

    ``totals``: (series, runs). The latter is at least ``of_images``, the variance of independent images, so that
    runs which agree by chance are no evidence; with few runs it is that.
    """
    n_runs = totals.shape[1]
    before = np.arange(1, n_runs)
    sums = (totals - totals.mean(axis=1, keepdims=True)).cumsum(axis=1)[:, :-1]
    between: Floats = sums**2 * n_runs / (before * (n_runs - before))
    if n_runs < FEWEST_RUNS:
        return between / of_images
    typical = np.median(np.abs(np.diff(totals, axis=1)), axis=1, keepdims=True) / MEDIAN_OF_DIFFERENCES
    statistics: Floats = between / np.maximum(typical**2, of_images)
    return statistics
