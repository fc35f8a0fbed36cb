"""What is lost, bought twice or told wrongly when an endpoint fails in every way that it can.

    python benchmarks/fault_storm.py [--samples 2000] [--short]

One run folder goes through a row of weathers with the same command: a quota of zero, a day's quota in the middle, 30 %
faults of every kind under another day's quota, an outage that begins and ends while the run is on (nothing listens),
fair weather, and once more. After each:

- lost: an attempt that was stored is gone or has another body, or an answer that arrived whole was not stored;
- bought twice: whole answers that the endpoint sent beyond one for each question, by its own log; what was on its way
  when the endpoint went down (at most ``limits.concurrency``) is not counted;
- wrong code: the run does not end with 0 where every question is answered, and with 3 where one is not.

The waits between attempts are shortened, and no figures are drawn. ``--short`` leaves out faults that only time ends.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sqlite3
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import evalkit.models.attempts
import evalkit.report.dataset_view
from evalkit.cli.app import main
from evalkit.config.schema import DatasetConfig
from evalkit.datasets import load_samples
from evalkit.masks import rle_encode
from evalkit.simulator import Simulator, start_simulator
from evalkit.simulator.http import LoggedRequest

CONCURRENCY = 8
EXPRESSIONS_PER_IMAGE = 10
LATENCY_S = 0.005
BACKOFF_S = 0.005
OUTAGE_S = 0.3
STORM = 0.3
"""Share of requests that meet a fault."""

QUICK_FAULTS: tuple[dict[str, Any], ...] = (
    {"kind": "internal"},
    {"kind": "unavailable"},
    {"kind": "deadline"},
    {"kind": "rate_limit_minute", "retry_delay_s": 0.01},
    {"kind": "reset"},
    {"kind": "truncated_body"},
    {"kind": "non_json_200"},
    {"kind": "empty_body"},
)
SLOW_FAULTS: tuple[dict[str, Any], ...] = (
    {"kind": "hang"},
    {"kind": "trickle"},
    {"kind": "slow", "seconds": 2},
)
"""Those of the first two end with ``timeout_s``, which is 10 s at least; the last is a whole answer that is late."""

WHOLE = (None, "slow")
"""Faults of an answer that is whole all the same."""


@dataclass(frozen=True, slots=True)
class Weather:
    """What the endpoint does in one session; ``outage``: it goes down in the middle, and comes back."""

    name: str
    faults: Sequence[dict[str, Any]] = ()
    outage: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """What was found after one session; ``sent``: requests that reached the endpoint."""

    weather: str
    code: int
    sent: int
    answered: int
    lost: int
    bought_twice: int
    wrong_code: bool
    seconds: float

    @property
    def is_wrong(self) -> bool:
        """Tell whether anything went wrong."""
        return bool(self.lost or self.bought_twice or self.wrong_code)


def storm(kinds: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return faults that together meet ``STORM`` of the requests; each is drawn when those before did not happen."""
    share, left, faults = STORM / len(kinds), 1.0, []
    for fault in kinds:
        faults.append({**fault, "probability": share / left})
        left -= share
    return faults


def weathers(samples: int, kinds: Sequence[dict[str, Any]]) -> list[Weather]:
    """Return the sessions, one after the other."""
    quarter = {"kind": "rate_limit_day", "requests_per_day": samples // 4}
    return [
        Weather("quota of zero", [{"kind": "rate_limit_day", "requests_per_day": 0}]),
        Weather("day's quota of a quarter", [quarter]),
        Weather("30 % faults, day's quota of a quarter", [quarter, *storm(kinds)]),
        Weather("outage that begins and ends", outage=True),
        Weather("30 % faults", storm(kinds)),
        Weather("fair"),
        Weather("the same again"),
    ]


class Endpoint:
    """The simulated Gemini on one port, whatever happens to its process; ``log`` holds all that ever reached it."""

    def __init__(self, folder: Path) -> None:
        self.samples = list(load_samples(DatasetConfig(name="d", format="jsonl", path="d.jsonl"), folder))
        self.log: list[LoggedRequest] = []
        self.simulator = start_simulator(self.samples, latency_s=LATENCY_S)
        self.port = self.simulator.port

    def change(self, faults: Sequence[dict[str, Any]]) -> None:
        """Start anew with these faults."""
        self.stop()
        self.simulator = start_simulator(self.samples, port=self.port, faults=faults, latency_s=LATENCY_S)

    def stop(self) -> None:
        """Go down: connections are cut, and nothing listens."""
        self.simulator.close()
        self.log += self.simulator.requests
        self.simulator.requests.clear()

    def go_down_once(self, after: int) -> None:
        """Go down when ``after`` requests were served, and come back after ``OUTAGE_S``."""
        before: Simulator = self.simulator
        while len(before.requests) < after:
            time.sleep(LATENCY_S)
            if self.simulator is not before:
                return
        self.stop()
        time.sleep(OUTAGE_S)
        self.change([])


def write_project(folder: Path, base_url: str) -> Path:
    """Write the config; return its path."""
    config = {
        "name": "storm",
        "datasets": [{"name": "d", "format": "jsonl", "path": "d.jsonl"}],
        "models": [
            {
                "name": "m",
                "provider": "gemini",
                "model": "gemini-2.5-flash",
                "base_url": f"{base_url}/persona/perfect",
                "limits": {"concurrency": CONCURRENCY, "max_attempts": 4, "timeout_s": 10},
            }
        ],
        "limits": {"max_not_run": 0},
        "gate": [],
    }
    path = folder / "storm.yaml"
    path.write_text(json.dumps(config), encoding="utf-8")
    return path


def write_dataset(folder: Path, samples: int) -> None:
    """Write pictures and samples."""
    mask_hw = np.zeros((32, 48), dtype=bool)
    mask_hw[6:26, 8:40] = True
    lines = []
    for number in range(samples):
        picture = folder / f"{number // EXPRESSIONS_PER_IMAGE}.png"
        if not picture.exists():
            Image.fromarray(np.full((32, 48, 3), number % 251, dtype=np.uint8)).save(picture)
        line = {
            "id": f"s{number}",
            "image": picture.name,
            "expression": f"thing {number} of {samples}",
            "mask": rle_encode(mask_hw).to_json(),
        }
        lines.append(json.dumps(line) + "\n")
    (folder / "d.jsonl").write_text("".join(lines), encoding="utf-8")


def stored(run: Path) -> dict[int, tuple[str, str, bytes | None]]:
    """Return the ledger's rows: number -> sample, status and packed body."""
    ledger = run / "responses.sqlite"
    if not ledger.exists():
        return {}
    with contextlib.closing(sqlite3.connect(ledger)) as opened:
        rows = opened.execute("SELECT id, sample_id, status, body FROM attempts").fetchall()
    return {number: (sample, status, body) for number, sample, status, body in rows}


def run_once(config: Path, run: Path) -> int:
    """Give the command in this process; return its exit code."""
    with (
        (config.parent / "told.log").open("a", encoding="utf-8") as told,
        contextlib.redirect_stdout(told),
        contextlib.redirect_stderr(told),
    ):
        try:
            main(["run", str(config), "--out", str(run), "--yes"])
        except SystemExit as ended:
            return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return 0


def session(endpoint: Endpoint, weather: Weather, config: Path, run: Path) -> Seen:
    """Run through one weather and look at what is stored and what was sent."""
    before, n_before = stored(run), len(endpoint.log)
    endpoint.change(weather.faults)
    missing = len(endpoint.samples) - len(answers(before))
    down = threading.Thread(target=endpoint.go_down_once, args=(missing // 3,), daemon=True)
    if weather.outage:
        down.start()
    began = time.monotonic()
    code = run_once(config, run)
    seconds = time.monotonic() - began
    endpoint.change([])
    if weather.outage:
        down.join()
        endpoint.change([])
    now = stored(run)
    sent = endpoint.log[n_before:]
    whole = Counter(one.sample_id for one in sent if one.status == 200 and one.fault in WHOLE)
    new = answers(now) - answers(before)
    on_the_way = CONCURRENCY if weather.outage else 0
    arrived_unstored = sum((whole - new).values())
    return Seen(
        weather.name,
        code,
        len(sent),
        len(answers(now)),
        sum(now.get(number) != row for number, row in before.items()) + max(0, arrived_unstored - on_the_way),
        max(0, sum(whole.values()) - len(whole) - on_the_way) + sum((answers(before) & whole).values()),
        code != (0 if len(answers(now)) == len(endpoint.samples) else 3),
        seconds,
    )


def answers(rows: dict[int, tuple[str, str, bytes | None]]) -> Counter[str]:
    """Return the answers of each sample."""
    return Counter(sample for sample, status, _ in rows.values() if status == "answered")


def fault_storm(samples: int, kinds: Sequence[dict[str, Any]]) -> list[Seen]:
    """Return what was seen of each weather."""
    evalkit.models.attempts.FIRST_BACKOFF_S = BACKOFF_S
    evalkit.report.dataset_view.draw_figures = lambda *_: {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_dataset(folder, samples)
        endpoint = Endpoint(folder)
        try:
            config = write_project(folder, endpoint.simulator.base_url)
            run = folder / "run"
            return [session(endpoint, weather, config, run) for weather in weathers(samples, kinds)]
        finally:
            endpoint.stop()


def table(seen: Sequence[Seen]) -> str:
    """Return the figures as text."""
    head = f"{'weather':40} {'code':>4} {'sent':>7} {'answered':>9} {'lost':>5} {'bought twice':>13} {'code':>6} {'s':>6}"
    return "\n".join(
        [
            head,
            *(
                f"{one.weather:40} {one.code:4} {one.sent:7,} {one.answered:9,} {one.lost:5} {one.bought_twice:13} "
                f"{'WRONG' if one.wrong_code else 'right':>6} {one.seconds:6.1f}"
                for one in seen
            ),
        ]
    )


def run_benchmark() -> None:
    """Read the arguments, print the table, and end with 1 where anything went wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--short", action="store_true", help="leave out faults that only time ends")
    given = parser.parse_args()
    seen = fault_storm(given.samples, QUICK_FAULTS if given.short else (*QUICK_FAULTS, *SLOW_FAULTS))
    print(table(seen))
    sys.exit(any(one.is_wrong for one in seen) or seen[-1].sent > 0 or seen[-1].code != 0)


if __name__ == "__main__":
    run_benchmark()
