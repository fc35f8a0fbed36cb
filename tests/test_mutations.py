"""Nothing that is read falls outside its typed error: the short form of ``benchmarks/mutations.py``."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[1] / "benchmarks" / "mutations.py"


@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="the benchmark bounds each trial by an alarm")
def test_mutated_inputs_end_in_their_typed_errors() -> None:
    """A few hundred of each kind, always the same ones."""
    counts = ["--pictures", "200", "--datasets", "400", "--bodies", "600", "--folders", "40", "--seed", "1"]
    told = subprocess.run(
        [sys.executable, str(BENCHMARK), *counts], capture_output=True, text=True, check=False, timeout=120
    )
    assert told.returncode == 0, told.stdout + told.stderr
