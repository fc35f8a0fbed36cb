"""How small a difference a number of images can tell, and how many a difference needs. Pure.

Assumptions, all changeable: two models answer the same expressions; the per-expression difference
of IoU has standard deviation ``SD_OF_DIFFERENCES``; expressions of one image share
``INTRA_IMAGE_CORRELATION`` of its variance; the mean of the images' sums is close to normal; the models'
mean IoU is about ``USUAL_IOU``. The constants are assumptions, not measurements: IoU of one model has a standard
deviation of about 0.3 wherever some answers fail and most are good, and two models that agree on
which samples are hard (correlation 0.5) differ by 0.3 * sqrt(2 * (1 - 0.5)) = 0.3. Once a run
exists, ``detectable_by`` uses its own error and none of this.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable

import numpy as np

from evalkit.stats.bounded import score_of_sum

SD_OF_DIFFERENCES = 0.30
INTRA_IMAGE_CORRELATION = 0.2
USUAL_IOU = 0.7
"""What an image that was not drawn would lose, were it lost wholly (``evalkit.stats.bounded``)."""

HIGH_IOU = 0.95
"""Mean IoU of models that are almost always right, whose image that was not drawn would lose more."""

MOST_IMAGES = 10**9

ROOT_TOLERANCE = 1e-12
"""How near 0 a difference, or the score at it, counts as found."""


def detectable_difference(
    n_images: int,
    expressions_per_image: float = 1.0,
    sd: float = SD_OF_DIFFERENCES,
    *,
    intra_image_correlation: float = INTRA_IMAGE_CORRELATION,
    alpha: float = 0.05,
    power: float = 0.8,
    sides: int = 2,
    comparisons: int = 1,
    mean_iou: float = USUAL_IOU,
) -> float:
    """Return the smallest true difference of mean IoU that is found with probability ``power``.

    ``sd``: standard deviation of the per-expression difference. ``mean_iou``: of the models. ``alpha``: false alarms allowed,
    shared by ``comparisons`` tests; ``sides``: 2 for "different" (the verdict of a comparison), 1 for "worse" (the
    gate, where the figure comes on top of the allowed drop). The variance of the mean is
    sd^2 (1 + (m - 1) rho) / (n m) for m expressions per image (Kish 1965, Survey Sampling).
    Infinite below two images.
    """
    design_effect = 1 + (expressions_per_image - 1) * intra_image_correlation
    error = sd * math.sqrt(design_effect / (max(n_images, 1) * expressions_per_image))
    unseen = max(mean_iou, 1 - mean_iou)
    return detectable_by(
        error, n_images, alpha=alpha, power=power, sides=sides, comparisons=comparisons, unseen=unseen
    )


def detectable_by(
    standard_error: float,
    n_images: int,
    *,
    alpha: float = 0.05,
    power: float = 0.8,
    sides: int = 2,
    comparisons: int = 1,
    unseen: float = USUAL_IOU,
) -> float:
    """Return the smallest difference that a comparison with this ``standard_error`` finds.

    The value that just has the evidence, plus the quantile of Student's t that ``power`` asks for times the
    error (Machin et al. 2018, Sample Sizes for Clinical, Laboratory and Epidemiology Studies, chapter 5). One side:
    Student's t on ``n_images`` - 1. Two sides: the test of equal means, which allows for an image not
    drawn that moves the difference by ``unseen``. Infinite below two images.
    """
    from scipy.special import stdtrit

    if n_images < 2:
        return math.inf
    level, freedom = alpha / (sides * comparisons), n_images - 1
    reserve = float(stdtrit(freedom, power)) * standard_error
    if sides == 1:
        return float(stdtrit(freedom, 1 - level)) * standard_error + reserve
    return _least_evident(standard_error, n_images, level, unseen) + reserve


def _least_evident(standard_error: float, n_images: int, level: float, unseen: float) -> float:
    """Return the mean difference whose one-sided p-value in the test of equal means is ``level``.

    The test is that of ``bounded.Bounded`` on images of which half lie one standard deviation above the mean and
    half below: with many images, others of that mean and deviation give the same.
    """
    from scipy.special import ndtri

    deviation = standard_error * math.sqrt(n_images)
    halves = np.full(2, n_images / 2)

    def excess(value: float) -> float:
        images = np.array([[value - deviation, value + deviation]])
        score = score_of_sum(images, np.array([-unseen]), counts=halves)[0]
        return float(score) - float(ndtri(level))

    highest = 10 * (deviation + unseen)
    return _root_of_falling(excess, 0.0, highest) if excess(highest) < 0 else math.inf


def _root_of_falling(function: Callable[[float], float], low: float, high: float) -> float:
    """Return where a function that falls from above 0 to below crosses it, to ``ROOT_TOLERANCE``.

    The Illinois method (Dowell and Jarratt 1971, BIT 11): the chord's crossing, where the end that stays put counts half
    from the second time on. ``scipy.optimize`` holds others, and importing it takes longer than a plan does.
    """
    at_low, at_high = function(low), function(high)
    kept = 0
    while high - low > ROOT_TOLERANCE:
        middle = high - at_high * (high - low) / (at_high - at_low)
        if not low < middle < high:
            middle = (low + high) / 2
        at_middle = function(middle)
        if abs(at_middle) < ROOT_TOLERANCE:
            return middle
        if at_middle > 0:
            low, at_low, at_high = middle, at_middle, at_high / 2 if kept == 1 else at_high
            kept = 1
        else:
            high, at_high, at_low = middle, at_middle, at_low / 2 if kept == -1 else at_low
            kept = -1
    return (low + high) / 2


def images_needed(
    difference: float,
    standard_error: float,
    n_images: int,
    *,
    comparisons: int = 1,
    unseen: float = USUAL_IOU,
) -> int | None:
    """Return how many images would find a true ``difference``, given the error seen on ``n_images``.

    The error shrinks with the root of the number of images. None where ``difference`` is 0, no
    error was seen, or a billion images would not do.
    """
    if difference == 0 or n_images < 2 or standard_error <= 0:
        return None

    def enough(images: int) -> bool:
        error = standard_error * math.sqrt(n_images / images)
        return detectable_by(error, images, comparisons=comparisons, unseen=unseen) <= abs(difference)

    most = 2
    while not enough(most):
        most *= 2
        if most > MOST_IMAGES:
            return None
    return bisect_left(range(most + 1), 1, lo=max(2, most // 2), key=lambda images: int(enough(images)))
