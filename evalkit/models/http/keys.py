"""Keys that a config names by their environment variable."""

from __future__ import annotations

import os

from evalkit.errors import ConfigError


def require_key(name: str, variable: str | None) -> str | None:
    """Return the key that ``variable`` holds, stripped; None where none is to be sent.

    Raises ``ConfigError`` where model ``name`` needs it and the variable is not set or empty.
    """
    if variable is None:
        return None
    key = os.environ.get(variable, "").strip()
    if not key:
        raise ConfigError(
            f"model '{name}' needs a key and the variable {variable} is not set: export {variable}=... and run the same "
            "command again, or name another one with `api_key_env:`. A dry run needs none. Nothing was sent"
        )
    return key


def key_words(variable: str | None) -> str:
    """Return how a key is given, for messages."""
    return variable or "`api_key_env:` (the name of a variable that holds a key) and that variable"
