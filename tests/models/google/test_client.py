"""Whatever comes back over a real connection is an answer or a typed fault, asked for once, without the key."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import threading
import traceback
import zlib
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from evalkit.config.prompts import find_prompt
from evalkit.errors import ConfigError, GiveUp, RetryLater, SystemFault
from evalkit.models.base import Question
from evalkit.models.google.client import raise_error
from evalkit.models.google.gemini import GeminiConfig, open_gemini
from evalkit.models.http import session as http_session
from evalkit.models.http.calls import guarded
from evalkit.models.http.session import HttpAnswer
from evalkit.types import Response

LONG_KEY = "AIza-a-key-that-must-never-be-written-anywhere"
ANSWER = {
    "candidates": [{"content": {"parts": [{"text": "[]"}]}, "finishReason": "STOP"}],
    "modelVersion": "gemini-2.5-flash",
}
SOUND = json.dumps(ANSWER).encode()


class RawServer:
    """Sends ``sent``, byte for byte, to every POST, and closes; keeps the headers of each request."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.got: list[dict[str, str]] = []
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                owner.got.append({name.lower(): text for name, text in self.headers.items()})
                self.close_connection = True
                try:
                    for part in owner.sent:
                        self.wfile.write(part)
                except ConnectionError:
                    pass  # the client has had enough

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def server() -> Iterator[RawServer]:
    """Yield a server that is closed afterwards."""
    opened = RawServer()
    yield opened
    opened.close()


def http(body: bytes, status: str = "200 OK", *, length: int | None = None, **headers: str) -> bytes:
    """Return a whole HTTP answer; ``length``: what Content-Length says, where it is not the truth."""
    lines = {"content_length": str(len(body) if length is None else length), **headers}
    head = "".join(f"{name.replace('_', '-')}: {text}\r\n" for name, text in lines.items() if text)
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body


def ask(entry: GeminiConfig, question: Question) -> Response | SystemFault:
    """Return what one request comes to; only typed faults are caught."""

    async def run() -> Response | SystemFault:
        model = open_gemini(entry, find_prompt("google-mask"), directory=Path(), state=None)
        try:
            return await model.ask(question)
        except SystemFault as fault:
            return fault
        finally:
            await model.close()

    return asyncio.run(run())


def error_body(message: Any) -> bytes:
    """Return an error as the API writes it."""
    return json.dumps({"error": {"code": 503, "message": message, "status": "UNAVAILABLE"}}).encode()


UNAVAILABLE = "503 Service Unavailable"
UNREADABLE: dict[str, bytes] = {
    "closed at once": b"",
    "closed within the head": b"HTTP/1.1 200 OK\r\ncontent-le",
    "no HTTP": b"SSH-2.0-OpenSSH_9.6\r\n",
    "head without end": b"HTTP/1.1 200 OK\r\n" + b"x-a: " + b"a" * 100_000,
    "cut in the middle": http(SOUND[:40], length=len(SOUND)),
    "longer than it says": http(SOUND, length=20),
    "length of no number": http(SOUND, content_length="many"),
    "negative length": http(SOUND, content_length="-5"),
    "two lengths": http(SOUND, Content_Length="7"),
    "chunks that are none": http(b"zz\r\n" + SOUND, content_length="", transfer_encoding="chunked"),
    "chunks that end early": http(b"40\r\n{}", content_length="", transfer_encoding="chunked"),
    "gzip that is none": http(SOUND, content_encoding="gzip"),
    "gzip that ends early": http(gzip.compress(SOUND)[:-12], content_encoding="gzip"),
    "deflate that is none": http(SOUND, content_encoding="deflate"),
    "br that is none": http(SOUND, content_encoding="br"),
    "zstd that is none": http(SOUND, content_encoding="zstd"),
    "empty": http(b""),
    "nothing but NULs": http(b"\0" * 64),
    "deep": http(b"[" * 200_000),
    "deep object": http(b'{"a":' * 100_000),
    "a number of 5,000 digits": http(b'{"usageMetadata": ' + b"9" * 5_000 + b"}"),
    "text": http(b"<html>gateway</html>", content_type="text/html; charset=utf-16"),
    "unknown charset": http(b"hello", content_type="text/plain; charset=klingon"),
    "304": http(b"", "304 Not Modified", content_length=""),
    "204": http(b"", "204 No Content", content_length=""),
    "503 empty": http(b"", UNAVAILABLE),
    "503 deep": http(b"[" * 200_000, UNAVAILABLE),
    "503 a list": http(b"[1, 2]", UNAVAILABLE),
    "503 a list of an error": http(b"[" + error_body("busy") + b"]", UNAVAILABLE),
    "503 a number": http(b"7", UNAVAILABLE),
    "503 null": http(b"null", UNAVAILABLE),
    "503 a text": http(b'"busy"', UNAVAILABLE),
    "503 number of 5,000 digits": http(b"9" * 5_000, UNAVAILABLE),
    "503 half a surrogate": http(b'{"error": {"message": "\\ud800"}}', UNAVAILABLE),
    "503 NaN": http(b'{"error": {"message": NaN}}', UNAVAILABLE),
    "503 error is a list": http(b'{"error": [1]}', UNAVAILABLE),
    "503 utf-16": http(error_body("busy").decode().encode("utf-16"), UNAVAILABLE),
    "503 not utf-8": http(
        b"\xff\xfe\xfa\x80\x81", UNAVAILABLE, content_type="application/json; charset=utf-8"
    ),
    "503 odd reason": http(error_body("busy"), "503 \xff\xfe"),
    "503 cut": http(error_body("busy")[:20], UNAVAILABLE, length=90),
    "status 999": http(error_body("busy"), "999 Odd"),
}


@pytest.mark.parametrize("sent", UNREADABLE.values(), ids=UNREADABLE)
def test_what_is_no_answer_is_a_fault_of_one_request(
    sent: bytes, server: RawServer, gemini_entry: Callable[..., GeminiConfig], question: Question
) -> None:
    """It is worth another attempt, which is the runner's to send."""
    server.sent = [sent]
    seen = ask(gemini_entry(server.url), question)
    assert isinstance(seen, RetryLater), seen
    json.dumps({"text": str(seen), "body": seen.body})
    assert len(server.got) == 1


@pytest.mark.parametrize("around", ["%s", '{"error": %s}', '{"error": {"code": 503, "details": %s}}'])
def test_an_error_of_any_depth_is_a_fault(around: str, gemini_entry: Callable[..., GeminiConfig]) -> None:
    """Near the limit what can be read cannot be written."""

    async def faults() -> set[type[BaseException]]:
        model = open_gemini(
            gemini_entry("http://127.0.0.1:9"), find_prompt("google-mask"), directory=Path(), state=None
        )
        seen = set()
        for depth in range(900, 1010):
            answer = HttpAnswer(503, "", {}, around % ("[" * depth + "]" * depth))
            try:
                await guarded(
                    lambda answer=answer: raise_error(answer),
                    connection=model.endpoint,
                    model="m",
                    timeout_s=10,
                )
            except SystemFault as fault:
                seen.add(type(fault))
        await model.close()
        return seen

    assert asyncio.run(faults()) == {RetryLater}


UTF_16 = SOUND.decode().encode("utf-16")
SOUND_ANSWERS: dict[str, bytes] = {
    "plain": http(SOUND),
    "no length": http(SOUND, content_length=""),
    "BOM before, NULs after": http(b"\xef\xbb\xbf" + SOUND + b"\0\0\0"),
    "labelled utf-16": http(SOUND, content_type="application/json; charset=utf-16"),
    "labelled an unknown charset": http(SOUND, content_type="application/json; charset=klingon"),
    "utf-16": http(UTF_16, content_type="application/json; charset=utf-8"),
    "gzip": http(gzip.compress(SOUND), content_encoding="gzip"),
    "deflate": http(zlib.compress(SOUND), content_encoding="deflate"),
    "bare deflate": http(zlib.compress(SOUND)[2:-4], content_encoding="deflate"),
    "chunked": http(
        b"%x\r\n%s\r\n0\r\n\r\n" % (len(SOUND), SOUND), content_length="", transfer_encoding="chunked"
    ),
    "odd reason": http(SOUND, "200 \xff\xfe"),
}


@pytest.mark.parametrize("sent", SOUND_ANSWERS.values(), ids=SOUND_ANSWERS)
def test_a_sound_answer_is_read_whatever_wraps_it(
    sent: bytes, server: RawServer, gemini_entry: Callable[..., GeminiConfig], question: Question
) -> None:
    """Wrong labels, other encodings and padding change nothing."""
    server.sent = [sent]
    seen = ask(gemini_entry(server.url), question)
    assert isinstance(seen, Response), seen
    assert seen.text == "[]"


def endless(encoding: str) -> list[bytes]:
    """Return an answer of 40 MB of blanks, as it goes over the wire."""
    part = b" " * 1_000_000
    if not encoding:
        return [b"HTTP/1.1 200 OK\r\n\r\n", *[part] * 40]
    packer = zlib.compressobj(9, wbits=31 if encoding == "gzip" else 15)
    body = b"".join([*(packer.compress(part) for _ in range(40)), packer.flush()])
    return [http(body, content_encoding=encoding)]


@pytest.mark.parametrize("encoding", ["", "gzip", "deflate"])
def test_an_endless_answer_is_cut_off(
    encoding: str,
    server: RawServer,
    gemini_entry: Callable[..., GeminiConfig],
    question: Question,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whether it is sent long, or unpacks to something long."""
    monkeypatch.setattr(http_session, "MOST_BODY_BYTES", 2_000_000)
    server.sent = endless(encoding)
    seen = ask(gemini_entry(server.url), question)
    assert isinstance(seen, RetryLater), seen


def test_the_key_follows_no_redirect(
    server: RawServer,
    gemini_entry: Callable[..., GeminiConfig],
    question: Question,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An answer that sends elsewhere is a fault, and the other host hears nothing."""
    monkeypatch.setenv("GEMINI_API_KEY", LONG_KEY)
    elsewhere = RawServer()
    try:
        for status in ("301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"):
            server.sent = [http(b"", status, location=f"{elsewhere.url}/v1beta/models?key={LONG_KEY}")]
            seen = ask(gemini_entry(server.url), question)
            assert isinstance(seen, GiveUp), seen
            assert LONG_KEY not in f"{seen}{seen.body}"
    finally:
        elsewhere.close()
    assert not elsewhere.got
    assert all(headers["x-goog-api-key"] == LONG_KEY for headers in server.got)


ECHOES: dict[str, Callable[[str], bytes]] = {
    "answer": lambda key: http(json.dumps(ANSWER | {"responseId": key}).encode()),
    "text": lambda key: http(f"your key is {key}".encode()),
    "error": lambda key: http(error_body(f"key {key} is busy"), UNAVAILABLE),
    "error without JSON": lambda key: http(f"key {key} is busy".encode(), UNAVAILABLE),
    "refused key": lambda key: http(error_body(f"API key {key} is not valid"), "400 Bad Request"),
    "unknown model": lambda key: http(error_body(f"{key} sees no such model"), "404 Not Found"),
    "reason": lambda key: http(b"", f"503 {key}"),
    "header": lambda key: http(b"{}", UNAVAILABLE, x_your_key=key),
    "broken header": lambda key: f"HTTP/1.1 200 OK\r\nx your key {key}\r\n\r\n".encode(),
    "status line": lambda key: f"HTTP/1.1 {key}\r\n\r\n".encode(),
    "length": lambda key: http(b"{}", content_length=key),
    "encoding": lambda key: http(b"{}", content_encoding=key),
}


@pytest.mark.parametrize("echo", ECHOES.values(), ids=ECHOES)
def test_an_echoed_key_is_kept_nowhere(
    echo: Callable[[str], bytes],
    server: RawServer,
    gemini_entry: Callable[..., GeminiConfig],
    question: Question,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Neither in an answer, nor in a fault with its traceback, nor in a log."""
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("GEMINI_API_KEY", LONG_KEY)
    server.sent = [echo(LONG_KEY)]
    seen = ask(gemini_entry(server.url), question)
    assert server.got[0]["x-goog-api-key"] == LONG_KEY
    told = f"{seen!r}{seen.body}{caplog.text}"
    if isinstance(seen, SystemFault):
        told += "".join(traceback.format_exception(seen))
    assert LONG_KEY not in told


def test_a_key_of_one_character_destroys_no_answer(
    server: RawServer,
    gemini_entry: Callable[..., GeminiConfig],
    question: Question,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It may stand anywhere in an answer by chance."""
    monkeypatch.setenv("GEMINI_API_KEY", "e")
    server.sent = [http(SOUND)]
    seen = ask(gemini_entry(server.url), question)
    assert isinstance(seen, Response), seen
    assert seen.body == SOUND.decode()


@pytest.mark.parametrize("key", ["a\nb", "a\r\nX-Other: 1", "schlüssel", "AIza\u2026", "a b"])
def test_a_key_that_no_header_can_hold_is_refused_before_anything_is_sent(
    key: str,
    server: RawServer,
    gemini_entry: Callable[..., GeminiConfig],
    question: Question,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was copied with a line break or an ellipsis is no key."""
    monkeypatch.setenv("GEMINI_API_KEY", key)
    server.sent = [http(SOUND)]
    with pytest.raises(ConfigError, match="GEMINI_API_KEY") as refused:
        ask(gemini_entry(server.url), question)
    assert key not in str(refused.value)
    assert not server.got
