"""A loop whose clock jumps over every wait, so that minutes of pacing are tested in milliseconds."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from support.models_fixtures import _no_key, run_config, samples, simulate

__all__ = ["_no_key", "run_config", "samples", "simulate"]


class JumpingSelector(selectors.DefaultSelector):  # type: ignore[misc, valid-type]
    """Selects at once and adds the wait it was asked for to ``skipped_s``."""

    skipped_s = 0.0

    def select(self, timeout: float | None = None) -> Any:
        """Skip the wait; nothing outside the loop is ever waited for."""
        self.skipped_s += max(timeout or 0.0, 0.0)
        return super().select(0)


class JumpingLoop(asyncio.SelectorEventLoop):
    """An event loop in virtual time, in seconds from 0."""

    def __init__(self) -> None:
        self.selector = JumpingSelector()
        super().__init__(self.selector)

    def time(self) -> float:
        """Return the virtual time."""
        return self.selector.skipped_s


@pytest.fixture
def run_jumping() -> Callable[[Coroutine[Any, Any, Any]], Any]:
    """Return a runner of coroutines in virtual time."""

    def run(work: Coroutine[Any, Any, Any]) -> Any:
        with asyncio.Runner(loop_factory=JumpingLoop) as runner:
            return runner.run(work)

    return run
