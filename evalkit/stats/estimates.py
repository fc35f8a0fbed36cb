"""Confidence distributions: an estimate that can say every limit and every one-sided p-value.

A gate asks "is the change below -0.02 with 95 % confidence?", a table asks for a 95 % interval and
a correction for many questions needs p-values. Each class answers all three from one function and
its inverse: ``limit(level)``, the value that the truth lies below with confidence ``level``, and
``confidence_below(bound)``, the confidence that the truth lies below ``bound``. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from evalkit.types import Interval

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Estimate(Protocol):
    """A number measured on a sample of images, with what is known of its error."""

    @property
    def value(self) -> float:
        """The number itself."""

    def limit(self, level: float) -> float:
        """Return the value that the truth lies below with confidence ``level`` (0..1)."""

    def confidence_below(self, bound: float) -> float:
        """Return the confidence (0..1) that the truth lies below ``bound``: the inverse of ``limit``."""


def interval_of(estimate: Estimate, confidence: float = 0.95) -> Interval:
    """Return the two-sided interval with half of ``1 - confidence`` in each tail."""
    tail = (1 - confidence) / 2
    return Interval(estimate.value, estimate.limit(tail), estimate.limit(1 - tail))


@dataclass(frozen=True, slots=True, eq=False)
class Studentised:
    """Bootstrap-t: ``pivots`` are (draw - value) / (standard error of that draw), sorted ascending.

    Efron & Tibshirani 1993, An Introduction to the Bootstrap, section 12.5. ``least`` and ``most``
    bound what the number can be. Needs a positive ``standard_error``.
    """

    value: float
    standard_error: float
    pivots: NDArray[np.float64]
    least: float
    most: float

    def limit(self, level: float) -> float:
        """Return the limit of ``Estimate.limit``."""
        raw = self.value - float(np.quantile(self.pivots, 1 - level)) * self.standard_error
        return float(np.clip(raw, self.least, self.most))

    def confidence_below(self, bound: float) -> float:
        """Return the share of pivots that make the truth lie below ``bound``, never exactly 0 or 1."""
        pivot = (self.value - bound) / self.standard_error
        at_least = self.pivots.size - int(np.searchsorted(self.pivots, pivot, side="left"))
        return (at_least + 0.5) / (self.pivots.size + 1)


@dataclass(frozen=True, slots=True, eq=False)
class Percentile:
    """Bootstrap percentiles, widened for few clusters; ``drawn`` are the draws, sorted ascending.

    The plain percentile interval is as narrow as a normal interval that divides by n; the tails
    are moved so that it matches Student's t on n - 1 (Hesterberg 2015, What Teachers Should Know
    About the Bootstrap, section 5.3, "expanded percentile interval").
    """

    value: float
    drawn: NDArray[np.float64]
    n_clusters: int

    def limit(self, level: float) -> float:
        """Return the limit of ``Estimate.limit``."""
        from scipy.special import ndtr, stdtrit

        tail = ndtr(stdtrit(self.n_clusters - 1, level) * self._expansion())
        return float(np.quantile(self.drawn, tail))

    def confidence_below(self, bound: float) -> float:
        """Return the confidence from the share of draws below ``bound`` (ties count half)."""
        from scipy.special import ndtri, stdtr

        below = np.searchsorted(self.drawn, bound, side="left")
        up_to = np.searchsorted(self.drawn, bound, side="right")
        share = ((below + up_to) / 2 + 0.5) / (self.drawn.size + 1)
        return float(stdtr(self.n_clusters - 1, ndtri(share) / self._expansion()))

    def _expansion(self) -> float:
        return float(np.sqrt(self.n_clusters / (self.n_clusters - 1)))


@dataclass(frozen=True, slots=True)
class Student:
    """``centre`` plus Student's t times ``standard_error``, within ``least``..``most``.

    ``value`` is what is reported; ``centre`` differs from it where pseudo-observations pull the
    middle of the interval towards zero (see ``stats.bootstrap.paired_differences``).
    """

    value: float
    centre: float
    standard_error: float
    degrees_of_freedom: float
    least: float
    most: float

    def limit(self, level: float) -> float:
        """Return the limit of ``Estimate.limit``."""
        from scipy.special import stdtrit

        raw = self.centre + float(stdtrit(self.degrees_of_freedom, level)) * self.standard_error
        return float(np.clip(raw, self.least, self.most))

    def confidence_below(self, bound: float) -> float:
        """Return Student's distribution function at ``bound``; a step where the error is zero."""
        from scipy.special import stdtr

        if self.standard_error == 0:
            return float(np.heaviside(bound - self.centre, 0.5))
        return float(stdtr(self.degrees_of_freedom, (bound - self.centre) / self.standard_error))


@dataclass(frozen=True, slots=True)
class Wilson:
    """The score interval of a share, with a design effect: never [0, 0] for a count of zero.

    ``effective_n`` is the number of independent answers that would give the observed error
    (Kish 1965); with it the score interval (Wilson 1927) holds its level for clustered rare events
    where a bootstrap cannot (Franco et al. 2019, J. Surv. Stat. Methodol. 7(3)).
    ``degrees_of_freedom`` is that of the observed error, infinite where none was observed.
    """

    value: float
    effective_n: float
    degrees_of_freedom: float

    def limit(self, level: float) -> float:
        """Return the limit of ``Estimate.limit``."""
        quantile = _t_quantile(self.degrees_of_freedom, level)
        squared, share, n = quantile * quantile, self.value, self.effective_n
        middle = (share + squared / (2 * n)) / (1 + squared / n)
        half = abs(quantile) * np.sqrt(share * (1 - share) / n + squared / (4 * n * n)) / (1 + squared / n)
        return float(np.clip(middle + np.sign(quantile) * half, 0.0, 1.0))

    def confidence_below(self, bound: float) -> float:
        """Return the confidence of the score test at ``bound``."""
        if not 0 < bound < 1:
            return float(bound >= 1)
        score = (bound - self.value) / np.sqrt(bound * (1 - bound) / self.effective_n)
        return _t_share(self.degrees_of_freedom, float(score))


@dataclass(frozen=True, slots=True)
class SingleImage:
    """A mean duration, cost or count from one image: all that is known is that it is not negative.

    The interval is that of one exponential observation (value over chi-square of 2 degrees of
    freedom, halved): wide, as it must be.
    """

    value: float

    def limit(self, level: float) -> float:
        """Return the limit of ``Estimate.limit``."""
        return float(self.value / -np.log(level))

    def confidence_below(self, bound: float) -> float:
        """Return the confidence that the mean lies below ``bound``."""
        return float(np.exp(-self.value / bound)) if bound > 0 else 0.0


def _t_quantile(degrees_of_freedom: float, level: float) -> float:
    from scipy.special import ndtri, stdtrit

    infinite = np.isinf(degrees_of_freedom)
    return float(ndtri(level) if infinite else stdtrit(degrees_of_freedom, level))


def _t_share(degrees_of_freedom: float, quantile: float) -> float:
    from scipy.special import ndtr, stdtr

    infinite = np.isinf(degrees_of_freedom)
    return float(ndtr(quantile) if infinite else stdtr(degrees_of_freedom, quantile))
