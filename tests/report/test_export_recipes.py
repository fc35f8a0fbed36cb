"""The recipes of docs/export.md are executed as they stand, where their package is installed."""

import re
from pathlib import Path

import pytest

from evalkit.report.export import export_run
from evalkit.storage.run_folder import RunFolder

DOCUMENT = Path(__file__).parents[2] / "docs" / "export.md"


def recipe(name):
    """Return the code that stands under a recipe's mark."""
    text = DOCUMENT.read_text(encoding="utf-8")
    return re.search(rf"<!-- recipe: {name} -->\n```python\n(.*?)```", text, re.DOTALL)[1]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["duckdb", "supervision", "fiftyone"])
def test_recipe_runs(name, run_folder, tmp_path, monkeypatch, capsys):
    """The recipe reads a fresh export and prints something about it."""
    pytest.importorskip(name)
    for to in ("coco", "parquet"):
        export_run(RunFolder(run_folder), to, tmp_path / "export")
    monkeypatch.chdir(tmp_path)
    exec(compile(recipe(name), f"{DOCUMENT.name}: {name}", "exec"), {"__name__": "recipe"})
    assert capsys.readouterr().out.strip()
