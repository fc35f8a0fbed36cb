"""What a user's function is written in: its own file and those of the user's that it imports.

The digest of all of them is part of every question that the function answers (``runner.resume``). Looked at are the
modules beside the config and those of the function's own package, found by reading the files, not by importing them.
Installed packages, files of weights and modules that are named at run time alone are not.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any


def source_digest(function: Callable[..., Any], folder: Path) -> str:
    """Return one SHA-256 of all files that a function or callable object is written in, wherever they lie.

    ``folder``: the config's. Its qualified name where it is written in no file.
    """
    file = _file_of(function)
    if file is None:
        kind = function if hasattr(function, "__qualname__") else type(function)
        return f"{kind.__module__}:{kind.__qualname__}"
    contents = sorted(hashlib.sha256(one.read_bytes()).hexdigest() for one in _files(file, folder.resolve()))
    return hashlib.sha256("".join(contents).encode()).hexdigest()


def _file_of(function: Callable[..., Any]) -> Path | None:
    """Return the file of a function or class, of an object's class, or of what a partial calls."""
    while hasattr(function, "func"):
        function = function.func
    for written in (function, type(function)):
        try:
            found = inspect.getsourcefile(written)
        except TypeError:
            continue
        if found is not None and Path(found).is_file():
            return Path(found).resolve()
    return None


def _files(first: Path, folder: Path) -> set[Path]:
    """Return a file with all that it imports from the config's folder or from its own package."""
    home, package = first.parent, first.stem
    while (home / "__init__.py").is_file():
        home, package = home.parent, home.name
    found, waiting = {first}, [first]
    while waiting:
        for place in _imported(waiting.pop(), folder, home, package):
            if place not in found:
                found.add(place)
                waiting.append(place)
    return found


def _imported(file: Path, folder: Path, home: Path, package: str) -> Iterator[Path]:
    """Yield the files of the user's own that one file imports; ``home``: the folder that holds ``package``."""
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return
    names: list[tuple[str, Path | None]]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [(alias.name, None) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = file.parents[node.level - 1] if node.level else None
            stem = f"{node.module}." if node.module else ""
            names = [(f"{stem}{alias.name}", base) for alias in node.names]
        else:
            continue
        for name, base in names:
            roots = [base] if base else [folder, *([home] if name.partition(".")[0] == package else [])]
            for root in roots:
                yield from _modules(root, name)


def _modules(root: Path, name: str) -> Iterator[Path]:
    """Yield the files of a dotted name and of the packages around it; its last part may be no module."""
    place = root
    for part in name.split("."):
        if (place / f"{part}.py").is_file():
            yield (place / f"{part}.py").resolve()
            return
        place /= part
        if (place / "__init__.py").is_file():
            yield (place / "__init__.py").resolve()
