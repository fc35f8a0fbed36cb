"""The ``gate:`` rules of a config."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from evalkit.config.section import Section


class GateRule(Section):
    """One rule of the regression gate: a metric, and how far it may fall or rise.

    ``max_drop`` and ``max_rise`` compare with the baseline, ``min`` and ``max`` are absolute. A
    rule fails only on evidence at its ``confidence``; without enough data it is ``inconclusive``.
    The metrics ``not_run``, ``routing``, ``suspect_reading``, ``format_drift`` and ``new_failures`` are gates
    that every run has; naming one here changes its ``max`` (a share of the answers), 1 switches it off.
    """

    metric: str = Field(description="a measure of the reference of metrics, or a built-in gate")
    slice: str = Field(default="all", description="`all`, or tag=value")
    max_drop: float | None = Field(default=None, ge=0, description="how far it may fall below the baseline")
    max_rise: float | None = Field(default=None, ge=0, description="how far it may rise above the baseline")
    min: float | None = Field(default=None, description="least value")
    max: float | None = Field(default=None, description="largest value")
    model: str | None = Field(default=None, description="only this model; null = every model")
    dataset: str | None = Field(default=None, description="only this dataset; null = every dataset")
    confidence: float = Field(default=0.95, gt=0.5, lt=1, description="evidence needed to fail or pass")
    inconclusive: Literal["pass", "warn", "fail"] = Field(
        default="warn", description="what too little data counts as"
    )

    @model_validator(mode="after")
    def _can_be_judged(self) -> Self:
        from evalkit.errors import ConfigError
        from evalkit.extensions import only_looked_at
        from evalkit.metrics.names import metric_of_rule

        try:
            if not only_looked_at("metric", self.metric):
                metric_of_rule(self.metric)
        except ConfigError as error:
            raise ValueError(str(error)) from None
        if self.max_drop is self.max_rise is self.min is self.max is None:
            raise ValueError(
                f"the rule on '{self.metric}' has no bound: give max_drop or max_rise (against a baseline), "
                "min or max"
            )
        return self
