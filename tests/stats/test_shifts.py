"""Shifts are found where they are, and a lone accident is none."""

from __future__ import annotations

import numpy as np
import pytest

from evalkit.stats.shifts import largest_shift, shifts_of


def nights(n_nights: int, n_images: int, seed: int) -> np.ndarray:
    """Return (nights, images) of nights in which nothing changed."""
    generator = np.random.default_rng(seed)
    return np.clip(
        generator.normal(0.7, 0.2, n_images) + generator.normal(0, 0.05, (n_nights, n_images)), 0, 1
    )


def test_a_shift_is_found_on_the_first_night_after_it() -> None:
    """Eleven equal nights, then one night of another format: found at index 11."""
    sums = np.ones((12, 40))
    sums[11] = 0
    (shift,) = shifts_of(sums, 40, seed=0)
    assert (shift.at, shift.before, shift.after) == (11, 1.0, 0.0)


def test_two_shifts_are_both_found() -> None:
    """A bad week in the middle has a begin and an end."""
    sums = nights(30, 100, 1)
    sums[10:17] -= 0.1
    assert [shift.at for shift in shifts_of(sums, 100, seed=0)] == [10, 17]


def test_one_accident_on_the_last_night_is_no_shift() -> None:
    """A single failure in thirty nights may fall on the last one as on any other."""
    sums = np.ones((30, 50))
    sums[29, 7] = 0
    at, p = largest_shift(sums, 50, seed=0)
    assert at == 29
    assert p > 0.02
    assert shifts_of(sums, 50, seed=0) == []


def test_nothing_varies_nothing_is_found() -> None:
    """Equal nights, one night, or no night have no shift."""
    assert largest_shift(np.ones((5, 3)), 3, seed=0) == (None, 1.0)
    assert largest_shift(np.ones((1, 3)), 3, seed=0) == (None, 1.0)


def test_false_alarms_stay_at_their_level() -> None:
    """Of 60 quiet months at level 10 %, about six show a shift; fifteen would be proof of a fault."""
    alarms = sum(bool(shifts_of(nights(12, 20, seed), 20, seed=seed, level=0.1)) for seed in range(60))
    assert alarms < 15


@pytest.mark.parametrize("seed", [0, 1])
def test_the_p_value_is_seeded(seed: int) -> None:
    """The same seed gives the same p-value."""
    sums = nights(8, 10, 3)
    assert largest_shift(sums, 10, seed=seed) == largest_shift(sums, 10, seed=seed)


def test_noise_that_a_whole_run_shares_is_no_shift() -> None:
    """Nights that are all a little better or worse alarm no more often: of 60 at level 10 %, below fifteen."""
    alarms = 0
    for seed in range(60):
        shared = np.random.default_rng(900 + seed).normal(0, 0.01, (12, 1))
        alarms += bool(shifts_of(nights(12, 100, seed) + shared, 100, seed=seed, level=0.1))
    assert alarms < 15


def test_two_runs_tell_a_large_shift_and_no_small_one() -> None:
    """Two runs say nothing of what a whole run shares: 0.03 may be that, 0.3 is not."""
    first = nights(2, 200, 0)
    for drop, found in ((0.03, []), (0.3, [1])):
        sums = first.copy()
        sums[1] -= drop
        assert [shift.at for shift in shifts_of(sums, 200, seed=0)] == found
