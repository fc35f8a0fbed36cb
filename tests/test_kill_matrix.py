"""Kill -9 in the middle of a command costs no answer and no folder, and passes no old scores."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[1] / "benchmarks" / "kill_matrix.py"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the benchmark forks its commands")
def test_a_few_kills_lose_nothing() -> None:
    """The short form of the benchmark: the asking, `score` and the page are killed once each, one pair runs at once."""
    command = [sys.executable, str(BENCHMARK), "--kills", "3", "--pairs", "1", "--seed", "3"]
    told = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert told.returncode == 0, told.stdout + told.stderr
