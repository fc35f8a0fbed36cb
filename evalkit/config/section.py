"""What every mapping of the YAML file has in common: unknown keys and wrong types are errors."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


class Section(BaseModel):
    """A mapping of the YAML file: unknown keys and wrong types are errors, no coercion."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def _shown_on_a_line(name: str) -> str:
    """Return a name. Raises ``ValueError`` on what moves a terminal's cursor or ends a line."""
    if re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", name):
        raise ValueError(f"the name {name[:60]!a} holds a control character or a line break: leave it out")
    return name


Name = Annotated[str, Field(min_length=1), AfterValidator(_shown_on_a_line)]
"""What a dataset or a model is called, in tables, files and messages."""
