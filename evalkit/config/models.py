"""The ``models:`` entries of a config: what every model has, and which providers there are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BeforeValidator, Field, PrivateAttr, SerializeAsAny, model_validator
from pydantic_core import PydanticCustomError

from evalkit.config.section import Name, Section
from evalkit.errors import ConfigError
from evalkit.extensions import Kind
from evalkit.types import BoxOrder, Unit


class GenerationConfig(Section):
    """Generation settings sent with every request; unset ones are not sent."""

    thinking_budget: int | None = Field(
        default=None, description="tokens of thinking; 0 asks for none (Gemini 2.5)"
    )
    thinking_level: str | None = Field(
        default=None, description="minimal, low, medium or high (Gemini 3 and later)"
    )
    include_thoughts: bool | None = Field(
        default=None, description="also return summaries of the thoughts; they are never decoded"
    )
    temperature: float | None = Field(default=None, description="0 = the likeliest token each time")
    top_p: float | None = Field(default=None, description="nucleus sampling")
    top_k: float | None = Field(default=None, description="sampling from the k likeliest tokens")
    seed: int | None = Field(
        default=None,
        description="seed of the sampling, to which the trial is added; null = none is sent",
    )
    max_output_tokens: int | None = Field(
        default=None, ge=1, description="tokens of the answer, thinking included"
    )
    media_resolution: Literal["low", "medium", "high", "ultra_high"] | None = Field(
        default=None, description="tokens an image is turned into"
    )
    response_mime_type: str | None = Field(default=None, description="such as application/json")
    response_schema: dict[str, Any] | None = Field(
        default=None, description="JSON schema that the answer must follow; the prompt's own where null"
    )
    system_instruction: str | None = Field(default=None, description="text sent before the question")
    safety_settings: dict[str, str] | None = Field(
        default=None, description="harm category -> threshold, in the API's words"
    )
    service_tier: str | None = Field(default=None, description="the API's service tier")
    store: bool = Field(
        default=False,
        description="let the service keep requests and answers; false is sent as `store: false`",
    )
    extra_body: dict[str, Any] | None = Field(
        default=None, description="anything else of the request's body, merged into it as it stands"
    )


class PaceConfig(Section):
    """The pace one model is asked at; concurrency also adapts to 429 answers."""

    concurrency: int = Field(
        default=16, ge=1, le=4096, description="requests in flight at most; fewer after 429 answers"
    )
    requests_per_minute: float | None = Field(
        default=None, gt=0, description="null = as fast as the endpoint serves"
    )
    tokens_per_minute: float | None = Field(default=None, gt=0, description="input tokens a minute")
    timeout_s: float = Field(
        default=300.0, ge=10, description="whole call; the service refuses less than 10 s"
    )
    max_attempts: int = Field(default=6, ge=1, description="attempts at one question, the first included")


class PriceConfig(Section):
    """USD per million tokens (or per image), in place of the dated price table."""

    input_usd_per_million: float = Field(default=0.0, ge=0, description="USD per million input tokens")
    output_usd_per_million: float = Field(
        default=0.0, ge=0, description="USD per million output and thinking tokens"
    )
    image_usd: float = Field(default=0.0, ge=0, description="USD per question with an image")


class AnswerConvention(Section):
    """What a prompt asks for, and its answers are read by."""

    wire_format: str | None = Field(
        default=None, description="the mask format that it asks for; null = left open"
    )
    point_order: Literal["xy", "yx"] = Field(
        default="xy", description="what the prompt states for points: x or y first"
    )
    frame: Literal["image", "box"] = Field(
        default="image", description="what the points span: the full image, or the item's box"
    )
    box_order: BoxOrder | None = Field(
        default=None,
        description="what it states for boxes: yxyx, xyxy, xywh or cxcywh; null = the key's own (bbox_2d: xyxy), else yxyx",
    )
    unit: Unit = Field(
        default="norm1000",
        description="what it states for coordinates: 0..1000 (norm1000), 0..1 (norm1), or pixels of the image as sent",
    )
    keys: list[str] = Field(
        default_factory=lambda: ["box_2d", "mask"], description="keys that every item must have to be strict"
    )
    wrapper: str | None = Field(
        default=None, description="key of the object that it asks to wrap the list in; null = a bare list"
    )
    task: Literal["mask", "box"] = Field(default="mask", description="whether it asks for masks or for boxes")

    @model_validator(mode="after")
    def _spans_the_image_in_pixels(self) -> Self:
        if self.unit == "pixel" and self.frame == "box":
            raise ValueError("unit: pixel counts over the full image; frame: box goes with norm1000 or norm1")
        return self


class PromptConfig(AnswerConvention):
    """A prompt of one's own: ``text`` holds {expression}; the rest says what it asks for."""

    text: str = Field(
        description="the prompt; {expression} is filled in, and {width} and {height} of the image as sent"
    )
    response_schema: dict[str, Any] | None = Field(
        default=None, description="JSON schema that is sent with the prompt"
    )
    examples: list[dict[str, str]] = Field(
        default_factory=list, description="{image, expression, answer} shown before the question"
    )

    @model_validator(mode="after")
    def _has_expression(self) -> Self:
        if "{expression}" not in self.text:
            raise ValueError("the prompt has no {expression}: every sample would get the same question")
        return self


class ModelEntry(Section):
    """What every entry of ``models:`` has; each provider adds its own keys."""

    name: Name = Field(description="unique label in tables")
    limits: PaceConfig = Field(default=PaceConfig(), description="the pace this model is asked at")
    price: PriceConfig | None = Field(default=None, description="in place of the price table")
    provider: str = Field(description="who answers: a built-in or installed provider, or package.module:NAME")

    _written: dict[str, str] = PrivateAttr(default_factory=dict)

    def written(self, key: str) -> str | None:
        """Return how the text of ``key`` stands in the config where ``${NAME}`` was filled in, else None."""
        return self._written.get(key)

    def note_written(self, texts: Mapping[str, str]) -> None:
        """Keep how texts stand in the config, by key."""
        self._written.update(texts)

    @classmethod
    def section_of(cls, entry: Mapping[str, Any]) -> type[ModelEntry]:
        """Return the class of an entry's provider, this one where it names none that is known."""
        try:
            return entry_class(str(entry.get("provider")))
        except ConfigError:
            return cls

    def prompt_setting(self) -> str | PromptConfig | None:
        """Return the prompt it is asked with, None where none is sent."""
        return None

    def generation_setting(self) -> GenerationConfig | None:
        """Return the generation settings that are sent, None where there are none."""
        return None

    def with_prompt_unless_set(self, prompt: str) -> ModelEntry:
        """Return the entry asked with ``prompt`` where the config names none and one is sent at all."""
        del prompt
        return self


class PromptedEntry(ModelEntry):
    """An entry that is asked with a prompt and generation settings."""

    model: str = Field(description="the API's model id")
    prompt: str | PromptConfig = Field(
        default="google-mask", description="a shipped prompt, one of `prompts:`, or text with {expression}"
    )
    generation: GenerationConfig = Field(default=GenerationConfig(), description="generation settings")

    def prompt_setting(self) -> str | PromptConfig:
        """Return the prompt it is asked with."""
        return self.prompt

    def generation_setting(self) -> GenerationConfig:
        """Return the generation settings that are sent."""
        return self.generation

    def with_prompt_unless_set(self, prompt: str) -> ModelEntry:
        """Return the entry asked with ``prompt`` where the config names none."""
        return self if "prompt" in self.model_fields_set else self.model_copy(update={"prompt": prompt})


PROVIDERS: Final[dict[str, str]] = {
    "gemini": "evalkit.models.google.gemini:PROVIDER",
    "gemini-batch": "evalkit.models.google.batch:PROVIDER",
    "vertex-segmentation": "evalkit.models.google.vertex_segmentation:PROVIDER",
    "moondream": "evalkit.models.moondream:PROVIDER",
    "openai": "evalkit.models.openai_chat:PROVIDER",
    "predictions": "evalkit.models.predictions:PROVIDER",
    "python": "evalkit.models.python:PROVIDER",
    "simulator": "evalkit.models.simulated:PROVIDER",
}
"""What ``provider:`` may name; each record stands at the end of its provider's file."""


def _has_entry_class(found: Any) -> bool:
    entry = getattr(found, "entry", None)
    return isinstance(entry, type) and issubclass(entry, ModelEntry)


PROVIDER_KIND: Final = Kind[Any](
    "provider", "evalkit.providers", PROVIDERS, _has_entry_class, "an evalkit.models.Provider"
)


def entry_provider(name: str) -> Any:
    """Return the provider of that name, of which this layer knows the class of its entries alone.

    Raises ``ConfigError`` where there is none.
    """
    return PROVIDER_KIND.find(name)


def entry_class(name: str) -> type[ModelEntry]:
    """Return the class of a provider's entries. Raises ``ConfigError`` where there is no such provider."""
    found: type[ModelEntry] = entry_provider(name).entry
    return found


def read_entry(entry: Any) -> Any:
    """Return a mapping of ``models:`` as an entry of its provider's own class; anything else as it is."""
    if not isinstance(entry, dict):
        return entry
    provider = entry.get("provider")
    if not isinstance(provider, str):
        # The base class says what is wrong with the key; the other keys are the provider's, which is not known.
        return ModelEntry.model_validate({key: entry[key] for key in ("name", "provider") if key in entry})
    try:
        known = entry_class(provider)
    except ConfigError as error:
        # Kept apart from errors of values: the complaint is placed at the key, not at the entry.
        raise PydanticCustomError(
            "unknown_name", "{said}", {"said": str(error), "key": "provider"}
        ) from error
    return known.model_validate(entry)


AnyEntry = Annotated[SerializeAsAny[ModelEntry], BeforeValidator(read_entry)]
"""One entry of ``models:``, of its provider's class."""
