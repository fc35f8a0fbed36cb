"""Do 95 % intervals hold the truth 95 % of the time? Clustered data with known truth.

    python benchmarks/coverage.py [--repetitions 1000] [--only NAME] [--images 30 ...]
    python benchmarks/coverage.py --attainable

Images have 1 + Poisson(2) expressions that share 30 % of the variance. Each line is one metric at one
number of images: share of intervals that hold the truth, share that lie above and below it (2.5 % each
is ideal), and the mean width, beside those of other methods on the same data: Student's t, bootstrap percentiles, and
Wilson with a design effect, all over images. Lost images are whole images at 0; ``difference`` lines are of
two runs that lose images on their own. The last lines show a difference at nine and at ten images.

``--attainable``: where whole images fail or not, a rate of n images rests on one count, and an interval for each count
holds a true rate with the probability of a set of counts. Where limits rise with the count that set has no gaps, so only
some coverages can be had at all: the nearest below and above 95 % are printed, beside that of evalkit's rule, of
Clopper and Pearson, and of Wilson. Computed from the binomial distribution; nothing is drawn.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri, stdtrit
from scipy.stats import binom
from statsmodels.stats.proportion import proportion_confint

from evalkit.stats.bootstrap import (
    cluster_codes,
    cluster_sums,
    difference_error,
    paired_differences,
    ratio_intervals,
)
from evalkit.stats.bounded import WHOLE, limits
from evalkit.stats.estimates import interval_of
from evalkit.types import Interval

Floats = NDArray[np.float64]
Data = tuple[Floats, Floats, NDArray[np.intp]]

IMAGES = (20, 30, 50, 100, 200, 1000)
LEVEL = 0.95
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


def giou_lost(generator: np.random.Generator, n_images: int) -> Data:
    """Mean IoU of a good model that loses 2 % of the images wholly."""
    level, _, images = latent(generator, n_images)
    kept = generator.random(n_images)[images] >= 0.02
    return np.where(kept, ndtr(1.5 + 0.8 * level), 0.0), np.ones(images.size), images


def ciou_shared_areas(generator: np.random.Generator, n_images: int) -> Data:
    """CIoU where the areas of an image's expressions are of one size, log-normal between images."""
    level, _, images = latent(generator, n_images)
    area_px = np.exp(9 + 1.2 * generator.normal(size=n_images))[images]
    union = area_px * np.exp(0.3 * np.abs(generator.normal(size=images.size)))
    return ndtr(0.7 + 1.2 * level) * union, union, images


def giou_tight(generator: np.random.Generator, n_images: int) -> Data:
    """Mean IoU of a model that is always about 0.93, but for 2 % of the expressions at 0; three an image."""
    images = np.repeat(np.arange(n_images), 3)
    iou = np.clip(generator.normal(0.93, 0.03, images.size), 0, 1)
    return np.where(generator.random(images.size) < 0.02, 0.0, iou), np.ones(images.size), images


def rate_of_images(share: float) -> Callable[[np.random.Generator, int], Data]:
    """Return the maker of a failure rate of ``share`` where whole images of three expressions fail."""

    def failures(generator: np.random.Generator, n_images: int) -> Data:
        images = np.repeat(np.arange(n_images), 3)
        failed = generator.random(n_images)[images] < share
        return failed.astype(float), np.ones(images.size), images

    return failures


METRICS: dict[str, Callable[[np.random.Generator, int], Data]] = {
    "giou": giou,
    "giou_skewed": giou_skewed,
    "giou_lost_2%": giou_lost,
    "giou_tight_2%": giou_tight,
    "ciou": ciou,
    "ciou_shared": ciou_shared_areas,
    "latency": latency,
    "rate_1%": rate(0.01),
    "rate_5%": rate(0.05),
    "rate_20%": rate(0.2),
    "rate_50%": rate(0.5),
    "images_0.5%": rate_of_images(0.005),
    "images_2%": rate_of_images(0.02),
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


def interval_over(data: Data, name: str, seed: int) -> Interval:
    """Return the interval that evalkit shows."""
    above, below, images = data
    share = name != "latency"
    found = ratio_intervals([above], [below], images, seed=seed, draws=DRAWS, shares=[share])[0]
    if found is None:
        raise SystemExit(f"{name}: an undefined ratio cannot happen here")
    return found


def rivals(data: Data, generator: np.random.Generator) -> dict[str, tuple[float, float]]:
    """Return 95 % intervals by other methods over the same images: Student's t, Wilson, bootstrap percentiles.

    Wilson is with a design effect (Kish 1965): as many answers as would have the error that was seen, and as many
    as there are images where none was. It says nothing of an amount.
    """
    codes, n_images = cluster_codes(data[2])
    above, below = (cluster_sums(column, codes, n_images) for column in data[:2])
    value = above.sum() / below.sum()
    error = difference_error(np.stack([np.zeros(n_images), below, above, below]))[1]
    reach = float(stdtrit(n_images - 1, 0.975) * error)
    weights = generator.multinomial(n_images, np.full(n_images, 1 / n_images), DRAWS)
    low, high = np.quantile((weights @ above) / (weights @ below), [0.025, 0.975])
    found = {"t": (value - reach, value + reach), "bootstrap": (float(low), float(high))}
    if (above <= below).all():
        effective = value * (1 - value) / error**2 if error > 0 else n_images
        found["Wilson"] = proportion_confint(value * effective, effective, method="wilson")
    return found


def show(place: tuple[str, int], found: list[Interval], truth: float, *, others: str, seconds: float) -> None:
    """Print one line; ``others``: coverage and width of other intervals."""
    name, n_images = place
    low, high = (np.array([getattr(one, end) for one in found]) for end in ("low", "high"))
    told = coverage_and_width(low, high, truth)
    print(
        f"{name:<18}{n_images:>7}{told}{(low > truth).mean():>8.1%}{(high < truth).mean():>8.1%}{others}{seconds:>6.0f}",
        flush=True,
    )


def coverage_and_width(low: Floats, high: Floats, truth: float) -> str:
    """Return the share of intervals that hold the truth, and their mean width, as two columns."""
    return f"{((low <= truth) & (truth <= high)).mean():>8.1%}{(high - low).mean():>8.4f}"


def single(name: str, n_images: int, truth: float, repetitions: int) -> None:
    """Print the line of one metric of one model."""
    started = time.perf_counter()
    generator, resampling = np.random.default_rng(n_images), np.random.default_rng(0)
    found = []
    others: dict[str, list[tuple[float, float]]] = {}
    for repetition in range(repetitions):
        data = METRICS[name](generator, n_images)
        found.append(interval_over(data, name, repetition % 50))
        for rival, ends in rivals(data, resampling).items():
            others.setdefault(rival, []).append(ends)
    told = "".join(
        f"  {rival} {coverage_and_width(*np.array(ends).T, truth)}" for rival, ends in others.items()
    )
    show((name, n_images), found, truth, others=told, seconds=time.perf_counter() - started)


def difference(share: float, n_images: int, repetitions: int) -> None:
    """Print the line of the difference of two failure rates of ``share``, by whole images on either side."""
    started = time.perf_counter()
    generator = np.random.default_rng(n_images)
    found = []
    for _ in range(repetitions):
        (first, ones, images), (second, _, _) = (rate_of_images(share)(generator, n_images) for _ in range(2))
        estimate = paired_differences([(first, ones)], [(second, ones)], images, seed=0, draws=DRAWS)[0]
        if estimate is not None:
            found.append(interval_of(estimate))
    place = f"difference_{share:.1%}", n_images
    show(place, found, 0.0, others="", seconds=time.perf_counter() - started)


def seam() -> None:
    """Print the interval of one difference at nine and at ten images."""
    generator = np.random.default_rng(1)
    first = generator.uniform(0.8, 0.95, 10)
    second = np.maximum(0, first - generator.uniform(0.6, 0.85, 10))
    for n_images in (9, 10):
        ones = np.ones(n_images)
        rows = (first[:n_images], ones), (second[:n_images], ones)
        estimate = paired_differences([rows[0]], [rows[1]], np.arange(n_images), seed=0)[0]
        if estimate is not None:
            found = interval_of(estimate)
            print(
                f"difference of {n_images} images: {found.value:+.3f} [{found.low:+.3f}, {found.high:+.3f}]"
            )


def counted_limits(n_images: int) -> dict[str, tuple[Floats, Floats]]:
    """Return by rule the lower and the upper limit for 0 to ``n_images`` failing images."""
    counts = np.arange(n_images + 1.0)
    failed = (np.arange(n_images) < counts[:, None]).astype(float)
    ones = np.ones_like(failed)
    shown = [limits(failed, ones, level, least=0.0, most=1.0) for level in (0.025, 0.975)]
    exact = [limits(failed, ones, level, least=0.0, most=1.0, weight=WHOLE) for level in (0.025, 0.975)]
    wilson = proportion_confint(counts, n_images, method="wilson")
    rules = {"evalkit": shown, "Clopper-Pearson": exact, "Wilson": wilson}
    # The saddlepoint's last digits are no reason to leave out a rate of exactly 0 or 1.
    return {
        name: (np.where(counts == 0, 0.0, low), np.where(counts == n_images, 1.0, high))
        for name, (low, high) in rules.items()
    }


def attainable(n_images: int, share: float) -> None:
    """Print which coverages of a true ``share`` can be had with ``n_images`` images that fail wholly or not."""
    counts = np.arange(n_images + 1)
    chance = binom.pmf(counts, n_images, share)
    held = {
        name: float(chance[(low <= share) & (share <= high)].sum())
        for name, (low, high) in counted_limits(n_images).items()
    }
    from_count = np.concatenate([[0.0], np.cumsum(chance)])
    every = from_count[None, 1:] - from_count[:-1, None]
    usable = every[np.triu_indices(n_images + 1)]
    below, above = usable[usable < LEVEL].max(), usable[usable >= LEVEL].min()
    shown = "".join(f"{held[name]:>17.1%}" for name in ("evalkit", "Clopper-Pearson", "Wilson"))
    print(f"{share:>8.1%}{n_images:>8}{below:>15.1%}{above:>8.1%}{shown}", flush=True)


def worst_rates() -> None:
    """Print for several numbers of images the lowest and the mean coverage over all true rates, by rule."""
    for n_images in (5, 10, 20, 30, 50, 100, 200):
        counts = np.arange(n_images + 1)
        shares = np.linspace(0.0005, 0.9995, 4001)
        chance = binom.pmf(counts[None], n_images, shares[:, None])
        told = []
        for low, high in counted_limits(n_images).values():
            holds = (low[None] <= shares[:, None]) & (shares[:, None] <= high[None])
            held, width = (chance * holds).sum(axis=1), (chance * (high - low)[None]).sum(axis=1)
            told.append(f"{held.min():>9.1%}{held.mean():>7.1%}{width.mean():>8.3f}")
        print(f"{n_images:>8}{''.join(told)}", flush=True)


def attainable_study() -> None:
    """Print both tables of ``--attainable``."""
    print(
        f"{'true':>8}{'images':>8}{'nearest below':>15}{'above':>8}{'evalkit':>17}{'Clopper-Pearson':>17}{'Wilson':>17}"
    )
    for share in (0.005, 0.02, 0.05):
        for n_images in IMAGES[:-1]:
            attainable(n_images, share)
    print(
        f"\n{'images':>8}"
        + "".join(f"{name + ': worst, mean, width':>24}" for name in ("evalkit", "Cl.-P.", "Wilson"))
    )
    worst_rates()


def main() -> None:
    """Print one line per metric and number of images."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--repetitions", type=int, default=1000)
    parser.add_argument("--only", default="", help="metrics whose name begins so")
    parser.add_argument("--images", type=int, nargs="+", default=IMAGES)
    parser.add_argument("--attainable", action="store_true", help="what limits of counts can reach at all")
    given = parser.parse_args()
    if given.attainable:
        attainable_study()
        return
    print(
        f"{'metric':<18}{'images':>7}{'holds':>8}{'width':>8}{'above':>8}{'below':>8}  other methods: holds, width; seconds"
    )
    for name, make in METRICS.items():
        if name.startswith(given.only):
            truth = truth_of(make)
            for n_images in given.images:
                single(name, n_images, truth, given.repetitions)
    if "difference".startswith(given.only):
        for share in (0.005, 0.02):
            for n_images in given.images:
                difference(share, n_images, given.repetitions)
        seam()


if __name__ == "__main__":
    main()
