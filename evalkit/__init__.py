"""evalkit tells which model segments your images, and whether it got worse.

The notebook API, loaded when it is first used::

    import evalkit as ek
    run = ek.load("reports/demo")
    run.scores.query("iou < 0.3 and tag_category == 'ordering'")
    run.compare("flash", "pro")
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from evalkit.version import __version__ as __version__

if TYPE_CHECKING:
    from evalkit.notebook.api import Run, decode, history, load, run
    from evalkit.notebook.pictures import Pictures
    from evalkit.notebook.views import Comparison, History, Masks, Prediction

__all__ = [
    "Comparison",
    "History",
    "Masks",
    "Pictures",
    "Prediction",
    "Run",
    "decode",
    "history",
    "load",
    "run",
]

_HOME = {
    **dict.fromkeys(("Comparison", "History", "Masks", "Prediction"), "evalkit.notebook.views"),
    **dict.fromkeys(("Run", "decode", "history", "load", "run"), "evalkit.notebook.api"),
    "Pictures": "evalkit.notebook.pictures",
}
"""Where each lazy name lives."""


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'evalkit' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
