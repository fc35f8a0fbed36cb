"""Whole files of a run folder, written beside and renamed: a reader never sees half of one."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from evalkit.errors import DataError
from evalkit.storage.locks import SHORT_WORK_S, run_lock


def write_json(path: Path, value: object) -> None:
    """Write JSON beside and rename, so that no reader sees half of it."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    beside = path.with_name(path.name + ".part")
    beside.write_text(text + "\n", encoding="utf-8")
    os.replace(beside, path)  # noqa: PTH105  atomic on every platform, Path.replace is the same call


@contextmanager
def replaced_file(path: Path) -> Iterator[Path]:
    """Give the path of a new file to write; it takes the place of ``path`` when the block ends, and goes where it raises.

    Two processes that write the same file do so one after the other: the later one waits up to ``SHORT_WORK_S``. What is
    no plain file (`/dev/stdout`, a pipe) is written as it is. Raises ``FolderInUse`` where the other does not end.
    """
    if path.exists() and not path.is_file():
        yield path
        return
    target = path.resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    with run_lock(target, wait_s=SHORT_WORK_S):
        beside = target.with_name(f".{target.stem}.part{target.suffix}")
        try:
            yield beside
            beside.replace(target)
        finally:
            beside.unlink(missing_ok=True)


@contextmanager
def aside(target: Path) -> Iterator[Path]:
    """Give a new folder beside ``target`` to write into, removed at the end; what a killed process left goes first."""
    stage = target.with_name(f".{target.name}.part")
    shutil.rmtree(stage, ignore_errors=True)
    stage.mkdir(parents=True)
    try:
        yield stage
    finally:  # after an interrupt too nothing half-written stays
        shutil.rmtree(stage, ignore_errors=True)


@contextmanager
def replaced_folder(target: Path) -> Iterator[Path]:
    """Give a new folder to write into; it takes the place of ``target`` when the block ends, and goes where it raises.

    At no time does ``target`` hold a part of it.
    """
    old = target.with_name(f".{target.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    with aside(target) as stage:
        yield stage
        if target.exists():
            target.rename(old)
        try:
            stage.rename(target)
        except OSError:
            old.rename(target)
            raise
    shutil.rmtree(old, ignore_errors=True)


@contextmanager
def parquet_read(path: Path) -> Iterator[None]:
    """Turn what pyarrow raises inside into a ``DataError``: a Parquet file that is damaged, or of another layout."""
    try:
        yield
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist. Restore the file from a copy") from error
    except (OSError, ValueError, TypeError, LookupError, NotImplementedError, MemoryError) as error:
        raise DataError(f"{path} is damaged: {error}. Restore the file from a copy") from error


def read_json(path: Path) -> dict[str, Any]:
    """Return a JSON file's object. Raises ``DataError`` where it is damaged."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_constant)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as JSON: {error}") from error
    except RecursionError as error:
        raise DataError(f"{path} cannot be read as JSON: it is nested too deep") from error
    if not isinstance(value, dict):
        raise DataError(f"{path} holds a {type(value).__name__}, not an object")
    return value


def _no_constant(name: str) -> NoReturn:
    """Refuse NaN and the infinities, which ``write_json`` never writes and JSON does not have."""
    raise ValueError(f"{name} is no number of JSON")
