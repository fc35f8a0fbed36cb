"""One seam for work that many processes can share: ``map_chunks(function, jobs)``.

Two engines: ``local`` (this process for little work, else a process pool that is rebuilt where a
worker was killed) and ``dask`` (the extra of that name). Results come in the order of the jobs,
so what is written does not depend on the engine.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from evalkit.errors import ConfigError, RunIncomplete
from evalkit.workers import worker_pool

if TYPE_CHECKING:
    from concurrent.futures import ProcessPoolExecutor

Engine = Literal["local", "dask"]
Task = TypeVar("Task")
Result = TypeVar("Result")

INLINE_JOBS = 6
"""Up to this many jobs are done in this process: a pool costs about 1.5 s to start."""

POOL_REBUILDS = 3
"""How often a pool whose worker was killed is rebuilt before the work is given up."""


def map_chunks(
    function: Callable[[Task], Result],
    jobs: Sequence[Task],
    *,
    engine: Engine = "local",
    scheduler: str | None = None,
) -> Iterator[Result]:
    """Yield ``function(job)`` for every job, in order. ``function`` must be importable by name.

    ``scheduler``: address of a Dask scheduler; None starts a local cluster.
    """
    if engine == "dask":
        yield from _on_dask(function, jobs, scheduler)
    elif len(jobs) <= INLINE_JOBS or (os.cpu_count() or 1) == 1:
        yield from map(function, jobs)
    else:
        yield from _on_pool(function, jobs)


def _on_pool(function: Callable[[Task], Result], jobs: Sequence[Task]) -> Iterator[Result]:
    workers = os.cpu_count() or 1
    done = 0
    for _ in range(POOL_REBUILDS):
        with worker_pool(workers) as pool:
            try:
                for result in _in_order(pool, function, jobs[done:], ahead=2 * workers):
                    yield result
                    done += 1
            except BrokenProcessPool:
                continue
        return
    raise RunIncomplete(
        f"worker processes were killed {POOL_REBUILDS} times at chunk {done + 1} of {len(jobs)}: "
        "is there enough memory? In a script of your own, keep the call under `if __name__ == '__main__':`, as worker "
        "processes import the script. Otherwise run the same command again, or use --engine dask"
    )


def _in_order(
    pool: ProcessPoolExecutor, function: Callable[[Task], Result], jobs: Sequence[Task], ahead: int
) -> Iterator[Result]:
    """Yield results in order with at most ``ahead`` jobs under way, so that memory stays flat."""
    pending: list[Future[Result]] = []
    remaining = iter(jobs)
    for job in remaining:
        pending.append(pool.submit(function, job))
        if len(pending) >= ahead:
            yield pending.pop(0).result()
    for future in pending:
        yield future.result()


def _on_dask(
    function: Callable[[Task], Result], jobs: Sequence[Task], scheduler: str | None
) -> Iterator[Result]:
    try:
        import distributed
    except ImportError as error:
        raise ConfigError(
            "--engine dask needs the extra `dask`: pip install 'evalkit-segmentation[dask]'"
        ) from error
    dask: Any = distributed
    cluster = None
    if scheduler is None:
        cluster = dask.LocalCluster(
            n_workers=os.cpu_count() or 1, threads_per_worker=1, dashboard_address=None
        )
    try:
        client = dask.Client(scheduler or cluster, timeout="30s")
    except (OSError, TimeoutError) as error:
        raise ConfigError(
            f"no Dask scheduler answers at {scheduler}: check `dask: {{scheduler: ...}}`"
        ) from error
    try:
        ahead = 4 * max(1, len(client.scheduler_info()["workers"]))
        pending: list[Any] = []
        for job in jobs:
            pending.append(client.submit(function, job, pure=False))
            if len(pending) >= ahead:
                yield pending.pop(0).result()
        for future in pending:
            yield future.result()
    finally:
        client.close()
        if cluster is not None:
            cluster.close()
