"""A run in a notebook: its rows as data frames, its answers as pictures. Calls no model."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.errors import ConfigError, DataError, nearest
from evalkit.notebook.answers import answers_of, headline_columns, summary_row, tile_of
from evalkit.notebook.views import Comparison, Masks, Prediction, banner, table_html
from evalkit.storage.run_folder import RunFolder

if TYPE_CHECKING:
    import pandas as pd

    from evalkit.notebook.pictures import Pictures
    from evalkit.scoring.engine import Engine

WALL_TILES = 24


class Run:
    """A scored run. ``folder`` reads its files; ``path`` is where they lie.

    >>> import evalkit as ek
    >>> run = ek.load("reports/demo")
    >>> run.models
    ['good', 'poor']
    >>> sorted(set(run.scores["outcome"]))
    ['decoded', 'format_failure', 'no_target', 'not_run']
    """

    def __init__(self, path: str | Path) -> None:
        self.folder = RunFolder(path)
        self.folder.refuse_stale()
        self._scores: pd.DataFrame | None = None

    @property
    def path(self) -> Path:
        """The run's folder."""
        return self.folder.path

    @property
    def name(self) -> str:
        """The config's ``name``."""
        return self.folder.manifest.name

    @property
    def complete(self) -> bool:
        """Whether every sample was asked."""
        return self.folder.manifest.complete

    @property
    def simulated(self) -> bool:
        """Whether the simulator made answers of this run."""
        return self.folder.manifest.simulated

    @property
    def models(self) -> list[str]:
        """The models' names, in the config's order."""
        return list(dict.fromkeys(self.scores["model"]))

    @property
    def scores(self) -> pd.DataFrame:
        """scores.parquet, one row per answer, with a column ``tag_NAME`` for every tag.

        >>> run.scores.query("tag_side == 'left'")["sample_id"].nunique()
        8
        """
        from evalkit.report.export import with_tag_columns

        if self._scores is None:
            self._scores = with_tag_columns(self.folder.scores())
        return self._scores

    def summary(self, tag: str | None = None) -> pd.DataFrame:
        """Return summary.json, one row per model and dataset; with ``tag`` one per value of that tag.

        A number with an interval has three columns: ``giou``, ``giou_low``, ``giou_high`` (95 %).
        Raises ``ConfigError`` on an unknown tag.

        >>> run.summary()[["model", "n", "giou"]].round(2).values.tolist()
        [['good', 16, 0.93], ['poor', 16, 0.13]]
        >>> run.summary("side")["slice"].unique().tolist()
        ['side=left', 'side=right']
        """
        import pandas as pd

        results = self.folder.summary().results
        tags = {str(result["slice"]).partition("=")[0] for result in results} - {"all"}
        if tag is not None and tag not in tags:
            raise ConfigError(f"{self.path} has no slices by tag '{tag}'.{nearest(tag, tags)}")
        chosen = [
            r for r in results if (r["slice"] == "all" if tag is None else r["slice"].startswith(f"{tag}="))
        ]
        return pd.DataFrame([summary_row(result) for result in chosen])

    def compare(self, *models: str, other: Run | str | Path | None = None) -> Comparison:
        """Compare two models of this run (all pairs where none is named), or this run with a later one.

        Differences are second minus first. Raises ``ConfigError`` on an unknown model.

        >>> print(run.compare("good", "poor").verdicts[0])  # doctest: +ELLIPSIS
        poor is worse than good in gIoU: -0.798, ...
        """
        from evalkit.comparison.compare import compare_runs

        if models and len(models) != 2:
            raise ConfigError(
                f"compare takes two models or none, and was given {len(models)}: {', '.join(models)}"
            )
        folders = [self.folder]
        if other is not None:
            folders.append(other.folder if isinstance(other, Run) else RunFolder(other))
        return Comparison(compare_runs(folders, models or None))

    def show(
        self,
        sample_id: str,
        models: Sequence[str] | None = None,
        *,
        dataset: str | None = None,
        trial: int = 0,
    ) -> Pictures:
        """Draw one sample: the truth, then each model's prediction and what it hit, missed and added.

        Raises ``DataError`` on an unknown sample.

        >>> len(run.show("2:0", ["good"]))
        3
        """
        from evalkit.notebook.pictures import LEGEND, Pictures, difference_tile, truth_tile

        found = list(answers_of(self.folder, self._rows(sample_id, models, dataset, trial)))
        sample = found[0].sample
        tiles = [truth_tile(sample, [sample.expression])]
        for one in found:
            tiles.append(tile_of(one))
            if one.decoded is not None and one.decoded.mask is not None:
                tiles.append(difference_tile(sample, one.decoded, f"{one.row['model']}, difference"))
        return Pictures(tiles, self._note(f"{sample_id}: {LEGEND}"))

    def wall(
        self,
        query: str | None = None,
        *,
        sort: str = "iou",
        ascending: bool = True,
        limit: int = WALL_TILES,
    ) -> Pictures:
        """Draw the rows that ``query`` selects from ``scores`` (pandas syntax), worst IoU first.

        >>> wall = run.wall("model == 'poor' and tag_kind == 'plain'", limit=3)
        >>> [tile.title for tile in wall.tiles]
        ['poor · 0:0', 'poor · 1:0', 'poor · 2:0']
        """
        from evalkit.notebook.pictures import LEGEND, Pictures

        rows = self._select(query)
        shown = rows.sort_values(sort, ascending=ascending, kind="stable").head(limit)
        tiles = [tile_of(one, with_sample=True) for one in answers_of(self.folder, shown)]
        order = f"{'lowest' if ascending else 'highest'} {sort} first"
        return Pictures(tiles, self._note(f"{len(tiles)} of {len(rows)} rows, {order} · {LEGEND}"))

    def rescore(
        self,
        out: str | Path | None = None,
        *,
        protocol: str | None = None,
        engine: Engine = "local",
        **decode: Any,
    ) -> Run:
        """Score the stored answers under other conventions; call nothing and leave this run as it is.

        ``decode``: keys of the config's ``decode`` section. ``out``: a new folder; a temporary one, which
        goes when Python ends, where not given. Raises ``ConfigError`` on unknown settings.

        >>> run.rescore(threshold=100).folder.config().decode.threshold
        100
        """
        from evalkit.config.overrides import with_changes
        from evalkit.scoring.score import score_run

        settings = with_changes(self.folder.config().decode, decode)
        target = _temporary_folder() if out is None else Path(out)
        score_run(self.folder, decode=settings, protocol=protocol, out=target, engine=engine)
        return Run(target)

    def answer(self, sample_id: str, model: str, *, dataset: str | None = None, trial: int = 0) -> Prediction:
        """Return one stored answer with its verdict. Raises ``DataError`` on an unknown sample.

        >>> run.answer("1:0", "poor")  # doctest: +NORMALIZE_WHITESPACE
        outcome   format_failure: no usable mask; counts as an empty prediction, IoU 0
        failure   mask_tokens: leaked <seg_N> tokens in place of a mask; they cannot be decoded
        strict    no: not exactly what the prompt asked for
        item 1    seg_tokens: mask_tokens, box [16, 12, 80, 60] 'x'
          seg_tokens: leaked <seg_N> mask tokens, for which no decoder is public
          mask_tokens: leaked <seg_N> tokens in place of a mask; they cannot be decoded
        """
        (one,) = answers_of(self.folder, self._rows(sample_id, [model], dataset, trial))
        truth = one.sample.truth
        text = None if one.response is None else one.response.text
        size = (truth.width_px, truth.height_px)
        return Prediction(text, size, one.decoded, one.row, one.response, one.sample)

    def masks(
        self, sample_id: str | None = None, model: str | None = None, *, query: str | None = None
    ) -> list[Masks]:
        """Return truth and prediction of the chosen rows, as run lengths and as arrays when asked for.

        >>> (one,) = run.masks("2:0", "good")
        >>> one.truth.shape, one.truth.dtype.name, int((one.truth & one.prediction).sum())
        ((120, 160), 'bool', 1373)
        >>> one.prediction_rle.to_json()["size"]
        [120, 160]
        """
        from evalkit.masks import full_mask, rle_encode, truth_mask

        rows = self._select(query)
        if sample_id is not None:
            rows = rows[rows["sample_id"] == self._known(sample_id, "sample_id")]
        if model is not None:
            rows = rows[rows["model"] == self._known(model, "model")]
        return [
            Masks(
                model=str(one.row["model"]),
                dataset=one.sample.dataset,
                sample_id=one.sample.sample_id,
                trial=int(one.row["trial"]),
                truth_rle=rle_encode(truth_mask(one.sample.truth)),
                prediction_rle=None
                if one.decoded is None or one.decoded.mask is None
                else rle_encode(full_mask(one.decoded.mask)),
            )
            for one in answers_of(self.folder, rows)
        ]

    def __repr__(self) -> str:
        from evalkit.report.headline import headline_table

        return f"run '{self.name}' in {self.path}\n{headline_table(self.folder.summary())}"

    def _repr_html_(self) -> str:
        import html

        title = f"<p>run <b>{html.escape(self.name)}</b> in <code>{html.escape(str(self.path))}</code></p>"
        warning = banner(simulated=self.simulated, partial=not self.complete)
        return title + warning + table_html(headline_columns(self.summary()))

    def _note(self, text: str) -> str:
        return f"SIMULATED ANSWERS · {text}" if self.simulated else text

    def _known(self, value: str, column: str) -> str:
        known = set(self.scores[column])
        if value not in known:
            raise DataError(
                f"{self.path} has no {column.replace('_id', '')} '{value}'.{nearest(value, known)}"
            )
        return value

    def _select(self, query: str | None) -> pd.DataFrame:
        from pandas.errors import UndefinedVariableError

        if query is None:
            return self.scores
        try:
            return self.scores.query(query)
        except UndefinedVariableError as error:
            columns = ", ".join(self.scores.columns)
            raise ConfigError(f'query "{query}": {error}. The columns are {columns}') from error

    def _rows(
        self, sample_id: str, models: Sequence[str] | None, dataset: str | None, trial: int
    ) -> pd.DataFrame:
        """Return the rows of one sample and trial, the models in the order asked."""
        rows = self.scores[self.scores["sample_id"] == self._known(sample_id, "sample_id")]
        datasets = list(dict.fromkeys(rows["dataset"]))
        if dataset is None and len(datasets) > 1:
            raise ConfigError(f"sample '{sample_id}' is in {', '.join(datasets)}: name one with dataset=")
        names = [self._known(model, "model") for model in models or self.models]
        rows = rows[(rows["dataset"] == (dataset or datasets[0])) & (rows["trial"] == trial)]
        rows = rows[rows["model"].isin(names)]
        if rows.empty:
            raise DataError(
                f"{self.path} has no trial {trial} of sample '{sample_id}' in dataset '{dataset}'"
            )
        return rows.sort_values("model", key=lambda column: column.map(names.index), kind="stable")


def _temporary_folder() -> Path:
    """Return a new folder that is removed when Python ends."""
    folder = Path(tempfile.mkdtemp(prefix="evalkit-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
