"""Parts of a run in a notebook: rows with their answers, tiles, flat summaries, decode settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isnan
from typing import TYPE_CHECKING, Any

from evalkit.metrics.table import METRICS
from evalkit.notebook.views import flat_numbers
from evalkit.storage.ledger import Key
from evalkit.storage.run_folder import RunFolder
from evalkit.types import Decoded, Response, Sample

if TYPE_CHECKING:
    import pandas as pd

    from evalkit.drawing.sheet import Tile

READ_AT_ONCE = 64
"""Rows whose answers are in memory at a time."""


@dataclass(frozen=True, slots=True, eq=False)
class AnsweredRow:
    """One row of the scores with its sample, and its answer and verdict (None where there is none)."""

    row: Mapping[str, Any]
    sample: Sample
    response: Response | None
    decoded: Decoded | None


def answers_of(folder: RunFolder, rows: pd.DataFrame) -> Iterator[AnsweredRow]:
    """Yield the rows with their samples and decoded answers, ``READ_AT_ONCE`` at a time."""
    from evalkit.report.answers import decoded_answers

    for start in range(0, len(rows), READ_AT_ONCE):
        part = rows.iloc[start : start + READ_AT_ONCE].to_dict("records")
        samples = _samples(folder, {(row["dataset"], row["sample_id"]) for row in part})
        names = sorted({row["model"] for row in part})
        decoded = decoded_answers(folder, names, list(samples.values()))
        for row in part:
            key = Key(row["model"], row["dataset"], row["sample_id"], row["trial"])
            response, verdict = decoded.get(key, (None, None))
            plain = {str(column): value for column, value in row.items()}
            yield AnsweredRow(plain, samples[key.dataset, key.sample_id], response, verdict)


def _samples(folder: RunFolder, keys: set[tuple[str, str]]) -> dict[tuple[str, str], Sample]:
    """Return the samples of the keys (dataset, sample id)."""
    import pyarrow.parquet as pq

    from evalkit.storage.samples_table import sample_from_row

    wanted = [("sample_id", "in", {sample_id for _, sample_id in keys})]
    rows = pq.read_table(folder.samples_path, filters=wanted).to_pylist()
    found = {(row["dataset"], row["sample_id"]): row for row in rows}
    return {key: sample_from_row(found[key]) for key in keys}


def tile_of(found: AnsweredRow, *, with_sample: bool = False) -> Tile:
    """Return the picture of one answer; its caption says the verdict and the IoU."""
    from evalkit.notebook.pictures import prediction_tile

    row = found.row
    verdict = row["failure"] if isinstance(row["failure"], str) else row["outcome"]
    lines = [f"{verdict} · IoU {row['iou']:.3f}" if not isnan(row["iou"]) else str(verdict)]
    title = str(row["model"])
    if with_sample:
        title = f"{title} · {found.sample.sample_id}"
        lines.append(found.sample.expression)
    return prediction_tile(found.sample, found.decoded, title, lines)


def summary_row(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return one result of summary.json as columns; counters by code stay dictionaries."""
    nested = {"precision_at", "giou_by_size", "latency_s", "tokens", "protocol"}
    row = flat_numbers({key: value for key, value in result.items() if key not in nested})
    for group in sorted(nested & result.keys()):
        row |= flat_numbers({f"{group}_{key}": value for key, value in result[group].items()})
    return row


def headline_columns(summary: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of the headline table, the interval of gIoU beside it."""
    shown = ["_".join(metric.path) for metric in METRICS if "terminal" in metric.shown]
    columns = ["model", "dataset", "n", *shown, "n_not_run", "latency_s_p50", "cost_usd", "n_cost_unknown"]
    place = columns.index("giou") + 1
    columns[place:place] = ["giou_low", "giou_high"]
    return summary[[column for column in columns if column in summary]]
