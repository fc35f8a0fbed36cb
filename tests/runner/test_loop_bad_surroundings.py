"""Runs among damaged files, full disks and signals: typed, told in one paragraph, never a traceback."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from PIL import Image

from evalkit.cli.app import main

CONFIG = """\
name: small
datasets: [{{name: noise, format: jsonl, path: noise.jsonl}}]
models:
  - {{name: png, provider: simulator, persona: perfect, latency_s: {latency}, limits: {{concurrency: 2}}}}
  - {{name: floor, provider: python, function: whole-image}}
"""


IN_FRONT = """
import signal
from evalkit.cli.app import main
signal.signal(signal.SIGINT, signal.default_int_handler)
main()
"""
"""The command as a terminal starts it: a background job of a shell, as tests may be, ignores SIGINT."""


def write_run(folder, *, n_samples=12, latency=0.001):
    """Write a config, pictures of noise and one mask; return the config's path."""
    generator = np.random.default_rng(2)
    mask = np.zeros((30, 40), np.uint8)
    mask[5:20, 8:30] = 255
    Image.fromarray(mask).save(folder / "mask.png")
    lines = []
    for number in range(n_samples):
        Image.fromarray(generator.integers(0, 255, (30, 40, 3), dtype=np.uint8)).save(
            folder / f"{number}.png"
        )
        lines.append(
            {"id": str(number), "image": f"{number}.png", "expression": f"part {number}", "mask": "mask.png"}
        )
    (folder / "noise.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    path = folder / "run.yaml"
    path.write_text(CONFIG.format(latency=latency))
    return path


def invoke(*arguments):
    result = CliRunner().invoke(main, [str(part) for part in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.mark.parametrize("damage", ["cut", "empty"])
def test_a_damaged_photograph_is_a_row_and_a_count(tmp_path, damage):
    """One photograph of many that cannot be decoded is a data error for every model; the rest is scored."""
    config, picture = write_run(tmp_path), tmp_path / "7.png"
    picture.write_bytes(picture.read_bytes()[:1500] if damage == "cut" else b"")
    result = invoke("run", config, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "png on noise: 1 of 12 samples are in no mean" in result.output
    scores = pd.read_parquet(tmp_path / "out" / "scores.parquet").set_index(["model", "sample_id"])
    for model in ("png", "floor"):
        assert scores.loc[model]["outcome"].value_counts().to_dict() == {"decoded": 11, "data_error": 1}
        assert "7.png" in scores.loc[model, "7"]["error"]


def test_a_dataset_of_empty_photographs_is_refused(tmp_path):
    """Where the download failed altogether, nothing is asked."""
    config = write_run(tmp_path)
    for number in range(12):
        (tmp_path / f"{number}.png").write_bytes(b"")
    result = invoke("run", config, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "12 of 12 images are missing or empty" in result.output
    assert not (tmp_path / "out").exists()


def test_a_disk_that_fills_up_ends_the_run_and_loses_nothing(tmp_path, monkeypatch):
    """The first answer that cannot be stored ends every model's asking with exit 3; a later run goes on."""
    config, out = write_run(tmp_path, n_samples=40), tmp_path / "out"
    connect = sqlite3.connect

    def small(*arguments, **options):
        connection = connect(*arguments, **options)
        connection.execute("PRAGMA max_page_count = 6")
        return connection

    with monkeypatch.context() as patched:
        patched.setattr(sqlite3, "connect", small)
        result = invoke("run", config, "--out", out)
    assert result.exit_code == 3, result.output
    assert "could not take another answer" in result.output
    assert "Traceback" not in result.output
    assert invoke("run", config, "--out", out).exit_code == 0
    assert set(pd.read_parquet(out / "scores.parquet")["outcome"]) == {"decoded"}


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path):
    """The system's refusal is passed on with the path."""
    config = write_run(tmp_path)
    (tmp_path / "file").write_text("not a folder")
    result = invoke("run", config, "--out", tmp_path / "file" / "out")
    assert result.exit_code == 2
    assert result.output.splitlines()[-1].startswith("error: ")
    assert str(tmp_path / "file") in result.output


def test_an_unknown_provider_names_its_line_and_the_nearest(tmp_path):
    """A slip in `provider:` is told like every other unknown name."""
    config = write_run(tmp_path)
    config.write_text(config.read_text().replace("provider: python", "provider: pyton"))
    result = invoke("run", config)
    assert result.exit_code == 2
    assert "run.yaml:5: models.1: there is no provider 'pyton'. Did you mean 'python'?" in result.output


def test_a_run_in_a_terminal_shows_bars_to_its_end(tmp_path):
    """What a person sees: bars for every model and for scoring, then the table; no traceback."""
    pty = pytest.importorskip("pty")
    config, shown = write_run(tmp_path), bytearray()

    def read(terminal):
        chunk = os.read(terminal, 4096)
        shown.extend(chunk)
        return chunk

    command = [sys.executable, "-m", "evalkit", "run", str(config), "--out", str(tmp_path / "out")]
    status = pty.spawn(command, read)
    text = shown.decode()
    assert os.waitstatus_to_exitcode(status) == 0, text
    assert "24/24" in text
    assert "report: " in text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_run_in_order_and_the_next_one_goes_on(tmp_path, number):
    """SIGTERM, as schedulers send it, and Ctrl-C: exit 3, one sentence, nothing lost."""
    config, out = write_run(tmp_path, latency=0.4), tmp_path / "out"
    command = [sys.executable, "-c", IN_FRONT, "run", str(config), "--out", str(out)]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    deadline = time.monotonic() + 30
    while not _answers(out, "png") and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(run.pid, number)
    output, _ = run.communicate(timeout=30)
    assert run.returncode == 3, output
    assert "the same command goes on from here" in output
    assert "Traceback" not in output
    before = _answers(out, "png")
    assert 1 <= before < 12
    assert invoke("run", config, "--out", out).exit_code == 0
    assert _answers(out, "png") == 12
    assert set(pd.read_parquet(out / "scores.parquet")["attempts"]) == {1}


def _answers(out, model):
    if not (out / "responses.sqlite").is_file():
        return 0
    connection = sqlite3.connect(out / "responses.sqlite", timeout=5)
    try:
        query = "SELECT count(*) FROM attempts WHERE status = 'answered' AND model = ?"
        return connection.execute(query, (model,)).fetchone()[0]
    except sqlite3.OperationalError:
        return 0
    finally:
        connection.close()
