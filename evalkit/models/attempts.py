"""One request that was sent, and how long to wait before the next."""

from __future__ import annotations

import random
from dataclasses import dataclass

from evalkit.types import Response

FIRST_BACKOFF_S = 0.5
LONGEST_BACKOFF_S = 60.0
RATE_LIMITED_FACTOR = 4
"""A 429 that names no delay is waited for longer: 2, 4, 8, 16, 32 s outlast a per-minute quota."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request that was sent: ``number`` from 1, times in seconds, and what came of it.

    ``kind``: ``answered``, ``rate_limited``, ``retry``, ``gave_up`` or ``stopped``. ``body`` is the
    raw answer or error body. ``latency_s`` excludes every wait of our own, None in a batch job.
    ``counted_usd``: what the budget counted it for, None without a budget.
    """

    number: int
    started_at: float
    latency_s: float | None
    kind: str
    response: Response | None = None
    http_status: int | None = None
    error: str | None = None
    body: str | None = None
    counted_usd: float | None = None


def backoff_s(failures: int, *, rate_limited: bool = False) -> float:
    """Return our own wait after so many failures in a row: doubling, up to a minute, jittered by half."""
    base = FIRST_BACKOFF_S * (RATE_LIMITED_FACTOR if rate_limited else 1) * 2.0 ** (failures - 1)
    return min(base, LONGEST_BACKOFF_S) * random.uniform(0.5, 1.5)
