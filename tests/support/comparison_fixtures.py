"""Run folders with known truth: what a run would have left behind, without running one."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from evalkit.metrics.summary import summarise
from evalkit.storage.files import write_json
from evalkit.storage.run_folder import RunFolder

FABRICATED_AREA_PX = 10_000


def answers(
    model: str,
    iou: Sequence[float],
    *,
    images: Sequence[object] | None = None,
    failures: Sequence[str | None] | None = None,
    wire_format: str = "png_data_url",
    not_run: int = 0,
    dataset: str = "everyday",
    version: str = "gemini-2.5-flash",
    latency_s: float = 1.0,
    cost_usd: float = 0.001,
    tags: Sequence[dict[str, str]] | None = None,
) -> pd.DataFrame:
    """Return score rows of one model: sample k has ``iou[k]``, or 0 and a failure code.

    The first ``not_run`` rows were never answered.
    """
    rows = []
    for k, value in enumerate(iou):
        failure = failures[k] if failures is not None else None
        asked = k >= not_run
        outcome = "not_run" if not asked else "decoded" if failure is None else "format_failure"
        score = 0.0 if failure else float(value)
        rows.append(
            {
                "model": model,
                "dataset": dataset,
                "split": "all",
                "sample_id": f"s{k}",
                "image_id": str(images[k] if images is not None else k),
                "expression": f"thing {k}",
                "tags": json.dumps(tags[k] if tags else {}),
                "trial": 0,
                "outcome": outcome,
                "failure": failure if asked else None,
                "wire_formats": [] if failure or not asked else [wire_format],
                "repairs": [],
                "n_items": 1,
                "intersection": round(score * FABRICATED_AREA_PX) if asked else None,
                "union": FABRICATED_AREA_PX if asked else None,
                "iou": score if asked else None,
                "box_iou": score if asked else None,
                "boundary_iou": score if asked else None,
                "gt_area": FABRICATED_AREA_PX if asked else None,
                "pred_area": FABRICATED_AREA_PX if asked else None,
                "no_target": False,
                "latency_s": latency_s + 0.001 * (k % 7) if asked else None,
                "input_tokens": 300 if asked else None,
                "output_tokens": 900 if asked else None,
                "cost_usd": cost_usd if asked else None,
                "requested_model": "gemini-2.5-flash",
                "model_version": version if asked else None,
                "finish_reason": "STOP" if asked else None,
                "attempts": 1,
                "strict": failure is None if asked else None,
            }
        )
    return pd.DataFrame(rows)


def fabricate(
    path: Path,
    frames: Sequence[pd.DataFrame],
    *,
    name: str = "nightly",
    gate: Sequence[dict[str, Any]] = (),
    status: str = "complete",
    simulated: bool = False,
    started_at: str = "2026-11-01T02:00:00+00:00",
    decode: dict[str, Any] | None = None,
    sha256: str = "same",
    max_not_run: float = 0.02,
    protocol: str = "default",
    prompt: str = "google-mask",
) -> RunFolder:
    """Write a run folder (manifest, scores, summary) and return it."""
    path.mkdir(parents=True)
    scores = pd.concat(frames, ignore_index=True)
    models = [
        {"name": model, "provider": "gemini", "model": "gemini-2.5-flash", "prompt": prompt}
        for model in dict.fromkeys(scores["model"])
    ]
    datasets = list(dict.fromkeys(scores["dataset"]))
    config = {
        "name": name,
        "seed": 3,
        "datasets": [{"name": dataset} for dataset in datasets],
        "models": models,
        "decode": {"threshold": 127} | (decode or {}),
        "limits": {"max_not_run": max_not_run},
        "gate": list(gate),
    }
    manifest = {
        "name": name,
        "evalkit": "0.0.0",
        "status": status,
        "simulated": simulated,
        "seed": 3,
        "started_at": started_at,
        "finished_at": started_at,
        "config": config,
        "models": [model["name"] for model in models],
        "datasets": {dataset: {"sha256": sha256} for dataset in datasets},
    }
    write_json(path / "manifest.json", manifest)
    scores.to_parquet(path / "scores.parquet")
    folder = RunFolder(path)
    results = summarise(folder.scores(), seed=3, protocols=dict.fromkeys(datasets, protocol), slices=None)
    summary = {"evalkit": "0.0.0", "run": name, "status": status, "simulated": simulated, "results": results}
    write_json(path / "summary.json", summary)
    return folder


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., RunFolder]:
    """Return a maker of run folders under the test's own folder: ``make_run("night-1", [rows...], ...)``."""
    return lambda folder, frames, **settings: fabricate(tmp_path / folder, frames, **settings)


@pytest.fixture
def make_answers() -> Callable[..., pd.DataFrame]:
    """Return the maker of one model's score rows."""
    return answers


@pytest.fixture
def good_iou() -> np.ndarray:
    """IoU of 120 samples: most good, a few poor, fixed."""
    generator = np.random.default_rng(11)
    return np.clip(generator.normal(0.75, 0.15, 120), 0, 1)
