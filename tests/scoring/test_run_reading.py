"""A run whose answers follow another convention: what its summary, terminal, page and gate say."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from evalkit.comparison.gate.verdict import gate_run
from evalkit.config.schema import RunConfig
from evalkit.decoding.settings import DecodeSettings
from evalkit.masks import rle_encode
from evalkit.report import build_report
from evalkit.report.headline import headline_table
from evalkit.scoring.score import score_run
from evalkit.scoring.sensitivity import readings, readings_table
from evalkit.storage.files import write_json
from evalkit.storage.ledger import AttemptRow, Key, Ledger
from evalkit.storage.run_folder import RunFolder, open_for_run
from evalkit.storage.samples_table import write_samples
from evalkit.types import GroundTruth, ImageRef, Sample

HEIGHT_PX, WIDTH_PX = 60, 80
N = 16
PROMPT = {"text": "Find {expression}.", "keys": ["box_2d", "mask"], "wire_format": None}


def config_of(prompt, gate=(), max_side=None):
    """Return the config of one Gemini model with its own prompt."""
    return RunConfig.model_validate(
        {
            "name": "reading",
            "datasets": [{"name": "shapes", "format": "jsonl", "path": "none"}],
            "models": [{"name": "m", "provider": "gemini", "model": "gemini-2.5-flash", "prompt": "own"}],
            "prompts": {"own": prompt},
            "gate": list(gate),
            "image": {"max_side": max_side},
        }
    )


def triangle(x0, y0, x1, y1):
    """Write half a box as points x first in 0..1000."""
    return [[int(1000 * a), int(1000 * b)] for a, b in ((x0, y0), (x1, y0), (x1, y1))]


def y_first(x0, y0, x1, y1):
    """Write corners y first in 0..1000, as asked."""
    return [round(1000 * v) for v in (y0, x0, y1, x1)]


def turned(*box):
    """Write the same points y first."""
    return [[y, x] for x, y in triangle(*box)]


def inside(*_):
    """Write the same half inside its box."""
    return [[0, 0], [1000, 0], [1000, 1000]]


def anywhere(*box):
    """Write a triangle that has nothing to do with the object."""
    generator = np.random.default_rng(int(1e6 * sum(box)))
    return generator.integers(0, 1000, (3, 2)).tolist()


def make_run(folder, written, *, config=None, points_of=triangle):
    """Write a scored run of N answers; ``written``: (x0, y0, x1, y1) in fractions -> four numbers."""
    generator = np.random.default_rng(1)
    samples, bodies = [], []
    for number in range(N):
        height, width = generator.integers(8, 26, 2)
        y, x = generator.integers(0, HEIGHT_PX - height), generator.integers(0, WIDTH_PX - width)
        mask_hw = np.zeros((HEIGHT_PX, WIDTH_PX), dtype=bool)
        mask_hw[y : y + height, x : x + width] = True
        path = folder / f"{number}.png"
        Image.fromarray(np.full((HEIGHT_PX, WIDTH_PX, 3), 90, dtype=np.uint8)).save(path)
        truth = GroundTruth(HEIGHT_PX, WIDTH_PX, (rle_encode(mask_hw),))
        samples.append(Sample("shapes", "all", str(number), str(number), ImageRef(str(path)), "it", truth))
        box = (x / WIDTH_PX, y / HEIGHT_PX, (x + width) / WIDTH_PX, (y + height) / HEIGHT_PX)
        text = json.dumps([{"box_2d": written(*box), "mask": points_of(*box)}])
        part = {"content": {"parts": [{"text": text}]}, "finishReason": "STOP"}
        bodies.append(json.dumps({"candidates": [part], "modelVersion": "gemini-2.5-flash"}))
    write_samples(folder / "samples.parquet", samples)
    with Ledger(folder / "responses.sqlite") as ledger:
        for number, body in enumerate(bodies):
            key = Key("m", "shapes", str(number), 0)
            ledger.add(AttemptRow(key, 1, "answered", 1_700_000_000.0, 1.0, 200, body=body))
    return rescore(folder, config or config_of(PROMPT))


def rescore(folder, config):
    """Score a run by a config, as the same command does after the YAML was changed."""
    manifest = {
        "name": "reading",
        "config": config.model_dump(mode="json"),
        "answers_fingerprint": config.answers_fingerprint(),
        "status": "complete",
        "simulated": False,
        "models": ["m"],
        "seed": 0,
    }
    write_json(folder / "manifest.json", manifest)
    return score_run(RunFolder(folder))


def x_first(*box):
    """Write corners x first in 0..1000."""
    return [round(1000 * v) for v in box]


def test_an_x_first_run_says_so_everywhere(tmp_path):
    """Summary, terminal, sensitivity, page and gate name the convention and the key to set."""
    run = make_run(tmp_path, x_first)
    reading = run.summary().results[0]["reading"]
    assert set(reading) >= {"n", "box_iou", "best", "best_box_iou", "suspect"}
    assert (reading["n"], reading["best"], reading["suspect"]) == (N, "xyxy norm1000", True)
    assert reading["best_box_iou"] > 0.95
    assert reading["box_iou"] < 0.5
    told = headline_table(run.summary())
    assert "SUSPECT READING: m on shapes" in told
    assert "box_order: xyxy, unit: norm1000" in told
    table = readings_table(readings(tmp_path))
    assert table.splitlines()[2].split()[:2] == ["xyxy", "norm1000"]
    assert "SUSPECT READING" in table
    page = build_report([tmp_path], None).read_text("utf-8")
    assert page.index("Suspect reading.") < page.index('class="headline"')
    assert "<code>box_order: xyxy, unit: norm1000" in page
    verdict = gate_run(run)
    failed = [check for check in verdict.checks if check.status == "fail"]
    assert [check.metric for check in failed] == ["suspect_reading"]
    assert "box_order: xyxy" in failed[0].detail
    assert verdict.exit_code == 1


def test_a_gate_rule_of_its_name_allows_it(tmp_path):
    """``max: 1`` lets a suspect reading pass, still told."""
    config = config_of(PROMPT, gate=[{"metric": "suspect_reading", "max": 1}])
    verdict = gate_run(make_run(tmp_path, x_first, config=config))
    check = next(check for check in verdict.checks if check.metric == "suspect_reading")
    assert (check.status, verdict.exit_code) == ("pass", 0)
    assert "read as xyxy norm1000" in check.detail


def test_the_key_that_it_names_reads_the_stored_answers_right(tmp_path):
    """The corrected prompt opens the same folder, asks nothing and scores anew; another text does not."""
    make_run(tmp_path, x_first)
    corrected = config_of({**PROMPT, "box_order": "xyxy", "unit": "norm1000"})
    assert open_for_run(tmp_path, corrected)
    result = rescore(tmp_path, corrected).summary().results[0]
    assert not result["reading"]["suspect"]
    assert result["reading"]["box_iou"] > 0.9
    with pytest.raises(Exception, match="another config"):
        open_for_run(tmp_path, config_of({**PROMPT, "text": "Where is {expression}?"}))


def test_points_y_first_beside_right_boxes_are_named_and_read_by_the_key(tmp_path):
    """No box is wrong and every answer is ambiguous: order and key are told everywhere, and the key reads them."""
    run = make_run(tmp_path, y_first, points_of=turned)
    result = run.summary().results[0]
    reading = result["reading"]
    assert (reading["suspect"], reading["suspect_parts"]) == (True, ["contours"])
    assert reading["box_iou"] == reading["best_box_iou"]
    assert (reading["contours"]["stated"], reading["contours"]["best"]) == ("xy image", "yx image")
    assert "`{point_order: yx}`" in headline_table(run.summary())
    table = readings_table(readings(tmp_path))
    assert "contours of 16 answers" in table
    assert "`{point_order: yx}`" in table
    assert "<code>point_order: yx<" in build_report([tmp_path], None).read_text("utf-8")
    right = rescore(tmp_path, config_of({**PROMPT, "point_order": "yx"})).summary().results[0]
    assert right["failures"] == {}
    assert not right["reading"]["suspect"]
    assert right["reading"]["contours"]["box_iou"] > 0.9
    assert right["giou"]["value"] > result["giou"]["value"] + 0.2


def test_right_points_beside_x_first_boxes_name_the_box_alone(tmp_path):
    """The contour is as asked: the key to set is the box's."""
    words = headline_table(make_run(tmp_path, x_first).summary())
    assert "`{box_order: xyxy, unit: norm1000}`" in words
    assert "contours" not in words


def test_points_inside_the_box_are_read_or_named(tmp_path):
    """A prompt of the image's frame: where answers stay unread the words name the frame; else nothing is to say."""
    reading = make_run(tmp_path, y_first, points_of=inside).summary().results[0]["reading"]
    assert reading["contours"]["box_iou"] > 0.9 or reading["suspect_parts"] == ["contours"]
    assert reading["contours"]["best"] == "xy box"


def test_random_points_beside_right_boxes_raise_no_alarm(tmp_path):
    """A model that draws badly has no other convention."""
    reading = make_run(tmp_path, y_first, points_of=anywhere).summary().results[0]["reading"]
    assert reading["contours"]["n"] == N
    assert not reading["suspect"]


def test_pixels_of_a_reduced_image_are_named(tmp_path):
    """``image.max_side`` halves what the model saw: its pixels are found in that frame."""
    run = make_run(
        tmp_path,
        lambda x0, y0, x1, y1: [round(v * s, 1) for v, s in zip((y0, x0, y1, x1), (30, 40) * 2, strict=True)],
        config=config_of(PROMPT, max_side=40),
    )
    assert run.summary().results[0]["reading"]["best"] == "yxyx pixel"


def test_no_score_depends_on_it(tmp_path):
    """The numbers of a suspect run are those of its rows; the diagnosis is beside them."""
    run = make_run(tmp_path, x_first)
    result, scores = run.summary().results[0], run.scores()
    assert "stated_boxes" not in scores
    assert result["box_iou"]["value"] == pytest.approx(scores["box_iou"].mean())
    assert result["giou"]["value"] == pytest.approx(scores["iou"].mean())


def test_a_run_scored_before_has_no_reading(tmp_path):
    """A folder of an older evalkit opens, and its gate and page say nothing of readings."""
    import pyarrow.parquet as pq

    config = config_of(PROMPT, gate=[{"metric": "giou", "min": 0.0}])
    run = make_run(tmp_path, x_first, config=config)
    table = pq.read_table(tmp_path / "scores.parquet").drop_columns(["stated_boxes"])
    pq.write_table(table, tmp_path / "scores.parquet")
    assert RunFolder(tmp_path).stated() is None
    assert readings(tmp_path) == []
    summary = json.loads((tmp_path / "summary.json").read_text("utf-8"))
    for result in summary["results"]:
        del result["reading"]
    write_json(tmp_path / "summary.json", summary)
    assert gate_run(run).exit_code == 0
    assert "Suspect reading" not in build_report([tmp_path], None).read_text("utf-8")
    rescored = score_run(RunFolder(tmp_path), decode=DecodeSettings())
    assert rescored.summary().results[0]["reading"]["suspect"]
