"""The columns of scores.parquet, and files of other tools brought to them.

Of the documented columns (docs: the run folder) a writer may leave out those that it does not know, and
may keep tags and codes as text, JSON or lists. Everything that reads scores goes through here once, so
that no metric, rule or chart has to ask which it was.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from evalkit.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    import pyarrow as pa

    from evalkit.metrics.reading import Stated, StatedBoxes

Kind = Literal["text", "number", "count", "flag", "codes", "numbers"]
"""``codes``: a list of text. ``numbers``: a list of floats (32 bit). ``count``: an integer. Every column may be null."""

STATED_BOXES: Final = "stated_boxes"
STATED_CONTOURS: Final = "stated_contours"
_BETWEEN: Final = "\x1f"
"""The unit separator of ASCII, which no code holds."""

_READ_ALONE: Final = (STATED_BOXES, STATED_CONTOURS)
"""The columns that are read on their own: a list for every row, for the diagnosis of readings alone."""


@dataclass(frozen=True, slots=True)
class ScoreColumn:
    """One column of scores.parquet. ``needed``: nothing can be said without it. ``absent``: what a missing one means."""

    name: str
    kind: Kind
    meaning: str
    needed: bool = False
    absent: Any = None


COLUMNS: Final = (
    ScoreColumn("model", "text", "the model's name in the config", needed=True),
    ScoreColumn("dataset", "text", "the dataset's name in the config", needed=True),
    ScoreColumn("split", "text", "the split that the sample belongs to", absent=""),
    ScoreColumn("sample_id", "text", "the dataset's own key of the sample", needed=True),
    ScoreColumn("image_id", "text", "the photograph; intervals resample photographs"),
    ScoreColumn("expression", "text", "the referring expression", absent=""),
    ScoreColumn("tags", "text", "tag -> value, as JSON text", absent="{}"),
    ScoreColumn(
        "trial", "count", "0 for the first time the question was asked, 1 for the second, ...", absent=0
    ),
    ScoreColumn("outcome", "text", "what became of the sample, see the codes", needed=True),
    ScoreColumn("failure", "text", "the code of a format failure, else null"),
    ScoreColumn("wire_formats", "codes", "the formats that the answer's items came in"),
    ScoreColumn("repairs", "codes", "what was repaired while reading it"),
    ScoreColumn("n_items", "count", "objects in the answer"),
    ScoreColumn("intersection", "count", "pixels in both prediction and target; ignored pixels left out"),
    ScoreColumn("union", "count", "pixels in prediction or target; ignored pixels left out"),
    ScoreColumn(
        "iou",
        "number",
        "intersection / union; 1 for a right refusal, 0 for any other answer where nothing fits",
        needed=True,
    ),
    ScoreColumn(
        "box_iou",
        "number",
        "IoU of the box around all returned boxes with the dataset's own box, else the target's",
    ),
    ScoreColumn("boundary_iou", "number", "IoU of the boundaries, 2 % of the image diagonal deep"),
    ScoreColumn("gt_area", "count", "pixels of the target"),
    ScoreColumn("pred_area", "count", "pixels of the prediction"),
    ScoreColumn("instance_tp", "count", "items that pair with an object at IoU >= 0.5"),
    ScoreColumn(
        "instance_fp",
        "count",
        "items that pair with none; half on ignored pixels (a crowd) takes one out, as in COCO",
    ),
    ScoreColumn("instance_fn", "count", "objects that pair with none"),
    ScoreColumn("no_target", "flag", "whether nothing in the image fits the expression", absent=False),
    ScoreColumn("latency_s", "number", "seconds of the attempt that was answered"),
    ScoreColumn("input_tokens", "count", "tokens of the question, as the API reports them"),
    ScoreColumn("output_tokens", "count", "tokens of the answer without thinking"),
    ScoreColumn("thought_tokens", "count", "tokens of thinking"),
    ScoreColumn(
        "cost_usd",
        "number",
        "by the price table or the config's price, as of the model that answered; null where price or usage is unknown",
    ),
    ScoreColumn("requested_model", "text", "the model id that was asked"),
    ScoreColumn("model_version", "text", "the model id that answered"),
    ScoreColumn("finish_reason", "text", "the API's word for why the answer ended"),
    ScoreColumn("attempts", "count", "requests sent for the sample, over all sessions"),
    ScoreColumn("strict", "flag", "the answer is exactly what the prompt asked for"),
    ScoreColumn("simulated", "flag", "the simulator made the answer"),
    ScoreColumn("error", "text", "why there is no answer, for not_run and data_error"),
    ScoreColumn("image_path", "text", "where the photograph lies"),
    ScoreColumn("protocol_counts", "text", "what a named protocol counts besides, as JSON text"),
    ScoreColumn(
        "trial_agreement",
        "number",
        "mean IoU of this trial's mask with the other trials' masks; null with one trial",
    ),
    ScoreColumn(
        STATED_BOXES,
        "numbers",
        "for the diagnosis `reading`: the truth's box as fractions (x0, y0, x1, y1), width and height of the image "
        "as sent, then the four numbers of every box as they stand in the answer",
    ),
    ScoreColumn(
        STATED_CONTOURS,
        "numbers",
        "for the diagnosis `reading`: the truth's box and the image's size as above, then the box IoU of the contours' "
        "masks, 1 where y first is stated, 1 where the box is the stated frame, 0, then for every contour its "
        "smallest and largest first and second number (low, low, high, high) and the four numbers of its box",
    ),
    ScoreColumn(
        "requested_cost_usd",
        "number",
        "what the answer would cost at the price of the model that was asked; null where price or usage is unknown",
    ),
)
"""Every column of scores.parquet, in its order. Counts are null for not_run and data_error."""


def scores_schema() -> pa.Schema:
    """Return the columns of scores.parquet with their types."""
    import pyarrow as pa

    types = {
        "text": pa.string(),
        "number": pa.float64(),
        "count": pa.int64(),
        "flag": pa.bool_(),
        "codes": pa.list_(pa.string()),
        "numbers": pa.list_(pa.float32()),
    }
    return pa.schema([(column.name, types[column.kind]) for column in COLUMNS])


def documented_scores(path: Path) -> pd.DataFrame:
    """Return a scores.parquet as ``documented_columns`` gives it. Raises ``DataError`` where it cannot be read."""
    try:
        scores = read_scores(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as Parquet: {error}") from error
    return documented_columns(scores, str(path))


def read_scores(path: Path) -> pd.DataFrame:
    """Return the columns of a scores.parquet but those of the diagnosis. Raises ``OSError`` or ``ValueError``.

    Lists of codes come as categories of JSON text: few differ, and a list object for every row would cost more time and
    memory than all other columns.
    """
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pq.read_schema(path)
    names = [name for name in schema.names if name not in _READ_ALONE]
    codes = [
        column.name
        for column in COLUMNS
        if column.kind == "codes"
        and column.name in names
        and schema.field(column.name).type == pa.list_(pa.string())
    ]
    scores = pd.read_parquet(path, columns=[name for name in names if name not in codes])
    for name in codes:
        scores[name] = _categories(pq.read_table(path, columns=[name])[name].combine_chunks())
    return scores[names]


def _categories(lists: pa.ListArray[Any]) -> Any:
    """Return a column of lists of text as categories, the JSON text of each list that occurs; null for null.

    A column with a null inside a list, or a code that holds the separator, is returned as it is.
    """
    import pandas as pd
    import pyarrow.compute as pc

    codes = lists.flatten()
    if codes.null_count or pc.any(pc.match_substring(codes, _BETWEEN)).as_py():
        return lists.to_pandas()
    joined = pc.binary_join(lists, _BETWEEN).dictionary_encode()
    texts = [json.dumps(text.split(_BETWEEN) if text else []) for text in joined.dictionary.to_pylist()]
    places = joined.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    return pd.Categorical.from_codes(places, dtype=pd.CategoricalDtype(texts))


def read_stated(path: Path) -> Stated | None:
    """Return the columns of the diagnosis; None where a scores.parquet has no ``STATED_BOXES`` (an older run)."""
    import pyarrow.parquet as pq

    from evalkit.metrics.reading import Stated

    names = pq.read_schema(path).names
    if STATED_BOXES not in names:
        return None
    contours = _stacked(path, STATED_CONTOURS) if STATED_CONTOURS in names else None
    return Stated(_stacked(path, STATED_BOXES), contours)


def _stacked(path: Path, name: str) -> StatedBoxes:
    import pyarrow.parquet as pq

    from evalkit.metrics.reading import stack_numbers

    column = pq.read_table(path, columns=[name])[name].combine_chunks()
    rows = np.flatnonzero(column.is_valid().to_numpy(zero_copy_only=False))
    stated = column.drop_null()
    lengths = stated.value_lengths().to_numpy(zero_copy_only=False).astype(np.intp)
    return stack_numbers(stated.flatten().to_numpy(zero_copy_only=False).astype(np.float64), lengths, rows)


def documented_columns(scores: pd.DataFrame, where: str) -> pd.DataFrame:
    """Return the rows with every documented column, tags as JSON text and codes as lists of text.

    ``image_id`` is the sample's own where absent: each answer then counts as an image of its own.
    ``strict`` (not documented for scores.parquet) is, where absent, "readable with no repair but a code
    fence", which is all that the other columns tell. Raises ``DataError``, naming ``where``, on absent columns.
    """
    needed = [column.name for column in COLUMNS if column.needed]
    absent = [name for name in needed if name not in scores]
    if absent:
        raise DataError(
            f"{where} has no column {', '.join(absent)}: every row needs {', '.join(needed)}. "
            f"It has {', '.join(map(str, scores.columns)) or 'no columns'}"
        )
    has_images, has_strict = "image_id" in scores, "strict" in scores
    known = [column for column in COLUMNS if column.name not in _READ_ALONE]
    rows = scores.assign(**{column.name: column.absent for column in known if column.name not in scores})
    if not has_images:
        rows["image_id"] = rows["sample_id"]
    for name in ("sample_id", "image_id"):
        rows[name] = rows[name].astype(str)
    rows["trial"] = rows["trial"].fillna(0).astype("int64")
    rows["no_target"] = rows["no_target"] == True  # noqa: E712  null is no
    rows["tags"] = _by_value(rows["tags"], _tags_text)
    rows["failure"] = _by_value(rows["failure"], _code)
    for column in COLUMNS:
        if column.kind == "codes":
            rows[column.name] = _by_value(rows[column.name], codes_in)
    if not has_strict:
        rows["strict"] = _seems_strict(rows)
    return rows


def _by_value(column: pd.Series[Any], function: Callable[[Any], Any]) -> pd.Series[Any]:
    """Return ``function`` of every value, called once for each value of a column of text or of categories."""
    import pandas as pd

    if not isinstance(column.dtype, pd.CategoricalDtype | pd.StringDtype):
        return column.map(function)
    places, values = pd.factorize(column)
    made = np.empty(len(values) + 1, dtype=object)
    for place, value in enumerate([*values, None]):  # the last one, which -1 points at, stands for null
        made[place] = function(value)
    return pd.Series(made[places], index=column.index, name=column.name)


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
