"""What a run costs before its first request goes out, by the size of the dataset, against the bare client.

A JSON Lines dataset is made: three expressions a photograph, each with a polygon of 60 points, the photographs 640 x 480
JPEG files of 15 kB. ``bare`` is a process that imports google-genai, makes a client, reads the lines as JSON and one
photograph. ``evalkit`` is a process that does all of `evalkit run` until the first question would be sent: config,
samples, truths, photographs looked for, plan, models opened, ``samples.parquet`` and manifest written. CPU (user and
system) and peak memory of whole processes; the exponent is the slope between the smallest and the largest size, of what
grows with the samples (the cost of the smallest, which is start-up, taken off).

    .venv/bin/python benchmarks/first_request.py [SIZE ...]
"""

from __future__ import annotations

import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

BARE = """
import json, sys
from google import genai
genai.Client(api_key="x")
lines = [json.loads(line) for line in open("d.jsonl")]
open(lines[0]["image"], "rb").read()
"""

OURS = """
import asyncio, sys
from pathlib import Path
from evalkit import pipeline
from evalkit.config.schema import load_config
from evalkit.models import open_models
from evalkit.runner.folder import bring_up_to_date
from evalkit.runner.resume import backgrounds_of

async def until_first(plan):
    async with open_models(plan.model_configs, plan.config, plan.samples, plan.out) as models:
        bring_up_to_date(plan, models, backgrounds_of(plan, models))

plan, shown = pipeline.rehearse(load_config("c.yaml"), out=Path(sys.argv[1]))
shown.text()
asyncio.run(until_first(plan))
"""

CONFIG = """
name: first
datasets: [{name: d, format: jsonl, path: d.jsonl}]
models: [{name: m, provider: gemini, model: gemini-2.5-flash}]
"""


def make_dataset(folder: Path, count: int) -> None:
    """Write ``count`` samples and a third as many photographs, hard links to one file."""
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(0, 255, (60, 80, 3), dtype=np.uint8))
    small.resize((640, 480), Image.Resampling.BICUBIC).save(folder / "photograph.jpg", quality=60)
    for number in range(count // 3 + 1):
        os.link(folder / "photograph.jpg", folder / "images" / f"{number:06}.jpg")
    angles = np.linspace(0, 2 * math.pi, 60, endpoint=False)
    with (folder / "d.jsonl").open("w", encoding="utf-8") as lines:
        for number in range(count):
            x, y, radius = rng.uniform(100, 540), rng.uniform(100, 380), rng.uniform(20, 90)
            ring = np.stack([x + radius * np.cos(angles), y + radius * np.sin(angles)], axis=1)
            record = {
                "id": number,
                "image": f"images/{number // 3:06}.jpg",
                "expression": f"thing number {number} on the left",
                "mask": [[round(value, 2) for value in ring.ravel().tolist()]],
            }
            lines.write(json.dumps(record) + "\n")
    (folder / "c.yaml").write_text(CONFIG, "utf-8")


def measure(program: str, folder: Path, *arguments: str) -> tuple[float, float, float]:
    """Run a program in ``folder``; return its CPU seconds, its wall seconds and its peak memory in MB."""
    repository = str(Path(__file__).resolve().parents[1])
    environment = {**os.environ, "GEMINI_API_KEY": "x", "PYTHONPATH": repository}
    begun = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-c", program, *arguments], cwd=folder, env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"the program ended with {status}")
    return usage.ru_utime + usage.ru_stime, time.perf_counter() - begun, usage.ru_maxrss / 1024


def main() -> None:
    """Measure both at every size and print ratios and the exponent."""
    sizes = [int(size) for size in sys.argv[1:]] or [1_000, 10_000, 50_000]
    measured = []
    for size in sizes:
        with tempfile.TemporaryDirectory() as directory:
            folder = Path(directory) / "data"
            make_dataset(folder, size)
            bare_s, _, _ = measure(BARE, folder)
            ours_s, wall_s, peak_mb = measure(OURS, folder, str(folder / "run"))
            measured.append(ours_s - bare_s)
            print(
                f"{size:>7} samples: bare {bare_s:.2f} s, evalkit {ours_s:.2f} s of CPU ({wall_s:.2f} s wall), "
                f"{ours_s - bare_s:+.2f} s, ratio {ours_s / bare_s:.2f}, {peak_mb:.0f} MB",
                flush=True,
            )
    if len(sizes) > 2:
        grown = (measured[-1] - measured[0]) / (measured[1] - measured[0])
        steps = (sizes[-1] - sizes[0]) / (sizes[1] - sizes[0])
        print(f"exponent of what grows: {math.log(grown) / math.log(steps):.2f}")


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    main()
