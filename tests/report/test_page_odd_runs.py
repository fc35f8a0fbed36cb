"""Runs that are not as one would like: nothing answered, boxes only, one model, no tags, odd names."""

import json
import shutil

import pandas as pd
import pytest

from evalkit.errors import DataError
from evalkit.report import build_report
from evalkit.scoring.score import score_run
from evalkit.storage.files import write_json
from evalkit.storage.run_folder import RunFolder

COUNTED = ["iou", "intersection", "union", "boundary_iou", "box_iou", "pred_area", "latency_s", "cost_usd"]


def changed(run_folder, target, edit):
    """Return a copy of a run, as another tool would write it: ``edit(scores)`` returns the rows."""
    from evalkit.metrics.summary import summarise

    shutil.copytree(run_folder, target, ignore=shutil.ignore_patterns("report"))
    scores = edit(pd.read_parquet(target / "scores.parquet"))
    scores.to_parquet(target / "scores.parquet")
    summary = json.loads((target / "summary.json").read_text())
    summary["results"] = summarise(scores, seed=1, protocols={}, slices=None)
    write_json(target / "summary.json", summary)
    manifest = json.loads((target / "manifest.json").read_text())
    del manifest["scoring"]
    write_json(target / "manifest.json", manifest)
    return target


def text_of(page):
    """Return the first page's text."""
    return page.read_text(encoding="utf-8")


@pytest.mark.usefixtures("without_figures")
def test_nothing_was_answered(run_folder, tmp_path):
    """A run whose every sample was lost still has a page, which says so."""

    def lose(scores):
        scores["outcome"], scores["failure"], scores["error"] = "not_run", None, "429 quota"
        scores[COUNTED] = float("nan")
        scores["model_version"] = None
        return scores

    page = build_report([changed(run_folder, tmp_path / "lost", lose)])
    assert "No model has a score yet." in text_of(page)
    assert "429 quota" in text_of(page)
    assert "Outside every mean: not run: good 16, poor 16." in text_of(page)


def test_boxes_without_masks(run_folder, tmp_path):
    """Under the box task there is no mask IoU; nothing is made up in its place."""

    def boxes(scores):
        scores[["iou", "intersection", "union", "boundary_iou"]] = float("nan")
        return scores

    page = build_report([changed(run_folder, tmp_path / "boxes", boxes)])
    assert "cannot be told apart in box accuracy at 0.5" in text_of(page)
    assert "NaN" not in text_of(page) + next(page.parent.glob("data/index-*.js")).read_text()


@pytest.mark.usefixtures("without_figures")
def test_damaged_data_is_said_with_the_verdict(run_folder, tmp_path):
    """Samples whose data is missing stand outside every mean, and the first screen says how many."""

    def damage(scores):
        damaged = scores["sample_id"] == "2:0"
        scores.loc[damaged, "outcome"] = "data_error"
        scores.loc[damaged, COUNTED] = float("nan")
        return scores

    page = build_report([changed(run_folder, tmp_path / "damaged", damage)])
    assert "Outside every mean: not run: poor 1; their data missing or damaged: good 1, poor 1." in text_of(
        page
    )


@pytest.mark.usefixtures("without_figures")
def test_equal_models_are_level(run_folder, tmp_path):
    """Of two models with the same answers none leads."""

    def twins(scores):
        good = scores[scores["model"] == "good"]
        return pd.concat([good, good.assign(model="poor")], ignore_index=True)

    page = build_report([changed(run_folder, tmp_path / "twins", twins)])
    assert "good and poor cannot be told apart in gIoU (+0.000, " in text_of(page)
    assert "neither cost nor format nor time parts them." in text_of(page)


def test_names_that_figures_could_misread(run_folder, tmp_path):
    """Dollar signs are no formula, a leading underscore hides nothing, a long name is cut in figures alone."""
    names = {"good": "_price$^$", "poor": "p" * 80}

    target = changed(run_folder, tmp_path / "names", lambda scores: scores.replace({"model": names}))
    manifest = json.loads((target / "manifest.json").read_text())
    for entry in manifest["config"]["models"]:
        entry["name"] = names[entry["name"]]
    write_json(target / "manifest.json", manifest)
    page = build_report([target])
    curve = (page.parent / "figures/precision-at-iou.svg").read_text()
    assert "_price$^$" in curve
    assert "p" * 80 not in curve
    assert f"{'p' * 19}\u2026{'p' * 8}" in curve
    assert "p" * 80 in text_of(page)


@pytest.mark.usefixtures("without_figures")
def test_one_model(run_folder, tmp_path):
    """With one model the verdict is its number, and nobody is called best."""
    page = build_report(
        [changed(run_folder, tmp_path / "one", lambda scores: scores[scores["model"] == "good"])]
    )
    assert "good reaches gIoU" in text_of(page)
    assert "segments best" not in text_of(page)


@pytest.mark.usefixtures("without_figures")
def test_no_tags(run_folder, tmp_path):
    """Without tags the table of tags is left out."""
    page = build_report([changed(run_folder, tmp_path / "plain", lambda scores: scores.assign(tags="{}"))])
    assert 'id="tags"' not in text_of(page)


@pytest.mark.usefixtures("without_figures")
def test_a_run_of_a_name_twice(run_folder, tmp_path):
    """Two folders of one config are told apart by their folders' names."""
    copies = [shutil.copytree(run_folder, tmp_path / name) for name in ("monday", "tuesday")]
    page = build_report(copies, tmp_path / "both")
    assert "No model changed by more than chance since monday." in text_of(page)
    assert "good @ tuesday" in text_of(page)


@pytest.mark.usefixtures("without_figures")
def test_rescored_copy(run_folder, tmp_path):
    """A re-scored copy reads the answers of the run it refers to; its settings differ and the page says so."""
    from evalkit.decoding.settings import DecodeSettings

    copy = score_run(RunFolder(run_folder), decode=DecodeSettings(threshold=10), out=tmp_path / "copy")
    page = build_report([run_folder, copy.path], tmp_path / "both")
    assert "made with different settings" in text_of(page)
    assert "decode.threshold: 127 against 10" in text_of(page)


def test_unscored_runs_are_refused(run_folder, tmp_path):
    """Without scores there is nothing to report; the error says what to do."""
    copy = shutil.copytree(run_folder, tmp_path / "unscored")
    (copy / "scores.parquet").unlink()
    with pytest.raises(DataError, match="evalkit score"):
        build_report([copy])
    assert not list(copy.glob(".report*"))


@pytest.mark.usefixtures("without_figures")
def test_nothing_is_left_where_building_fails(run_folder, tmp_path):
    """A damaged picture folder or ledger leaves the old report as it was."""
    copy = shutil.copytree(run_folder, tmp_path / "run", ignore=shutil.ignore_patterns("report"))
    page = build_report([copy])
    before = page.read_bytes()
    (copy / "responses.sqlite").write_bytes(b"no database")
    for extra in copy.glob("responses.sqlite-*"):
        extra.unlink()
    with pytest.raises(DataError):
        build_report([copy])
    assert page.read_bytes() == before
    assert not list(copy.glob(".report*"))


@pytest.mark.usefixtures("without_figures")
def test_what_a_killed_process_left_is_removed(run_folder, tmp_path):
    """Half of a page beside, and a page half removed as evalkit 0.1 could leave it, are no reason to refuse for ever."""
    copy = shutil.copytree(run_folder, tmp_path / "run", ignore=shutil.ignore_patterns("report"))
    for left_over in (".report.part", ".report.old", "report"):
        (copy / left_over / "samples").mkdir(parents=True)
        (copy / left_over / "index.html").write_text("half")
    assert (build_report([copy]).parent / "report.json").is_file()
    assert not list(copy.glob(".report*"))


def test_a_folder_of_a_users_figures_is_never_replaced(run_folder, tmp_path):
    """It may hold the same names as a report: only the run's own `report` is taken for a half of one."""
    (tmp_path / "thesis" / "figures").mkdir(parents=True)
    with pytest.raises(DataError, match="is not a report"):
        build_report([run_folder], tmp_path / "thesis")
