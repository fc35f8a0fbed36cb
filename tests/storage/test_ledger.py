"""The ledger: durable, one answer a key, everything comes back."""

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.errors import DataError, RunIncomplete
from evalkit.storage.ledger import AttemptRow, Key, Ledger

KEY = Key("m", "d", "s", 0)


def answer(key=KEY, body="{}", attempt=1):
    return AttemptRow(key, attempt, "answered", 1.5, 0.25, 200, body=body)


def test_rows_come_back_as_stored(tmp_path):
    """Every field of every attempt survives a close and a reopening."""
    rows = [
        AttemptRow(KEY, 1, "system_error", 1.0, 0.1, 429, "slow down"),
        answer(attempt=2, body='{"é": "\\ud800"}'),
    ]
    with Ledger(tmp_path / "l.sqlite") as ledger:
        for row in rows:
            ledger.add(row)
    with Ledger(tmp_path / "l.sqlite", read_only=True) as ledger:
        assert list(ledger.rows()) == rows
        assert ledger.answered_keys() == {KEY}
        state = ledger.states("d", ["s", "other"])[KEY]
    assert state.last == rows[1]
    assert state.requests == 2


@given(body=st.text(st.characters(), max_size=300))
def test_any_text_is_a_body(tmp_path_factory, body):
    """Lone surrogates and control characters are kept as they came."""
    with Ledger(tmp_path_factory.mktemp("l") / "l.sqlite") as ledger:
        ledger.add(answer(body=body))
        assert next(ledger.rows()).body == body


@pytest.mark.parametrize("name", ["night #3", "why?", "100 %", "50%41", "ü 漢"])
def test_the_ledger_lies_where_it_was_asked_for(tmp_path, name):
    """Characters that mean something in a URI are plain characters in a folder's name."""
    folder = tmp_path / name
    folder.mkdir()
    with Ledger(folder / "l.sqlite") as ledger:
        ledger.add(answer())
    assert (folder / "l.sqlite").is_file()
    assert [path.name for path in tmp_path.iterdir()] == [name]
    with Ledger(folder / "l.sqlite", read_only=True) as ledger:
        assert ledger.count() == 1


def test_a_full_disk_is_said_and_what_was_stored_stays(tmp_path):
    """An answer that the disk does not take ends the run; the ones before it are whole."""
    with Ledger(tmp_path / "l.sqlite") as ledger:
        ledger.add(answer())
        pages = ledger.connection.execute("PRAGMA page_count").fetchone()[0]
        ledger.connection.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(RunIncomplete, match=r"could not take another answer: .*full.*same command"):
            ledger.add(answer(KEY._replace(sample_id="big"), body=os.urandom(50_000).hex()))
    with Ledger(tmp_path / "l.sqlite", read_only=True) as ledger:
        assert ledger.answered_keys() == {KEY}


def test_a_second_answer_for_a_key_is_refused(tmp_path):
    """What was paid for is never overwritten."""
    with Ledger(tmp_path / "l.sqlite") as ledger:
        ledger.add(answer())
        with pytest.raises(sqlite3.IntegrityError):
            ledger.add(answer())


def test_failed_attempts_do_not_count_as_answers(tmp_path):
    """A key with errors only is asked again, and its last error is known."""
    with Ledger(tmp_path / "l.sqlite") as ledger:
        ledger.add(AttemptRow(KEY, 1, "system_error", 1.0, error="first"))
        ledger.add(AttemptRow(KEY, 2, "system_error", 2.0, error="second"))
        ledger.add(AttemptRow(KEY._replace(sample_id="t"), 1, "data_error", 2.0, error="no image"))
        assert ledger.answered_keys() == set()
        assert ledger.states("d", ["s"])[KEY].last.error == "second"
        assert ledger.data_errors_by_model() == {"m": 1}
        assert ledger.answered_by_model() == {}


def test_a_data_error_that_was_mended_no_longer_counts(tmp_path):
    """Once the image is there and answered, the earlier data error is history."""
    with Ledger(tmp_path / "l.sqlite") as ledger:
        ledger.add(AttemptRow(KEY, 1, "data_error", 1.0, error="no image"))
        ledger.add(answer())
        assert ledger.data_errors_by_model() == {}
        assert ledger.states("d", ["s"])[KEY].requests == 1


def test_a_row_survives_kill_9_right_after_it_was_added(tmp_path):
    """A process that is killed the moment add() returns has lost nothing."""
    program = textwrap.dedent(f"""
        import os, signal, pathlib
        from evalkit.storage.ledger import *
        ledger = Ledger(pathlib.Path({str(tmp_path / "l.sqlite")!r}))
        for n in range(20):
            ledger.add(AttemptRow(Key("m", "d", str(n), 0), 1, "answered", 1.0, body="x" * 5000))
        os.kill(os.getpid(), signal.SIGKILL)
    """)
    done = subprocess.run([sys.executable, "-c", program], check=False, env=os.environ)
    assert done.returncode == -signal.SIGKILL
    with Ledger(tmp_path / "l.sqlite") as ledger:
        assert ledger.count("answered") == 20


def test_two_openers_of_a_new_ledger_share_it(tmp_path):
    """A reader that looks in while the file is being created neither fails nor makes the writer fail."""
    program = (
        "import pathlib, sys; from evalkit.storage.ledger import *\n"
        "with Ledger(pathlib.Path(sys.argv[1])) as ledger:\n"
        "    ledger.add(AttemptRow(Key('m', 'd', sys.argv[2], 0), 1, 'answered', 1.0, body='x'))\n"
    )
    path = str(tmp_path / "l.sqlite")
    processes = [subprocess.Popen([sys.executable, "-c", program, path, str(n)]) for n in range(4)]
    assert [process.wait(30) for process in processes] == [0] * 4
    with Ledger(tmp_path / "l.sqlite") as ledger:
        assert ledger.count("answered") == 4


def test_reading_a_folder_without_answers_is_a_data_error(tmp_path):
    """The error says what to give instead."""
    with pytest.raises(DataError, match="holds no answers"):
        Ledger(tmp_path / "none.sqlite", read_only=True)


def test_a_file_that_is_no_database_is_a_data_error(tmp_path):
    """A damaged ledger is a clear error."""
    (tmp_path / "l.sqlite").write_bytes(b"not a database at all" * 100)
    with pytest.raises(DataError, match="cannot be opened as a ledger"):
        Ledger(tmp_path / "l.sqlite", read_only=True)


def test_another_schema_version_is_refused(tmp_path):
    """A ledger of a later evalkit is not guessed at."""
    with Ledger(tmp_path / "l.sqlite") as ledger:
        ledger.connection.execute("UPDATE meta SET value = '99'")
    with pytest.raises(DataError, match="schema version 99"):
        Ledger(tmp_path / "l.sqlite")
