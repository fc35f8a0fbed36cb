"""The run folder: manifest, samples, ledger, scores and summary (DESIGN 4.3).

API keys never enter the folder.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.errors import ConfigError, DataError
from evalkit.extensions import search_in_own
from evalkit.storage.files import parquet_read, read_json
from evalkit.storage.ledger import Ledger
from evalkit.storage.manifest import MANIFEST, Manifest, read_manifest
from evalkit.storage.records import shown
from evalkit.storage.samples_table import sample_from_row
from evalkit.storage.scoring_state import refuse_count, refuse_mixed, refuse_stale
from evalkit.storage.summary import SUMMARY, Summary
from evalkit.types import Sample

if TYPE_CHECKING:
    import pandas as pd

    from evalkit.config.schema import RunConfig
    from evalkit.metrics.reading import Stated

LEDGER = "responses.sqlite"
SAMPLES = "samples.parquet"
SCORES = "scores.parquet"


class RunFolder:
    """One run's folder, for reading; raises ``DataError`` where it is not one."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not (self.path / MANIFEST).is_file():
            raise DataError(
                f"{self.path} is not a run folder: it holds no {MANIFEST}. "
                "Give a folder that `evalkit run` wrote, for example reports/<name>"
            )

    @property
    def manifest(self) -> Manifest:
        """The manifest as it is now. Raises ``DataError`` where the file or a field of it is damaged."""
        manifest = read_manifest(self.path)
        if manifest.config_directory is not None:
            # Written where the config names modules beside it; one that the user never ran may be anybody's.
            search_in_own(manifest.config_directory)
        return manifest

    @property
    def ledger_path(self) -> Path:
        """The ledger's file; a re-scored copy (`evalkit score --out`) refers to its source's."""
        elsewhere = self.manifest.ledger
        return (self.path / elsewhere).resolve() if elsewhere else self.path / LEDGER

    @property
    def samples_path(self) -> Path:
        """The file of the samples, beside the ledger."""
        return self.ledger_path.parent / SAMPLES

    def config(self) -> RunConfig:
        """Return the resolved configuration that the run was made with."""
        from pydantic import ValidationError

        from evalkit.config.schema import RunConfig

        manifest = self.manifest
        try:
            return RunConfig.from_stored(manifest.config)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            key = ".".join(str(part) for part in ("config", *first["loc"]))
            raise DataError(
                f"{self.path / MANIFEST}: the field `{key}` is not what this evalkit reads: {first['msg']}, found "
                f"{shown(first['input'])}. The run was made by evalkit {manifest.evalkit}: use that version, or mend "
                "the file"
            ) from error

    def scores(self) -> pd.DataFrame:
        """Return scores.parquet as a data frame, one row per (model, dataset, sample, trial).

        Without ``stated_boxes`` and ``stated_contours``. See ``scores_table.documented_columns`` for what may be
        absent or spelled otherwise. Raises ``DataError`` where they are absent, damaged, or not of the answers the folder holds.
        """
        from evalkit.storage.scores_table import documented_scores

        self._require(self.path / SCORES)
        self.refuse_stale()
        scores = documented_scores(self.path / SCORES)
        refuse_count(self.path, self.manifest, "rows", len(scores))
        refuse_mixed(self.path, scores)
        return scores

    def refuse_stale(self) -> None:
        """Raise ``DataError`` where scores and summary are not of the answers that the folder holds."""
        refuse_stale(self.path, self.manifest, self.ledger_path)

    @contextmanager
    def read_as_one(self) -> Iterator[None]:
        """Hold what is read inside to one scoring. Raises ``DataError`` where the run was scored meanwhile."""
        before = self.manifest.scoring
        yield
        if self.manifest.scoring != before:
            raise DataError(f"{self.path} was scored again while it was read: give the same command again")

    def stated(self) -> Stated | None:
        """Return what the diagnosis of readings needs of every row; None in a run scored by an older evalkit."""
        from evalkit.storage.scores_table import read_stated

        self._require(self.path / SCORES)
        with parquet_read(self.path / SCORES):
            return read_stated(self.path / SCORES)

    def summary(self) -> Summary:
        """Return summary.json. Raises ``DataError`` where it is absent, damaged or not of the folder's answers."""
        self._require(self.path / SUMMARY)
        self.refuse_stale()
        summary = Summary.from_json(read_json(self.path / SUMMARY), self.path / SUMMARY)
        refuse_count(self.path, self.manifest, "results", len(summary.results))
        return summary

    def written_with(self, out: Path | None) -> Path:
        """Return the folder whose lock guards what is made from this run and written to ``out``, None being inside it."""
        inside = out is None or out.resolve().is_relative_to(self.path.resolve())
        return self.path if out is None or inside else out

    def sample_chunks(self) -> Iterator[list[Sample]]:
        """Yield the samples in chunks of at most ``SAMPLES_PER_CHUNK``."""
        for index in range(self.n_chunks()):
            yield self.sample_chunk(index)

    def n_chunks(self) -> int:
        """Return the number of chunks."""
        import pyarrow.parquet as pq

        self._require(self.samples_path)
        with parquet_read(self.samples_path):
            return int(pq.ParquetFile(self.samples_path).num_row_groups)

    def n_samples(self) -> int:
        """Return the number of samples."""
        import pyarrow.parquet as pq

        self._require(self.samples_path)
        with parquet_read(self.samples_path):
            return int(pq.ParquetFile(self.samples_path).metadata.num_rows)

    def sample_chunk(self, index: int) -> list[Sample]:
        """Return one chunk of samples, in the order of the run."""
        import pyarrow.parquet as pq

        with parquet_read(self.samples_path):
            rows = pq.ParquetFile(self.samples_path).read_row_group(index).to_pylist()
            return [sample_from_row(row) for row in rows]

    def sample(self, dataset: str, sample_id: str) -> Sample:
        """Return one sample. Raises ``DataError`` where the run has no such sample."""
        import pyarrow.parquet as pq

        wanted = [("dataset", "=", dataset), ("sample_id", "=", sample_id)]
        with parquet_read(self.samples_path):
            rows = pq.read_table(self.samples_path, filters=wanted).to_pylist()
        if not rows:
            raise DataError(f"run {self.path} has no sample '{sample_id}' in dataset '{dataset}'")
        return sample_from_row(rows[0])

    def _require(self, path: Path) -> None:
        if not path.is_file():
            raise DataError(
                f"{path} does not exist: the run was not scored yet. "
                f"Run `evalkit score {self.path}`, or resume it with the command that started it"
            )


def open_for_run(path: Path, config: RunConfig) -> bool:
    """Tell whether ``path`` already holds this very run (resume), False where it is new.

    Raises ``ConfigError`` where the folder belongs to another config or is something else.
    """
    if (path / MANIFEST).is_file():
        _refuse_other_config(path, config)
        return True
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise ConfigError(
            f"{path} exists and is not a run folder (no {MANIFEST} in it). "
            "Give another folder with --out, or remove it"
        )
    return False


def _asks_the_same(manifest: Manifest, config: RunConfig) -> bool:
    """Tell whether a folder's own config asks the same; its digest may be an older evalkit's."""
    from pydantic import ValidationError

    from evalkit.config.schema import RunConfig

    try:
        theirs = RunConfig.from_stored(manifest.config)
    except ValidationError:
        return False
    return theirs.answers_fingerprint() == config.answers_fingerprint()


def _refuse_other_config(path: Path, config: RunConfig) -> None:
    manifest = read_manifest(path)
    require_ledger(path, manifest)
    if manifest.ledger:
        raise ConfigError(
            f"{path} is a re-scored copy of another run: resume the run itself, or give another --out"
        )
    if manifest.answers_fingerprint == config.answers_fingerprint():
        return
    other_values = [
        f"{text}, which stood for another value"
        for text, digest in config.variables().items()
        if manifest.variables.get(text, digest) != digest
    ]
    if not other_values and _asks_the_same(manifest, config):
        return
    # An older evalkit knew fewer keys, so its digest differs; its config, read today, has them at their defaults.
    before = RunFolder(path).config().model_dump(mode="json")
    answered = _answered_models(path)
    changed = config.questions_changed_since(before, answered) + (other_values if answered else [])
    if not changed:
        return
    raise ConfigError(
        f"{path} belongs to another config: {'; '.join(changed)}. Give another folder with "
        "--out, another `name:`, or the config it was made with. What has no answer yet may change: decode, score, "
        "limits, gate, and models that were not asked"
    )


def require_ledger(path: Path, manifest: Manifest) -> None:
    """Raise ``DataError`` where a folder's answers are gone: asking them again is paid for twice, scoring finds none."""
    counted = (manifest.counts or {}).get("answered", 0)
    if manifest.ledger or not counted or _answered_models(path):
        return
    what = "is missing" if not (path / LEDGER).is_file() else "holds no answer"
    raise DataError(
        f"{path / LEDGER} {what}, but {MANIFEST} counts {counted} answers in it. Restore the file, or give another "
        "folder with --out to ask everything anew"
    )


def _answered_models(path: Path) -> set[str]:
    if not (path / LEDGER).is_file():
        return set()
    with Ledger(path / LEDGER, read_only=True) as ledger:
        return set(ledger.answered_by_model())
