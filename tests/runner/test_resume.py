"""A resumed folder answers for what it was asked: a changed question is asked again, never scored in silence."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import textwrap

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from PIL import Image

from evalkit.cli.app import main
from evalkit.simulator import start_simulator
from evalkit.storage.ledger import Ledger


class Project:
    """A folder with a dataset of four samples on two photographs, a function and a file of predictions."""

    def __init__(self, folder):
        self.folder = folder
        self.lines = []
        for number in range(4):
            name = f"{number // 2}.png"
            self.photograph(name, number // 2)
            mask = np.zeros((20, 30), dtype=np.uint8)
            mask[2:12, 3 + number : 13 + number] = 255
            Image.fromarray(mask).save(folder / f"m{number}.png")
            line = {
                "id": f"s{number}",
                "image": name,
                "expression": f"thing {number}",
                "mask": f"m{number}.png",
            }
            self.lines.append(line)
        self.write()
        self.function("3:13")
        self.predictions(3)

    def photograph(self, name, grey):
        Image.fromarray(np.full((20, 30, 3), grey * 40, dtype=np.uint8)).save(self.folder / name)

    def write(self):
        (self.folder / "d.jsonl").write_text("".join(json.dumps(line) + "\n" for line in self.lines))

    def function(self, columns):
        (self.folder / "edited_function.py").write_text(
            textwrap.dedent(f"""
                import numpy as np


                def box(image, expression):
                    mask = np.zeros((image.height, image.width), dtype=bool)
                    mask[2:12, {columns}] = True
                    return mask
            """)
        )

    def predictions(self, x0):
        box = [x0, 2, x0 + 10, 12]
        ring = [box[0], box[1], box[2], box[1], box[2], box[3], box[0], box[3]]
        lines = [{"sample_id": f"s{number}", "mask": [ring]} for number in range(4)]
        (self.folder / "p.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))

    def run(self, *models, **config):
        given = {
            "name": "c",
            "datasets": [{"name": "d", "format": "jsonl", "path": "d.jsonl"}],
            "models": list(models),
        }
        (self.folder / "c.yaml").write_text(json.dumps(given | config))
        result = CliRunner().invoke(
            main, ["run", str(self.folder / "c.yaml"), "--out", str(self.folder / "run"), "--yes"]
        )
        scores = self.folder / "run" / "scores.parquet"
        return result, pd.read_parquet(scores).set_index("sample_id") if scores.is_file() else None

    def rows(self, where="1"):
        with sqlite3.connect(self.folder / "run" / "responses.sqlite") as ledger:
            found = ledger.execute(f"SELECT count(*) FROM attempts WHERE {where}").fetchone()[0]
        ledger.close()
        return found


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


@pytest.fixture
def gemini(project):
    """Return a Gemini entry at a simulator of the project's samples."""
    from evalkit.config.schema import DatasetConfig
    from evalkit.datasets import load_samples

    running = []

    def entry(**changes):
        entry_of = DatasetConfig(name="d", format="jsonl", path="d.jsonl")
        running.append(start_simulator(list(load_samples(entry_of, project.folder)), latency_s=0.0))
        return {
            "name": "m",
            "provider": "gemini",
            "model": "gemini-2.5-flash",
            "prompt": "google-mask",
            "base_url": running[-1].base_url,
        } | changes

    yield entry
    for simulator in running:
        simulator.close()


FUNCTION = {"name": "m", "provider": "python", "function": "edited_function:box"}
PREDICTIONS = {"name": "m", "provider": "predictions", "path": "p.jsonl"}


def test_nothing_changed_asks_nothing(project, gemini):
    """The same command again: no request, no warning, equal scores."""
    entry = gemini()
    _, before = project.run(entry)
    result, after = project.run(entry)
    assert "other questions" not in result.output
    assert project.rows() == 4
    assert before.drop(columns="latency_s").equals(after.drop(columns="latency_s"))


def test_a_changed_expression_is_asked_again(project, gemini):
    """The other questions keep their answers; the old answer stays in the ledger, aside."""
    entry = gemini()
    project.run(entry)
    project.lines[1]["expression"] = "another thing"
    project.write()
    result, scores = project.run(entry)
    assert "m: 1 stored answers were given to other questions (the expression: 1 changed)" in result.output
    assert scores.loc["s1", "expression"] == "another thing"
    assert project.rows() == 5
    assert project.rows("set_aside = 1 AND sample_id = 's1' AND body IS NOT NULL") == 1


@pytest.mark.parametrize("keep_times", [False, True])
def test_a_changed_photograph_is_asked_again(project, gemini, keep_times):
    """Even where size and time of the file are those of the old one."""
    entry = gemini()
    project.run(entry)
    was = (project.folder / "1.png").stat()
    project.photograph("1.png", 3)
    if keep_times:
        os.utime(project.folder / "1.png", ns=(was.st_atime_ns, was.st_mtime_ns))
    result, _ = project.run(entry)
    assert "2 stored answers were given to other questions (the photograph: 2 changed)" in result.output
    assert project.rows() == 6


def test_a_photograph_that_was_only_touched_is_not_asked_again(project, gemini):
    """The bytes count, not the times."""
    entry = gemini()
    project.run(entry)
    shutil.copy(project.folder / "1.png", project.folder / "copy.png")
    os.replace(project.folder / "copy.png", project.folder / "1.png")
    result, _ = project.run(entry)
    assert "other questions" not in result.output
    assert project.rows() == 4


def test_changed_masks_are_scored_anew_and_said(project, gemini):
    """No request: the answer belongs to the question, the score to the truth."""
    entry = gemini()
    _, before = project.run(entry)
    Image.fromarray(np.full((20, 30), 255, dtype=np.uint8)).save(project.folder / "m0.png")
    result, after = project.run(entry)
    assert "the ground truth of 1 samples is another one than before" in result.output
    assert project.rows() == 4
    assert (before.loc["s0", "gt_area"], after.loc["s0", "gt_area"]) == (100, 600)


def test_another_endpoint_is_asked_again(project, gemini):
    """What one address answered is never scored as another's: a rehearsal is no run."""
    first, second = gemini(), gemini()
    project.run(first)
    result, scores = project.run(second)
    assert "4 stored answers were given to other questions (the endpoint: 4 changed)" in result.output
    assert project.rows() == 8
    assert len(scores) == 4


def test_an_edited_function_is_asked_again(project):
    """Its source file is part of the question."""
    _, before = project.run(FUNCTION)
    project.function("13:23")
    result, after = project.run(FUNCTION)
    assert "the function's source: 4 changed" in result.output
    assert (before["iou"] != after["iou"]).all()


def test_a_regenerated_predictions_file_is_read_again(project):
    """Its content is part of the question."""
    _, before = project.run(PREDICTIONS)
    project.predictions(9)
    result, after = project.run(PREDICTIONS)
    assert "the predictions file: 4 changed" in result.output
    assert (before["iou"] != after["iou"]).any()


def test_a_wrong_model_id_can_be_corrected_in_the_same_folder(project, gemini):
    """Nothing was answered under it, so nothing can be mixed."""
    result, _ = project.run(gemini(model="no-such-model"))
    assert result.exit_code == 3
    result, scores = project.run(gemini())
    assert result.exit_code == 0, result.output
    assert set(scores["requested_model"]) == {"gemini-2.5-flash"}


def test_settings_that_change_answers_are_refused_by_name(project, gemini):
    """What a config says is compared before anything is sent, also where it is another file at the same path."""
    entry = gemini()
    project.run(entry)
    result, _ = project.run(entry | {"generation": {"temperature": 0.5}})
    assert result.exit_code == 2
    assert "model 'm' generation" in result.output
    assert "0.5" in result.output
    assert project.rows() == 4


@pytest.mark.parametrize(
    "change",
    [
        {"decode": {"threshold": 100}},
        {"limits": {"max_not_run": 0.5}},
        {"gate": [{"metric": "giou", "min": 0.1}]},
    ],
)
def test_what_changes_no_answer_may_change(project, gemini, change):
    """Decode, limits and gate are read anew; nothing is asked."""
    entry = gemini()
    project.run(entry)
    result, _ = project.run(entry, **change)
    assert result.exit_code == 0, result.output
    assert project.rows() == 4


def test_a_ledger_without_digests_is_carried_on(project, gemini):
    """One of the first schema is brought up to date; what its folder does say is compared all the same."""
    entry = gemini()
    project.run(entry)
    path = project.folder / "run" / "responses.sqlite"
    with sqlite3.connect(path) as ledger:
        ledger.execute("DROP INDEX one_answer")
        ledger.execute("ALTER TABLE attempts DROP COLUMN question")
        ledger.execute("ALTER TABLE attempts DROP COLUMN set_aside")
        ledger.execute("UPDATE meta SET value = '1' WHERE key = 'schema_version'")
        ledger.execute("DELETE FROM meta WHERE key = 'backgrounds'")
        ledger.execute(
            "CREATE UNIQUE INDEX one_answer ON attempts (dataset, sample_id, model, trial) WHERE status = 'answered'"
        )
    ledger.close()
    with Ledger(path, read_only=True) as old:
        assert len(old.answered_keys()) == 4
    project.lines[1]["expression"] = "another thing"
    project.write()
    result, scores = project.run(entry)
    assert "the expression: 1 changed" in result.output
    assert scores.loc["s1", "expression"] == "another thing"
    assert project.rows() == 5
