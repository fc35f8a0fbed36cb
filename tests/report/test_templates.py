"""The templates and the records they show."""

import ast
import re
from pathlib import Path

import pytest

from evalkit.report.page import TEMPLATES

MODULES = sorted(Path(TEMPLATES).parent.glob("*.py"))
READERS = "\n".join(path.read_text(encoding="utf-8") for path in [*MODULES, *sorted(TEMPLATES.iterdir())])


def fields_of(path: Path) -> list[tuple[str, str]]:
    """Return (class, field) of every record of a module."""
    return [
        (node.name, line.target.id)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
        for line in node.body
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name)
    ]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_every_field_of_a_record_is_read_by_a_template_or_a_module(path):
    """A field that nothing shows is computed for nothing."""
    unread = [field for field in fields_of(path) if not re.search(rf"\.{field[1]}\b", READERS)]
    assert not unread
