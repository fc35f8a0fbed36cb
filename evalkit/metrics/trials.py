"""Repeated questions: how far the answers of one model to one question agree. Pure.

Agreement of one trial is the mean IoU of its prediction with those of the other trials, over the
pairs in which both could be read. A refusal is an empty mask: two refusals agree fully, a refusal
and a mask not at all. It needs no ground truth.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

from evalkit.masks import area, crop_intersection
from evalkit.types import CropMask, Decoded

if TYPE_CHECKING:
    import pandas as pd

READABLE = ("decoded", "no_target")


def agreements(trials: Sequence[Decoded | None]) -> list[float | None]:
    """Return the agreement of each trial with the others, None where no pair could be read."""
    return [
        _mean([_pair_iou(one, other) for j, other in enumerate(trials) if j != i])
        for i, one in enumerate(trials)
    ]


def _pair_iou(one: Decoded | None, other: Decoded | None) -> float | None:
    if one is None or other is None or one.outcome not in READABLE or other.outcome not in READABLE:
        return None
    first, second = one.mask, other.mask
    areas = _area(first) + _area(second)
    if areas == 0:
        return 1.0
    shared = 0 if first is None or second is None else crop_intersection(first, second)
    return shared / (areas - shared)


def _area(mask: CropMask | None) -> int:
    return 0 if mask is None else area(mask)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def spread_of_trials(rows: pd.DataFrame) -> dict[str, Any] | None:
    """Return how the answered rows of one model vary between trials, None where there is one trial.

    ``giou_by_trial``: the mean IoU of each trial; ``giou_sd``: their sample standard deviation;
    ``iou_sd_within_sample``: the standard deviation of IoU over the trials of one sample, pooled: the
    root of the samples' variances averaged by their degrees of freedom. (The mean of standard deviations is too
    small wherever samples differ in how much they vary.)
    """
    k = int(rows["trial"].max()) + 1 if len(rows) else 1
    if k == 1:
        return None
    scored = rows[rows["iou"].notna()]
    by_trial = [float(value) for value in scored.groupby("trial")["iou"].mean()]
    samples = scored.groupby("sample_id")["iou"]
    freedom = int((samples.count() - 1).sum())
    squares = float((samples.var() * (samples.count() - 1)).sum())
    return {
        "k": k,
        "giou_by_trial": by_trial,
        "giou_sd": stdev(by_trial) if len(by_trial) > 1 else None,
        "iou_sd_within_sample": math.sqrt(squares / freedom) if freedom else None,
    }
