"""Measure how often a quiet month shows a shift, and how soon a real one is found.

    python benchmarks/history_alarms.py [--months 600]

A month is 30 nights of the same 100 images. False alarms: share of months in which any night's look
at the history so far shows a shift (``any look``), and of those where the last look does (``last look``).
Delay: nights until a change of night 15 is shown. Known truth throughout; the level is shifts.LEVEL. ``run-wide``
months have noise of standard deviation 0.01 that all images of a night share.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from evalkit.stats.shifts import LEVEL, shifts_of

Floats = NDArray[np.float64]
NIGHTS, IMAGES = 30, 100


def iou(generator: np.random.Generator) -> Floats:
    """Mean IoU per image: hard and easy images, some noise every night."""
    hardness = generator.normal(0.7, 0.2, IMAGES)
    return np.clip(hardness + generator.normal(0, 0.05, (NIGHTS, IMAGES)), 0, 1)


def run_wide(make: Callable[[np.random.Generator], Floats]) -> Callable[[np.random.Generator], Floats]:
    """Return the maker of the same months with noise that a whole night shares."""

    def month(generator: np.random.Generator) -> Floats:
        sums = make(generator)
        return sums + generator.normal(0, 0.01, (NIGHTS, 1))

    return month


def rare_failures(generator: np.random.Generator) -> Floats:
    """Failures on 1 % of the answers, some images more prone than others."""
    prone = generator.beta(0.1, 9.9, IMAGES)
    return (generator.random((NIGHTS, IMAGES)) < prone).astype(float)


def tokens(generator: np.random.Generator) -> Floats:
    """PNG masks until night 15, leaked tokens from then on."""
    share = np.ones((NIGHTS, IMAGES))
    share[15:] = generator.random((NIGHTS - 15, IMAGES)) < 0.02
    return share


def drop(size: float) -> Callable[[np.random.Generator], Floats]:
    """Return the maker of months whose IoU falls by ``size`` on night 15."""

    def month(generator: np.random.Generator) -> Floats:
        sums = iou(generator)
        sums[15:] -= size
        return sums

    return month


def alarms(make: Callable[[np.random.Generator], Floats], months: int, looks: list[int]) -> float:
    """Return the share of months in which any of the ``looks`` (nights seen so far) shows a shift."""
    alarmed = 0
    for month in range(months):
        sums = make(np.random.default_rng(month))
        alarmed += any(shifts_of(sums[:night], IMAGES, seed=month) for night in looks)
    return alarmed / months


def delays(make: Callable[[np.random.Generator], Floats], months: int) -> list[int]:
    """Return, per month, on which night after the change it was first shown (1 = the first); 99 = never."""
    found = []
    for month in range(months):
        sums = make(np.random.default_rng(1_000 + month))
        shown = (n for n in range(16, NIGHTS + 1) if shifts_of(sums[:n], IMAGES, seed=month))
        found.append(next(shown, 114) - 15)
    return found


def main() -> None:
    """Print one JSON line per study."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--months", type=int, default=600)
    months = parser.parse_args().months
    for name, make in (("iou", iou), ("run-wide iou", run_wide(iou)), ("rare failures", rare_failures)):
        for kind, looks, n in (
            ("last look", [NIGHTS], months),
            ("any look", list(range(2, NIGHTS + 1)), months // 4),
        ):
            started = time.perf_counter()
            share = alarms(make, n, looks)
            study = {"study": f"quiet months, {name}, {kind}", "months": n, "alarms": round(share, 4)}
            print(json.dumps(study | {"level": LEVEL, "s": round(time.perf_counter() - started)}), flush=True)
    for name, make in (
        ("PNG to tokens", tokens),
        ("IoU -0.05", drop(0.05)),
        ("IoU -0.05, run-wide noise", run_wide(drop(0.05))),
        ("IoU -0.01", drop(0.01)),
    ):
        nights = delays(make, max(10, months // 10))
        figures = {"median": float(np.median(nights)), "worst": max(nights), "months": len(nights)}
        print(json.dumps({"study": f"nights until shown, {name}", **figures}), flush=True)


if __name__ == "__main__":
    main()
