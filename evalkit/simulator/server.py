"""HTTP plumbing of the local Gemini: a threaded server on the loopback interface."""

from __future__ import annotations

import socket
import socketserver
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from evalkit.errors import ConfigError, nearest
from evalkit.simulator.http import HttpRequest, LoggedRequest, Reply
from evalkit.simulator.personas import PERSONAS
from evalkit.simulator.routes import Service
from evalkit.simulator.wire_errors import bad_argument
from evalkit.types import Sample

HOST = "127.0.0.1"

MOST_BODY_BYTES = 256 * 1024**2
"""More than any request needs: inline pictures may have 100 MB, and files come in chunks of 8 MiB."""


class Simulator:
    """A running simulator; a context manager that stops it.

    ``requests``: the log, one entry per request, written before its reply is sent. ``peak_connections`` and
    ``peak_requests``: the most open connections, and requests under way, at any time.
    """

    def __init__(self, service: Service, port: int) -> None:
        self._service = service
        self._server = _Server((HOST, port), _Handler, service)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, name="simulator", daemon=True
        )
        self._thread.start()
        self.port = int(self._server.server_address[1])
        self.base_url = f"http://{HOST}:{self.port}"

    def url_for(self, persona: str) -> str:
        """Return the base URL under which ``persona`` answers, whatever the model.

        Raises ``ConfigError`` for an unknown persona.
        """
        if persona not in PERSONAS:
            raise ConfigError(f"there is no persona '{persona}'.{nearest(persona, PERSONAS)}")
        return f"{self.base_url}/persona/{persona}"

    @property
    def requests(self) -> list[LoggedRequest]:
        """Return the request log."""
        return self._service.requests

    @property
    def peak_connections(self) -> int:
        """Return the most connections that were open at once."""
        return self._server.connections.peak

    @property
    def peak_requests(self) -> int:
        """Return the most requests that were being answered at once."""
        return self._server.in_flight.peak

    def advance_clock(self, seconds: float) -> None:
        """Let the service's clock jump ahead: files expire, batch jobs move on."""
        self._service.advance_clock(seconds)

    def close(self) -> None:
        """Stop: hanging replies end, connections close, the port is free again. Twice is harmless."""
        self._service.closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.close_connections()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def start_simulator(
    samples: Iterable[Sample],
    *,
    seed: int = 0,
    port: int = 0,
    faults: Sequence[Mapping[str, Any]] = (),
    latency_s: float = 0.05,
) -> Simulator:
    """Start a local Gemini that knows ``samples``, on ``port`` (0 = any free one).

    ``seed`` decides every error that the personas make; ``faults`` are those of ``simulator.faults``;
    ``latency_s`` is the median time of an answer, in seconds.
    Raises ``ConfigError`` for a malformed fault or a port that is taken.
    """
    service = Service(samples, seed=seed, faults=faults, latency_s=latency_s)
    try:
        return Simulator(service, port)
    except OSError as error:
        raise ConfigError(
            f"the simulator cannot listen on {HOST}:{port}: {error.strerror or error}. Give another --port."
        ) from error


class _PeakCounter:
    """Counts what is under way, and the most there ever was."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._now = 0
        self.peak = 0

    def __enter__(self) -> Self:
        with self._lock:
            self._now += 1
            self.peak = max(self.peak, self._now)
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._now -= 1


class _Server(ThreadingHTTPServer):
    request_queue_size = 1024
    daemon_threads = True

    def __init__(
        self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler], service: Service
    ) -> None:
        self.service = service
        self.connections = _PeakCounter()
        self.in_flight = _PeakCounter()
        self._open: set[socket.socket] = set()
        self._open_lock = threading.Lock()
        super().__init__(address, handler)

    def server_bind(self) -> None:
        """Bind without the reverse name look-up of the standard library, which can take seconds."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = HOST, int(self.server_address[1])

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve one connection until either side closes it."""
        with self._open_lock:
            self._open.add(request)
        try:
            with self.connections:
                super().process_request_thread(request, client_address)
        finally:
            with self._open_lock:
                self._open.discard(request)

    def close_connections(self) -> None:
        """Shut every open connection, so that idle keep-alive threads end."""
        with self._open_lock:
            for connection in self._open:
                _shut(connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay quiet about connections that the client dropped; show everything else."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "evalkit-simulator"
    sys_version = ""
    disable_nagle_algorithm = True
    wbufsize = -1
    server: _Server

    def do_GET(self) -> None:
        """Answer one request."""
        self._serve()

    do_POST = do_DELETE = do_GET  # noqa: N815  # the standard library's names

    def log_message(self, format: str, *_args: Any) -> None:  # noqa: A002
        """Stay silent: the request log is in memory."""

    def version_string(self) -> str:
        """Return the Server header: the one place that names the simulator."""
        return self.server_version

    def _serve(self) -> None:
        with self.server.in_flight:
            length = self._body_length()
            if length is None:
                # What follows cannot be told from a next request.
                self.close_connection = True
                reply = Reply(400, bad_argument(f"Content-Length must be at most {MOST_BODY_BYTES}.").body())
            else:
                reply = self.server.service.handle(self._read(length))
            if reply.wait_s > 0:
                self.server.service.closing.wait(reply.wait_s)
            self._send(reply)

    def _body_length(self) -> int | None:
        """Return the bytes of the body, None where the header is no number or more than a request may have."""
        said = (self.headers.get("Content-Length") or "0").strip()
        if not (said.isascii() and said.isdecimal()) or len(said) > 12 or "Transfer-Encoding" in self.headers:
            return None
        return int(said) if int(said) <= MOST_BODY_BYTES else None

    def _read(self, length: int) -> HttpRequest:
        parts = urlsplit(self.path)
        return HttpRequest(
            method=self.command,
            path=parts.path,
            query=dict(parse_qsl(parts.query)),
            headers={name.lower(): value for name, value in self.headers.items()},
            body=self.rfile.read(length),
            origin=f"http://{HOST}:{self.server.server_port}",
        )

    def _send(self, reply: Reply) -> None:
        if reply.manner == "hang":
            self.server.service.closing.wait(reply.pause_s)
        if reply.manner in ("hang", "reset"):
            self._cut()
            return
        self.send_response(reply.http_status)
        self.send_header("Content-Type", reply.content_type)
        self.send_header("Content-Length", str(len(reply.body)))
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.end_headers()
        if reply.manner == "truncated":
            self.wfile.write(reply.body[: len(reply.body) // 2])
            self._cut()
        elif reply.manner == "trickle":
            self._trickle(reply)
        else:
            self.wfile.write(reply.body)

    def _trickle(self, reply: Reply) -> None:
        for position in range(len(reply.body)):
            self.wfile.write(reply.body[position : position + 1])
            self.wfile.flush()
            if self.server.service.closing.wait(reply.pause_s):
                self._cut()
                return

    def _cut(self) -> None:
        """End the connection on both sides, whatever was promised."""
        self.wfile.flush()
        self.close_connection = True
        _shut(self.connection)


def _shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # the client was faster
