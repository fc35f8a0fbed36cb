"""evalkit tells which model segments your images, and whether it got worse.

The notebook API, loaded when it is first used::

    import evalkit as ek
    run = ek.load("reports/demo")
    run.scores.query("iou < 0.3 and tag_category == 'ordering'")
    run.compare("flash", "pro")
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evalkit.notebook import Run, decode, history, load, run
    from evalkit.notebook_pictures import Pictures
    from evalkit.notebook_views import Comparison, History, Masks, Prediction

__version__ = "0.1.0"

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
    "Comparison": "evalkit.notebook_views",
    "History": "evalkit.notebook_views",
    "Masks": "evalkit.notebook_views",
    "Pictures": "evalkit.notebook_pictures",
    "Prediction": "evalkit.notebook_views",
    "Run": "evalkit.notebook",
    "load": "evalkit.notebook",
}
"""Where each lazy name lives."""

_ALSO_MODULES = ("decode", "history", "run")
"""Notebook functions whose name a submodule has too: importing that one binds it over the function."""


class _CallableModule(ModuleType):
    """A submodule that is also the notebook function of its name: ``evalkit.run(config)``."""

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return self._function()(*arguments, **options)

    @property
    def __signature__(self) -> Any:
        import inspect

        return inspect.signature(self._function())

    def _function(self) -> Any:
        return getattr(import_module("evalkit.notebook"), self.__name__.rpartition(".")[2])


class _Package(ModuleType):
    """Makes those submodules callable when the import system binds them, whoever imports them first."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _ALSO_MODULES and type(value) is ModuleType:
            value.__class__ = _CallableModule
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    if name in _ALSO_MODULES:
        return import_module(f"evalkit.{name}")
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'evalkit' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
