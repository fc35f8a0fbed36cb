"""Chunks on processes: order, memory of what is done, killed workers."""

import os
import signal

import pytest

from evalkit.errors import ConfigError, RunIncomplete
from evalkit.scoring.engine import map_chunks


def double(job):
    return 2 * job


def die_once(job):
    """Kill the worker the first time that the marked job comes by."""
    number, marker = job
    if number == 5 and not os.path.exists(marker):
        open(marker, "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def die_always(job):
    os.kill(os.getpid(), signal.SIGKILL)


def fail(job):
    raise ValueError("a bug")


@pytest.mark.parametrize("n", [0, 3, 12])
def test_results_come_in_the_order_of_the_jobs(n):
    """Inline and on a pool, the order is that of the jobs."""
    assert list(map_chunks(double, list(range(n)))) == [2 * i for i in range(n)]


def test_a_killed_worker_costs_nothing(tmp_path):
    """The pool is rebuilt and the unfinished jobs are done again."""
    marker = str(tmp_path / "died")
    assert list(map_chunks(die_once, [(i, marker) for i in range(10)])) == list(range(10))
    assert os.path.exists(marker)


def test_workers_that_always_die_end_in_a_typed_error():
    """A poison job does not loop for ever."""
    with pytest.raises(RunIncomplete, match="were killed"):
        list(map_chunks(die_always, list(range(8))))


def test_a_bug_in_the_function_is_not_swallowed():
    """Errors of the work itself come through."""
    with pytest.raises(ValueError, match="a bug"):
        list(map_chunks(fail, list(range(8))))


def test_an_unreachable_scheduler_is_a_config_error(monkeypatch):
    """A wrong scheduler address is the user's to mend."""
    distributed = pytest.importorskip("distributed")

    def refuse(*_, **__):
        raise OSError("no route")

    monkeypatch.setattr(distributed, "Client", refuse)
    with pytest.raises(ConfigError, match="no Dask scheduler answers"):
        list(map_chunks(double, [1], engine="dask", scheduler="tcp://127.0.0.1:1"))
