"""The fabricated run of the report's tests, where the examples of the docstrings look for one."""

import importlib.util
from pathlib import Path

import pytest

from evalkit.notebook.scored_run import Run

MAKER = Path(__file__).parents[1] / "report" / "conftest.py"


def load_maker():
    """Return the module that fabricates runs."""
    spec = importlib.util.spec_from_file_location("fabricated_runs", MAKER)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def maker():
    """Return the module that fabricates runs."""
    return load_maker()


@pytest.fixture(scope="session")
def workplace(tmp_path_factory, maker):
    """Return a folder that holds a scored run of 16 samples and two models at reports/demo."""
    folder = tmp_path_factory.mktemp("notebook")
    maker.make_run(folder / "reports" / "demo")
    return folder


@pytest.fixture(scope="session")
def run(workplace):
    """Return that run, loaded."""
    return Run(workplace / "reports" / "demo")
