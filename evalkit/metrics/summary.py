"""The results of a run: one record per (model, dataset, slice), as summary.json holds them. Pure.

Definitions are those of the design: every rate and mean is over **answered** requests (decoded,
no_target, format_failure, blocked), with its 95 % interval from a bootstrap over images. Rows
that were not run or whose data was at fault stand outside every mean and are counted apart.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from evalkit.metrics.protocols import find_protocol
from evalkit.metrics.trials import spread_of_trials
from evalkit.stats.bootstrap import ratio_intervals

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from evalkit.types import Interval

    BoolArray = NDArray[np.bool_]
    FloatArray = NDArray[np.float64]
    Ratios = dict[str, tuple[FloatArray, FloatArray]]

ANSWERED = ("decoded", "no_target", "format_failure", "blocked")
"""Outcomes that count: the model was asked and said something, or refused to."""

PRECISION_THRESHOLDS = ("0.5", "0.6", "0.7", "0.8", "0.9")
"""Share of targeted rows with IoU >= t."""

SIZE_LIMITS_PX2 = {"small": (0, 32**2), "medium": (32**2, 96**2), "large": (96**2, float("inf"))}
"""Target areas in pixels, lower limit included; cocodataset/cocoapi cocoeval.py Params, 8c9bcc3cf640."""

MAX_TAG_VALUES = 50
"""A tag with more values than this is an identifier, not a slice."""

AMOUNTS = frozenset({"latency_s", "input_tokens", "output_tokens", "thought_tokens"})
"""Metrics that are means of amounts; all others lie in 0..1 by definition."""

LATENCY_PERCENTILES = (50, 90, 95, 99)


def summarise(
    scores: pd.DataFrame, *, seed: int, protocols: Mapping[str, str], slices: list[str] | None
) -> list[dict[str, Any]]:
    """Return the ``results`` of summary.json from the rows of scores.parquet.

    ``protocols``: dataset name -> protocol name (``default`` where absent). ``slices``: the tags to
    slice by, None = every tag with 2 to 50 values. Order: models and datasets as they first
    appear, ``all`` before the slices. Raises ``ConfigError`` on an unknown protocol.
    """
    groups = scores.groupby(["model", "dataset"], sort=False)
    rows_of = {(str(model), str(dataset)): rows for (model, dataset), rows in groups}
    chosen = {place: slice_rows(rows, slices) for place, rows in rows_of.items()}
    places = [(place, name) for place, parts in chosen.items() for name in parts]
    # Slice by slice, so that the models of a slice share its draws (evalkit.stats.bootstrap keeps the last ones).
    numbers = {
        (place, name): _result(rows_of[place][chosen[place][name]], seed, protocols.get(place[1], "default"))
        for place, name in sorted(places, key=lambda entry: (entry[0][1], entry[1]))
    }
    return [
        {"model": model, "dataset": dataset, "slice": name, **numbers[(model, dataset), name]}
        for (model, dataset), name in places
    ]


def slice_rows(rows: pd.DataFrame, wanted: list[str] | None) -> dict[str, BoolArray]:
    """Return slice name -> rows of it, for ``all`` and every ``tag=value``."""
    parsed = {text: json.loads(text) if isinstance(text, str) else {} for text in rows["tags"].unique()}
    tags = [parsed[text] for text in rows["tags"]]
    names = sorted({name for values in parsed.values() for name in values})
    slices = {"all": np.ones(len(rows), dtype=bool)}
    for tag in names if wanted is None else wanted:
        values = np.array([str(row.get(tag, "")) for row in tags], dtype=object)
        present = np.array([tag in row for row in tags])
        distinct = sorted(set(values[present]))
        if wanted is None and not 2 <= len(distinct) <= MAX_TAG_VALUES:
            continue
        for value in distinct:
            slices[f"{tag}={value}"] = present & (values == value)
    return slices


def _result(rows: pd.DataFrame, seed: int, protocol: str) -> dict[str, Any]:
    """Return the numbers of the rows of one model in one slice of one dataset."""
    ratios = row_ratios(rows)
    above, below = (np.stack([pair[side] for pair in ratios.values()]) for side in (0, 1))
    images = rows["image_id"].to_numpy(dtype=str)
    shares = [metric not in AMOUNTS for metric in ratios]
    intervals = ratio_intervals(above, below, images, seed=seed, shares=shares)
    measured = dict(zip(ratios, intervals, strict=True))
    return _record(rows, measured) | _protocol_record(rows, protocol)


def row_ratios(rows: pd.DataFrame) -> Ratios:
    """Return metric -> (numerators, denominators), one entry per row."""
    outcome = rows["outcome"].to_numpy(dtype=object)
    answered = np.isin(outcome.astype(str), ANSWERED)
    strict = np.array([value is True or value == 1 for value in rows["strict"]])
    return {
        **_mask_ratios(rows, outcome, answered),
        **_target_ratios(rows, outcome, answered),
        "box_accuracy_0.5": _mean(_numbers(rows, "box_iou"), answered, at_least=0.5),
        "box_iou": _mean(_numbers(rows, "box_iou"), answered),
        "trial_agreement": _mean(_numbers(rows, "trial_agreement"), answered),
        "format_failure_rate": _share(outcome == "format_failure", answered),
        "blocked_rate": _share(outcome == "blocked", answered),
        "strict_failure_rate": _share(~strict, answered),
        "latency_s": _mean(_numbers(rows, "latency_s"), answered),
        "input_tokens": _mean(_numbers(rows, "input_tokens"), answered),
        "output_tokens": _mean(_numbers(rows, "output_tokens"), answered),
        "thought_tokens": _mean(_numbers(rows, "thought_tokens"), answered),
    }


def _mask_ratios(rows: pd.DataFrame, outcome: NDArray[np.object_], answered: BoolArray) -> Ratios:
    """Return the metrics of masks; undefined where an answer was boxes alone (the box task)."""
    iou = _numbers(rows, "iou")
    if np.isnan(iou[outcome == "decoded"]).any():
        answered = np.zeros_like(answered)
    targeted = answered & ~rows["no_target"].to_numpy(dtype=bool)
    readable = answered & np.isin(outcome.astype(str), ("decoded", "no_target"))
    area_px = _numbers(rows, "gt_area")
    ratios = {
        "giou": _mean(iou, answered),
        "giou_decoded": _mean(iou, readable),
        "giou_targeted": _mean(iou, targeted),
        "ciou": _sums(_numbers(rows, "intersection"), _numbers(rows, "union"), answered),
        "boundary_iou": _mean(_numbers(rows, "boundary_iou"), targeted),
    }
    for threshold in PRECISION_THRESHOLDS:
        ratios[f"precision_at {threshold}"] = _mean(iou, targeted, at_least=float(threshold))
    for size, (low, high) in SIZE_LIMITS_PX2.items():
        ratios[f"giou_by_size {size}"] = _mean(iou, targeted & (area_px >= low) & (area_px < high))
    return ratios


def _target_ratios(rows: pd.DataFrame, outcome: NDArray[np.object_], answered: BoolArray) -> Ratios:
    """Return how well targets were told from none: a failure is neither a refusal nor a find."""
    no_target = rows["no_target"].to_numpy(dtype=bool)
    refusable = answered & no_target
    findable = answered & ~no_target if refusable.any() else np.zeros_like(answered)
    hits, spare, missed = (_numbers(rows, f"instance_{kind}") for kind in ("tp", "fp", "fn"))
    return {
        "n_acc": _share(outcome == "no_target", refusable),
        "t_acc": _share(outcome == "decoded", findable),
        "instance_f1": _sums(2 * hits, 2 * hits + spare + missed, answered),
    }


def _numbers(rows: pd.DataFrame, column: str) -> FloatArray:
    """Return a column as floats, nan where it is null or absent."""
    import pandas as pd

    if column not in rows:
        return np.full(len(rows), np.nan)
    numbers: FloatArray = pd.to_numeric(rows[column]).to_numpy(dtype=np.float64, na_value=np.nan)
    return numbers


def _share(condition: BoolArray, among: BoolArray) -> tuple[FloatArray, FloatArray]:
    return (condition & among).astype(np.float64), among.astype(np.float64)


def _mean(
    values: FloatArray, among: BoolArray, at_least: float | None = None
) -> tuple[FloatArray, FloatArray]:
    counted = among & ~np.isnan(values)
    if at_least is not None:
        return _share(values >= at_least, counted)
    return np.where(counted, values, 0.0), counted.astype(np.float64)


def _sums(above: FloatArray, below: FloatArray, among: BoolArray) -> tuple[FloatArray, FloatArray]:
    counted = among & ~np.isnan(above) & ~np.isnan(below)
    return np.where(counted, above, 0.0), np.where(counted, below, 0.0)


def _record(rows: pd.DataFrame, measured: Mapping[str, Interval | None]) -> dict[str, Any]:
    """Return the counts and metrics of one result, in the order people read them."""
    values = {metric: None if found is None else found.to_json() for metric, found in measured.items()}
    outcome = rows["outcome"]
    no_target = rows["no_target"].to_numpy(dtype=bool)
    plain = (
        *("giou", "giou_decoded", "giou_targeted", "ciou", "boundary_iou", "box_accuracy_0.5", "box_iou"),
        *("n_acc", "t_acc", "instance_f1", "format_failure_rate", "strict_failure_rate", "blocked_rate"),
    )
    return {
        "n": len(rows),
        "n_images": int(rows["image_id"].nunique()),
        "n_answered": int(outcome.isin(ANSWERED).sum()),
        "n_not_run": int((outcome == "not_run").sum()),
        "n_data_error": int((outcome == "data_error").sum()),
        "n_targeted": int((~no_target).sum()),
        "n_no_target": int(no_target.sum()),
        **{metric: values[metric] for metric in plain},
        "precision_at": {t: values[f"precision_at {t}"] for t in PRECISION_THRESHOLDS},
        "giou_by_size": {size: values[f"giou_by_size {size}"] for size in SIZE_LIMITS_PX2},
        "outcomes": _counts(outcome),
        "failures": _counts(rows["failure"].dropna()),
        "wire_formats": _counts(rows["wire_formats"].map(_distinct).explode().dropna()),
        "latency_s": _latency(rows, values["latency_s"]),
        "tokens": _tokens(rows, values),
        "cost_usd": _total(rows, "cost_usd"),
        "model_versions": _counts(rows["model_version"].dropna()) if "model_version" in rows else {},
        "trials": _trials(rows, values["trial_agreement"]),
    }


def _trials(rows: pd.DataFrame, agreement: dict[str, float] | None) -> dict[str, Any] | None:
    """Return how repeated questions vary, None where each was asked once."""
    spread = spread_of_trials(rows[rows["outcome"].isin(ANSWERED)])
    return None if spread is None else {**spread, "agreement": agreement}


def _protocol_record(rows: pd.DataFrame, protocol: str) -> dict[str, Any]:
    """Return ``{"protocol": {"name": ..., its numbers}}``, nothing under ``default``."""
    if protocol == "default":
        return {}
    answered = rows[rows["outcome"].isin(ANSWERED)]
    numbers: dict[str, float | None] = find_protocol(protocol).aggregate(answered)
    return {"protocol": {"name": protocol, **numbers}}


def _counts(values: pd.Series[Any]) -> dict[str, int]:
    """Return how often each value occurs, the most frequent first, equal ones by name."""
    counted = {str(value): int(n) for value, n in values.value_counts().items()}
    return dict(sorted(counted.items(), key=lambda pair: (-pair[1], pair[0])))


def _distinct(wire_formats: Any) -> list[str]:
    return sorted(set(wire_formats)) if wire_formats is not None else []


def _latency(rows: pd.DataFrame, mean: dict[str, float] | None) -> dict[str, Any]:
    """Return the mean with its interval and plain percentiles of the answered requests, in seconds."""
    seconds = _numbers(rows, "latency_s")[rows["outcome"].isin(ANSWERED).to_numpy(dtype=bool)]
    known = seconds[~np.isnan(seconds)]
    found = {
        f"p{percent}": float(np.percentile(known, percent)) if known.size else None
        for percent in LATENCY_PERCENTILES
    }
    return {"mean": mean, **found}


def _tokens(rows: pd.DataFrame, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the totals (integers, null where not reported) and the means per answered request."""
    kinds = ("input", "output", "thought")
    totals = {kind: _total(rows, f"{kind}_tokens") for kind in kinds}
    return {
        **{kind: None if total is None else round(total) for kind, total in totals.items()},
        **{f"{kind}_mean": values[f"{kind}_tokens"] for kind in kinds},
    }


def _total(rows: pd.DataFrame, column: str) -> float | None:
    numbers = _numbers(rows, column)
    return None if np.isnan(numbers).all() else float(np.nansum(numbers))
