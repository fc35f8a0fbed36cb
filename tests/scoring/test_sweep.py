"""A sweep of thresholds from one pass against separate scorings, threshold by threshold."""

from __future__ import annotations

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from evalkit.config.schema import RunConfig
from evalkit.decoding.settings import DecodeSettings
from evalkit.errors import ConfigError
from evalkit.masks import rle_encode
from evalkit.scoring.score import score_run
from evalkit.scoring.sensitivity import CONVENTIONS, sensitivity
from evalkit.scoring.sweep import sweep_table, sweep_threshold
from evalkit.storage.files import write_json
from evalkit.storage.ledger import AttemptRow, Key, Ledger
from evalkit.storage.run_folder import RunFolder
from evalkit.storage.samples_table import write_samples
from evalkit.types import GroundTruth, ImageRef, Sample

HEIGHT_PX, WIDTH_PX = 90, 120
TESTED = (0, 1, 63, 126, 127, 128, 200, 253, 254)


def grey_png(generator, low=0, high=256):
    """Return the data URL of a smooth random grey image."""
    coarse = generator.integers(low, high, (5, 6), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(coarse).resize((40, 32), Image.Resampling.BICUBIC).save(stream, "PNG")
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()


def answers_of(generator):
    """Return answers of every kind: one item, overlapping items, faint masks, polygons beside, refusals, failures."""
    square = [[300, 300], [700, 300], [700, 700], [300, 700]]
    one = {"box_2d": [100, 200, 800, 900], "mask": grey_png(generator)}
    two = {"box_2d": [300, 100, 950, 600], "mask": grey_png(generator)}
    faint = {"box_2d": [0, 0, 500, 500], "mask": grey_png(generator, 0, 60)}
    bright = {"box_2d": [400, 400, 900, 900], "mask": grey_png(generator, 180, 256)}
    off = {"box_2d": [-80, 500, 600, 1100], "mask": grey_png(generator)}
    polygon = {"box_2d": [300, 300, 700, 700], "mask": square}
    return [
        json.dumps(items)
        for items in (
            [one],
            [one, two],
            [faint],
            [faint, bright],
            [bright, polygon],
            [polygon],
            [off, one, faint],
            [],
            [faint, two],
        )
    ] + ["no JSON at all"]


@pytest.fixture(params=["union", "first", "largest"])
def run_folder(tmp_path, request):
    """Return an unscored run of 20 samples: with and without a target, with ignored pixels, two to an image."""
    generator = np.random.default_rng(3)
    samples, bodies = [], []
    rows, columns = np.mgrid[:HEIGHT_PX, :WIDTH_PX]
    ignored = rle_encode((rows < 40) & (columns > 70))
    for number, text in enumerate(answers_of(generator) + answers_of(generator)):
        target = (rows - 45) ** 2 + (columns - 30 - 3 * number) ** 2 < 28**2
        instances = () if number % 7 == 6 else (rle_encode(target),)
        truth = GroundTruth(HEIGHT_PX, WIDTH_PX, instances, ignore=ignored if number % 2 else None)
        samples.append(
            Sample("shapes", "all", str(number), str(number // 2), ImageRef("none.png"), "it", truth)
        )
        part = {"content": {"parts": [{"text": text}]}, "finishReason": "STOP"}
        bodies.append(json.dumps({"candidates": [part], "modelVersion": "gemini-2.5-flash"}))
    write_samples(tmp_path / "samples.parquet", samples)
    config = RunConfig.model_validate(
        {
            "name": "sweep",
            "datasets": [{"name": "shapes", "format": "jsonl", "path": "none"}],
            "models": [{"name": "m", "provider": "gemini", "model": "gemini-2.5-flash"}],
            "decode": {"instances": request.param},
        }
    )
    manifest = {
        "name": "sweep",
        "config": config.model_dump(mode="json"),
        "status": "complete",
        "simulated": False,
    }
    write_json(tmp_path / "manifest.json", manifest)
    with Ledger(tmp_path / "responses.sqlite") as ledger:
        for number, body in enumerate(bodies):
            key = Key("m", "shapes", str(number), 0)
            ledger.add(AttemptRow(key, 1, "answered", 1_700_000_000.0, 1.0, 200, body=body))
    return tmp_path


def scored(folder, out, **settings):
    """Score a copy of the run under other settings and return its summary and rows."""
    run = RunFolder(folder)
    decode = run.config().decode.model_copy(update=settings)
    copy = score_run(run, decode=decode, out=out)
    return copy.summary().results[0], copy.scores()


def test_every_threshold_has_the_numbers_of_a_scoring_at_it(run_folder, tmp_path):
    """gIoU, cIoU, precision and failures, with several items, ignored pixels, faint masks and refusals."""
    swept = sweep_threshold(run_folder)["results"][0]
    for threshold in TESTED:
        summary, _ = scored(run_folder, tmp_path / f"at-{threshold}", threshold=threshold)
        assert swept["giou"][threshold] == pytest.approx(summary["giou"]["value"], abs=1e-12)
        assert swept["ciou"][threshold] == pytest.approx(summary["ciou"]["value"], abs=1e-12)
        assert swept["format_failure_rate"][threshold] == pytest.approx(
            summary["format_failure_rate"]["value"]
        )
        assert swept["precision_at_0.5"][threshold] == pytest.approx(summary["precision_at"]["0.5"]["value"])
    assert len(swept["giou"]) == 256
    assert len(set(swept["giou"])) > 100
    assert swept["n_answered"] == 20
    assert swept["n_images"] == 10


def test_conventions_from_one_pass_are_those_of_separate_scorings(run_folder, tmp_path):
    """The table's gIoU under each convention is that of a scoring with its settings."""
    rows = {row["convention"]: row for row in sensitivity(run_folder)}
    for name, settings in CONVENTIONS.items():
        changed = {
            key: getattr(settings, key) for key in ("threshold", "box_rounding", "filter", "instances")
        }
        summary, _ = scored(run_folder, tmp_path / name.replace(" ", "-"), **changed)
        assert rows[name]["giou"] == pytest.approx(summary["giou"], abs=1e-9)
    assert rows["reference"]["change"]["value"] == 0
    assert rows["lanczos"]["change"]["value"] != 0


def test_the_highest_threshold_is_told_beside_the_runs_own(run_folder):
    """The best threshold is the curve's; its change is against the run's own threshold."""
    document = sweep_threshold(run_folder)
    result = document["results"][0]
    best = result["best"]
    assert best["giou"] == max(result["giou"])
    assert best["change"]["value"] == pytest.approx(
        best["giou"] - result["giou"][document["threshold"]], abs=1e-6
    )
    assert f"highest gIoU at {best['threshold']}" in sweep_table(document)
    assert "127 (own)" in sweep_table(document)
    assert all(
        low <= value <= high
        for low, value, high in zip(*(result[f"giou{end}"] for end in ("_low", "", "_high")), strict=True)
    )


def test_a_mask_that_bilinear_loses_is_found_by_another_filter(tmp_path):
    """One bright pixel of a large mask vanishes in a small box, but not under every filter."""
    from evalkit.decoding.answer import open_answer
    from evalkit.metrics.truth import Truth
    from evalkit.scoring.sensitivity import _ious

    dot = np.zeros((101, 101), dtype=np.uint8)
    dot[50, 50] = 1
    stream = io.BytesIO()
    Image.fromarray(dot).save(stream, "PNG")
    url = "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()
    text = json.dumps([{"box_2d": [0, 0, 1000, 1000], "mask": url}])
    truth = Truth(GroundTruth(11, 11, (rle_encode(np.ones((11, 11), dtype=bool)),)))
    opened = open_answer(text, height_px=11, width_px=11)
    found = dict(zip(CONVENTIONS, _ious(opened, truth, DecodeSettings()), strict=True))
    assert found["reference"] == 0.0
    assert opened.read(DecodeSettings(threshold=0, filter="nearest")).outcome == "decoded"


def test_a_run_of_boxes_has_no_threshold(run_folder):
    """The task of boxes is refused with the reason."""
    manifest = json.loads((run_folder / "manifest.json").read_text("utf-8"))
    manifest["config"]["task"] = "box"
    write_json(run_folder / "manifest.json", manifest)
    with pytest.raises(ConfigError, match="task is boxes"):
        sweep_threshold(run_folder)
