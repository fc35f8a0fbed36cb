"""The simulated service without its sockets: routes, credentials, faults, the request log."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from evalkit.errors import DataError
from evalkit.simulator import chat_wire, segment_wire, vertex_wire, wire_errors
from evalkit.simulator import model_table as catalogue
from evalkit.simulator.answering import Responder, TimedMessage, check_persona, known_model
from evalkit.simulator.batch_api import BatchStore
from evalkit.simulator.faults import WIRE_KINDS, InjectedFault, Schedule
from evalkit.simulator.files_api import FileStore
from evalkit.simulator.gemini_wire import parse_json
from evalkit.simulator.http import Call, HttpRequest, LoggedRequest, Reply, ReplyMode, json_reply
from evalkit.simulator.sample_index import SampleIndex
from evalkit.simulator.wire_errors import ApiError
from evalkit.types import Sample

PERSONA_PREFIX = re.compile(r"^/persona/(?P<persona>[^/]+)(?P<rest>/.*)$")

VERSION = r"/(?P<version>v1|v1beta|v1beta1)"
MODEL = r"(?:projects/[^/]+/locations/[^/]+/)?(?:publishers/google/)?models/(?P<model>[^/:]+)"
FILE = r"/files/(?P<name>[^/:]+)"
BATCH = r"/batches/(?P<name>[^/:]+)"

ROUTES: dict[tuple[str, str], tuple[str, str]] = {
    ("POST", VERSION + "/" + MODEL + ":generateContent"): ("generate", "generate"),
    ("POST", VERSION + "/" + MODEL + ":predict"): ("generate", "predict"),
    ("POST", r"/(?P<version>v1)/chat/completions"): ("generate", "chat"),
    ("POST", r"/(?P<version>v1)/segment"): ("generate", "segment"),
    ("POST", VERSION + "/" + MODEL + ":countTokens"): ("count", "count_tokens"),
    ("POST", VERSION + "/" + MODEL + ":batchGenerateContent"): ("batch", "create_batch"),
    ("GET", VERSION + "/" + MODEL): ("models", "get_model"),
    ("GET", VERSION + "/(?:publishers/google/)?models"): ("models", "list_models"),
    ("POST", "/upload" + VERSION + "/files"): ("files", "upload"),
    ("GET", VERSION + "/files"): ("files", "list_files"),
    ("GET", VERSION + FILE): ("files", "get_file"),
    ("DELETE", VERSION + FILE): ("files", "delete_file"),
    ("GET", "(?:/download)?" + VERSION + FILE + ":download"): ("files", "download_file"),
    ("GET", VERSION + "/batches"): ("batch_poll", "list_batches"),
    ("GET", VERSION + BATCH): ("batch_poll", "get_batch"),
    ("DELETE", VERSION + BATCH): ("batch_poll", "delete_batch"),
    ("POST", VERSION + BATCH + ":cancel"): ("batch_poll", "cancel_batch"),
}
"""(HTTP method, path) -> (operation that faults filter by, handler)."""

CHAT_HANDLERS = ("chat", "segment")
"""Handlers whose errors have the shape of chat services."""

MANNERS: dict[str, ReplyMode] = {
    "hang": "hang",
    "trickle": "trickle",
    "reset": "reset",
    "truncated_body": "truncated",
}

UNSENT = ("hang", "reset")
"""Ways of replying in which no status line leaves the simulator."""


class Service:
    """Answers requests; everything that a request can change is behind a lock."""

    def __init__(
        self,
        samples: Iterable[Sample],
        *,
        seed: int,
        faults: Sequence[Mapping[str, Any]],
        latency_s: float,
    ) -> None:
        self.requests: list[LoggedRequest] = []
        self.closing = threading.Event()
        self._ahead_s = 0.0
        self._files = FileStore(self.now_s)
        schedule = Schedule(faults, seed)
        self._responder = Responder(SampleIndex(samples), self._files, schedule, seed, latency_s)
        self._batches = BatchStore(self._responder, self.now_s, self.closing)
        self._handlers: dict[str, Callable[[Call], Reply]] = {
            "generate": self._generate,
            "predict": self._predict,
            "chat": self._chat,
            "segment": self._segment,
            "count_tokens": self._count_tokens,
            "create_batch": self._batches.create,
            "get_model": self._get_model,
            "list_models": self._list_models,
            "upload": self._upload,
            "list_files": self._with_faults(self._files.list_all),
            "get_file": self._with_faults(self._files.get),
            "delete_file": self._with_faults(self._files.delete),
            "download_file": self._with_faults(self._files.download),
            "list_batches": self._batches.list_all,
            "get_batch": self._batches.get,
            "delete_batch": self._batches.delete,
            "cancel_batch": self._batches.cancel,
        }

    def now_s(self) -> float:
        """Return the service's own Unix time."""
        return time.time() + self._ahead_s

    def advance_clock(self, seconds: float) -> None:
        """Let the service's clock (file and batch life times) jump ahead."""
        self._ahead_s += seconds

    def handle(self, incoming: HttpRequest) -> Reply:
        """Return the reply to one request, and log it."""
        arrived_s = time.time()
        call, handler = _route(incoming)
        try:
            if handler is None:
                raise wire_errors.not_found(incoming.path)
            _check_credentials(incoming, handler)
            if call.persona is not None:
                check_persona(call.persona)
            reply = self._handlers[handler](call)
        except ApiError as error:
            reply = chat_wire.error_reply(error) if handler in CHAT_HANDLERS else _refused(error)
        except RecursionError:
            reply = _refused(wire_errors.bad_argument("The request is nested too deeply."))
        except DataError as error:
            reply = _refused(wire_errors.ApiError(500, "INTERNAL", f"Ground truth cannot be read: {error}"))
        status = None if reply.manner in UNSENT else reply.http_status
        self.requests.append(
            LoggedRequest(
                arrived_s,
                incoming.method,
                incoming.path,
                call.operation,
                call.persona,
                call.model,
                status,
                call.sample_id,
                call.fault,
            )
        )
        return reply

    def _generate(self, call: Call) -> Reply:
        _check_deadline(call.incoming)
        return _http_reply(self._responder.respond(call, parse_json(call.incoming.body)))

    def _predict(self, call: Call) -> Reply:
        return _http_reply(vertex_wire.predict(self._responder, call, parse_json(call.incoming.body)))

    def _chat(self, call: Call) -> Reply:
        return _http_reply(chat_wire.complete(self._responder, call, parse_json(call.incoming.body)))

    def _segment(self, call: Call) -> Reply:
        return _http_reply(segment_wire.segment(self._responder, call, parse_json(call.incoming.body)))

    def _count_tokens(self, call: Call) -> Reply:
        return json_reply(self._responder.count(call, parse_json(call.incoming.body)))

    def _get_model(self, call: Call) -> Reply:
        model, _ = known_model(call, "getModel")
        injected = self._responder.inject_fault(call, "model")
        return _http_reply(TimedMessage(_model_message(model), injected, 0.0))

    def _list_models(self, call: Call) -> Reply:
        injected = self._responder.inject_fault(call, "models")
        served = [name for name, known in catalogue.MODELS.items() if not known.gone]
        return _http_reply(TimedMessage({"models": [_model_message(name) for name in served]}, injected, 0.0))

    def _upload(self, call: Call) -> Reply:
        if "upload_id" in call.incoming.query:
            return self._files.receive_chunk(call.incoming)
        return self._with_faults(self._files.start_upload)(call)

    def _with_faults(self, handler: Callable[[Call], Reply]) -> Callable[[Call], Reply]:
        def faulty(call: Call) -> Reply:
            injected = self._responder.inject_fault(call, call.incoming.path)
            reply = handler(call)
            return _with_connection_fault(reply, injected) if injected else reply

        return faulty


def _route(incoming: HttpRequest) -> tuple[Call, str | None]:
    """Return what a path asks for and its handler's name; None for a path that there is not."""
    prefixed = PERSONA_PREFIX.match(incoming.path)
    persona = prefixed["persona"] if prefixed else None
    path = prefixed["rest"] if prefixed else incoming.path
    for (method, pattern), (operation, handler) in ROUTES.items():
        found = re.fullmatch(pattern, path) if method == incoming.method else None
        if found:
            parts = found.groupdict()
            call = Call(incoming, operation, parts["version"], parts.get("model"), persona)
            call.name = parts.get("name") or ""
            return call, handler
    return Call(incoming, "unknown", "", None, persona), None


def _check_credentials(incoming: HttpRequest, handler: str) -> None:
    """Raise ``ApiError`` where there is no credential, or the key is literally ``invalid``."""
    key = incoming.headers.get("x-goog-api-key") or incoming.query.get("key")
    given = (key, incoming.headers.get("authorization"), incoming.headers.get("x-moondream-auth"))
    if any(one in ("invalid", "Bearer invalid") for one in given):
        raise wire_errors.bad_key()
    if handler == "segment":  # served locally, it asks for no key
        return
    is_chunk = handler == "upload" and "upload_id" in incoming.query
    if not key and "authorization" not in incoming.headers and not is_chunk:
        raise wire_errors.missing_key()


def _check_deadline(incoming: HttpRequest) -> None:
    """Raise ``ApiError`` 400 for a server time-out below 10 s, as the service does."""
    timeout_s = incoming.headers.get("x-server-timeout")
    try:
        is_short = timeout_s is not None and float(timeout_s) < 10
    except ValueError:
        raise wire_errors.bad_argument(f"Invalid deadline {timeout_s!r:.40}.") from None
    if is_short:
        raise wire_errors.bad_argument(f"Manually set deadline {timeout_s}s is too short. Minimum is 10s.")


def _refused(error: ApiError) -> Reply:
    return Reply(error.http_status, error.body())


def _http_reply(timed: TimedMessage) -> Reply:
    """Return the HTTP reply of an answer, after its latency, with what a fault makes of it."""
    reply = json_reply(timed.message, wait_s=timed.latency_s)
    return _with_connection_fault(reply, timed.injected) if timed.injected else reply


def _with_connection_fault(reply: Reply, injected: InjectedFault) -> Reply:
    """Return the reply as a fault of the connection lets it through; other faults change nothing here."""
    kind, settings = injected.kind, injected.settings
    if kind not in WIRE_KINDS:
        return reply
    if kind == "non_json_200":
        return replace(reply, body=settings["body"].encode(), content_type="text/html; charset=UTF-8")
    if kind == "empty_body":
        return replace(reply, body=b"")
    if kind == "error_200":
        return replace(reply, body=wire_errors.unavailable().body())
    if kind == "slow":
        return replace(reply, wait_s=reply.wait_s + settings["seconds"])
    pause_s = settings.get("seconds", settings.get("seconds_per_byte", 0.0))
    return replace(reply, manner=MANNERS[kind], pause_s=pause_s)


def _model_message(name: str) -> dict[str, Any]:
    known = catalogue.MODELS[name]
    return {
        "name": f"models/{name}",
        "version": name.removeprefix("gemini-"),
        "displayName": name.replace("-", " ").title(),
        "inputTokenLimit": 1048576,
        "outputTokenLimit": 65536,
        "supportedGenerationMethods": ["generateContent", "countTokens", "batchGenerateContent"],
        "thinking": bool(known.thinking_budget or known.thinking_levels),
    }
