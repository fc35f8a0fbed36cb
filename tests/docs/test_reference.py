"""The reference pages say what the code does: they are what the generator makes of it today."""

import importlib.util
from pathlib import Path

import pytest
from pydantic import BaseModel

from evalkit.config import gate_rules, models, schema
from evalkit.metrics.glossary import COLUMNS, MEASURES, OUTCOMES
from evalkit.metrics.names import MEASURES as KNOWN_MEASURES
from evalkit.storage.scores_table import scores_schema
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


def test_the_glossary_is_complete():
    """Every column, measure and outcome has a meaning, and nothing else has one."""
    assert list(COLUMNS) == scores_schema().names
    assert set(MEASURES) == set(KNOWN_MEASURES)
    assert set(OUTCOMES) == set(Outcome.__args__)


def test_every_config_section_and_key_is_described():
    """No key of the config is without a description, and every section is on the page."""
    sections = [
        one
        for module in (schema, models, gate_rules)
        for one in vars(module).values()
        if isinstance(one, type) and issubclass(one, BaseModel) and one.__module__ == module.__name__
    ]
    shown = set(generator().WHERE)
    assert {one.__name__ for one in sections} - {"ModelBase"} == shown
    for section in sections:
        for name, field in section.model_fields.items():
            assert field.description, f"{section.__name__}.{name}"
            if section.__name__ in shown and not field.exclude:
                assert f"| `{name}` |" in PAGES["config.md"]
