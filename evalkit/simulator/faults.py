"""Scripted faults: a list of plain mappings -> a thread-safe, seeded schedule.

One fault is ``{kind: ..., which requests, what exactly}``::

    - {kind: rate_limit_minute, requests_per_minute: 600}    # a quota; 429 above it
    - {kind: unavailable, probability: 0.1}                   # 503 for one attempt in ten
    - {kind: reset, every: 20}                                # each 20th request
    - {kind: internal, first: 2, per: question}               # two attempts at each question
    - {kind: wrong_model_version, model: gemini-2.5-flash}    # all answers of one model

Which requests (all that are given must hold; none = every request): ``every: N``, ``first: N``,
``after: N``, ``requests: [1, 5]`` count the requests that the fault's filters let through, from 1;
``per: question`` counts for each question by itself. ``probability: P`` is drawn from the seed, the
question and the attempt, not from the order of arrival. Filters: ``model``, ``persona``, ``samples`` (ids)
and ``operation``: ``generate`` (the default: generateContent and predict), ``count``, ``models``,
``files``, ``batch`` (creating one), ``batch_line``, ``batch_poll`` or ``any``.
The first fault of the list that applies to a request is the one that happens.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evalkit.errors import ConfigError, nearest
from evalkit.simulator.personas import question_rng

ANSWER_KINDS: dict[str, dict[str, Any]] = {
    "wrong_model_version": {"model_version": "gemini-3.5-flash-lite"},
    "continuation": {},
    "empty": {},
    "blocked_prompt": {"block_reason": "PROHIBITED_CONTENT"},
    "thoughts_only": {},
}
"""Faults that change what is answered, with their settings; the same question gets the same fault."""

ERROR_KINDS: dict[str, dict[str, Any]] = {
    "rate_limit_minute": {"requests_per_minute": None, "burst": None, "retry_delay_s": 1.0},
    "rate_limit_day": {"requests_per_day": None},
    "internal": {},
    "unavailable": {},
    "deadline": {},
    "not_found": {},
    "forbidden": {},
    "content_filter": {},
    "no_images": {},
}
"""Faults that are answered with an error: 429, 429, 500, 503, 504, 404, 403, 400, 400."""

WIRE_KINDS: dict[str, dict[str, Any]] = {
    "hang": {"seconds": 3600.0},
    "trickle": {"seconds_per_byte": 0.1},
    "reset": {},
    "truncated_body": {},
    "non_json_200": {"body": "<html><body>Sign in to the network</body></html>"},
    "empty_body": {},
    "error_200": {},
    "slow": {"seconds": 5.0},
}
"""Faults of the connection or of what lies between."""

BATCH_KINDS: dict[str, dict[str, Any]] = {
    "batch_slow": {"pending_s": 5.0, "running_s": 5.0},
    "batch_failed": {},
    "batch_expired": {},
}
"""Fates of a whole batch job; faults of its lines are answer or error kinds with ``operation: batch_line``."""

KINDS = {**ANSWER_KINDS, **ERROR_KINDS, **WIRE_KINDS, **BATCH_KINDS}

SELECTORS = (
    "every",
    "first",
    "after",
    "requests",
    "probability",
    "per",
    "model",
    "persona",
    "samples",
    "operation",
)

OPERATIONS = ("generate", "count", "models", "files", "batch", "batch_line", "batch_poll", "any")


@dataclass(frozen=True, slots=True)
class RequestEvent:
    """One request as faults see it; ``question`` names what is asked, whatever the attempt."""

    operation: str
    model: str | None
    persona: str | None
    sample_id: str | None
    question: str


@dataclass
class Fault:
    """One checked entry of a fault list; ``settings`` are the kind's own, defaults filled in."""

    kind: str
    number: int
    settings: dict[str, Any]
    selectors: dict[str, Any]
    seen: Counter[str] = field(default_factory=Counter)
    attempts: Counter[str] = field(default_factory=Counter)
    buckets: dict[str, Bucket] = field(default_factory=dict)
    granted: Counter[str] = field(default_factory=Counter)

    def lets_through(self, event: RequestEvent) -> bool:
        """Tell whether the fault's filters concern this request at all."""
        wanted = self.selectors.get("operation", "batch" if self.kind in BATCH_KINDS else "generate")
        if wanted not in ("any", event.operation):
            return False
        if "samples" in self.selectors and event.sample_id not in self.selectors["samples"]:
            return False
        return all(self.selectors.get(key, value) == value for key, value in _filters(event))

    def selects(self, event: RequestEvent, seed: int) -> bool:
        """Count the request and tell whether the selectors choose it."""
        counted_as = event.question if self.selectors.get("per") == "question" else ""
        self.seen[counted_as] += 1
        self.attempts[event.question] += 1
        count, chosen = self.seen[counted_as], self.selectors
        if "every" in chosen and count % chosen["every"] != 0:
            return False
        if "first" in chosen and count > chosen["first"]:
            return False
        if "after" in chosen and count <= chosen["after"]:
            return False
        if "requests" in chosen and count not in chosen["requests"]:
            return False
        if "probability" not in chosen:
            return True
        attempt = 0 if self.kind in ANSWER_KINDS else self.attempts[event.question]
        drawn = question_rng(seed, "fault", self.number, event.question, attempt).random()
        return bool(drawn < chosen["probability"])


def _filters(event: RequestEvent) -> tuple[tuple[str, str | None], ...]:
    return (("model", event.model), ("persona", event.persona))


class Bucket:
    """A quota of ``per_minute`` requests that fills steadily and holds ``burst`` at most."""

    def __init__(self, per_minute: float, burst: float, now_s: float) -> None:
        self.rate_per_s = per_minute / 60.0
        self.burst = burst
        self.tokens = burst
        self.filled_at_s = now_s

    def take(self, now_s: float) -> float | None:
        """Take one request's share: None where there was one, else the seconds until there is."""
        self.tokens = min(self.burst, self.tokens + (now_s - self.filled_at_s) * self.rate_per_s)
        self.filled_at_s = now_s
        if self.tokens >= 1.0:
            self.tokens -= 1.0
            return None
        return (1.0 - self.tokens) / self.rate_per_s


@dataclass(frozen=True, slots=True)
class InjectedFault:
    """A fault that happens to one request: its kind and settings (429 with its delay and quota)."""

    kind: str
    settings: Mapping[str, Any]


class Schedule:
    """All faults of a simulator; decides, one request at a time, what happens to it."""

    def __init__(
        self, faults: Sequence[Mapping[str, Any]], seed: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._faults = [check_fault(fault, number) for number, fault in enumerate(faults, start=1)]
        self._seed = seed
        self._clock = clock
        self._lock = threading.Lock()

    def next(self, event: RequestEvent) -> InjectedFault | None:
        """Count the request in every fault and return the first that happens to it."""
        with self._lock:
            injected = None
            for fault in self._faults:
                if not fault.lets_through(event) or not fault.selects(event, self._seed):
                    continue
                if injected is None:
                    injected = _injected_fault(fault, event.model or "", self._clock())
            return injected


def _injected_fault(fault: Fault, model: str, now_s: float) -> InjectedFault | None:
    """Return what a selected fault does: a quota lets pass what it has room for."""
    settings = fault.settings
    if fault.kind == "rate_limit_minute" and settings["requests_per_minute"] is not None:
        per_minute = settings["requests_per_minute"]
        burst = settings["burst"] or max(1.0, per_minute / 60.0)
        wait_s = fault.buckets.setdefault(model, Bucket(per_minute, burst, now_s)).take(now_s)
        if wait_s is None:
            return None
        return InjectedFault(fault.kind, {**settings, "retry_delay_s": wait_s})
    if fault.kind == "rate_limit_day" and settings["requests_per_day"] is not None:
        fault.granted[model] += 1
        if fault.granted[model] <= settings["requests_per_day"]:
            return None
    return InjectedFault(fault.kind, settings)


def check_fault(fault: Mapping[str, Any], number: int) -> Fault:
    """Return the checked form of one entry. Raises ``ConfigError`` naming the entry and the way out."""
    where = f"fault {number}"
    if not isinstance(fault, Mapping) or "kind" not in fault:
        raise ConfigError(f"{where}: a fault is a mapping with a `kind`, not {fault!r}.{nearest('', KINDS)}")
    kind = fault["kind"]
    if kind not in KINDS:
        raise ConfigError(f"{where}: there is no kind '{kind}'.{nearest(str(kind), KINDS)}")
    known = ("kind", *SELECTORS, *KINDS[kind])
    for key in fault:
        if key not in known:
            raise ConfigError(f"{where} ({kind}): unknown key '{key}'.{nearest(str(key), known)}")
    given = {key: value for key, value in fault.items() if value is not None}
    selectors = {key: given[key] for key in SELECTORS if key in given}
    _check_selectors(selectors, f"{where} ({kind})")
    settings = {key: given.get(key, default) for key, default in KINDS[kind].items()}
    _check_settings(kind, settings, f"{where} ({kind})")
    return Fault(kind, number, settings, selectors)


def _check_selectors(selectors: Mapping[str, Any], where: str) -> None:
    for key in ("every", "first", "after"):
        least = 1 if key == "every" else 0
        value = selectors.get(key, least)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise ConfigError(f"{where}: `{key}` is a whole number from {least}, not {value!r}.")
    probability = selectors.get("probability", 0)
    if not isinstance(probability, int | float) or not 0 <= probability <= 1:
        raise ConfigError(f"{where}: `probability` is a number from 0 to 1, not {probability!r}.")
    for key in ("requests", "samples"):
        if not isinstance(selectors.get(key, []), list):
            raise ConfigError(f"{where}: `{key}` is a list, not {selectors[key]!r}.")
    if selectors.get("per", "question") not in ("question", "all"):
        raise ConfigError(f"{where}: `per` is question or all, not {selectors['per']!r}.")
    if selectors.get("operation", "any") not in OPERATIONS:
        raise ConfigError(
            f"{where}: there is no operation '{selectors['operation']}'."
            f"{nearest(str(selectors['operation']), OPERATIONS)}"
        )


def _check_settings(kind: str, settings: Mapping[str, Any], where: str) -> None:
    for key, value in settings.items():
        if isinstance(KINDS[kind][key], str):
            if not isinstance(value, str):
                raise ConfigError(f"{where}: `{key}` is text, not {value!r}.")
        elif value is not None and (
            not isinstance(value, int | float) or isinstance(value, bool) or value < 0
        ):
            raise ConfigError(f"{where}: `{key}` is a number from 0, not {value!r}.")
    if settings.get("requests_per_minute") == 0:
        raise ConfigError(f"{where}: `requests_per_minute` is more than 0.")


def read_faults(path: str | Path) -> list[dict[str, Any]]:
    """Return the faults of a YAML or JSON file: a list, or a mapping with the list under ``faults``.

    Raises ``ConfigError`` where the file is missing, malformed or names an unknown kind or key.
    """
    from evalkit.config.yaml import read_yaml

    source = read_yaml(path)
    source.raise_problems()
    data = source.data.get("faults") if isinstance(source.data, dict) else source.data
    if not isinstance(data, list):
        raise ConfigError(f"{path}: a fault file is a list of faults, or a mapping with `faults:`.")
    for number, fault in enumerate(data, start=1):
        try:
            check_fault(fault, number)
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from error
    return data
