"""Quality against cost and latency: which models nobody needs, because another one is at least as good in all. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evalkit.comparison.sides import Side
from evalkit.metrics.names import COST, row_measures


@dataclass(frozen=True, slots=True)
class ParetoPoint:
    """One model on one dataset: its quality, cost and latency by name, and who dominates it on which pair of axes.

    ``dominated_on_cost`` and ``dominated_on_latency``: labels of models with at least its quality
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


def pareto(sides: Sequence[Side], judged_by: Mapping[str, str]) -> dict[str, list[ParetoPoint]]:
    """Return dataset -> its models as points, the best first by the measure that verdicts rest on (``judged_by``).

    The values are each model's own over all that it answered, without intervals: whether a lead in
    quality is real is what a comparison says.
    """
    values: dict[str, dict[str, dict[str, float | None]]] = {}
    for side in sides:
        for dataset in dict.fromkeys(side.rows["dataset"]):
            axes = (judged_by[str(dataset)], COST, "latency_s")
            columns = row_measures(side.rows[side.rows["dataset"] == dataset], axes)
            found = {
                axis: float(above.sum() / below.sum()) if below.sum() else None
                for axis, (above, below) in columns.items()
            }
            values.setdefault(str(dataset), {})[side.label] = found
    return {dataset: points_of(models, judged_by[dataset]) for dataset, models in values.items()}


def points_of(models: Mapping[str, Mapping[str, float | None]], quality: str) -> list[ParetoPoint]:
    """Return the models as points with who dominates them; a model without a value is not judged on it.

    ``quality``: the measure that is better high.
    """
    points = [
        ParetoPoint(
            label,
            values,
            _dominators(label, models, quality, COST),
            _dominators(label, models, quality, "latency_s"),
        )
        for label, values in models.items()
    ]
    return sorted(points, key=lambda point: -(point.values[quality] or 0.0))


def _dominators(
    label: str, models: Mapping[str, Mapping[str, float | None]], quality: str, axis: str
) -> tuple[str, ...]:
    own, price = models[label][quality], models[label][axis]
    if own is None or price is None:
        return ()
    found = []
    for other, values in models.items():
        theirs, their_price = values[quality], values[axis]
        if other == label or theirs is None or their_price is None:
            continue
        if theirs >= own and their_price <= price and (theirs > own or their_price < price):
            found.append(other)
    return tuple(found)
