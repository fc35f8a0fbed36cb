"""``provider: openai`` through the real client: what is sent, what comes of every answer, and where the key goes."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import threading
import traceback
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from evalkit.config.prompts import find_prompt
from evalkit.errors import ConfigError, GiveUp, RetryLater, StopModel, SystemFault
from evalkit.models.base import Question
from evalkit.models.openai_chat import PROVIDER, ChatConfig, open_chat
from evalkit.types import Response

SECRET = "sk-a-key-that-must-never-be-written-anywhere"


def chat_entry(base_url: str | None, **changes: Any) -> ChatConfig:
    """Return an entry of the provider."""
    given = {
        "name": "m",
        "provider": "openai",
        "model": "gpt-6-astra",
        "base_url": base_url,
        "prompt": "pixel-polygon",
    }
    return ChatConfig.model_validate(given | changes)


def ask_once(entry: ChatConfig, question: Question) -> Response:
    """Ask one question once and close the model."""

    async def run() -> Response:
        model = open_chat(entry, find_prompt("pixel-polygon"), directory=Path())
        try:
            return await model.ask(question)
        finally:
            await model.close()

    return asyncio.run(run())


class Scripted:
    """A server that gives one answer to everything and keeps what it got."""

    def __init__(self) -> None:
        self.got: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        self.status, self.body, self.headers = 200, "{}", dict[str, str]()
        self.base_url = ""

    def answers(self, body: Any, status: int = 200, **headers: str) -> str:
        """Set the answer; return the address."""
        self.body = body if isinstance(body, str) else json.dumps(body)
        self.status, self.headers = status, {name.replace("_", "-"): value for name, value in headers.items()}
        return self.base_url


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    """Serve a script on the loopback interface."""
    script = Scripted()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sent = self.rfile.read(int(self.headers["Content-Length"]))
            script.got.append((self.path, {k.lower(): v for k, v in self.headers.items()}, json.loads(sent)))
            body = script.body.encode()
            self.send_response(script.status)
            for name, value in (script.headers | {"Content-Length": str(len(body))}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Stay silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    script.base_url = f"http://127.0.0.1:{server.server_port}/v1"
    yield script
    server.shutdown()
    thread.join()
    server.server_close()


def answer(content: str | None = "[]", **changes: Any) -> dict[str, Any]:
    """Return a sound body with changes."""
    choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14}
    return {"id": "c1", "model": "gpt-6-astra", "choices": [choice], "usage": usage} | changes


def test_the_request_holds_what_the_config_says(scripted: Scripted, question: Question) -> None:
    """Picture first as a data URL, the prompt's schema, only set settings, ``max_tokens`` away from OpenAI."""
    url = scripted.answers(answer())
    generation = {
        "thinking_level": "low",
        "temperature": 0,
        "seed": 5,
        "max_output_tokens": 900,
        "system_instruction": "Be exact.",
        "extra_body": {"provider": {"only": ["X"]}, "temperature": 1},
    }
    ask_once(chat_entry(url, generation=generation, detail="high"), question)
    path, headers, body = scripted.got[0]
    assert path == "/v1/chat/completions"
    assert headers["authorization"] == "Bearer no-key-configured"
    system, user = body.pop("messages")
    assert system == {"role": "system", "content": "Be exact."}
    picture, text = user["content"]
    assert question.image is not None
    assert picture["image_url"]["detail"] == "high"
    assert base64.b64decode(picture["image_url"]["url"].partition(";base64,")[2]) == question.image.data
    assert text == {"type": "text", "text": question.prompt}
    schema = body.pop("response_format")["json_schema"]
    assert schema["strict"]
    assert "segmentations" in schema["schema"]["properties"]
    assert body == {
        "model": "gpt-6-astra",
        "reasoning_effort": "low",
        "temperature": 1,
        "seed": 5,
        "max_tokens": 900,
        "provider": {"only": ["X"]},
    }


def test_nothing_of_the_clients_environment_is_sent(
    scripted: Scripted, question: Question, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client would send OpenAI's key, organization and headers to any address."""
    for name in ("API_KEY", "ADMIN_KEY", "ORG_ID", "PROJECT_ID"):
        monkeypatch.setenv(f"OPENAI_{name}", f"leak-{name}")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Leak: leak-header")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/leak")
    ask_once(chat_entry(scripted.answers(answer())), question)
    assert "leak" not in json.dumps(scripted.got).lower()


def test_openai_itself_has_its_own_words(monkeypatch: pytest.MonkeyPatch, question: Question) -> None:
    """``max_completion_tokens``, ``store: false`` and OPENAI_API_KEY, whatever the base URL is spelled like."""
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    for base_url in (None, "https://api.openai.com/v1/"):
        entry = chat_entry(base_url, generation={"max_output_tokens": 7})
        model = open_chat(entry, find_prompt("box-only"), directory=Path())
        body = model.body_of(question)
        assert (body["max_completion_tokens"], body["store"]) == (7, False)
        assert model.chat.client.api_key == SECRET
        asyncio.run(model.close())


@pytest.mark.parametrize(
    ("base_url", "variable"),
    [(None, None), ("http://127.0.0.1:1/v1", "MY_KEY"), ("https://x.example/v1", "MY_KEY")],
)
def test_an_unset_variable_is_told_before_anything_is_sent(
    base_url: str | None, variable: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the variable; a dry run does not look at it."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setenv("MY_KEY", " ")
    entry = chat_entry(base_url, api_key_env=variable)
    for check in (
        lambda: PROVIDER.access(entry),
        lambda: open_chat(entry, find_prompt("box-only"), directory=Path()),
    ):
        with pytest.raises(ConfigError, match=variable or "OPENAI_API_KEY"):
            check()


@pytest.mark.parametrize(
    "changes",
    [
        {"base_url": "localhost:8000/v1"},
        {"base_url": "http://localhost:8000/v1/chat/completions"},
        {"generation": {"thinking_budget": 0}},
        {"generation": {"media_resolution": "low"}},
        {"generation": {"safety_settings": {"a": "b"}}},
        {"generation": {"response_mime_type": "text/x.enum"}},
        {"base_url": None, "generation": {"top_k": 4}},
    ],
    ids=str,
)
def test_what_chat_cannot_say_is_refused(changes: dict[str, Any]) -> None:
    """A setting that is dropped in silence would compare unlike with like."""
    with pytest.raises(ValidationError):
        chat_entry(**({"base_url": "http://127.0.0.1:1/v1"} | changes))


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (429, {"error": {"message": "slow", "type": "requests", "code": "rate_limit_exceeded"}}, RetryLater),
        (
            429,
            {"error": {"message": "no quota", "type": "insufficient_quota", "code": "insufficient_quota"}},
            StopModel,
        ),
        (402, {"error": {"message": "Insufficient credits", "code": 402}}, StopModel),
        (401, {"error": {"message": "Incorrect API key provided"}}, StopModel),
        (404, {"error": {"message": "The model does not exist", "code": "model_not_found"}}, StopModel),
        (404, "<html>nginx</html>", StopModel),
        (405, "", StopModel),
        (301, "", StopModel),
        (400, {"error": {"message": "x is not a multimodal model"}}, StopModel),
        (404, {"error": {"message": "No endpoints found that support image input"}}, StopModel),
        (500, {"error": "image input is not supported - hint: provide the mmproj"}, StopModel),
        (400, {"error": {"message": "You uploaded an unsupported image"}}, GiveUp),
        (413, "too large", GiveUp),
        (503, "<html>busy</html>", RetryLater),
        (408, "", RetryLater),
        (200, "<html>Sign in</html>", RetryLater),
        (200, "", RetryLater),
        (200, "[]", RetryLater),
        (200, {}, RetryLater),
        (200, {"choices": []}, RetryLater),
        (200, {"error": {"message": "Provider returned error", "code": 502}}, RetryLater),
        (200, {"error": {"message": "no credit", "code": 402}}, StopModel),
        (
            200,
            answer(choices=[{"error": {"code": 502, "message": "x"}, "message": {"content": "[]"}}]),
            RetryLater,
        ),
        (200, answer(choices=[{"finish_reason": "error", "message": {"content": "[{"}}]), RetryLater),
        (200, answer(error={"message": "cut"}), RetryLater),
    ],
    ids=lambda value: str(value)[:60],
)
def test_every_fault_has_its_error(
    status: int, body: Any, error: type[SystemFault], scripted: Scripted, question: Question
) -> None:
    """By what can be done about it; one request was sent, and the body is kept for the ledger."""
    with pytest.raises(error) as caught:
        ask_once(chat_entry(scripted.answers(body, status)), question)
    assert type(caught.value) is error
    assert status in (caught.value.http_status, 200)
    assert caught.value.body == scripted.body
    assert len(scripted.got) == 1


@pytest.mark.parametrize(
    ("headers", "delay_s"),
    [
        ({"retry_after": "7"}, 7.0),
        ({"retry_after_ms": "250"}, 0.25),
        ({"x_ratelimit_remaining_tokens": "0", "x_ratelimit_reset_tokens": "1m2.5s"}, 62.5),
        ({"x_ratelimit_remaining_requests": "9", "x_ratelimit_reset_requests": "20s"}, None),
        ({"x_ratelimit_reset_requests": "120ms"}, 0.12),
        ({}, None),
    ],
    ids=str,
)
def test_the_wait_that_is_asked_for(
    headers: dict[str, str], delay_s: float | None, scripted: Scripted, question: Question
) -> None:
    """Of a limit that is not used up, the reset says nothing."""
    with pytest.raises(RetryLater) as caught:
        ask_once(chat_entry(scripted.answers({}, 429, **headers)), question)
    assert caught.value.rate_limited
    assert caught.value.delay_s == delay_s


@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        (400, {"error": {"message": "filtered", "code": "content_filter"}}, "content_filter"),
        (
            400,
            {"error": {"message": "x", "innererror": {"code": "ResponsibleAIPolicyViolation"}}},
            "content_filter",
        ),
        (
            403,
            {"error": {"code": 403, "message": "m", "metadata": {"reasons": ["v"], "flagged_input": "x"}}},
            "content_filter",
        ),
        (
            200,
            answer(choices=[{"message": {"content": None, "refusal": "No."}, "finish_reason": "stop"}]),
            "refusal",
        ),
    ],
    ids=lambda value: str(value)[:50],
)
def test_what_a_policy_stopped_is_a_block(
    status: int, body: Any, why: str, scripted: Scripted, question: Question
) -> None:
    """An answer about the question, read the same from the ledger."""
    response = ask_once(chat_entry(scripted.answers(body, status)), question)
    assert response.block_reason == why
    assert PROVIDER.read_body(response.body) == response


def test_the_key_reaches_nothing_but_the_header(
    scripted: Scripted, question: Question, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Not in logs at DEBUG, errors with their chain, representations or bodies that echo it."""
    monkeypatch.setenv("MY_KEY", SECRET)
    caplog.set_level(logging.DEBUG)
    shown: list[str] = []
    echo = {"error": {"message": f"Incorrect API key provided: {SECRET}"}}
    for body, status in ((echo, 401), (f"<p>{SECRET}</p>", 200), (echo, 500)):
        with pytest.raises(SystemFault) as caught:
            ask_once(chat_entry(scripted.answers(body, status), api_key_env="MY_KEY"), question)
        shown += [str(caught.value), str(caught.value.body), *traceback.format_exception(caught.value)]
    shown.append(repr(ask_once(chat_entry(scripted.answers(answer(SECRET)), api_key_env="MY_KEY"), question)))
    assert {headers["authorization"] for _, headers, _ in scripted.got} == {f"Bearer {SECRET}"}
    assert SECRET not in "\n".join([*shown, caplog.text])
    assert "[key]" in shown[0]
    assert "MY_KEY" in shown[0]


@pytest.mark.parametrize("kind", ["reset", "truncated_body"])
def test_a_connection_that_breaks_is_asked_again(
    kind: str, simulate: Callable[..., Any], question: Question
) -> None:
    """The message says what happened, not that there was an error."""
    simulator = simulate({"kind": kind})
    with pytest.raises(RetryLater, match=r"ReadError|RemoteProtocolError"):
        ask_once(chat_entry(simulator.url_for("pixel-polygons") + "/v1"), question)
    assert len(simulator.requests) == 1


def test_a_body_that_trickles_ends_with_the_total_timeout(
    simulate: Callable[..., Any], question: Question
) -> None:
    """Each byte comes in time, the whole does not."""
    simulator = simulate({"kind": "trickle", "seconds_per_byte": 0.05})

    async def run() -> None:
        entry = chat_entry(simulator.url_for("pixel-polygons") + "/v1")
        model = open_chat(entry, find_prompt("pixel-polygon"), directory=Path())
        model.timeout_s = 0.3
        with pytest.raises(RetryLater, match=r"within 0\.3 s"):
            await model.ask(question)
        await model.close()

    asyncio.run(run())
