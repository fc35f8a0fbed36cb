"""The unseen image against exact binomial limits, drawn weights and its own edges."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import stats as scipy_stats

from evalkit.stats.bounded import MID, WHOLE, Bounded, limits


def images(values: np.ndarray, least: float = 0.0, most: float = 1.0) -> Bounded:
    """Return the estimate of a mean with one row an image."""
    return Bounded(float(values.mean()), values, np.ones(values.size), least, most)


@pytest.mark.parametrize(("events", "n"), [(0, 10), (0, 300), (1, 30), (3, 200), (9, 30), (30, 30)])
def test_whole_images_give_clopper_and_pearson(events: int, n: int) -> None:
    """The limits of decisions are the exact binomial ones, and never nearer by more than 2 % of a count."""
    estimate = images(np.repeat([1.0, 0.0], [events, n - events]))
    exact = scipy_stats.binomtest(events, n).proportion_ci(method="exact")
    found = estimate.exact_limit(0.025), estimate.exact_limit(0.975)
    assert_allclose(found, [exact.low, exact.high], rtol=0.03, atol=1e-12)


def test_limits_are_those_of_drawn_weights() -> None:
    """A million draws of exponential weights and one gamma weight have the saddlepoint's quantiles."""
    generator = np.random.default_rng(0)
    iou = np.array([0.0, 0.31, 0.6, 0.72, 0.8, 0.85, 0.91, 0.95])
    for weight, unseen, level in ((MID, 0.0, 0.025), (WHOLE, 1.0, 0.95)):
        seen = generator.exponential(size=(1_000_000, iou.size))
        extra = generator.gamma(weight, size=1_000_000)
        drawn = (seen @ iou + extra * unseen) / (seen.sum(axis=1) + extra)
        ours = limits(iou[None], np.ones((1, iou.size)), level, least=0.0, most=1.0, weight=weight)[0]
        assert_allclose((drawn < ours).mean(), level, atol=1.5e-3)


@given(st.lists(st.just(0.0) | st.floats(1e-3, 1), min_size=1, max_size=30), st.floats(0.01, 0.99))
@settings(max_examples=80, deadline=None)
def test_confidence_is_the_inverse_of_the_exact_limit(values: list[float], level: float) -> None:
    """The confidence that the truth lies on the near side of an exact limit is that of the limit."""
    estimate = images(np.array(values))
    limit = estimate.exact_limit(level)
    assert 0 <= limit <= 1
    if 0 < limit < 1:
        found = estimate.confidence_below(limit) if level >= 0.5 else 1 - estimate.confidence_above(limit)
        assert_allclose(found, level, atol=1e-4)


def test_the_edges_of_the_range_are_certain() -> None:
    """A share is at least 0 and at most 1, whatever was seen."""
    for values in (np.zeros(5), np.ones(5), np.linspace(0, 1, 5)):
        estimate = images(values)
        assert estimate.confidence_below(1.0) == 1.0
        assert estimate.confidence_above(0.0) == 1.0
        assert estimate.confidence_below(-0.1) == 0.0
        assert estimate.confidence_above(1.1) == 0.0


def test_confidences_of_both_sides_never_add_to_more_than_one() -> None:
    """Decisions are careful on both sides: what neither shows is open."""
    estimate = images(np.repeat([1.0, 0.0], [2, 48]))
    for bound in (0.005, 0.01, 0.04, 0.1):
        assert estimate.confidence_below(bound) + estimate.confidence_above(bound) < 1


def test_images_of_another_size_only_rescale() -> None:
    """Areas in pixels or in thousands of pixels give the same limits."""
    generator = np.random.default_rng(1)
    below = generator.lognormal(9, 1, 40)
    above = below * generator.uniform(0.5, 1, 40)
    for level in (0.025, 0.975):
        pixels, thousands = (
            limits(above[None] * unit, below[None] * unit, level, least=0.0, most=1.0) for unit in (1, 1e-3)
        )
        assert_allclose(pixels, thousands, rtol=1e-7)


def test_many_metrics_at_once_are_as_one_by_one() -> None:
    """A table of metrics, some of them at the end of their range, has the limits of each alone."""
    generator = np.random.default_rng(2)
    above = np.stack([generator.random(50), np.zeros(50), np.ones(50), (generator.random(50) < 0.02) * 1.0])
    together = limits(above, np.ones((4, 50)), 0.975, least=0.0, most=1.0)
    alone = [images(row).limit(0.975) for row in above]
    assert_allclose(together, alone, rtol=1e-9)


def test_a_hundred_thousand_images_are_quick_and_normal() -> None:
    """On many images the limits are those of the normal approximation."""
    values = np.random.default_rng(3).random(100_000)
    error = values.std() / np.sqrt(values.size)
    estimate = images(values)
    expected = [values.mean() - 1.96 * error, values.mean() + 1.96 * error]
    assert_allclose([estimate.limit(0.025), estimate.limit(0.975)], expected, atol=0.02 * error)
