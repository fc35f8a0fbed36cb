"""Keys that a config names by their environment variable."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Mapping

from evalkit.errors import ConfigError


def require_key(name: str, variable: str | None) -> str | None:
    """Return the key that ``variable`` holds, stripped; None where none is to be sent.

    Raises ``ConfigError`` where model ``name`` needs it and the variable is not set, empty or no key.
    """
    if variable is None:
        return None
    key = sendable_key(variable, os.environ)
    if not key:
        raise ConfigError(
            f"model '{name}' needs a key and the variable {variable} is not set: export {variable}=... and run the same "
            "command again, or name another one with `api_key_env:`. A dry run needs none. Nothing was sent"
        )
    return key


def sendable_key(variable: str, environment: Mapping[str, str]) -> str:
    """Return what a variable holds, stripped; empty where it is not set.

    Raises ``ConfigError`` where it has a character that no key has: a line break or an ellipsis that was copied along.
    """
    key = environment.get(variable, "").strip()
    odd = re.search(r"[^!-~]", key)
    if odd:
        raise ConfigError(
            f"{variable} is no key: its character {odd.start() + 1} of {len(key)} is "
            f"{unicodedata.name(odd.group(), 'a control character')}, and keys are of printable ASCII. Export it "
            "anew. Nothing was sent"
        )
    return key


def key_words(variable: str | None) -> str:
    """Return how a key is given, for messages."""
    return variable or "`api_key_env:` (the name of a variable that holds a key) and that variable"
