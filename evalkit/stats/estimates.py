"""Confidence distributions: an estimate that can say every limit and every one-sided p-value.

A gate asks "is the change below -0.02 with 95 % confidence?", a table asks for a 95 % interval and
a correction for many questions needs p-values. Each class answers all of them from one function and
its inverse: ``limit(level)``, the value that the truth lies below with confidence ``level``, and
``confidence_below(bound)``, the confidence that the truth lies below ``bound``. Here are those of amounts
(seconds, tokens, USD), which have no upper end; ``bounded.Bounded`` is that of shares. Pure.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from evalkit.types import Interval

if TYPE_CHECKING:
    from numpy.typing import NDArray


_STRAIGHT = 1e-9
"""Below this skewness the inverse of Hall's transformation divides zero by zero."""


class Estimate(Protocol):
    """A number measured on a sample of images, with what is known of its error."""

    @property
    def value(self) -> float:
        """The number itself."""

    def limit(self, level: float) -> float:
        """Return the value that the truth lies below with confidence ``level`` (0..1)."""

    def exact_limit(self, level: float) -> float:
        """Return the limit that decisions use: the inverse of the confidences, never too near."""

    def confidence_below(self, bound: float) -> float:
        """Return the confidence (0..1) that the truth lies below ``bound``."""

    def confidence_above(self, bound: float) -> float:
        """Return the confidence (0..1) that the truth lies above ``bound``."""


def interval_of(estimate: Estimate, confidence: float = 0.95, *, exact: bool = False) -> Interval:
    """Return the two-sided interval with half of ``1 - confidence`` in each tail; it holds the value.

    ``exact``: by the limits that decisions use, so that what is shown agrees with what was decided.
    """
    tail, limit = (1 - confidence) / 2, estimate.exact_limit if exact else estimate.limit
    return spanning(estimate.value, limit(tail), limit(1 - tail))


def spanning(value: float, low: float, high: float) -> Interval:
    """Return an interval that holds its own value: rounding may put a bound 1e-17 beyond it."""
    return Interval(value, min(low, value), max(high, value))


class _Amount(ABC):
    """An estimate whose confidences on both sides of a bound add to 1: it holds no counts to be careful with."""

    __slots__ = ()

    @abstractmethod
    def limit(self, level: float) -> float:
        """Return the limit of ``Estimate.limit``."""

    @abstractmethod
    def confidence_below(self, bound: float) -> float:
        """Return the confidence that the truth lies below ``bound``."""

    def exact_limit(self, level: float) -> float:
        """Return ``limit``: there is one kind."""
        return self.limit(level)

    def confidence_above(self, bound: float) -> float:
        """Return the confidence that the truth lies above ``bound``."""
        return 1 - self.confidence_below(bound)


@dataclass(frozen=True, slots=True, eq=False)
class Studentised(_Amount):
    """Bootstrap-t: ``pivots`` are (draw - value) / (standard error of that draw), sorted ascending.

    Efron & Tibshirani 1993, An Introduction to the Bootstrap, section 12.5. ``least`` is the least
    that the number can be. Needs a positive ``standard_error``.
    """

    value: float
    standard_error: float
    pivots: NDArray[np.float64]
    least: float

    def limit(self, level: float) -> float:
        """Return the limit of ``Estimate.limit``."""
        raw = self.value - float(np.quantile(self.pivots, 1 - level)) * self.standard_error
        return max(raw, self.least)

    def confidence_below(self, bound: float) -> float:
        """Return the share of pivots that make the truth lie below ``bound``, never exactly 0 or 1."""
        pivot = (self.value - bound) / self.standard_error
        at_least = self.pivots.size - int(np.searchsorted(self.pivots, pivot, side="left"))
        return (at_least + 0.5) / (self.pivots.size + 1)


@dataclass(frozen=True, slots=True, eq=False)
class Percentile(_Amount):
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
class Student(_Amount):
    """``value`` plus Student's t times ``standard_error``, never below ``least``."""

    value: float
    standard_error: float
    degrees_of_freedom: float
    least: float

    def limit(self, level: float) -> float:
        """Return the limit of ``Estimate.limit``."""
        from scipy.special import stdtrit

        return max(
            self.value + float(stdtrit(self.degrees_of_freedom, level)) * self.standard_error, self.least
        )

    def confidence_below(self, bound: float) -> float:
        """Return Student's distribution function at ``bound``; a step where the error is zero."""
        from scipy.special import stdtr

        if self.standard_error == 0:
            return float(np.heaviside(bound - self.value, 0.5))
        return float(stdtr(self.degrees_of_freedom, (bound - self.value) / self.standard_error))


@dataclass(frozen=True, slots=True)
class SkewCorrected(_Amount):
    """``value`` with a linearised error over many clusters, corrected for the skewness of what they add.

    Hall 1992, Journal of the Royal Statistical Society B 54(1), the monotone cubic transformation of the studentised
    value: the skewness that a studentised bootstrap finds by drawing, without draws. ``skewness``: that of
    the sum. Never below ``least``.
    """

    value: float
    standard_error: float
    skewness: float
    least: float

    @classmethod
    def of(cls, value: float, residuals: NDArray[np.float64], n_clusters: int, least: float) -> SkewCorrected:
        """Return the estimate whose error is the sum of ``residuals``, one for each of ``n_clusters`` (others are 0)."""
        squares = float((residuals**2).sum())
        skewness = float((residuals**3).sum()) / squares**1.5 if squares else 0.0
        return cls(value, float(np.sqrt(n_clusters / (n_clusters - 1) * squares)), skewness, least)

    def limit(self, level: float) -> float:
        """Return the limit of ``Estimate.limit``."""
        from scipy.special import ndtri

        score, third = float(ndtri(1 - level)) - self.skewness / 6, self.skewness / 3
        # The transformation's inverse; without skewness it is the straight line.
        pivot = (float(np.cbrt(1 + 3 * third * score)) - 1) / third if abs(third) > _STRAIGHT else score
        return max(self.value - pivot * self.standard_error, self.least)

    def confidence_below(self, bound: float) -> float:
        """Return the normal distribution function at the transformed ``bound``; a step where the error is zero."""
        from scipy.special import ndtr

        if self.standard_error == 0:
            return float(np.heaviside(bound - self.value, 0.5))
        pivot, third = (self.value - bound) / self.standard_error, self.skewness / 3
        score = pivot + third * pivot**2 + third**2 * pivot**3 / 3 + self.skewness / 6
        return float(ndtr(-score))


@dataclass(frozen=True, slots=True)
class SingleImage(_Amount):
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
