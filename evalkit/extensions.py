"""Parts that may live in a package of one's own, each found by its name.

A name of a config (``provider: NAME``) means, in this order of kinds:

* a built-in one, from the explicit table of its kind;
* one that an installed package declares as an entry point of the kind's group (``evalkit.providers``);
* ``package.module:name``, where the module is installed or lies beside the config file.

Nothing is imported before its name is used: a broken package is told by the command that needs it and
by no other.
"""

from __future__ import annotations

import ast
import importlib
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any, Generic, TypeVar

from evalkit.errors import ConfigError, nearest

T = TypeVar("T")

REFERENCE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")

_folders: dict[str, None] = {}
"""Folders of config files, in which modules are looked for that are not installed; the latest first."""

_looking_only: ContextVar[bool] = ContextVar("looking_only", default=False)

_appended: set[str] = set()
"""Those of them that stand in ``sys.path`` because of it."""


@dataclass(frozen=True, eq=False)
class Kind(Generic[T]):
    """One kind of extension.

    ``word``: what messages call it. ``group``: the group of entry points. ``built_in``: evalkit's own by
    name, each the thing itself or its ``package.module:name``. ``fits`` tells whether what was found is one;
    ``wants`` says what it has to be.
    """

    word: str
    group: str
    built_in: Mapping[str, T | str]
    fits: Callable[[Any], bool]
    wants: str

    def find(self, name: str) -> T:
        """Return what ``name`` means. Raises ``ConfigError``: unknown, ambiguous, broken or of another type."""
        if only_looked_at(self.word, name):
            raise ConfigError(
                f"the {self.word} '{name}' is a module of your own, and this command imports none: what it does here "
                "cannot be told. Run the command that asks (`evalkit run` without --dry-run)"
            )
        if is_reference(name):
            _look_in_folders(name.partition(":")[0].partition(".")[0])
        found: T = _find(self, name, tuple(sys.path))
        return found

    def names(self) -> list[str]:
        """Return every name that is known without an import: built-in, then declared by installed packages."""
        return [*self.built_in, *sorted(set(_declared(self.group, tuple(sys.path))) - set(self.built_in))]


def search_in(directory: str | Path) -> None:
    """Let modules beside a config file be found, after everything that is installed; the latest config's go first."""
    folder = str(Path(directory).absolute())
    others = [known for known in _folders if known != folder]
    _folders.clear()
    _folders.update(dict.fromkeys([folder, *others]))


FOLDERS_VARIABLE = "EVALKIT_MODULE_FOLDERS"
"""Further folders whose modules a run folder may use, separated as in PATH."""


def remember_own(directory: str | Path) -> None:
    """Note that the user ran a config of this folder, so that its runs may use its modules when they are read.

    Kept in the user's state folder; where that cannot be written, ``EVALKIT_MODULE_FOLDERS`` names folders instead.
    """
    folder, file = str(Path(directory).absolute()), _own_folders_file()
    if folder in _own_folders():
        return
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a", encoding="utf-8") as lines:
            lines.write(f"{folder}\n")
    except OSError:
        return


def search_in_own(directory: str | Path) -> None:
    """Do as ``search_in`` where the user ran a config of this folder; a run folder of a stranger's imports nothing."""
    if str(Path(directory).absolute()) in _own_folders():
        search_in(directory)


def _own_folders() -> set[str]:
    named = {
        str(Path(part).absolute()) for part in os.environ.get(FOLDERS_VARIABLE, "").split(os.pathsep) if part
    }
    try:
        return named | set(_own_folders_file().read_text(encoding="utf-8").splitlines())
    except (OSError, UnicodeDecodeError):
        return named


def _own_folders_file() -> Path:
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(state) / "evalkit" / "module-folders.txt"


def is_reference(name: str) -> bool:
    """Tell whether ``name`` has the form ``package.module:name``."""
    return REFERENCE.fullmatch(name) is not None


@contextmanager
def nothing_imported() -> Iterator[None]:
    """Look at modules of the user's without importing them: what a rehearsal or an examination reads may be a stranger's."""
    token = _looking_only.set(True)
    try:
        yield
    finally:
        _looking_only.reset(token)


def only_looked_at(what: str, name: str) -> bool:
    """Tell whether ``name`` names a module of the user's and none is imported now; it is looked at then.

    ``what``: its word in messages. Raises ``ConfigError`` where there is no such module or its file has no such name.
    """
    if not _looking_only.get() or not is_reference(name):
        return False
    module_name, _, path = name.partition(":")
    spec = _spec_of(module_name)
    if spec is None and module_name not in sys.builtin_module_names:
        raise ConfigError(
            f"{what} '{name}': there is no module {module_name}. Install it, or put it beside the config"
        )
    names = (
        None
        if spec is None or not (spec.origin or "").endswith(".py")
        else _names_in(spec.origin or "", what, name)
    )
    first = path.partition(".")[0]
    if names is not None and first not in names:
        raise ConfigError(f"{what} '{name}': {module_name} has no '{first}'.{nearest(first, names)}")
    return True


def _spec_of(module_name: str) -> ModuleSpec | None:
    """Return where a module lies, its packages not imported (``importlib.util.find_spec`` imports them)."""
    places: Sequence[str] | None = [*sys.path, *_folders]
    spec, full_name = None, ""
    for part in module_name.split("."):
        full_name = f"{full_name}.{part}" if full_name else part
        spec = None if places is None else PathFinder.find_spec(full_name, places)
        if spec is None:
            return None
        places = spec.submodule_search_locations
    return spec


def _names_in(file: str, what: str, name: str) -> set[str] | None:
    """Return the names that a module's file defines outside functions and classes, None where that cannot be told."""
    try:
        tree = ast.parse(Path(file).read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ConfigError(f"{what} '{name}': {file} cannot be read as Python ({error})") from error
    found: set[str] = set()
    waiting: list[ast.AST] = [*tree.body]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
            continue
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.alias):
            found.add((node.asname or node.name).partition(".")[0])
        waiting += ast.iter_child_nodes(node)
    # A star brings in names that stand in another file; a module's own __getattr__ makes them up.
    return None if found & {"*", "__getattr__"} else found


def load_reference(what: str, reference: str) -> Any:
    """Return the object that ``package.module:name`` names. ``what``: its word in messages.

    Raises ``ConfigError`` where the module cannot be imported or has no such name.
    """
    _look_in_folders(reference.partition(":")[0].partition(".")[0])
    return own_object(what, reference)


def own_object(what: str, reference: str) -> Any:
    """Return the object that ``package.module:name`` names, its module installed: evalkit's own stand in tables so.

    Raises what ``load_reference`` raises.
    """
    module_name, _, path = reference.partition(":")
    try:
        found = importlib.import_module(module_name)
    except Exception as error:  # a module of somebody else's may raise anything while it is imported
        raise ConfigError(
            f"{what} '{reference}': the module {module_name} cannot be imported ({_said(error)}). Install it, or put it "
            "beside the config"
        ) from error
    for name in path.split("."):
        if not hasattr(found, name):
            public = [key for key in vars(found) if not key.startswith("_")]
            raise ConfigError(f"{what} '{reference}': {module_name} has no '{name}'.{nearest(name, public)}")
        found = getattr(found, name)
    return found


def _look_in_folders(package: str) -> None:
    """Put the folders of configs at the end of the path, and forget a module of another config with the same name.

    A process that runs two configs, each with its own ``mine.py`` beside it, must not ask the one's function for the
    other.
    """
    wanted = [folder for folder in _folders if folder in _appended or folder not in sys.path]
    sys.path[:] = [folder for folder in sys.path if folder not in _appended] + wanted
    _appended.update(wanted)
    loaded, nearest_folder = sys.modules.get(package), next(iter(_folders), None)
    if loaded is None or nearest_folder is None:
        return
    file = Path(getattr(loaded, "__file__", None) or "")
    home = str(file.parent.parent if file.name == "__init__.py" else file.parent)
    own = (Path(nearest_folder) / f"{package}.py", Path(nearest_folder) / package / "__init__.py")
    if home in _appended and home != nearest_folder and any(place.is_file() for place in own):
        for name in [name for name in sys.modules if name == package or name.startswith(f"{package}.")]:
            del sys.modules[name]
        importlib.invalidate_caches()


@lru_cache(maxsize=256)
def _find(kind: Kind[Any], name: str, path: tuple[str, ...]) -> Any:
    declared = _declared(kind.group, path).get(name, ())
    if name in kind.built_in:
        _refuse_clash(kind, name, declared)
        own = kind.built_in[name]
        return own_object(kind.word, own) if isinstance(own, str) else own
    if len(declared) > 1:
        by = " and ".join(sorted(_distribution(point) for point in declared))
        raise ConfigError(
            f"the {kind.word} '{name}' is declared by {len(declared)} installed packages, {by}: uninstall all but one, "
            "or name it as package.module:name"
        )
    if declared:
        return _checked(kind, _load(kind, declared[0]), f"'{name}' of {_distribution(declared[0])}")
    if is_reference(name):
        return _checked(kind, load_reference(kind.word, name), f"'{name}'")
    raise ConfigError(
        f"there is no {kind.word} '{name}'.{nearest(name, kind.names())} One of your own is named as "
        "package.module:name"
    )


@lru_cache(maxsize=16)
def _declared(group: str, path: tuple[str, ...]) -> dict[str, tuple[metadata.EntryPoint, ...]]:
    """Return the entry points of a group by name, nothing imported; ``path`` is ``sys.path``, which they depend on."""
    del path
    found: dict[str, dict[str, metadata.EntryPoint]] = {}
    for point in metadata.entry_points(group=group):
        # A package that lies on the path twice (an editable install) declares the same thing twice.
        found.setdefault(point.name, {})[f"{_distribution(point)} {point.value}"] = point
    return {name: tuple(points.values()) for name, points in found.items()}


def _refuse_clash(kind: Kind[Any], name: str, declared: tuple[metadata.EntryPoint, ...]) -> None:
    if declared:
        raise ConfigError(
            f"the {kind.word} '{name}' is evalkit's own, and the installed package {_distribution(declared[0])} declares "
            f"another of that name ({declared[0].value}, group {kind.group}): which one is meant cannot be told. Rename "
            "it there, or uninstall the package"
        )


def _load(kind: Kind[Any], point: metadata.EntryPoint) -> Any:
    try:
        return point.load()
    except Exception as error:  # a package of somebody else's may raise anything while it is imported
        raise ConfigError(
            f"the {kind.word} '{point.name}' of the installed package {_distribution(point)} cannot be loaded from "
            f"{point.value} ({_said(error)}): mend or update that package, or uninstall it"
        ) from error


def _checked(kind: Kind[Any], found: Any, where: str) -> Any:
    if not kind.fits(found):
        raise ConfigError(
            f"the {kind.word} {where} is of type {type(found).__name__}: it has to be {kind.wants}"
        )
    return found


def _distribution(point: metadata.EntryPoint) -> str:
    return "of unknown name" if point.dist is None else f"{point.dist.name} {point.dist.version}"


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
