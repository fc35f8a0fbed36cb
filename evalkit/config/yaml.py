"""YAML text -> plain data that remembers its lines, so that every complaint can name one.

YAML 1.2 (``no`` is text, ``1e-4`` a number), duplicate keys are collected instead of the last
one winning, ``${VAR}`` and ``${VAR:-default}`` are filled in from the environment.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from evalkit.errors import ConfigError, nearest

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError

    ModelT = TypeVar("ModelT", bound=BaseModel)

KeyPath = tuple[str | int, ...]

VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")

HALF_CHARACTER = re.compile("[\ud800-\udfff]")
"""Half of a pair of UTF-16, as an escape writes it or a variable of the environment that is no UTF-8 holds it."""

PLAIN_TAGS = frozenset(
    f"tag:yaml.org,2002:{name}" for name in ("map", "seq", "str", "int", "float", "bool", "null", "timestamp")
)
"""What a value can be; a tag of another kind (``!include``, ``!!python/object``) is no part of a config."""

MOST_VALUES = 100_000
"""Values of a file with its aliases unfolded: a few lines of aliases of aliases can stand for billions."""

TAB = "there is a tab where YAML wants spaces: indent with spaces"

TOO_DEEP = "the file is nested too deeply to be a config, or an alias holds itself"


@dataclass
class YamlSource:
    """One parsed YAML file: ``data``, the line (from 1) of each key path, and what is wrong.

    ``written``: the text of every value that ``${VAR}`` was filled into, as it stands in the file.
    """

    file: str
    data: Any = None
    lines: dict[KeyPath, int] = field(default_factory=dict)
    written: dict[KeyPath, str] = field(default_factory=dict)
    problems: list[tuple[int, str]] = field(default_factory=list)

    def line_of(self, path: KeyPath) -> int:
        """Return the line of ``path``, or of the nearest parent that has one."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def add(self, path: KeyPath, message: str) -> None:
        """Note a problem at ``path``."""
        self.problems.append((self.line_of(path), message))

    def raise_problems(self) -> None:
        """Raise one ``ConfigError`` that lists all problems by line; nothing where there are none."""
        if self.problems:
            ordered = sorted(set(self.problems))
            raise ConfigError("\n".join(f"{self.file}:{line}: {text}" for line, text in ordered))


def read_yaml(path: str | Path, environment: Mapping[str, str] | None = None) -> YamlSource:
    """Parse a YAML file. Raises ``ConfigError`` where it is missing or is not YAML."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: there is no such file. Give the path of a YAML file.") from error
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be read ({str(error.strerror).lower()}). Give the path of a YAML file."
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path}: is not UTF-8 text ({error.reason} at byte {error.start}). Save it as UTF-8."
        ) from error
    return parse_yaml(text, str(path), environment)


def parse_yaml(text: str, file: str, environment: Mapping[str, str] | None = None) -> YamlSource:
    """Parse YAML text; ``file`` is the name that complaints carry."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    yaml = YAML(typ="safe", pure=True)
    source = YamlSource(file)
    try:
        root = yaml.compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        problem = TAB if "'\\t'" in str(error.problem) else error.problem or error.context
        raise ConfigError(f"{file}:{line}: not valid YAML: {problem}") from error
    except YAMLError as error:
        raise ConfigError(f"{file}:1: not valid YAML: {error}") from error
    except RecursionError as error:
        raise ConfigError(f"{file}:1: {TOO_DEEP}") from error
    if root is not None:
        builder = _Builder(yaml, source, os.environ if environment is None else environment)
        try:
            source.data = builder.build(root, ())
        except RecursionError as error:
            raise ConfigError(f"{file}:1: {TOO_DEEP}") from error
    return source


class _Builder:
    """Turns YAML nodes into plain data, noting the line of every key path."""

    def __init__(self, yaml: Any, source: YamlSource, environment: Mapping[str, str]) -> None:
        self.yaml = yaml
        self.source = source
        self.environment = environment
        self.values = 0

    def build(self, node: Any, path: KeyPath) -> Any:
        line = node.start_mark.line + 1
        self.source.lines.setdefault(path, line)
        self.values += 1
        if self.values > MOST_VALUES:
            raise ConfigError(
                f"{self.source.file}:{line}: the file's aliases unfold to more than {MOST_VALUES:,} values"
            )
        if str(node.tag) not in PLAIN_TAGS:
            name = str(node.tag).replace("tag:yaml.org,2002:", "!!")
            self.source.problems.append(
                (
                    line,
                    f"the tag {name} is not read here: a config holds plain values. Quote text that looks like one",
                )
            )
            return None
        if node.id == "mapping":
            return self.mapping(node, path)
        if node.id == "sequence":
            return [self.build(child, (*path, index)) for index, child in enumerate(node.value)]
        try:
            value = self.yaml.constructor.construct_object(node, deep=True)
        except ValueError as error:
            self.source.problems.append((line, f"the value {node.value!r:.60} cannot be read: {error}"))
            return None
        return self.expand(value, path) if isinstance(value, str) else value

    def mapping(self, node: Any, path: KeyPath) -> dict[str, Any]:
        built: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if key_node.id != "scalar":
                line = key_node.start_mark.line + 1
                self.source.problems.append((line, "a key must be text, not a list or a mapping"))
                continue
            key = str(key_node.value)
            if key == "<<":
                merged |= self.merged(value_node, path)
                continue
            if HALF_CHARACTER.search(key):
                line = key_node.start_mark.line + 1
                self.source.problems.append((line, f"the key {key[:60]!a} holds half a character"))
                continue
            here = (*path, key)
            if key in built:
                line = key_node.start_mark.line + 1
                first = self.source.lines[here]
                self.source.problems.append(
                    (line, f"the key '{key}' stands twice (first on line {first}): keep one")
                )
                continue
            self.source.lines[here] = key_node.start_mark.line + 1
            built[key] = self.build(value_node, here)
        return merged | built

    def merged(self, node: Any, path: KeyPath) -> dict[str, Any]:
        """Return what ``<<`` brings in: one mapping, or several of which the first counts most (YAML 1.1, merge)."""
        parts = node.value if node.id == "sequence" else [node]
        built: dict[str, Any] = {}
        for part in reversed(parts):
            if part.id != "mapping":
                line = part.start_mark.line + 1
                self.source.problems.append(
                    (line, "'<<' merges mappings: give an alias of one, or a list of them")
                )
                continue
            built |= self.build(part, path)
        return built

    def expand(self, text: str, path: KeyPath) -> str:
        def fill(match: re.Match[str]) -> str:
            name, default = match.group(1), match.group(2)
            value = self.environment.get(name, default)
            if value is None:
                self.source.add(
                    path,
                    f"the environment variable {name} is not set: export {name}=... "
                    f"or write ${{{name}:-default}}",
                )
                return match.group(0)
            return value

        filled = VARIABLE.sub(fill, text)
        if HALF_CHARACTER.search(filled):
            self.source.add(path, f"the text {text[:60]!a} holds half a character, which no file can hold")
        if filled != text:
            self.source.written[path] = text
        return filled


def validate(source: YamlSource, model: type[ModelT]) -> ModelT:
    """Return ``source.data`` as a pydantic model; all problems are raised together, by line."""
    from pydantic import ValidationError

    data = source.data if source.data is not None else {}
    try:
        value = model.model_validate(data)
    except ValidationError as error:
        note_pydantic_errors(source, error, model)
        source.raise_problems()
        raise
    source.raise_problems()
    return value


def note_pydantic_errors(source: YamlSource, error: ValidationError, model: type[BaseModel]) -> None:
    """Add every pydantic complaint to ``source`` with its line and, for keys, the nearest known one."""
    for item in error.errors(include_url=False):
        path = _path_in(source, item["loc"])
        name = ".".join(str(part) for part in path) or "the file"
        kind = item["type"]
        if kind == "extra_forbidden":
            known = _known_keys(model, item["loc"], source.data)
            hint = nearest(str(path[-1]), known) if known else ""
            source.add(
                path,
                f"unknown key '{path[-1]}'{' in ' + '.'.join(map(str, path[:-1])) if path[:-1] else ''}.{hint}",
            )
        elif kind == "missing":
            source.add(
                path[:-1],
                f"'{item['loc'][-1]}' is missing from {'.'.join(map(str, path[:-1])) or 'the file'}: add it",
            )
        elif kind == "unknown_name":
            source.add((*path, item["ctx"]["key"]), f"{name}: {item['msg']}")
        elif kind in ("model_type", "model_attributes_type"):
            source.add(path, f"{name} must be a mapping of keys to values, got {_shown(item['input'])}")
        elif kind == "unusable_address":
            shown = repr(source.written[path]) if path in source.written else item["ctx"]["shown"]
            source.add(path, f"{name} is {shown}: {item['msg']}")
        elif kind == "name_twice":
            source.add(tuple(item["ctx"]["path"]), item["msg"])
        elif kind == "value_error":
            source.add(path, f"{name}: {item['msg'].removeprefix('Value error, ')}")
        else:
            source.add(
                path,
                f"{name}: {item['msg'][0].lower()}{item['msg'][1:]}, got {_shown(source.written.get(path, item['input']))}{_nearest_word(item)}",
            )


def _nearest_word(item: Any) -> str:
    """Return a hint at the allowed word that a wrong one is nearest to, where there is one."""
    if item["type"] != "literal_error" or not isinstance(item["input"], str):
        return ""
    words = re.findall(r"'([^']*)'", item["ctx"]["expected"])
    close = difflib.get_close_matches(item["input"], words, n=1, cutoff=0.6)
    return f". Did you mean '{close[0]}'?" if close else ""


def _shown(value: object) -> str:
    text = repr(value)
    return f"{text if len(text) <= 80 else text[:77] + '...'} ({type(value).__name__})"


def _path_in(source: YamlSource, loc: tuple[str | int, ...]) -> KeyPath:
    """Return pydantic's location without the tags of unions, which are not keys of the file."""
    path: KeyPath = ()
    node = source.data
    for position, part in enumerate(loc):
        last = position == len(loc) - 1
        in_mapping = isinstance(node, dict) and part in node
        in_sequence = isinstance(node, list) and isinstance(part, int) and part < len(node)
        if in_mapping or in_sequence:
            node = node[part]
        elif not (last and isinstance(node, dict)):
            continue
        path = (*path, part)
    return path


def _known_keys(model: type[BaseModel], loc: tuple[str | int, ...], data: Any) -> list[str]:
    """Return the keys that the innermost model on the way to ``loc`` in ``data`` admits."""
    from typing import get_args

    from pydantic import BaseModel

    from evalkit.config.models import ModelEntry

    def models_in(annotation: Any) -> list[type[BaseModel]]:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            return [annotation]
        return [found for part in get_args(annotation) for found in models_in(part)]

    candidates: list[type[BaseModel]] = [model]
    node = data
    for part in loc[:-1]:
        if isinstance(node, dict):
            node = node.get(part, node)  # a union's tag in the path is no key of the file
        elif isinstance(node, list) and isinstance(part, int):
            node = node[part]
        if isinstance(part, int):
            # What an entry may hold depends on the provider it names.
            candidates = [
                candidate.section_of(node)
                if issubclass(candidate, ModelEntry) and isinstance(node, dict)
                else candidate
                for candidate in candidates
            ]
            continue
        deeper = [
            found
            for candidate in candidates
            if part in candidate.model_fields
            for found in models_in(candidate.model_fields[str(part)].annotation)
        ]
        candidates = deeper or candidates
    keys = {field.alias or name for candidate in candidates for name, field in candidate.model_fields.items()}
    return sorted(keys)
