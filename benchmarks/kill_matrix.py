"""Kill -9 at seeded moments of `run`, `score` and `report`, and count what a later command finds broken.

    python benchmarks/kill_matrix.py [--kills 400] [--seed 0]

Before each `run` half of the questions and all of the masks are changed, so that old answers and old scores lie in
the folder. Half of the kills come at a random time, half at a random file operation inside the run's folder: the
windows between two replaced files are too short to be met by the clock. After each kill:

- lost: an attempt that was stored is no longer there, or has another body;
- stale pass: the gate passes, or the scores are read, though they are not those of the stored answers (they are
  scored anew into a folder of its own and compared);
- stuck: the same command, given again, does not end with a whole folder, a page and a passing gate.

Then pairs of commands are given at once; each pair must leave one whole result.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import sqlite3
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

import evalkit.comparison.gate.verdict
import evalkit.models.python
import evalkit.pipeline
import evalkit.report.figures
import evalkit.report.page
import evalkit.scoring.score
from evalkit.cli.app import main
from evalkit.masks import rle_encode

N_SAMPLES = 6
SLOWED_S = 0.01
"""Each answer takes this long, so that kills meet the asking."""

STAGES = ("run", "score", "report")
PAIRS = (
    ("score", "score"),
    ("score", "report"),
    ("report", "report"),
    ("score", "export"),
    ("export", "export"),
    ("run", "score"),
)
NEVER = 1 << 60

FILE_EVENTS = frozenset(
    ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "shutil.rmtree", "sqlite3.connect")
)


@dataclass
class Tally:
    """What was seen of one command: kills that met it, and what each kind of check found."""

    kills: int = 0
    ended_before: int = 0
    asked_again: int = 0
    lost: int = 0
    stale_passes: int = 0
    stuck: int = 0
    notes: list[str] = field(default_factory=list)


class Project:
    """A folder with a small dataset, a config and the run folder that is killed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.run = folder / "reports" / "run"
        self.calls = folder / "calls.log"
        self.change(0)
        config = {
            "name": "killed",
            "datasets": [{"name": "d", "format": "jsonl", "path": "d.jsonl"}],
            "models": [{"name": "floor", "provider": "python", "function": "centre-box"}],
            "gate": [],
        }
        (folder / "c.yaml").write_text(json.dumps(config), encoding="utf-8")

    def change(self, version: int) -> None:
        """Change half of the expressions and all masks."""
        lines = []
        for number in range(N_SAMPLES):
            picture = self.folder / f"{number // 2}.png"
            if not picture.exists():
                Image.fromarray(np.full((40, 60, 3), 40 * number, dtype=np.uint8)).save(picture)
            mask_hw = np.zeros((40, 60), dtype=bool)
            mask_hw[5:25, 5 + number + version % 20 : 35 + number] = True
            line = {
                "id": f"s{number}",
                "image": picture.name,
                "expression": f"thing {number} {version if number % 2 else ''}".strip(),
                "mask": rle_encode(mask_hw).to_json(),
            }
            lines.append(json.dumps(line) + "\n")
        (self.folder / "d.jsonl").write_text("".join(lines), encoding="utf-8")

    def command(self, name: str, version: int) -> list[str]:
        """Return the arguments of one command; scores differ from one version to the next."""
        run = str(self.run)
        return {
            "run": ["run", str(self.folder / "c.yaml"), "--out", run, "--yes"],
            "score": ["score", run, "--decode.threshold", str(1 + version % 250)],
            "report": ["report", run],
            "export": ["export", run, "--to", "coco"],
            "gate": ["gate", run],
            "copy": ["score", run, "--out", str(self.folder / "copy")],
        }[name]

    def attempts(self) -> dict[int, bytes | None]:
        """Return what the ledger holds: number of the attempt -> packed body."""
        ledger = self.run / "responses.sqlite"
        if not ledger.is_file():
            return {}
        with contextlib.closing(sqlite3.connect(ledger)) as opened:
            if not opened.execute("SELECT count(*) FROM sqlite_master WHERE name = 'attempts'").fetchone()[0]:
                return {}
            return dict(opened.execute("SELECT id, body FROM attempts").fetchall())

    def n_calls(self) -> int:
        """Return how many answers were given, by the model's own record."""
        return self.calls.stat().st_size if self.calls.exists() else 0


def start(project: Project, arguments: Sequence[str], kill_at: int | None = None) -> int:
    """Give a command in a process of its own and return its number; ``kill_at``: the file operation it dies at.

    The process is forked, so that no time goes into imports.
    """
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        told = os.open(project.folder / "told.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(told, 1)
        os.dup2(told, 2)
        os.chdir(project.folder)
        _slow_down(project.calls)
        if kill_at is not None:
            _die_at(kill_at, project)
        main(list(arguments))
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    finally:
        sys.audit("evalkit.ended")
        os._exit(code)


def _slow_down(calls: Path) -> None:
    answer_of = evalkit.models.python.answer_of

    def slow_answer(*job: object) -> str:
        with calls.open("a", encoding="utf-8") as record:
            record.write(".")
        time.sleep(SLOWED_S)
        return answer_of(*job)  # type: ignore[arg-type]

    evalkit.models.python.answer_of = slow_answer


def _die_at(operation: int, project: Project) -> None:
    """Kill this process at a file operation inside the run's folder; at ``NEVER`` count them instead."""
    done, inside = 0, str(project.run)

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal done
        if event in FILE_EVENTS and inside in str(arguments[0]):
            done += 1
            if done > operation:
                os.kill(os.getpid(), signal.SIGKILL)
        elif event == "evalkit.ended" and operation == NEVER:
            (project.folder / "operations").write_text(str(done), "utf-8")

    sys.addaudithook(hook)


def ended(pid: int) -> int:
    """Wait for a process; return its exit code, -9 where it was killed."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def give(project: Project, name: str, version: int) -> int:
    """Give a command and return its exit code."""
    return ended(start(project, project.command(name, version)))


def stale_pass(project: Project, version: int) -> str | None:
    """Return what is wrong where the gate passes on a folder; None where it is refused, or right."""
    if give(project, "gate", version) != 0:
        return None
    code = give(project, "copy", version)
    if code != 0:
        return f"the gate passes, and scoring into a copy ends with {code}"
    both = [pd.read_parquet(folder / "scores.parquet") for folder in (project.run, project.folder / "copy")]
    columns = ["sample_id", "expression", "outcome", "intersection", "union", "iou"]
    if not both[0][columns].equals(both[1][columns]):
        return "the gate passes on scores that are not those of the stored answers"
    summaries = [
        json.loads((folder / "summary.json").read_text("utf-8"))
        for folder in (project.run, project.folder / "copy")
    ]
    return None if summaries[0]["results"] == summaries[1]["results"] else "summary and scores differ"


def whole(project: Project, version: int) -> str | None:
    """Return what is missing of a whole folder, None where nothing is."""
    if not (project.run / "report" / "report.json").is_file():
        return "there is no page"
    left_over = [path.name for path in project.run.parent.glob(".*")] + [
        path.name for path in project.run.rglob("*") if path.name.endswith((".part", ".old"))
    ]
    if left_over:
        return f"left over: {', '.join(left_over)}"
    code = give(project, "gate", version)
    return f"the gate ends with {code}" if code else stale_pass(project, version)


class Killer:
    """Kills commands of one project at seeded moments; ``tallies`` says what was seen."""

    def __init__(self, project: Project, seed: int) -> None:
        self.project = project
        self.rng = random.Random(seed)
        self.longest = {name: measured(project, name) for name in STAGES}
        self.tallies = {name: Tally() for name in STAGES}

    def kill(self, name: str, version: int) -> None:
        """Kill one command, look at the folder, and give the command again."""
        project, tally = self.project, self.tallies[name]
        if name == "run":
            project.change(version)
        calls, before = project.n_calls(), project.attempts()
        tally.kills += 1
        tally.ended_before += self._start_and_kill(name, version) != -signal.SIGKILL
        stored = before | project.attempts()
        if wrong := stale_pass(project, version):
            tally.stale_passes += 1
            tally.notes.append(f"{name} {version}: {wrong}")
        code = give(project, name, version)
        if missing := f"it ends with {code}" if code else whole(project, version):
            tally.stuck += 1
            tally.notes.append(f"{name} {version}: {missing}")
        now = project.attempts()
        tally.lost += sum(now.get(number, b"gone") != body for number, body in stored.items())
        tally.asked_again += project.n_calls() - calls - (len(now) - len(before))

    def _start_and_kill(self, name: str, version: int) -> int:
        """Return the exit code of a command that was killed at a random time, or at a random file operation."""
        duration_s, operations = self.longest[name]
        command = self.project.command(name, version)
        if self.rng.random() < 0.5:
            return ended(start(self.project, command, kill_at=self.rng.randrange(operations)))
        pid = start(self.project, command)
        time.sleep(self.rng.random() * duration_s)
        os.kill(pid, signal.SIGKILL)  # one that has ended waits for `ended`, and does not mind
        return ended(pid)


def measured(project: Project, name: str) -> tuple[float, int]:
    """Return how long a command takes, in seconds, and how many file operations it does inside the folder."""
    began = time.monotonic()
    ended(start(project, project.command(name, 1), kill_at=NEVER))
    return time.monotonic() - began, int((project.folder / "operations").read_text("utf-8"))


def kill_matrix(project: Project, kills: int, seed: int) -> dict[str, Tally]:
    """Return what was seen of each command."""
    if give(project, "run", 0) != 0:
        raise SystemExit((project.folder / "told.log").read_text("utf-8"))
    killer = Killer(project, seed)
    for version in range(1, kills + 1):
        killer.kill(STAGES[(version - 1) % len(STAGES)], version)
    return killer.tallies


def at_once(project: Project, pairs: Sequence[tuple[str, str]], tally: Tally) -> None:
    """Give two commands at once; each ends with 0 or is told that the folder is in use, and the folder is whole."""
    for version, pair in enumerate(pairs, 1):
        codes = [
            ended(pid)
            for pid in [start(project, project.command(name, version + at)) for at, name in enumerate(pair)]
        ]
        tally.kills += 1
        wrong = whole(project, version)
        if wrong or not set(codes) <= {0, 3} or 0 not in codes:
            tally.stuck += 1
            tally.notes.append(f"{' and '.join(pair)}: {codes}, {wrong}")


def table(tallies: dict[str, Tally]) -> str:
    """Return the figures as text."""
    head = f"{'command':8} {'kills':>6} {'too late':>9} {'lost':>5} {'stuck':>6} {'stale passes':>13} {'asked twice':>12}"
    lines = [
        f"{name:8} {t.kills:6} {t.ended_before:9} {t.lost:5} {t.stuck:6} {t.stale_passes:13} {t.asked_again:12}"
        for name, t in tallies.items()
    ]
    notes = [note for tally in tallies.values() for note in tally.notes]
    return "\n".join([head, *lines, *notes])


def run_benchmark() -> None:
    """Read the arguments, print the table, and end with 1 where anything was lost, stuck or stale."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=400)
    parser.add_argument(
        "--pairs", type=int, default=len(PAIRS), help="how many of the pairs are given at once"
    )
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        project = Project(Path(name))
        tallies = kill_matrix(project, given.kills, given.seed)
        tallies["at once"] = Tally()
        at_once(project, PAIRS[: given.pairs], tallies["at once"])
    print(table(tallies))
    sys.exit(any(t.lost or t.stuck or t.stale_passes for t in tallies.values()))


if __name__ == "__main__":
    run_benchmark()
