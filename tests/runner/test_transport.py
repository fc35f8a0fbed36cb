"""HTTP answers that are no answers: asked again, at last not run; never scored, never the end of other questions."""

from __future__ import annotations

import gzip
import json
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from PIL import Image

from evalkit.cli.app import main
from evalkit.models import attempts
from evalkit.models.http import session

SOUND = {
    "candidates": [{"content": {"parts": [{"text": "[]"}]}, "finishReason": "STOP"}],
    "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 1, "totalTokenCount": 6},
    "modelVersion": "gemini-2.5-flash",
}
SOUND_BODY = json.dumps(SOUND).encode()


def error_body(code: int, message: str = "said", **details: Any) -> bytes:
    """Return Google's error envelope."""
    error = {"code": code, "message": message, "status": "UNAVAILABLE"}
    return json.dumps({"error": error | ({"details": [details]} if details else {})}).encode()


class Script:
    """What the server answers: a fault for the first ``times`` requests about the first picture, then sound answers."""

    def __init__(self, status: int, body: bytes, times: int, headers: dict[str, str]) -> None:
        self.fault = (status, body, headers)
        self.times = times
        self.seen: Counter[str] = Counter()
        self.lock = threading.Lock()

    def next(self, body: bytes) -> tuple[int, bytes, dict[str, str]]:
        """Return status, body and headers of the next answer."""
        with self.lock:
            question = "the faulty one" if b"the faulty one" in body else "a sound one"
            self.seen[question] += 1
            faulty = question == "the faulty one" and self.seen[question] <= self.times
        return self.fault if faulty else (200, SOUND_BODY, {})


@pytest.fixture
def ask(tmp_path, monkeypatch):
    """Return a run of two questions against a script: its scores, exit code, terminal text and requests."""
    monkeypatch.setattr(attempts, "FIRST_BACKOFF_S", 0.001)
    servers = []

    def run(status: int, body: bytes, *, times: int = 1, **headers: str):
        script = Script(status, body, times, {name.replace("_", "-"): text for name, text in headers.items()})

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                sent = self.rfile.read(int(self.headers["Content-Length"]))
                code, answer, more = script.next(sent)
                self.send_response(code)
                for name, text in ({"content-type": "application/json"} | more).items():
                    self.send_header(name, text)
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        Image.fromarray(np.zeros((20, 30, 3), dtype=np.uint8)).save(tmp_path / "a.png")
        lines = [
            {"id": name, "image": "a.png", "expression": name, "mask": None, "no_target": True}
            for name in ("the faulty one", "a sound one")
        ]
        (tmp_path / "d.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        (tmp_path / "c.yaml").write_text(
            "name: c\ndatasets: [{name: d, format: jsonl, path: d.jsonl}]\n"
            "models: [{name: m, provider: gemini, model: gemini-2.5-flash, limits: {max_attempts: 3},"
            f" base_url: 'http://127.0.0.1:{server.server_port}'}}]\n"
        )
        result = CliRunner().invoke(
            main, ["run", str(tmp_path / "c.yaml"), "--out", str(tmp_path / "run"), "--yes"]
        )
        scores = pd.read_parquet(tmp_path / "run" / "scores.parquet").set_index("sample_id")
        return scores, result, script.seen

    yield run
    for server in servers:
        server.shutdown()
        server.server_close()


NO_ANSWERS = {
    "error object": (200, error_body(503)),
    "error text": (200, b'{"error": "rate limited"}'),
    "empty object": (200, b"{}"),
    "a gateway's own JSON": (200, b'{"message": "no route", "request_id": "r-1"}'),
    "text": (200, b"upstream connect error"),
    "nothing": (200, b""),
    "a list": (200, b"[]"),
    "deeply nested": (200, b'{"a":' * 100_000),
    "not modified": (304, b""),
    "half a character": (503, b'{"error":{"code":503,"message":"busy \\ud83d","status":"UNAVAILABLE"}}'),
    "deeply nested error": (503, b"[" * 100_000),
    "no delay": (503, error_body(503, **{"@type": "x", "retryDelay": {"seconds": None}})),
    "a delay that is no number": (503, error_body(503, **{"@type": "x", "retryDelay": {"seconds": "soon"}})),
}


@pytest.mark.parametrize("name", NO_ANSWERS)
def test_a_body_without_an_answer_is_asked_again(ask, name):
    """Two such bodies and then an answer: the answer is scored, the other question is asked once."""
    scores, result, seen = ask(*NO_ANSWERS[name], times=2)
    assert result.exit_code == 0, result.output
    assert list(scores["outcome"]) == ["no_target", "no_target"]
    assert seen == {"the faulty one": 3, "a sound one": 1}


@pytest.mark.parametrize("name", NO_ANSWERS)
def test_a_body_that_stays_without_an_answer_is_not_run(ask, name):
    """The question counts as not run, with the reason; nothing is scored as the model's."""
    scores, result, seen = ask(*NO_ANSWERS[name], times=99)
    assert result.exit_code == 3
    assert "Traceback" not in result.output
    assert scores.loc["the faulty one", "outcome"] == "not_run"
    assert scores.loc["a sound one", "outcome"] == "no_target"
    assert seen["the faulty one"] == 3


def body_with(**changes: Any) -> bytes:
    """Return the sound body with other members."""
    return json.dumps(SOUND | changes).encode()


READ = {
    "byte order mark": (b"\xef\xbb\xbf" + SOUND_BODY, {}),
    "NULs after it": (SOUND_BODY + b"\0" * 64, {}),
    "charset that is not so": (SOUND_BODY, {"content_type": "application/json; charset=utf-16"}),
    "charset nobody knows": (SOUND_BODY, {"content_type": "application/json; charset=x-none"}),
    "half a character as version": (SOUND_BODY.replace(b'"gemini-2.5-flash"', b'"\\ud800"'), {}),
    "half a character as finish reason": (SOUND_BODY.replace(b'"STOP"', b'"\\ud800"'), {}),
    "packed": (gzip.compress(SOUND_BODY), {"content_encoding": "gzip"}),
    "no candidates, but usage": (json.dumps({"usageMetadata": {"promptTokenCount": 5}}).encode(), {}),
    "a blocked prompt": (json.dumps({"promptFeedback": {"blockReason": "SAFETY"}}).encode(), {}),
}


@pytest.mark.parametrize("name", READ)
def test_an_odd_body_that_holds_an_answer_is_bought_once(ask, name):
    """Stored, scored and shown at the first request."""
    body, headers = READ[name]
    scores, _, seen = ask(200, body, times=99, **headers)
    assert seen["the faulty one"] == 1
    assert scores.loc["the faulty one", "outcome"] in ("no_target", "format_failure", "blocked")


@pytest.mark.parametrize("kind", ["plain", "gzip"])
def test_a_body_without_end_is_cut_and_asked_again(ask, monkeypatch, kind):
    """Counted after unpacking, so that a small packed body cannot fill the memory."""
    monkeypatch.setattr(session, "MOST_BODY_BYTES", 1_000_000)
    body = b" " * 4_000_000
    packed = {"content_encoding": "gzip"} if kind == "gzip" else {}
    scores, result, _ = ask(200, gzip.compress(body) if kind == "gzip" else body, times=1, **packed)
    assert result.exit_code == 0, result.output
    assert list(scores["outcome"]) == ["no_target", "no_target"]


@pytest.mark.parametrize(
    "body",
    [
        error_body(429, **{"@type": "ErrorInfo", "metadata": {"quota_limit_value": "0"}}),
        error_body(429, **{"@type": "QuotaFailure", "violations": [{"quotaId": "x", "quotaValue": "0"}]}),
        error_body(429, "Quota exceeded for metric: x, limit: 0"),
    ],
)
def test_a_quota_of_zero_stops_the_model_at_once(ask, body):
    """No waiting for what never comes."""
    _, result, seen = ask(429, body, times=99)
    assert result.exit_code == 3
    assert "the quota is zero" in result.output
    assert seen["the faulty one"] == 1


def test_an_unforeseen_error_costs_one_row(ask, monkeypatch):
    """It is named as a defect of evalkit; the other question is answered."""
    from evalkit.models.google.gemini import GeminiModel

    whole = GeminiModel.body_of

    def failing(self, question, uploaded=None):
        if question.sample.sample_id == "the faulty one":
            raise KeyError("nobody thought of this")
        return whole(self, question, uploaded)

    monkeypatch.setattr(GeminiModel, "body_of", failing)
    scores, result, _ = ask(200, SOUND_BODY)
    assert result.exit_code == 3
    assert list(scores["outcome"]) == ["not_run", "no_target"]
    assert "defect of evalkit" in scores.loc["the faulty one", "error"]
