"""Whether the scores of a run folder are those of the answers it holds: counts that every reader compares.

``manifest.json`` keeps under ``scoring`` what the scores were made of. It is emptied when asking begins and before
the files are replaced, and written last, so a process that ends in between leaves a folder that says so. A folder
of another tool, or of an evalkit that kept nothing of the kind, has no such entry: there the times alone are compared.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.errors import DataError
from evalkit.storage.ledger import Ledger
from evalkit.storage.records import moment_of

if TYPE_CHECKING:
    import pandas as pd

    from evalkit.storage.manifest import Manifest

UNSCORED: Mapping[str, Any] = {}
"""The entry ``scoring`` of a folder whose scores are absent, or of answers before the last that were asked."""


def scoring_entry(ledger: Mapping[str, int], *, rows: int, results: int) -> dict[str, Any]:
    """Return the entry ``scoring``: its own mark, rows of the scores, results of the summary, ``ledger_state`` before."""
    return {"id": uuid.uuid4().hex, "rows": rows, "results": results, **ledger}


def ledger_state(ledger: Path) -> dict[str, int]:
    """Return what changes whenever an answer is added or set aside; reads an index, no answer."""
    with Ledger(ledger, read_only=True) as opened:
        return {"answered": opened.count("answered"), "last_attempt": opened.last_attempt()}


def refuse_stale(folder: Path, manifest: Manifest, ledger: Path) -> None:
    """Raise ``DataError`` where the folder's scores are not those of its answers, with the command that mends it.

    A ledger that was not kept beside the scores (a copy for reading) is not missed here.
    """
    entry = manifest.scoring
    if entry is None:
        if _ended_after_scoring(manifest):
            raise _stale(folder, f"the run ended at {manifest.finished_at}, scored at {manifest.scored_at}")
        return
    if not entry:
        raise _stale(folder, "asking or scoring began and its end was not reached")
    if "answered" in entry and ledger.is_file():
        for name, found in ledger_state(ledger).items():
            if found != entry.get(name):
                raise _stale(
                    folder, f"`{name}` of the ledger is {found}, and was {entry.get(name)} when scored"
                )


def refuse_count(folder: Path, manifest: Manifest, name: str, found: int) -> None:
    """Raise ``DataError`` where a file has another count (``rows``, ``results``) than was written by the scoring."""
    expected = (manifest.scoring or {}).get(name, found)
    if found != expected:
        what = {"rows": "scores.parquet has {} rows", "results": "summary.json has {} results"}[name]
        raise _stale(folder, f"{what.format(found)}, and {expected} were written when scored")


def mixed_models(scores: pd.DataFrame) -> tuple[str, ...]:
    """Return the models some of whose answers are the simulator's and others are not."""
    kinds = scores.dropna(subset=["simulated"]).groupby("model", sort=False)["simulated"].nunique()
    return tuple(str(model) for model in kinds.index[kinds > 1])


def refuse_mixed(folder: Path, scores: pd.DataFrame) -> None:
    """Raise ``DataError`` where answers of the simulator and of a model would share a mean."""
    models = mixed_models(scores)
    if not models:
        return
    rows = scores[scores["model"] == models[0]]
    simulated, known = int((rows["simulated"] == True).sum()), int(rows["simulated"].notna().sum())  # noqa: E712
    others = "" if len(models) == 1 else f" (and models {', '.join(models[1:])})"
    raise DataError(
        f"{folder}: {simulated} of the {known} answers of model '{models[0]}'{others} are the simulator's, which say "
        "nothing about a model, and share no mean with the others. The command that started the run sets the simulated "
        "ones aside and asks those questions again (check that `base_url:` is no simulator); another folder with --out "
        "asks everything anew"
    )


def _ended_after_scoring(manifest: Manifest) -> bool:
    ended, scored = moment_of(manifest.finished_at), moment_of(manifest.scored_at)
    return ended is not None and scored is not None and ended > scored


def _stale(folder: Path, seen: str) -> DataError:
    return DataError(
        f"{folder}: its scores are not those of the answers it holds ({seen}). `evalkit score {folder}` scores what is "
        "stored, without a request; the command that started the run asks what is missing besides"
    )
