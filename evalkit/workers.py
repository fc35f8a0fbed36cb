"""Worker processes that end with their parent, however that ends."""

from __future__ import annotations

import multiprocessing
import os
import threading
from concurrent.futures import ProcessPoolExecutor


def worker_pool(workers: int) -> ProcessPoolExecutor:
    """Return a pool of spawned processes, each of which ends within moments of this one.

    Forking a process with threads and an event loop can deadlock in the child; spawning cannot.
    """
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, mp_context=context, initializer=end_with_parent)


def end_with_parent() -> None:
    """Watch the parent from a thread of this worker, and end at once when it is gone.

    A worker reads its work from a pipe whose writing end its siblings hold too: after a SIGTERM or kill -9 of the
    parent it would wait there for ever, or first finish what it was given.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_after, args=(parent,), name="parent-watch", daemon=True).start()


def _end_after(parent: multiprocessing.process.BaseProcess) -> None:
    parent.join()
    os._exit(1)
