"""manifest.json as a record: what a run was made of, by what, when, and how far it came."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.storage.files import read_json
from evalkit.storage.records import STATUSES, FieldReader, json_of

if TYPE_CHECKING:
    from pydantic import BaseModel

MANIFEST = "manifest.json"

BEGUN = (
    *("name", "evalkit", "status", "simulated", "answers_fingerprint", "seed", "started_at", "finished_at"),
    *("sessions", "config", "models", "limit", "datasets", "versions"),
)
"""The keys of a run that has begun, in their order."""

WAY_OUT = "The file was changed or damaged: restore it from a copy. The answers are kept apart from it, in the ledger"


@dataclass(frozen=True, slots=True)
class Manifest:
    """One run. ``dataclasses.replace`` makes the next state of it.

    ``config``: the resolved configuration as written then, which may be another version's. ``models``: the
    names that were asked so far. ``datasets``: name -> fingerprint and counts (other tools write a list).
    ``incomplete``: a sentence for each model that is short of answers; ``stopped``: why models stopped early;
    None before the first session ended, and while a later one asks. ``scoring``: what the scores were made of
    (``storage.scoring_state``), empty until they are written. ``ledger``: where a re-scored copy finds the answers, relative.
    ``variables``: digest of what each ``${NAME}`` of the config stood for where that changes answers.
    ``mixed``: models that could not be scored, as some of their answers are the simulator's and others are not.
    ``config_directory``: where modules of the user's that the config names are searched, None where it names none.
    """

    name: str
    config: Mapping[str, Any]
    status: str = "partial"
    evalkit: str | None = None
    simulated: bool = False
    answers_fingerprint: str | None = None
    seed: int = 0
    started_at: str | None = None
    finished_at: str | None = None
    sessions: tuple[Mapping[str, Any], ...] = ()
    models: tuple[str, ...] = ()
    limit: int | None = None
    datasets: Mapping[str, Any] | tuple[Mapping[str, Any], ...] = field(default_factory=dict)
    versions: Mapping[str, Any] = field(default_factory=dict)
    incomplete: tuple[str, ...] | None = None
    stopped: tuple[str, ...] | None = None
    counts: Mapping[str, Any] | None = None
    scored_at: str | None = None
    scoring: Mapping[str, Any] | None = None
    ledger: str | None = None
    rescored_from: str | None = None
    config_directory: str | None = None
    variables: Mapping[str, Any] = field(default_factory=dict)
    mixed: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
    written: tuple[str, ...] = BEGUN

    @classmethod
    def from_json(cls, data: Mapping[str, Any], path: Path) -> Manifest:
        """Return the record of a file's object. Raises ``DataError`` naming the first field that cannot be."""
        read = FieldReader(data, str(path), WAY_OUT)
        config = _checked_config(read)
        name = read.one("name", str, None) or config.one("name", str, None) or path.resolve().parent.name
        return cls(
            name=name,
            config=config.data,
            status=read.chosen("status", STATUSES),
            evalkit=read.one("evalkit", str, None),
            simulated=read.one("simulated", bool, default=False),
            answers_fingerprint=read.one("answers_fingerprint", str, None),
            seed=read.one("seed", int, 0),
            started_at=read.moment("started_at"),
            finished_at=read.moment("finished_at"),
            sessions=_sessions(read),
            models=read.many("models", str),
            limit=read.one("limit", int, None),
            datasets=_datasets(read),
            versions=read.one("versions", dict, {}),
            incomplete=read.many("incomplete", str) if data.get("incomplete") is not None else None,
            stopped=read.many("stopped", str) if data.get("stopped") is not None else None,
            counts=read.one("counts", dict, None),
            scored_at=read.moment("scored_at"),
            scoring=read.one("scoring", dict, None),
            ledger=read.one("ledger", str, None),
            rescored_from=read.one("rescored_from", str, None),
            config_directory=read.one("config_directory", str, None),
            variables=read.one("variables", dict, {}),
            mixed=read.many("mixed", str),
            extra=read.unknown(cls),
            written=tuple(data),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the object of the file."""
        return json_of(self)

    @property
    def complete(self) -> bool:
        """Whether every model has its answers, within the limits of the run, and they were scored."""
        return self.status == "complete"

    @property
    def asked_whole(self) -> bool:
        """Whether the asking came to its end with nothing short; its scores may still be to come."""
        return self.incomplete == () and self.stopped == ()

    @property
    def entries(self) -> list[dict[str, Any]]:
        """The ``models:`` entries of the config as written then."""
        return list(self.config["models"])

    def section(self, name: str) -> Mapping[str, Any]:
        """Return a mapping of the config, such as ``limits``; empty where it is absent or null."""
        section: Mapping[str, Any] = self.config.get(name) or {}
        return section

    def fingerprints(self) -> dict[str, Any]:
        """Return dataset -> what the file tells of its samples and truths, None where it does not.

        The datasets are those of the config, then any that only the file tells of.
        """
        told = self.datasets
        entries = told if isinstance(told, Mapping) else {entry["name"]: entry for entry in told}
        configured = [entry["name"] for entry in self.config.get("datasets") or ()]
        return {name: entries.get(name) for name in dict.fromkeys([*configured, *entries])}


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest of a run folder. Raises ``DataError`` where the file or a field of it is damaged."""
    return Manifest.from_json(read_json(folder / MANIFEST), folder / MANIFEST)


def _checked_config(read: FieldReader) -> FieldReader:
    """Return the config's reader, with the kinds of the parts that are read without the whole schema checked."""
    read.needed("config", dict)
    config = read.inner("config")
    config.needed("models", list)
    for entry in (*config.inners("models"), *config.inners("datasets")):
        entry.needed("name", str)
    config.many("gate", dict)
    config.one("prompts", dict, None)
    _check_sections(read, config)
    return config


def _check_sections(read: FieldReader, config: FieldReader) -> None:
    """Check what is read of a config without its whole schema; keys that another version had are left alone.

    Raises ``DataError`` naming the first key that holds what it cannot.
    """
    from evalkit.config.models import GenerationConfig, PaceConfig, PriceConfig, PromptConfig
    from evalkit.config.schema import ImageConfig, RunLimits, ScoreConfig
    from evalkit.decoding.settings import DecodeSettings

    made_by = read.one("evalkit", str, None)
    sections: dict[str, type[BaseModel]] = {
        "decode": DecodeSettings,
        "score": ScoreConfig,
        "image": ImageConfig,
        "limits": RunLimits,
    }
    for key, section in sections.items():
        config.fits(key, section, made_by)
    for own in config.inner("prompts").data:
        config.inner("prompts").fits(own, PromptConfig, made_by)
    entry_sections: dict[str, type[BaseModel]] = {
        "price": PriceConfig,
        "generation": GenerationConfig,
        "limits": PaceConfig,
    }
    for entry in config.inners("models"):
        entry.one("provider", str, None)
        for key, section in entry_sections.items():
            entry.fits(key, section, made_by)
        if not isinstance(entry.data.get("prompt"), str):
            entry.fits("prompt", PromptConfig, made_by)


def _sessions(read: FieldReader) -> tuple[Mapping[str, Any], ...]:
    for session in read.inners("sessions"):
        session.moment("started_at")
    return read.many("sessions", dict)


def _datasets(read: FieldReader) -> Mapping[str, Any] | tuple[Mapping[str, Any], ...]:
    if isinstance(read.data.get("datasets"), list):
        for entry in read.inners("datasets"):
            entry.needed("name", str)
        return read.many("datasets", dict)
    return read.one("datasets", dict, {})
