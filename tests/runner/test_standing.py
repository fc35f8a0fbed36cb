"""A finished run that is run again is left as it is where nothing has changed, and done anew where anything has."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from evalkit import pipeline
from evalkit.config.schema import RunConfig
from evalkit.errors import DataError
from evalkit.report import build_report
from evalkit.scoring.score import score_run
from evalkit.storage import scoring_basis
from evalkit.storage.run_folder import RunFolder

PHOTOGRAPH = "a.png"


def write_mask(path: Path, right: int) -> None:
    mask = np.zeros((24, 32), np.uint8)
    mask[4:20, 4:right] = 255
    Image.fromarray(mask).save(path)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a dataset of two samples, a photograph and masks in files, and a finished run of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("evalkit.report.dataset_view.draw_figures", lambda *_: {})
        return make_finished(tmp_path_factory.mktemp("finished"))


def make_finished(base: Path) -> Path:
    Image.new("RGB", (32, 24), "grey").save(base / PHOTOGRAPH)
    for name, right in (("m0.png", 12), ("m1.png", 28)):
        write_mask(base / name, right)
    lines = [
        {
            "id": f"s{n}",
            "image": PHOTOGRAPH,
            "expression": f"thing {n}",
            "mask": f"m{n}.png",
            "tags": {"n": str(n)},
        }
        for n in range(2)
    ]
    (base / "d.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    run_again(base)
    return base


@pytest.fixture
def base(finished: Path, tmp_path: Path) -> Iterator[Path]:
    """Return that folder, and bring all but the photograph back after: a copy of it would not be the file that was asked."""
    shutil.copytree(finished, tmp_path / "kept")
    yield finished
    for path in finished.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
    shutil.copytree(
        tmp_path / "kept", finished, ignore=shutil.ignore_patterns(PHOTOGRAPH), dirs_exist_ok=True
    )


def config(base: Path, **changes: object) -> RunConfig:
    return RunConfig.model_validate(
        {
            "name": "small",
            "datasets": [{"name": "d", "format": "jsonl", "path": "d.jsonl"}],
            "models": [{"name": "all", "provider": "python", "function": "whole-image"}],
            "directory": str(base),
            **changes,
        }
    )


def run_again(base: Path, **changes: object) -> None:
    limit = changes.pop("limit", None)
    pipeline.run(
        config(base, **changes), show=len, confirm=pytest.fail, out=base / "run", limit=limit, quiet=True
    )


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that gets the name of each stage that a run goes through."""
    stages: list[str] = []
    for name in ("score_locked", "write_report"):
        stage = getattr(pipeline, name)

        def noted(*arguments: object, _name: str = name, _stage: object = stage, **named: object) -> object:
            stages.append(_name)
            return _stage(*arguments, **named)

        monkeypatch.setattr(pipeline, name, noted)
    return stages


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith("responses.sqlite")
    }


def test_an_unchanged_run_is_left_as_it_is_and_says_so(
    base: Path, done: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No file of the folder is another one, and the terminal tells why it was so quick."""
    told: list[str] = []
    monkeypatch.setattr("evalkit.progress.Progress.note", lambda _, text: told.append(text))
    before = files(base / "run")
    for _ in range(2):
        run_again(base)
    assert done == []
    assert files(base / "run") == before
    assert all(text.startswith("nothing has changed since 20") for text in told)
    assert len(told) == 2


def flip(path: Path) -> None:
    """Change the last bit of the middle byte of a file; its size stays."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def edit(path: Path, before: str, after: str) -> None:
    text = path.read_text("utf-8")
    assert before in text
    path.write_text(text.replace(before, after), "utf-8")


def change_an_answer(base: Path) -> None:
    with sqlite3.connect(base / "run" / "responses.sqlite") as connection:
        connection.execute("UPDATE attempts SET latency_s = latency_s + 1 WHERE id = 1")
    connection.close()


def rewrite(path: Path, **columns: object) -> None:
    pd.read_parquet(path).assign(**columns).to_parquet(path)


CHANGES = {
    "a mask file": lambda base: write_mask(base / "m1.png", 20),
    "an expression": lambda base: edit(base / "d.jsonl", "thing 1", "another thing"),
    "a tag": lambda base: edit(base / "d.jsonl", '"n": "1"', '"n": "2"'),
    "a sample that is gone": lambda base: (base / "d.jsonl").write_text(
        (base / "d.jsonl").read_text("utf-8").splitlines()[0] + "\n", "utf-8"
    ),
    "a damaged scores.parquet": lambda base: flip(base / "run" / "scores.parquet"),
    "no scores.parquet": lambda base: (base / "run" / "scores.parquet").unlink(),
    "an edited summary": lambda base: edit(base / "run" / "summary.json", '"n": 2', '"n": 3'),
    "another samples.parquet": lambda base: rewrite(base / "run" / "samples.parquet", split="other"),
    "a stored answer": change_an_answer,
    "an edited manifest": lambda base: edit(base / "run" / "manifest.json", '"seed": 0', '"seed": 1'),
}


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_has_changed_makes_the_run_score_again(change: str, base: Path, done: list[str]) -> None:
    """Each neighbour of "nothing": scores and page are made anew, and stand from then on."""
    CHANGES[change](base)
    run_again(base)
    assert done == ["score_locked", "write_report"]
    run_again(base)
    assert len(done) == 2


def test_a_samples_table_that_cannot_be_read_is_told(base: Path) -> None:
    """Its end, where Parquet keeps its directory, is cut off."""
    path = base / "run" / "samples.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"samples\.parquet is damaged"):
        run_again(base)


@pytest.mark.parametrize("colour", ["red", "grey"])
def test_a_photograph_that_was_written_to_counts_as_another(
    colour: str, tmp_path: Path, done: list[str]
) -> None:
    """Even with the same bytes: that it was touched is all that is known without reading it."""
    make_finished(tmp_path)
    Image.new("RGB", (32, 24), colour).save(tmp_path / PHOTOGRAPH)
    run_again(tmp_path)
    assert done == ["score_locked", "write_report"] * 2


@pytest.mark.parametrize(
    "settings",
    [
        {"score": {"boundary": False}},
        {"score": {"protocol": "lisa"}},
        {"decode": {"threshold": 100}},
        {"limits": {"max_not_run": 0.5}},
        {"gate": [{"metric": "giou", "min": 0.1}]},
        {"limit": 1},
        {"models": [{"name": n, "provider": "python", "function": "whole-image"} for n in ("all", "second")]},
    ],
)
def test_other_settings_make_the_run_score_again(
    settings: dict[str, object], base: Path, done: list[str]
) -> None:
    """The config of today decides, whatever the folder was scored with."""
    run_again(base, **dict(settings))
    assert done == ["score_locked", "write_report"]
    run_again(base, **dict(settings))
    assert len(done) == 2


def test_scores_of_other_settings_are_not_taken_for_the_configs(base: Path, done: list[str]) -> None:
    """`evalkit score` with settings of its own changes the folder; the run's config is scored by again."""
    score_run(RunFolder(base / "run"), protocol="lisa")
    run_again(base)
    assert done == ["score_locked", "write_report"]


def test_another_evalkit_or_package_scores_again(
    base: Path, done: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line of code or one version suffices."""
    versions = scoring_basis.installed_versions()
    scoring_basis.made_by.cache_clear()
    monkeypatch.setattr(scoring_basis, "installed_versions", lambda: versions | {"numpy": "99.0"})
    run_again(base)
    scoring_basis.made_by.cache_clear()
    assert done == ["score_locked", "write_report"]


def test_code_counts_by_its_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same version with another line is another evalkit."""
    package = tmp_path / "evalkit" / "storage"
    package.mkdir(parents=True)
    monkeypatch.setattr(scoring_basis, "__file__", str(package / "scoring_basis.py"))
    digests = []
    for line in ("a = 1\n", "a = 2\n"):
        (package / "scoring_basis.py").write_text(line)
        digests.append(scoring_basis.made_by.__wrapped__())
    assert digests[0] != digests[1]


def test_a_metric_of_ones_own_is_scored_every_time(base: Path, done: list[str]) -> None:
    """Its code may have changed, and what it imports."""
    (base / "mine_of_standing.py").write_text(
        "from evalkit.metrics.table import METRICS\nSHARE = METRICS[0]\n"
    )
    own = {"score": {"metrics": ["mine_of_standing:SHARE"]}}
    run_again(base, **dict(own))
    run_again(base, **dict(own))
    assert done == ["score_locked", "write_report"] * 2


PAGE = {
    "the page is deleted": lambda base: shutil.rmtree(base / "run" / "report"),
    "one file of it is gone": lambda base: next((base / "run" / "report" / "data").iterdir()).unlink(),
    "one byte of it is another": lambda base: flip(base / "run" / "report" / "index.html"),
    "a file is added": lambda base: (base / "run" / "report" / "more.txt").write_text("x"),
    "its marker is damaged": lambda base: (base / "run" / "report" / "report.json").write_text("{"),
    "an earlier run lies beside": lambda base: shutil.copytree(base / "run", base / "earlier"),
}


@pytest.mark.parametrize("change", PAGE)
def test_a_page_that_is_not_whole_is_made_anew_from_standing_scores(
    change: str, base: Path, done: list[str]
) -> None:
    """Nothing is scored for it; what it lists beside its own run counts too."""
    PAGE[change](base)
    run_again(base)
    assert done == ["write_report"]
    run_again(base)
    assert len(done) == 1


def test_a_page_of_other_scores_does_not_stand(base: Path, done: list[str]) -> None:
    """Scored again with the same settings, the folder's page still says what it was made from."""
    score_run(RunFolder(base / "run"))
    run_again(base)
    assert done == ["write_report"]
    build_report([base / "run"])
    run_again(base)
    assert done == ["write_report"]
