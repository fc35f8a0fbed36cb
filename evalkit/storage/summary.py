"""summary.json as a record: the results of a scored run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evalkit.metrics.table import METRICS
from evalkit.storage.records import STATUSES, FieldReader, json_of

SUMMARY = "summary.json"

KEYS = ("evalkit", "run", "status", "simulated", "routed", "unasked_thinking", "results")
"""The keys of the file, in their order."""

COUNTED = ("n", "n_images", "n_answered", "n_not_run", "n_data_error", "n_targeted", "n_no_target")
COUNTED_BY_CODE = ("outcomes", "failures", "wire_formats", "model_versions")
"""Fields of a result that count answers, in all and by code."""


@dataclass(frozen=True, slots=True)
class Summary:
    """One scored run.

    ``routed``: answers of another model version than the one asked, by model and version. ``unasked_thinking``:
    models that were billed for thinking that was switched off. ``results``: one per model, dataset and slice,
    each with ``model``, ``dataset`` and ``slice``; the measures are those of ``evalkit.metrics``.
    """

    run: str
    status: str
    simulated: bool
    results: tuple[dict[str, Any], ...]
    evalkit: str | None = None
    routed: tuple[Mapping[str, Any], ...] = ()
    unasked_thinking: tuple[Mapping[str, Any], ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
    written: tuple[str, ...] = KEYS

    @classmethod
    def from_json(cls, data: Mapping[str, Any], path: Path) -> Summary:
        """Return the record of a file's object. Raises ``DataError`` naming the first field that cannot be."""
        way_out = (
            f"`evalkit score {path.parent}` writes the file anew from the stored answers; nothing is asked"
        )
        read = FieldReader(data, str(path), way_out)
        read.needed("results", list)
        for result in read.inners("results"):
            _check_result(result)
        for entry in (*read.inners("routed"), *read.inners("unasked_thinking")):
            entry.needed("model", str)
        return cls(
            run=read.one("run", str, path.resolve().parent.name),
            status=read.chosen("status", STATUSES),
            simulated=read.one("simulated", bool, default=False),
            results=read.many("results", dict),
            evalkit=read.one("evalkit", str, None),
            routed=read.many("routed", dict),
            unasked_thinking=read.many("unasked_thinking", dict),
            extra=read.unknown(cls),
            written=tuple(data),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the object of the file."""
        return json_of(self)

    @property
    def complete(self) -> bool:
        """Whether every model has its answers, within the limits of the run."""
        return self.status == "complete"


def _check_result(result: FieldReader) -> None:
    """Check what is read of one result: its names, its counts and the numbers of evalkit's metrics."""
    for key in ("model", "dataset", "slice"):
        result.needed(key, str)
    for key in COUNTED:
        result.one(key, int, None)
    for key in COUNTED_BY_CODE:
        for code in result.inner(key).data:
            result.inner(key).one(code, int, None)
    for metric in METRICS:
        if metric.path:
            place = result
            for key in metric.path[:-1]:
                place = place.inner(key)
            place.number(metric.path[-1], share=metric.is_share)
