"""`evalkit init` and `evalkit demo`: from somebody's files to a config that a dry run accepts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from evalkit.cli.app import main
from evalkit.cli.shipped_configs import shipped_configs, summary_of
from evalkit.config.schema import load_config


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the working folder, with two photographs and their masks in ``photos``."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos" / "masks").mkdir(parents=True)
    for name in ("red-cup", "blue book"):
        Image.new("RGB", (60, 40), "grey").save(tmp_path / "photos" / f"{name}.jpg")
        mask = Image.new("L", (60, 40))
        mask.paste(255, (5, 5, 25, 20))
        mask.save(tmp_path / "photos" / "masks" / f"{name}.png")
    return tmp_path


def call(*arguments: str) -> Result:
    """Run one command."""
    return CliRunner().invoke(main, arguments, catch_exceptions=False)


def test_a_folder_becomes_a_csv_a_config_and_a_sheet(folder: Path) -> None:
    """What is written passes a dry run, and runs from elsewhere as well."""
    done = call(
        "init", "--data", "photos", "--models", "gemini-2.5-flash", "--yes", "--out", "configs/mine.yaml"
    )
    assert done.exit_code == 0, done.output
    assert (folder / "configs" / "mine-sheet.png").is_file()
    assert "red-cup,../photos/red-cup.jpg,red cup," in (folder / "configs" / "mine.csv").read_text()
    config = load_config("configs/mine.yaml")
    assert [model.name for model in config.models] == ["gemini-2.5-flash", "whole-image", "centre-box"]
    assert config.models[0].generation_setting().thinking_budget == 0
    dry = call("run", "configs/mine.yaml", "--dry-run")
    assert dry.exit_code == 0
    assert "2 samples on 2 images" in dry.stdout


@pytest.mark.parametrize("kind", ["jsonl", "csv", "coco"])
def test_a_file_is_looked_at_and_named(kind: str, folder: Path) -> None:
    """A name that is no YAML word by itself, such as ``yes``, is quoted."""
    ring = [[5, 5, 25, 5, 25, 20, 5, 20]]
    if kind == "jsonl":
        row = {"id": "a", "image": "photos/red-cup.jpg", "expression": "cup", "mask": ring}
        path = folder / "yes.jsonl"
        path.write_text(json.dumps(row))
    elif kind == "csv":
        path = folder / "yes.csv"
        path.write_text("id,image,expression,mask\na,photos/red-cup.jpg,cup,photos/masks/red-cup.png\n")
    else:
        path = folder / "yes.json"
        content = {
            "images": [{"id": 1, "file_name": "red-cup.jpg", "height": 40, "width": 60}],
            "categories": [{"id": 1, "name": "cup"}],
            "annotations": [
                {"id": 1, "image_id": 1, "category_id": 1, "segmentation": ring, "bbox": [5, 5, 20, 15]}
            ],
        }
        path.write_text(json.dumps(content))
    images = ["--images", "photos"] if kind == "coco" else []
    done = call("init", "--data", path.name, *images, "--models", "none", "--yes", "--out", "run.yaml")
    assert done.exit_code == 0, done.output
    assert call("run", "run.yaml", "--dry-run").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--yes"], "--data is needed"),
        (["--data", "gone.csv", "--yes"], "no such file or folder"),
        (["--data", "photos/red-cup.jpg", "--yes"], "a file of samples ends in"),
        (["--data", "photos", "--models", "a, a", "--yes"], "a model is named twice"),
        (["--template", "nihgtly"], "Did you mean 'nightly'"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_written(
    arguments: list[str], complaint: str, folder: Path
) -> None:
    """Exit code 2 and one paragraph."""
    done = call("init", *arguments)
    assert done.exit_code == 2
    assert complaint in done.stderr
    assert [path.name for path in folder.iterdir()] == ["photos"]


def test_an_existing_config_is_not_replaced_unasked(folder: Path) -> None:
    """``--force`` replaces it."""
    (folder / "photos.yaml").write_text("mine")
    done = call("init", "--data", "photos", "--yes")
    assert done.exit_code == 2
    assert "--force" in done.stderr
    assert (folder / "photos.yaml").read_text() == "mine"
    assert call("init", "--data", "photos", "--yes", "--force").exit_code == 0


def test_data_with_errors_gets_no_config(folder: Path) -> None:
    """The findings are listed; the file to mend is named."""
    (folder / "photos" / "red-cup.jpg").write_bytes(b"no picture")
    done = call("init", "--data", "photos", "--yes")
    assert done.exit_code == 2
    assert "cannot be read" in done.stdout
    assert not (folder / "photos.yaml").exists()


def test_every_template_can_be_copied(folder: Path) -> None:
    """Each says in a sentence what it is for."""
    listed = call("init", "--template", "list").stdout
    for name, path in shipped_configs().items():
        assert summary_of(path)
        assert name in listed
        assert call("init", "--template", name).exit_code == 0
        assert (folder / f"{name}.yaml").read_text() == path.read_text()


def test_the_demo_runs_in_any_folder(folder: Path) -> None:
    """No key, no config; the page's path and the next steps are said."""
    done = call("demo", "--out", "out")
    assert done.exit_code == 0, done.output
    assert (folder / "out" / "report" / "index.html").is_file()
    assert "Its answers are simulated" in done.stdout
    assert "evalkit init" in done.stdout
