"""What a scoring protocol is, and the row arrays that most of them share."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from evalkit.metrics.truth import Truth
    from evalkit.types import Decoded, Sample

    BoolArray = NDArray[np.bool_]
    FloatArray = NDArray[np.float64]

Numbers = dict[str, float | None]
"""A protocol's results by name, each in 0..1 (a correlation in -1..1), None where undefined."""


def no_counts(decoded: Decoded, sample: Sample, truth: Truth) -> dict[str, float] | None:
    """Return None: the columns of scores.parquet are all that most protocols need."""
    del decoded, sample, truth
    return None


@dataclass(frozen=True, slots=True)
class Protocol:
    """One way from answers to a table's numbers.

    ``aggregate`` takes the answered rows of one model on one dataset (columns of scores.parquet).
    ``count`` returns what it needs of one answer beyond those columns, kept in the column
    ``protocol_counts`` as JSON text.
    """

    name: str
    source: str
    aggregate: Callable[[pd.DataFrame], Numbers]
    count: Callable[[Decoded, Sample, Truth], dict[str, float] | None] = no_counts


@dataclass(frozen=True, slots=True)
class MaskRows:
    """The mask counts of answered rows, each shape (n,); areas in pixels.

    ``empty``: the answer marks nothing on purpose (a refusal, or a mask without a pixel). A
    format failure or a block marks nothing either, but is no refusal: evaluators never saw one,
    and evalkit gives it no credit on a no-target sample.
    """

    intersection: FloatArray
    union: FloatArray
    no_target: BoolArray
    empty: BoolArray

    @property
    def iou(self) -> FloatArray:
        """Intersection over union, 0 where the union is 0."""
        return np.divide(self.intersection, self.union, out=np.zeros_like(self.union), where=self.union != 0)


def mask_rows(rows: pd.DataFrame, counts: pd.DataFrame | None = None) -> MaskRows | None:
    """Return the mask counts of ``rows``, or None where there are none (no rows, or answers of boxes alone).

    ``counts``: a frame with ``intersection`` and ``union`` that replaces the columns of ``rows``, and
    ``pred_area`` where emptiness is counted elsewhere than on the image's own pixels.
    """
    source = rows if counts is None else counts
    if len(rows) == 0 or "intersection" not in source:
        return None
    intersection = source["intersection"].to_numpy(dtype=np.float64, na_value=np.nan)
    union = source["union"].to_numpy(dtype=np.float64, na_value=np.nan)
    if np.isnan(intersection).any():
        return None
    outcome = rows["outcome"].to_numpy(dtype=object)
    areas = source if "pred_area" in source else rows
    drawn_nothing = (outcome == "decoded") & (areas["pred_area"].to_numpy(dtype=np.float64) == 0)
    return MaskRows(
        intersection,
        union,
        rows["no_target"].to_numpy(dtype=bool),
        np.asarray((outcome == "no_target") | drawn_nothing, dtype=bool),
    )


def protocol_counts(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the column ``protocol_counts`` as a frame, one row per row of ``rows``."""
    import pandas as pd

    return pd.DataFrame(
        [json.loads(text) if isinstance(text, str) else {} for text in rows["protocol_counts"]]
    )


def share(condition: BoolArray, among: BoolArray) -> float | None:
    """Return the share of ``among`` that meets ``condition``, None where there is none."""
    return float(condition[among].mean()) if among.any() else None


def mean(values: FloatArray) -> float | None:
    """Return the mean, None of nothing."""
    return float(values.mean()) if values.size else None


def ratio(above: float, below: float) -> float | None:
    """Return above / below, None where below is 0."""
    return float(above / below) if below else None
