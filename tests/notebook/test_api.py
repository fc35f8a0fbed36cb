"""What the notebook API gives: data frames, masks, pictures, re-scored copies, runs of its own."""

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

import evalkit as ek
from evalkit.comparison.compare import compare_runs
from evalkit.errors import ConfigError, DataError, RunIncomplete
from evalkit.storage.run_folder import RunFolder

SMALL = {
    "name": "small",
    "datasets": [{"name": "everyday"}],
    "models": [
        {"name": "perfect", "provider": "simulator", "persona": "perfect", "latency_s": 0.0},
        {"name": "floor", "provider": "python", "function": "whole-image"},
    ],
}


def test_importing_evalkit_loads_nothing_else():
    """A bare import loads the standard library's typing at most, no third-party package, no submodule but the version."""
    code = "import sys; before = set(sys.modules); import evalkit; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    assert "evalkit" in loaded
    assert [name for name in loaded if name.startswith("evalkit.")] == ["evalkit.version"]
    allowed = {"evalkit", "typing", "re", "functools", "collections", "contextlib", "operator", "keyword"}
    allowed |= {"reprlib", "itertools", "types", "enum", "copyreg", "importlib", "warnings", "sre", "abc"}
    assert {name.partition(".")[0].lstrip("_") for name in loaded} <= allowed


def test_help_loads_no_heavy_package():
    """`evalkit --help` loads click and the standard library alone, which is what makes it instant."""
    code = (
        "import sys; from click.testing import CliRunner; from evalkit.cli.app import main; "
        "assert CliRunner().invoke(main, ['--help']).exit_code == 0; print(*sorted(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heads = {name.partition(".")[0] for name in done.stdout.split()}
    heavy = {
        "numpy",
        "pandas",
        "pydantic",
        "PIL",
        "scipy",
        "pyarrow",
        "matplotlib",
        "google",
        "rich",
        "jinja2",
    }
    assert not heads & heavy


def test_every_public_name_resolves():
    """All of `__all__` can be got, is listed by dir(), and an unknown name is an AttributeError."""
    for name in ek.__all__:
        assert callable(getattr(ek, name)), name
    assert set(ek.__all__) <= set(dir(ek))
    with pytest.raises(AttributeError, match="no attribute 'lod'"):
        ek.lod  # noqa: B018


@pytest.mark.parametrize(
    "first",
    [
        "import evalkit.pipeline, evalkit.comparison.history, evalkit.decoding",
        "import evalkit.notebook.api",
    ],
)
def test_functions_stay_callable_beside_their_modules(first):
    """`ek.run`, `ek.history` and `ek.decode` can be called whichever submodules were imported before."""
    code = (
        f"{first}; import evalkit as ek, inspect; from evalkit.decoding.codes import FAILURES; "
        "assert ek.decode('[]', size=(4, 4)).outcome == 'no_target'; "
        "assert 'config' in inspect.signature(ek.run).parameters; "
        "assert 'directory' in inspect.signature(ek.history).parameters; "
        "import evalkit.pipeline as module; assert module.RunResult; assert evalkit.decoding.decode_answer"
        if "evalkit.pipeline" in first
        else f"{first}; import evalkit as ek; assert ek.decode('[]', size=(4, 4)).outcome == 'no_target'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_scores_keep_the_file_and_expand_the_tags(run):
    """Every column of scores.parquet is there but the numbers of the diagnosis, and one more for each tag."""
    stored = pd.read_parquet(run.path / "scores.parquet").drop(columns=["stated_boxes", "stated_contours"])
    assert list(run.scores.columns) == [*stored.columns, "tag_kind", "tag_side"]
    for tags, kind, side in zip(stored["tags"], run.scores["tag_kind"], run.scores["tag_side"], strict=True):
        assert json.loads(tags) == {"kind": kind, "side": side}


def test_summary_is_summary_json(run):
    """The frame holds the numbers of summary.json with their intervals."""
    (stored,) = [
        r for r in RunFolder(run.path).summary().results if r["slice"] == "all" and r["model"] == "good"
    ]
    row = run.summary().set_index("model").loc["good"]
    assert (row["giou"], row["giou_low"], row["giou_high"]) == tuple(stored["giou"].values())
    assert row["precision_at_0.5"] == stored["precision_at"]["0.5"]["value"]
    assert row["latency_s_p50"] == stored["latency_s"]["p50"]
    assert len(run.summary("kind")) == 4
    with pytest.raises(ConfigError, match="kind"):
        run.summary("knd")


def test_compare_is_evalkit_compare(run):
    """The table holds what `evalkit compare` measured, second minus first."""
    direct = compare_runs([RunFolder(run.path)], ["good", "poor"]).pairs[0].whole.find("giou")
    row = run.compare("good", "poor").table.set_index("measure").loc["giou"]
    assert (row["difference"], row["low"], row["high"]) == (
        direct.difference.value,
        direct.difference.low,
        direct.difference.high,
    )
    assert "poor is worse than good" in run.compare("good", "poor")._repr_html_()
    with pytest.raises(ConfigError, match="good"):
        run.compare("god", "poor")
    with pytest.raises(ConfigError, match="two models"):
        run.compare("good")


def test_compare_with_another_run(run, maker, tmp_path):
    """A later run of the same models is compared model by model."""
    later = ek.load(maker.make_run(tmp_path / "later", "later", shift=12))
    compared = run.compare(other=later)
    assert len(compared.verdicts) == 2
    assert compared.flips.iloc[0]["difference"] < 0
    assert set(run.compare("good", "good", other=later.path).table["second"]) == {"good @ later"}


def test_masks_agree_with_the_counts_of_the_scores(run):
    """Arrays, run lengths and scores.parquet tell the same intersection, union and areas."""
    rows = run.scores.set_index(["model", "sample_id"])
    found = run.masks()
    assert len(found) == len(rows)
    drawn = [one for one in found if one.prediction is not None]
    assert len(drawn) > 10
    for one in drawn:
        row = rows.loc[one.model, one.sample_id]
        assert (one.truth & one.prediction).sum() == row["intersection"]
        assert (one.truth | one.prediction).sum() == row["union"]
        decoded = coco_mask.decode(one.prediction_rle.to_json()).astype(bool)
        assert np.array_equal(decoded, one.prediction)
    assert {one.sample_id for one in run.masks(query="no_target", model="good")} == {
        "1:1",
        "3:1",
        "5:1",
        "7:1",
    }


def test_rescoring_leaves_the_run_alone(run, tmp_path):
    """Another threshold changes a copy in a temporary or given folder, never the run; answers are reread."""
    before = (run.path / "scores.parquet").read_bytes()
    again = run.rescore(threshold=254)
    assert again.path != run.path
    assert again.folder.config().decode.threshold == 254
    assert again.answer("2:0", "good").outcome in ("decoded", "format_failure")
    assert (run.path / "scores.parquet").read_bytes() == before
    kept = run.rescore(tmp_path / "copy", box_rounding="expand")
    assert kept.path == tmp_path / "copy"
    with pytest.raises(ConfigError, match="threshold"):
        run.rescore(treshold=100)
    with pytest.raises(ConfigError, match="300"):
        run.rescore(threshold=300)


def test_a_temporary_copy_goes_with_python(run):
    """The folder of a re-scored run that was given none is removed when the interpreter ends."""
    code = f"import evalkit as ek; print(ek.load({str(run.path)!r}).rescore(instances='first').path)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "evalkit-" in done.stdout
    assert not Path(done.stdout.strip()).exists()


def test_an_answer_that_never_came(run):
    """A sample that was not run has no text, no mask and says why."""
    missing = run.answer("3:0", "poor")
    assert (missing.text, missing.mask, missing.outcome) == (None, None, "not_run")
    assert "503" in repr(missing)
    assert missing.to_json()["outcome"] == "not_run"


def test_decode_gives_mask_and_verdict():
    """A readable answer has its mask over the whole image and the verdict of `evalkit decode --json`."""
    text = json.dumps(
        [{"box_2d": [250, 250, 750, 750], "mask": [[250, 250], [250, 750], [750, 750], [750, 250]]}]
    )
    found = ek.decode(text, (80, 40), prompt="polygon")
    assert found.mask.shape == (40, 80)
    assert found.mask.dtype == bool
    assert found.mask[20, 40]
    assert not found.mask[2, 2]
    assert found.to_json()["mask"] == found.rle
    assert found.to_json()["items"][0]["wire_format"] == "polygon_pairs"
    with pytest.raises(ConfigError, match="size"):
        ek.decode(text, (0, 40))
    with pytest.raises(ConfigError, match="polygon"):
        ek.decode(text, (80, 40), prompt="polygn")


@pytest.mark.parametrize(
    ("act", "error", "told"),
    [
        (lambda run: run.show("22:0"), DataError, "2:0"),
        (lambda run: run.show("2:0", ["godd"]), DataError, "good"),
        (lambda run: run.answer("2:0", "good", trial=3), DataError, "trial 3"),
        (lambda run: run.wall("tag_sid == 'left'"), ConfigError, "tag_side"),
        (lambda run: ek.load(run.path.parent), DataError, "not a run folder"),
    ],
)
def test_mistakes_are_told(run, act, error, told):
    """An unknown sample, model, trial, column or folder is told with the near names."""
    with pytest.raises(error, match=told):
        act(run)


def test_pictures_are_drawn(run):
    """A wall is one PNG and an HTML block; predictions change the picture, and truth is outlined."""
    wall = run.wall("model == 'good' and iou > 0.5", sort="latency_s", ascending=False, limit=5)
    assert len(wall) == 5
    assert wall.tiles[0].title.startswith("good · 7:")
    png = Image.open(io.BytesIO(wall._repr_png_()))
    assert png.size == wall.image.size
    assert wall._repr_html_().count("<figure") == 5
    shown = run.show("2:0", ["good"])
    truth, prediction, difference = (np.asarray(tile.picture).astype(int) for tile in shown.tiles)
    assert truth.shape == prediction.shape == (120, 160, 3)
    inside = run.masks("2:0", "good")[0].prediction
    assert (np.abs(prediction - truth)[inside] > 0).any(axis=1).mean() > 0.8
    assert not np.array_equal(prediction, difference)
    empty = run.wall("iou > 2")
    assert len(empty) == 0
    assert empty._repr_png_()


def test_a_missing_photograph_is_told_on_its_tile(run):
    """Where the photograph is gone the overlay stands on plain ground and the caption says why."""
    assert any("7.png" in line for line in run.show("7:0").tiles[0].lines)


def test_hostile_text_is_shown_as_text(run, maker):
    """Labels, answers and expressions with markup are escaped wherever HTML is made."""
    pages = [
        run.answer("0:0", "poor")._repr_html_(),
        run.answer("2:1", "good")._repr_html_(),
        run.show("2:1")._repr_html_(),
        run.wall("sample_id == '2:1'")._repr_html_(),
        run._repr_html_(),
        run.compare()._repr_html_(),
    ]
    for page in pages:
        assert "<script" not in page
        assert "<img src=x" not in page
        assert "<b>disc</b>" not in page
    assert "&lt;script&gt;" in pages[0]


def test_simulated_and_partial_runs_say_so(maker, tmp_path):
    """Every display of such a run carries the words."""
    later = ek.load(maker.make_run(tmp_path / "later", "later", simulated=True, status="partial"))
    assert "SIMULATED" in later._repr_html_()
    assert "PARTIAL" in later._repr_html_()
    assert "SIMULATED" in repr(later)
    assert "SIMULATED" in later.show("2:0").note
    assert "SIMULATED" in later.compare("good", "poor")._repr_html_()
    assert "SIMULATED" in ek.history(tmp_path)._repr_html_()
    assert not later.complete


def test_run_takes_a_dictionary_and_resumes(tmp_path, monkeypatch, capsys):
    """A config as a dictionary runs as the command does; again it asks nothing, and says so."""
    monkeypatch.chdir(tmp_path)
    run = ek.run(SMALL, limit=4, yes=True)
    assert run.path.parts[-2:] == ("reports", "small")
    assert run.complete
    assert run.simulated
    assert (run.path / "report" / "index.html").is_file()
    values = run.summary().set_index("model")["giou"]
    assert values["perfect"] > 0.95
    assert values["floor"] < 0.5
    assert "perfect: 4/4" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="persona"):
        ek.run({**SMALL, "models": [{"name": "x", "provider": "simulator", "persna": "perfect"}]})


def test_a_dear_run_is_refused_without_yes(monkeypatch, tmp_path):
    """A run above limits.confirm_above_usd asks for yes=True; nothing is written."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GEMINI_API_KEY", "unused")
    models = [
        {"name": "dear", "provider": "gemini", "model": "gemini-2.5-pro", "price": {"image_usd": 100.0}}
    ]
    config = {**SMALL, "models": models}
    with pytest.raises(ConfigError, match="yes=True"):
        ek.run(config, limit=3, quiet=True)
    assert not (tmp_path / "reports").exists()


def test_an_incomplete_run_is_returned_with_a_warning(tmp_path, monkeypatch):
    """A model that stops leaves a partial run that can be looked at."""
    monkeypatch.chdir(tmp_path)
    stops = {
        "name": "quota",
        "provider": "simulator",
        "persona": "perfect",
        "faults": [{"kind": "rate_limit_day"}],
    }
    with pytest.warns(UserWarning, match="incomplete.*quota"):
        run = ek.run({**SMALL, "models": [SMALL["models"][1], stops]}, limit=3, yes=True, quiet=True)
    assert not run.complete
    assert set(run.scores.query("model == 'quota'")["outcome"]) == {"not_run"}
    assert issubclass(RunIncomplete, Exception)
