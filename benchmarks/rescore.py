"""CPU per stored answer, from its body to its counts, beside the bare decode of the same answers and two peers.

    python benchmarks/rescore.py [--answers 3000] [--passes 3]

Makes a run folder of 640x480 truths and 256x256 PNG answers in boxes: 10 kB of base64 with soft edges, boxes of 18 %
of the image, as Gemini gives them. Everything is measured in one process and one run, the median of the passes:

- the floor: base64, PNG and resize by Pillow, with nothing else;
- body to counts of evalkit (body, JSON, boxes, masks, truth, all counts, cost), with and without boundary IoU;
- pycocotools and hotcoco on the same work: body, JSON, base64, PNG, resize, threshold, encode, IoU against the run
  lengths of the truth (no cost, no repairs, no boxes, no boundary);
- `evalkit score` as a whole with its ledger, tables and summary; the sweep of 256 thresholds and the table of ten
  conventions follow, as multiples of one scoring.

The table is kept as benchmarks/results/rescore.txt.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import re
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

from evalkit.config.schema import RunConfig
from evalkit.masks import rle_encode
from evalkit.metrics.truth import Truth
from evalkit.models.answers import model_views
from evalkit.scoring.rows import ScoreJob, score_row
from evalkit.scoring.score import score_run
from evalkit.scoring.sensitivity import sensitivity
from evalkit.scoring.sweep import sweep_threshold
from evalkit.storage.files import write_json
from evalkit.storage.ledger import AttemptRow, Key, Ledger
from evalkit.storage.run_folder import RunFolder
from evalkit.storage.samples_table import write_samples
from evalkit.types import GroundTruth, ImageRef, Sample

HEIGHT_PX, WIDTH_PX = 480, 640
PNG_PART = re.compile(r'base64,([^"\\]+)')
RESULTS = Path(__file__).parent / "results" / "rescore.txt"


def blob(generator: np.random.Generator) -> tuple[np.ndarray, tuple[int, int, int, int]]:
    """Return an ellipse (bool, H x W) and its box in 0..1000, y first."""
    half_h, half_w = generator.integers(70, 130), generator.integers(90, 185)
    y, x = generator.integers(half_h, HEIGHT_PX - half_h), generator.integers(half_w, WIDTH_PX - half_w)
    rows, columns = np.ogrid[:HEIGHT_PX, :WIDTH_PX]
    mask = ((rows - y) / half_h) ** 2 + ((columns - x) / half_w) ** 2 <= 1
    box = (y - half_h, x - half_w, y + half_h, x + half_w)
    sizes = (HEIGHT_PX, WIDTH_PX, HEIGHT_PX, WIDTH_PX)
    return mask, tuple(int(v * 1000 / s) for v, s in zip(box, sizes, strict=True))


def answer_body(generator: np.random.Generator, mask: np.ndarray, box: tuple[int, int, int, int]) -> str:
    """Return a generateContent body with the mask as a PNG in its box, its edges soft and uneven."""
    y0, x0, y1, x1 = (v * s // 1000 for v, s in zip(box, (HEIGHT_PX, WIDTH_PX) * 2, strict=True))
    crop = Image.fromarray(mask[y0:y1, x0:x1].astype(np.uint8) * 255).resize((256, 256))
    levels = np.asarray(crop.filter(ImageFilter.GaussianBlur(2))).astype(float)
    soft = (levels > 4) & (levels < 251)
    levels[soft] += generator.normal(0, 10, soft.sum())
    stream = io.BytesIO()
    Image.fromarray(levels.clip(0, 255).astype(np.uint8)).save(stream, "PNG")
    url = "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()
    text = "```json\n" + json.dumps([{"box_2d": box, "mask": url, "label": "blob"}]) + "\n```"
    usage = {"promptTokenCount": 300, "candidatesTokenCount": 900, "totalTokenCount": 1200}
    part = {"candidates": [{"content": {"parts": [{"text": text}]}, "finishReason": "STOP"}]}
    return json.dumps(part | {"modelVersion": "gemini-2.5-flash", "usageMetadata": usage})


def make_run(folder: Path, n: int) -> tuple[list[Sample], list[str]]:
    """Write a run folder of n answered samples; return the samples and the bodies."""
    config = RunConfig.model_validate(
        {
            "name": "rescore",
            "datasets": [{"name": "blobs", "format": "jsonl", "path": "none"}],
            "models": [{"name": "m", "provider": "gemini", "model": "gemini-2.5-flash"}],
        }
    )
    generator = np.random.default_rng(0)
    samples, bodies = [], []
    for number in range(n):
        mask, box = blob(generator)
        truth = GroundTruth(HEIGHT_PX, WIDTH_PX, (rle_encode(mask),))
        samples.append(
            Sample("blobs", "all", str(number), str(number // 3), ImageRef("none.png"), "it", truth)
        )
        bodies.append(answer_body(generator, mask, box))
    write_samples(folder / "samples.parquet", samples)
    manifest = {
        "name": "rescore",
        "config": config.model_dump(mode="json"),
        "status": "complete",
        "simulated": True,
    }
    write_json(folder / "manifest.json", manifest)
    with Ledger(folder / "responses.sqlite") as ledger:
        for number, body in enumerate(bodies):
            key = Key("m", "blobs", str(number), 0)
            ledger.add(AttemptRow(key, 1, "answered", 1_700_000_000.0, 1.0, 200, body=body))
    return samples, bodies


def drawn(text: str) -> tuple[Image.Image, tuple[int, int, int, int]]:
    """Return the mask of an answer's text resized into its box, and the box in pixels: x0, y0, x1, y1."""
    item = json.loads(text.removeprefix("```json").removesuffix("```"))[0]
    y0, x0, y1, x1 = (
        int(v * s / 1000) for v, s in zip(item["box_2d"], (HEIGHT_PX, WIDTH_PX) * 2, strict=True)
    )
    return in_box(item["mask"][22:], (x0, y0, x1, y1)), (x0, y0, x1, y1)


def in_box(encoded: str, box_px: tuple[int, int, int, int]) -> Image.Image:
    """Return base64 + PNG + resize, by Pillow."""
    x0, y0, x1, y1 = box_px
    image = Image.open(io.BytesIO(base64.b64decode(encoded)))
    image.load()
    return image.resize((x1 - x0, y1 - y0), Image.Resampling.BILINEAR)


def text_of(body: str) -> str:
    """Return the text of a body."""
    return str(json.loads(body)["candidates"][0]["content"]["parts"][0]["text"])


def by_peer(mask_api: Any, sample: Sample, body: str) -> float:
    """Return the IoU of one body by the functions of pycocotools, or of a package with the same."""
    image, (x0, y0, x1, y1) = drawn(text_of(body))
    whole = np.zeros((HEIGHT_PX, WIDTH_PX), dtype=np.uint8, order="F")
    whole[y0:y1, x0:x1] = np.asarray(image) > 127
    truth = sample.truth.instances[0]
    wanted = {"size": [HEIGHT_PX, WIDTH_PX], "counts": truth.counts}
    return float(mask_api.iou([mask_api.encode(whole)], [wanted], [0])[0][0])


def row_scorer(run: RunFolder, *, boundary: bool) -> Callable[[Sample, Any], dict[str, Any]]:
    """Return the function that turns a sample and what the ledger knows of it into a row of counts."""
    config = run.config()
    (view,) = model_views(config)
    job = ScoreJob(str(run.path), 0, (view,), 1, config.decode, {"blobs": "default"}, boundary)

    def score(sample: Sample, state: Any) -> dict[str, Any]:
        return score_row(sample, Truth(sample.truth), view, trial=0, state=state, job=job)[0]

    return score


def microseconds(work: Callable[[], Any], n: int) -> float:
    """Return the CPU time of ``work`` by answer."""
    begun = time.process_time()
    work()
    return (time.process_time() - begun) / n * 1e6


def measured(folder: Path, n: int, passes: int) -> dict[str, float]:
    """Return the median microseconds of every line, all of them measured in turn in each pass."""
    import hotcoco.mask
    from pycocotools import mask as coco_mask

    samples, bodies = make_run(folder, n)
    run = RunFolder(folder)
    score_run(run)  # imports and caches
    with Ledger(run.ledger_path, read_only=True) as ledger:
        known = ledger.states("blobs", [sample.sample_id for sample in samples])
    states = [replace(known[Key("m", "blobs", sample.sample_id, 0)]) for sample in samples]
    parts = [(PNG_PART.search(body).group(1), drawn(text_of(body))[1]) for body in bodies]
    with_boundary, without = row_scorer(run, boundary=True), row_scorer(run, boundary=False)
    own = [with_boundary(sample, state)["iou"] for sample, state in zip(samples, states, strict=True)]
    for peer in (coco_mask, hotcoco.mask):
        theirs = [by_peer(peer, sample, body) for sample, body in zip(samples, bodies, strict=True)]
        assert np.allclose(own, theirs, atol=1e-12), "the peers count other pixels"
    lines: dict[str, Callable[[], Any]] = {
        "floor: base64 + PNG + resize": lambda: [in_box(*part) for part in parts],
        "evalkit, body to counts, with boundary": lambda: list(map(with_boundary, samples, states)),
        "evalkit, body to counts, without": lambda: list(map(without, samples, states)),
        "pycocotools, body to IoU": lambda: [
            by_peer(coco_mask, *pair) for pair in zip(samples, bodies, strict=True)
        ],
        "hotcoco, body to IoU": lambda: [
            by_peer(hotcoco.mask, *pair) for pair in zip(samples, bodies, strict=True)
        ],
        "evalkit score, ledger to summary": lambda: score_run(run),
        "sweep of 256 thresholds": lambda: sweep_threshold(folder),
        "table of 10 conventions": lambda: sensitivity(folder),
    }
    taken: dict[str, list[float]] = {name: [] for name in lines}
    for _ in range(passes):
        for name, work in lines.items():
            taken[name].append(microseconds(work, n))
    return {name: statistics.median(costs) for name, costs in taken.items()}


def main() -> None:
    """Measure, print and keep the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--answers", type=int, default=3000)
    parser.add_argument("--passes", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        costs = measured(Path(name), given.answers, given.passes)
    floor, scoring = next(iter(costs.values())), costs["evalkit score, ledger to summary"]
    lines = [f"{'us of CPU an answer':<40} {'':>8} {'x floor':>8} {'x scoring':>10}"]
    for name, cost in costs.items():
        lines.append(f"{name:<40} {cost:8.0f} {cost / floor:8.2f} {cost / scoring:10.2f}")
    table = f"{given.answers} answers, median of {given.passes} passes\n" + "\n".join(lines)
    print(table)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(table + "\n")


if __name__ == "__main__":
    main()
