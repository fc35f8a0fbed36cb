"""Do 95 % intervals hold the truth 95 % of the time? Clustered data with known truth.

    python benchmarks/coverage.py [--repetitions 1000]

Images have 1 + Poisson(2) expressions that share 30 % of the variance. Each line is one metric at one
number of images: share of intervals that hold the truth, share that lie above and below it (2.5 % each
is ideal), and the mean width. ``iid`` is the plain bootstrap of expressions, for comparison.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from evalkit.stats.bootstrap import ratio_interval

Floats = NDArray[np.float64]
Data = tuple[Floats, Floats, NDArray[np.intp]]

IMAGES = (20, 50, 200, 1000)
DRAWS = 999
"""Fewer draws than a report's 9,999: coverage does not depend on them at this precision."""


def latent(generator: np.random.Generator, n_images: int) -> tuple[Floats, Floats, NDArray[np.intp]]:
    """Return (difficulty of each expression, that of its image, image of each expression)."""
    images = np.repeat(np.arange(n_images), 1 + generator.poisson(2, n_images))
    shared = generator.normal(size=n_images)[images]
    return np.sqrt(0.3) * shared + np.sqrt(0.7) * generator.normal(size=images.size), shared, images


def giou(generator: np.random.Generator, n_images: int) -> Data:
    """Mean IoU with 10 % failures at 0."""
    level, _, images = latent(generator, n_images)
    iou = np.where(generator.random(images.size) < 0.1, 0.0, ndtr(0.7 + 1.2 * level))
    return iou, np.ones(images.size), images


def giou_skewed(generator: np.random.Generator, n_images: int) -> Data:
    """Mean IoU of a good model: most near 0.95, 2 % failures."""
    level, _, images = latent(generator, n_images)
    iou = np.where(generator.random(images.size) < 0.02, 0.0, ndtr(1.5 + 0.8 * level))
    return iou, np.ones(images.size), images


def ciou(generator: np.random.Generator, n_images: int) -> Data:
    """Sum of intersections over sum of unions, areas log-normal over three orders of magnitude."""
    level, shared, images = latent(generator, n_images)
    area_px = np.exp(9 + 1.2 * generator.normal(size=images.size) + 0.5 * shared)
    union = area_px * np.exp(0.3 * np.abs(generator.normal(size=images.size)))
    return ndtr(0.7 + 1.2 * level + 0.2 * (np.log(area_px) - 9)) * union, union, images


def latency(generator: np.random.Generator, n_images: int) -> Data:
    """Mean seconds, log-normal with a heavy tail."""
    level, _, images = latent(generator, n_images)
    return np.exp(0.5 + 0.8 * level), np.ones(images.size), images


def rate(share: float) -> Callable[[np.random.Generator, int], Data]:
    """Return the maker of a failure rate of ``share``."""

    def failures(generator: np.random.Generator, n_images: int) -> Data:
        level, _, images = latent(generator, n_images)
        return (level < ndtri(share)).astype(float), np.ones(images.size), images

    return failures


METRICS: dict[str, Callable[[np.random.Generator, int], Data]] = {
    "giou": giou,
    "giou_skewed": giou_skewed,
    "ciou": ciou,
    "latency": latency,
    "rate_1%": rate(0.01),
    "rate_5%": rate(0.05),
    "rate_20%": rate(0.2),
    "rate_50%": rate(0.5),
}


def truth_of(make: Callable[[np.random.Generator, int], Data]) -> float:
    """Return the metric of a population of two million images."""
    generator = np.random.default_rng(99)
    above = below = 0.0
    for _ in range(20):
        numerators, denominators, _ = make(generator, 100_000)
        above += numerators.sum()
        below += denominators.sum()
    return above / below


def iid_width(data: Data, seed: int) -> float:
    """Return the width of the interval that treats every expression as an image of its own."""
    interval = ratio_interval(data[0], data[1], np.arange(data[0].size), seed=seed, draws=DRAWS)
    return 0.0 if interval is None else interval.high - interval.low


def main() -> None:
    """Print one line per metric and number of images."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--repetitions", type=int, default=1000)
    repetitions = parser.parse_args().repetitions
    print(
        f"{'metric':<12}{'images':>7}{'coverage':>10}{'above':>8}{'below':>8}{'width':>8}{'iid width':>11}{'s':>6}"
    )
    for name, make in METRICS.items():
        truth = truth_of(make)
        for n_images in IMAGES:
            started = time.perf_counter()
            generator = np.random.default_rng(n_images)
            held = above = below = 0
            widths, iid = [], []
            for repetition in range(repetitions):
                data = make(generator, n_images)
                interval = ratio_interval(*data, seed=repetition % 50, draws=DRAWS)
                if interval is None:
                    raise SystemExit(f"{name}: an undefined ratio cannot happen here")
                held += interval.low <= truth <= interval.high
                above += truth < interval.low
                below += truth > interval.high
                widths.append(interval.high - interval.low)
                if repetition < 20:
                    iid.append(iid_width(data, repetition))
            print(
                f"{name:<12}{n_images:>7}{held / repetitions:>10.1%}{above / repetitions:>8.1%}"
                f"{below / repetitions:>8.1%}{np.mean(widths):>8.4f}{np.mean(iid):>11.4f}"
                f"{time.perf_counter() - started:>6.0f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
