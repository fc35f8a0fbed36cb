"""What n images can tell, against statsmodels and by the definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import brentq
from statsmodels.stats.power import TTestPower

from evalkit.stats import power
from evalkit.stats.bootstrap import paired_differences
from evalkit.stats.power import detectable_by, detectable_difference, images_needed


@pytest.mark.parametrize("n_images", [20, 50, 200, 1000])
def test_a_gates_detectable_difference_agrees_with_statsmodels(n_images: int) -> None:
    """One expression an image is the paired t-test: within 2 % of the noncentral t."""
    expected = TTestPower().solve_power(nobs=n_images, alpha=0.05, power=0.8, alternative="larger")
    ours = detectable_difference(n_images, 1.0, 0.3, sides=1)
    assert_allclose(ours, 0.3 * expected, rtol=0.02)


def test_a_verdicts_detectable_difference_tends_to_the_t_test() -> None:
    """A verdict allows for an image not drawn, which costs a third of the figure at 20 images and little at 10,000."""
    for n_images, most in ((20, 1.6), (200, 1.25), (10_000, 1.05)):
        plain = TTestPower().solve_power(nobs=n_images, alpha=0.05, power=0.8)
        assert 1 < detectable_difference(n_images, 1.0, 0.3) / (0.3 * plain) < most


def test_a_verdict_on_nearly_perfect_or_failing_models_needs_more() -> None:
    """An image not drawn moves a difference by the larger of a mean and what is left to 1; a gate does not ask."""
    usual, high, low = (detectable_difference(50, 3, mean_iou=mean) for mean in (0.7, 0.95, 0.05))
    assert usual < high == low
    assert detectable_difference(50, 3, sides=1) == detectable_difference(50, 3, sides=1, mean_iou=0.95)


def test_expressions_of_one_image_help_less_than_images() -> None:
    """Ten expressions on 100 images tell less than one on 1,000, and more than one on 100."""
    many_images = detectable_difference(1000, 1)
    clustered = detectable_difference(100, 10)
    few = detectable_difference(100, 1)
    assert many_images < clustered < few


def test_fully_correlated_expressions_add_nothing() -> None:
    """At correlation 1 an image is one answer however often it is asked about."""
    assert_allclose(
        detectable_difference(100, 10, intra_image_correlation=1.0), detectable_difference(100, 1), rtol=1e-12
    )


def test_one_image_detects_nothing() -> None:
    """Below two images no difference is detectable."""
    assert detectable_difference(1, 50) == math.inf
    assert images_needed(0.1, 0.2, 1) is None


def test_images_needed_makes_the_difference_detectable() -> None:
    """With the number of images returned, the difference is detectable, within rounding."""
    n_images, error = 100, 0.02
    needed = images_needed(0.03, error, n_images)
    assert needed is not None
    shrunk = error * math.sqrt(n_images / needed)
    assert detectable_by(shrunk, needed) <= 0.03 < detectable_by(shrunk, needed - 5)


def test_more_comparisons_need_larger_differences() -> None:
    """A family of ten tests shares the level, so each needs more."""
    assert detectable_difference(100, 3, comparisons=10) > 1.2 * detectable_difference(100, 3)


@pytest.mark.parametrize("n_images", [40, 150])
def test_power_is_met_by_simulation(n_images: int) -> None:
    """At the promised difference 80 % of simulated comparisons find it (600 of them, within 3 points and chance)."""
    generator = np.random.default_rng(0)
    true, ones, images = detectable_difference(n_images, 1, 0.2), np.ones(n_images), np.arange(n_images)
    found = 0
    for _ in range(600):
        first = generator.uniform(0.6, 0.8, n_images) - true / 2
        second = np.clip(first + true + generator.normal(0, 0.2, n_images), 0, 1)
        second += true - np.mean(second - first) + generator.normal(0, 0.2 / np.sqrt(n_images))
        second = np.clip(second, 0, 1)
        estimate = paired_differences([(first, ones)], [(second, ones)], images, seed=0)[0]
        assert estimate is not None
        found += estimate.confidence_above(0) >= 0.975
    assert found / 600 == pytest.approx(0.8, abs=0.065)


@pytest.mark.parametrize("n_images", [2, 5, 1000, 10**6])
@pytest.mark.parametrize("error", [1e-6, 0.01, 0.3])
def test_the_least_evident_difference_is_that_of_another_root_finder(
    error: float, n_images: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Brent's method (scipy) finds the same crossing."""
    found = detectable_by(error, n_images, comparisons=3)
    monkeypatch.setattr(power, "_root_of_falling", brentq)
    assert_allclose(found, detectable_by(error, n_images, comparisons=3), rtol=1e-8, atol=1e-10)
