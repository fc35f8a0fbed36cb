"""How CPU time and memory of summary, `compare` and `gate` grow with the rows of a run.

    python benchmarks/statistics_growth.py [--rows 1000 10000 100000 1000000] [--models 1] [--tags 1] [--trials 1]

Each line runs in a process of its own, its imports taken off, on made scores: two rows to an image (apart from
further models and trials), 3 % unreadable answers, latencies and costs with a long tail, tags of four values. `rows`
are those of one model and trial; `compare` and `gate` read two runs of so many. The exponent is the slope of the time over
the largest tenfold step: 1 means that ten times the rows take ten times as long.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

TASKS = ("summary", "compare", "gate")


def make_scores(rows: int, models: int, tags: int, trials: int, seed: int) -> pd.DataFrame:
    """Return made rows of scores.parquet as a data frame with the columns that statistics read."""
    import numpy as np
    import pandas as pd

    from evalkit.storage.scores_table import COLUMNS

    questions, generator = np.random.default_rng(0), np.random.default_rng(seed)
    kinds = [
        json.dumps({f"tag{tag}": f"value {(value + tag) % 4}" for tag in range(tags)}) for value in range(4)
    ]
    names = np.arange(rows).astype(str)
    gt_area = questions.integers(100, 60_000, rows)
    easy = np.repeat(questions.beta(4, 2, rows // 2 + 1), 2)[:rows]
    frames = []
    for model in range(models):
        for trial in range(trials):
            read = generator.random(rows) > 0.03
            iou = np.where(read, np.clip(easy + generator.normal(0, 0.1, rows), 0, 1), 0.0)
            seconds = generator.lognormal(1, 0.8, rows)
            columns = {
                "model": f"m{model}", "dataset": "made", "split": "all", "sample_id": names,
                "image_id": (np.arange(rows) // 2).astype(str), "trial": trial,
                "expression": np.char.add("the thing ", names), "tags": np.array(kinds)[np.arange(rows) % 4],
                "outcome": np.where(read, "decoded", "format_failure"), "failure": np.where(read, None, "no_json"),
                "repairs": [["fence"]] * rows, "wire_formats": [["png"]] * rows, "n_items": read.astype(int),
                "intersection": (iou * gt_area).astype(int), "union": gt_area, "iou": iou, "box_iou": iou**0.5,
                "boundary_iou": iou**2, "gt_area": gt_area, "pred_area": gt_area, "instance_tp": (iou >= 0.5).astype(int),
                "instance_fp": (iou < 0.5).astype(int), "instance_fn": (iou < 0.5).astype(int), "no_target": False,
                "latency_s": seconds, "input_tokens": 300, "output_tokens": generator.integers(200, 900, rows),
                "thought_tokens": generator.integers(0, 2000, rows), "cost_usd": seconds * 1e-4,
                "requested_model": "gemini-2.5-flash", "model_version": "gemini-2.5-flash", "finish_reason": "STOP",
                "attempts": 1, "strict": read, "simulated": False, "image_path": "none.png",
            }  # fmt: skip
            frames.append(pd.DataFrame(columns))
    made = pd.concat(frames, ignore_index=True)
    return made[[column.name for column in COLUMNS if column.name in made]]


def write_run(folder: Path, rows: int, shape: tuple[int, int, int], seed: int) -> None:
    """Write a complete run folder with scores and without a ledger; its summary holds no number."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from evalkit.config.schema import RunConfig
    from evalkit.storage.files import write_json
    from evalkit.storage.scores_table import scores_schema

    models = [{"name": f"m{number}", "provider": "predictions", "path": "x"} for number in range(shape[0])]
    config = RunConfig.model_validate(
        {
            "name": folder.name,
            "datasets": [{"name": "made", "format": "jsonl", "path": "x"}],
            "models": models,
        }
    )
    folder.mkdir()
    manifest = {
        "name": folder.name, "status": "complete", "simulated": False, "seed": 0, "evalkit": "0",
        "config": config.model_dump(mode="json"), "models": [model["name"] for model in models], "datasets": {},
    }  # fmt: skip
    write_json(folder / "manifest.json", manifest)
    made = make_scores(rows, *shape, seed)
    schema = pa.schema([field for field in scores_schema() if field.name in made])
    table = pa.Table.from_pandas(made, schema=schema, preserve_index=False)
    pq.write_table(table, folder / "scores.parquet")
    write_json(folder / "summary.json", {"results": []})


def run_task(task: str, before: Path, after: Path) -> None:
    """Do one thing on two run folders and print its CPU and wall seconds and the peak of memory in MB."""
    import scipy.special
    import scipy.stats  # noqa: F401  imports are start-up, not growth

    from evalkit.comparison.compare import compare_runs
    from evalkit.comparison.gate.verdict import gate_run
    from evalkit.metrics.summary import summarise
    from evalkit.storage.run_folder import RunFolder

    works = {
        "summary": lambda: summarise(RunFolder(before).scores(), seed=0, protocols={}, slices=None),
        "compare": lambda: compare_runs([RunFolder(before), RunFolder(after)]),
        "gate": lambda: gate_run(RunFolder(after), RunFolder(before)),
    }
    begun, wall = time.process_time(), time.perf_counter()
    works[task]()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(time.process_time() - begun, time.perf_counter() - wall, peak / 1024)


def measured(task: str, folder: Path, rows: int, shape: tuple[int, int, int]) -> tuple[float, float, float]:
    """Return CPU seconds, wall seconds and the peak in MB of a task in a process of its own."""
    runs = [folder / f"{side}-{rows}" for side in ("before", "after")]
    for seed, run in enumerate(runs, 1):
        if not run.exists():
            # In a process of its own, as the memory of making them is not to be seen.
            code = f"import statistics_growth as s, pathlib; s.write_run(pathlib.Path({str(run)!r}), {rows}, {shape}, {seed})"
            subprocess.run(
                [sys.executable, "-c", code], check=True, cwd=Path(__file__).parent, env=os.environ
            )
    command = [sys.executable, __file__, "--task", task, *map(str, runs)]
    found = subprocess.run(command, check=True, capture_output=True, text=True)
    cpu, wall, peak = map(float, found.stdout.split())
    return cpu, wall, peak


def main() -> None:
    """Measure and print the table, or do one task."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000, 10_000, 100_000, 1_000_000])
    for name in ("models", "tags", "trials"):
        parser.add_argument(f"--{name}", type=int, default=1)
    parser.add_argument("--tasks", nargs="+", default=TASKS, choices=TASKS)
    parser.add_argument("--task", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.task:
        run_task(given.task[0], Path(given.task[1]), Path(given.task[2]))
        return
    shape = (given.models, given.tags, given.trials)
    print(f"models {given.models}, tags {given.tags}, trials {given.trials}")
    print(f"{'task':<10}{'rows':>10}{'CPU s':>9}{'wall s':>9}{'peak MB':>9}{'exponent':>10}")
    with tempfile.TemporaryDirectory() as name:
        for task in given.tasks:
            before: tuple[int, float] | None = None
            for rows in sorted(given.rows):
                cpu, wall, peak = measured(task, Path(name), rows, shape)
                slope = math.log(cpu / before[1]) / math.log(rows / before[0]) if before else math.nan
                print(f"{task:<10}{rows:>10}{cpu:>9.2f}{wall:>9.2f}{peak:>9.0f}{slope:>10.2f}", flush=True)
                before = rows, cpu


if __name__ == "__main__":
    main()
