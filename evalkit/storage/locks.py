"""One writer per run folder, so that two scheduled runs never mix their answers.

The lock is an operating-system lock (``flock``) on a file beside the folder: it ends with its
process however that ends, so a lock left by a crash or a power cut is never in the way. The file
says who holds it. POSIX only; elsewhere nothing is locked, which ``doctor`` and the docs say.
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


@contextmanager
def run_lock(folder: Path) -> Iterator[str | None]:
    """Hold the lock of a run folder (which need not exist yet).

    Yields a sentence about a lock that a dead process left, None where there was none. Raises
    ``FolderInUse`` at once where a living process holds it.
    """
    path = lock_path(folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = _acquire(path, folder)
    try:
        left_over = _holder(handle)
        os.ftruncate(handle, 0)
        os.pwrite(handle, json.dumps(_myself()).encode(), 0)
        yield (
            None
            if left_over is None
            else f"took over the lock of {_words(left_over)}, which ended without releasing it"
        )
    finally:
        with suppress(FileNotFoundError):
            path.unlink()
        os.close(handle)


def lock_path(folder: Path) -> Path:
    """Return the lock file of a run folder: ``.NAME.lock`` beside it."""
    whole = folder.resolve()
    return whole.with_name(f".{whole.name}.lock")


def _acquire(path: Path, folder: Path) -> int:
    """Open and lock the file; a file that was unlinked in between is opened again."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        if not _lock(handle):
            holder = _holder(handle)
            os.close(handle)
            who = "another process" if holder is None else _words(holder)
            raise FolderInUse(
                f"{folder} is being written by {who}. Nothing was asked or changed. Wait until it has ended (the lock "
                "goes with its process), or give another folder with --out"
            )
        try:
            same = os.fstat(handle).st_ino == path.stat().st_ino
        except FileNotFoundError:
            same = False
        if same:
            return handle
        os.close(handle)


def _lock(handle: int) -> bool:
    """Lock an open file without waiting; tell whether that worked."""
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(handle: int) -> dict[str, Any] | None:
    """Return what the file says of its holder, None where it says nothing readable."""
    try:
        found = json.loads(os.pread(handle, 4096, 0) or b"null")
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _myself() -> dict[str, Any]:
    now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    return {"pid": os.getpid(), "host": socket.gethostname(), "since": now}


def _words(holder: dict[str, Any]) -> str:
    return f"process {holder.get('pid')} on {holder.get('host')} (since {holder.get('since')})"
