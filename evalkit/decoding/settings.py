"""The conventions of decoding, as the ``decode:`` section of a config sets them and the decoder reads them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


def names_given(given: Any) -> Any:
    """Return names as YAML lists them, or as a command's option gives them between commas."""
    if isinstance(given, str):
        return tuple(name.strip() for name in given.split(",") if name.strip())
    return tuple(given) if isinstance(given, list) else given


class DecodeSettings(BaseModel):
    """The conventions of decoding (DESIGN 6); every one can be changed by re-scoring."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    threshold: int = Field(
        default=127, ge=0, le=254, description="foreground is a mask value above this, 0..254"
    )
    box_rounding: Literal["truncate", "round", "expand"] = Field(
        default="truncate",
        description="how 0..1000 becomes pixels: truncate (Google's sample), round, or expand outwards",
    )
    filter: Literal["nearest", "bilinear", "bicubic", "lanczos", "box", "hamming"] = Field(
        default="bilinear", description="how a mask is resized into its box"
    )
    instances: Literal["union", "largest", "first"] = Field(
        default="union", description="which items of an answer make the prediction"
    )
    token_codebook: str | None = Field(
        default=None, description="path of a PaliGemma vae-oid.npz, used only where its self-check passes"
    )
    formats: Annotated[tuple[str, ...], BeforeValidator(names_given)] = Field(
        default=(),
        description="wire formats of your own that are looked for first: names of installed ones, or package.module:NAME",
    )
