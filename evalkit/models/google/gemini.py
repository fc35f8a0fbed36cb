"""Gemini through the real google-genai client: one question, one request, the raw body kept."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

from pydantic import Field

from evalkit.config.address import Address
from evalkit.config.models import PromptedEntry
from evalkit.config.prompts import Prompt, prompt_of
from evalkit.errors import RetryLater
from evalkit.models.base import Question
from evalkit.models.bodies import json_object
from evalkit.models.google.api_errors import no_answer
from evalkit.models.google.bodies import gemini_response, holds_answer, read_gemini_body
from evalkit.models.google.client import (
    Endpoint,
    open_developer_endpoint,
    open_vertex_endpoint,
    require_access,
)
from evalkit.models.google.describe import describe
from evalkit.models.google.request_body import (
    JsonObject,
    example_turns,
    request_body,
    request_settings,
    user_turn,
)
from evalkit.models.google.uploads import Uploads
from evalkit.models.http.background import request_background
from evalkit.models.http.calls import ServiceModel
from evalkit.models.known_models import generation_warnings, retirement_warnings, unknown_model_warnings
from evalkit.models.provider import Provider, ProviderContext
from evalkit.models.token_estimates import estimate_tokens
from evalkit.types import Response, Sample

if TYPE_CHECKING:
    from evalkit.config.schema import RunConfig


class GeminiConfig(PromptedEntry):
    """A Gemini model over the Developer API, over Vertex (``vertexai: true``) or any ``base_url``."""

    provider: Literal["gemini", "gemini-batch"] = Field(
        description="live requests, or jobs of the Batch API at half the price"
    )
    base_url: Address = Field(
        default=None, description="another endpoint: a proxy, `evalkit simulate`, a test server"
    )
    vertexai: bool = Field(default=False, description="Vertex AI in place of the Developer API")
    project: str | None = Field(default=None, description="Vertex: the Google Cloud project")
    location: str | None = Field(default=None, description="Vertex: the region")
    files_api_above_mb: float = Field(
        default=20.0, gt=0, description="images above this go through the Files API"
    )
    allow_routing: bool = Field(default=False, description="accept answers of another model version")
    batch: dict[str, Any] = Field(
        default_factory=dict, description="gemini-batch: poll_s, deadline_h, max_requests"
    )


class GeminiModel(ServiceModel):
    """One Gemini model at one endpoint; see ``evalkit.models.base.Model``."""

    def __init__(
        self,
        entry: GeminiConfig,
        prompt: Prompt,
        *,
        endpoint: Endpoint,
        directory: Path,
        uploads: Uploads | None = None,
        always_seed: bool = False,
    ) -> None:
        super().__init__(entry.name, entry.model, endpoint, entry.limits.timeout_s)
        self.entry = entry
        self.prompt = prompt
        self.endpoint = endpoint
        self.uploads = uploads or Uploads(endpoint, None)
        self.always_seed = always_seed
        self.examples = example_turns(prompt, directory)
        self.settings = request_settings(entry.generation, prompt)
        if not entry.vertexai:
            # Vertex AI keeps no requests by default and its API has no such field.
            self.settings["store"] = entry.generation.store

    def prompt_for(self, sample: Sample) -> str:
        """Return the text of the question about one sample."""
        return self.prompt.question_about(sample)

    async def _send(self, question: Question) -> Response:
        """Send one ``generateContent`` request."""
        from google.genai.errors import ClientError

        uploaded = await self._upload(question)
        try:
            body = await self.endpoint.generate(self.requested_model, self.body_of(question, uploaded))
        except ClientError as error:
            if uploaded is None or error.code != 403:
                raise
            self.uploads.forget(uploaded)
            raise RetryLater(
                f"{self.requested_model}: the uploaded image is no longer there (403)", http_status=403
            ) from None
        return self._response(body)

    def _response(self, body: str) -> Response:
        data = json_object(body)
        if data is None:
            raise RetryLater(
                f"{self.requested_model}: the endpoint answered 200 with what is not a JSON object: {body[:80]!r}",
                http_status=200,
                body=body,
            )
        if not holds_answer(data):
            raise no_answer(body, data, self.requested_model)
        return gemini_response(body, data)

    def body_of(self, question: Question, uploaded: str | None = None) -> JsonObject:
        """Return the whole JSON request for a question; ``uploaded``: the image's URI in place of its bytes."""
        image = question.image
        assert image is not None, "a Gemini model needs the image"
        generation = self.entry.generation
        turn = user_turn(image, question.prompt, generation.media_resolution, uploaded)
        return request_body(
            [*self.examples, turn], self.settings, self.seed_of(question), generation.extra_body
        )

    async def _upload(self, question: Question) -> str | None:
        """Return the URI of an image that is too large to go inline, uploading it where needed."""
        image = question.image
        if image is None or len(image.data) <= self.entry.files_api_above_mb * 1e6:
            return None
        return await self.uploads.uri_of(image)

    def background(self) -> dict[str, str]:
        """Return what every request holds besides its question, see ``request_background``."""
        return request_background(self.settings, self.entry.generation.extra_body, self.examples)

    def seed_of(self, question: Question) -> int | None:
        """Return the seed to send: the config's, moved on with the trial; None where none is set."""
        if self.entry.generation.seed is not None:
            return self.entry.generation.seed + question.trial
        return question.seed if self.always_seed else None


def open_gemini(
    entry: GeminiConfig, prompt: Prompt, *, directory: Path, state: Path | None, own_key: bool = True
) -> GeminiModel:
    """Return a Gemini model over the Developer API or Vertex. Raises ``ConfigError`` without a key.

    ``state``: the run's folder, where uploads are remembered. ``own_key``: False for the simulator.
    """
    limits = entry.limits
    if entry.vertexai:
        endpoint = open_vertex_endpoint(
            entry.name,
            entry.base_url,
            project=entry.project,
            location=entry.location,
            connections=limits.concurrency,
            timeout_s=limits.timeout_s,
            written=entry.written("base_url"),
        )
    else:
        endpoint = open_developer_endpoint(
            entry.name,
            entry.base_url,
            connections=limits.concurrency,
            timeout_s=limits.timeout_s,
            own_key=own_key,
            written=entry.written("base_url"),
        )
    uploads = Uploads(
        endpoint, None if state is None else state / f"uploads-{quote(entry.name, safe='')}.json"
    )
    return GeminiModel(
        entry, prompt, endpoint=endpoint, directory=directory, uploads=uploads, always_seed=not own_key
    )


def open_entry(entry: GeminiConfig, context: ProviderContext) -> GeminiModel:
    """Return the model of an entry. Raises ``ConfigError`` on an unknown prompt or without a key."""
    prompt = prompt_of(entry.prompt, context.run)
    return open_gemini(entry, prompt, directory=context.directory, state=context.state)


def check_entry(entry: GeminiConfig, run: RunConfig) -> None:
    """Raise ``ConfigError`` on an unknown prompt."""
    prompt_of(entry.prompt, run)


def check_access(entry: GeminiConfig) -> None:
    """Raise ``ConfigError`` without a key (Vertex: without credentials)."""
    require_access(entry.name, entry.base_url, vertexai=entry.vertexai)


def warnings_of(entry: GeminiConfig, day: dt.date) -> list[str]:
    """Return what is known to be wrong with the model or its settings on ``day``."""
    return [
        *unknown_model_warnings(entry.model),
        *retirement_warnings(entry.model, day),
        *generation_warnings(entry.model, entry.generation),
    ]


def background_of(entry: GeminiConfig, model: Any, run: RunConfig) -> dict[str, str]:
    """Return the endpoint's address (on Vertex AI with project and region), and what every request holds."""
    del run
    live: GeminiModel = getattr(model, "live", model)
    place = live.endpoint.place if entry.vertexai else {}
    return {"endpoint": live.endpoint.address} | place | live.background()


PROVIDER = Provider(
    entry=GeminiConfig,
    open=open_entry,
    read_body=read_gemini_body,
    check=check_entry,
    access=check_access,
    warnings=warnings_of,
    estimate_tokens=estimate_tokens,
    describe=describe,
    background=background_of,
)
