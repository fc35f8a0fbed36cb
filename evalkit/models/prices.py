"""What an answer costs: a dated table with sources (``data/prices.yaml``), overridden by ``price:``.

None means unpriced, which is never zero: under a budget it is an error, in a table a dash.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.models.known_models import listed_id, was_routed
from evalkit.models.provider import find_provider
from evalkit.types import Response, Usage

if TYPE_CHECKING:
    from evalkit.config.models import ModelEntry

PRICES_FILE = Path(__file__).parent.parent / "data" / "prices.yaml"


FLEX_SHARE = 0.5
"""The flex tier costs half of standard (ai.google.dev/gemini-api/docs/optimization, read 2026-11-25).

The priority tier costs 75 to 100 % more by the same page, which is no price: it is unpriced until the table
names one for the model.
"""

STANDARD_TIERS = ("", "standard", "unspecified")


@dataclass(frozen=True, slots=True)
class LongContext:
    """What a prompt above ``above_tokens`` costs in place of the usual, USD per million tokens."""

    above_tokens: int
    input_usd_per_million: float
    output_usd_per_million: float


@dataclass(frozen=True, slots=True)
class Price:
    """USD per million tokens and per image; ``source`` says where from. Thoughts bill as output."""

    input_usd_per_million: float
    output_usd_per_million: float
    image_usd: float = 0.0
    source: str = ""
    long_context: LongContext | None = None

    def cost_usd(self, usage: Usage) -> float | None:
        """Return what one answer costs, None where a billed count was not reported."""
        counts = (
            (usage.input_tokens, self.input_usd_per_million),
            (usage.output_tokens, self.output_usd_per_million),
        )
        by_token = any(usd for _, usd in counts)
        if by_token and (not usage.all_counted or any(tokens is None and usd for tokens, usd in counts)):
            return None
        longer = self.long_context
        if longer is not None and (usage.input_tokens or 0) > longer.above_tokens:
            above = Price(longer.input_usd_per_million, longer.output_usd_per_million)
            return above.tokens_usd(usage) + self.image_usd
        return self.tokens_usd(usage) + self.image_usd

    def tokens_usd(self, usage: Usage) -> float:
        """Return what the tokens of prompts of usual length cost; a count that is None adds nothing."""
        written = (usage.output_tokens or 0) + (usage.thought_tokens or 0)
        read = usage.input_tokens or 0
        return (read * self.input_usd_per_million + written * self.output_usd_per_million) / 1e6

    def times(self, share: float, why: str) -> Price:
        """Return the price of a tier that costs ``share`` of this one."""
        longer = self.long_context
        return Price(
            self.input_usd_per_million * share,
            self.output_usd_per_million * share,
            self.image_usd,
            f"{self.source}, {why}",
            None
            if longer is None
            else LongContext(
                longer.above_tokens,
                longer.input_usd_per_million * share,
                longer.output_usd_per_million * share,
            ),
        )


@dataclass(frozen=True, slots=True)
class DatedPrice:
    """A row of the table: the price from ``first`` to ``last``, both days included, None = open.

    ``tiers``: prices of service tiers that are no fixed share of the standard one.
    """

    first: dt.date | None
    last: dt.date | None
    price: Price
    tiers: Mapping[str, Price] = field(default_factory=dict)

    def holds(self, day: dt.date) -> bool:
        """Tell whether the price holds on ``day``."""
        return (self.first is None or self.first <= day) and (self.last is None or day <= self.last)


@cache
def price_table() -> dict[str, tuple[DatedPrice, ...]]:
    """Return the shipped table by model id."""
    from evalkit.config.yaml import read_yaml

    data: dict[str, list[dict[str, Any]]] = read_yaml(PRICES_FILE, environment={}).data
    return {model: tuple(_dated(row) for row in rows) for model, rows in data.items()}


def _dated(row: Mapping[str, Any]) -> DatedPrice:
    tiers = {name: _listed(tier, row["source"]) for name, tier in row.get("tiers", {}).items()}
    return DatedPrice(row.get("from"), row.get("to"), _listed(row, row["source"]), tiers)


def _listed(row: Mapping[str, Any], source: str) -> Price:
    longer = row.get("long")
    return Price(
        float(row["input"]),
        float(row["output"]),
        source=source,
        long_context=None
        if longer is None
        else LongContext(int(longer["above"]), float(longer["input"]), float(longer["output"])),
    )


def find_price(entry: ModelEntry, day: dt.date, *, in_batch: bool = False) -> Price | None:
    """Return the price of a model entry on ``day``: its own ``price:``, else the table's; None = unpriced.

    ``in_batch``: the batch's share of a table price, whatever the tier; a ``price:`` of the config is taken as
    it is. ``generation.service_tier`` chooses the tier: one without a known price is unpriced.
    """
    if entry.price is not None:
        return Price(
            entry.price.input_usd_per_million,
            entry.price.output_usd_per_million,
            entry.price.image_usd,
            "the config's `price:`",
        )
    provider = find_provider(entry.provider)
    if not provider.priced:
        return Price(0.0, 0.0, source="asks nothing that is billed")
    return _table_price(entry, provider.requested_model(entry), day, in_batch=in_batch)


def _table_price(entry: ModelEntry, model: str, day: dt.date, *, in_batch: bool) -> Price | None:
    """Return the table's price of ``model``, or of the model it is a revision of, as the entry asks for it."""
    name = listed_id(model, price_table())
    row = next((row for row in price_table()[name] if row.holds(day)), None) if name else None
    if row is None:
        return None
    batch = find_provider(entry.provider).batch
    if batch is not None and in_batch:
        return row.price.times(batch.price_share, "batch")
    tier = service_tier(entry)
    if tier in STANDARD_TIERS:
        return row.price
    if tier in row.tiers:
        return row.tiers[tier]
    return row.price.times(FLEX_SHARE, "flex") if tier == "flex" else None


def service_tier(entry: ModelEntry) -> str:
    """Return the service tier that an entry asks for, in small letters; empty for the usual one.

    What ``extra_body`` says is sent in place of ``service_tier``.
    """
    generation = entry.generation_setting()
    if generation is None:
        return ""
    extra = generation.extra_body or {}
    tier = str(extra.get("serviceTier", extra.get("service_tier", generation.service_tier)) or "")
    return tier.lower().removeprefix("service_tier_")


def cost_usd(entry: ModelEntry, response: Response, day: dt.date) -> float | None:
    """Return what an answer given on ``day`` cost; None where the model is unpriced or no usage was told.

    What the endpoint itself says that an answer cost wins over the table, the config's ``price:`` over both.
    An answer of another model than the one that was asked is priced as an answer of the model that gave
    it; where the table does not list that one, by the entry's own ``price:`` if there is one.
    """
    if entry.price is None and response.usage.cost_usd is not None:
        return response.usage.cost_usd
    if not _by_another(entry, response):
        return requested_cost_usd(entry, response, day)
    listed = _table_price(entry, response.model_version or "", day, in_batch=_in_batch(entry, response))
    if listed is None:
        return requested_cost_usd(entry, response, day) if entry.price is not None else None
    return listed.cost_usd(response.usage)


def requested_cost_usd(entry: ModelEntry, response: Response, day: dt.date) -> float | None:
    """Return what an answer would cost at the price of the model that was asked; None where that is unknown."""
    price = find_price(entry, day, in_batch=_in_batch(entry, response))
    return None if price is None else price.cost_usd(response.usage)


def _in_batch(entry: ModelEntry, response: Response) -> bool:
    batch = find_provider(entry.provider).batch
    return batch is not None and batch.holds(response.body)


def _by_another(entry: ModelEntry, response: Response) -> bool:
    """Tell whether the table has to look for the answering model: a routed answer, or one of a ``-latest`` name."""
    provider = find_provider(entry.provider)
    if not provider.priced or not response.model_version:
        return False
    requested = provider.requested_model(entry)
    alias = requested.endswith("-latest") and listed_id(requested, price_table()) is None
    return alias or was_routed(requested, response.model_version)
