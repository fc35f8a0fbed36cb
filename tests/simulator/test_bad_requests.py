"""Requests that no client of Google's sends: one 400 each, and the simulator goes on."""

from __future__ import annotations

import http.client
import socket
from typing import Any
from urllib.parse import urlsplit

import pytest

GENERATE = "/v1beta/models/gemini-2.5-flash:generateContent"


def status_of(base_url: str, path: str, body: bytes, **headers: str) -> int:
    """Return the HTTP status of one request."""
    connection = http.client.HTTPConnection(urlsplit(base_url).netloc, timeout=10)
    try:
        connection.request("POST", path, body, {"x-goog-api-key": "k"} | headers)
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.parametrize(
    "said", ["-1", "abc", "1e3", "99999999999999999999", "999999999999", "\u00b2", "0x10"]
)
def test_a_bad_content_length_is_400(start: Any, said: str) -> None:
    """It is answered, not waited for, and the next connection is served."""
    base_url = start().base_url
    host, port = urlsplit(base_url).netloc.split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        head = f"POST {GENERATE} HTTP/1.1\r\nHost: x\r\nx-goog-api-key: k\r\nContent-Length: {said}\r\n\r\n"
        connection.sendall(head.encode("latin-1"))
        assert connection.recv(100).startswith(b"HTTP/1.1 400 ")
    assert status_of(base_url, GENERATE, b"{}") == 400


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"contents":' + b"[" * 900 + b"]" * 900 + b"}",
        b"\xff",
        b"3",
        b"null",
    ],
)
def test_deep_and_damaged_json_is_400(start: Any, body: bytes) -> None:
    """However deep."""
    assert status_of(start().base_url, GENERATE, body) == 400


@pytest.mark.parametrize(
    ("header", "said"),
    [("x-goog-upload-header-content-length", "abc"), ("x-goog-upload-header-content-length", "9" * 15)],
)
def test_uploads_announce_a_size_that_can_be(start: Any, header: str, said: str) -> None:
    """Else they do not begin."""
    headers = {"x-goog-upload-command": "start", header: said}
    assert status_of(start().base_url, "/upload/v1beta/files", b"{}", **headers) == 400


def test_uploads_grow_to_what_they_announced(start: Any) -> None:
    """A byte more is refused."""
    base_url = start().base_url
    connection = http.client.HTTPConnection(urlsplit(base_url).netloc, timeout=10)
    begin = {
        "x-goog-api-key": "k",
        "x-goog-upload-command": "start",
        "x-goog-upload-header-content-length": "4",
    }
    connection.request("POST", "/upload/v1beta/files", b"{}", begin)
    reply = connection.getresponse()
    reply.read()
    url = urlsplit(reply.headers["x-goog-upload-url"])
    connection.close()
    path = f"{url.path}?{url.query}"
    assert status_of(base_url, path, b"12345", **{"x-goog-upload-command": "upload"}) == 400
    assert (
        status_of(base_url, path, b"1234", **{"x-goog-upload-command": "upload", "x-goog-upload-offset": "x"})
        == 400
    )
    assert status_of(base_url, path, b"1234", **{"x-goog-upload-command": "upload, finalize"}) == 200
