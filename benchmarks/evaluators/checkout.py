"""How a function of a checkout is run unchanged where its model, its libraries and its GPU are absent.

Modules that only the model needs are replaced by empty ones; the evaluator's own files are imported as they are, and
the numbers that it only prints rounded are read from its local variables when it returns.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.abc
import importlib.machinery
import io
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import CodeType, FrameType, ModuleType
from typing import Any


class StandIn(ModuleType):
    """A module in which every name is an empty class of its own."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        found = type(name, (), {})
        setattr(self, name, found)
        return found


class _StandIns(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the modules of ``names``, and everything below them, as stand-ins."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return the spec of a stand-in, None for a module that is to be imported as usual."""
        del path, target
        if any(fullname == name or fullname.startswith(f"{name}.") for name in self.names):
            return importlib.machinery.ModuleSpec(fullname, self, is_package=True)
        return None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        """Return an empty module."""
        return StandIn(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Do nothing: there is no code."""


def import_from(
    root: Path, name: str, stand_ins: Sequence[str] = (), packages: Sequence[str] = ()
) -> ModuleType:
    """Return module ``name`` of a checkout, ``root`` first on the path.

    ``packages``: folders of it whose own ``__init__`` is passed over. Ends the script where the file is not there.
    """
    if not (root / f"{name.replace('.', '/')}.py").is_file():
        raise SystemExit(f"{root} holds no {name.replace('.', '/')}.py: give the folder of a checkout")
    sys.meta_path.insert(0, _StandIns(stand_ins))
    sys.path.insert(0, str(root))
    for package in packages:
        empty = ModuleType(package)
        empty.__path__ = [str(root / package.replace(".", "/"))]
        sys.modules[package] = empty
    # Some read the command line when they are imported.
    kept, sys.argv = sys.argv, sys.argv[:1]
    try:
        return importlib.import_module(name)
    finally:
        sys.argv = kept


def locals_of(function: Callable[..., Any], *arguments: Any, **named: Any) -> dict[str, Any]:
    """Run a function quietly and return its local variables as they stood when it returned."""
    wanted: CodeType = function.__code__
    found: dict[str, Any] = {}

    def watch(frame: FrameType, event: str, argument: Any) -> None:
        del argument
        if event == "return" and frame.f_code is wanted:
            found.update(frame.f_locals)

    sys.setprofile(watch)
    try:
        quiet(function, *arguments, **named)
    finally:
        sys.setprofile(None)
    return found


def quiet(function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """Run a function without what it prints, and return what it returns."""
    with contextlib.redirect_stdout(io.StringIO()):
        return function(*arguments, **named)


@contextlib.contextmanager
def torch_without_gpu() -> Iterator[None]:
    """Let code that is written for GPUs run on a CPU: moves stay, integers can be counted, one process reduces.

    ``torch.histc`` knows integers on a GPU alone; as floats they give the same counts.
    """
    import torch

    kept = torch.Tensor.cuda, torch.histc
    torch.Tensor.cuda = lambda self, *_, **__: self  # type: ignore[method-assign, assignment]
    torch.histc = lambda values, **limits: kept[1](values.float(), **limits)  # type: ignore[assignment]
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    try:
        yield
    finally:
        torch.distributed.destroy_process_group()
        torch.Tensor.cuda, torch.histc = kept  # type: ignore[method-assign]
