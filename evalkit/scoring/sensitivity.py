"""What a decoding convention costs: one run's stored answers under each choice, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from evalkit.decoding.settings import DecodeSettings
from evalkit.stats.bootstrap import ratio_interval, ratio_intervals
from evalkit.text_table import text_table
from evalkit.types import Interval

if TYPE_CHECKING:
    import pandas as pd

    from evalkit.scoring.engine import Engine

CONVENTIONS: Final[dict[str, DecodeSettings]] = {
    "reference": DecodeSettings(),
    "threshold 0": DecodeSettings(threshold=0),
    "threshold 128": DecodeSettings(threshold=128),
    "boxes rounded": DecodeSettings(box_rounding="round"),
    "boxes expanded": DecodeSettings(box_rounding="expand"),
    "nearest": DecodeSettings(filter="nearest"),
    "bicubic": DecodeSettings(filter="bicubic"),
    "lanczos": DecodeSettings(filter="lanczos"),
    "largest item": DecodeSettings(instances="largest"),
    "first item": DecodeSettings(instances="first"),
}
"""Conventions found in public parsers of the same answers; the first is Google's cookbook's."""

_KEY: Final = ["model", "dataset", "sample_id", "trial"]


def sensitivity(run_path: str | Path, *, engine: Engine = "local", seed: int = 0) -> list[dict[str, Any]]:
    """Return one row per model, dataset and convention; calls nothing and writes nothing.

    A row holds ``giou`` and ``change`` (against ``reference``, paired on the same rows), each with
    its 95 % interval over images. Rows that were not run are outside both.
    """
    from evalkit.storage.run_folder import RunFolder

    run = RunFolder(run_path)
    own = run.config().decode
    tables = {
        name: _scores(
            run,
            settings.model_copy(update={"token_codebook": own.token_codebook, "formats": own.formats}),
            engine,
        )
        for name, settings in CONVENTIONS.items()
    }
    return [
        {"model": model, "dataset": dataset, "convention": name}
        | _numbers(_part(table, model, dataset), _part(tables["reference"], model, dataset), seed)
        for model, dataset in _groups(tables["reference"])
        for name, table in tables.items()
    ]


def _scores(run: Any, settings: DecodeSettings, engine: Engine) -> pd.DataFrame:
    """Return the IoU of every row under one convention, in the run's order."""
    import pandas as pd

    from evalkit.datasets.cards import protocols_of
    from evalkit.models.answers import model_views
    from evalkit.scoring.engine import map_chunks
    from evalkit.scoring.rows import ScoreJob, score_chunk

    config = run.config()
    views, protocols = model_views(config, list(run.manifest.models) or None), protocols_of(config)
    jobs = [
        ScoreJob(str(run.path), chunk, views, config.trials, settings, protocols, boundary=False)
        for chunk in range(run.n_chunks())
    ]
    columns = [*_KEY, "image_id", "iou"]
    scheduler = config.dask.get("scheduler")
    parts = [
        table.select(columns).to_pandas()
        for table in map_chunks(score_chunk, jobs, engine=engine, scheduler=scheduler)
    ]
    whole: pd.DataFrame = pd.concat(parts, ignore_index=True)
    return whole


def _groups(table: pd.DataFrame) -> list[tuple[str, str]]:
    return list(dict.fromkeys(zip(table["model"], table["dataset"], strict=True)))


def _part(table: pd.DataFrame, model: str, dataset: str) -> pd.DataFrame:
    """Return the rows of one model on one dataset that were run."""
    return table[(table["model"] == model) & (table["dataset"] == dataset) & table["iou"].notna()]


def _numbers(table: pd.DataFrame, reference: pd.DataFrame, seed: int) -> dict[str, Any]:
    """Return gIoU and its change against the reference, rows paired one to one."""
    ious, ones = table["iou"].to_numpy(dtype=np.float64), np.ones(len(table))
    change = ious - reference["iou"].to_numpy(dtype=np.float64)
    giou = ratio_interval(ious, ones, table["image_id"], seed=seed)
    moved = Interval(0.0, 0.0, 0.0)  # the same masks on every row: no change, and nothing uncertain
    if change.any():
        moved = (
            ratio_intervals(change[None], ones[None], table["image_id"], seed=seed, shares=[False])[0]
            or moved
        )
    return {
        "n": len(table),
        "giou": giou.to_json() if giou else None,
        "change": moved.to_json(),
    }


def sensitivity_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the rows as an aligned text table, one block per model and dataset."""
    blocks: dict[str, list[tuple[str, str, str]]] = {}
    for row in rows:
        block = blocks.setdefault(f"{row['model']} on {row['dataset']} (n = {row['n']})", [])
        block.append((row["convention"], _cell(row["giou"], ""), _cell(row["change"], "+")))
    header = ("convention", "gIoU", "change")
    return "\n\n".join(
        "\n".join([title, *text_table(header, block, "<<<", indent="  ")]) for title, block in blocks.items()
    )


def _cell(number: Mapping[str, float] | None, sign: str) -> str:
    if number is None:
        return "-"
    value, low, high = (format(number[key], f"{sign}.4f") for key in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"
