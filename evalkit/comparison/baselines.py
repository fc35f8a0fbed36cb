"""Named baselines: blessed runs that change by ``evalkit baseline set`` and by nothing else.

``reports/baselines/NAME/VERSION/`` holds a copy of a run's manifest, scores and summary with their
SHA-256 digests. Blessing another run under the same name adds the next version and keeps the
earlier ones; a file that was edited by hand is noticed and refused.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import re
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evalkit.errors import ConfigError, DataError, nearest
from evalkit.storage.files import read_json, write_json
from evalkit.storage.manifest import MANIFEST
from evalkit.storage.run_folder import SCORES, RunFolder
from evalkit.storage.summary import SUMMARY

REPORTS = Path("reports")
FOLDER = "baselines"
RECORD = "baseline.json"
KEPT = (MANIFEST, SCORES, SUMMARY)

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True)
class Baseline:
    """One version of a named baseline: where its copy lies, and the run it was made from."""

    name: str
    version: int
    path: Path
    run: str
    source: str
    blessed_at: str
    simulated: bool
    models: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "name": self.name,
            "version": self.version,
            "path": str(self.path),
            "run": self.run,
            "source": self.source,
            "blessed_at": self.blessed_at,
            "simulated": self.simulated,
            "models": list(self.models),
        }


def set_baseline(name: str, run: RunFolder, reports: Path = REPORTS) -> Baseline:
    """Bless ``run`` as the next version of baseline ``name``; return it.

    Raises ``ConfigError`` on a bad name or a run that is not complete, ``DataError`` on a folder
    that is not a scored run. A simulated run is kept as such: the gate refuses it for live runs.
    """
    if not NAME.fullmatch(name):
        raise ConfigError(
            f"'{name}' cannot be a baseline's name: use letters, digits, '.', '_' and '-', beginning with a "
            "letter or digit"
        )
    manifest = run.manifest
    if not manifest.complete:
        raise ConfigError(
            f"{run.path} is {manifest.status}, and a run that stopped early is no baseline. Resume it with "
            "the command that started it, then bless it"
        )
    with run.read_as_one():
        run.scores()
        run.summary()
        target = _next_version(reports / FOLDER / name)
        _copy(run, target)
    record = {
        "name": name,
        "version": int(target.name),
        "run": manifest.name,
        "source": str(run.path.resolve()),
        "blessed_at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "simulated": manifest.simulated,
        "models": [str(model["name"]) for model in manifest.entries],
        "sha256": {file: _digest(target / file) for file in KEPT},
    }
    write_json(target / RECORD, record)
    for file in (*KEPT, RECORD):
        (target / file).chmod(0o444)
    return _baseline(target)


def _next_version(folder: Path) -> Path:
    """Create and return the folder of the next version; creating it decides who was first."""
    folder.mkdir(parents=True, exist_ok=True)
    while True:
        taken = [int(entry.name) for entry in folder.iterdir() if entry.name.isdigit()]
        target = folder / str(max(taken, default=0) + 1)
        try:
            target.mkdir()
        except FileExistsError:
            continue
        return target


def _copy(run: RunFolder, target: Path) -> None:
    for file in (SCORES, SUMMARY):
        shutil.copyfile(run.path / file, target / file)
    refers = os.path.relpath(run.ledger_path.resolve(), target.resolve())
    manifest = run.manifest
    # The copy stays what it was: that the run is asked on, and its ledger grows, makes no blessed number stale.
    scoring = {key: manifest.scoring[key] for key in ("id", "rows", "results")} if manifest.scoring else None
    write_json(target / MANIFEST, replace(manifest, ledger=refers, scoring=scoring).to_json())


def list_baselines(reports: Path = REPORTS) -> list[Baseline]:
    """Return every version of every baseline, by name and version."""
    found = [_baseline(record.parent) for record in (reports / FOLDER).glob(f"*/*/{RECORD}")]
    return sorted(found, key=lambda baseline: (baseline.name, baseline.version))


def find_baseline(text: str, run: RunFolder | None = None, reports: Path = REPORTS) -> RunFolder:
    """Return the run folder that ``--baseline`` means: a run's path, a baseline's ``NAME`` or ``NAME@VERSION``.

    Names are looked up under ``reports`` and beside the run's own folder. Raises
    ``ConfigError`` on an unknown name, ``DataError`` where the copy was changed.
    """
    if (Path(text) / MANIFEST).is_file():
        folder = Path(text)
        return _verified(folder) if (folder / RECORD).is_file() else RunFolder(folder)
    name, _, version = text.partition("@")
    places = [reports] if run is None else [reports, run.path.resolve().parent]
    names: set[str] = set()
    for place in places:
        known = list_baselines(place)
        matching = [b for b in known if b.name == name and version in ("", str(b.version))]
        if matching:
            return _verified(matching[-1].path)
        names |= {baseline.name for baseline in known}
    raise ConfigError(
        f"--baseline {text}: there is no run folder and no baseline of that name.{nearest(name, names)} "
        f"Bless one with `evalkit baseline set {name} RUN`"
    )


def _verified(folder: Path) -> RunFolder:
    record = read_json(folder / RECORD)
    for file, digest in record["sha256"].items():
        if _digest(folder / file) != digest:
            raise DataError(
                f"{folder / file} was changed after it was blessed as baseline '{record['name']}' (its SHA-256 is "
                "another one). Bless the run again: `evalkit baseline set`"
            )
    return RunFolder(folder)


def _baseline(folder: Path) -> Baseline:
    record = read_json(folder / RECORD)
    return Baseline(
        name=record["name"],
        version=record["version"],
        path=folder,
        run=record["run"],
        source=record["source"],
        blessed_at=record["blessed_at"],
        simulated=record["simulated"],
        models=tuple(record["models"]),
    )


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError:
        return "missing"
