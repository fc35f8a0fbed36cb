"""One fabricated run: drawn pictures, stored answers in the API's own body format, real scoring."""

import base64
import io
import json

import numpy as np
import pytest
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

HEIGHT_PX, WIDTH_PX = 120, 160
HOSTILE = "</script><script>window.stolen = 1</script><img src=x onerror='window.stolen = 1'>"
EXPRESSION = 'the "red" <b>disc</b> & its edge'
N_IMAGES = 8


def disc(x, y, radius):
    """Return a disc as a mask, bool, HEIGHT_PX x WIDTH_PX."""
    rows, columns = np.mgrid[:HEIGHT_PX, :WIDTH_PX]
    return (rows - y) ** 2 + (columns - x) ** 2 <= radius**2


def draw_samples(folder):
    """Draw pictures of a disc on a texture, two expressions each; the second has no target on odd images."""
    generator = np.random.default_rng(0)
    samples = []
    for number in range(N_IMAGES):
        mask_hw = disc(40 + 9 * number, 60, 22)
        picture = generator.integers(90, 150, (HEIGHT_PX, WIDTH_PX, 3), dtype=np.uint8)
        picture[mask_hw] = (190, 60, 50)
        path = folder / f"{number}.png"
        Image.fromarray(picture).save(path)
        for second in (False, True):
            instances = () if second and number % 2 else (rle_encode(mask_hw),)
            samples.append(
                Sample(
                    dataset="shapes",
                    split="all",
                    sample_id=f"{number}:{int(second)}",
                    image_id=str(number),
                    image=ImageRef(str(path)),
                    expression=EXPRESSION if second else f"disc number {number}",
                    truth=GroundTruth(HEIGHT_PX, WIDTH_PX, instances),
                    tags={"kind": "quoted" if second else "plain", "side": "left" if number < 4 else "right"},
                )
            )
    return samples


def png_answer(mask_hw, label="disc"):
    """Return an answer in the documented format that says exactly this mask."""
    stream = io.BytesIO()
    Image.fromarray(mask_hw.astype(np.uint8) * 255).save(stream, "PNG")
    data = "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()
    return json.dumps([{"box_2d": [0, 0, 1000, 1000], "mask": data, "label": label}])


def body(text, finish="STOP", version="gemini-2.5-flash"):
    """Return a generateContent body that carries one text."""
    return json.dumps(
        {
            "candidates": [{"content": {"parts": [{"text": text}]}, "finishReason": finish}],
            "usageMetadata": {"promptTokenCount": 1200, "candidatesTokenCount": 300, "totalTokenCount": 1500},
            "modelVersion": version,
        }
    )


def answer_text(model, number, sample):
    """Return what a model says: ``good`` the truth a little off, ``poor`` another place and failures."""
    if model == "good":
        if sample.truth.no_target:
            return "[]"
        return png_answer(disc(41 + 9 * number, 60, 21), label=f'a "disc" {HOSTILE}')
    if number == 0:
        return HOSTILE
    if number == 1:
        return json.dumps([{"box_2d": [100, 100, 500, 500], "mask": "<start_of_mask><seg_1>", "label": "x"}])
    return png_answer(disc(120 - 9 * number, 60, 20))


def make_run(
    folder, name="shapes-run", *, shift=0, simulated=False, status="complete", trials=1, protocol=None
):
    """Write a scored run folder; ``shift`` moves the good model's discs, so that runs differ."""
    pictures = folder.parent / f"{folder.name}-pictures"
    pictures.mkdir(parents=True)
    folder.mkdir()
    samples = draw_samples(pictures)
    models = [
        {"name": "good", "provider": "gemini", "model": "gemini-2.5-flash"},
        {"name": "poor", "provider": "gemini", "model": "gemini-3.6-flash"},
    ]
    raw = {
        "name": name,
        "seed": 1,
        "trials": trials,
        "datasets": [{"name": "shapes", "format": "jsonl", "path": "x", "protocol": protocol}],
    }
    config = RunConfig.model_validate(raw | {"models": models})
    write_samples(folder / SAMPLES, samples)
    manifest = {
        "name": name,
        "evalkit": "0",
        "status": status,
        "simulated": simulated,
        "seed": 1,
        "config": config.model_dump(mode="json"),
        "models": ["good", "poor"],
        "started_at": "2026-01-02T03:04:05+00:00",
        "finished_at": "2026-01-02T03:05:05+00:00",
        "datasets": {"shapes": {"sha256": "0" * 64, "samples": len(samples)}},
        "versions": {"numpy": np.__version__},
    }
    write_json(folder / "manifest.json", manifest)
    with Ledger(folder / LEDGER) as ledger:
        for sample in samples:
            for model in ("good", "poor"):
                for trial in range(trials):
                    ledger.add(_attempt(model, sample, trial, shift))
    (pictures / "7.png").unlink()
    score_run(RunFolder(folder))
    return folder


def _attempt(model, sample, trial, shift):
    number = int(sample.image_id)
    key = Key(model, "shapes", sample.sample_id, trial)
    if model == "poor" and sample.sample_id == "3:0":
        return AttemptRow(key, 1, "system_error", 1.0, error="503 overloaded", http_status=503)
    text = answer_text(model, number, sample)
    if model == "good" and shift and not sample.truth.no_target:
        text = png_answer(disc(41 + 9 * number + shift, 60, 21))
    requested = "gemini-2.5-flash" if model == "good" else "gemini-3.8-flash"
    return AttemptRow(
        key, 1, "answered", 1.0, latency_s=0.5 + 0.1 * number, body=body(text, version=requested)
    )


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory):
    """Return a scored run of 16 samples and two models, one of which was routed elsewhere."""
    return make_run(tmp_path_factory.mktemp("one") / "run")


@pytest.fixture(scope="session")
def later_folder(tmp_path_factory):
    """Return a second run of the same samples in which the good model got worse; simulated, partial."""
    folder = tmp_path_factory.mktemp("two") / "later"
    return make_run(folder, "later", shift=45, simulated=True, status="partial", trials=2)


@pytest.fixture(scope="session")
def page(run_folder):
    """Return the path of the first page of the one run."""
    return build_report([run_folder])


@pytest.fixture(scope="session")
def both_page(run_folder, later_folder, tmp_path_factory):
    """Return the path of the first page that compares both runs."""
    return build_report([run_folder, later_folder], tmp_path_factory.mktemp("both") / "out")


@pytest.fixture
def without_figures(monkeypatch):
    """Leave the figures out, which take most of a small report's time; other tests draw them."""
    monkeypatch.setattr("evalkit.report.dataset_view.draw_figures", lambda *_: {})
