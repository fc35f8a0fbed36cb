"""Quotas, faults of every kind and an outage lose no answer, buy none twice, and end with the right exit code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

BENCHMARK = Path(__file__).parents[1] / "benchmarks" / "fault_storm.py"


def test_bad_weather_costs_no_answer() -> None:
    """The short form of the benchmark: seven sessions on one folder."""
    command = [sys.executable, str(BENCHMARK), "--samples", "48", "--short"]
    told = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert told.returncode == 0, told.stdout + told.stderr
