"""CPU time of commands that do little, beside `python -c pass` and the imports that they cannot do without.

    python benchmarks/startup.py [--repeats 7]

Median CPU milliseconds (user and system) of whole processes, all lines in turn in every round.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ANSWER = '[{"box_2d": [100, 100, 500, 500], "label": "cup"}]'


def commands(answer: Path) -> dict[str, list[str]]:
    """Return what is measured by name."""
    evalkit = [sys.executable, "-m", "evalkit"]
    imports = ("click", "numpy", "pydantic", "click, yaml, pydantic", "click, numpy, pydantic")
    return {
        "python -c pass": [sys.executable, "-c", "pass"],
        **{f"import {names}": [sys.executable, "-c", f"import {names}"] for names in imports},
        "evalkit --help": [*evalkit, "--help"],
        "evalkit datasets list": [*evalkit, "datasets", "list"],
        "evalkit decode": [*evalkit, "decode", str(answer), "--size", "640x480"],
    }


def cpu_ms(command: list[str]) -> float:
    """Return the CPU milliseconds of a process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True, env=os.environ)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1000 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    repeats = parser.parse_args().repeats
    with tempfile.TemporaryDirectory() as name:
        answer = Path(name) / "answer.txt"
        answer.write_text(ANSWER)
        lines = commands(answer)
        for command in lines.values():
            cpu_ms(command)  # compiles what was not compiled yet
        taken: dict[str, list[float]] = {line: [] for line in lines}
        for _ in range(repeats):
            for line, command in lines.items():
                taken[line].append(cpu_ms(command))
    floor = statistics.median(taken["python -c pass"])
    for line, costs in taken.items():
        cost = statistics.median(costs)
        print(f"{line:<32}{cost:>8.0f} ms{cost / floor:>8.1f} x")


if __name__ == "__main__":
    main()
