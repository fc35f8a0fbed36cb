"""Work is run to its end with or without an event loop around, and an interrupt ends it."""

import asyncio
import threading
import time
from concurrent.futures import Future

import pytest

from evalkit.runner.event_loop import run_to_end


def test_the_asking_runs_beside_a_running_event_loop():
    """Where a loop is running, as in a notebook, the work is done in a thread with a loop of its own."""

    async def work():
        await asyncio.sleep(0)
        return [threading.current_thread()]

    async def cell():
        return run_to_end(work())

    assert asyncio.run(cell()) != [threading.main_thread()]
    assert run_to_end(work()) == [threading.main_thread()]


def test_an_interrupt_cancels_the_work_in_its_thread(monkeypatch):
    """A KeyboardInterrupt in the cell ends the asking before it is passed on: nothing goes on being paid."""
    ended = []

    async def work():
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            ended.append(True)
            raise

    def interrupted(self, timeout=None):
        time.sleep(0.1)
        raise KeyboardInterrupt

    original = Future.result
    monkeypatch.setattr(
        Future,
        "result",
        lambda self, timeout=None: original(self, timeout) if self.done() else interrupted(self),
    )

    async def cell():
        return run_to_end(work())

    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        asyncio.run(cell())
    assert ended == [True]
    assert time.monotonic() - start < 10
