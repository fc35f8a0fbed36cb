"""What stands against a model before any number: another model answered, it thought unasked, its end is near."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from evalkit.comparison.sides import Side
from evalkit.models.known_models import events_within

END_WITHIN_DAYS = 90
"""A model that ends sooner is no choice without a word about it."""

NAMED = 4
"""Models that a sentence names at most."""


def objections(sides: Sequence[Side], day: dt.date) -> list[str]:
    """Return what a reader must know of the models of a page, as sentences; ``day`` is what end dates are held to."""
    return [sentence for side in sides for sentence in _of_side(side, day)]


def _of_side(side: Side, day: dt.date) -> Iterator[str]:
    requested = requested_model(side)
    routed = [entry for entry in side.summary.routed if entry["model"] == side.model]
    if routed:
        others = listed([f"{one['model_version']} ({int(one['n']):,} answers)" for one in routed])
        answered = f"{side.label} asked for {requested} and was answered by {others}."
        yield " ".join(filter(None, (answered, routed_costs(routed))))
    for one in side.summary.unasked_thinking:
        if one["model"] == side.model:
            yield (
                f"{side.label} was asked not to think, and thought in {one['n']:,} answers "
                f"({one['thought_tokens']:,} tokens, billed)."
            )
    if not side.manifest.simulated:
        yield from (f"{side.label}: {told}" for told in events_within(requested, day, END_WITHIN_DAYS))


def today() -> dt.date:
    """Return the day that end dates are held to: what matters is the day of the decision, not that of the run."""
    return dt.datetime.now(dt.UTC).date()


def requested_model(side: Side) -> str:
    """Return the id that a side asked for, its name where it asked for none."""
    requested = side.rows["requested_model"].dropna()
    return str(requested.iloc[0]) if len(requested) else side.model


def routed_costs(routed: Sequence[Mapping[str, Any]]) -> str:
    """Return what answers of other models cost at either price, and what is not known of their billing."""
    told = []
    for entry in routed:
        if "billing" not in entry:
            continue
        own, asked = (
            _amount(entry.get(f"{kind}cost_usd"), int(entry.get(f"n_{kind}cost_unknown", 0)))
            for kind in ("", "requested_")
        )
        told.append(
            f"At the price of {entry['model_version']} its answers cost {own}, at the price of the model that was asked "
            f"{asked}"
        )
    return "" if not told else f"{'; '.join(told)}; {routed[0]['billing']}."


def _amount(cost_usd: float | None, unknown: int) -> str:
    if cost_usd is None:
        return "an unknown sum"
    return f"{cost_usd:.4f} USD" + (f" and {unknown} of unknown cost" if unknown else "")


def listed(names: Sequence[str]) -> str:
    """Return names as a sentence lists them, ``NAMED`` of them at most."""
    shown = list(names[:NAMED])
    if len(names) > NAMED:
        shown.append(f"{len(names) - NAMED} more")
    return shown[0] if len(shown) == 1 else ", ".join(shown[:-1]) + " and " + shown[-1]
