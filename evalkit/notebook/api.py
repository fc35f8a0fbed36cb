"""The notebook API: load a run, make one, decode an answer, look back.

::

    import evalkit as ek

    run = ek.load("reports/demo")
    run.scores.groupby("model")["iou"].mean()
    run.wall("iou < 0.3 and tag_category == 'ordering'")
    run.rescore(threshold=100).summary()

Nothing here calls a model but ``ek.run``.
"""

from __future__ import annotations

import asyncio
import sys
import warnings
from collections.abc import Coroutine, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.errors import ConfigError
from evalkit.notebook.answers import decode_section
from evalkit.notebook.scored_run import Run
from evalkit.notebook.views import History, Prediction

if TYPE_CHECKING:
    from evalkit.config.schema import RunConfig
    from evalkit.runner.loop import Complete, StoppedModel
    from evalkit.scoring.engine import Engine

__all__ = ["Run", "decode", "history", "load", "run"]


def load(path: str | Path) -> Run:
    """Return the run in a folder that `evalkit run` wrote. Raises ``DataError`` where it is none.

    >>> import evalkit as ek
    >>> print(ek.load("reports/demo").name)
    shapes-run
    """
    return Run(path)


def decode(
    text: str | None,
    size: tuple[int, int],
    *,
    prompt: str | None = None,
    finish_reason: str | None = None,
    **settings: Any,
) -> Prediction:
    """Say what one answer holds: masks, or the exact reason why there are none.

    ``size``: (width, height) of the image in pixels. ``prompt``: the shipped prompt that was asked,
    ``google-mask`` where not given. ``settings``: keys of the config's ``decode`` section.
    Raises ``ConfigError`` on a size, prompt or setting that cannot be.

    >>> import evalkit as ek
    >>> found = ek.decode('[{"box_2d": [0, 0, 500, 500], "mask": "<start_of_mask><seg_7>"}]', size=(640, 480))
    >>> found.outcome, found.failure
    ('format_failure', 'mask_tokens')
    >>> ek.decode("[]", size=(640, 480)).outcome
    'no_target'
    """
    from evalkit.config.prompts import find_prompt
    from evalkit.decoding import decode_answer
    from evalkit.types import AskedFormat

    width_px, height_px = size
    if width_px < 1 or height_px < 1:
        raise ConfigError(f"size {size}: give (width, height) in pixels, such as (640, 480)")
    decoded = decode_answer(
        text,
        height_px=height_px,
        width_px=width_px,
        asked=AskedFormat() if prompt is None else find_prompt(prompt).asked,
        settings=decode_section({}, settings).settings(),
        finish_reason=finish_reason,
    )
    return Prediction(text, (width_px, height_px), decoded)


def history(directory: str | Path = "reports") -> History:
    """Return every run under a folder over time, with the shifts that were found.

    >>> import evalkit as ek
    >>> past = ek.history("reports")
    >>> past.runs[["model", "n"]].values.tolist()
    [['good', 16], ['poor', 16]]
    >>> len(past.shifts)
    0
    """
    from evalkit.comparison.history import read_history

    return History(read_history(Path(directory)))


def run(
    config: str | Path | Mapping[str, Any],
    *,
    out: str | Path | None = None,
    limit: int | None = None,
    models: Sequence[str] | None = None,
    yes: bool = False,
    engine: Engine = "local",
    quiet: bool = False,
) -> Run:
    """Plan, call, store, score and report, as `evalkit run` does; the same folder again resumes.

    ``config``: a YAML file, or the same as a dictionary (paths start from the working directory then).
    ``yes`` accepts a run that costs more than ``limits.confirm_above_usd``. The plan and the progress
    go to stderr unless ``quiet``. An incomplete run is returned with a warning. Raises ``ConfigError``,
    ``DataError``, and ``RunIncomplete`` when interrupted; every answer is stored then.
    """
    from evalkit.progress import Progress
    from evalkit.runner.loop import run as ask_and_score
    from evalkit.runner.plan import plan_run
    from evalkit.runner.prepare import prepare
    from evalkit.storage.locks import run_lock
    from evalkit.storage.run_folder import open_for_run

    checked = _config_of(config)
    chosen = None if models is None else list(models)
    prepared = prepare(checked, out=None if out is None else Path(out), limit=limit, models=chosen)
    plan = plan_run(checked, prepared.samples, model_configs=prepared.model_configs)
    if not quiet:
        sys.stderr.write(f"{plan.text()}\n")
    _refuse_unasked_cost(plan.billed_usd, checked, yes=yes)
    with run_lock(prepared.out) as note, Progress(quiet=quiet) as progress:
        if note:
            progress.note(note)
        current = replace(prepared, resumes=open_for_run(prepared.out, checked))
        result = ask_and_score(current, progress, engine=engine, complete=_complete())
    made = Run(result.folder.path)
    if not made.complete:
        reasons = "; ".join(f"{stop.model}: {stop.reason}" for stop in result.stopped)
        warnings.warn(
            f"the run is incomplete{': ' + reasons if reasons else ': too many samples were not run'}. "
            "The same call asks only what is missing",
            stacklevel=2,
        )
    return made


def _config_of(config: str | Path | Mapping[str, Any]) -> RunConfig:
    from evalkit.config.schema import RunConfig, load_config
    from evalkit.config.yaml import YamlSource, validate

    if isinstance(config, str | Path):
        return load_config(config)
    return validate(YamlSource("config", {**config, "directory": str(Path.cwd())}), RunConfig)


def _refuse_unasked_cost(usd: float | None, config: RunConfig, *, yes: bool) -> None:
    if not yes and usd is not None and usd > config.limits.confirm_above_usd:
        raise ConfigError(
            f"this run costs about {usd:.2f} USD (limits.confirm_above_usd: {config.limits.confirm_above_usd}): "
            "give yes=True to accept it"
        )


def _complete() -> Complete:
    """Return how to run the asking to its end: in a thread where a notebook's event loop is running."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run
    return _complete_in_thread


def _complete_in_thread(work: Coroutine[Any, Any, list[StoppedModel]]) -> list[StoppedModel]:
    """Run the asking in a thread with an event loop of its own; an interrupt of the cell cancels it there."""
    started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]]] = Future()

    async def cancellable() -> list[StoppedModel]:
        task = asyncio.current_task()
        if task is not None:
            started.set_result((asyncio.get_running_loop(), task))
        return await work

    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(lambda: asyncio.run(cancellable()))
        try:
            return asking.result()
        except KeyboardInterrupt:
            loop, task = started.result()
            loop.call_soon_threadsafe(task.cancel)
            raise
