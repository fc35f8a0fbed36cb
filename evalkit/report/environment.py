"""The templates of the pages: everything is escaped, an unknown name is an error."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).parent / "templates"


def template_environment(**names: Any) -> Environment:
    """Return the environment of one page; ``names`` are known in every template beside evalkit's version."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    from evalkit.version import __version__

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"version": __version__, **names}
    return environment
