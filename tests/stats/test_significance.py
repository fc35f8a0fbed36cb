"""Permutation and McNemar tests against scipy and statsmodels, and Holm's correction."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import stats as scipy_stats
from support.random_search import draws

from evalkit.stats.bootstrap import paired_differences
from evalkit.stats.significance import (
    difference_test,
    holm,
    mcnemar,
    mcnemar_clustered,
    mix_test,
    rise_test,
    swap_test,
)


def sums_of(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the (4, images) sums of two models with one row an image."""
    ones = np.ones(first.size)
    return np.stack([first, ones, second, ones])


def test_exact_swaps_agree_with_scipys_permutation_test() -> None:
    """With ten images every swap is counted, as scipy does."""
    generator = np.random.default_rng(0)
    first, second = generator.random(10), generator.random(10) + 0.2
    theirs = scipy_stats.permutation_test(
        (first, second),
        lambda a, b, axis: np.mean(b - a, axis=axis),
        permutation_type="samples",
        vectorized=True,
    )
    assert_allclose(swap_test(sums_of(first, second), seed=0), theirs.pvalue, atol=1e-12)


def test_drawn_swaps_agree_with_the_t_test_on_many_images() -> None:
    """For 300 images the permutation p-value is near that of the paired t-test."""
    generator = np.random.default_rng(3)
    first = generator.random(300)
    second = first + generator.normal(0.015, 0.15, 300)
    expected = scipy_stats.ttest_rel(second, first).pvalue
    assert_allclose(swap_test(sums_of(first, second), seed=1), expected, atol=0.015)


def test_swap_test_of_a_pooled_ratio_counts_by_hand() -> None:
    """Two images, cIoU: of the four swaps, two are as extreme as what was seen."""
    sums = np.array([[1.0, 2.0], [4.0, 4.0], [3.0, 3.0], [4.0, 5.0]])
    assert swap_test(sums, seed=0) == 0.5


def test_equal_answers_have_p_one() -> None:
    """Where nothing differs nothing is evidence."""
    answers = np.linspace(0, 1, 20)
    assert swap_test(sums_of(answers, answers), seed=0) == 1.0
    assert mcnemar(0, 0) == 1.0
    assert mcnemar_clustered(np.zeros(5), np.arange(5)) == 1.0


@pytest.mark.parametrize(("only_first", "only_second"), [(0, 1), (3, 3), (1, 9), (12, 30), (40, 0)])
def test_mcnemar_is_statsmodels_exact_value(only_first: int, only_second: int) -> None:
    """The exact McNemar p-value equals statsmodels' to rounding."""
    from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar

    theirs = statsmodels_mcnemar([[7, only_first], [only_second, 9]], exact=True).pvalue
    assert_allclose(mcnemar(only_first, only_second), min(1.0, theirs), rtol=1e-10)


@given(st.lists(st.sampled_from([-1, 0, 1]), min_size=1, max_size=80))
@draws(60)
def test_clustered_mcnemar_with_one_row_an_image_is_mcnemar(differences: list[int]) -> None:
    """Without clustering the clustered test is the classic one."""
    rows = np.array(differences)
    expected = mcnemar(int((rows == -1).sum()), int((rows == 1).sum()))
    assert_allclose(mcnemar_clustered(rows, np.arange(rows.size)), expected, rtol=1e-9)


def test_clustered_mcnemar_agrees_with_counting_every_swap() -> None:
    """On eight images with several rows each the convolution equals the enumeration."""
    generator = np.random.default_rng(1)
    images = np.repeat(np.arange(8), 3)
    differences = generator.choice([-1, 0, 1], images.size)
    net = np.bincount(images, differences)
    sums = np.stack([np.zeros(8), np.full(8, 3.0), net, np.full(8, 3.0)])
    assert_allclose(mcnemar_clustered(differences, images), swap_test(sums, seed=0), atol=1e-12)


def convolved(net: np.ndarray) -> float:
    """Return the two-sided p-value of net changes by adding one image after another to the distribution."""
    probability = np.ones(1)
    for step in np.abs(net[net != 0]):
        longer = np.zeros(probability.size + 2 * step)
        longer[: probability.size] += probability / 2
        longer[2 * step :] += probability / 2
        probability = longer
    sums = np.arange(probability.size) - np.abs(net).sum()
    return float(min(1.0, probability[np.abs(sums) >= abs(net.sum())].sum()))


@pytest.mark.parametrize("ups", [0.5, 0.52, 0.55, 0.62])
@pytest.mark.parametrize("most", [2, 7])
def test_many_changed_images_have_the_p_value_of_the_convolution(ups: float, most: int) -> None:
    """The transform equals adding images one by one to 1e-12, and tells no smaller p-value than the true one."""
    generator = np.random.default_rng(most)
    net = generator.integers(1, most + 1, 2_500) * np.where(generator.random(2_500) < ups, 1, -1)
    found, wanted = mcnemar_clustered(net, np.arange(net.size)), convolved(net)
    assert_allclose(found, wanted, atol=1e-12)
    assert found >= wanted * (1 - 1e-3)


def test_images_that_all_changed_by_as_much_are_mcnemars() -> None:
    """Three rows an image or one: of equal steps only their signs count."""
    net = 3 * np.repeat([1, -1], [60, 30])
    assert_allclose(mcnemar_clustered(net, np.arange(90)), mcnemar(60, 30), rtol=1e-12)
    assert_allclose(mcnemar(60, 30), convolved(net), rtol=1e-9)


def test_a_million_changed_images_take_no_time() -> None:
    """The normal law holds there, and neither time nor memory grows with the square of the images."""
    generator = np.random.default_rng(1)
    net = generator.integers(1, 5, 1_000_000) * generator.choice([-1, 1], 1_000_000)
    score = abs(net.sum()) / np.sqrt((net.astype(float) ** 2).sum())
    assert_allclose(mcnemar_clustered(net, np.arange(net.size)), 2 * scipy_stats.norm.sf(score), atol=2e-3)


@pytest.mark.parametrize("shift", [0.0, 0.01, -0.02])
def test_swaps_of_many_images_agree_with_drawn_ones(shift: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """From 5,000 changed images on the p-value is that of drawn swaps, of a ratio whose denominators differ too."""
    generator = np.random.default_rng(4)
    n = 6_000
    sums = np.stack([generator.lognormal(0, 0.8, n), generator.integers(1, 4, n).astype(float)] * 2)
    sums[2] = sums[0] * generator.lognormal(shift, 0.3, n)
    sums[3] += generator.integers(0, 2, n) * (generator.random(n) < 0.1)
    computed = swap_test(sums, seed=0)
    monkeypatch.setattr("evalkit.stats.significance.MANY_CHANGED", n + 1)
    assert_allclose(computed, swap_test(sums, seed=0, swaps=2_999), atol=0.03)


def test_one_image_that_outweighs_thousands_is_swapped_by_draws() -> None:
    """The normal law would call a single huge change evidence; a coin decides its sign."""
    change = np.tile([1e-6, -1e-6], 2_600)
    change[0] = 1e4
    sums = np.stack([np.ones(5_200), np.ones(5_200), 1 + change, np.ones(5_200)])
    assert swap_test(sums, seed=0, swaps=199) > 0.4


def test_clustering_weakens_the_evidence() -> None:
    """Six failures in one image are one event, six in six images are evidence."""
    ones = np.ones(6)
    assert mcnemar_clustered(ones, np.zeros(6, int)) == 1.0
    assert mcnemar_clustered(ones, np.arange(6)) == pytest.approx(2 / 64)


def test_holm_is_statsmodels() -> None:
    """Adjusted p-values equal statsmodels' Holm, ties included."""
    from statsmodels.stats.multitest import multipletests

    generator = np.random.default_rng(3)
    for size in (1, 2, 7, 20):
        p_values = np.round(generator.random(size) ** 3, 2).tolist()
        assert_allclose(holm(p_values), multipletests(p_values, method="holm")[1], atol=1e-12)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
@draws(60)
def test_holm_is_its_definition(p_values: list[float]) -> None:
    """Each adjusted value is the largest (m - rank) p of those up to it, at most 1."""
    ranked = sorted(p_values)
    running = [min(1.0, max((len(ranked) - i) * ranked[i] for i in range(k + 1))) for k in range(len(ranked))]
    assert_allclose(sorted(holm(p_values)), running, atol=1e-12)


def test_mix_test_of_two_kinds_is_mcnemar() -> None:
    """With two kinds and one question an image it is the test of discordant counts."""
    before = np.zeros((40, 2), dtype=bool)
    after = np.zeros((40, 2), dtype=bool)
    before[:, 0] = True
    after[:, 0] = True
    after[:9] = [False, True]
    before[9:11] = [False, True]
    assert mix_test(before, after, np.arange(40)) == pytest.approx(mcnemar(2, 9))


def test_mix_test_sees_a_replaced_format_and_no_shuffled_one() -> None:
    """Another format in every answer is beyond chance; the same formats on other questions are not."""
    kinds = np.eye(3, dtype=bool)
    before, images = kinds[np.arange(60) % 3], np.arange(60)
    assert mix_test(before, np.roll(before, 1, axis=0), images) > 0.5
    assert mix_test(before, np.repeat(kinds[[0]], 60, axis=0), images) < 1e-6
    assert mix_test(before, before, images) == 1.0


def test_equal_repeats_are_no_more_evidence_for_a_drift() -> None:
    """Three equal answers to each question leave the p-value of one."""
    kinds = np.eye(2, dtype=bool)
    before, after = kinds[np.zeros(20, int)], kinds[np.repeat([1, 0], [6, 14])]
    once = mix_test(before, after, np.arange(20))
    thrice = mix_test(np.tile(before, (3, 1)), np.tile(after, (3, 1)), np.tile(np.arange(20), 3))
    assert once == pytest.approx(2 / 64)
    assert thrice == pytest.approx(once)


def test_equal_means_with_rare_losses_are_not_told_apart() -> None:
    """All of 20 images a little better and none lost: a tenth lost elsewhere would make the means equal."""
    first = np.full(20, 0.8)
    sums = sums_of(first, first + 0.09)
    estimate = paired_differences(
        [(first, np.ones(20))], [(first + 0.09, np.ones(20))], np.arange(20), seed=0
    )[0]
    assert estimate is not None
    assert swap_test(sums, seed=0) < 0.001
    assert difference_test(estimate, sums, seed=0)[0] > 0.05


@pytest.mark.parametrize("wins", [3, 6, 8])
def test_the_test_of_means_is_mcnemars_where_whole_images_are_won(wins: int) -> None:
    """Wins against no loss of whole images: 2^-wins a side, as the exact test has."""
    second = np.repeat([1.0, 0.0], [wins, 2_000 - wins])
    estimate = paired_differences(
        [(np.zeros(2_000), np.ones(2_000))], [(second, np.ones(2_000))], np.arange(2_000), seed=0
    )[0]
    assert estimate is not None
    assert 1 - estimate.confidence_above(0) == pytest.approx(0.5**wins, rel=0.05)


def test_a_rise_needs_images_and_size() -> None:
    """Three images that fell alike are no evidence, twelve are, unless the bound allows as much."""
    few, many = (sums_of(np.zeros(30), np.repeat([1.0, 0.0], [n, 30 - n])) for n in (3, 12))
    assert rise_test(few, 0.0, seed=0)[0] == pytest.approx(1 / 8)
    assert rise_test(many, 0.0, seed=0)[0] < 0.001
    assert rise_test(many, 0.4, seed=0)[0] > 0.4
    assert rise_test(sums_of(np.zeros(1), np.ones(1)), 0.0, seed=0) == (1.0, None)


def test_a_rise_beyond_what_is_allowed_is_students_t() -> None:
    """On many images the p-value is scipy's one-sided t-test of the differences."""
    generator = np.random.default_rng(3)
    first = generator.random(200)
    second = first + generator.normal(0.05, 0.2, 200)
    expected = scipy_stats.ttest_1samp(second - first, 0.02, alternative="greater").pvalue
    assert rise_test(sums_of(first, second), 0.02, seed=0)[0] == pytest.approx(expected)
