"""Writes from the event loop: durable when told so, in order, errors raised to whoever waits."""

import asyncio
import sqlite3

import pytest

from evalkit.errors import RunIncomplete
from evalkit.storage.ledger import AttemptRow, Key, Ledger
from evalkit.storage.ledger_writer import LedgerWriter


def answer(number):
    return AttemptRow(Key("m", "d", str(number), 0), 1, "answered", 1.0, body=f"body {number}")


def test_what_is_settled_is_on_the_disk(tmp_path):
    """After settled() another connection sees the rows, while the writer is still open."""

    async def write():
        with LedgerWriter(tmp_path / "l.sqlite") as writer:
            for number in range(50):
                writer.add(answer(number))
            await writer.settled()
            with Ledger(tmp_path / "l.sqlite") as ledger:
                return [row.key.sample_id for row in ledger.rows()]

    assert asyncio.run(write()) == [str(number) for number in range(50)]


def test_many_waiters_share_commits(tmp_path):
    """Tasks that add and wait side by side all come back, and every row is there once."""

    async def one(writer, number):
        writer.add(answer(number))
        await writer.settled()

    async def write():
        with LedgerWriter(tmp_path / "l.sqlite") as writer:
            await asyncio.gather(*(one(writer, number) for number in range(600)))

    asyncio.run(write())
    with Ledger(tmp_path / "l.sqlite") as ledger:
        assert ledger.count("answered") == 600


def test_closing_stores_what_nobody_waited_for(tmp_path):
    """Leaving the block is enough."""
    with LedgerWriter(tmp_path / "l.sqlite") as writer:
        writer.add(answer(1))
    with Ledger(tmp_path / "l.sqlite") as ledger:
        assert ledger.count() == 1


def test_a_waiter_that_is_cancelled_costs_nothing(tmp_path):
    """A task cancelled while it waits does not stop the writer."""

    async def write():
        with LedgerWriter(tmp_path / "l.sqlite") as writer:
            writer.add(answer(1))
            waiting = asyncio.create_task(writer.settled())
            await asyncio.sleep(0)
            waiting.cancel()
            writer.add(answer(2))
            await writer.settled()

    asyncio.run(write())
    with Ledger(tmp_path / "l.sqlite") as ledger:
        assert ledger.count() == 2


def test_a_full_disk_is_told_to_everyone_and_what_was_stored_stays(tmp_path, monkeypatch):
    """The first failure ends the writing with the way out; earlier rows are safe."""
    with LedgerWriter(tmp_path / "l.sqlite") as writer:
        writer.add(answer(1))
        writer.settle()

        def refuse(*_):
            raise RunIncomplete("could not take another answer: disk full. Make room")

        monkeypatch.setattr(Ledger, "add_all", refuse)
        writer.add(answer(2))
        with pytest.raises(RunIncomplete, match="Make room"):
            writer.settle()
        with pytest.raises(RunIncomplete, match="Make room"):
            writer.add(answer(3))
        with pytest.raises(RunIncomplete, match="Make room"):
            writer.close()
        writer.failure = None
    monkeypatch.undo()
    with Ledger(tmp_path / "l.sqlite") as ledger:
        assert ledger.count() == 1


def test_one_refused_row_keeps_its_neighbours_out_too(tmp_path):
    """A commit is whole or not at all: a doubled answer leaves nothing half-written."""
    with Ledger(tmp_path / "l.sqlite") as ledger:
        with pytest.raises(sqlite3.IntegrityError):
            ledger.add_all([answer(1), answer(2), answer(2)])
        assert ledger.count() == 0
        ledger.add_all([answer(1), answer(2)])
        assert ledger.count() == 2
