"""Means and ratios that have a range, from images of which the worst may not have been drawn. Pure.

A share, an IoU or the difference of two has a least and a most that it can be. Where losses come by whole
images and are rare, a sample of 30 images often holds none, and an error estimated from what was drawn does not
know of them: bootstrap and Student's t alike gave intervals that held the truth 80 % of the time. So one more
image is imagined beyond those drawn, at the end of the range towards which a limit is asked: the *unseen
image*.

The distribution is that of the Bayesian bootstrap over images (Rubin 1981, Annals of Statistics 9(1)): image
weights are independent exponential variables, and the unseen image has a gamma-distributed weight. With a whole
unseen image (``WHOLE``) the limits are those of Gaffke 2005 (Mathematical Methods of Statistics 14(1)), studied by
Learned-Miller & Thomas 2019 (arXiv 1905.06208): for whole images that fail or not they are exactly Clopper &
Pearson's, and for paired whole images the test of zero against wins alone is exactly McNemar's. With two thirds of
one (``MID``) a count of zero gets the mid-p limit (Lancaster 1961), 3.0 / n where Clopper and Pearson have 3.7 / n:
right on average instead of never too small. Intervals are shown with ``MID``, decisions taken with ``WHOLE``.

Nothing is drawn: "the weighted ratio lies below r" is "a weighted sum of exponential variables is negative", whose
probability the saddlepoint approximation gives to three digits (Barndorff-Nielsen 1986, Biometrika
73(2); Lugannani & Rice 1980). So it needs no seed, and a million images are no trouble.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

MID = 2 / 3
"""Weight of the unseen image in intervals."""

WHOLE = 1.0
"""Weight of the unseen image in p-values and decisions: conservative at any count."""

CHUNK_CELLS = 2_000_000
"""Cells (metrics x images) worked on at a time (16 MB an array)."""

FARTHEST_SCORE = 38.0
"""Normal scores are cut here, where their probability is 0 or 1 in double precision."""

STEPS = 60
"""Most iterations of a search; ten are usual."""

CLOSE = 1e-10
"""A search ends at this relative change."""

FINEST = 1e-14
"""Limits are told no finer than this part of the range."""

NEAR = 1e-3
"""So near the middle the saddlepoint formula divides zero by zero, and its limit is taken (Daniels 1987)."""


@dataclass(frozen=True, slots=True, eq=False)
class Bounded:
    """A ratio of sums over images that lies in ``least``..``most``; see the module for the method.

    ``above``, ``below``: each image's sums, shape (images,), where ``below`` is its weight, never negative, and
    ``least`` <= above / below <= ``most``.
    """

    value: float
    above: Floats
    below: Floats
    least: float
    most: float

    def limit(self, level: float) -> float:
        """Return the limit of ``Estimate.limit``, as intervals show it."""
        return self._limit(level, MID)

    def exact_limit(self, level: float) -> float:
        """Return the limit of ``Estimate.exact_limit``, as decisions use it."""
        return self._limit(level, WHOLE)

    def confidence_below(self, bound: float) -> float:
        """Return the confidence that the truth lies below ``bound``, never overstated."""
        return self._confidence(bound, self.most, upwards=True)

    def confidence_above(self, bound: float) -> float:
        """Return the confidence that the truth lies above ``bound``, never overstated."""
        return 1 - self._confidence(bound, self.least, upwards=False)

    def _confidence(self, bound: float, end: float, *, upwards: bool) -> float:
        from scipy.special import ndtr

        columns = self.above[None], self.below[None]
        score = _scores(*columns, np.array([bound]), end, WHOLE, upwards=upwards)[0]
        return float(ndtr(score))

    def _limit(self, level: float, weight: float) -> float:
        columns = self.above[None], self.below[None]
        return float(limits(*columns, level, least=self.least, most=self.most, weight=weight)[0])


def limits(
    above: Floats, below: Floats, level: float, *, least: float, most: float, weight: float = MID
) -> Floats:
    """Return the value that each truth lies below with confidence ``level``, shape (metrics,).

    ``above``, ``below``: sums per image, shape (metrics, images); every metric has the range
    ``least``..``most`` and a positive sum below.
    """
    rows = max(1, CHUNK_CELLS // above.shape[1])
    parts = [
        _limits(above[at : at + rows], below[at : at + rows], level, (least, most), weight)
        for at in range(0, len(above), rows)
    ]
    return np.concatenate(parts)


def _limits(above: Floats, below: Floats, level: float, ends: tuple[float, float], weight: float) -> Floats:
    """Return ``limits`` of a few metrics, found on normal scores, which are nearly straight in the limit.

    Regula falsi; where the same end moves twice the score of the other is halved ("Illinois", Dowell & Jarratt
    1971, BIT 11).
    """
    from scipy.special import ndtri

    wanted, upwards = float(ndtri(level)), level >= 0.5
    values = above.sum(axis=1) / below.sum(axis=1)
    end = ends[upwards]
    edges = [np.minimum(values, end), np.maximum(values, end)]
    gaps = [_scores(above, below, edge, end, weight, upwards=upwards) - wanted for edge in edges]
    found, moved = np.full(len(values), end), np.zeros(len(values))
    active = values != end
    for _ in range(STEPS):
        if not active.any():
            break
        with np.errstate(divide="ignore", invalid="ignore"):
            guess = edges[1] - gaps[1] * (edges[1] - edges[0]) / (gaps[1] - gaps[0])
        inside = (guess > edges[0]) & (guess < edges[1])
        guess = np.where(inside, guess, (edges[0] + edges[1]) / 2)
        gap = np.full(len(values), 0.0)
        gap[active] = (
            _scores(above[active], below[active], guess[active], end, weight, upwards=upwards) - wanted
        )
        found = np.where(active, guess, found)
        short = gap < 0
        gaps = [
            np.where(short, gap, np.where(moved > 0, gaps[0] / 2, gaps[0])),
            np.where(short, np.where(moved < 0, gaps[1] / 2, gaps[1]), gap),
        ]
        edges = [np.where(short, guess, edges[0]), np.where(short, edges[1], guess)]
        moved = np.where(short, -1.0, 1.0)
        active &= (np.abs(gap) > CLOSE) & (edges[1] - edges[0] > FINEST * (ends[1] - ends[0]))
    return found


def _scores(
    above: Floats, below: Floats, bounds: Floats, end: float, weight: float, *, upwards: bool
) -> Floats:
    """Return the normal score of the confidence that each truth lies below its bound, shape (metrics,).

    The unseen image lies at ``end`` (the upper one where ``upwards``) and is as large as the root mean square of
    the images' ``below``: where a few images hold most of the area, one that was not drawn may be of that kind.
    """
    sizes_squared = (below * below).sum(axis=1) / np.maximum((below != 0).sum(axis=1), 1)
    unseen = (end - bounds) * np.sqrt(sizes_squared)
    excess = above - bounds[:, None] * below
    lowest, highest = np.minimum(excess.min(axis=1), unseen), np.maximum(excess.max(axis=1), unseen)
    # Where no image lies on one side of the bound there is no doubt; one that all equal is within the range.
    never, always = lowest >= 0, highest <= 0
    scores = np.where(always & (upwards | ~never), FARTHEST_SCORE, -FARTHEST_SCORE)
    doubtful = ~(never | always)
    if doubtful.any():
        scores[doubtful] = score_of_sum(excess[doubtful], unseen[doubtful], weight)
    return np.clip(scores, -FARTHEST_SCORE, FARTHEST_SCORE)


def score_of_sum(
    excess: Floats, unseen: Floats, weight: float = WHOLE, counts: Floats | float = 1.0
) -> Floats:
    """Return the normal score of "sum of exponential variable x excess + gamma variable x unseen is negative".

    ``excess``: (metrics, images), each row with ``unseen`` (metrics,) of both signs; ``weight``: the gamma
    variable's shape; ``counts``: (images,), how many images have that excess. The cumulants of the sum are those of
    its terms, -log(1 - t x excess) each, and the formula is the modified signed root of Barndorff-Nielsen.
    """
    scale = np.maximum(np.abs(excess).max(axis=1), np.abs(unseen))
    excess, unseen = excess / scale[:, None], unseen / scale
    at, curvature = _tilt(excess, unseen, weight, counts)
    terms = np.log1p(-at[:, None] * excess) * counts
    cumulant = -terms.sum(axis=1) - weight * np.log1p(-at * unseen)
    signed = np.sign(at) * np.sqrt(np.maximum(-2 * cumulant, 0))
    spread = at * np.sqrt(curvature)
    second = (excess**2 * counts).sum(axis=1) + weight * unseen**2
    third = 2 * ((excess**3 * counts).sum(axis=1) + weight * unseen**3)
    with np.errstate(divide="ignore", invalid="ignore"):
        scores = signed + np.log(spread / signed) / signed
    near = signed + third / (6 * second**1.5)
    found: Floats = np.where(np.abs(signed) < NEAR, near, scores)
    return found


def _tilt(excess: Floats, unseen: Floats, weight: float, counts: Floats | float) -> tuple[Floats, Floats]:
    """Return where the cumulant function's slope is zero, and its curvature there, each (metrics,).

    Newton's method, kept inside the function's domain by bisection: the slope rises from minus to plus infinity.
    """
    low = 1 / np.minimum(excess.min(axis=1), unseen)
    high = 1 / np.maximum(excess.max(axis=1), unseen)
    at = np.zeros(len(excess))
    for _ in range(STEPS):
        tilted = excess / (1 - at[:, None] * excess)
        tilted_unseen = unseen / (1 - at * unseen)
        slope = (tilted * counts).sum(axis=1) + weight * tilted_unseen
        curvature = (tilted * tilted * counts).sum(axis=1) + weight * tilted_unseen**2
        low, high = np.where(slope < 0, at, low), np.where(slope > 0, at, high)
        step = slope / curvature
        if (np.abs(step) <= CLOSE * np.abs(at)).all():
            break
        moved = at - step
        at = np.where((moved > low) & (moved < high), moved, (low + high) / 2)
    return at, curvature
