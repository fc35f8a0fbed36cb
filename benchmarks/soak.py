"""Do memory and open handles grow with the answers of a long run against a local endpoint.

    python benchmarks/soak.py [--samples 200000] [--concurrency 32] [--keep FOLDER]

A server in another process answers every question with a small polygon; each hundredth request gets a 503, so that
the path of retries is on the way too. `evalkit run` asks one model about small pictures in a process of its own, which
is looked at from outside twice a second: resident memory, open handles and answers stored. Slopes are of the straight
line through what was seen after the first quarter of the answers, when caches and pools are full. At the end
every question must have exactly one answer in the ledger and one row in the scores. Needs Linux (`/proc`).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

WARM_UP = 0.25
LOOK_EVERY_S = 0.5
EXPRESSIONS_PER_IMAGE = 50
FAULT_EVERY = 100

MOST_MB_PER_100_000 = 10.0
"""Memory may creep by the counters that each answer moves; a thing that is kept for each answer costs more."""

MOST_HANDLES_PER_100_000 = 1.0

ANSWER = json.dumps(
    {
        "candidates": [
            {
                "content": {
                    "role": "model",
                    "parts": [
                        {
                            "text": json.dumps(
                                [
                                    {
                                        "box_2d": [200, 200, 800, 800],
                                        "mask": [[200, 200], [800, 200], [800, 800], [200, 800]],
                                        "label": "thing",
                                    }
                                ]
                            )
                        }
                    ],
                },
                "finishReason": "STOP",
            }
        ],
        "usageMetadata": {"promptTokenCount": 300, "candidatesTokenCount": 60, "totalTokenCount": 360},
        "modelVersion": "gemini-2.5-flash",
    }
).encode()
FAULT = json.dumps({"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}}).encode()


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen of the run's process at one moment."""

    answers: int
    memory_mb: float
    handles: int


@dataclass(frozen=True, slots=True)
class SoakResult:
    """Slopes over the answers after the warm-up, and what the folder holds at the end."""

    code: int
    looks: int
    minutes: float
    peak_mb: float
    mb_per_100_000: float
    handles_per_100_000: float
    handles: tuple[int, int]
    answers: int
    rows: int

    def text(self) -> str:
        """Return the figures as text."""
        return (
            f"exit code {self.code}; {self.answers:,} answers, {self.rows:,} rows in {self.minutes:.1f} min; peak {self.peak_mb:.0f} MB\n"
            f"after the warm-up ({self.looks} looks): memory {self.mb_per_100_000:+.2f} MB per 100,000 answers, handles "
            f"{self.handles_per_100_000:+.2f} per 100,000 answers ({self.handles[0]} to {self.handles[1]})"
        )


async def serve() -> None:
    """Answer every POST on a free port, which is printed first."""
    asked = 0

    def reply() -> bytes:
        nonlocal asked
        asked += 1
        fault = asked % FAULT_EVERY == 0
        body, status = (FAULT, b"503 Service Unavailable") if fault else (ANSWER, b"200 OK")
        return (
            b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
            % (status, len(body))
            + body
        )

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                header = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = next(
                    int(line.split(b":")[1])
                    for line in header.split(b"\r\n")
                    if line.startswith(b"content-length")
                )
                await reader.readexactly(length)
                writer.write(reply())
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, limit=2**22)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextlib.contextmanager
def endpoint() -> Iterator[str]:
    """Give the address of the server in another process."""
    server = subprocess.Popen([sys.executable, __file__, "--serve"], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(server.stdout.readline())}"
    finally:
        server.kill()
        server.wait()
        server.stdout.close()


def write_project(folder: Path, samples: int, base_url: str, concurrency: int) -> Path:
    """Write pictures, a dataset and a config; return the config's path."""
    rng = np.random.default_rng(0)
    with (folder / "d.jsonl").open("w", encoding="utf-8") as lines:
        for number in range(samples):
            image = f"{number // EXPRESSIONS_PER_IMAGE}.png"
            if number % EXPRESSIONS_PER_IMAGE == 0:
                pixels = rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / image)
            line = {
                "id": f"s{number}",
                "image": image,
                "expression": f"thing {number}",
                "mask": [[6, 6, 26, 6, 26, 26, 6, 26]],
                "width": 32,
                "height": 32,
            }
            lines.write(json.dumps(line) + "\n")
    config = {
        "name": "soak",
        "datasets": [{"name": "d", "format": "jsonl", "path": "d.jsonl"}],
        "models": [
            {
                "name": "local",
                "provider": "gemini",
                "model": "gemini-2.5-flash",
                "base_url": base_url,
                "prompt": "polygon",
                "limits": {"concurrency": concurrency},
            }
        ],
        "gate": [],
    }
    path = folder / "soak.yaml"
    path.write_text(json.dumps(config), encoding="utf-8")
    return path


def look_at(pid: int, ledger: Path) -> Look | None:
    """Return what is seen of a process now, None where it has ended or has stored nothing yet."""
    try:
        status = Path(f"/proc/{pid}/status").read_text("utf-8")
        memory_kb = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
        handles = len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208  a list of names is all that is wanted
        with contextlib.closing(sqlite3.connect(f"{ledger.as_uri()}?mode=ro", uri=True)) as opened:
            answers = opened.execute("SELECT max(id) FROM attempts").fetchone()[0]
    except (OSError, StopIteration, sqlite3.Error):
        return None
    return None if answers is None else Look(answers, memory_kb / 1000, handles)


def soak(folder: Path, samples: int, concurrency: int) -> SoakResult:
    """Do the run and look at it until it ends."""
    with endpoint() as base_url:
        config = write_project(folder, samples, base_url, concurrency)
        began, looks = time.monotonic(), []
        command = [sys.executable, "-m", "evalkit", "run", str(config), "--out", str(folder / "run"), "--yes"]
        told = (folder / "told.log").open("w", encoding="utf-8")
        with told:
            process = subprocess.Popen(command, stdout=told, stderr=told)
            while process.poll() is None:
                if (seen := look_at(process.pid, folder / "run" / "responses.sqlite")) is not None:
                    looks.append(seen)
                time.sleep(LOOK_EVERY_S)
    if process.returncode:
        print((folder / "told.log").read_text("utf-8")[-2000:])
    return result_of(folder / "run", looks, process.returncode, (time.monotonic() - began) / 60)


def result_of(run: Path, looks: list[Look], code: int, minutes: float) -> SoakResult:
    """Return the slopes over the asking, and what the folder holds."""
    import pandas as pd

    last = looks[-1].answers
    # What comes after the last answer is the scoring and the page, which hold the rows in memory.
    asking = [look for look in looks if WARM_UP * last < look.answers < last]
    answers = np.array([look.answers for look in asking], dtype=float)
    slope_mb = np.polyfit(answers, [look.memory_mb for look in asking], 1)[0] if len(asking) > 2 else 0.0
    slope_handles = np.polyfit(answers, [look.handles for look in asking], 1)[0] if len(asking) > 2 else 0.0
    with contextlib.closing(sqlite3.connect(run / "responses.sqlite")) as opened:
        stored = opened.execute("SELECT count(*) FROM attempts WHERE status = 'answered'").fetchone()[0]
    handles = [look.handles for look in asking] or [0]
    return SoakResult(
        code,
        len(asking),
        minutes,
        max(look.memory_mb for look in looks),
        float(slope_mb) * 1e5,
        float(slope_handles) * 1e5,
        (min(handles), max(handles)),
        stored,
        len(pd.read_parquet(run / "scores.parquet", columns=["outcome"])),
    )


def run_benchmark() -> None:
    """Read the arguments, print the figures, and end with 1 where memory or handles grow or an answer is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=200_000)
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--keep", type=Path, help="work here and keep everything")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        asyncio.run(serve())
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) if given.keep is None else given.keep
        folder.mkdir(parents=True, exist_ok=True)
        seen = soak(folder, given.samples, given.concurrency)
    print(seen.text())
    grows = seen.mb_per_100_000 > MOST_MB_PER_100_000 or seen.handles_per_100_000 > MOST_HANDLES_PER_100_000
    sys.exit(seen.code != 0 or grows or not seen.answers == seen.rows == given.samples)


if __name__ == "__main__":
    run_benchmark()
