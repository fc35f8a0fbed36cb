"""`--dry-run` and `doctor` look at a config's modules and import none of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from evalkit.cli.app import main

MODULE = """
from pathlib import Path
Path(__file__).with_name("imported").touch()
if True:
    THRESHOLD = 3
def segment(image, expression):
    return None
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return the folder of a config with one photograph and modules that tell when they are imported."""
    Image.new("RGB", (20, 10)).save(tmp_path / "a.png")
    line = {"id": "s", "image": "a.png", "expression": "x", "mask": [[1, 1, 8, 1, 8, 8]]}
    (tmp_path / "d.jsonl").write_text(json.dumps(line) + "\n", encoding="utf-8")
    (tmp_path / "stranger_package").mkdir()
    for name in ("stranger_module.py", "stranger_package/__init__.py", "stranger_package/inner.py"):
        (tmp_path / name).write_text(MODULE, encoding="utf-8")
    return tmp_path


def write(folder: Path, function: str, **changes: object) -> str:
    """Write a config that asks a function; return its path."""
    config = {
        "name": "t",
        "datasets": [{"name": "d", "format": "jsonl", "path": "d.jsonl"}],
        "models": [{"name": "f", "provider": "python", "function": function}],
    }
    path = folder / "c.yaml"
    path.write_text(json.dumps(config | changes), encoding="utf-8")
    return str(path)


COMMANDS = [["run", "--dry-run"], ["doctor"]]


@pytest.mark.parametrize("command", COMMANDS, ids=["dry-run", "doctor"])
@pytest.mark.parametrize("function", ["stranger_module:segment", "stranger_package.inner:segment"])
def test_functions_and_metrics_are_looked_at_alone(project: Path, command: list[str], function: str) -> None:
    """They are found, and no line of them runs."""
    config = write(project, function, score={"metrics": ["stranger_module:THRESHOLD"]})
    result = CliRunner().invoke(main, [*command, config])
    assert result.exit_code == 0, result.output
    assert not list(project.rglob("imported"))


@pytest.mark.parametrize("command", COMMANDS, ids=["dry-run", "doctor"])
@pytest.mark.parametrize(
    ("function", "says"),
    [
        ("stranger_module:segmant", "Did you mean 'segment'?"),
        ("no_such_module:segment", "there is no module no_such_module"),
        ("stranger_package.other:segment", "there is no module stranger_package.other"),
    ],
)
def test_what_is_not_there_is_told(project: Path, command: list[str], function: str, says: str) -> None:
    """With exit code 2, without an import."""
    result = CliRunner().invoke(main, [*command, write(project, function)])
    assert result.exit_code == 2
    assert says in result.output
    assert not list(project.rglob("imported"))


@pytest.mark.parametrize("command", COMMANDS, ids=["dry-run", "doctor"])
def test_a_provider_of_ones_own_cannot_be_rehearsed(project: Path, command: list[str]) -> None:
    """Its settings are known to its module alone: that is said."""
    config = write(project, "whole-image", models=[{"name": "f", "provider": "stranger_module:THRESHOLD"}])
    result = CliRunner().invoke(main, [*command, config])
    assert result.exit_code == 2
    assert "imports none" in result.output
    assert not list(project.rglob("imported"))
