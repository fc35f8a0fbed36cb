"""What n images can tell, against statsmodels and by the definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose
from statsmodels.stats.power import TTestPower

from evalkit.stats.power import detectable_by, detectable_difference, images_needed


@pytest.mark.parametrize("n_images", [20, 50, 200, 1000])
@pytest.mark.parametrize(("sides", "alternative"), [(2, "two-sided"), (1, "larger")])
def test_detectable_difference_agrees_with_statsmodels(n_images: int, sides: int, alternative: str) -> None:
    """One expression an image is the paired t-test: within 2 % of the noncentral t."""
    expected = TTestPower().solve_power(nobs=n_images, alpha=0.05, power=0.8, alternative=alternative)
    ours = detectable_difference(n_images, 1.0, 0.3, sides=sides)
    assert_allclose(ours, 0.3 * expected, rtol=0.02)


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
    assert detectable_by(shrunk, n_images) == pytest.approx(0.03, rel=0.01)


def test_more_comparisons_need_larger_differences() -> None:
    """A family of ten tests shares the level, so each needs more."""
    assert detectable_difference(100, 3, comparisons=10) > 1.2 * detectable_difference(100, 3)


def test_power_is_met_by_simulation() -> None:
    """At the promised difference 80 % of simulated t-tests find it (4,000 of them, within 3 points)."""
    generator = np.random.default_rng(0)
    true = detectable_difference(40, 1, 0.3)
    samples = generator.normal(true, 0.3, (4000, 40))
    statistics = samples.mean(axis=1) / (samples.std(axis=1, ddof=1) / np.sqrt(40))
    assert np.mean(statistics > 2.0227) == pytest.approx(0.8, abs=0.03)
