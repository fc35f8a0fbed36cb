"""The batch jobs of one model, kept in the run's folder so that a crash loses none of them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass
class BatchJob:
    """One job: ``lines`` maps each question's key to the SHA-256 of its image.

    ``name`` is None from before the request that creates it until its answer: after a crash in
    between, the job is found by its ``display_name``. ``done``: collected, failed or given up.
    """

    display_name: str
    submitted_at: float
    lines: dict[str, str | None]
    name: str | None = None
    done: bool = False


@dataclass
class BatchJobFile:
    """All jobs of one model; ``save`` replaces the file whole."""

    path: Path | None
    jobs: list[BatchJob] = field(default_factory=list)

    @classmethod
    def load(cls, path: Path | None) -> BatchJobFile:
        """Return the jobs that the file remembers, none where it does not exist."""
        if path is None or not path.is_file():
            return cls(path)
        return cls(path, [BatchJob(**entry) for entry in json.loads(path.read_text(encoding="utf-8"))])

    @property
    def open(self) -> list[BatchJob]:
        """The jobs whose answers were not collected yet."""
        return [job for job in self.jobs if not job.done]

    def save(self) -> None:
        """Write the file anew, atomically."""
        if self.path is None:
            return
        beside = self.path.with_name(self.path.name + ".part")
        beside.write_text(json.dumps([asdict(job) for job in self.jobs], indent=1), encoding="utf-8")
        beside.replace(self.path)
