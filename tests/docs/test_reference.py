"""The reference pages say what the code does: they are what the generator makes of it today."""

import importlib.util
from pathlib import Path

import pytest
from pydantic import BaseModel

from evalkit.config import gate_rules, models, schema
from evalkit.decoding import settings
from evalkit.decoding.codes import FAILURES, OUTCOMES, REPAIRS
from evalkit.decoding.formats import WIRE_FORMATS
from evalkit.metrics.table import METRICS
from evalkit.storage.scores_table import COLUMNS
from evalkit.types import Outcome

DOCS = Path(__file__).parents[2] / "docs"


def generator():
    """Return the module docs/build_reference.py."""
    spec = importlib.util.spec_from_file_location("build_reference", DOCS / "build_reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PAGES = generator().pages()


@pytest.mark.parametrize("name", sorted(PAGES))
def test_the_committed_page_is_the_generated_one(name):
    """Where this fails, run `python docs/build_reference.py` and commit what it writes."""
    assert (DOCS / "reference" / name).read_text(encoding="utf-8") == PAGES[name]


def test_no_page_is_left_over():
    """Every page of docs/reference is generated."""
    assert {path.name for path in (DOCS / "reference").iterdir()} == set(PAGES)


def test_every_word_of_the_tables_is_in_the_reference():
    """Each column, metric and code stands on its page with the one text that the code has of it."""
    for column in COLUMNS:
        assert f"| `{column.name}` |" in PAGES["columns.md"]
        assert column.meaning in PAGES["columns.md"]
    for metric in METRICS:
        assert f"| `{metric.name}` | {metric.label} |" in PAGES["metrics.md"]
        assert metric.meaning in PAGES["metrics.md"]
    for code, meaning in (FAILURES | REPAIRS | WIRE_FORMATS).items():
        assert f"| `{code}` | {meaning} |" in PAGES["codes.md"]
    for code, words in OUTCOMES.items():
        assert f"| `{code}` | {words.meaning} |" in PAGES["codes.md"]
    assert set(OUTCOMES) == set(Outcome.__args__)


def test_every_config_section_and_key_is_described():
    """No key of the config is without a description, and every section is on the page."""
    sections = [
        one
        for module in (schema, models, gate_rules, settings)
        for one in vars(module).values()
        if isinstance(one, type) and issubclass(one, BaseModel) and one.__module__ == module.__name__
    ]
    entries = generator().entry_sections()
    shown = set(generator().WHERE) | {entry.__name__ for entry in entries}
    sections += entries
    assert {one.__name__ for one in sections} - {"ModelEntry", "PromptedEntry"} == shown
    for section in sections:
        for name, field in section.model_fields.items():
            assert field.description, f"{section.__name__}.{name}"
            if section.__name__ in shown and not field.exclude:
                assert f"| `{name}` |" in PAGES["config.md"]
