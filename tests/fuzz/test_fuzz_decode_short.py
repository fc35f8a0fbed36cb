"""A few seconds of the coverage-guided search, where atheris is installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TARGET = Path(__file__).with_name("fuzz_decode.py")


def test_a_short_search_finds_nothing(tmp_path):
    """A thousand inputs from the golden answers: no exception, no contradiction, nothing slow."""
    pytest.importorskip("atheris", reason="atheris has no wheel for this Python or system")
    found = subprocess.run(
        [
            sys.executable,
            TARGET,
            tmp_path / "corpus",
            "-runs=1000",
            "-seed=1",
            "-timeout=10",
            f"-artifact_prefix={tmp_path}/",
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert found.returncode == 0, found.stderr[-3000:]
