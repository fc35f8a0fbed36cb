"""The session that questions go out over: one request, one answer, whatever surrounds it."""

from __future__ import annotations

import asyncio
import ssl
import threading
import traceback
import zlib
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import aiohttp
import pytest

from evalkit.errors import ConfigError, RetryLater
from evalkit.models.http import session as http_session
from evalkit.models.http.session import HttpAnswer, HttpSession, proxy_of

PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")

Act = Callable[[BaseHTTPRequestHandler, bytes], None]


class Server:
    """Answers every POST by ``act`` and keeps what it got."""

    def __init__(self) -> None:
        self.got: list[tuple[str, dict[str, str], bytes]] = []
        self.act: Act = lambda handler, _: reply(handler, b"{}")
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): text for name, text in self.headers.items()}
                owner.got.append((self.path, headers, body))
                owner.act(self, body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/a"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def reply(handler: BaseHTTPRequestHandler, body: bytes, status: int = 200, **headers: str) -> None:
    """Send a whole answer."""
    handler.send_response(status)
    for name, text in {"content-length": str(len(body)), **headers}.items():
        handler.send_header(name.replace("_", "-"), text)
    handler.end_headers()
    handler.wfile.write(body)


@pytest.fixture
def server() -> Iterator[Server]:
    """Yield a server that is closed afterwards."""
    opened = Server()
    yield opened
    opened.server.shutdown()
    opened.server.server_close()


def post(url: str, body: bytes = b"{}", *, times: int = 1) -> list[HttpAnswer]:
    """Return the answers to ``times`` requests, one after the other over one session."""

    async def run() -> list[HttpAnswer]:
        session = HttpSession(connections=1, tls=ssl.create_default_context(), proxy=None)
        try:
            return [await session.post(url, {"X-Own": "1"}, body) for _ in range(times)]
        finally:
            await session.close()

    return asyncio.run(run())


def test_a_connection_that_breaks_is_an_error_and_nothing_is_sent_again(server: Server) -> None:
    """Also on a connection that has served before, where clients like to try anew by themselves."""
    answers = iter([True, False])

    def act(handler: BaseHTTPRequestHandler, _: bytes) -> None:
        if next(answers):
            reply(handler, b"{}")
        else:
            handler.close_connection = True

    server.act = act
    with pytest.raises(aiohttp.ClientError):
        post(server.url, times=2)
    assert len(server.got) == 2


def test_a_redirect_is_an_answer(server: Server) -> None:
    """It is not followed: the request holds a key."""
    server.act = lambda handler, _: reply(handler, b"moved", 307, location="http://127.0.0.1:1/elsewhere")
    assert [(answer.status, answer.text) for answer in post(server.url)] == [(307, "moved")]


def test_cookies_and_password_files_are_left_alone(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither goes out with any request."""
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    server.act = lambda handler, _: reply(handler, b"{}", set_cookie="a=b")
    post(server.url, times=2)
    assert all("cookie" not in headers and "authorization" not in headers for _, headers, _ in server.got)
    assert all(headers["x-own"] == "1" for _, headers, _ in server.got)


@pytest.mark.parametrize("size", [0, 1, 999_999, 1_000_000, 3_000_001])
def test_a_body_of_any_size_arrives_whole(server: Server, size: int) -> None:
    """Large ones go out in parts."""
    body = bytes(range(256)) * (size // 256 + 1)
    post(server.url, body[:size])
    assert server.got[0][2] == body[:size]


@pytest.mark.parametrize("packed", [False, True])
def test_an_endless_answer_is_cut_off(server: Server, packed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its size counts after unpacking."""
    monkeypatch.setattr(http_session, "MOST_BODY_BYTES", 200_000)
    body = b" " * 300_000
    headers = {"content_encoding": "deflate"} if packed else {}
    server.act = lambda handler, _: reply(handler, zlib.compress(body) if packed else body, **headers)
    with pytest.raises(RetryLater, match="larger than"):
        post(server.url)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32-le"])
def test_a_body_is_read_in_the_encoding_that_its_json_shows(server: Server, encoding: str) -> None:
    """Whatever the header says."""
    body = '{"a": "ü"}'.encode(encoding)
    server.act = lambda handler, _: reply(handler, body, content_type="application/json; charset=latin-1")
    assert post(server.url)[0].text == '{"a": "ü"}'


@pytest.mark.parametrize("path", ["/a%2Fb:c", "/odd%3Fname%26x%3D1:generateContent", "/a%20b"])
def test_an_address_goes_out_as_it_was_encoded(server: Server, path: str) -> None:
    """Nothing is decoded or encoded anew."""
    post(server.url.removesuffix("/a") + path)
    assert server.got[0][0] == path


@pytest.mark.parametrize(
    ("variables", "proxy"),
    [
        ({}, None),
        ({"HTTPS_PROXY": "http://p:3128"}, "http://p:3128"),
        ({"HTTPS_PROXY": "p:3128"}, "http://p:3128"),
        ({"ALL_PROXY": "http://p:1"}, "http://p:1"),
        ({"HTTP_PROXY": "http://p:1"}, None),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "api.example"}, None),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "example"}, None),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "other.example"}, "http://p:1"),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "*"}, None),
    ],
)
def test_the_proxy_of_the_environment_is_found(
    variables: dict[str, str], proxy: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the address's scheme, for hosts that are not exempt."""
    for name in (*PROXY_VARIABLES, *(name.lower() for name in PROXY_VARIABLES)):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert proxy_of("https://api.example/v1") == proxy


@pytest.mark.parametrize(
    "proxy",
    [
        "socks5://me:pass-w0rd@p:1",
        "foo://me:pass-w0rd@p",
        "http://me:pass-w0rd@",
        "http://me:pass-w0rd@p:99999",
        "http://me:pass-w0rd@p:port",
        "http://me:pass-w0rd@[::1",
        "me:pass-w0rd@[",
    ],
)
@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "ALL_PROXY"])
def test_a_proxy_that_cannot_be_used_is_refused(
    variable: str, proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is sent, and without its password."""
    for name in (*PROXY_VARIABLES, *(name.lower() for name in PROXY_VARIABLES)):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, proxy)
    with pytest.raises(ConfigError, match=r"proxy.*NO_PROXY") as refused:
        proxy_of("https://api.example/")
    assert "pass-w0rd" not in "".join(traceback.format_exception(refused.value))
