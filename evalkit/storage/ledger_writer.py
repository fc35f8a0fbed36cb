"""Durable writes that never hold up the asking: one thread commits what has come in meanwhile.

A commit waits for the disk. Done in the event loop, one commit an answer would stop every other
request for that time; here the answers that arrive during one commit share the next.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Self

from evalkit.storage.ledger import AttemptRow, Ledger

MOST_PER_COMMIT = 256
"""Rows that share a commit at the most; bounds what a crash can lose to what nobody was told is stored."""


class LedgerWriter:
    """Stores attempts from the event loop's thread; use as a context manager.

    ``add`` returns at once; ``settled`` and ``settle`` return when all that was added before is on the
    disk. An error of the disk is raised by all of them, as the ledger's own ``EvalkitError``.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.failure: Exception | None = None
        self._queue: queue.SimpleQueue[AttemptRow | Future[None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="ledger", daemon=True)
        self._thread.start()

    def add(self, row: AttemptRow) -> None:
        """Take one attempt to be stored."""
        if self.failure is not None:
            raise self.failure
        self._queue.put(row)

    async def settled(self) -> None:
        """Wait until everything that was added before is durable."""
        await asyncio.wrap_future(self._mark())

    def settle(self) -> None:
        """Block until everything that was added before is durable."""
        self._mark().result()

    def _mark(self) -> Future[None]:
        mark: Future[None] = Future()
        self._queue.put(mark)
        return mark

    def close(self) -> None:
        """Store the rest and end the thread. Raises what kept anything from being stored."""
        self._queue.put(None)
        self._thread.join()
        if self.failure is not None:
            raise self.failure

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.close()
        except Exception:
            if error is None:
                raise

    def _work(self) -> None:
        ended = False
        try:
            with Ledger(self.path) as ledger:
                while not ended:
                    ended = self._commit_next(ledger)
        except Exception as error:  # noqa: BLE001  (whatever ends this thread must reach those who wait for it)
            self.failure = error
            self._refuse_rest(ended=ended)

    def _commit_next(self, ledger: Ledger) -> bool:
        """Wait for work, commit it with all that came meanwhile; tell whether the end was among it."""
        taken = [self._queue.get()]
        while len(taken) < MOST_PER_COMMIT and not self._queue.empty():
            taken.append(self._queue.get())
        marks = [entry for entry in taken if isinstance(entry, Future)]
        try:
            ledger.add_all([entry for entry in taken if isinstance(entry, AttemptRow)])
        except Exception as error:  # noqa: BLE001  (as in _work)
            self.failure = error
        for mark in marks:
            _tell(mark, self.failure)
        if self.failure is not None:
            raise self.failure
        return None in taken

    def _refuse_rest(self, *, ended: bool) -> None:
        """After a failure: answer whoever still waits, until the end is asked for."""
        while not ended:
            entry = self._queue.get()
            ended = entry is None
            if isinstance(entry, Future):
                _tell(entry, self.failure)


def _tell(mark: Future[None], failure: Exception | None) -> None:
    if not mark.set_running_or_notify_cancel():
        return
    if failure is None:
        mark.set_result(None)
    else:
        mark.set_exception(failure)
