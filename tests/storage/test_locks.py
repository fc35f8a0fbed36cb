"""One writer per run folder, whatever becomes of the writer."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from evalkit.errors import FolderInUse
from evalkit.storage.locks import lock_path, run_lock

HOLDER = """
import sys, time
from pathlib import Path
from evalkit.storage.locks import run_lock
with run_lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path: Path):
    """Another process that holds the lock of ``tmp_path / "run"``."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "run")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_writer_is_refused_at_once(holder, tmp_path: Path) -> None:
    """While a living process writes the folder, another gets an error that names it; exit code 3."""
    with (
        pytest.raises(FolderInUse, match=f"being written by process {holder.pid} on") as caught,
        run_lock(tmp_path / "run"),
    ):
        pass
    assert caught.value.exit_code == 3


def test_the_lock_of_a_killed_process_is_taken_over(holder, tmp_path: Path) -> None:
    """A kill -9 leaves the file behind and no lock: the next run goes on and says so."""
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert lock_path(tmp_path / "run").exists()
    with run_lock(tmp_path / "run") as note:
        assert f"process {holder.pid}" in note


def test_a_released_lock_leaves_nothing(tmp_path: Path) -> None:
    """After a run has ended its lock file is gone, and the folder can be locked again."""
    for _ in range(2):
        with run_lock(tmp_path / "run") as note:
            assert note is None
            assert lock_path(tmp_path / "run").exists()
    assert list(tmp_path.iterdir()) == []


def test_other_folders_are_free(holder, tmp_path: Path) -> None:
    """The lock is the folder's own."""
    with run_lock(tmp_path / "another"):
        pass


def test_a_lock_of_the_same_process_is_a_lock(tmp_path: Path) -> None:
    """Two runs started in one notebook do not write one folder either."""
    with run_lock(tmp_path / "run"):
        with pytest.raises(FolderInUse, match="being written by process"), run_lock(tmp_path / "run"):
            pass
        assert lock_path(tmp_path / "run").exists()


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff"])
def test_a_file_that_names_no_holder_is_no_left_over_lock(content: bytes, tmp_path: Path) -> None:
    """An empty or damaged file is taken without a word."""
    lock_path(tmp_path / "run").write_bytes(content)
    with run_lock(tmp_path / "run") as note:
        assert note is None


def test_an_error_in_the_run_releases_the_lock(tmp_path: Path) -> None:
    """What ends the run, an interrupt too, leaves no lock."""
    with pytest.raises(KeyboardInterrupt), run_lock(tmp_path / "run"):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
