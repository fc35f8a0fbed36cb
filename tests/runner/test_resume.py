"""A resumed folder answers for what it was asked: a changed question is asked again, never scored in silence."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import textwrap
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from PIL import Image

from evalkit.cli.app import main
from evalkit.config.schema import DatasetConfig
from evalkit.datasets import load_samples
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


SOUND = {
    "candidates": [{"content": {"parts": [{"text": "[]"}]}, "finishReason": "STOP"}],
    "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 1, "totalTokenCount": 6},
    "modelVersion": "gemini-2.5-flash",
}


@contextlib.contextmanager
def live_endpoint(port):
    """Serve sound answers of no simulator at a port."""
    body = json.dumps(SOUND).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield
        server.shutdown()


def half_rehearsed(project):
    """Return an entry that the simulator answered for two samples, with its port."""
    samples = list(load_samples(DatasetConfig(name="d", format="jsonl", path="d.jsonl"), project.folder))
    refused = {"kind": "forbidden", "samples": ["s2", "s3"]}
    with start_simulator(samples, latency_s=0.0, faults=[refused]) as simulator:
        entry = {
            "name": "m",
            "provider": "gemini",
            "model": "gemini-2.5-flash",
            "prompt": "google-mask",
            "base_url": simulator.base_url,
        }
        project.run(entry, limits={"max_not_run": 0.0})
    return entry, simulator.port


def test_simulated_and_live_answers_at_one_address_share_no_mean(project):
    """Half rehearsed, then live under the same address: refused by name; the next session asks the rest live."""
    entry, port = half_rehearsed(project)
    with live_endpoint(port):
        result, _ = project.run(entry)
        assert result.exit_code == 2
        assert "2 of the 4 answers of model 'm' are the simulator's" in result.output
        for command in (["score"], ["gate"], ["report"], ["compare"]):
            refused = CliRunner().invoke(main, [*command, str(project.folder / "run")])
            assert refused.exit_code == 2, refused.output
        result, scores = project.run(entry)
    assert result.exit_code == 0, result.output
    assert "m: 2 stored answers are the simulator's and the others are not" in result.output
    assert not scores["simulated"].any()
    assert project.rows("set_aside = 0 AND status = 'answered'") == 4
    assert json.loads((project.folder / "run" / "manifest.json").read_text())["mixed"] == []


def test_scores_of_both_kinds_are_refused_by_every_reader(project, gemini):
    """Also where another tool, or an older evalkit, has written them beside each other."""
    project.run(gemini())
    path = project.folder / "run" / "scores.parquet"
    table = pq.read_table(path)
    kinds = pa.array([index > 0 for index in range(len(table))])
    pq.write_table(table.set_column(table.schema.get_field_index("simulated"), "simulated", kinds), path)
    for command in ("gate", "compare", "report"):
        refused = CliRunner().invoke(main, [command, str(project.folder / "run")])
        assert refused.exit_code == 2, refused.output
        assert "share no mean" in refused.output


def test_a_renamed_model_is_told(project, gemini):
    """Answers are kept by the model's name: those of the old one are named, not dropped in silence."""
    entry = gemini()
    project.run(entry)
    result, scores = project.run(entry | {"name": "n"})
    assert "m: 4 stored answers are in no table" in result.output
    assert set(scores["model"]) == {"n"}


def test_two_entries_of_one_model_id_keep_their_answers_apart(project, gemini):
    """Their settings differ; changing one asks nothing of the other."""
    entry = gemini()
    other = entry | {"name": "n", "prompt": "polygon"}
    project.run(entry, other)
    result, _ = project.run(entry, other | {"generation": {"temperature": 1.0}})
    assert result.exit_code == 2
    assert "model 'n' generation" in result.output
    assert "model 'm'" not in result.output
    result, scores = project.run(entry, other)
    assert project.rows() == 8
    assert len(scores) == 8


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"image": {"max_side": 16}}, "image"),
        ({"seed": 5}, "seed"),
        ({"task": "box"}, "task"),
        ({"prompts": {"mine": {"text": "Show {expression} as JSON."}}}, "model 'm' prompt"),
    ],
)
def test_what_changes_every_question_is_refused_by_name(project, gemini, change, named):
    """Nothing is asked and nothing is scored."""
    entry = gemini(prompt="mine")
    project.run(entry, prompts={"mine": {"text": "Find {expression} as JSON."}})
    given = {"prompts": {"mine": {"text": "Find {expression} as JSON."}}} | change
    result, _ = project.run(entry, **given)
    assert result.exit_code == 2, result.output
    assert named in result.output
    assert project.rows() == 4


def test_a_changed_example_picture_is_asked_again(project, gemini):
    """The path in the prompt is the same; what every question shows first is not."""
    example = {"image": "e.png", "expression": "cup", "answer": "[]"}
    project.photograph("e.png", 1)
    prompts = {"mine": {"text": "Find {expression} as JSON.", "examples": [example]}}
    entry = gemini(prompt="mine")
    project.run(entry, prompts=prompts)
    project.photograph("e.png", 5)
    result, _ = project.run(entry, prompts=prompts)
    assert "the examples: 4 changed" in result.output
    assert project.rows() == 8


def test_a_shipped_prompt_with_another_schema_is_asked_again(project, gemini, monkeypatch):
    """The config names it; what stands behind the name came with another evalkit."""
    from evalkit.config import prompts

    entry = gemini(prompt="polygon-boxes-schema")
    project.run(entry)
    shipped = dict(prompts.shipped_prompts())
    schema = {"type": "object", "properties": {"boxes": {"type": "array", "items": {"type": "object"}}}}
    changed = shipped["polygon-boxes-schema"].model_copy(update={"response_schema": schema})
    monkeypatch.setattr(prompts, "shipped_prompts", lambda: shipped | {"polygon-boxes-schema": changed})
    result, _ = project.run(entry)
    assert "the request settings: 4 changed" in result.output


def test_a_variable_in_the_extra_body_is_part_of_the_question(project, gemini, monkeypatch):
    """The stored config holds its name alone; a secret's value changes nothing."""
    extra = {"cachedContent": "${WHICH}", "labels": {"api_key": "${SECRET}"}}
    entry = gemini(generation={"extra_body": extra})
    monkeypatch.setenv("WHICH", "one")
    monkeypatch.setenv("SECRET", "s-1")
    project.run(entry)
    monkeypatch.setenv("SECRET", "s-2")
    result, _ = project.run(entry)
    assert "other questions" not in result.output
    monkeypatch.setenv("WHICH", "two")
    result, _ = project.run(entry)
    assert "the request settings: 4 changed" in result.output


def test_a_module_that_the_function_imports_is_part_of_it(project):
    """Beside the config, directly and through a package; what is installed is not looked at."""
    (project.folder / "parts").mkdir()
    (project.folder / "parts" / "__init__.py").write_text("from .width import WIDTH\n")
    (project.folder / "parts" / "width.py").write_text("WIDTH = 8\n")
    source = (project.folder / "edited_function.py").read_text()
    (project.folder / "edited_function.py").write_text("import parts\n" + source)
    project.run(FUNCTION)
    result, _ = project.run(FUNCTION)
    assert "other questions" not in result.output
    (project.folder / "parts" / "width.py").write_text("WIDTH = 9\n")
    result, _ = project.run(FUNCTION)
    assert "the function's source: 4 changed" in result.output


def test_ids_that_have_gone_to_other_content_are_asked_again(project, gemini):
    """The lines in another order under the old ids: each id's question is compared, not their set."""
    entry = gemini()
    project.run(entry)
    ids = [line["id"] for line in project.lines]
    project.lines = [line | {"id": new} for line, new in zip(project.lines, reversed(ids), strict=True)]
    project.write()
    result, scores = project.run(entry)
    assert "4 stored answers were given to other questions (the expression: 4 changed)" in result.output
    assert scores.loc["s0", "expression"] == "thing 3"


def test_the_same_samples_in_another_order_ask_nothing(project, gemini):
    """Order is no part of a question."""
    entry = gemini()
    project.run(entry)
    project.lines.reverse()
    project.write()
    result, scores = project.run(entry)
    assert "other questions" not in result.output
    assert project.rows() == 4
    assert len(scores) == 4


def test_another_config_with_the_same_relative_paths_is_asked_again(project, gemini, tmp_path_factory):
    """The folder is given with --out; names, paths and settings are equal, the files behind them are not."""
    entry = gemini()
    project.run(entry)
    twin = Project(tmp_path_factory.mktemp("twin"))
    twin.photograph("0.png", 5)
    shutil.move(project.folder / "run", twin.folder / "run")
    result, _ = twin.run(entry)
    assert "(the photograph: 2 changed)" in result.output
