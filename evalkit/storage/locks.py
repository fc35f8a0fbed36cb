"""One writer per run folder, so that two scheduled runs never mix their answers.

The lock is an operating-system lock on a file beside the folder (``filelock``: ``flock`` on POSIX, ``LockFileEx``
on Windows). It ends with its process however that ends, so a lock left by a crash or a power cut never stops the
next run. The file names its holder.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from evalkit.errors import FolderInUse

WAIT_S = 0.1
"""Time for a writer that is just ending to remove its file; a longer wait would hide a run in progress."""

SHORT_WORK_S = 10.0
"""How long what rewrites one part of a folder (scores, page, export) waits for another that does."""

HOLDER_BYTES = 4096


@contextmanager
def run_lock(folder: Path, wait_s: float = WAIT_S) -> Iterator[str | None]:
    """Hold the lock of a run folder (which need not exist yet); wait up to ``wait_s`` seconds for it.

    Yields a sentence about a lock that a dead process left, None where there was none. Raises
    ``FolderInUse`` where a living process holds it.
    """
    from filelock import FileLock, Timeout

    path = lock_path(folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    left_over: dict[str, Any] | None = None

    def write_holder(handle: int) -> None:
        nonlocal left_over
        left_over = _parsed(os.read(handle, HOLDER_BYTES))
        os.lseek(handle, 0, os.SEEK_SET)
        os.ftruncate(handle, 0)
        os.write(handle, json.dumps(_this_process()).encode())

    lock = FileLock(
        path, timeout=wait_s, poll_interval=WAIT_S / 5, thread_local=False, on_acquired=write_holder
    )
    try:
        lock.acquire()
    except Timeout:
        raise FolderInUse(
            f"{folder} is being written by {_holder_of(path)}. Nothing was asked or changed. Wait until it has ended "
            "(the lock goes with its process), or give another folder with --out"
        ) from None
    try:
        yield (
            None
            if left_over is None
            else f"took over the lock of {_words(left_over)}, which ended without releasing it"
        )
    finally:
        _remove(path)
        lock.release()


def lock_path(folder: Path) -> Path:
    """Return the lock file of a run folder: ``.NAME.lock`` beside it."""
    whole = folder.resolve()
    return whole.with_name(f".{whole.name}.lock")


def _remove(path: Path) -> None:
    """Remove the file while it is held, so that no other process can hold it under the same name.

    Windows removes no open file: it is emptied there, and an empty file names no holder.
    """
    try:
        path.unlink(missing_ok=True)
    except PermissionError:
        with suppress(PermissionError):
            path.write_bytes(b"")


def _holder_of(path: Path) -> str:
    """Return words for the process that holds a lock file; it may be written or removed just now."""
    try:
        holder = _parsed(path.read_bytes())
    except OSError:
        holder = None
    return "another process" if holder is None else _words(holder)


def _parsed(text: bytes) -> dict[str, Any] | None:
    """Return what a lock file says of its holder, None where it says nothing readable."""
    try:
        found = json.loads(text or b"null")
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _this_process() -> dict[str, Any]:
    now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    return {"pid": os.getpid(), "host": socket.gethostname(), "since": now}


def _words(holder: dict[str, Any]) -> str:
    return f"process {holder.get('pid')} on {holder.get('host')} (since {holder.get('since')})"
