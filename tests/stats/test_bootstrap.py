"""Intervals over images: agreement with scipy and statsmodels, and honesty where data are few."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import stats as scipy_stats
from support.random_search import draws

from evalkit.stats.bootstrap import (
    cluster_codes,
    difference_error,
    draw_chunks,
    paired_differences,
    ratio_estimates,
    ratio_interval,
    ratio_intervals,
)
from evalkit.stats.bounded import Bounded
from evalkit.stats.estimates import (
    Estimate,
    Percentile,
    SingleImage,
    SkewCorrected,
    Student,
    Studentised,
    interval_of,
)


def paired_difference(first, second, clusters, *, seed: int, share: bool = True) -> Estimate | None:
    """Return one paired difference."""
    return paired_differences([first], [second], clusters, seed=seed, shares=[share])[0]


def clustered(n_images: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (values 0..1, ones, image of each row) of ``n_images`` images with 1 to 5 rows each."""
    generator = np.random.default_rng(seed)
    images = np.repeat(np.arange(n_images), generator.integers(1, 6, n_images))
    level = generator.normal(0, 0.2, n_images)[images]
    values = np.clip(0.6 + level + generator.normal(0, 0.2, images.size), 0, 1)
    return values, np.ones(images.size), images


def test_value_is_the_ratio_of_sums() -> None:
    """The reported value is sum over sum, not a mean of ratios."""
    values, _, images = clustered(30)
    weights = np.arange(1.0, values.size + 1)
    interval = ratio_interval(values * weights, weights, images, seed=1)
    assert interval is not None
    assert_allclose(interval.value, (values * weights).sum() / weights.sum())


def test_interval_agrees_with_statsmodels_cluster_robust_errors() -> None:
    """On many clusters the interval is that of cluster-robust least squares."""
    import statsmodels.api as sm

    values, ones, images = clustered(800)
    fit = sm.OLS(values, ones).fit(cov_type="cluster", cov_kwds={"groups": images})
    low, high = fit.conf_int()[0]
    interval = ratio_interval(values, ones, images, seed=0)
    assert interval is not None
    assert_allclose([interval.low, interval.high], [low, high], atol=0.03 * (high - low))


def test_linearised_error_equals_statsmodels() -> None:
    """The error of a paired mean difference is the cluster-robust one but for its finite-sample factor."""
    import statsmodels.api as sm

    first, ones, images = clustered(60)
    second = 0.9 * np.roll(first, 1)
    codes, n = cluster_codes(images)
    sums = np.stack([np.bincount(codes, v) for v in (first, ones, second, ones)])
    value, error = difference_error(sums)
    fit = sm.OLS(second - first, ones).fit(
        cov_type="cluster", cov_kwds={"groups": images, "use_correction": False}
    )
    assert_allclose([value, error], [fit.params[0], fit.bse[0] * np.sqrt(n / (n - 1))], rtol=1e-12)


def test_difference_interval_agrees_with_scipys_percentile_bootstrap() -> None:
    """With one row an image and many images the paired interval of a share, and of an amount, is scipy's."""
    generator = np.random.default_rng(5)
    first = generator.random(2_000)
    second = np.clip(first + generator.normal(0.02, 0.2, 2_000), 0, 1)
    ones = np.ones(2_000)
    theirs = scipy_stats.bootstrap(
        (second - first,), np.mean, n_resamples=9_999, method="percentile", rng=4
    ).confidence_interval
    width = theirs.high - theirs.low
    for share, kind in ((True, Bounded), (False, Percentile)):
        estimate = paired_difference((first, ones), (second, ones), np.arange(2_000), seed=3, share=share)
        assert isinstance(estimate, kind)
        ours = interval_of(estimate)
        assert_allclose([ours.low, ours.high], [theirs.low, theirs.high], atol=0.06 * width)


def test_studentised_interval_of_an_amount_agrees_with_arch() -> None:
    """A skewed amount on 60 images: the interval is that of arch's studentised bootstrap."""
    from arch.bootstrap import IIDBootstrap

    seconds = np.random.default_rng(8).lognormal(0.5, 0.8, 60)
    theirs = IIDBootstrap(seconds, seed=1).conf_int(
        np.mean, reps=9_999, method="studentized", std_err_func=lambda _, x: np.std(x) / np.sqrt(x.size)
    )
    ours = ratio_intervals([seconds], [np.ones(60)], np.arange(60), seed=0, shares=[False])[0]
    assert ours is not None
    assert_allclose([ours.low, ours.high], theirs[:, 0], atol=0.04 * float(theirs[1, 0] - theirs[0, 0]))


def test_interval_of_a_share_agrees_with_arch_on_many_images() -> None:
    """Mean IoU on 3,000 images: what the unseen image adds is within 4 % of the bootstrap's width."""
    from arch.bootstrap import IIDBootstrap

    iou = np.random.default_rng(2).beta(3, 1, 3_000)
    theirs = IIDBootstrap(iou, seed=1).conf_int(np.mean, reps=4_999, method="percentile")
    ours = ratio_interval(iou, np.ones(3_000), np.arange(3_000), seed=0)
    assert ours is not None
    assert_allclose([ours.low, ours.high], theirs[:, 0], atol=0.06 * float(theirs[1, 0] - theirs[0, 0]))


def test_iid_intervals_would_be_too_narrow() -> None:
    """Copying every row three times adds no information: the interval stays as it was."""
    values, ones, images = clustered(100)
    once = ratio_interval(values, ones, images, seed=2)
    thrice = ratio_interval(np.tile(values, 3), np.tile(ones, 3), np.tile(images, 3), seed=2)
    assert once is not None
    assert thrice is not None
    assert_allclose([once.low, once.high], [thrice.low, thrice.high], rtol=1e-9)


def test_many_metrics_at_once_are_the_same_as_one_by_one() -> None:
    """Shared draws change nothing: asking together or alone gives equal intervals."""
    values, ones, images = clustered(40)
    hits = (values > 0.5).astype(float)
    together = ratio_intervals(np.stack([values, hits]), np.stack([ones, ones]), images, seed=9)
    alone = [ratio_interval(v, ones, images, seed=9) for v in (values, hits)]
    for one, other in zip(together, alone, strict=True):
        assert one is not None
        assert other is not None
        assert_allclose([one.low, one.high], [other.low, other.high], rtol=1e-12)


def test_seed_decides_the_interval_of_an_amount() -> None:
    """The same seed gives the same interval, another seed another one; a share needs none."""
    values, ones, images = clustered(40)
    amounts = [ratio_intervals([values], [ones], images, seed=seed, shares=[False])[0] for seed in (1, 1, 2)]
    assert amounts[0] == amounts[1] != amounts[2]
    assert ratio_interval(values, ones, images, seed=1) == ratio_interval(values, ones, images, seed=2)


@pytest.mark.parametrize(("events", "low", "high"), [(0, 0.0, 0.2606), (10, 0.7394, 1.0)])
def test_rate_of_zero_or_one_has_an_honest_interval(events: int, low: float, high: float) -> None:
    """No failure in ten images is the mid-p interval [0, 0.26], never [0, 0]."""
    failures = np.repeat([1.0, 0.0], [events, 10 - events])
    interval = ratio_interval(failures, np.ones(10), np.arange(10), seed=0)
    assert interval is not None
    assert_allclose([interval.low, interval.high], [low, high], atol=1e-3)
    mid_p = 1 - 0.05 ** (1 / 10)
    assert_allclose(interval.high - interval.low, mid_p, atol=5e-3)


def test_zero_failures_count_images_not_rows() -> None:
    """Three expressions an image tell no more about a zero rate than one: images are what was drawn."""
    one = ratio_interval(np.zeros(10), np.ones(10), np.arange(10), seed=0)
    three = ratio_interval(np.zeros(30), np.ones(30), np.repeat(np.arange(10), 3), seed=0)
    assert one == three


def test_one_image_gives_a_wide_interval() -> None:
    """A mean IoU from a single image is known to be anything but precise."""
    interval = ratio_interval([0.7, 0.9], [1, 1], ["a", "a"], seed=0)
    assert interval is not None
    assert interval.low < 0.25
    assert interval.high > 0.95


def test_latency_of_one_image_is_wide_and_positive() -> None:
    """An unbounded mean from one image has an interval around it that stays above zero."""
    interval = ratio_interval([3.0, 4.0], [1, 1], ["a", "a"], seed=0)
    assert interval is not None
    assert 0 < interval.low < 1.5
    assert interval.high > 30


def test_undefined_ratio_is_none() -> None:
    """No denominators, or no rows, is undefined and not zero."""
    assert ratio_interval([0.0], [0.0], ["a"], seed=0) is None
    assert ratio_interval([], [], [], seed=0) is None
    assert paired_difference(([0.0], [0.0]), ([1.0], [1.0]), ["a"], seed=0) is None


def test_constant_cost_has_no_width() -> None:
    """A price that never varied has an interval of width zero: it is not a share."""
    interval = ratio_interval(np.full(20, 2.5), np.ones(20), np.arange(20), seed=0)
    assert interval is not None
    assert (interval.low, interval.high) == (2.5, 2.5)


def test_slice_is_rows_with_zeros_outside() -> None:
    """A slice given as zeros among all rows agrees with the slice alone, but for its own draws."""
    values, ones, images = clustered(200)
    inside = (images % 2 == 0).astype(float)
    masked = ratio_interval(values * inside, ones * inside, images, seed=0)
    kept = inside == 1
    alone = ratio_interval(values[kept], ones[kept], images[kept], seed=0)
    assert masked is not None
    assert alone is not None
    assert masked.value == pytest.approx(alone.value)
    assert_allclose([masked.low, masked.high], [alone.low, alone.high], atol=0.1 * (alone.high - alone.low))


def test_no_change_at_all_still_leaves_doubt() -> None:
    """Equal answers in 100 images leave about 3/n either way, not [0, 0], however many rows they have."""
    answers = (np.zeros(100), np.ones(100))
    estimate = paired_difference(answers, answers, np.arange(100), seed=0)
    assert estimate is not None
    interval = interval_of(estimate)
    assert interval.value == 0
    assert_allclose([interval.low, interval.high], [-0.0295, 0.0295], atol=1e-3)
    repeated = tuple(np.tile(column, 50) for column in answers)
    more = paired_difference(repeated, repeated, np.tile(np.arange(100), 50), seed=0)
    assert more is not None
    assert interval_of(more) == interval


def test_one_image_says_nothing_about_a_difference() -> None:
    """With one image a bounded difference of 0.7 may be none or the reverse, an unbounded one is None."""
    bounded = paired_difference(([0.2], [1]), ([0.9], [1]), ["a"], seed=0)
    assert bounded is not None
    assert interval_of(bounded).low < -0.5
    assert interval_of(bounded).high > 0.9
    assert paired_difference(([2.0], [1]), ([9.0], [1]), ["a"], seed=0) is None


def test_differences_together_are_the_same_as_alone() -> None:
    """Shared draws leave each paired difference as it is alone."""
    first, ones, images = clustered(50)
    second = np.roll(first, 3)
    pairs = [((first, ones), (second, ones)), ((first > 0.5, ones), (second > 0.5, ones))]
    together = paired_differences([a for a, _ in pairs], [b for _, b in pairs], images, seed=4)
    for (a, b), shared in zip(pairs, together, strict=True):
        alone = paired_difference(a, b, images, seed=4)
        assert alone is not None
        assert shared is not None
        assert_allclose(alone.limit(0.025), shared.limit(0.025), rtol=1e-12)


ESTIMATES = [
    Studentised(0.5, 0.1, np.sort(np.random.default_rng(0).standard_t(20, 9_999)), -np.inf),
    Percentile(0.5, np.sort(np.random.default_rng(0).normal(0.5, 0.1, 9_999)), 30),
    Student(0.5, 0.1, 29, -np.inf),
    SingleImage(2.0),
]


@pytest.mark.parametrize("estimate", ESTIMATES, ids=["studentised", "percentile", "student", "single"])
@given(level=st.floats(0.02, 0.98))
@draws(40)
def test_confidence_and_limit_are_inverses(estimate: object, level: float) -> None:
    """The confidence that the truth lies below a limit is the level of that limit."""
    limit = estimate.limit(level)
    assert_allclose(estimate.confidence_below(limit), level, atol=2e-3)


@given(
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 6)), min_size=1, max_size=40),
    st.integers(0, 3),
)
@draws(60)
def test_interval_of_a_share_holds_its_value_and_its_range(rows: list[tuple[float, int]], seed: int) -> None:
    """Whatever the data, low <= value <= high and all lie in 0..1."""
    values = np.array([value for value, _ in rows])
    interval = ratio_interval(values, np.ones(len(rows)), [image for _, image in rows], seed=seed, draws=199)
    assert interval is not None
    assert 0 <= interval.low <= interval.value <= interval.high <= 1


@pytest.mark.parametrize(("n_images", "kind"), [(30, Studentised), (29, Percentile), (9, Student)])
def test_the_number_of_images_decides_the_method_of_an_amount(n_images: int, kind: type) -> None:
    """Studentised from 30 images, percentiles from 10, Student's t below; a share has one at any number."""
    values, ones, images = clustered(n_images)
    assert isinstance(ratio_estimates(values, ones, images, seed=0, shares=[False])[0], kind)
    assert isinstance(ratio_estimates(values, ones, images, seed=0)[0], Bounded)


def test_nothing_jumps_between_nine_and_ten_images() -> None:
    """The interval of a difference narrows by little with each image, from one to thirty."""
    generator = np.random.default_rng(4)
    first = generator.uniform(0.8, 0.9, 30)
    second = first - generator.uniform(0.65, 0.8, 30)
    widths = []
    for n in range(4, 31):
        ones = np.ones(n)
        estimate = paired_difference((first[:n], ones), (second[:n], ones), np.arange(n), seed=0)
        assert estimate is not None
        found = interval_of(estimate)
        widths.append(found.high - found.low)
    assert (np.diff(widths) < 0.01).all()
    assert (np.diff(widths) > -0.15).all()


def test_one_dominating_image_leaves_a_usable_interval() -> None:
    """Where one of twelve images holds most of the area, cIoU's interval does not become 0..1."""
    generator = np.random.default_rng(1)
    union = np.append(generator.uniform(1, 3, 11), 40.0)
    overlap = union * np.append(generator.uniform(0.6, 0.9, 11), 0.2)
    interval = ratio_interval(overlap, union, np.arange(12), seed=0)
    assert interval is not None
    assert 0.1 < interval.low < interval.value < interval.high < 0.95


def test_a_latency_below_one_second_is_not_a_share() -> None:
    """Said to be no share, a constant 0.05 s keeps no width; said to be one, it is an uncertain rate."""
    latency_s, ones = np.full(20, 0.05), np.ones(20)
    exact = ratio_intervals([latency_s], [ones], np.arange(20), seed=0, shares=[False])[0]
    share = ratio_intervals([latency_s], [ones], np.arange(20), seed=0)[0]
    assert exact is not None
    assert share is not None
    assert exact.high == pytest.approx(0.05)
    assert share.high > 0.15


def test_a_bound_is_never_beyond_its_own_value() -> None:
    """Sums that differ by rounding leave the value 0 inside [0, 0]."""
    thirds, ones = np.full(30, 0.1) * 3 - 0.3, np.ones(30)
    found = ratio_intervals([thirds], [ones], np.arange(30), seed=0, shares=[False])[0]
    assert found is not None
    assert found.low <= found.value <= found.high


@pytest.mark.parametrize(("n_clusters", "draws_made"), [(1, 5), (7, 60), (400, 9_999), (4_999, 450)])
def test_draws_in_blocks_are_those_of_one_call(n_clusters: int, draws_made: int) -> None:
    """However many picks are held at a time, every draw counts what the seed gave it."""
    picks = np.random.default_rng(3).integers(0, n_clusters, size=(draws_made, n_clusters))
    found = np.concatenate([counts for _, counts in draw_chunks(n_clusters, draws_made, 3)])
    for row in (0, draws_made // 2, draws_made - 1):
        assert (found[row] == np.bincount(picks[row], minlength=n_clusters)).all()
    assert (found.sum(axis=1) == n_clusters).all()


def test_an_amount_on_many_images_has_the_interval_that_draws_give(monkeypatch: pytest.MonkeyPatch) -> None:
    """From 5,000 images on nothing is drawn; the studentised bootstrap of the same skewed seconds agrees to 3 % of its width.

    That of a difference, by percentiles, does not allow for skewness and agrees to 10 %.
    """
    generator = np.random.default_rng(6)
    n = 5_000
    seconds, rows = generator.lognormal(0.5, 1.2, n), generator.integers(1, 4, n).astype(float)
    later = seconds * generator.lognormal(0.05, 0.4, n)
    sides = []
    for limit in (5_000, n + 1):
        monkeypatch.setattr("evalkit.stats.bootstrap.MANY_CLUSTERS", limit)
        given = {"seed": 0, "draws": 1_999, "shares": [False]}
        single = ratio_estimates([seconds], [rows], np.arange(n), **given)
        sides.append(single + paired_differences([(seconds, rows)], [(later, rows)], np.arange(n), **given))
    computed, drawn = sides
    assert [type(one) for one in computed] == [SkewCorrected] * 2
    assert [type(one) for one in drawn] == [Studentised, Percentile]
    intervals = zip(map(interval_of, computed), map(interval_of, drawn), (0.03, 0.1), strict=True)
    for ours, theirs, part in intervals:
        assert_allclose(
            [ours.low, ours.high], [theirs.low, theirs.high], atol=part * (theirs.high - theirs.low)
        )


@given(
    skewness=st.floats(-1, 1),
    level=st.floats(0.001, 0.999),
    error=st.floats(1e-3, 10),
    value=st.floats(-5, 5),
)
def test_limits_and_confidences_of_a_skewed_sum_are_inverse(skewness, level, error, value) -> None:
    """A limit is where the confidence is its level, with skewness of either sign and with none."""
    estimate = SkewCorrected(value, error, skewness, -np.inf)
    assert_allclose(estimate.confidence_below(estimate.limit(level)), level, atol=1e-6)


def test_without_skewness_the_limits_are_normal() -> None:
    """No skewness: value plus normal quantile times error."""
    estimate = SkewCorrected(2.0, 0.5, 0.0, -np.inf)
    assert_allclose(estimate.limit(0.975), 2 + 0.5 * scipy_stats.norm.ppf(0.975))
    assert SkewCorrected.of(1.0, np.zeros(6_000), 6_000, 0.0).confidence_below(2.0) == 1.0
