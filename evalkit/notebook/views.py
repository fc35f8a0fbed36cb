"""What the notebook API returns besides data frames: each shows itself, and gives its numbers as data."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from evalkit.comparison import NOT_WORSE_MARGIN
from evalkit.masks import full_mask, rle_decode, rle_encode
from evalkit.types import SIMULATED_WARNING

if TYPE_CHECKING:
    import pandas as pd

    from evalkit.comparison.compare import RunComparison as Compared
    from evalkit.comparison.history import RunHistory
    from evalkit.types import BoolMask, Decoded, Item, Response, Rle, Sample

SHOWN_CHARACTERS = 4_000
"""Characters of a raw answer that are displayed; ``text`` holds all of it."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Prediction:
    """One answer and its verdict.

    ``text``: what was decoded, None where the model never answered. ``size``: (width, height) of the
    image in pixels. ``row``: the columns of scores.parquet, empty for ``ek.decode``. ``decoded``,
    ``response`` and ``sample`` are the records it rests on.
    """

    text: str | None
    size: tuple[int, int]
    decoded: Decoded | None
    row: Mapping[str, Any] = field(default_factory=dict)
    response: Response | None = None
    sample: Sample | None = None

    @property
    def outcome(self) -> str:
        """One of ``evalkit.types.Outcome``."""
        return str(self.row["outcome"]) if self.decoded is None else self.decoded.outcome

    @property
    def failure(self) -> str | None:
        """The code of a format failure, else None."""
        return None if self.decoded is None else self.decoded.failure

    @property
    def strict(self) -> bool:
        """Whether the answer is exactly what the prompt asked for."""
        return self.decoded is not None and self.decoded.strict

    @property
    def items(self) -> tuple[Item, ...]:
        """The objects of the answer."""
        return () if self.decoded is None else self.decoded.items

    @property
    def mask(self) -> BoolMask | None:
        """The predicted mask over the whole image (bool, H x W), None where there is none."""
        crop = None if self.decoded is None else self.decoded.mask
        return None if crop is None else full_mask(crop)

    @property
    def rle(self) -> dict[str, object] | None:
        """The mask as COCO run lengths ``{"size": [h, w], "counts": str}``, None where there is none."""
        mask_hw = self.mask
        return None if mask_hw is None else rle_encode(mask_hw).to_json()

    def to_json(self) -> dict[str, Any]:
        """Return the verdict as `evalkit decode --json` prints it."""
        from evalkit.decoding.verdict import verdict_json

        if self.decoded is None:
            return {"outcome": self.outcome, "failure": None, "strict": False, "items": [], "mask": None}
        return verdict_json(self.decoded)

    def __repr__(self) -> str:
        from evalkit.decoding.verdict import verdict_text

        if self.decoded is None:
            return f"outcome   {self.outcome}: {self.row.get('error')}"
        return verdict_text(self.decoded)

    def _repr_html_(self) -> str:
        from evalkit.notebook.pictures import prediction_tile, tile_html

        text = "(no answer)" if self.text is None else self.text
        cut = (
            text
            if len(text) <= SHOWN_CHARACTERS
            else f"{text[:SHOWN_CHARACTERS]}... ({len(text)} characters)"
        )
        picture = ""
        if self.sample is not None:
            picture = tile_html(
                prediction_tile(self.sample, self.decoded, str(self.row["model"]), [self.sample.expression])
            )
        return (
            f"{picture}<pre>{html.escape(repr(self))}</pre>"
            f"<details><summary>raw answer</summary><pre>{html.escape(cut)}</pre></details>"
        )


@dataclass(frozen=True, slots=True, eq=False)
class Masks:
    """Truth and prediction of one row; kept as run lengths, made to arrays when asked for.

    ``prediction_rle`` is None where the answer gave no mask.
    """

    model: str
    dataset: str
    sample_id: str
    trial: int
    truth_rle: Rle
    prediction_rle: Rle | None

    @property
    def truth(self) -> BoolMask:
        """The target (bool, H x W); all False where nothing fits the expression."""
        return rle_decode(self.truth_rle)

    @property
    def prediction(self) -> BoolMask | None:
        """The predicted mask (bool, H x W), None where the answer gave none."""
        return None if self.prediction_rle is None else rle_decode(self.prediction_rle)


class Comparison:
    """Paired differences, second minus first: ``verdicts``, ``table``, ``slices`` and ``flips``.

    ``compared`` is the record of ``evalkit.comparison.compare`` that it shows.
    """

    def __init__(self, compared: Compared) -> None:
        self.compared = compared

    @property
    def simulated(self) -> bool:
        """Whether answers of the simulator are compared."""
        return any(side.manifest.simulated for side in self.compared.sides)

    @property
    def verdicts(self) -> list[str]:
        """One sentence for each pair: better, worse, or how large a difference could still hide."""
        from evalkit.comparison.words import verdict

        return [str(verdict(pair, self.compared.tests)["sentence"]) for pair in self.compared.pairs]

    @property
    def table(self) -> pd.DataFrame:
        """One row per pair and measure on whole datasets: values, difference, interval, p-values."""
        return self._frame(whole=True)

    @property
    def slices(self) -> pd.DataFrame:
        """The same for every slice (``tag=value``)."""
        return self._frame(whole=False)

    @property
    def flips(self) -> pd.DataFrame:
        """The samples whose IoU changed most, largest change first."""
        import pandas as pd

        return pd.DataFrame(
            [
                {"first": pair.a.label, "second": pair.b.label, "dataset": pair.dataset, **flip}
                for pair in self.compared.pairs
                for flip in pair.flips
            ]
        )

    def to_json(self) -> dict[str, Any]:
        """Return the document that `evalkit compare --json` prints."""
        from evalkit.comparison.words import comparison_json

        return comparison_json(self.compared, NOT_WORSE_MARGIN)

    def _frame(self, *, whole: bool) -> pd.DataFrame:
        import pandas as pd

        return pd.DataFrame(
            [
                {
                    "first": pair.a.label,
                    "second": pair.b.label,
                    "dataset": pair.dataset,
                    "slice": table.slice,
                    "measure": found.measure,
                    "first_value": found.a.value,
                    "second_value": found.b.value,
                    "difference": found.difference.value,
                    "low": found.difference.low,
                    "high": found.difference.high,
                    "p_holm": found.p_holm,
                    "n": found.n,
                    "n_images": found.n_images,
                    "wins": found.wins,
                    "ties": found.ties,
                    "losses": found.losses,
                }
                for pair in self.compared.pairs
                for table in ((pair.whole,) if whole else pair.slices)
                for found in table.measured
            ]
        )

    def __repr__(self) -> str:
        from evalkit.comparison.words import comparison_text

        return comparison_text(self.compared, NOT_WORSE_MARGIN)

    def _repr_html_(self) -> str:
        sentences = "".join(f"<p>{html.escape(sentence)}</p>" for sentence in self.verdicts)
        return banner(simulated=self.simulated) + sentences + table_html(self.table)


class History:
    """Runs over time: ``runs`` and ``shifts`` as data frames.

    ``series`` are the records of ``evalkit.comparison.history`` that it shows; ``left_out`` says why a run is in none.
    """

    def __init__(self, history: RunHistory) -> None:
        self.series = history.series
        self.left_out = history.left_out
        self._history = history

    @property
    def runs(self) -> pd.DataFrame:
        """One row per run, model and dataset, in order of time: metrics with intervals, cost, versions."""
        import pandas as pd

        return pd.DataFrame(
            [
                {
                    "config": one.config,
                    "model": one.model,
                    "dataset": one.dataset,
                    **{
                        key: run[key]
                        for key in ("started_at", "run", "status", "simulated", "n", "n_not_run")
                    },
                    **flat_numbers(run["metrics"]),
                    **{
                        key: run[key]
                        for key in ("cost_usd", "n_cost_unknown", "wire_formats", "model_versions")
                    },
                }
                for one in self.series
                for run in one.to_json()["runs"]
            ]
        )

    @property
    def shifts(self) -> pd.DataFrame:
        """One row per detected shift: which measure, from which run on, the means and the p-value."""
        import pandas as pd

        return pd.DataFrame(
            [
                {"config": one.config, "model": one.model, "dataset": one.dataset, **change}
                for one in self.series
                for change in one.to_json()["changes"]
            ],
            columns=[
                *("config", "model", "dataset", "metric", "first_run_after", "last_run_before"),
                *("at", "before", "after", "p"),
            ],
        )

    def __repr__(self) -> str:
        from evalkit.comparison.history import history_text

        return history_text(self._history)

    def _repr_html_(self) -> str:
        shifts = self.shifts
        found = "<p>No shift was found.</p>" if shifts.empty else table_html(shifts)
        simulated = bool(self.runs["simulated"].any())
        left_out = "".join(f"<p>{html.escape(line)}</p>" for line in self._history.left_out_words())
        return banner(simulated=simulated) + table_html(self.runs) + found + left_out


def flat_numbers(numbers: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``{name: {"value", "low", "high"}}`` as columns ``name``, ``name_low``, ``name_high``."""
    flat: dict[str, Any] = {}
    for name, number in numbers.items():
        if isinstance(number, Mapping) and {"value", "low", "high"} <= number.keys():
            flat |= {name: number["value"], f"{name}_low": number["low"], f"{name}_high": number["high"]}
        else:
            flat[name] = None if number is None else number
    return flat


def banner(*, simulated: bool, partial: bool = False) -> str:
    """Return the HTML that stands above numbers which must not be taken for more than they are."""
    told = [SIMULATED_WARNING] if simulated else []
    told += ["PARTIAL: some samples were not run; the same command resumes the run."] if partial else []
    return "".join(f"<p><b>{text}</b></p>" for text in told)


def table_html(frame: pd.DataFrame) -> str:
    """Return a data frame as an HTML table: text escaped, numbers to three digits."""
    return frame.to_html(index=False, escape=True, float_format="{:.3f}".format, na_rep="-", border=0)
