"""Kill -9 at seeded moments of `run`, `score` and `report`, and count what a later command finds broken.

    python benchmarks/kill_matrix.py [--kills 400] [--seed 0]

Four models are asked: a Python function, and a local simulated Gemini live, in batch jobs, and as Vertex segmentation.
Before each `run` half of the questions and all of the masks are changed, so that old answers and old scores lie in
the folder. Half of the kills come at a random time, half at a random file operation inside the run's folder: the
windows between two replaced files are too short to be met by the clock. No figures are drawn: they take most of the
time and go into the page's folder like all of its files. Kills of `run` are aimed in turn at
the asking, the scoring, the summary and the page. After each kill:

- lost: an attempt that was stored is no longer there, or has another body;
- asked twice: questions that reached a model and have no row of their own, by the services' own count; what was in
  flight when the kill came (at most `limits.concurrency` of each live model, nothing of a batch) is not counted;
- stale pass: the gate passes, or the scores are read, though they are not those of the stored answers (they are
  scored anew into a folder of its own and compared);
- stuck: the same command, given again, does not end with a whole folder, a page and a passing gate;
- orphans: processes of the killed command that are still there after three seconds.

Then pairs of commands are given at once; each pair must leave one whole result.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import random
import signal
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

import evalkit.comparison.gate.verdict
import evalkit.models.python
import evalkit.pipeline
import evalkit.report.dataset_view
import evalkit.report.page
import evalkit.scoring.score
from evalkit.cli.app import main
from evalkit.config.schema import DatasetConfig
from evalkit.datasets import load_samples
from evalkit.masks import rle_encode
from evalkit.simulator import batch_api, routes, start_simulator
from evalkit.simulator.http import LoggedRequest

N_SAMPLES = 6
SLOWED_S = 0.01
"""Each answer takes this long, so that kills meet the asking."""

CONCURRENCY = 2
MODELS = {
    "floor": {"provider": "python", "function": "centre-box"},
    "live": {"provider": "gemini", "model": "gemini-2.5-flash"},
    "batch": {
        "provider": "gemini-batch",
        "model": "gemini-2.5-pro",
        "batch": {"poll_s": 0.02, "max_requests": 4},
    },
    "vertex": {"provider": "vertex-segmentation", "model": "image-segmentation-001"},
}
IN_FLIGHT = {"floor": CONCURRENCY, "live": CONCURRENCY, "batch": 0, "vertex": CONCURRENCY}
"""Questions that a kill may cost twice: a job of the service is found again by its name."""

PHASES = ("asking", "scoring", "summary", "page")
"""What `run` does one after the other; see ``phase_of``."""

STAGES = ("asking", "score", "page", "summary", "report", "scoring")
ORPHANS_END_S = 3.0
SHOWN_EVERY = 50
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
    asked_twice: int = 0
    lost: int = 0
    stale_passes: int = 0
    stuck: int = 0
    orphans: int = 0
    notes: list[str] = field(default_factory=list)


class Project:
    """A folder with a small dataset, a config and the run folder that is killed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.run = folder / "reports" / "run"
        self.change(0)

    def configure(self, base_url: str) -> None:
        """Write the config; the models but the first are at ``base_url``."""
        models = [
            {"name": name, **given, "limits": {"concurrency": CONCURRENCY}}
            | ({} if name == "floor" else {"base_url": base_url})
            for name, given in MODELS.items()
        ]
        config = {
            "name": "killed",
            "datasets": [{"name": "d", "format": "jsonl", "path": "d.jsonl"}],
            "models": models,
            "gate": [{"metric": "giou", "min": 0.0}],
        }
        (self.folder / "c.yaml").write_text(json.dumps(config), encoding="utf-8")

    def calls(self, model: str) -> Path:
        """Return the file that a model appends a byte to for each question."""
        return self.folder / f"calls-{model}"

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

    def attempts(self) -> dict[int, tuple[str, bytes | None]]:
        """Return what the ledger holds: number of the attempt -> model and packed body."""
        ledger = self.run / "responses.sqlite"
        if not ledger.is_file():
            return {}
        with contextlib.closing(sqlite3.connect(ledger)) as opened:
            if not opened.execute("SELECT count(*) FROM sqlite_master WHERE name = 'attempts'").fetchone()[0]:
                return {}
            rows = opened.execute("SELECT id, model, body FROM attempts").fetchall()
            return {number: (model, body) for number, model, body in rows}

    def n_calls(self) -> Counter[str]:
        """Return how many questions reached each model, by its own record."""
        return Counter(
            {name: self.calls(name).stat().st_size for name in MODELS if self.calls(name).exists()}
        )


def start(project: Project, arguments: Sequence[str], kill_at: int | None = None) -> int:
    """Give a command in a process of its own and return its number; ``kill_at``: the file operation it dies at.

    The process is forked, so that no time goes into imports.
    """
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        os.setsid()  # its processes are told by their session
        told = os.open(project.folder / "told.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(told, 1)
        os.dup2(told, 2)
        os.chdir(project.folder)
        _slow_down(project.calls("floor"))
        evalkit.report.dataset_view.draw_figures = lambda *_: {}
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
    """Kill this process at a file operation inside the run's folder; at ``NEVER`` write down what they are."""
    done: list[str] = []
    inside = str(project.run)

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event in FILE_EVENTS and inside in str(arguments[0]):
            done.append(str(arguments[0]).partition(inside)[2])
            if len(done) > operation:
                os.kill(os.getpid(), signal.SIGKILL)
        elif event == "evalkit.ended" and operation == NEVER:
            (project.folder / "operations").write_text(json.dumps(done), "utf-8")
            (project.folder / "modules").write_text(json.dumps(sorted(sys.modules)), "utf-8")

    sys.addaudithook(hook)


def serve(project: Project) -> tuple[int, str]:
    """Start the simulated Gemini in a process of its own that writes down each question; return its number and URL.

    A process with threads must not be forked, and this one is forked for each command.
    """
    port = project.folder / "port"
    pid = os.fork()
    if pid:
        while not port.exists():
            time.sleep(0.01)
        return pid, f"http://127.0.0.1:{port.read_text('utf-8')}"
    try:
        models = {str(given.get("model")): name for name, given in MODELS.items()}

        def asked(model: str | None, count: int) -> None:
            with project.calls(models[str(model)]).open("a", encoding="utf-8") as record:
                record.write("." * count)

        class Log(list[LoggedRequest]):
            def append(self, request: LoggedRequest) -> None:
                if request.operation == "generate":
                    asked(request.model, 1)

        class CountedBatches(batch_api.BatchStore):
            def _new_job(self, call: Any, batch: Any, lines: Any, *more: Any, **named: Any) -> Any:
                asked(call.model, len(lines))
                return super()._new_job(call, batch, lines, *more, **named)

        batch_api.PENDING_S, batch_api.RUNNING_S = 0.02, 0.02
        routes.BatchStore = CountedBatches
        samples = load_samples(DatasetConfig(name="d", format="jsonl", path="d.jsonl"), project.folder)
        simulator = start_simulator(samples, latency_s=SLOWED_S)
        simulator._service.requests = Log()  # noqa: SLF001  (its log is all that counts questions)
        beside = port.with_suffix(".part")
        beside.write_text(str(simulator.port), "utf-8")
        beside.rename(port)
        parent = os.getppid()
        while os.getppid() == parent:
            time.sleep(0.2)
    finally:
        os._exit(0)


def orphans(session: int) -> int:
    """Return how many processes of a session are there after ``ORPHANS_END_S`` (Linux; elsewhere none is seen)."""
    until = time.monotonic() + ORPHANS_END_S
    while (left := _of_session(session)) and time.monotonic() < until:
        time.sleep(0.05)
    return left


def _of_session(session: int) -> int:
    found = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, _, of = path.read_text("utf-8").rpartition(") ")[2].split()[:4]
            found += int(of) == session and state != "Z"
    return found


def phase_of(operations: Sequence[str]) -> list[str]:
    """Return what `run` is doing at each of its file operations: each phase begins with its first file."""
    begins = {"scores": "scoring", "summary": "summary", "report": "page"}
    phases, now = [], 0
    for path in operations:
        named = next((phase for word, phase in begins.items() if path.lstrip("/.").startswith(word)), None)
        now = max(now, PHASES.index(named) if named else 0)
        phases.append(PHASES[now])
    return phases


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
        self.moments = {name: moments(project, name) for name in ("run", "score", "report")}
        self.tallies = {name: Tally() for name in STAGES}

    def kill(self, stage: str, version: int) -> None:
        """Kill one command, look at the folder, and give the command again."""
        project, tally = self.project, self.tallies[stage]
        name = "run" if stage in PHASES else stage
        if name == "run":
            project.change(version)
        calls, before = project.n_calls(), project.attempts()
        tally.kills += 1
        tally.ended_before += self._start_and_kill(name, stage, version) != -signal.SIGKILL
        stored = before | project.attempts()
        if wrong := stale_pass(project, version):
            tally.stale_passes += 1
            tally.notes.append(f"{stage} {version}: {wrong}")
        code = give(project, name, version)
        if missing := f"it ends with {code}" if code else whole(project, version):
            tally.stuck += 1
            tally.notes.append(f"{stage} {version}: {missing}")
        now = project.attempts()
        tally.lost += sum(now.get(number) != row for number, row in stored.items())
        rows = Counter(model for number, (model, _) in now.items() if number not in before)
        asked = project.n_calls() - calls
        for model, most in IN_FLIGHT.items():
            twice = asked[model] - rows[model]
            if twice > most:
                tally.asked_twice += twice - most
                tally.notes.append(
                    f"{stage} {version}: {model} was asked {twice} questions twice, {most} may be"
                )

    def _start_and_kill(self, name: str, stage: str, version: int) -> int:
        """Return the exit code of a command that was killed at a random time, or at a random file operation."""
        duration_s, at_operations = self.moments[name]
        command = self.project.command(name, version)
        if self.rng.random() < 0.5:
            here = [at for at, phase in enumerate(at_operations) if name != "run" or phase == stage]
            pid = start(self.project, command, kill_at=self.rng.choice(here))
        else:
            pid = start(self.project, command)
            time.sleep(self.rng.random() * duration_s)
            os.kill(pid, signal.SIGKILL)  # one that has ended waits for `ended`, and does not mind
        code = ended(pid)
        self.tallies[stage].orphans += orphans(pid)
        return code


def moments(project: Project, name: str) -> tuple[float, list[str]]:
    """Return how long a command takes, in seconds, and the phase of each file operation that it does in the folder."""
    began = time.monotonic()
    ended(start(project, project.command(name, 1), kill_at=NEVER))
    duration_s = time.monotonic() - began
    return duration_s, phase_of(json.loads((project.folder / "operations").read_text("utf-8")))


def import_once(modules: Sequence[str]) -> None:
    """Import what a command imports, so that no time of the commands forked later goes into that."""
    for name in modules:
        with contextlib.suppress(Exception):
            importlib.import_module(name)


def kill_matrix(project: Project, kills: int, seed: int) -> dict[str, Tally]:
    """Return what was seen of each command."""
    if ended(start(project, project.command("run", 0), kill_at=NEVER)) != 0:
        raise SystemExit((project.folder / "told.log").read_text("utf-8"))
    import_once(json.loads((project.folder / "modules").read_text("utf-8")))
    killer = Killer(project, seed)
    for version in range(1, kills + 1):
        killer.kill(STAGES[(version - 1) % len(STAGES)], version)
        if version % SHOWN_EVERY == 0:
            print(f"after {version} kills\n{table(killer.tallies)}", file=sys.stderr, flush=True)
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
    head = f"{'killed':8} {'kills':>6} {'too late':>9} {'lost':>5} {'asked twice':>12} {'stuck':>6} {'stale passes':>13} {'orphans':>8}"
    lines = [
        f"{name:8} {t.kills:6} {t.ended_before:9} {t.lost:5} {t.asked_twice:12} {t.stuck:6} {t.stale_passes:13} {t.orphans:8}"
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
        server, base_url = serve(project)
        project.configure(base_url)
        try:
            tallies = kill_matrix(project, given.kills, given.seed)
            tallies["at once"] = Tally()
            at_once(project, PAIRS[: given.pairs], tallies["at once"])
        finally:
            os.kill(server, signal.SIGKILL)
            ended(server)
    print(table(tallies))
    sys.exit(any(t.lost or t.asked_twice or t.stuck or t.stale_passes or t.orphans for t in tallies.values()))


if __name__ == "__main__":
    run_benchmark()
