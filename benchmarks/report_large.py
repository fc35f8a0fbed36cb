"""How long a report on a large run takes to build and to open, and how large it is.

Run with ``python benchmarks/report_large.py [SAMPLES] [MODELS]`` (10,000 and 5 where not given). The run
is fabricated: drawn pictures of 640x480, answers as run lengths and a few failures. Needs Chromium.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from evalkit.config.schema import RunConfig
from evalkit.masks import rle_encode
from evalkit.report import build_report
from evalkit.scoring.score import score_run
from evalkit.storage.files import write_json
from evalkit.storage.ledger import AttemptRow, Key, Ledger
from evalkit.storage.run_folder import LEDGER, SAMPLES, RunFolder
from evalkit.storage.samples_table import write_samples
from evalkit.types import GroundTruth, ImageRef, Sample

HEIGHT_PX, WIDTH_PX = 480, 640
PICTURES = 40
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]


def rectangle(x: int, y: int, side: int) -> dict[str, object]:
    """Return a square mask as COCO run lengths."""
    mask_hw = np.zeros((HEIGHT_PX, WIDTH_PX), dtype=bool)
    mask_hw[y : y + side, x : x + side] = True
    return rle_encode(mask_hw).to_json()


def make_run(folder: Path, n_samples: int, n_models: int) -> None:
    """Write a scored run: four expressions to an image, eight values of one tag, seeded errors."""
    generator = np.random.default_rng(0)
    pictures = folder.parent / "pictures"
    pictures.mkdir()
    for number in range(PICTURES):
        noise = generator.integers(0, 255, (60, 80, 3), dtype=np.uint8)
        Image.fromarray(noise).resize((WIDTH_PX, HEIGHT_PX)).save(pictures / f"{number}.jpg")
    folder.mkdir()
    masks = [rectangle(20 * k, 15 * k, 100 + 5 * k) for k in range(20)]
    truths = [rle_encode_json(mask) for mask in masks]
    samples = [
        Sample(
            "large", "all", str(n), str(n // 4), ImageRef(str(pictures / f"{n // 4 % PICTURES}.jpg")),
            f"the {n}th thing that somebody wrote about picture {n // 4}",
            GroundTruth(HEIGHT_PX, WIDTH_PX, (truths[n % 20],)), {"kind": f"kind {n % 8}"},
        )
        for n in range(n_samples)
    ]  # fmt: skip
    write_samples(folder / SAMPLES, samples)
    names = [f"model-{k}" for k in range(n_models)]
    models = [{"name": name, "provider": "predictions", "path": "x"} for name in names]
    config = RunConfig.model_validate(
        {"name": "large", "datasets": [{"name": "large", "format": "jsonl", "path": "x"}], "models": models}
    )
    write_json(folder / "manifest.json", {
        "name": "large", "status": "complete", "simulated": False, "seed": 0, "evalkit": "0",
        "config": config.model_dump(mode="json"), "models": names, "datasets": {},
    })  # fmt: skip
    answers = [json.dumps([{"label": "thing", "score": 1, "box_px": None, "mask": mask}]) for mask in masks]
    with Ledger(folder / LEDGER) as ledger:
        for n in range(n_samples):
            rows = []
            for k, name in enumerate(names):
                off = generator.random() < 0.1 + 0.05 * k
                text = "no mask today" if generator.random() < 0.03 * k else answers[(n + off) % 20]
                key = Key(name, "large", str(n), 0)
                rows.append(AttemptRow(key, 1, "answered", 1.0, latency_s=1.0 + k, body=text))
            ledger.add_all(rows)
    score_run(RunFolder(folder))


def rle_encode_json(mask: dict[str, object]) -> object:
    """Return the record of run lengths that were written as JSON."""
    from evalkit.types import Rle

    return Rle(HEIGHT_PX, WIDTH_PX, str(mask["counts"]).encode())


def open_page(page: Path) -> None:
    """Print the times of the first paint, of the filled gallery and of one filter, in milliseconds."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
        for _ in range(3):
            tab = browser.new_page()
            tab.goto(page.as_uri())
            tab.wait_for_function("document.getElementById('count').textContent !== ''")
            paint = tab.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
            ready = tab.evaluate("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd")
            spent = tab.evaluate(
                """(steps) => steps.map(([name, value]) => {
                     const field = document.getElementById('filters').elements[name];
                     const begun = performance.now();
                     field.value = value;
                     field.dispatchEvent(new Event('input', {bubbles: true}));
                     return [name, Math.round(performance.now() - begun)];
                   })""",
                [
                    ["model", "model-2"],
                    ["sort", "spread"],
                    ["q", "somebody"],
                    ["model", ""],
                    ["tag", "kind=kind 3"],
                ],
            )
            print(f"first paint {paint:.0f} ms, gallery ready {ready:.0f} ms, filters {spent}")
            tab.close()
        browser.close()


def main() -> None:
    """Build and open one large report."""
    n_samples, n_models = (
        (int(text) for text in [*sys.argv[1:], "10000", "5"][:2]) if len(sys.argv) > 2 else (10_000, 5)
    )
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        make_run(run, n_samples, n_models)
        begun = time.perf_counter()
        page = build_report([run])
        print(f"{n_samples} samples x {n_models} models: built in {time.perf_counter() - begun:.1f} s")
        files = [path for path in page.parent.rglob("*") if path.is_file()]
        total = sum(path.stat().st_size for path in files) / 1e6
        data = next(page.parent.glob("data/index-*.js")).stat().st_size / 1e6
        print(
            f"{len(files)} files, {total:.1f} MB; index.html {page.stat().st_size / 1e6:.2f} MB, data {data:.2f} MB"
        )
        open_page(page)


if __name__ == "__main__":
    main()
