"""Tests of "no difference" and "no rise" for paired, clustered answers, and the correction for many of them. Pure.

Two null hypotheses, and which is asked when:

- *the means are equal*, whatever else differs between two models: ``difference_test``, for verdicts. One model may
  lose whole images rarely and answer the rest a little better; swaps of such answers gave wrong
  verdicts in as many samples as held no lost image (0.9^20 = 12 %);
- *nothing changed*, so that it does not matter which of two runs gave which answer: ``swap_test``, the exact
  test of the gate's alarms (``rise_test``) and of format drift (``mix_test``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from evalkit.stats.bootstrap import difference_error
from evalkit.stats.bounded import Bounded
from evalkit.stats.estimates import Estimate, Student

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

SWAPS = 9_999
"""Random swaps of a permutation test; its smallest p-value is 1 / (SWAPS + 1)."""

EXACT_UP_TO = 13
"""Up to this many changed images every swap is enumerated (at most 8,192) instead of drawn."""

CONVOLVED_STEPS = 1_000
"""Up to so many changed images the distribution of their sum is convolved image by image, beyond that transformed."""

NEGLIGIBLE = 1e-12
"""Below this a transform's tail is rounding, and a bound on it is told."""

MANY_CHANGED = 5_000
"""From this many changed images on the swapped differences are normal, where no image has a large part in them."""

LARGEST_PART = 0.01
"""Most that one image may have in the variance of swapped differences that are taken as normal."""

CHUNK_CELLS = 2_000_000
"""Cells of swap patterns held at a time (16 MB)."""


def difference_test(estimate: Estimate, sums: Floats, *, seed: int) -> tuple[float, str]:
    """Return the two-sided p-value of "both means are equal", and the test's name.

    ``estimate``: the difference; ``sums``: as for ``swap_test``. For shares and IoUs twice the smaller
    confidence of its sign; for amounts, which have no range, the swap test.
    """
    if not isinstance(estimate, Bounded):
        return swap_test(sums, seed=seed), "permutation by image"
    doubt = 1 - max(estimate.confidence_below(0.0), estimate.confidence_above(0.0))
    return min(1.0, 2 * doubt), "means by image"


def rise_test(sums: Floats, allowed: float, *, seed: int) -> tuple[float, Student | None]:
    """Return the one-sided p-value of "the second ratio is at most ``allowed`` above the first", and its t estimate.

    ``sums``: as for ``swap_test``. An alarm needs both: a rise beyond what swaps of whole images give where
    nothing changed (exact at any count), and one beyond ``allowed`` by Student's t over images. None and 1.0 for
    fewer than two images.
    """
    n_clusters = int(((sums[1] != 0) | (sums[3] != 0)).sum())
    if n_clusters < 2:
        return 1.0, None
    rise = Student(*difference_error(sums), n_clusters - 1, -np.inf)
    p_value = 1 - rise.confidence_above(allowed)
    if p_value < 0.5 and rise.value > 0:
        p_value = max(p_value, swap_test(sums, seed=seed) / 2)
    return p_value, rise


def swap_test(sums: Floats, *, seed: int, swaps: int = SWAPS) -> float:
    """Return the two-sided p-value of "both ratios are equal" by swapping whole clusters.

    ``sums``: per-cluster numerators and denominators of both models, shape (4, clusters), in the
    order (above, below, above, below). With equal denominators this is the sign-flip test of the
    mean difference (Fisher 1935, The Design of Experiments; the +1 of drawn swaps: Phipson & Smyth
    2010). 1.0 where nothing differs.
    """
    whole = sums.sum(axis=1)
    observed = abs(whole[2] / whole[3] - whole[0] / whole[1])
    changed = (sums[0] != sums[2]) | (sums[1] != sums[3])
    n_changed = int(changed.sum())
    if n_changed == 0:
        return 1.0
    moved = np.stack([sums[2] - sums[0], sums[3] - sums[1]])[:, changed].T
    if n_changed >= MANY_CHANGED and (p_value := _normal_of_swaps(moved, whole)) is not None:
        return p_value
    exact = n_changed <= EXACT_UP_TO
    patterns = _all_swaps(n_changed) if exact else _random_swaps(n_changed, swaps, seed)
    as_extreme = 0
    for swapped in patterns:
        above, below = (swapped @ moved).T
        with np.errstate(divide="ignore", invalid="ignore"):
            shift = (whole[2] - above) / (whole[3] - below) - (whole[0] + above) / (whole[1] + below)
        as_extreme += int((np.nan_to_num(np.abs(shift)) >= observed - 1e-12).sum())
    return as_extreme / 2**n_changed if exact else (as_extreme + 1) / (swaps + 1)


def _normal_of_swaps(moved: Floats, whole: Floats) -> float | None:
    """Return the p-value of ``swap_test`` by the normal law, None where one image has a large part in its variance.

    ``moved``: what each changed image changed above and below, shape (changed, 2); ``whole``: the four totals. The
    difference under a swap is the sum of each image's linearised change with a random sign.
    """
    from scipy.special import ndtr

    above, below = (whole[0] + whole[2]) / 2, (whole[1] + whole[3]) / 2
    steps = (moved[:, 0] - above / below * moved[:, 1]) / below
    variances = steps**2
    if variances.max() > LARGEST_PART * variances.sum():
        return None
    return float(2 * ndtr(-abs(steps.sum()) / np.sqrt(variances.sum())))


def _all_swaps(n_changed: int) -> Iterator[Floats]:
    """Yield every pattern of swapped (1) and kept (0) clusters, shape (2**n_changed, n_changed)."""
    yield ((np.arange(2**n_changed)[:, None] >> np.arange(n_changed)) & 1).astype(np.float64)


def _random_swaps(n_changed: int, swaps: int, seed: int) -> Iterator[Floats]:
    """Yield random patterns in chunks, ``swaps`` rows in all."""
    generator = np.random.default_rng(seed)
    rows = max(1, CHUNK_CELLS // n_changed)
    for start in range(0, swaps, rows):
        size = (min(rows, swaps - start), n_changed)
        yield generator.integers(0, 2, size=size, dtype=np.int8).astype(np.float64)


def mix_test(before: NDArray[np.bool_], after: NDArray[np.bool_], codes: NDArray[np.intp]) -> float:
    """Return the p-value of "the mix of kinds is the same" for the same questions asked twice.

    ``before``, ``after``: which kind each answer was, one-hot, shape (questions, kinds); ``codes``: each
    question's image, 0..n-1. The smallest p-value of McNemar's test by image of any kind, times their number (two
    kinds are one question). Repeats of a question and the questions of an image may share their answer, so an
    image counts once. 1.0 where no answer changed its kind.
    """
    changes = after.astype(np.int8) - before
    p_values = [mcnemar_clustered(changes[:, kind], codes) for kind in range(changes.shape[1])]
    questions = len(p_values) if len(p_values) > 2 else 1
    return min([1.0, *(questions * p for p in p_values)])


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the exact two-sided McNemar p-value of two discordant counts (McNemar 1947).

    ``only_first`` rows have the property under the first model alone, ``only_second`` under the
    second alone. 1.0 where there are none.
    """
    from scipy.stats import binomtest

    total = only_first + only_second
    return float(binomtest(only_first, total, 0.5).pvalue) if total else 1.0


def mcnemar_clustered(differences: ArrayLike, codes: NDArray[np.intp]) -> float:
    """Return the exact two-sided p-value of McNemar's test with rows clustered in images.

    ``differences``: -1, 0 or 1 per row; ``codes``: each row's image, 0..n-1. The net change of every
    image is as likely up as down under the null (the conditional form of Durkalski et al. 2003,
    Statistics in Medicine 22(15)); the distribution of the sum is exact. With one row
    per image it is ``mcnemar``.
    """
    net = np.bincount(codes, weights=np.asarray(differences, dtype=np.float64))
    steps = np.abs(np.rint(net).astype(np.int64))
    steps = steps[steps > 0]
    if steps.size == 0:
        return 1.0
    total = abs(round(float(net.sum())))
    if (steps == steps[0]).all():
        return mcnemar(int((net > 0).sum()), int((net < 0).sum()))
    if steps.size > CONVOLVED_STEPS:
        return _tail_of_steps(steps, total)
    probability = np.ones(1)
    for step in steps:
        longer = np.zeros(probability.size + 2 * step)
        longer[: probability.size] += probability / 2
        longer[2 * step :] += probability / 2
        probability = longer
    sums = np.arange(probability.size) - steps.sum()
    return float(min(1.0, probability[np.abs(sums) >= total].sum()))


def _tail_of_steps(steps: NDArray[np.int64], total: int) -> float:
    """Return the probability that many steps up or down end ``total`` or more away, to 1e-12.

    By the characteristic function of the sum, the product of cos(step x angle), and one Fourier transform over
    a ring that is so wide that what wraps around it is below 1e-17 (Hoeffding 1963: a sum beyond t has a probability of at most
    2 exp(-t^2 / 2 sum of squares), which also bounds what rounding hides).
    """
    spread = float(np.sqrt((steps.astype(np.float64) ** 2).sum()))
    bound = 2 * float(np.exp(-0.5 * (total / spread) ** 2))
    if bound < NEGLIGIBLE:
        return bound
    width = 1 << int(np.ceil(np.log2(18 * spread + 2)))
    angles = np.arange(width // 2 + 1) * (2 * np.pi / width)
    transform = np.ones(angles.size)
    for step, count in zip(*np.unique(steps, return_counts=True), strict=True):
        transform *= np.cos(step * angles) ** count
    probability = np.fft.irfft(transform, n=width)
    distances = np.minimum(np.arange(width), width - np.arange(width))
    tail = float(probability[distances >= total].sum())
    return min(1.0, tail if tail > NEGLIGIBLE else min(NEGLIGIBLE, bound))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for the whole family shown (Holm 1979), in the order given."""
    order = np.argsort(p_values, kind="stable")
    n_tests = len(p_values)
    adjusted = [1.0] * n_tests
    running = 0.0
    for rank, index in enumerate(order):
        running = max(running, min(1.0, (n_tests - rank) * p_values[index]))
        adjusted[index] = running
    return adjusted
