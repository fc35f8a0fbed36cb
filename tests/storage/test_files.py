"""A file that is replaced is the old one or the new one, whole, whoever else writes it and wherever a writer ends."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading

import pytest

from evalkit.errors import FolderInUse
from evalkit.storage import files
from evalkit.storage.files import replaced_file
from evalkit.storage.locks import run_lock


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path):
    """Where the writing raises, nothing is changed and nothing is left beside."""
    path = tmp_path / "page.html"
    path.write_text("old")
    seen = []

    def write() -> None:
        with replaced_file(path) as written:
            written.write_text("half")
            seen.append(path.read_text())
            raise ValueError("no disk")

    with pytest.raises(ValueError, match="no disk"):
        write()
    assert seen == ["old"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["page.html"]
    with replaced_file(path) as written:
        written.write_text("new")
    assert path.read_text() == "new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["page.html"]


def test_a_killed_writer_leaves_the_old_file_and_stops_nobody(tmp_path):
    """What it left beside is written over by the next."""
    path = tmp_path / "page.html"
    path.write_text("old")
    program = """
        import os, pathlib, sys
        from evalkit.storage.files import replaced_file

        with replaced_file(pathlib.Path(sys.argv[1])) as written:
            written.write_text("half")
            os.kill(os.getpid(), 9)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(program), str(path)], check=False)
    assert path.read_text() == "old"
    with replaced_file(path) as written:
        written.write_text("new")
    assert [entry.name for entry in tmp_path.iterdir()] == ["page.html"]
    assert path.read_text() == "new"


def test_two_at_once_write_one_after_the_other(tmp_path):
    """The file is one writer's whole text, never a mixture."""
    path = tmp_path / "junit.xml"
    seen = set()

    def write(letter: str) -> None:
        for _ in range(5):
            with replaced_file(path) as written:
                written.write_text(letter * 200_000)
            seen.add(frozenset(path.read_text()))

    writers = [threading.Thread(target=write, args=(letter,)) for letter in "ab"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert seen <= {frozenset("a"), frozenset("b")}


def test_a_writer_that_does_not_end_is_named(tmp_path, monkeypatch):
    """The wait is bounded."""
    monkeypatch.setattr(files, "SHORT_WORK_S", 0.1)
    path = tmp_path / "page.html"
    with run_lock(path), pytest.raises(FolderInUse, match="is being written by"), replaced_file(path):
        pass


def test_a_link_and_what_is_no_file_stay_what_they_are(tmp_path):
    """A link still points to its file; `/dev/stdout` and its like are written, not replaced."""
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to(tmp_path / "real" / "a.txt")
    with replaced_file(tmp_path / "link.txt") as written:
        written.write_text("new")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real" / "a.txt").read_text() == "new"
    program = """
        import pathlib
        from evalkit.storage.files import replaced_file

        with replaced_file(pathlib.Path("/dev/stdout")) as written:
            written.write_text("told")
    """
    told = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], check=True, capture_output=True, text=True
    )
    assert told.stdout == "told"
