"""JSON as it is defined, and nothing else: no NaN, no key twice."""

from __future__ import annotations

import json
from typing import Any, Final


class _DuplicateKey(ValueError):
    pass


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _DuplicateKey
    return members


def _refuse(word: str) -> Any:
    raise ValueError(word)


def _any_length(digits: str) -> int | float:
    """Integers of thousands of digits are no coordinates: as a float they become infinite."""
    return int(digits) if len(digits) < 18 else float(digits)


_STRICT: Final = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse)
_STRICT_LONG: Final = json.JSONDecoder(
    object_pairs_hook=_unique, parse_constant=_refuse, parse_int=_any_length
)


def read_strict(text: str, start: int) -> tuple[Any, int] | None:
    """Return the JSON value at ``start`` and its end; None where it is not JSON.

    Refused: NaN, duplicate keys. A very long integer is a float, not an error.
    """
    try:
        return _STRICT.raw_decode(text, start)
    except (json.JSONDecodeError, _DuplicateKey, RecursionError):
        return None
    except ValueError:
        pass
    try:
        return _STRICT_LONG.raw_decode(text, start)
    except (ValueError, RecursionError):
        return None
