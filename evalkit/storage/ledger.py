"""The ledger: every attempt and every raw answer, in SQLite, before anything is done with them.

One row per attempt. Write-ahead log with ``synchronous=FULL``: a row that was committed survives
``kill -9`` and a power cut. At most one answered row per (model, dataset, sample, trial), which is
what makes a resumed run never ask twice.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

from evalkit.errors import DataError, RunIncomplete

SCHEMA_VERSION = 2
"""2 keeps with each answer the digest of its question, and sets aside what was given to another one."""

SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE attempts (
    id INTEGER PRIMARY KEY,
    model TEXT NOT NULL,
    dataset TEXT NOT NULL,
    sample_id TEXT NOT NULL,
    trial INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('answered', 'system_error', 'data_error')),
    started_at REAL NOT NULL,
    latency_s REAL,
    http_status INTEGER,
    error TEXT,
    image_sha256 TEXT,
    body BLOB,
    body_bytes INTEGER,
    question TEXT,
    set_aside INTEGER NOT NULL DEFAULT 0,
    counted_usd REAL
);
CREATE UNIQUE INDEX one_answer ON attempts (dataset, sample_id, model, trial)
    WHERE status = 'answered' AND set_aside = 0;
CREATE INDEX attempts_by_sample ON attempts (dataset, sample_id, model, trial);
"""

FROM_VERSION_1 = """
ALTER TABLE attempts ADD COLUMN question TEXT;
ALTER TABLE attempts ADD COLUMN set_aside INTEGER NOT NULL DEFAULT 0;
DROP INDEX one_answer;
CREATE UNIQUE INDEX one_answer ON attempts (dataset, sample_id, model, trial)
    WHERE status = 'answered' AND set_aside = 0;
UPDATE meta SET value = '2' WHERE key = 'schema_version';
"""

ADD_COUNTED_USD = """
ALTER TABLE attempts ADD COLUMN counted_usd REAL;
"""

CURRENT = """
CREATE TEMP VIEW standing AS SELECT * FROM attempts WHERE set_aside = 0
"""
CURRENT_OF_VERSION_1 = """
CREATE TEMP VIEW standing AS SELECT *, NULL AS question, 0 AS set_aside FROM attempts
"""
"""What still belongs to a question of the run; every reader but the bill reads it."""

Status = Literal["answered", "system_error", "data_error"]


class Key(NamedTuple):
    """What one paid answer belongs to."""

    model: str
    dataset: str
    sample_id: str
    trial: int


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """One request that was sent, or could not be: ``body`` is the raw answer (or error) text.

    ``attempt`` counts from 1. ``started_at`` is Unix time in seconds. ``latency_s``: seconds until
    the whole answer was there. ``question``: the digest of what was asked (``runner.resume``).
    ``counted_usd``: what the budget counted it for; written only, ``Ledger.counted_usd`` reads it.
    """

    key: Key
    attempt: int
    status: Status
    started_at: float
    latency_s: float | None = None
    http_status: int | None = None
    error: str | None = None
    image_sha256: str | None = None
    body: str | None = None
    question: str | None = None
    counted_usd: float | None = None


class AskedDigests(NamedTuple):
    """What an answer was given to: the digests of its question and of its image, None where not kept."""

    key: Key
    question: str | None
    image_sha256: str | None


@dataclass(frozen=True, slots=True)
class KeyState:
    """All that the ledger knows of one key: its answer or its last failure, and how many requests were sent."""

    key: Key
    last: AttemptRow
    requests: int


class Ledger:
    """An open ledger file; use as a context manager."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        if read_only and not path.is_file():
            raise DataError(f"{path} does not exist: this folder holds no answers. Give the folder of a run.")
        self.path = path
        self.read_only = read_only
        # as_uri escapes the characters that mean something in a URI: `#` and `?` may stand in a folder's name.
        location = path.absolute().as_uri() + (_reading_mode(path) if read_only else "")
        self.connection = sqlite3.connect(location, uri=True, isolation_level=None)
        try:
            self._prepare(read_only=read_only)
        except sqlite3.DatabaseError as error:
            self.connection.close()
            raise DataError(f"{path} cannot be opened as a ledger: {error}") from error

    def _prepare(self, *, read_only: bool) -> None:
        execute = self.connection.execute
        execute("PRAGMA busy_timeout = 10000")
        if not read_only and not self._has_tables():
            execute("PRAGMA page_size = 16384")
            execute("PRAGMA journal_mode = WAL")
            self._create()
        execute("PRAGMA synchronous = FULL")
        wanted = "SELECT value FROM meta WHERE key = 'schema_version'"
        version = execute(wanted).fetchone() if self._has_tables() else None
        found = "none" if version is None else str(version[0])
        if found == "1" and not read_only:
            self._in_one_transaction(FROM_VERSION_1)
            found = str(SCHEMA_VERSION)
        if not read_only and not self._keeps_counted_usd():
            self._in_one_transaction(ADD_COUNTED_USD)
        if found in ("1", str(SCHEMA_VERSION)):
            execute(CURRENT_OF_VERSION_1 if found == "1" else CURRENT)
        else:
            raise DataError(
                f"{self.path} has schema version {found}, this evalkit reads {SCHEMA_VERSION}: "
                "use the evalkit that wrote it (its version stands in manifest.json)"
            )

    def _keeps_counted_usd(self) -> bool:
        query = "SELECT count(*) FROM pragma_table_info('attempts') WHERE name = 'counted_usd'"
        return bool(self.connection.execute(query).fetchone()[0])

    def counted_usd(self) -> dict[tuple[Key, float], float]:
        """Return what the budget counted answers for, by key and start; those of sessions without a budget are left out."""
        if not self._keeps_counted_usd():
            return {}
        query = (
            "SELECT model, dataset, sample_id, trial, started_at, counted_usd FROM attempts"
            " WHERE status = 'answered' AND counted_usd IS NOT NULL"
        )
        return {(Key(*key), started): usd for *key, started, usd in self.connection.execute(query)}

    def _in_one_transaction(self, statements: str) -> None:
        self.connection.execute("BEGIN IMMEDIATE")
        for statement in statements.strip().split(";")[:-1]:
            self.connection.execute(statement)
        self.connection.execute("COMMIT")

    def _has_tables(self) -> bool:
        query = "SELECT count(*) FROM sqlite_master WHERE name = 'meta'"
        return bool(self.connection.execute(query).fetchone()[0])

    def _create(self) -> None:
        """Create the tables in one transaction; whoever else opens the new file meanwhile waits for it."""
        self.connection.execute("BEGIN IMMEDIATE")
        if not self._has_tables():
            for statement in SCHEMA.strip().split(";")[:-1]:
                self.connection.execute(statement)
            self.connection.execute("INSERT INTO meta VALUES ('schema_version', ?)", (str(SCHEMA_VERSION),))
        self.connection.execute("COMMIT")

    def add(self, row: AttemptRow) -> None:
        """Store one attempt durably; a second answer for a key is refused by the file itself.

        Raises ``RunIncomplete`` where the disk does not take it: asking on would pay for answers that are lost.
        """
        self.add_all([row])

    def add_all(self, rows: Sequence[AttemptRow]) -> None:
        """Store attempts durably in one commit: all of them or, where that raises, none."""
        if not rows:
            return
        try:
            self.connection.execute("BEGIN IMMEDIATE")
            self.connection.executemany(INSERT, [_values_of(row) for row in rows])
            self.connection.execute("COMMIT")
        except sqlite3.Error as error:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
            if not isinstance(error, sqlite3.OperationalError):
                raise
            raise RunIncomplete(
                f"{self.path} could not take another answer: {error}. What was stored before is safe. Make room, "
                "then give the same command: it asks only what is missing"
            ) from error

    def answered_keys(self) -> set[Key]:
        """Return the keys that need not be asked again."""
        rows = self.connection.execute(
            "SELECT model, dataset, sample_id, trial FROM standing WHERE status = 'answered'"
        )
        return {Key(*row) for row in rows}

    def answered_rows(self, model: str) -> Iterator[AskedDigests]:
        """Yield what each standing answer of a model was given to."""
        query = (
            "SELECT model, dataset, sample_id, trial, question, image_sha256 FROM standing"
            " WHERE status = 'answered' AND model = ? ORDER BY id"
        )
        for *key, question, image_sha256 in self.connection.execute(query, (model,)):
            yield AskedDigests(Key(*key), question, image_sha256)

    def answers(self, model: str) -> Iterator[tuple[Key, str]]:
        """Yield the raw body of each standing answer of a model."""
        query = f"{SELECT} FROM standing WHERE status = 'answered' AND model = ? ORDER BY id"
        for values in self.connection.execute(query, (model,)):
            row = _unpacked(values)
            yield row.key, row.body or ""

    def set_aside(self, keys: Sequence[Key]) -> None:
        """Keep all that was stored for these keys out of every number; the bodies stay as they are."""
        statement = "UPDATE attempts SET set_aside = 1 WHERE model = ? AND dataset = ? AND sample_id = ? AND trial = ?"
        self.connection.execute("BEGIN IMMEDIATE")
        self.connection.executemany(statement, keys)
        self.connection.execute("COMMIT")

    def backgrounds(self) -> dict[str, dict[str, str]]:
        """Return model -> what stood behind it when it was last asked (``runner.resume.Background``)."""
        row = self.connection.execute("SELECT value FROM meta WHERE key = 'backgrounds'").fetchone()
        found: dict[str, dict[str, str]] = {} if row is None else json.loads(row[0])
        return found

    def remember_backgrounds(self, facts: Mapping[str, Mapping[str, str]]) -> None:
        """Keep what stands behind these models; others keep theirs."""
        known = self.backgrounds() | {model: dict(one) for model, one in facts.items()}
        self.connection.execute(
            "INSERT OR REPLACE INTO meta VALUES ('backgrounds', ?)", (json.dumps(known, sort_keys=True),)
        )

    def answered_by_model(self) -> dict[str, int]:
        """Return the number of answers of each model."""
        query = "SELECT model, count(*) FROM standing WHERE status = 'answered' GROUP BY model"
        return dict(self.connection.execute(query).fetchall())

    def data_errors_by_model(self) -> dict[str, int]:
        """Return, per model, the questions that could not be put for a fault of the data, and have no answer."""
        query = """
            SELECT model, count(*) FROM (
                SELECT model FROM standing GROUP BY dataset, sample_id, model, trial
                HAVING max(status = 'answered') = 0 AND max(status = 'data_error') = 1
            ) GROUP BY model
        """
        return dict(self.connection.execute(query).fetchall())

    def commonest_error(self, model: str) -> str | None:
        """Return the error that most attempts of a model ended in, None where there is none."""
        query = (
            "SELECT error FROM standing WHERE model = ? AND status != 'answered' AND error IS NOT NULL"
            " GROUP BY error ORDER BY count(*) DESC, min(id) LIMIT 1"
        )
        row = self.connection.execute(query, (model,)).fetchone()
        return None if row is None else str(row[0])

    def count(self, status: Status | None = None) -> int:
        """Return the number of attempts, or of those of one status."""
        if status is None:
            return int(self.connection.execute("SELECT count(*) FROM attempts").fetchone()[0])
        query = "SELECT count(*) FROM standing WHERE status = ?"
        return int(self.connection.execute(query, (status,)).fetchone()[0])

    def last_attempt(self) -> int:
        """Return the number of the attempt that was stored last, 0 where there is none."""
        return int(self.connection.execute("SELECT coalesce(max(id), 0) FROM attempts").fetchone()[0])

    def digest(self) -> str:
        """Return the SHA-256 over all that is stored of every attempt, those set aside included."""
        digest = hashlib.sha256()
        query = "SELECT * FROM attempts ORDER BY id"
        for row in self.connection.execute(query):
            for value in row:
                raw = value if isinstance(value, bytes) else repr(value).encode("utf-8", "surrogatepass")
                digest.update(b"%d:" % len(raw))
                digest.update(raw)
        return digest.hexdigest()

    def states(self, dataset: str, sample_ids: Sequence[str]) -> dict[Key, KeyState]:
        """Return what is known of every key of these samples: the answer where there is one, else the last failure."""
        found: dict[Key, list[AttemptRow]] = {}
        for part in _batches(sample_ids, 500):
            marks = ",".join("?" * len(part))
            query = f"{SELECT} FROM standing WHERE dataset = ? AND sample_id IN ({marks}) ORDER BY id"
            for values in self.connection.execute(query, (dataset, *part)):
                row = _unpacked(values)
                found.setdefault(row.key, []).append(row)
        return {key: _state(key, rows) for key, rows in found.items()}

    def rows(self) -> Iterator[AttemptRow]:
        """Yield every attempt in the order it was stored."""
        for values in self.connection.execute(f"{SELECT} FROM attempts ORDER BY id"):
            yield _unpacked(values)

    def close(self) -> None:
        """Close the file; everything was durable before."""
        self.connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.close()
        is_damage = type(error) is sqlite3.DatabaseError or (
            self.read_only and isinstance(error, sqlite3.DatabaseError) and not _is_locked(error)
        )
        if is_damage:
            raise DataError(f"{self.path} is damaged: {error}. Restore the file from a copy") from error


def _is_locked(error: sqlite3.DatabaseError) -> bool:
    return getattr(error, "sqlite_errorcode", None) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _reading_mode(path: Path) -> str:
    """Return the URI's options for reading: a folder that takes no file takes no index of a journal either."""
    at_rest = not path.with_name(path.name + "-wal").exists() and not os.access(path.parent, os.W_OK)
    return "?mode=ro&immutable=1" if at_rest else "?mode=ro"


INSERT = (
    "INSERT INTO attempts (model, dataset, sample_id, trial, attempt, status, started_at, latency_s,"
    " http_status, error, image_sha256, body, body_bytes, question, counted_usd)"
    " VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
)

SELECT = (
    "SELECT model, dataset, sample_id, trial, attempt, status, started_at, latency_s, http_status, error,"
    " image_sha256, body, body_bytes"
)


def _state(key: Key, rows: Sequence[AttemptRow]) -> KeyState:
    answered = [row for row in rows if row.status == "answered"]
    sent = sum(row.status != "data_error" for row in rows)
    return KeyState(key, answered[0] if answered else rows[-1], sent)


def _values_of(row: AttemptRow) -> tuple[object, ...]:
    body, size = _packed(row.body)
    # SQLite refuses half a character's escape (a lone surrogate), which an error text may quote.
    error = None if row.error is None else row.error.encode("utf-8", "replace").decode()
    measured = (row.started_at, row.latency_s, row.http_status, error, row.image_sha256)
    return (*row.key, row.attempt, row.status, *measured, body, size, row.question, row.counted_usd)


def _packed(body: str | None) -> tuple[bytes | None, int | None]:
    if body is None:
        return None, None
    import pyarrow as pa

    raw = body.encode("utf-8", "surrogatepass")
    return pa.compress(raw, codec="zstd", asbytes=True), len(raw)


def _unpacked(values: tuple[Any, ...]) -> AttemptRow:
    import pyarrow as pa

    model, dataset, sample_id, trial, attempt, status, started_at, *measured, packed, size = values
    latency_s, http_status, error, image_sha256 = measured
    body = None
    if packed is not None:
        try:
            raw = pa.decompress(packed, decompressed_size=size, codec="zstd", asbytes=True)
            body = raw.decode("utf-8", "surrogatepass")
        except (OSError, ValueError, TypeError, MemoryError) as damage:
            raise DataError(
                f"the ledger's answer of {model} to '{sample_id}' of {dataset} is damaged: {damage}. Restore the "
                "ledger from a copy"
            ) from damage
    key = Key(model, dataset, sample_id, trial)
    return AttemptRow(key, attempt, status, started_at, latency_s, http_status, error, image_sha256, body)


def _batches(items: Sequence[str], size: int) -> Iterable[Sequence[str]]:
    return (items[start : start + size] for start in range(0, len(items), size))
