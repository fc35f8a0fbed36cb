"""scores.parquet as other tools may have written it, brought to the columns that evalkit computes with.

Of the documented columns (docs: the run folder) a writer may leave out those that it does not know, and
may keep tags and codes as text, JSON or lists. Everything that reads scores goes through here once, so
that no metric, rule or chart has to ask which it was.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from evalkit.errors import DataError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

NEEDED = ("model", "dataset", "sample_id", "outcome", "iou")
"""Columns without which nothing can be said."""

OPTIONAL: dict[str, Any] = {
    "split": "",
    "expression": "",
    "tags": "{}",
    "trial": 0,
    "failure": None,
    "wire_formats": None,
    "repairs": None,
    "no_target": False,
    **dict.fromkeys(("n_items", "intersection", "union", "box_iou", "boundary_iou", "gt_area", "pred_area")),
    **dict.fromkeys(("latency_s", "input_tokens", "output_tokens", "thought_tokens", "cost_usd", "attempts")),
    **dict.fromkeys(("requested_model", "model_version", "finish_reason")),
}
"""Documented column -> what an absent one means."""

CODES = ("wire_formats", "repairs")


def documented_columns(scores: pd.DataFrame, where: str) -> pd.DataFrame:
    """Return the rows with every documented column, tags as JSON text and codes as lists of text.

    ``image_id`` is the sample's own where absent: each answer then counts as an image of its own.
    ``strict`` (not documented for scores.parquet) is, where absent, "readable with no repair but a code
    fence", which is all that the other columns tell. Raises ``DataError``, naming ``where``, on absent columns.
    """
    absent = [name for name in NEEDED if name not in scores]
    if absent:
        raise DataError(
            f"{where} has no column {', '.join(absent)}: every row needs {', '.join(NEEDED)}. "
            f"It has {', '.join(map(str, scores.columns)) or 'no columns'}"
        )
    rows = scores.assign(**{name: value for name, value in OPTIONAL.items() if name not in scores})
    if "image_id" not in rows:
        rows["image_id"] = rows["sample_id"]
    for name in ("sample_id", "image_id"):
        rows[name] = rows[name].astype(str)
    rows["trial"] = rows["trial"].fillna(0).astype("int64")
    rows["no_target"] = rows["no_target"] == True  # noqa: E712  null is no
    rows["tags"] = rows["tags"].map(_tags_text)
    rows["failure"] = rows["failure"].map(_code)
    for name in CODES:
        rows[name] = rows[name].map(codes_in)
    if "strict" not in rows:
        rows["strict"] = _seems_strict(rows)
    return rows


def codes_in(value: Any) -> list[str]:
    """Return the codes of one cell: a list, an array, JSON text, or text parted by commas or spaces."""
    if value is None or isinstance(value, float):
        return []
    if not isinstance(value, str):
        return [str(code) for code in value]
    text = value.strip()
    if text.startswith("["):
        return [str(code) for code in json.loads(text)]
    return text.replace(",", " ").split()


def _tags_text(value: Any) -> str:
    """Return one row's tags as the text of a JSON object; a Parquet struct has null for tags of other rows."""
    if isinstance(value, str) and value.strip():
        return value
    if not isinstance(value, Mapping):
        pairs = value if isinstance(value, (list, tuple)) else ()
        value = dict(pairs)
    return json.dumps({k: v for k, v in value.items() if v is not None}, ensure_ascii=False, sort_keys=True)


def _code(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _seems_strict(rows: pd.DataFrame) -> pd.Series[bool]:
    readable = rows["outcome"].isin(("decoded", "no_target")) & rows["failure"].isna()
    return readable & rows["repairs"].map(lambda codes: set(codes) <= {"fence"})


def scores_schema() -> pa.Schema:
    """Return the columns of scores.parquet, DESIGN 4.3 first, extensions after."""
    import pyarrow as pa

    text, number, count = pa.string(), pa.float64(), pa.int64()
    return pa.schema(
        [
            ("model", text),
            ("dataset", text),
            ("split", text),
            ("sample_id", text),
            ("image_id", text),
            ("expression", text),
            ("tags", text),
            ("trial", count),
            ("outcome", text),
            ("failure", text),
            ("wire_formats", pa.list_(text)),
            ("repairs", pa.list_(text)),
            ("n_items", count),
            ("intersection", count),
            ("union", count),
            ("iou", number),
            ("box_iou", number),
            ("boundary_iou", number),
            ("gt_area", count),
            ("pred_area", count),
            ("instance_tp", count),
            ("instance_fp", count),
            ("instance_fn", count),
            ("no_target", pa.bool_()),
            ("latency_s", number),
            ("input_tokens", count),
            ("output_tokens", count),
            ("thought_tokens", count),
            ("cost_usd", number),
            ("requested_model", text),
            ("model_version", text),
            ("finish_reason", text),
            ("attempts", count),
            ("strict", pa.bool_()),
            ("simulated", pa.bool_()),
            ("error", text),
            ("image_path", text),
            ("protocol_counts", text),
            ("trial_agreement", number),
        ]
    )
