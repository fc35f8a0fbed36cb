"""Named baselines: versions, refusals, and copies that cannot be changed unnoticed."""

from __future__ import annotations

import pytest

from evalkit.comparison.baselines import find_baseline, list_baselines, set_baseline
from evalkit.errors import ConfigError, DataError


def test_a_blessed_run_is_found_by_name(make_run, make_answers, good_iou, tmp_path) -> None:
    """The copy has the run's scores, and stays when the run changes."""
    run = make_run("night", [make_answers("m", good_iou)])
    set_baseline("good", run, tmp_path / "reports")
    (run.path / "scores.parquet").unlink()
    found = find_baseline("good", reports=tmp_path / "reports")
    assert len(found.scores()) == 120
    assert found.manifest.name == "nightly"


def test_blessing_again_adds_a_version_and_keeps_the_first(
    make_run, make_answers, good_iou, tmp_path
) -> None:
    """The name means the newest version; NAME@1 still means the first."""
    first = make_run("one", [make_answers("m", good_iou)])
    second = make_run("two", [make_answers("m", good_iou - 0.1)])
    assert set_baseline("good", first, tmp_path).version == 1
    assert set_baseline("good", second, tmp_path).version == 2
    assert find_baseline("good", reports=tmp_path).scores()["iou"].equals(second.scores()["iou"])
    assert find_baseline("good@1", reports=tmp_path).scores()["iou"].equals(first.scores()["iou"])
    assert [(b.name, b.version) for b in list_baselines(tmp_path)] == [("good", 1), ("good", 2)]


def test_names_are_found_beside_the_run(make_run, make_answers, good_iou, tmp_path) -> None:
    """A run in another reports folder finds the baselines that lie beside it."""
    run = make_run("night", [make_answers("m", good_iou)])
    set_baseline("good", run, tmp_path)
    assert find_baseline("good", run, tmp_path / "elsewhere").path.parent.name == "good"


def test_a_path_is_taken_as_it_is(make_run, make_answers, good_iou, tmp_path) -> None:
    """--baseline also takes a run folder."""
    run = make_run("night", [make_answers("m", good_iou)])
    assert find_baseline(str(run.path), reports=tmp_path).path == run.path


def test_a_changed_copy_is_refused(make_run, make_answers, good_iou, tmp_path) -> None:
    """Files are read-only, and an edit in spite of that is noticed by its digest."""
    made = set_baseline("good", make_run("night", [make_answers("m", good_iou)]), tmp_path / "reports")
    scores = made.path / "scores.parquet"
    assert scores.stat().st_mode & 0o222 == 0
    scores.chmod(0o644)
    scores.write_bytes(scores.read_bytes() + b" ")
    with pytest.raises(DataError, match=r"scores.parquet was changed after it was blessed"):
        find_baseline("good", reports=tmp_path / "reports")


def test_partial_runs_and_bad_names_are_refused(make_run, make_answers, good_iou, tmp_path) -> None:
    """A run that stopped early is no baseline; a name may not leave the folder."""
    partial = make_run("night", [make_answers("m", good_iou)], status="partial")
    with pytest.raises(ConfigError, match="is partial"):
        set_baseline("good", partial, tmp_path / "reports")
    with pytest.raises(ConfigError, match="cannot be a baseline's name"):
        set_baseline("../good", partial, tmp_path / "reports")
    assert not (tmp_path / "reports").exists()


def test_simulated_runs_are_marked(make_run, make_answers, good_iou, tmp_path) -> None:
    """A simulated baseline is kept as one, so that the gate can refuse it for live runs."""
    run = make_run("night", [make_answers("m", good_iou)], simulated=True)
    assert set_baseline("demo", run, tmp_path / "reports").simulated


def test_unknown_names_list_the_nearest(make_run, make_answers, good_iou, tmp_path) -> None:
    """A misspelt baseline is an error with the known names."""
    set_baseline("stable", make_run("night", [make_answers("m", good_iou)]), tmp_path / "reports")
    with pytest.raises(ConfigError, match="Did you mean 'stable'"):
        find_baseline("stabel", reports=tmp_path / "reports")
