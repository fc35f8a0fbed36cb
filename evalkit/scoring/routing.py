"""Proof of which model answered: routing, and thinking that was asked off but billed. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evalkit.models.known_models import thinking_asked_off, was_routed

if TYPE_CHECKING:
    import pandas as pd

    from evalkit.config.schema import RunConfig


def routed_answers(scores: pd.DataFrame) -> list[dict[str, Any]]:
    """Return one record per (model, version) whose ``modelVersion`` is not the model that was asked for."""
    keys = ["model", "requested_model", "model_version"]
    counted = scores.dropna(subset=["model_version"]).groupby(keys, sort=False).size().reset_index(name="n")
    return [
        {
            "model": row["model"],
            "requested_model": row[keys[1]],
            "model_version": row[keys[2]],
            "n": int(row["n"]),
        }
        for row in counted.to_dict("records")
        if was_routed(row["requested_model"], row["model_version"])
    ]


def unasked_thinking(scores: pd.DataFrame, config: RunConfig) -> list[dict[str, Any]]:
    """Return one record per model that was asked with thinking off and billed thinking tokens all the same."""
    found = []
    for model in config.models:
        generation = model.generation_setting()
        if generation is None or not thinking_asked_off(generation):
            continue
        thought = scores.loc[scores["model"] == model.name, "thought_tokens"].fillna(0)
        if (thought > 0).any():
            tokens = {"n": int((thought > 0).sum()), "thought_tokens": int(thought.sum())}
            found.append({"model": model.name, **tokens})
    return found
