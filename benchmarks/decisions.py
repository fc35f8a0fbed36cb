"""How often are verdicts wrong where answers cluster? Decisions of gate and compare, with known truth.

    python benchmarks/decisions.py [--repetitions 2000] [--only verdict]

Failures come by whole images of three expressions, repeats of a question agree, and losses are rare. Each line is
one decision at one number of images: the share of repetitions in which it was wrong, at most 5 % where it
holds what it states (the sampling error of 5 % in 2,000 is 0.5 points).

- ``pass``: a change of exactly what the rule allows is called within it; ``fail``: one is called beyond it;
- ``drift``: the mix of formats is called another one, though nothing changed;
- ``verdict``: one of two models of equal mean is called better.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from evalkit.stats.bootstrap import cluster_codes, cluster_sums, paired_differences, ratio_estimates
from evalkit.stats.estimates import Estimate, interval_of
from evalkit.stats.significance import difference_test, mix_test, rise_test

Floats = NDArray[np.float64]
Case = Callable[[np.random.Generator], bool]

EXPRESSIONS = 3
LEVEL = 0.05


def per_row(values: Floats, expressions: int = EXPRESSIONS) -> Floats:
    """Return each image's value on each of its rows."""
    return np.repeat(values, expressions)


def images_of(n_images: int) -> NDArray[np.intp]:
    """Return the image of each row."""
    return np.repeat(np.arange(n_images), EXPRESSIONS)


def lost(generator: np.random.Generator, n_images: int, share: float) -> Floats:
    """Return 1.0 on the rows of images that are lost wholly."""
    return per_row((generator.random(n_images) < share).astype(float))


def good_iou(generator: np.random.Generator, n_images: int) -> Floats:
    """Return the IoU of a good model, without losses."""
    shared = per_row(generator.normal(0.8, 0.08, n_images))
    return np.clip(shared + generator.normal(0, 0.05, n_images * EXPRESSIONS), 0, 1)


def paired(first: Floats, second: Floats, images: NDArray[np.intp]) -> tuple[Estimate, Floats]:
    """Return the difference of two means and the sums per image."""
    ones = np.ones(first.size)
    estimate = paired_differences([(first, ones)], [(second, ones)], images, seed=0, draws=999)[0]
    codes, n_images = cluster_codes(images)
    sums = np.stack([cluster_sums(column, codes, n_images) for column in (first, ones, second, ones)])
    if estimate is None:
        raise SystemExit("the mean of rows is always defined")
    return estimate, sums


def rate_pass(n_images: int) -> Case:
    """Return the case of failures on 0 -> 1 % of the images, where 1 point is allowed, called within it."""

    def wrong(generator: np.random.Generator) -> bool:
        after = lost(generator, n_images, 0.01)
        estimate, _ = paired(np.zeros(after.size), after, images_of(n_images))
        return 1 - estimate.confidence_below(0.01) <= LEVEL

    return wrong


def giou_pass(n_images: int) -> Case:
    """Return the case of a gIoU that falls by 2.5 % lost images, which is what is allowed, called within it."""

    def wrong(generator: np.random.Generator) -> bool:
        before = good_iou(generator, n_images)
        after = np.clip(before + generator.normal(0, 0.03, before.size), 0, 1)
        after *= 1 - lost(generator, n_images, 0.025)
        estimate, _ = paired(before, after, images_of(n_images))
        return 1 - estimate.confidence_above(-0.025 * 0.798) <= LEVEL

    return wrong


def rate_fail(n_images: int) -> Case:
    """Return the case of failures on 0 -> 1 % of the images, where 1 point is allowed, called beyond it."""

    def wrong(generator: np.random.Generator) -> bool:
        after = lost(generator, n_images, 0.01)
        return (
            rise_test(paired(np.zeros(after.size), after, images_of(n_images))[1], 0.01, seed=0)[0] <= LEVEL
        )

    return wrong


def unchanged_fail(n_images: int, share: float) -> Case:
    """Return the case of failures on ``share`` of the images in either run, no rise allowed, called a rise."""

    def wrong(generator: np.random.Generator) -> bool:
        before, after = (lost(generator, n_images, share) for _ in range(2))
        return rise_test(paired(before, after, images_of(n_images))[1], 0.0, seed=0)[0] <= LEVEL

    return wrong


def absolute_fail(n_images: int, limit: float, *, giou: bool = False) -> Case:
    """Return the case of a rate, or a gIoU of perfect and lost images, at its limit, called beyond it."""

    def wrong(generator: np.random.Generator) -> bool:
        values = lost(generator, n_images, 1 - limit if giou else limit)
        values = 1 - values if giou else values
        (estimate,) = ratio_estimates(
            [values], [np.ones(values.size)], images_of(n_images), seed=0, draws=999
        )
        if estimate is None:
            return False
        confidence = estimate.confidence_below(limit) if giou else estimate.confidence_above(limit)
        return 1 - confidence <= LEVEL

    return wrong


def drift(n_images: int, *, by_image: bool) -> Case:
    """Return the case of two formats, where three repeats of a question agree, or all answers of an image."""

    def wrong(generator: np.random.Generator) -> bool:
        kinds = np.eye(2, dtype=bool)
        questions = 1 if by_image else EXPRESSIONS
        before, after = (
            kinds[np.repeat(generator.random(n_images * questions) < 0.1, EXPRESSIONS).astype(int)]
            for _ in range(2)
        )
        images = np.repeat(np.arange(n_images), questions * EXPRESSIONS)
        return mix_test(before, after, images) <= LEVEL

    return wrong


def equal_means(n_images: int, share: float, spread: float = 0.03) -> Case:
    """Return the case of a model that loses ``share`` of the images and gains as much on the rest."""

    def wrong(generator: np.random.Generator) -> bool:
        first = per_row(generator.uniform(0.6, 0.8, n_images))
        kept = 1 - lost(generator, n_images, share)
        second = kept * (first / (1 - share) + generator.normal(0, spread, first.size))
        estimate, sums = paired(first, np.clip(second, 0, 1), images_of(n_images))
        found = interval_of(estimate)
        return difference_test(estimate, sums, seed=0)[0] <= LEVEL and not found.low <= 0 <= found.high

    return wrong


def cases() -> Iterator[tuple[str, int, Case]]:
    """Yield (name, images, case)."""
    for n in (100, 200, 300, 1000):
        yield "pass: failures 0 -> 1 % of images, 1 point allowed", n, rate_pass(n)
    for n in (50, 150, 400):
        yield "pass: gIoU -0.02 by 2.5 % lost images, 0.02 allowed", n, giou_pass(n)
    for n in (50, 100, 300):
        yield "fail: failures 0 -> 1 % of images, 1 point allowed", n, rate_fail(n)
    for n, share in ((50, 0.02), (50, 0.05), (200, 0.01)):
        yield f"fail: {share:.0%} of images fail in both runs, none allowed", n, unchanged_fail(n, share)
    for n, limit in ((50, 0.01), (200, 0.005)):
        yield f"fail: failure rate at its limit, max {limit}", n, absolute_fail(n, limit)
    yield "fail: gIoU at its limit, min 0.98, 2 % zeros", 30, absolute_fail(30, 0.98, giou=True)
    yield "drift: three equal repeats of a question", 40, drift(40, by_image=False)
    yield "drift: an image's answers alike", 40, drift(40, by_image=True)
    for n, share in ((30, 0.05), (20, 0.1), (100, 0.02), (200, 0.0)):
        yield f"verdict: equal means, {share:.0%} of images lost", n, equal_means(n, share)
    yield "verdict: equal means, 5 % lost, wide spread", 100, equal_means(100, 0.05, 0.15)


def no_evidence() -> None:
    """Print what no failure in either run of 12 images with 50 rows shows."""
    rows = np.zeros(600)
    images = np.repeat(np.arange(12), 50)
    estimate, _ = paired(rows, rows, images)
    found = interval_of(estimate)
    confidence = estimate.confidence_below(0.01)
    print(
        json.dumps(
            {
                "case": "no failure in either run, 12 images x 50 rows",
                "difference": [round(found.low, 4), round(found.high, 4)],
                "confidence that it rose by less than 0.01": round(confidence, 3),
            }
        )
    )


def main() -> None:
    """Print one JSON line per case."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--repetitions", type=int, default=2000)
    parser.add_argument("--only", default="", help="cases whose name begins so")
    given = parser.parse_args()
    no_evidence()
    for name, n_images, wrong in cases():
        if name.startswith(given.only):
            share = np.mean([wrong(np.random.default_rng(seed)) for seed in range(given.repetitions)])
            line = {
                "case": name,
                "images": n_images,
                "wrong": f"{share:.1%}",
                "repetitions": given.repetitions,
            }
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
