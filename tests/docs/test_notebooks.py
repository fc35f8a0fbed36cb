"""The notebooks of docs/notebooks run from top to bottom, and are committed without outputs."""

from pathlib import Path

import nbformat
import pytest

NOTEBOOKS = sorted((Path(__file__).parents[2] / "docs" / "notebooks").glob("*.ipynb"))


def test_there_are_two():
    """Both notebooks are found."""
    assert [path.stem for path in NOTEBOOKS] == ["choosing_a_model", "hunting_a_regression"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_notebook_is_committed_without_outputs(path):
    """Outputs belong to the reader's machine: none are stored, no counts, no paths."""
    for cell in nbformat.read(path, as_version=4).cells:
        assert cell.get("outputs", []) == []
        assert cell.get("execution_count") is None


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_notebook_runs(path, tmp_path):
    """Every cell runs in a real kernel, pictures and tables are drawn, and nothing is left on stderr but progress."""
    nbclient = pytest.importorskip("nbclient")
    notebook = nbformat.read(path, as_version=4)
    client = nbclient.NotebookClient(
        notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    shown = [output["data"] for output in outputs if output["output_type"] == "execute_result"]
    assert sum("text/html" in data for data in shown) >= 3
    assert any("data:image/jpeg" in data.get("text/html", "") for data in shown)
    assert any("SIMULATED" in str(output) for output in outputs)
    assert not [output for output in outputs if "Traceback" in output.get("text", "")]
