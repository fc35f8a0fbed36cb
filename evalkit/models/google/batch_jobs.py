"""The batch jobs of one model, kept in the run's folder so that a crash loses none of them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from evalkit.errors import DataError


@dataclass
class BatchJob:
    """One job: ``lines`` maps each question's key to the SHA-256 of its image, ``requests`` to the digest of all it sent.

    ``name`` is None from before the request that creates it until its answer: after a crash in
    between, the job is found by its ``display_name``. ``done``: collected, failed or given up.
    """

    display_name: str
    submitted_at: float
    lines: dict[str, str | None]
    name: str | None = None
    done: bool = False
    requests: dict[str, str] = field(default_factory=dict)


def _job(entry: Any) -> BatchJob:
    """Return one record of the file. Raises ``TypeError`` where it is none."""
    job = BatchJob(**entry)
    submitted_at: Any = job.submitted_at
    fits = (
        isinstance(job.display_name, str)
        and isinstance(submitted_at, int | float)
        and not isinstance(submitted_at, bool)
        and isinstance(job.lines, dict)
        and (job.name is None or isinstance(job.name, str))
        and isinstance(job.done, bool)
        and isinstance(job.requests, dict)
    )
    if not fits:
        raise TypeError(f"no record of a batch job: {str(entry)[:80]}")
    return job


@dataclass
class BatchJobFile:
    """All jobs of one model; ``save`` replaces the file whole."""

    path: Path | None
    jobs: list[BatchJob] = field(default_factory=list)

    @classmethod
    def load(cls, path: Path | None) -> BatchJobFile:
        """Return the jobs that the file remembers, none where it does not exist.

        Raises ``DataError`` where it is damaged: questions on their way would be asked, and paid, again.
        """
        if path is None or not path.is_file():
            return cls(path)
        try:
            entries = json.loads(path.read_text(encoding="utf-8"))
            return cls(path, [_job(entry) for entry in entries])
        except (OSError, ValueError, TypeError, RecursionError) as error:
            raise DataError(
                f"{path} cannot be read as the batch jobs of this run ({error}): restore it from a copy. Without it "
                "the answers of jobs on their way cannot be collected; remove it to ask those questions anew"
            ) from error

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
