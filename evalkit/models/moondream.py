"""``provider: moondream``: one image and one phrase to ``/segment``, hosted or local; the answer is an SVG path.

Also the pattern of a further HTTP service: an entry, a model whose ``_send`` posts one request, a reader of stored bodies,
the record. Wire format: the client `moondream` 2.6.1, read 2026-11-25.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field

from evalkit.config.address import Address
from evalkit.config.models import ModelEntry
from evalkit.config.shown import secrets_of, shown_address
from evalkit.errors import DataError
from evalkit.models.base import Question
from evalkit.models.bodies import json_object, mapping, word
from evalkit.models.http.background import request_background
from evalkit.models.http.calls import ServiceModel
from evalkit.models.http.connection import JsonConnection
from evalkit.models.http.errors import no_answer
from evalkit.models.http.keys import key_words, require_key
from evalkit.models.http.transport import Secrets, open_session
from evalkit.models.provider import Provider, ProviderContext
from evalkit.types import SIMULATED_ID, AskedFormat, Response, Sample

if TYPE_CHECKING:
    from evalkit.config.schema import RunConfig

HOSTED_URL = "https://api.moondream.ai/v1"
HOSTED_KEY = "MOONDREAM_API_KEY"

SIDES = ("x_min", "y_min", "x_max", "y_max")

ASKED = AskedFormat(
    wire_format="svg_path", keys=("path", "bbox"), box_order="xyxy", point_order="xy", unit="norm1"
)


class MoondreamConfig(ModelEntry):
    """Moondream 3 and later behind ``/segment``; it is asked with the expression itself and needs no prompt."""

    provider: Literal["moondream"] = Field(description="moondream's segmentation")
    model: str | None = Field(
        default=None, description="which of the service's models; null = the service's own choice"
    )
    base_url: Address = Field(
        default=None, description="a local server, up to /v1; null = moondream's own service"
    )
    api_key_env: str | None = Field(
        default=None,
        description="environment variable that holds the key; null = MOONDREAM_API_KEY at moondream, none elsewhere",
    )
    settings: dict[str, Any] = Field(default_factory=dict, description="sent as `settings`, as it stands")

    @property
    def key_variable(self) -> str | None:
        """Return the variable that holds the key, None where none is sent."""
        hosted = self.base_url is None or urlsplit(self.base_url).hostname == urlsplit(HOSTED_URL).hostname
        return self.api_key_env or (HOSTED_KEY if hosted else None)


class Moondream(ServiceModel):
    """One moondream at one endpoint; see ``evalkit.models.base.Model``."""

    def __init__(self, entry: MoondreamConfig, connection: JsonConnection) -> None:
        super().__init__(entry.name, entry.model or "moondream", connection, timeout_s=entry.limits.timeout_s)
        self.service = connection
        self.settings = {"model": entry.model, "settings": entry.settings or None}

    def prompt_for(self, sample: Sample) -> str:
        """Return the expression itself."""
        return sample.expression

    async def _send(self, question: Question) -> Response:
        """Send one request."""
        body = await self.service.post("/segment", self.body_of(question), self.requested_model)
        data = json_object(body)
        if data is None or not isinstance(data.get("path"), str):
            raise no_answer(body, model=self.requested_model, key_variable=self.service.key_words)
        return read_segment_body(body)

    def body_of(self, question: Question) -> dict[str, Any]:
        """Return the whole JSON request for a question: only what is set."""
        image = question.image
        assert image is not None, "segmentation needs the image"
        url = f"data:{image.mime_type};base64,{base64.b64encode(image.data).decode('ascii')}"
        asked = {"image_url": url, "object": question.prompt, "stream": False}
        return asked | {key: value for key, value in self.settings.items() if value is not None}

    def background(self) -> dict[str, str]:
        """Return what every request holds besides its question, see ``request_background``."""
        return request_background(self.settings, None, ())


def read_segment_body(body: str) -> Response:
    """Return the answer in a stored body: one item with the path and its box, for the decoder to read.

    An empty path without a box says that nothing was found (documented nowhere; there is no other word for it).
    Raises ``DataError`` where the body is no JSON object.
    """
    data = json_object(body)
    if data is None:
        raise DataError(f"a stored moondream answer is not a JSON object: it begins {body[:60]!r}")
    return Response(
        body=body,
        text=_items_text(data),
        simulated=(word(data.get("request_id")) or "").startswith(SIMULATED_ID),
    )


def _items_text(data: Mapping[str, Any]) -> str:
    path, box = data.get("path"), mapping(data.get("bbox"))
    if not path and not box:
        return "[]"
    item = {"path": path}
    return json.dumps([item | {"bbox": [box.get(side) for side in SIDES]} if box else item])


def open_moondream(entry: MoondreamConfig, context: ProviderContext | None = None) -> Moondream:
    """Return the model. Raises ``ConfigError`` where the key's variable is not set."""
    del context
    base_url = entry.base_url or HOSTED_URL
    key = require_key(entry.name, entry.key_variable)
    connection = JsonConnection(
        session=open_session(base_url, entry.limits.concurrency),
        base_url=base_url,
        headers={"X-Moondream-Auth": key} if key else {},
        address=shown_address(base_url, entry.written("base_url")),
        secrets=Secrets(key, secrets_of(base_url, entry.written("base_url"))),
        key_words=key_words(entry.key_variable),
    )
    return Moondream(entry, connection)


def check_access(entry: MoondreamConfig) -> None:
    """Raise ``ConfigError`` where the key's variable is not set."""
    require_key(entry.name, entry.key_variable)


def background_of(entry: MoondreamConfig, model: Moondream, run: RunConfig) -> dict[str, str]:
    """Return the endpoint's address and what every request holds."""
    del entry, run
    return {"endpoint": model.connection.address} | model.background()


PROVIDER = Provider(
    entry=MoondreamConfig,
    open=open_moondream,
    read_body=read_segment_body,
    asked=lambda entry, run: ASKED,  # noqa: ARG005
    access=check_access,
    requested_model=lambda entry: entry.model or "moondream",
    background=background_of,
)
