"""The main job end to end: real client over HTTP against the simulator, on small drawn pictures."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from PIL import Image, ImageDraw

from evalkit.cli.app import main
from evalkit.models import attempts
from evalkit.storage.ledger import Ledger

MEASURED = ["latency_s"]
"""Wall-clock columns, the only ones that may differ between two runs of the same config."""

CONFIG = """\
name: small
seed: 3
datasets:
  - {{name: shapes, format: jsonl, path: shapes.jsonl}}
models:
  - {{name: png, provider: simulator, persona: png-masks, latency_s: {latency}, faults: {faults}}}
  - {{name: mixed, provider: simulator, persona: mixed-failures, latency_s: {latency}}}
  - {{name: floor, provider: python, function: whole-image}}
"""


def draw_shapes(folder, n_images=6):
    """Draw pictures of a disc and a bar, with masks, three expressions each (one has no target)."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(1)
    lines = []
    for number in range(n_images):
        picture = Image.fromarray(generator.integers(90, 160, (60, 80, 3), dtype=np.uint8))
        draw = ImageDraw.Draw(picture)
        x, y = 8 + 5 * number, 10 + 3 * number
        for name, box, shape in (
            ("disc", [x, y, x + 22, y + 20], "ellipse"),
            ("bar", [2, 50, 70, 56], "rectangle"),
        ):
            mask = Image.new("L", picture.size)
            getattr(ImageDraw.Draw(mask), shape)(box, fill=255)
            getattr(draw, shape)(box, fill=(220, 40, 40))
            mask.save(folder / f"{number}-{name}.png")
        picture.save(folder / f"{number}.png")
        for name in ("disc", "bar", "unicorn"):
            row = {
                "id": f"{number}-{name}",
                "image": f"{number}.png",
                "expression": f"the {name} in picture {number}",
            }
            row["tags"] = {"thing": name}
            row |= (
                {"mask": None, "no_target": True} if name == "unicorn" else {"mask": f"{number}-{name}.png"}
            )
            lines.append(json.dumps(row))
    (folder / "shapes.jsonl").write_text("\n".join(lines) + "\n")


def write_config(folder, *, latency=0.001, faults="[]", text=CONFIG):
    draw_shapes(folder)
    path = folder / "run.yaml"
    path.write_text(text.format(latency=latency, faults=faults))
    return path


def evalkit(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def content(out):
    return pd.read_parquet(out / "scores.parquet").drop(columns=MEASURED)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """One finished run that several tests look at; they change nothing in it."""
    folder = tmp_path_factory.mktemp("finished")
    result = evalkit("run", write_config(folder), "--out", folder / "out", "--yes")
    assert result.exit_code == 0, result.output
    return folder / "out", result


def test_a_run_writes_every_file_and_prints_the_headline(finished):
    """The folder holds what the documentation lists, and the path of the report is printed."""
    out, result = finished
    names = {path.name for path in out.iterdir()}
    assert {"manifest.json", "responses.sqlite", "samples.parquet", "scores.parquet", "summary.json"} <= names
    assert (out / "report" / "index.html").is_file()
    assert "SIMULATED ANSWERS" in result.output
    assert str(out / "report" / "index.html") in result.output
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["status"] == "complete"
    assert manifest["simulated"] is True
    assert manifest["counts"]["answered"] == 3 * 18


def test_scores_have_one_row_per_model_and_sample(finished):
    """3 models x 18 samples, with the documented columns in order."""
    scores = pd.read_parquet(finished[0] / "scores.parquet")
    assert len(scores) == 54
    documented = [
        "model",
        "dataset",
        "split",
        "sample_id",
        "image_id",
        "expression",
        "tags",
        "trial",
        "outcome",
        "failure",
        "wire_formats",
        "repairs",
        "n_items",
        "intersection",
        "union",
        "iou",
        "box_iou",
        "boundary_iou",
        "gt_area",
        "pred_area",
        "no_target",
        "latency_s",
        "input_tokens",
        "output_tokens",
        "thought_tokens",
        "cost_usd",
        "requested_model",
        "model_version",
        "finish_reason",
        "attempts",
    ]
    assert set(documented) <= set(scores.columns)
    png = scores[(scores.model == "png") & (scores.outcome == "decoded") & ~scores.no_target]
    assert png.iou.median() > 0.6
    floor = scores[(scores.model == "floor") & ~scores.no_target]
    assert (floor.pred_area == 80 * 60).all()
    assert (floor.iou == floor.gt_area / 4800).all()


def test_the_summary_agrees_with_the_scores(finished):
    """GIoU and cIoU of the summary are the plain means and sums of the rows."""
    scores = pd.read_parquet(finished[0] / "scores.parquet")
    summary = json.loads((finished[0] / "summary.json").read_text())
    for result in summary["results"]:
        if result["slice"] != "all":
            continue
        rows = scores[scores.model == result["model"]]
        assert result["n"] == len(rows)
        assert result["giou"]["value"] == pytest.approx(rows.iou.mean())
        assert result["ciou"]["value"] == pytest.approx(rows.intersection.sum() / rows.union.sum())
        failed = rows.outcome == "format_failure"
        assert result["format_failure_rate"]["value"] == pytest.approx(failed.mean())
    assert {"thing=disc", "thing=bar", "thing=unicorn"} <= {r["slice"] for r in summary["results"]}


def test_running_again_asks_nothing_and_changes_nothing(tmp_path):
    """The same command on a finished run is a no-op with the same scores."""
    config = write_config(tmp_path)
    evalkit("run", config, "--out", tmp_path / "out", "--yes")
    before = content(tmp_path / "out")
    with Ledger(tmp_path / "out" / "responses.sqlite") as ledger:
        attempts = ledger.count()
    again = evalkit("run", config, "--out", tmp_path / "out", "--yes")
    assert again.exit_code == 0, again.output
    with Ledger(tmp_path / "out" / "responses.sqlite") as ledger:
        assert ledger.count() == attempts
    pd.testing.assert_frame_equal(content(tmp_path / "out"), before)


def test_throttling_and_overload_change_no_score(tmp_path, monkeypatch):
    """429 with RetryInfo and 503 are retried; the scores are those of a calm run."""
    monkeypatch.setattr(attempts, "FIRST_BACKOFF_S", 0.02)
    calm, stormy = tmp_path / "calm", tmp_path / "stormy"
    faults = "[{kind: rate_limit_minute, every: 4, retry_delay_s: 0.05}, {kind: unavailable, every: 5}]"
    assert evalkit("run", write_config(calm), "--out", calm / "out", "--yes").exit_code == 0
    result = evalkit("run", write_config(stormy, faults=faults), "--out", stormy / "out", "--yes")
    assert result.exit_code == 0, result.output
    calm_scores, stormy_scores = content(calm / "out"), content(stormy / "out")
    assert stormy_scores.attempts.sum() > calm_scores.attempts.sum()
    columns = [c for c in calm_scores.columns if c not in ("attempts", "image_path")]
    pd.testing.assert_frame_equal(stormy_scores[columns], calm_scores[columns])


def test_killed_three_times_and_resumed_gives_the_same_scores(finished, tmp_path):
    """Kill -9 at arbitrary moments loses nothing that was stored and doubles nothing."""
    straight, _ = finished
    killed = tmp_path / "killed"
    config = write_config(killed, latency=0.25)
    command = [sys.executable, "-m", "evalkit", "run", str(config), "--out", str(killed / "out"), "--yes"]
    stored = [0]
    for wanted in (1, 8, 20):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _wait_for_answers(killed / "out" / "responses.sqlite", wanted, process)
        process.send_signal(signal.SIGKILL)
        process.wait()
        stored.append(_answers(killed / "out" / "responses.sqlite"))
    assert sorted(stored) == stored
    result = evalkit("run", config, "--out", killed / "out", "--yes")
    assert result.exit_code == 0, result.output
    columns = [c for c in content(straight).columns if c != "image_path"]
    pd.testing.assert_frame_equal(content(killed / "out")[columns], content(straight)[columns])


def _answers(path):
    if not path.is_file():
        return 0
    with Ledger(path) as ledger:
        return ledger.count("answered")


def _wait_for_answers(path, wanted, process):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None and _answers(path) < wanted:
        time.sleep(0.02)
    assert process.poll() is None, "the run ended before it could be killed"


def test_ctrl_c_says_what_is_stored_and_exits_3(tmp_path):
    """An interrupt is one paragraph, no traceback, and the way on."""
    config = write_config(tmp_path, latency=2.0)
    command = [sys.executable, "-m", "evalkit", "run", str(config), "--out", str(tmp_path / "out"), "--yes"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        _wait_for_answers(tmp_path / "out" / "responses.sqlite", 1, process)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 3, errors
    assert "interrupted" in errors
    assert "Traceback" not in errors


def test_limit_and_models_narrow_a_run_which_a_later_one_widens(tmp_path):
    """--limit and --models ask a part; the plain command asks the rest in the same folder."""
    config = write_config(tmp_path)
    assert (
        evalkit("run", config, "--out", tmp_path / "out", "--limit", 4, "--models", "png", "--yes").exit_code
        == 0
    )
    assert len(content(tmp_path / "out")) == 4
    assert evalkit("run", config, "--out", tmp_path / "out", "--yes").exit_code == 0
    scores = content(tmp_path / "out")
    assert len(scores) == 54
    assert (scores.attempts == 1).all()


def test_dry_run_writes_nothing(tmp_path):
    """A dry run shows the plan and leaves no folder behind."""
    config = write_config(tmp_path)
    result = evalkit("run", config, "--out", tmp_path / "out", "--dry-run")
    assert result.exit_code == 0, result.output
    assert not (tmp_path / "out").exists()
    assert "54" in result.output or "18" in result.output


def test_rescoring_with_another_threshold_needs_no_server(finished, tmp_path):
    """`evalkit score --out` writes a folder that refers to the same answers, with other numbers."""
    out, _ = finished
    result = evalkit("score", out, "--decode.box_rounding", "round", "--out", tmp_path / "rounded")
    assert result.exit_code == 0, result.output
    assert (
        json.loads((tmp_path / "rounded" / "manifest.json").read_text())["config"]["decode"]["box_rounding"]
        == "round"
    )
    assert not (tmp_path / "rounded" / "responses.sqlite").exists()
    assert not content(tmp_path / "rounded").equals(content(out))
    again = evalkit("score", tmp_path / "rounded", "--decode.box_rounding", "truncate")
    assert again.exit_code == 0, again.output
    pd.testing.assert_frame_equal(content(tmp_path / "rounded"), content(out))


def test_an_impossible_setting_is_a_usage_error(finished):
    """A threshold of 300 is refused with the rule, and nothing is changed."""
    result = evalkit("score", finished[0], "--decode.threshold", "300")
    assert result.exit_code == 2
    assert "threshold" in result.output


def replaced(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


BAD_INPUT = {
    "unknown key": (
        lambda f: replaced(f / "run.yaml", "seed: 3", "sede: 3"),
        r"run.yaml:2: unknown key 'sede'",
    ),
    "unknown dataset": (
        lambda f: replaced(
            f / "run.yaml", "{name: shapes, format: jsonl, path: shapes.jsonl}", "{name: everday}"
        ),
        "everyday",
    ),
    "missing annotation file": (lambda f: (f / "shapes.jsonl").unlink(), "shapes.jsonl"),
    "all images missing": (
        lambda f: [p.unlink() for p in f.glob("?.png")],
        "images are missing|does not exist",
    ),
    "damaged line": (lambda f: (f / "shapes.jsonl").write_text('{"id": "a", \n'), r"shapes.jsonl:1"),
    "unknown persona": (lambda f: replaced(f / "run.yaml", "png-masks", "png-mask"), "png-masks"),
    "unknown floor": (lambda f: replaced(f / "run.yaml", "whole-image", "hole-image"), "whole-image"),
}


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_is_one_clear_error_and_nothing_is_written(tmp_path, case):
    """Exit 2, the place and the way out, no traceback, no half-written folder."""
    config = write_config(tmp_path)
    spoil, expected = BAD_INPUT[case]
    spoil(tmp_path)
    result = evalkit("run", config, "--out", tmp_path / "out", "--yes")
    assert result.exit_code == 2, result.output
    assert re.search(expected, result.output), result.output
    assert "Traceback" not in result.output
    assert not (tmp_path / "out").exists()
    assert not [path for path in tmp_path.iterdir() if path.name.endswith(".part")]


def test_an_unknown_model_name_is_refused(tmp_path):
    """--models with a typo is exit 2 with the nearest name."""
    result = evalkit("run", write_config(tmp_path), "--models", "pgn", "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "Did you mean 'png'" in result.output


def test_a_few_missing_images_are_rows_not_a_crash(tmp_path):
    """One missing photograph among many is a data_error row and a count."""
    draw_shapes(tmp_path, n_images=12)
    path = tmp_path / "run.yaml"
    path.write_text(CONFIG.format(latency=0.001, faults="[]"))
    (tmp_path / "5.png").unlink()
    lines = (tmp_path / "shapes.jsonl").read_text().splitlines()
    rows = [json.loads(line) | {"width": 80, "height": 60} for line in lines]
    (tmp_path / "shapes.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    result = evalkit("run", path, "--out", tmp_path / "out", "--yes")
    assert result.exit_code == 0, result.output
    scores = content(tmp_path / "out")
    lost = scores[scores.outcome == "data_error"]
    assert set(lost.sample_id) == {"5-disc", "5-bar", "5-unicorn"}
    assert lost.iou.isna().all()
    assert lost.error.str.contains("5.png does not exist").all()
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    png = next(r for r in summary["results"] if r["model"] == "png" and r["slice"] == "all")
    assert png["n"] - png["n_answered"] == 3


def test_a_run_whose_endpoint_is_down_says_why_it_is_incomplete(tmp_path):
    """Exit 3, with how many were not run and the commonest cause."""
    config = write_config(tmp_path)
    config.write_text(
        "name: x\ndatasets: [{name: shapes, format: jsonl, path: shapes.jsonl}]\n"
        "models: [{name: a, provider: gemini, model: m, base_url: 'http://127.0.0.1:9', limits: {max_attempts: 1}}]\n"
    )
    result = evalkit("run", config, "--out", tmp_path / "out", "--yes", "--limit", 3)
    assert result.exit_code == 3, result.output
    assert "a: 3 of 3 were not run (limits.max_not_run: 0.02); most often:" in result.output
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["status"] == "partial"
    assert len(manifest["incomplete"]) == 1


def test_a_folder_of_another_config_is_refused(tmp_path):
    """Answers of two configs are never mixed in one folder."""
    config = write_config(tmp_path)
    assert evalkit("run", config, "--out", tmp_path / "out", "--yes").exit_code == 0
    replaced(config, "seed: 3", "seed: 4")
    result = evalkit("run", config, "--out", tmp_path / "out", "--yes")
    assert result.exit_code == 2
    assert "belongs to another config: seed: 3, now 4" in result.output


def test_a_missing_key_is_said_before_anything_is_sent(tmp_path, monkeypatch):
    """Provider gemini without a key: one paragraph, exit 2, no folder."""
    monkeypatch.delenv("GEMINI_API_KEY", raising=False)
    monkeypatch.delenv("GOOGLE_API_KEY", raising=False)
    draw_shapes(tmp_path)
    path = tmp_path / "run.yaml"
    path.write_text(
        "name: x\ndatasets: [{name: shapes, format: jsonl, path: shapes.jsonl}]\n"
        "models: [{name: a, provider: gemini, model: gemini-2.5-flash}]\n"
    )
    result = evalkit("run", path, "--out", tmp_path / "out", "--yes")
    assert result.exit_code == 2
    assert "GEMINI_API_KEY" in result.output
    assert not (tmp_path / "out").exists()


def test_the_key_is_in_no_file_of_the_run(tmp_path, monkeypatch):
    """After a run with a key against the simulator, no byte written holds the key."""
    key = "AIzaSy-a-very-secret-key-0123456789abcdef"
    monkeypatch.setenv("GEMINI_API_KEY", key)
    assert evalkit("run", write_config(tmp_path), "--out", tmp_path / "out", "--yes").exit_code == 0
    for path in Path(tmp_path / "out").rglob("*"):
        assert path.is_dir() or key.encode() not in path.read_bytes()


def test_a_gemini_entry_pointed_at_the_simulator_is_marked_as_simulated(tmp_path):
    """The answers themselves say who made them: no config can pass them off as real."""
    from evalkit.config.schema import load_config
    from evalkit.runner.prepare import load_run_samples
    from evalkit.simulator import start_simulator

    config = write_config(tmp_path)
    with start_simulator(load_run_samples(load_config(config)), seed=1, latency_s=0.001) as simulator:
        config.write_text(
            "name: x\ndatasets: [{name: shapes, format: jsonl, path: shapes.jsonl}]\n"
            f"models: [{{name: a, provider: gemini, model: gemini-2.5-flash, base_url: '{simulator.base_url}'}}]\n"
        )
        result = evalkit("run", config, "--out", tmp_path / "out", "--yes")
    assert result.exit_code == 0, result.output
    assert "SIMULATED ANSWERS" in result.output
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["simulated"] is True


def test_help_is_instant_and_loads_nothing_heavy():
    """`evalkit --help` must not import pandas, scipy, matplotlib, PIL or google.genai."""
    program = (
        "import sys; from click.testing import CliRunner; from evalkit.cli.app import main; "
        "assert CliRunner().invoke(main, ['--help']).exit_code == 0; "
        "heavy = {'numpy', 'pandas', 'scipy', 'matplotlib', 'PIL', 'pyarrow', 'google.genai', 'pydantic', 'rich', 'jinja2'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=os.environ
    )
    assert done.stdout.strip() == "[]"
