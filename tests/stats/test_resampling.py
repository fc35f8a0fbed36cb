"""Numbers that are no ratio of sums: their draws, influences and what too few images leave of an interval."""

from functools import partial

import numpy as np
import pytest

from evalkit.metrics.protocols.base import quotient
from evalkit.stats.bootstrap import ratio_interval
from evalkit.stats.estimates import Percentile, SkewCorrected, interval_of
from evalkit.stats.resampling import (
    SumStatistic,
    grouped_influences,
    linear_columns,
    statistic_difference,
    statistic_estimate,
    value_of,
)


def f1(sums):
    """Return 2 a / (b + c)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(sums[1] + sums[2] > 0, 2 * sums[0] / (sums[1] + sums[2]), np.nan)


def made(seed=1, rows=200):
    """Return the columns of random rows (hits, predicted, wanted) and their images, four rows each."""
    random = np.random.default_rng(seed)
    wanted = random.integers(1, 5, rows)
    predicted = random.integers(0, 6, rows)
    hits = random.integers(0, np.minimum(wanted, predicted) + 1)
    return np.stack([hits, predicted, wanted]).astype(float), np.arange(rows) // 4


def test_draws_are_the_number_of_the_drawn_images():
    """Weights of images give what the rows give when they are repeated."""
    columns, images = made()
    by_image = SumStatistic(columns, f1).grouped(images, 50)
    counts = np.random.default_rng(2).integers(0, 3, (5, 50)).astype(float)
    wanted = [f1(np.repeat(columns, weights[images].astype(int), axis=1).sum(axis=1)) for weights in counts]
    assert by_image.resampled(counts) == pytest.approx(np.array(wanted))


def test_influences_agree_with_deletion():
    """The derivative is close to what leaving one row out of many does."""
    statistic = SumStatistic(made(rows=2000)[0], f1).grouped(np.arange(2000) // 20, 100)
    assert statistic.influences() == pytest.approx(grouped_influences(statistic), abs=2e-4)


def test_pseudo_values_have_the_number_as_their_mean():
    """So that a test of means is a test of the number."""
    statistic = SumStatistic(made()[0], f1)
    above, below = linear_columns(statistic)
    assert above.sum() / below.sum() == pytest.approx(value_of(statistic), abs=1e-12)


def test_a_mean_has_the_interval_of_a_mean():
    """On a plain ratio the two ways agree to a few percent of the width."""
    columns, images = made(rows=800)
    ratio = SumStatistic(columns[[0, 2]], quotient)
    ours = interval_of(statistic_estimate(ratio, images, seed=1))
    theirs = ratio_interval(columns[0], columns[2], images, seed=1)
    width = theirs.high - theirs.low
    assert ours.value == theirs.value
    assert (ours.low, ours.high) == (
        pytest.approx(theirs.low, abs=0.1 * width),
        pytest.approx(theirs.high, abs=0.1 * width),
    )


@pytest.mark.parametrize("rows", [40, 400])
def test_the_interval_covers(rows):
    """The true F1 lies in the 95 % interval about as often as stated, clustered by image."""
    random = np.random.default_rng(5)
    inside = 0
    for seed in range(200):
        quality = np.repeat(random.beta(4, 2, rows // 4), 4)
        hits = random.binomial(3, quality)
        columns = np.stack([hits, np.full(rows, 3), np.full(rows, 3)]).astype(float)
        statistic = SumStatistic(columns, f1, draws=499)
        found = interval_of(statistic_estimate(statistic, np.arange(rows) // 4, seed=seed))
        inside += found.low <= 4 / 6 <= found.high
    assert 180 <= inside <= 199


def test_a_perfect_score_leaves_room():
    """No miss on 12 images is no proof of perfection: the interval reaches well below 1."""
    columns = np.ones((3, 24))
    found = interval_of(statistic_estimate(SumStatistic(columns, f1), np.arange(24) // 2, seed=1))
    assert found.value == 1.0
    assert 0.6 < found.low < 0.85


def test_no_difference_leaves_room():
    """Two perfect runs over 12 images do not prove equality."""
    statistic = SumStatistic(np.ones((3, 24)), f1)
    found = interval_of(statistic_difference(statistic, statistic, np.arange(24) // 2, seed=1))
    assert found.value == 0.0
    assert found.low < -0.1 < 0.1 < found.high


def test_a_difference_is_paired():
    """Equal errors of both sides cancel: the interval of the difference is narrower than either's."""
    columns, images = made(rows=800)
    better = columns.copy()
    better[0, ::10] = np.minimum(better[1, ::10], better[2, ::10])
    first, second = SumStatistic(columns, f1), SumStatistic(better, f1)
    gap = interval_of(statistic_difference(first, second, images, seed=1))
    own = interval_of(statistic_estimate(second, images, seed=1))
    assert gap.value == pytest.approx(value_of(second) - value_of(first))
    assert gap.low > 0
    assert gap.high - gap.low < own.high - own.low


@pytest.mark.parametrize("make", [partial(statistic_estimate, seed=1)])
def test_undefined_stays_undefined(make):
    """Nothing to divide by gives no interval."""
    assert make(SumStatistic(np.zeros((3, 4)), f1), np.arange(4)) is None
    assert make(SumStatistic(np.zeros((3, 0)), f1), np.arange(0)) is None


def test_a_function_of_sums_over_many_images_takes_no_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error of the influences gives the interval of the drawn percentiles, alone and as a difference."""
    columns, _ = made(rows=12_000)
    images = np.arange(12_000) // 2
    worse = columns.copy()
    worse[:, ::5] = worse[:, 1::5]
    found = []
    for limit in (5_000, 10**6):
        monkeypatch.setattr("evalkit.stats.resampling.MANY_CLUSTERS", limit)
        pair = [SumStatistic(one, f1, draws=999) for one in (columns, worse)]
        found.append(
            [statistic_estimate(pair[0], images, seed=0), statistic_difference(*pair, images, seed=0)]
        )
    for computed, drawn in zip(*found, strict=True):
        assert isinstance(computed, SkewCorrected)
        assert isinstance(drawn, Percentile)
        ours, theirs = interval_of(computed), interval_of(drawn)
        width = theirs.high - theirs.low
        assert [ours.value, ours.low, ours.high] == pytest.approx(
            [theirs.value, theirs.low, theirs.high], abs=0.06 * width
        )
