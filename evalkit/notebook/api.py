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

import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.errors import ConfigError
from evalkit.notebook.scored_run import Run
from evalkit.notebook.views import History, Prediction

if TYPE_CHECKING:
    from evalkit.config.schema import RunConfig
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
    stated: Mapping[str, Any] | None = None,
    finish_reason: str | None = None,
    **settings: Any,
) -> Prediction:
    """Say what one answer holds: masks, or the exact reason why there are none.

    ``size``: (width, height) of the image in pixels. ``prompt``: the shipped prompt that was asked,
    ``google-mask`` where not given. ``stated``: what the prompt stated instead, such as
    ``{"box_order": "xyxy", "unit": "pixel"}``. ``settings``: keys of the config's ``decode`` section.
    Raises ``ConfigError`` on a size, prompt or setting that cannot be.

    >>> import evalkit as ek
    >>> found = ek.decode('[{"box_2d": [0, 0, 500, 500], "mask": "<start_of_mask><seg_7>"}]', size=(640, 480))
    >>> found.outcome, found.failure
    ('format_failure', 'mask_tokens')
    >>> ek.decode("[]", size=(640, 480)).outcome
    'no_target'
    """
    from evalkit.config.overrides import with_changes
    from evalkit.config.prompts import stated_format
    from evalkit.decoding import decode_answer
    from evalkit.decoding.settings import DecodeSettings

    width_px, height_px = size
    if width_px < 1 or height_px < 1:
        raise ConfigError(f"size {size}: give (width, height) in pixels, such as (640, 480)")
    decoded = decode_answer(
        text,
        height_px=height_px,
        width_px=width_px,
        asked=stated_format(prompt, stated or {}),
        settings=with_changes(DecodeSettings(), settings),
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
    from evalkit import pipeline

    result = pipeline.run(
        _config_of(config),
        show=_show_nothing if quiet else _show_plan,
        confirm=_refuse_cost,
        out=None if out is None else Path(out),
        limit=limit,
        models=None if models is None else list(models),
        yes=yes,
        engine=engine,
        quiet=quiet,
    )
    if (shortfall := result.shortfall()) is not None:
        warnings.warn(
            f"the run is incomplete: {shortfall}. The same call asks only what is missing", stacklevel=2
        )
    return Run(result.folder.path)


def _config_of(config: str | Path | Mapping[str, Any]) -> RunConfig:
    from evalkit.config.schema import RunConfig
    from evalkit.config.yaml import YamlSource, validate
    from evalkit.models.config_file import load_run_config

    if isinstance(config, str | Path):
        return load_run_config(config)
    return validate(YamlSource("config", {**config, "directory": str(Path.cwd())}), RunConfig)


def _show_plan(plan: str) -> None:
    sys.stderr.write(f"{plan}\n")


def _show_nothing(_plan: str) -> None:
    pass


def _refuse_cost(cost: str) -> None:
    raise ConfigError(f"{cost} Give yes=True to accept it")
