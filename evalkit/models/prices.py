"""What an answer costs: a dated table with sources (``data/prices.yaml``), overridden by ``price:``.

None means unpriced, which is never zero: under a budget it is an error, in a table a dash.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.models.known_models import short_id
from evalkit.models.provider import find_provider
from evalkit.types import Response, Usage

if TYPE_CHECKING:
    from evalkit.config.models import ModelEntry

PRICES_FILE = Path(__file__).parent.parent / "data" / "prices.yaml"


@dataclass(frozen=True, slots=True)
class Price:
    """USD per million tokens and per image; ``source`` says where from. Thoughts bill as output."""

    input_usd_per_million: float
    output_usd_per_million: float
    image_usd: float = 0.0
    source: str = ""

    def cost_usd(self, usage: Usage) -> float | None:
        """Return what one answer costs, None where a billed count was not reported."""
        counts = (
            (usage.input_tokens, self.input_usd_per_million),
            (usage.output_tokens, self.output_usd_per_million),
        )
        if any(tokens is None and usd for tokens, usd in counts):
            return None
        return self.tokens_usd(usage) + self.image_usd

    def tokens_usd(self, usage: Usage) -> float:
        """Return what the tokens cost; a count that is None adds nothing."""
        written = (usage.output_tokens or 0) + (usage.thought_tokens or 0)
        read = usage.input_tokens or 0
        return (read * self.input_usd_per_million + written * self.output_usd_per_million) / 1e6


@dataclass(frozen=True, slots=True)
class DatedPrice:
    """A row of the table: the price from ``first`` to ``last``, both days included, None = open."""

    first: dt.date | None
    last: dt.date | None
    price: Price

    def holds(self, day: dt.date) -> bool:
        """Tell whether the price holds on ``day``."""
        return (self.first is None or self.first <= day) and (self.last is None or day <= self.last)


@cache
def price_table() -> dict[str, tuple[DatedPrice, ...]]:
    """Return the shipped table by model id."""
    from evalkit.config.yaml import read_yaml

    data: dict[str, list[dict[str, Any]]] = read_yaml(PRICES_FILE, environment={}).data
    return {model: tuple(_dated(row) for row in rows) for model, rows in data.items()}


def _dated(row: dict[str, Any]) -> DatedPrice:
    price = Price(float(row["input"]), float(row["output"]), source=row["source"])
    return DatedPrice(row.get("from"), row.get("to"), price)


def find_price(entry: ModelEntry, day: dt.date, *, in_batch: bool = False) -> Price | None:
    """Return the price of a model entry on ``day``: its own ``price:``, else the table's; None = unpriced.

    ``in_batch``: half of a table price; a ``price:`` of the config is taken as it is.
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
    rows = price_table().get(short_id(provider.requested_model(entry)), ())
    listed = next((row.price for row in rows if row.holds(day)), None)
    if listed is None or provider.batch is None or not in_batch:
        return listed
    return Price(
        listed.input_usd_per_million * provider.batch.price_share,
        listed.output_usd_per_million * provider.batch.price_share,
        source=f"{listed.source}, batch",
    )


def cost_usd(entry: ModelEntry, response: Response, day: dt.date) -> float | None:
    """Return what an answer given on ``day`` cost; None where the model is unpriced or no usage was told."""
    batch = find_provider(entry.provider).batch
    in_batch = batch is not None and batch.holds(response.body)
    price = find_price(entry, day, in_batch=in_batch)
    return None if price is None else price.cost_usd(response.usage)
