"""gIoU under each convention: re-decoding stored answers, nothing written."""

from __future__ import annotations

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from evalkit.masks import rle_encode
from evalkit.scoring.sensitivity import CONVENTIONS, sensitivity, sensitivity_table


@pytest.fixture
def run_folder(tmp_path, monkeypatch):
    """Return a run of one Python model that answers with a small PNG in a rounded box."""
    from evalkit.config.schema import load_config
    from evalkit.pipeline import run

    truth = np.zeros((97, 131), dtype=bool)
    truth[20:70, 30:110] = True
    lines = [
        {"id": f"s{n}", "image": f"{n}.png", "expression": "it", "mask": rle_encode(truth).to_json()}
        for n in range(3)
    ]
    for n in range(3):
        Image.new("RGB", (131, 97)).save(tmp_path / f"{n}.png")
    (tmp_path / "mine.jsonl").write_text("\n".join(map(json.dumps, lines)), "utf-8")
    stream = io.BytesIO()
    Image.fromarray(np.tile(np.arange(64, dtype=np.uint8) * 4, (64, 1))).save(stream, "PNG")
    url = "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()
    rows = [
        {"sample_id": f"s{n}", "text": json.dumps([{"box_2d": [214, 236, 727, 845], "mask": url}])}
        for n in range(3)
    ]
    (tmp_path / "answers.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    (tmp_path / "run.yaml").write_text(
        "name: conventions\ndatasets: [{name: mine, format: jsonl, path: mine.jsonl}]\n"
        "models: [{name: stored, provider: predictions, path: answers.jsonl}]\n",
        "utf-8",
    )
    config = load_config(tmp_path / "run.yaml")
    run(config, show=lambda _plan: None, confirm=pytest.fail, out=tmp_path / "out", quiet=True)
    return tmp_path / "out"


def test_each_convention_moves_the_mean_as_it_should(run_folder):
    """A grey ramp grows under threshold 0; the reference changes nothing against itself."""
    before = sorted(
        (path.name, path.stat().st_mtime_ns) for path in run_folder.iterdir() if "sqlite-" not in path.name
    )
    rows = {row["convention"]: row for row in sensitivity(run_folder)}
    assert list(rows) == list(CONVENTIONS)
    assert rows["reference"]["change"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    assert rows["threshold 0"]["change"]["value"] > 0.2
    assert rows["boxes rounded"]["giou"]["value"] != rows["reference"]["giou"]["value"]
    for row in rows.values():
        moved = row["giou"]["value"] - rows["reference"]["giou"]["value"]
        assert row["change"]["value"] == pytest.approx(moved)
    assert (
        sorted(
            (path.name, path.stat().st_mtime_ns)
            for path in run_folder.iterdir()
            if "sqlite-" not in path.name
        )
        == before
    )


def test_the_table_names_every_convention(run_folder):
    """One block per model and dataset."""
    text = sensitivity_table(sensitivity(run_folder))
    assert "stored on mine (n = 3)" in text
    assert all(name in text for name in CONVENTIONS)
