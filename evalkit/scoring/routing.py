"""Proof of which model answered: routing, and thinking that was asked off but billed. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evalkit.models.known_models import thinking_asked_off, was_routed

if TYPE_CHECKING:
    import pandas as pd

    from evalkit.config.schema import RunConfig


BILLING_UNKNOWN = (
    "the costs shown are at the price of the model that answered; which of the two prices a routed answer is billed "
    "by is not documented: only the invoice tells"
)


def routed_answers(scores: pd.DataFrame) -> list[dict[str, Any]]:
    """Return one record per (model, version) whose ``modelVersion`` is not the model that was asked for.

    ``cost_usd``: at the price of the model that answered, ``requested_cost_usd``: at that of the model that
    was asked, both sums of what is known with the number of answers they leave out, None where nothing is known.
    """
    keys = ["model", "requested_model", "model_version"]
    groups = scores.dropna(subset=["model_version"]).groupby(keys, sort=False)
    return [
        {
            "model": model,
            "requested_model": requested,
            "model_version": version,
            "n": len(rows),
            **_costs(rows),
            "billing": BILLING_UNKNOWN,
        }
        for (model, requested, version), rows in groups
        if was_routed(str(requested), str(version))
    ]


def _costs(rows: pd.DataFrame) -> dict[str, Any]:
    costs: dict[str, Any] = {}
    for column in ("cost_usd", "requested_cost_usd"):
        known = [] if column not in rows else [float(cost) for cost in rows[column].dropna()]
        costs[column] = sum(known) if known else None
        costs[f"n_{column.removesuffix('_usd')}_unknown"] = len(rows) - len(known)
    return costs


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
