"""CPU per stored answer of `evalkit score`, beside the bare base64 + PNG decode of the same answers.

    python benchmarks/rescore.py [--answers 3000]

Makes a run folder of 640x480 truths and 256x256 PNG answers in boxes, scores it in one process and
prints microseconds per answer of each stage and their ratio, all in one run of one machine. The sweep of 256
thresholds and the table of ten conventions follow, as multiples of one scoring.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import re
import tempfile
import time
from pathlib import Path

import numpy as np

from evalkit.config.schema import RunConfig
from evalkit.masks import rle_encode
from evalkit.scoring.score import score_run
from evalkit.scoring.sensitivity import sensitivity
from evalkit.scoring.sweep import sweep_threshold
from evalkit.storage.files import write_json
from evalkit.storage.ledger import AttemptRow, Key, Ledger
from evalkit.storage.run_folder import RunFolder
from evalkit.storage.samples_table import write_samples
from evalkit.types import GroundTruth, ImageRef, Sample

HEIGHT_PX, WIDTH_PX = 480, 640
PNG_PART = re.compile(r'base64,([^"]+)"')


def blob(generator: np.random.Generator) -> tuple[np.ndarray, tuple[int, int, int, int]]:
    """Return an ellipse (bool, H x W) and its box in 0..1000, y first."""
    half_h, half_w = generator.integers(40, 130), generator.integers(40, 160)
    y, x = generator.integers(half_h, HEIGHT_PX - half_h), generator.integers(half_w, WIDTH_PX - half_w)
    rows, columns = np.ogrid[:HEIGHT_PX, :WIDTH_PX]
    mask = ((rows - y) / half_h) ** 2 + ((columns - x) / half_w) ** 2 <= 1
    box = (y - half_h, x - half_w, y + half_h, x + half_w)
    sizes = (HEIGHT_PX, WIDTH_PX, HEIGHT_PX, WIDTH_PX)
    return mask, tuple(int(v * 1000 / s) for v, s in zip(box, sizes, strict=True))


def answer_body(mask: np.ndarray, box: tuple[int, int, int, int]) -> str:
    """Return a generateContent body with the mask as a PNG in its box."""
    from PIL import Image

    y0, x0, y1, x1 = (v * s // 1000 for v, s in zip(box, (HEIGHT_PX, WIDTH_PX) * 2, strict=True))
    crop = Image.fromarray(mask[y0:y1, x0:x1].astype(np.uint8) * 255).resize((256, 256))
    stream = io.BytesIO()
    crop.save(stream, "PNG")
    url = "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()
    text = "```json\n" + json.dumps([{"box_2d": box, "mask": url, "label": "blob"}]) + "\n```"
    part = {"candidates": [{"content": {"parts": [{"text": text}]}, "finishReason": "STOP"}]}
    return json.dumps(part | {"modelVersion": "gemini-2.5-flash"})


def make_run(folder: Path, n: int) -> list[str]:
    """Write a run folder of n answered samples; return the bodies."""
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
        bodies.append(answer_body(mask, box))
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
    return bodies


def bare_png_us(bodies: list[str]) -> float:
    """Return microseconds of base64 + PNG decode alone, per answer."""
    from PIL import Image

    texts = [json.loads(body)["candidates"][0]["content"]["parts"][0]["text"] for body in bodies]
    begun = time.process_time()
    for text in texts:
        found = PNG_PART.search(text)
        assert found is not None
        Image.open(io.BytesIO(base64.b64decode(found.group(1)))).load()
    return (time.process_time() - begun) / len(texts) * 1e6


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--answers", type=int, default=3000)
    n = parser.parse_args().answers
    with tempfile.TemporaryDirectory() as name:
        bodies = make_run(Path(name), n)
        score_run(RunFolder(name))  # imports and caches
        bare = bare_png_us(bodies)
        begun = time.process_time()
        score_run(RunFolder(name))
        whole = (time.process_time() - begun) / n * 1e6
        passes = {"sweep of 256 thresholds": sweep_threshold, "10 conventions": sensitivity}
        costs = {}
        for title, measure in passes.items():
            begun = time.process_time()
            measure(name)
            costs[title] = (time.process_time() - begun) / n * 1e6
        giou = RunFolder(name).summary().results[0]["giou"]["value"]
    print(f"answers {n}, gIoU {giou:.4f} (the answers are the truth, resampled)")
    print(f"base64 + PNG alone  {bare:8.0f} us/answer")
    print(f"evalkit score       {whole:8.0f} us/answer, {whole / bare:.2f} x, summary and files included")
    for title, cost in costs.items():
        print(f"{title:<24} {cost:8.0f} us/answer, {cost / whole:.2f} x one scoring")


if __name__ == "__main__":
    main()
