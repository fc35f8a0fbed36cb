"""The exit codes of errors that nobody foresaw."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from evalkit.cli import doctor
from evalkit.cli.app import main


@pytest.mark.parametrize(
    "raised", [ValueError("odd \ud800 text"), KeyError("k"), RecursionError("deep"), MemoryError()]
)
def test_a_defect_is_no_verdict(monkeypatch: pytest.MonkeyPatch, raised: Exception) -> None:
    """Exit code 70, one paragraph that says what it is, and the traceback only with --debug."""

    def broken(_config: str | None) -> None:
        raise raised

    monkeypatch.setattr(doctor, "doctor", broken)
    result = CliRunner().invoke(main, ["doctor"])
    assert result.exit_code == 70
    assert result.stderr.startswith(
        f"error: a defect of evalkit, not of your data or of a model: {type(raised).__name__}"
    )
    assert len(result.stderr.strip().splitlines()) == 1
    shown = CliRunner().invoke(main, ["--debug", "doctor"])
    assert shown.exit_code == 70
    assert "Traceback" in shown.stderr


def test_usage_errors_keep_their_code() -> None:
    """2 from click, 0 for help."""
    assert CliRunner().invoke(main, ["run"]).exit_code == 2
    assert CliRunner().invoke(main, ["run", "--help"]).exit_code == 0
