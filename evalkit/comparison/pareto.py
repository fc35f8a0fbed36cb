"""Quality against cost and latency: which models nobody needs, because another one is at least as good in all. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evalkit.comparison.sides import Side
from evalkit.metrics.names import COST, row_measures

AXES = ("giou", COST, "latency_s")
"""The first is better high, the others low."""


@dataclass(frozen=True, slots=True)
class ParetoPoint:
    """One model on one dataset: its values on ``AXES``, and who dominates it on which pair of axes.

    ``dominated_on_cost`` and ``dominated_on_latency``: labels of models with at least its gIoU
    at no more than its cost (latency), and strictly better in one of the two.
    """

    label: str
    values: Mapping[str, float | None]
    dominated_on_cost: tuple[str, ...]
    dominated_on_latency: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "model": self.label,
            **self.values,
            "dominated_on_cost_by": list(self.dominated_on_cost),
            "dominated_on_latency_by": list(self.dominated_on_latency),
        }


def pareto(sides: Sequence[Side]) -> dict[str, list[ParetoPoint]]:
    """Return dataset -> its models as points, the best gIoU first.

    The values are each model's own over all that it answered, without intervals: whether a lead in
    quality is real is what a comparison says.
    """
    values: dict[str, dict[str, dict[str, float | None]]] = {}
    for side in sides:
        for dataset in dict.fromkeys(side.rows["dataset"]):
            columns = row_measures(side.rows[side.rows["dataset"] == dataset], list(AXES))
            found = {
                axis: float(above.sum() / below.sum()) if below.sum() else None
                for axis, (above, below) in columns.items()
            }
            values.setdefault(str(dataset), {})[side.label] = found
    return {dataset: points_of(models) for dataset, models in values.items()}


def points_of(models: Mapping[str, Mapping[str, float | None]]) -> list[ParetoPoint]:
    """Return the models as points with who dominates them; a model without a value is not judged on it."""
    points = [
        ParetoPoint(label, values, _dominators(label, models, COST), _dominators(label, models, "latency_s"))
        for label, values in models.items()
    ]
    return sorted(points, key=lambda point: -(point.values["giou"] or 0.0))


def _dominators(label: str, models: Mapping[str, Mapping[str, float | None]], axis: str) -> tuple[str, ...]:
    quality, price = models[label]["giou"], models[label][axis]
    if quality is None or price is None:
        return ()
    found = []
    for other, values in models.items():
        theirs, their_price = values["giou"], values[axis]
        if other == label or theirs is None or their_price is None:
            continue
        if theirs >= quality and their_price <= price and (theirs > quality or their_price < price):
            found.append(other)
    return tuple(found)
