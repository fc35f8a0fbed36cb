"""The results of a run: one record per (model, dataset, slice), as summary.json holds them. Pure.

Definitions are those of the design: every rate and mean is over **answered** requests (decoded,
no_target, format_failure, blocked), with its 95 % interval over images. Rows
that were not run or whose data was at fault stand outside every mean and are counted apart.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from evalkit.decoding.codes import ANSWERED
from evalkit.metrics.answers import AnswerRows
from evalkit.metrics.names import metric_of
from evalkit.metrics.protocol_numbers import protocol_intervals
from evalkit.metrics.protocols import find_protocol
from evalkit.metrics.table import METRICS, Metric
from evalkit.metrics.trials import spread_of_trials
from evalkit.stats.bootstrap import ratio_intervals

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    BoolArray = NDArray[np.bool_]

MAX_TAG_VALUES = 50
"""A tag with more values than this is an identifier, not a slice."""

LATENCY_PERCENTILES = (50, 90, 95, 99)


def summarise(
    scores: pd.DataFrame,
    *,
    seed: int,
    protocols: Mapping[str, str],
    slices: list[str] | None,
    own_metrics: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """Return the ``results`` of summary.json from the rows of scores.parquet.

    ``protocols``: dataset name -> protocol name (``default`` where absent). ``slices``: the tags to
    slice by, None = every tag with 2 to 50 values. ``own_metrics``: names of metrics that
    the table does not hold, each under ``metrics`` of a result. Order: models and datasets as they first
    appear, ``all`` before the slices. Raises ``ConfigError`` on an unknown protocol or metric.
    """
    groups = scores.groupby(["model", "dataset"], sort=False)
    rows_of = {(str(model), str(dataset)): rows for (model, dataset), rows in groups}
    chosen = {place: slice_rows(rows, slices) for place, rows in rows_of.items()}
    places = [(place, name) for place, parts in chosen.items() for name in parts]
    # Slice by slice, so that the models of a slice share its draws (evalkit.stats.bootstrap keeps the last ones).
    metrics = [metric for metric in METRICS if metric.path] + [metric_of(name) for name in own_metrics]
    numbers = {
        (place, name): _result(
            rows_of[place][chosen[place][name]], metrics, seed, protocols.get(place[1], "default")
        )
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


def _result(rows: pd.DataFrame, metrics: Sequence[Metric], seed: int, protocol: str) -> dict[str, Any]:
    """Return the numbers of the rows of one model in one slice of one dataset."""
    taken = AnswerRows(rows)
    ratios = [metric.columns(taken) for metric in metrics]
    above, below = (np.stack([pair[side] for pair in ratios]) for side in (0, 1))
    images = rows["image_id"].to_numpy(dtype=str)
    intervals = ratio_intervals(
        above, below, images, seed=seed, shares=[metric.is_share for metric in metrics]
    )
    values = {
        metric.path: None if found is None else found.to_json()
        for metric, found in zip(metrics, intervals, strict=True)
    }
    return _record(taken, values) | _protocol_record(rows, protocol, seed)


def _record(taken: AnswerRows, values: Mapping[tuple[str, ...], Any]) -> dict[str, Any]:
    """Return the counts and metrics of one result, in the order people read them. ``values``: by ``Metric.path``."""
    rows = taken.rows
    outcome = rows["outcome"]
    groups: dict[str, dict[str, Any]] = {}
    for path, value in values.items():
        if len(path) > 1:
            groups.setdefault(path[0], {})[path[1]] = value
    measured = {name: groups.pop(name) for name in ("latency_s", "tokens", "trials")}
    return {
        "n": len(rows),
        "n_images": int(rows["image_id"].nunique()),
        "n_answered": int(outcome.isin(ANSWERED).sum()),
        "n_not_run": int((outcome == "not_run").sum()),
        "n_data_error": int((outcome == "data_error").sum()),
        "n_targeted": int((~taken.no_target).sum()),
        "n_no_target": int(taken.no_target.sum()),
        **{path[0]: value for path, value in values.items() if len(path) == 1},
        **groups,
        "outcomes": _counts(outcome),
        "failures": _counts(rows["failure"].dropna()),
        "wire_formats": _counts(rows["wire_formats"].map(_distinct).explode().dropna()),
        "latency_s": measured["latency_s"] | _latency_percentiles(taken),
        "tokens": _token_totals(taken) | measured["tokens"],
        "cost_usd": _total(taken, "cost_usd"),
        "n_cost_unknown": int((taken.answered & np.isnan(taken.numbers("cost_usd"))).sum()),
        "model_versions": _counts(rows["model_version"].dropna()) if "model_version" in rows else {},
        "trials": _trials(rows, measured["trials"]),
    }


def _trials(rows: pd.DataFrame, measured: dict[str, Any]) -> dict[str, Any] | None:
    """Return how repeated questions vary, None where each was asked once."""
    spread = spread_of_trials(rows[rows["outcome"].isin(ANSWERED)])
    return None if spread is None else {**spread, **measured}


def _protocol_record(rows: pd.DataFrame, protocol: str, seed: int) -> dict[str, Any]:
    """Return ``{"protocol": {"name": ..., its numbers with their intervals}}``, nothing under ``default``."""
    if protocol == "default":
        return {}
    found = protocol_intervals(rows, find_protocol(protocol), seed=seed)
    intervals = {key: None if interval is None else interval.to_json() for key, interval in found.items()}
    return {"protocol": {"name": protocol, **intervals}}


def _counts(values: pd.Series[Any]) -> dict[str, int]:
    """Return how often each value occurs, the most frequent first, equal ones by name."""
    counted = {str(value): int(n) for value, n in values.value_counts().items()}
    return dict(sorted(counted.items(), key=lambda pair: (-pair[1], pair[0])))


def _distinct(wire_formats: Any) -> list[str]:
    return sorted(set(wire_formats)) if wire_formats is not None else []


def _latency_percentiles(taken: AnswerRows) -> dict[str, float | None]:
    """Return plain percentiles of the answered requests, in seconds."""
    seconds = taken.numbers("latency_s")[taken.answered]
    known = seconds[~np.isnan(seconds)]
    return {
        f"p{percent}": float(np.percentile(known, percent)) if known.size else None
        for percent in LATENCY_PERCENTILES
    }


def _token_totals(taken: AnswerRows) -> dict[str, int | None]:
    """Return the totals of each kind of token, null where not reported."""
    totals = {kind: _total(taken, f"{kind}_tokens") for kind in ("input", "output", "thought")}
    return {kind: None if total is None else round(total) for kind, total in totals.items()}


def _total(taken: AnswerRows, column: str) -> float | None:
    numbers = taken.numbers(column)
    return None if np.isnan(numbers).all() else float(np.nansum(numbers))
