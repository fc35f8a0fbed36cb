"""The examples in the docstrings of the notebook API run as they stand."""

import doctest

import pytest

import evalkit
from evalkit.notebook import api as notebook
from evalkit.notebook import scored_run as notebook_run
from evalkit.notebook.scored_run import Run


def examples():
    """Return every docstring of the two modules that holds examples."""
    finder = doctest.DocTestFinder(exclude_empty=True)
    found = [*finder.find(notebook, "notebook"), *finder.find(notebook_run, "notebook_run")]
    return [one for one in found if one.examples]


@pytest.mark.parametrize("example", examples(), ids=lambda example: example.name)
def test_the_example_runs(example, workplace, monkeypatch):
    """Each example prints what it says, with `ek` imported and a loaded `run` at hand."""
    monkeypatch.chdir(workplace)
    example.globs |= {"ek": evalkit, "run": Run("reports/demo")}
    outcome = doctest.DocTestRunner(verbose=False).run(example)
    assert outcome.attempted > 0
    assert outcome.failed == 0


def test_every_public_function_has_an_example():
    """`load`, `decode`, `history` and every public method of a run show how they are used."""
    with_examples = {one.name.rpartition(".")[2] for one in examples()}
    assert {"load", "decode", "history"} <= with_examples
    assert {"scores", "summary", "compare", "show", "wall", "rescore", "answer", "masks"} <= with_examples
