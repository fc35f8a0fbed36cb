"""How small a difference a number of images can tell, and how many a difference needs. Pure.

Assumptions, all changeable: two models answer the same expressions; the per-expression difference
of IoU has standard deviation ``SD_OF_DIFFERENCES``; expressions of one image share
``INTRA_IMAGE_CORRELATION`` of its variance; the mean of the images' sums is close to normal.
The two constants are assumptions, not measurements: IoU of one model has a standard
deviation of about 0.3 wherever some answers fail and most are good, and two models that agree on
which samples are hard (correlation 0.5) differ by 0.3 * sqrt(2 * (1 - 0.5)) = 0.3. Once a run
exists, ``detectable_by`` uses its own error and none of this.
"""

from __future__ import annotations

import math

SD_OF_DIFFERENCES = 0.30
INTRA_IMAGE_CORRELATION = 0.2


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
) -> float:
    """Return the smallest true difference of mean IoU that is found with probability ``power``.

    ``sd``: standard deviation of the per-expression difference. ``alpha``: false alarms allowed,
    shared by ``comparisons`` tests; ``sides``: 2 for "different", 1 for "worse" (the gate, where the
    figure comes on top of the allowed drop). The variance of the mean is
    sd^2 (1 + (m - 1) rho) / (n m) for m expressions per image (Kish 1965, Survey Sampling).
    Infinite below two images.
    """
    design_effect = 1 + (expressions_per_image - 1) * intra_image_correlation
    error = sd * math.sqrt(design_effect / (max(n_images, 1) * expressions_per_image))
    return detectable_by(error, n_images, alpha=alpha, power=power, sides=sides, comparisons=comparisons)


def detectable_by(
    standard_error: float,
    n_images: int,
    *,
    alpha: float = 0.05,
    power: float = 0.8,
    sides: int = 2,
    comparisons: int = 1,
) -> float:
    """Return the smallest difference that a comparison with this ``standard_error`` finds.

    The true difference at which Student's t on ``n_images`` - 1, shifted by it, passes the critical
    value with probability ``power`` (noncentral t, approximated by two central quantiles:
    Machin et al. 2018, Sample Sizes for Clinical, Laboratory and Epidemiology Studies, chapter 5).
    """
    from scipy.stats import t

    if n_images < 2:
        return math.inf
    freedom = n_images - 1
    quantiles = t.ppf(1 - alpha / (sides * comparisons), freedom) + t.ppf(power, freedom)
    return float(quantiles) * standard_error


def images_needed(
    difference: float,
    standard_error: float,
    n_images: int,
    *,
    alpha: float = 0.05,
    power: float = 0.8,
    sides: int = 2,
    comparisons: int = 1,
) -> int | None:
    """Return how many images would find a true ``difference``, given the error seen on ``n_images``.

    The error shrinks with the root of the number of images. None where ``difference`` is 0 or no
    error was seen.
    """
    if difference == 0 or n_images < 2 or standard_error <= 0:
        return None
    detectable = detectable_by(
        standard_error, n_images, alpha=alpha, power=power, sides=sides, comparisons=comparisons
    )
    return max(2, math.ceil(n_images * (detectable / abs(difference)) ** 2))
