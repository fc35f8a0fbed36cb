"""One google-genai client per model entry, with every hidden behaviour of the SDK pinned.

Questions go out over an own session (``models.http.session``); addresses, keys and errors are the SDK's. Pinned for
all else that the SDK sends (uploads, batch jobs, look-ups): the transport (our own httpx2 client: the SDK would take
aiohttp and re-send on its own), no SDK retries, the API version, Developer API or Vertex whatever the
environment says, the base URL. The key is read here, goes nowhere but into the client, and is
blanked out of every text that leaves this module's users (``Secrets``).
"""

from __future__ import annotations

import datetime as dt
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import quote, urlsplit

from evalkit.config.shown import secrets_of, shown_address
from evalkit.errors import ConfigError, SystemFault
from evalkit.models.google.api_errors import classify
from evalkit.models.http.keys import sendable_key
from evalkit.models.http.session import HttpAnswer, HttpSession
from evalkit.models.http.transport import (
    Secrets,
    is_loopback,
    open_session,
    open_transport,
    trusted_certificates,
)
from evalkit.models.known_models import availability

if TYPE_CHECKING:
    import httpx2
    from google.auth.credentials import Credentials
    from google.genai import Client

GOOGLE_BASE_URL = "https://generativelanguage.googleapis.com/"
KEY_VARIABLES = ("GOOGLE_API_KEY", "GEMINI_API_KEY")
"""Where a key is looked for; the first that is set wins, as in the SDK."""

LOOPBACK_KEY = "local-endpoint-needs-no-key"
LOOPBACK_PROJECT, LOOPBACK_LOCATION = "local", "us-central1"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An open client with the transports that it does not close itself; see ``models.http.calls.Connection``.

    ``place``: project and region on Vertex AI, which answers are told apart by.
    """

    client: Client
    transport: httpx2.AsyncClient
    session: HttpSession
    address: str
    secrets: Secrets
    place: dict[str, str] = field(default_factory=dict)

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """What the SDK raises for an answer that is an error."""
        from google.genai.errors import APIError

        return (APIError,)

    def fault_of(self, error: Any, model: str) -> SystemFault:
        """Return the typed error of an SDK error, the key blanked out of all that it says."""
        return classify(
            error.code,
            json.loads(self.secrets.redact_body(json.dumps(error.details, default=str))),
            getattr(error.response, "headers", None),
            model=model,
            availability=availability(model, dt.datetime.now(dt.UTC).date()),
        )

    async def generate(self, model: str, body: dict[str, Any]) -> str:
        """Send exactly one ``generateContent`` request with this JSON body; return the raw answer.

        Raises what the SDK raises, from the same bodies.
        """
        path = f"{resource_name(model, vertexai=bool(self.client.vertexai))}:generateContent"
        url, headers = await self._address_of(path)
        answer = await self.session.post(url, headers, json.dumps(body).encode())
        if answer.status != 200:
            await raise_error(answer)
        return self.secrets.redact_body(answer.text)

    async def _address_of(self, path: str) -> tuple[str, dict[str, str]]:
        """Return where a request goes and its headers, with the key or the access token, as the SDK makes them."""
        api = self.client._api_client  # noqa: SLF001  (where every method of the SDK's client ends)
        request = api._build_request("post", path, {})  # noqa: SLF001
        headers = dict(request.headers)
        signs_in_by_address = "@" in urlsplit(request.url).netloc
        if api.vertexai and not api.api_key and not signs_in_by_address:
            headers["Authorization"] = f"Bearer {await api._async_access_token()}"  # noqa: SLF001
            quota_project = getattr(api._credentials, "quota_project_id", None)  # noqa: SLF001
            if quota_project:
                headers["x-goog-user-project"] = quota_project
        return request.url, headers

    async def close(self) -> None:
        """Close every connection."""
        await self.client.aio.aclose()
        self.client.close()
        await self.transport.aclose()
        await self.session.close()


async def raise_error(answer: HttpAnswer) -> NoReturn:
    """Raise the SDK's error for an answer that is none; its body need not be JSON."""
    from google.genai.errors import APIError

    try:
        details = json.loads(answer.text)
    except (ValueError, RecursionError):  # no JSON, endlessly nested, or a number of thousands of digits
        details = {"message": answer.text, "status": answer.reason}
    await APIError.raise_error_async(answer.status, details, answer)
    raise AssertionError("raise_error_async raises")


def resource_name(model: str, *, vertexai: bool) -> str:
    """Return a model id as the API's resource name, percent-encoded; whole resource names stay as they are."""
    name = quote(model, safe="/-._~@:")
    if name.startswith(("models/", "tunedModels/", "publishers/", "projects/")):
        return name
    return f"publishers/google/models/{name}" if vertexai else f"models/{name}"


def key_of(environment: Mapping[str, str] | None = None) -> str | None:
    """Return the API key that the environment holds, stripped, or None.

    Raises ``ConfigError`` where it has a character that no key has: a line break or an ellipsis that was copied along.
    """
    environment = os.environ if environment is None else environment
    for name in KEY_VARIABLES:
        key = sendable_key(name, environment)
        if key:
            return key
    return None


def require_access(name: str, base_url: str | None, *, vertexai: bool) -> None:
    """Raise ``ConfigError`` where model ``name`` has no key (Vertex: no credentials) for its endpoint."""
    _refuse_replay()
    if is_loopback(base_url):
        return
    if vertexai:
        _credentials(name)
    elif key_of() is None:
        raise ConfigError(
            f"model '{name}' needs an API key and none is set: export GEMINI_API_KEY=... (or GOOGLE_API_KEY) and "
            "run the same command again. Keys are made at aistudio.google.com/apikey. To try a config without "
            "one, use `provider: simulator`; a dry run needs none. Nothing was sent"
        )


def open_developer_endpoint(
    name: str,
    base_url: str | None,
    *,
    connections: int,
    timeout_s: float,
    own_key: bool = True,
    written: str | None = None,
) -> Endpoint:
    """Return a client of the Gemini Developer API, or of another endpoint that speaks it.

    ``own_key``: False leaves the user's key out of it (the simulator). ``written``: ``base_url`` as it stands in the
    config where variables were filled in. Raises ``ConfigError`` where
    there is no key and the endpoint is not local.
    """
    from google import genai
    from google.genai.types import HttpOptions

    key = key_of() if own_key else None
    if own_key:
        require_access(name, base_url, vertexai=False)
    transport, session = _transports(base_url, connections, timeout_s)
    client = genai.Client(
        vertexai=False,
        api_key=key or LOOPBACK_KEY,
        http_options=HttpOptions(
            base_url=base_url or GOOGLE_BASE_URL,
            api_version="v1beta",
            timeout=round(timeout_s * 1000),
            httpx_async_client=transport,
        ),
    )
    address = shown_address(base_url or GOOGLE_BASE_URL, written)
    return Endpoint(client, transport, session, address, Secrets(key, secrets_of(base_url, written)))


def open_vertex_endpoint(
    name: str,
    base_url: str | None,
    *,
    project: str | None,
    location: str | None,
    connections: int,
    timeout_s: float,
    written: str | None = None,
) -> Endpoint:
    """Return a client of Vertex AI with application default credentials; a local endpoint needs none.

    Raises ``ConfigError`` without credentials or a project.
    """
    from google import genai
    from google.genai.types import HttpOptions

    local = is_loopback(base_url)
    _refuse_replay()
    credentials, own_project = (_local_credentials(), LOOPBACK_PROJECT) if local else _credentials(name)
    project = project or os.environ.get("GOOGLE_CLOUD_PROJECT") or own_project
    location = (
        location or os.environ.get("GOOGLE_CLOUD_LOCATION") or (LOOPBACK_LOCATION if local else "global")
    )
    if project is None:
        raise ConfigError(
            f"model '{name}' runs on Vertex AI, which needs a project: write `project: my-project` at the model "
            "or export GOOGLE_CLOUD_PROJECT=... Nothing was sent"
        )
    transport, session = _transports(base_url, connections, timeout_s)
    client = genai.Client(
        vertexai=True,
        project=project,
        location=location,
        credentials=credentials,
        http_options=HttpOptions(
            base_url=base_url,
            api_version="v1beta1",
            timeout=round(timeout_s * 1000),
            httpx_async_client=transport,
        ),
    )
    address = shown_address(base_url, written) if base_url else f"Vertex AI in {location}"
    place = {"project": project, "region": location}
    return Endpoint(client, transport, session, address, Secrets(None, secrets_of(base_url, written)), place)


def _transports(
    base_url: str | None, connections: int, timeout_s: float
) -> tuple[httpx2.AsyncClient, HttpSession]:
    """Return our own connection pools, for the SDK and for questions, trusting the same certificates.

    Raises ``ConfigError`` where the environment's proxy cannot be used.
    """
    address, tls = base_url or GOOGLE_BASE_URL, trusted_certificates()
    return open_transport(address, connections, timeout_s, tls), open_session(address, connections, tls)


def _refuse_replay() -> None:
    mode = os.environ.get("GOOGLE_GENAI_CLIENT_MODE")
    if mode and mode != "api":
        raise ConfigError(
            f"GOOGLE_GENAI_CLIENT_MODE={mode} is set: the SDK would replay recorded answers instead of asking. "
            "Unset it"
        )


def _local_credentials() -> Credentials:
    from google.oauth2.credentials import Credentials as Token

    return Token("local-endpoint-needs-no-token")  # type: ignore[no-untyped-call]


def _credentials(name: str) -> tuple[Credentials, str | None]:
    import google.auth
    from google.auth.exceptions import DefaultCredentialsError

    try:
        found = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
    except DefaultCredentialsError as error:
        raise ConfigError(
            f"model '{name}' runs on Vertex AI and there are no application default credentials: run "
            "`gcloud auth application-default login`, or export GOOGLE_APPLICATION_CREDENTIALS=FILE (and "
            "NO_GCE_CHECK=true to skip the look-up of a cloud machine's own account). Nothing was sent"
        ) from error
    credentials, project = found
    return credentials, project
