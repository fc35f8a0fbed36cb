"""The ``models:`` entries of a config: what every model has, and one class for each provider."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from evalkit.config.section import Section


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


class PromptConfig(Section):
    """A prompt of one's own: ``text`` holds {expression}; the rest says what it asks for."""

    text: str = Field(description="the prompt; {expression} is filled in")
    wire_format: str | None = Field(
        default=None, description="the mask format that it asks for; null = left open"
    )
    point_order: Literal["xy", "yx"] = Field(
        default="xy", description="what the prompt states for points: x or y first"
    )
    frame: Literal["image", "box"] = Field(
        default="image", description="0..1000 over the full image, or inside box_2d"
    )
    keys: list[str] = Field(
        default_factory=lambda: ["box_2d", "mask"], description="keys that every item must have to be strict"
    )
    wrapper: str | None = Field(
        default=None, description="key of the object that it asks to wrap the list in; null = a bare list"
    )
    task: Literal["mask", "box"] = Field(default="mask", description="whether it asks for masks or for boxes")
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


class ModelBase(Section):
    """What every model entry has."""

    name: str = Field(min_length=1, description="unique label in tables")
    limits: PaceConfig = Field(default=PaceConfig(), description="the pace this model is asked at")
    price: PriceConfig | None = Field(default=None, description="in place of the price table")


class GeminiConfig(ModelBase):
    """A Gemini model over the Developer API, over Vertex (``vertexai: true``) or any ``base_url``."""

    provider: Literal["gemini", "gemini-batch"] = Field(
        description="live requests, or jobs of the Batch API at half the price"
    )
    model: str = Field(description="the API's model id")
    base_url: str | None = Field(
        default=None, description="another endpoint: a proxy, `evalkit simulate`, a test server"
    )
    prompt: str | PromptConfig = Field(
        default="google-mask", description="a shipped prompt, one of `prompts:`, or text with {expression}"
    )
    generation: GenerationConfig = Field(default=GenerationConfig(), description="generation settings")
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


class VertexSegmentationConfig(ModelBase):
    """Vertex image-segmentation-001 through segment_image."""

    provider: Literal["vertex-segmentation"] = Field(description="Vertex image segmentation")
    model: str = Field(default="image-segmentation-001", description="the API's model id")
    base_url: str | None = Field(default=None, description="another endpoint")
    project: str | None = Field(default=None, description="the Google Cloud project")
    location: str | None = Field(default=None, description="the region")
    mode: Literal["prompt", "semantic", "foreground"] = Field(
        default="prompt", description="what is segmented: the expression, a class, the foreground"
    )
    max_predictions: int | None = Field(default=None, description="masks per answer at most")
    confidence_threshold: float | None = Field(
        default=None, description="masks below it are left out by the service"
    )
    mask_dilation: float | None = Field(
        default=None, description="share of the image by which the service grows masks"
    )
    binary_color_threshold: float | None = Field(
        default=None, description="grey value that the service cuts masks at; negative = none"
    )


class PredictionsConfig(ModelBase):
    """Answers made elsewhere: JSONL of DESIGN 4.6, or a COCO results file."""

    provider: Literal["predictions"] = Field(description="answers made elsewhere; nobody is asked")
    path: str = Field(description="JSONL, or a COCO results file")


class PythonConfig(ModelBase):
    """A function ``package.module:name`` or a shipped floor (whole-image, centre-box)."""

    provider: Literal["python"] = Field(description="a Python function")
    function: str = Field(description="package.module:name, or whole-image, centre-box")
    workers: int = Field(default=1, ge=1, description="processes that it runs in")


class SimulatorConfig(ModelBase):
    """A persona of the local Gemini: answers made from the ground truth with seeded errors."""

    provider: Literal["simulator"] = Field(description="the local simulated Gemini")
    persona: str = Field(description="who answers, see the reference of personas")
    model: str = Field(default="gemini-2.5-flash", description="the model id that it is asked as")
    prompt: str | PromptConfig = Field(default="google-mask", description="as for gemini")
    generation: GenerationConfig = Field(default=GenerationConfig(), description="as for gemini")
    latency_s: float = Field(default=0.05, ge=0, description="median time of an answer, seconds")
    faults: list[dict[str, Any]] = Field(
        default_factory=list, description="scripted faults, see docs/simulator.md"
    )


ModelConfig = Annotated[
    GeminiConfig | VertexSegmentationConfig | PredictionsConfig | PythonConfig | SimulatorConfig,
    Field(discriminator="provider"),
]
