"""``provider: openai``: chat completions at any address, through the openai client; one question, one request."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from evalkit.config.address import Address
from evalkit.config.models import GenerationConfig, PromptedEntry
from evalkit.config.prompts import Prompt, prompt_of
from evalkit.errors import ConfigError
from evalkit.models.base import Question
from evalkit.models.bodies import json_object, merged
from evalkit.models.http.background import request_background
from evalkit.models.http.calls import ServiceModel
from evalkit.models.http.errors import no_answer
from evalkit.models.http.keys import require_key
from evalkit.models.openai_bodies import (
    JsonObject,
    chat_response,
    chat_settings,
    holds_answer,
    is_filtered,
    opening_messages,
    read_chat_body,
    user_message,
)
from evalkit.models.openai_client import OPENAI_BASE_URL, PATH, ChatConnection, open_connection
from evalkit.models.provider import Provider, ProviderContext
from evalkit.models.token_estimates import estimate_tokens
from evalkit.types import Response, Sample

if TYPE_CHECKING:
    from evalkit.config.schema import RunConfig

OPENAI_KEY = "OPENAI_API_KEY"

UNKNOWN_SETTINGS = ("thinking_budget", "include_thoughts", "media_resolution", "safety_settings")
"""Generation settings that chat completions have no word for; dropping one in silence would compare unlike with like."""


def require_chat_settings(generation: GenerationConfig, *, at_openai: bool) -> None:
    """Raise ``ValueError`` where a setting has no word in chat completions."""
    unknown = [name for name in UNKNOWN_SETTINGS if getattr(generation, name) is not None]
    if at_openai and generation.top_k is not None:
        unknown.append("top_k")
    if unknown:
        raise ValueError(
            f"chat completions have no {' or '.join(unknown)}: thinking is asked by thinking_level, the image's "
            "resolution by detail, and what one service alone knows stands in generation.extra_body"
        )
    if generation.response_mime_type not in (None, "application/json"):
        raise ValueError("chat completions know one response_mime_type, application/json")


class ChatConfig(PromptedEntry):
    """A model behind chat completions: OpenAI's own, or vLLM, SGLang, Ollama, OpenRouter, LiteLLM, ... at ``base_url``."""

    provider: Literal["openai"] = Field(description="chat completions, as OpenAI and many others serve them")
    base_url: Address = Field(default=None, description="where it is served, up to /v1; null = OpenAI itself")
    api_key_env: str | None = Field(
        default=None,
        description="environment variable that holds the key; null = OPENAI_API_KEY at OpenAI, none elsewhere",
    )
    detail: Literal["auto", "low", "high", "original"] | None = Field(
        default=None, description="how finely the image is looked at, where the service knows it"
    )
    allow_routing: bool = Field(default=False, description="accept answers of another model version")

    @property
    def at_openai(self) -> bool:
        """Tell whether OpenAI itself is asked."""
        return self.base_url is None or urlsplit(self.base_url).hostname == urlsplit(OPENAI_BASE_URL).hostname

    @property
    def key_variable(self) -> str | None:
        """Return the variable that holds the key, None where none is sent."""
        return self.api_key_env or (OPENAI_KEY if self.at_openai else None)

    @model_validator(mode="after")
    def _is_a_base(self) -> Self:
        if urlsplit(self.base_url or "").path.rstrip("/").endswith(PATH):
            raise ValueError(f"base_url ends before {PATH}, which is added to it")
        return self

    @model_validator(mode="after")
    def _says_what_chat_knows(self) -> Self:
        require_chat_settings(self.generation, at_openai=self.at_openai)
        return self


class ChatModel(ServiceModel):
    """One model at one endpoint; see ``evalkit.models.base.Model``."""

    def __init__(
        self, entry: ChatConfig, prompt: Prompt, connection: ChatConnection, directory: Path
    ) -> None:
        super().__init__(entry.name, entry.model, connection, entry.limits.timeout_s)
        self.entry = entry
        self.prompt = prompt
        self.chat = connection
        generation = entry.generation
        self.settings = chat_settings(generation, prompt, at_openai=entry.at_openai)
        self.examples = opening_messages(prompt, generation.system_instruction, directory, entry.detail)

    def prompt_for(self, sample: Sample) -> str:
        """Return the text of the question about one sample."""
        return self.prompt.question_about(sample)

    async def _send(self, question: Question) -> Response:
        """Send one chat completion. A question that a policy stopped before the model is an answer: a block."""
        from openai import APIStatusError

        try:
            body = await self.chat.complete(self.body_of(question))
        except APIStatusError as error:
            body = self.chat.secrets.redact_body(error.response.text)
            refused = json_object(body)
            if error.status_code not in (400, 403) or refused is None or not is_filtered(refused):
                raise
            return chat_response(body, refused)
        data = json_object(body)
        if data is None or not (holds_answer(data) or is_filtered(data)):
            raise no_answer(body, model=self.requested_model, key_variable=self.chat.key_words)
        return chat_response(body, data)

    def body_of(self, question: Question) -> JsonObject:
        """Return the whole JSON request for a question; the config's ``extra_body`` wins over everything else."""
        assert question.image is not None, "a chat model needs the image"
        asked = user_message(question.image, question.prompt, self.entry.detail)
        body: JsonObject = {
            "model": self.requested_model,
            "messages": [*self.examples, asked],
            **self.settings,
        }
        seed = self.entry.generation.seed
        if seed is not None:
            body["seed"] = seed + question.trial
        return merged(body, self.entry.generation.extra_body or {})

    def background(self) -> dict[str, str]:
        """Return what every request holds besides its question, see ``request_background``."""
        return request_background(self.settings, self.entry.generation.extra_body, self.examples)


def open_chat(entry: ChatConfig, prompt: Prompt, *, directory: Path) -> ChatModel:
    """Return a chat model. Raises ``ConfigError`` where the key's variable is not set."""
    connection = open_connection(
        entry.base_url or OPENAI_BASE_URL,
        key=require_key(entry.name, entry.key_variable),
        key_variable=entry.key_variable,
        connections=entry.limits.concurrency,
        timeout_s=entry.limits.timeout_s,
        written=entry.written("base_url"),
    )
    return ChatModel(entry, prompt, connection, directory)


def open_entry(entry: ChatConfig, context: ProviderContext) -> ChatModel:
    """Return the model of an entry. Raises ``ConfigError`` on an unknown prompt or without a key."""
    return open_chat(entry, prompt_of(entry.prompt, context.run), directory=context.directory)


def check_entry(entry: ChatConfig, run: RunConfig) -> None:
    """Raise ``ConfigError`` on an unknown prompt, or a schema in the dialect of Gemini alone."""
    prompt = prompt_of(entry.prompt, run)
    schema = entry.generation.response_schema or prompt.response_schema or {}
    if str(schema.get("type", "")).isupper():
        raise ConfigError(
            f"model '{entry.name}': the response schema is in Gemini's own dialect (type: {schema['type']}); chat completions "
            "take JSON Schema, whose types are in small letters"
        )


def check_access(entry: ChatConfig) -> None:
    """Raise ``ConfigError`` where the key's variable is not set."""
    require_key(entry.name, entry.key_variable)


def background_of(entry: ChatConfig, model: ChatModel, run: RunConfig) -> dict[str, str]:
    """Return the endpoint's address and what every request holds."""
    del entry, run
    return {"endpoint": model.connection.address} | model.background()


PROVIDER = Provider(
    entry=ChatConfig,
    open=open_entry,
    read_body=read_chat_body,
    check=check_entry,
    access=check_access,
    estimate_tokens=estimate_tokens,
    background=background_of,
)
