"""The rows of one model as arrays, and the three kinds of ratio that every metric is. Pure.

A metric is a pair of arrays, (numerators, denominators), one entry per row; its value is sum over sum. So every
metric has the same bootstrap, the same paired difference and the same test.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from evalkit.decoding.codes import ANSWERED

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    BoolArray = NDArray[np.bool_]
    FloatArray = NDArray[np.float64]
    Columns = tuple[FloatArray, FloatArray]
    """(numerators, denominators), each shape (rows,)."""


class AnswerRows:
    """Rows of scores.parquet with the groups that metrics are taken over, each of shape (rows,)."""

    def __init__(self, rows: pd.DataFrame) -> None:
        self.rows = rows

    def numbers(self, column: str) -> FloatArray:
        """Return a column as floats, nan where it is null or absent."""
        import pandas as pd

        if column not in self.rows:
            return np.full(len(self.rows), np.nan)
        numbers: FloatArray = pd.to_numeric(self.rows[column]).to_numpy(dtype=np.float64, na_value=np.nan)
        return numbers

    @cached_property
    def outcome(self) -> NDArray[np.str_]:
        """The outcome of each row."""
        return self.rows["outcome"].to_numpy(dtype=object).astype(str)

    @cached_property
    def answered(self) -> BoolArray:
        """Rows whose request was answered: the denominator of every rate."""
        return np.isin(self.outcome, ANSWERED)

    @cached_property
    def no_target(self) -> BoolArray:
        """Rows whose expression nothing in the image fits."""
        return self.rows["no_target"].to_numpy(dtype=bool)

    @cached_property
    def iou(self) -> FloatArray:
        """IoU of the masks, nan where there is none."""
        return self.numbers("iou")

    @cached_property
    def masked(self) -> BoolArray:
        """Answered rows, none at all where an answer was boxes alone: masks are then undefined (the box task)."""
        boxes_alone = np.isnan(self.iou[self.outcome == "decoded"]).any()
        return np.zeros_like(self.answered) if boxes_alone else self.answered

    @cached_property
    def readable(self) -> BoolArray:
        """Rows of ``masked`` that could be read."""
        return self.masked & np.isin(self.outcome, ("decoded", "no_target"))

    @cached_property
    def targeted(self) -> BoolArray:
        """Rows of ``masked`` whose expression has a target."""
        return self.masked & ~self.no_target

    def of_size(self, low_px: float, high_px: float) -> BoolArray:
        """Return the rows of ``targeted`` whose target has ``low_px`` up to below ``high_px`` pixels."""
        area_px = self.numbers("gt_area")
        return self.targeted & (area_px >= low_px) & (area_px < high_px)

    @cached_property
    def refusable(self) -> BoolArray:
        """Answered rows that are right to refuse."""
        return self.answered & self.no_target

    @cached_property
    def findable(self) -> BoolArray:
        """Answered rows with a target, none where there is nothing to refuse."""
        return self.answered & ~self.no_target if self.refusable.any() else np.zeros_like(self.answered)

    @cached_property
    def strict(self) -> BoolArray:
        """Rows whose answer is exactly what the prompt asked for."""
        return np.array([value is True or value == 1 for value in self.rows["strict"]], dtype=bool)

    def codes(self, family: str) -> list[frozenset[str]]:
        """Return the codes of each row: its failure, its wire formats or its outcome."""
        if family == "wire_formats":
            found = self.rows["wire_formats"].tolist()
            # Rows read from a file share their lists; each is made a set once.
            sets = {
                id(codes): frozenset() if codes is None else frozenset(map(str, codes)) for codes in found
            }
            return [sets[id(codes)] for codes in found]
        column = self.rows["failure" if family == "failures" else "outcome"].tolist()
        known = {code: frozenset((code,)) for code in set(column) if isinstance(code, str)}
        return [known.get(code, frozenset()) for code in column]


def share(condition: BoolArray, among: BoolArray) -> Columns:
    """Return the share of ``among`` that meets ``condition``."""
    return (condition & among).astype(np.float64), among.astype(np.float64)


def mean(values: FloatArray, among: BoolArray) -> Columns:
    """Return the mean of ``values`` over ``among``; rows where it is nan stand outside."""
    counted = among & ~np.isnan(values)
    return np.where(counted, values, 0.0), counted.astype(np.float64)


def reaching(threshold: float, values: FloatArray, among: BoolArray) -> Columns:
    """Return the share of ``among`` with ``values`` at or above ``threshold``; rows where it is nan stand outside."""
    return share(values >= threshold, among & ~np.isnan(values))


def ratio(above: FloatArray, below: FloatArray, among: BoolArray) -> Columns:
    """Return sum over sum of ``among``; rows where either is nan stand outside."""
    counted = among & ~np.isnan(above) & ~np.isnan(below)
    return np.where(counted, above, 0.0), np.where(counted, below, 0.0)
