"""A folder whose scores are not those of its answers is refused by every reader, with the command that mends it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

import evalkit as ek
from evalkit import pipeline
from evalkit.cli.app import main
from evalkit.comparison.baselines import find_baseline, set_baseline
from evalkit.comparison.history import read_history
from evalkit.config.schema import RunConfig
from evalkit.errors import DataError, FolderInUse
from evalkit.report import build_report
from evalkit.report.export import export_run
from evalkit.scoring import score
from evalkit.scoring.score import score_run
from evalkit.storage.files import write_json
from evalkit.storage.ledger import Key, Ledger
from evalkit.storage.locks import run_lock
from evalkit.storage.run_folder import RunFolder


def config() -> RunConfig:
    return RunConfig.model_validate(
        {
            "name": "small",
            "datasets": [{"name": "everyday"}],
            "gate": [{"metric": "giou", "min": 0.0}],
            "models": [
                {"name": "all", "provider": "python", "function": "whole-image"},
                {"name": "mid", "provider": "python", "function": "centre-box"},
            ],
        }
    )


def run(folder: Path) -> None:
    pipeline.run(config(), show=len, confirm=pytest.fail, out=folder, limit=2, quiet=True)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "run"
    run(folder)
    return folder


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    return shutil.copytree(whole, tmp_path / "reports" / "run")


READERS = {
    "gate": lambda folder: evalkit("gate", folder),
    "compare": lambda folder: evalkit("compare", folder),
    "report": lambda folder: build_report([folder]),
    "history": lambda folder: read_history(folder.parent),
    "export": lambda folder: export_run(RunFolder(folder), "csv"),
    "load": ek.load,
    "baseline": lambda folder: set_baseline("good", RunFolder(folder), folder.parent),
}


def evalkit(*arguments: object) -> None:
    told = CliRunner().invoke(main, [str(argument) for argument in arguments])
    if told.exit_code:
        raise DataError(told.output)


def edit(folder: Path, **changes: object) -> None:
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text("utf-8")) | changes
    write_json(path, {key: value for key, value in manifest.items() if value is not ...})


@pytest.mark.parametrize("reader", READERS)
def test_every_reader_takes_a_whole_folder_and_refuses_a_stale_one(reader: str, folder: Path) -> None:
    """The ledger has lost an answer since it was scored; the manifest still says complete."""
    READERS[reader](folder)
    with Ledger(folder / "responses.sqlite") as ledger:
        ledger.set_aside([next(iter(ledger.answered_keys()))])
    with pytest.raises(DataError, match="are not those of the answers it holds") as caught:
        READERS[reader](folder)
    assert "evalkit score" in str(caught.value)


def test_a_run_is_complete_only_when_it_is_scored(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed between the last answer and the scores, it is partial and unscored; scoring completes it."""

    def killed(*_: object, **__: object) -> None:
        raise SystemExit

    before = (folder / "scores.parquet").read_bytes()
    (folder / "summary.json").unlink()  # a folder that stands finished would not be scored again
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "score_locked", killed)
        with pytest.raises(SystemExit):
            run(folder)
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    assert (manifest["status"], manifest["scoring"]) == ("partial", {})
    assert (folder / "scores.parquet").read_bytes() == before
    with pytest.raises(DataError, match="its end was not reached"):
        ek.load(folder)
    evalkit("score", folder)
    assert ek.load(folder).complete


def test_a_run_that_was_not_asked_to_its_end_stays_partial(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scoring what is there of an interrupted run makes it no complete one, whatever it was before."""

    def killed(*_: object) -> None:
        raise SystemExit

    (folder / "summary.json").unlink()
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "finish", killed)
        with pytest.raises(SystemExit):
            run(folder)
    assert not score_run(RunFolder(folder)).manifest.complete


@pytest.mark.parametrize("at", range(3))
def test_a_scoring_that_ends_between_two_files_is_seen(
    at: int, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder says that it is unscored before the first file is replaced, and scored after the last."""
    calls = iter(range(9))

    def sometimes(path: Path, value: object) -> None:
        if next(calls) == at:
            raise SystemExit
        write_json(path, value)

    with monkeypatch.context() as patch:
        patch.setattr(score, "write_json", sometimes)
        with pytest.raises(SystemExit):
            score_run(RunFolder(folder), protocol="lisa")
    if at == 0:
        assert "protocol" not in ek.load(folder).folder.summary().results[0]
    else:
        with pytest.raises(DataError, match="evalkit score"):
            build_report([folder])
    assert score_run(RunFolder(folder)).manifest.complete
    ek.load(folder)


@pytest.mark.parametrize("file", ["scores.parquet", "summary.json"])
def test_a_file_of_another_count_is_refused(file: str, folder: Path) -> None:
    """Rows and results are counted as they were written."""
    path = folder / file
    if file == "summary.json":
        summary = json.loads(path.read_text("utf-8"))
        write_json(path, summary | {"results": summary["results"][1:]})
    else:
        pd.read_parquet(path).iloc[1:].to_parquet(path)
    with pytest.raises(DataError, match=r"has \d+ (rows|results), and \d+ were written when scored"):
        build_report([folder])


def test_answers_that_are_gone_are_not_scored_as_not_run(folder: Path) -> None:
    """An empty ledger under a manifest that counts answers is an error."""
    (folder / "responses.sqlite").unlink()
    Ledger(folder / "responses.sqlite").close()
    with pytest.raises(DataError, match="counts 4 answers"):
        score_run(RunFolder(folder))


def test_folders_without_the_entry_or_the_ledger_are_read(folder: Path) -> None:
    """Another tool's folder, an older evalkit's, and a copy of the scores alone for reading."""
    (folder / "responses.sqlite").unlink()
    assert len(ek.load(folder).scores) == 4
    edit(folder, scoring=...)
    assert len(ek.load(folder).scores) == 4
    edit(folder, finished_at=..., scored_at="2026-11-25")
    assert len(ek.load(folder).scores) == 4
    edit(folder, scored_at="yesterday")
    with pytest.raises(DataError, match="`scored_at` must be a date and time"):
        ek.load(folder)


def test_an_older_folder_that_ended_after_it_was_scored_is_refused(folder: Path) -> None:
    """Its manifest says complete, and its scores are older than its last answers."""
    edit(folder, scoring=..., finished_at="2026-11-25T09:00:01+00:00", scored_at="2026-11-25T09:00:00+00:00")
    with pytest.raises(DataError, match="the run ended at 2026-11-25T09:00:01"):
        ek.load(folder)


def test_a_blessed_run_stays_as_it_was(folder: Path) -> None:
    """That the run itself gets other answers makes no baseline stale, but does make a re-scored copy."""
    set_baseline("good", RunFolder(folder), folder.parent)
    copy = score_run(RunFolder(folder), out=folder.parent / "copy")
    with Ledger(folder / "responses.sqlite") as ledger:
        ledger.set_aside([Key(*next(iter(ledger.answered_keys())))])
    assert len(find_baseline("good", reports=folder.parent).scores()) == 4
    with pytest.raises(DataError, match="evalkit score"):
        copy.scores()


def test_scoring_waits_for_who_writes_the_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scores, page and export of one folder have one writer at a time."""
    monkeypatch.setattr(score, "SHORT_WORK_S", 0.05)
    with run_lock(folder), pytest.raises(FolderInUse):
        score_run(RunFolder(folder))


def test_a_copy_that_was_killed_at_its_first_file_is_begun_again(folder: Path, tmp_path: Path) -> None:
    """A folder that holds nothing but halves of files is free."""
    out = tmp_path / "copy"
    out.mkdir()
    (out / "manifest.json.part").write_text("{")
    assert score_run(RunFolder(folder), out=out).manifest.complete


def test_scores_that_change_while_they_are_read_are_no_result(folder: Path) -> None:
    """What a reader holds together is of one scoring."""
    opened = RunFolder(folder)

    def read_while_it_is_scored() -> None:
        with opened.read_as_one():
            opened.scores()
            score_run(RunFolder(folder), protocol="lisa")

    with pytest.raises(DataError, match="scored again while it was read"):
        read_while_it_is_scored()
