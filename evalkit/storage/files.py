"""Whole files of a run folder, written beside and renamed: a reader never sees half of one."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from evalkit.errors import DataError


def write_json(path: Path, value: object) -> None:
    """Write JSON beside and rename, so that no reader sees half of it."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    beside = path.with_name(path.name + ".part")
    beside.write_text(text + "\n", encoding="utf-8")
    os.replace(beside, path)  # noqa: PTH105  atomic on every platform, Path.replace is the same call


def read_json(path: Path) -> dict[str, Any]:
    """Return a JSON file's object. Raises ``DataError`` where it is damaged."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(value, dict):
        raise DataError(f"{path} holds a {type(value).__name__}, not an object")
    return value
