"""What every mapping of the YAML file has in common: unknown keys and wrong types are errors."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A mapping of the YAML file: unknown keys and wrong types are errors, no coercion."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
