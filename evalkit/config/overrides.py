"""Decode settings that replace a run's own: `--decode.KEY`, ``run.rescore(KEY=...)``, ``ek.decode(KEY=...)``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from evalkit.decoding.formats import own_formats
from evalkit.decoding.settings import DecodeSettings
from evalkit.decoding.token_codebook import check_codebook
from evalkit.errors import ConfigError, nearest


def with_changes(
    current: DecodeSettings, changes: Mapping[str, Any], spelling: str = "decode setting {}={!r}"
) -> DecodeSettings:
    """Return the settings with ``changes``; ``spelling`` shows key and value as they were given.

    Raises ``ConfigError`` on unknown keys, wrong values, an absent codebook and a wire format that cannot be loaded.
    """
    for key in changes:
        if key not in DecodeSettings.model_fields:
            raise ConfigError(
                f"there is no decode setting '{key}'.{nearest(key, DecodeSettings.model_fields)}"
            )
    try:
        settings = DecodeSettings.model_validate(current.model_dump() | dict(changes))
    except ValidationError as error:
        first = error.errors()[0]
        key = str(first["loc"][0])
        raise ConfigError(f"{spelling.format(key, changes.get(key))}: {first['msg'].lower()}") from error
    check_codebook(settings.token_codebook)
    own_formats(settings.formats)
    return settings
