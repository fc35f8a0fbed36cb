"""Whole runs against the simulator: ledger equals request log, stops resume to the same result, no key anywhere."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pandas as pd
import pytest
from click.testing import CliRunner, Result

from evalkit.cli.app import main
from evalkit.masks import rle_decode
from evalkit.models import attempts
from evalkit.storage.ledger import Ledger
from evalkit.types import Rle, Sample

SECRET = "AIza-a-key-that-must-never-be-written-anywhere"


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our own backoff begins with 10 ms."""
    monkeypatch.setattr(attempts, "FIRST_BACKOFF_S", 0.01)


@pytest.fixture
def project(samples: list[Sample], tmp_path: Path) -> Callable[..., Path]:
    """Return a writer of a config over the samples, saved as a jsonl dataset."""
    lines = []
    for sample in samples:
        region = sample.truth.instances[0]
        assert isinstance(region, Rle)
        assert rle_decode(region).any()
        line = {
            "id": sample.sample_id,
            "image": Path(sample.image.path).name,
            "expression": sample.expression,
        }
        lines.append(json.dumps(line | {"mask": region.to_json()}))
    (tmp_path / "d.jsonl").write_text("\n".join(lines))

    def write(*models: dict[str, Any], **changes: Any) -> Path:
        config = {
            "name": "t",
            "datasets": [{"name": "d", "format": "jsonl", "path": "d.jsonl"}],
            "models": list(models),
        }
        path = tmp_path / "c.yaml"
        path.write_text(json.dumps(config | changes))
        return path

    return write


def flash(simulator: Any, **changes: Any) -> dict[str, Any]:
    """Return a Gemini entry at the simulator."""
    base_url = simulator.url_for(changes.pop("persona", "png-masks"))
    return {"name": "m", "provider": "gemini", "model": "gemini-2.5-flash", "base_url": base_url} | changes


def chat(simulator: Any, **changes: Any) -> dict[str, Any]:
    """Return a chat entry at the simulator."""
    base_url = simulator.url_for("pixel-polygons") + "/v1"
    given = {
        "name": "m",
        "provider": "openai",
        "model": "gpt",
        "base_url": base_url,
        "prompt": "pixel-polygon",
    }
    return given | {"price": {"input_usd_per_million": 1, "output_usd_per_million": 2}} | changes


def moondream(simulator: Any, **changes: Any) -> dict[str, Any]:
    """Return a moondream entry at the simulator."""
    return {"name": "m", "provider": "moondream", "base_url": simulator.base_url + "/v1"} | changes


def run(config: Path, out: Path) -> Result:
    """Run a config."""
    return CliRunner().invoke(main, ["run", str(config), "--out", str(out), "--yes"])


def rows(out: Path) -> int:
    """Return the number of attempts in the ledger."""
    with Ledger(out / "responses.sqlite", read_only=True) as ledger:
        return ledger.count()


def generated(simulator: Any) -> int:
    """Return the number of questions that the simulator counted."""
    return sum(request.operation == "generate" for request in simulator.requests)


def scores(out: Path) -> list[Any]:
    """Return what a run found, without what differs between sessions."""
    table = pd.read_parquet(out / "scores.parquet")
    known = table.fillna({"cost_usd": -1.0})
    return known[["sample_id", "outcome", "intersection", "union", "cost_usd"]].to_numpy().tolist()


@pytest.mark.parametrize("service", [flash, chat, moondream])
def test_faults_end_in_the_same_scores_and_every_request_is_a_row(
    service: Callable[..., dict[str, Any]],
    simulate: Callable[..., Any],
    project: Callable[..., Path],
    tmp_path: Path,
) -> None:
    """503s, resets, 429s and errors inside a 200 cost attempts, not answers; asked again, nothing is."""
    assert run(project(service(simulate())), tmp_path / "calm").exit_code == 0
    stormy = simulate(
        {"kind": "unavailable", "requests": [1, 5]},
        {"kind": "reset", "requests": [2]},
        {"kind": "rate_limit_minute", "retry_delay_s": 0.1, "requests": [3]},
        {"kind": "error_200", "requests": [6]},
        {"kind": "truncated_body", "requests": [7]},
    )
    config = project(service(stormy, limits={"concurrency": 3}))
    result = run(config, tmp_path / "stormy")
    assert result.exit_code == 0, result.output
    assert scores(tmp_path / "stormy") == scores(tmp_path / "calm")
    assert rows(tmp_path / "stormy") == generated(stormy) == 6 + 6
    assert run(config, tmp_path / "stormy").exit_code == 0
    assert generated(stormy) == 6 + 6
    assert stormy.peak_connections <= 3


def test_a_days_quota_stops_and_resumes(
    simulate: Callable[..., Any], project: Callable[..., Path], tmp_path: Path
) -> None:
    """Exit 3 with what was answered kept; the next day asks only the rest."""
    today = simulate({"kind": "rate_limit_day", "requests_per_day": 2})
    stopped = run(project(flash(today, limits={"concurrency": 1})), tmp_path / "run")
    assert stopped.exit_code == 3
    assert "day's quota" in stopped.output
    assert rows(tmp_path / "run") == generated(today) == 3
    today.close()
    tomorrow = simulate(port=urlsplit(today.base_url).port)
    resumed = run(project(flash(tomorrow)), tmp_path / "run")
    assert resumed.exit_code == 0, resumed.output
    assert generated(tomorrow) == 4
    assert run(project(flash(simulate())), tmp_path / "whole").exit_code == 0
    assert scores(tmp_path / "run") == scores(tmp_path / "whole")


def test_a_budget_stops_and_resumes(
    simulate: Callable[..., Any], project: Callable[..., Path], tmp_path: Path
) -> None:
    """Exit 3 below the budget; with more money the run is finished."""
    settings = {"generation": {"thinking_budget": 0, "max_output_tokens": 2000}, "limits": {"concurrency": 1}}
    first = run(project(flash(simulate(), **settings), limits={"budget_usd": 0.004}), tmp_path / "run")
    assert first.exit_code == 3
    assert "budget" in first.output
    spent = pd.read_parquet(tmp_path / "run" / "scores.parquet").cost_usd
    assert 0 < spent.notna().sum() < 6
    assert spent.sum() <= 0.004
    assert (
        run(project(flash(simulate(), **settings), limits={"budget_usd": 1}), tmp_path / "run").exit_code == 0
    )
    assert pd.read_parquet(tmp_path / "run" / "scores.parquet").cost_usd.notna().all()


def test_an_unpriced_model_under_a_budget_is_refused(
    simulate: Callable[..., Any], project: Callable[..., Path], tmp_path: Path
) -> None:
    """Exit 2, nothing sent, nothing written."""
    simulator = simulate()
    config = project(flash(simulator, model="gemini-unheard-of"), limits={"budget_usd": 1})
    result = run(config, tmp_path / "run")
    assert result.exit_code == 2
    assert "no price" in result.output
    assert not simulator.requests
    assert not (tmp_path / "run").exists()


def test_routing_is_told(simulate: Callable[..., Any], project: Callable[..., Path], tmp_path: Path) -> None:
    """The log names both models; every row has the one that answered."""
    simulator = simulate({"kind": "wrong_model_version"})
    result = run(project(flash(simulator)), tmp_path / "run")
    assert "asked gemini-2.5-flash, but gemini-3.5-flash-lite answers" in result.output
    table = pd.read_parquet(tmp_path / "run" / "scores.parquet")
    assert set(table.model_version) == {"gemini-3.5-flash-lite"}
    assert set(table.requested_model) == {"gemini-2.5-flash"}


def test_a_batch_run_equals_a_live_run(
    simulate: Callable[..., Any], project: Callable[..., Path], tmp_path: Path
) -> None:
    """The same scores, half the money; a failed line is asked live at the full price."""
    faults = [{"kind": "internal", "operation": "batch_line", "samples": ["s2"]}]
    batch = {"provider": "gemini-batch", "batch": {"poll_s": 0.05}}
    assert run(project(flash(simulate(), persona="perfect")), tmp_path / "live").exit_code == 0
    simulator = simulate(*faults)
    result = run(project(flash(simulator, persona="perfect", **batch)), tmp_path / "batch")
    assert result.exit_code == 0, result.output
    live = pd.read_parquet(tmp_path / "live" / "scores.parquet").set_index("sample_id")
    jobs = pd.read_parquet(tmp_path / "batch" / "scores.parquet").set_index("sample_id")
    assert (live.iou == jobs.iou).all()
    share = (jobs.cost_usd / live.cost_usd).round(6).to_dict()
    assert share == {f"s{n}": 1.0 if n == 2 else 0.5 for n in range(6)}
    assert generated(simulator) == 1


def test_the_key_is_in_no_byte_that_is_written(
    simulate: Callable[..., Any],
    project: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """After answers, faults, uploads and a refused request: not in the run folder, the output or the log."""
    monkeypatch.setenv("GEMINI_API_KEY", SECRET)
    caplog.set_level(logging.DEBUG)
    simulator = simulate(
        {"kind": "non_json_200", "body": f"your key is {SECRET}", "requests": [1]},
        {"kind": "forbidden", "requests": [4]},
        {"kind": "reset", "requests": [2]},
    )
    result = run(project(flash(simulator, files_api_above_mb=0.001)), tmp_path / "run")
    written = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert len(written) > 5
    assert rows(tmp_path / "run") > 6
    for path in written:
        assert SECRET.encode() not in path.read_bytes(), path
    assert SECRET not in result.output
    assert SECRET not in caplog.text
    with Ledger(tmp_path / "run" / "responses.sqlite", read_only=True) as ledger:
        stored = [f"{row.error}{row.body}" for row in ledger.rows()]
    assert not any(SECRET in text for text in stored)
    assert any("[key]" in text for text in stored), "the echo was blanked out, not lost"


def test_secrets_of_an_address_are_in_no_byte_that_is_written(
    simulate: Callable[..., Any],
    project: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """User and password, a path and a query from variables, `extra_body`: neither in files, output, log nor doctor."""
    monkeypatch.setenv("PERSONA_TOKEN", "png-masks")
    monkeypatch.setenv("TOK", "a-token-of-the-query")
    caplog.set_level(logging.DEBUG)
    simulator = simulate({"kind": "forbidden", "requests": [4]}, {"kind": "reset", "requests": [2]})
    base_url = (
        simulator.url_for("png-masks")
        .replace("http://", "http://somebody:pass-word@")
        .replace("png-masks", "${PERSONA_TOKEN}")
    )
    body = {"labels": {"api_key": "secret-in-the-body"}}
    config = project(flash(simulator, base_url=base_url, generation={"extra_body": body}))
    result = run(config, tmp_path / "run")
    assert generated(simulator) > 5, result.output
    examined = CliRunner().invoke(main, ["doctor", str(config)])
    outputs = (result.output, examined.output, caplog.text)
    written = [path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert len(written) > 5
    for secret in ("somebody", "pass-word", "secret-in-the-body"):
        assert not any(secret in text for text in outputs), secret
        assert not any(secret.encode() in data for data in written), secret
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["config"]["models"][0]["base_url"].endswith("/persona/${PERSONA_TOKEN}")
    before = generated(simulator)
    again = run(config, tmp_path / "run")
    assert generated(simulator) - before <= 1, again.output
    assert "set aside" not in again.output


def test_a_one_letter_key_changes_no_answer(
    simulate: Callable[..., Any],
    project: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`GEMINI_API_KEY=x` gives the scores that no key gives."""
    config = project(flash(simulate()))
    assert run(config, tmp_path / "none").exit_code == 0
    monkeypatch.setenv("GEMINI_API_KEY", "x")
    assert run(config, tmp_path / "short").exit_code == 0
    assert [row[:4] for row in scores(tmp_path / "short")] == [row[:4] for row in scores(tmp_path / "none")]


@pytest.mark.parametrize(
    ("variable", "proxy"),
    [("HTTPS_PROXY", "foo://x"), ("ALL_PROXY", "socks5://127.0.0.1:1"), ("HTTPS_PROXY", "http://[bad")],
)
def test_a_proxy_that_cannot_be_used_is_a_config_error(
    project: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, proxy: str
) -> None:
    """Exit code 2 with the variables named, of `run` and of `doctor`."""
    monkeypatch.setenv("GEMINI_API_KEY", SECRET)
    monkeypatch.setenv(variable, proxy)
    config = project(
        {"name": "m", "provider": "gemini", "model": "gemini-2.5-flash", "base_url": "https://h.invalid"}
    )
    for result in (run(config, tmp_path / "run"), CliRunner().invoke(main, ["doctor", str(config)])):
        assert result.exit_code == 2, result.output
        assert "the proxy that the environment names cannot be used" in result.output
