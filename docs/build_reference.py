"""Write docs/reference/ from the code: commands, config keys, codes, columns, metrics, protocols, personas, notebook.

    python docs/build_reference.py

A test compares the committed pages with what this makes.
"""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, Union

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

FOLDER = Path(__file__).resolve().parent / "reference"
GENERATED = "*Generated from the code by `python docs/build_reference.py`; change the code, not this page.*"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ").strip()


def code(name: object) -> str:
    """Return a name as code."""
    return f"`{name}`"


def page(title: str, intro: str, *parts: str) -> str:
    """Return a whole page."""
    return "\n\n".join([f"# {title}", GENERATED, intro, *parts]).strip() + "\n"


def commands_page() -> str:
    """Return every command with its arguments and options."""
    from evalkit.cli.app import main

    intro = (
        "Exit codes: 0 fine; 1 the gate found a regression; 2 usage, config or data error; 3 the run is incomplete; 70 "
        "a defect of evalkit, which is no verdict. "
        "`--json` prints one JSON document on stdout and nothing else. `evalkit --debug COMMAND` shows tracebacks."
    )
    return page("Commands", intro, *(_command(path, command) for path, command in _commands("evalkit", main)))


def _commands(path: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    if not isinstance(command, click.Group):
        yield path, command
        return
    for name in sorted(command.commands):
        yield from _commands(f"{path} {name}", command.commands[name])


def _command(path: str, command: click.Command) -> str:
    context = click.Context(command, info_name=path)
    usage = " ".join(command.collect_usage_pieces(context))
    parts = [f"## {code(path)}", f"```\n{path} {usage}\n```", _paragraphs(command.help or "")]
    options = [
        record
        for option in command.get_params(context)
        if option.name != "help" and (record := option.get_help_record(context)) is not None
    ]
    if options:
        parts.append(table(["option", "meaning"], [(code(name), _plain(text)) for name, text in options]))
    return "\n\n".join(parts)


def _paragraphs(text: str) -> str:
    return re.sub(r"[ \t]*\n[ \t]*(?!\n)", "\n", inspect.cleandoc(text.replace("\b", "")))


def _plain(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def config_page() -> str:
    """Return every key of the YAML file, section by section, from the pydantic models."""
    from evalkit.config import gate_rules, models
    from evalkit.config import schema as config
    from evalkit.decoding.settings import DecodeSettings

    sections = [config.RunConfig, config.DatasetConfig, config.SampleConfig, *entry_sections()]
    sections += [models.GenerationConfig, models.PaceConfig, models.PriceConfig]
    sections += [models.PromptConfig, models.AnswerConvention]
    sections += [config.ImageConfig, DecodeSettings, config.ScoreConfig, config.RunLimits]
    sections += [gate_rules.GateRule]
    intro = (
        "Unknown keys, duplicate keys and wrong types are errors, told together with their lines. "
        "`${VAR}` and `${VAR:-default}` are filled in from the environment. Relative paths start from the file's folder."
    )
    return page("Config", intro, *(_section(section) for section in sections))


def entry_sections() -> dict[type[BaseModel], str]:
    """Return the class of each built-in provider's entries with its heading; providers may share one."""
    from evalkit.config.models import PROVIDERS, entry_class

    names: dict[type[BaseModel], list[str]] = {}
    for provider in PROVIDERS:
        names.setdefault(entry_class(provider), []).append(provider)
    return {
        entry: f"`models:` entries, `provider: {providers[0]}`"
        + "".join(f" and `{other}`" for other in providers[1:])
        for entry, providers in names.items()
    }


WHERE = {
    "RunConfig": "The whole file",
    "DatasetConfig": "`datasets:` entries",
    "SampleConfig": "`sample:` of a dataset",
    "GenerationConfig": "`generation:` of a model",
    "PaceConfig": "`limits:` of a model",
    "PriceConfig": "`price:` of a model",
    "PromptConfig": "`prompts:` entries, and `prompt:` of a model as a mapping",
    "AnswerConvention": "`convention:` of `provider: predictions`, as a mapping",
    "ImageConfig": "`image:`",
    "DecodeSettings": "`decode:`",
    "ScoreConfig": "`score:`",
    "RunLimits": "`limits:`",
    "GateRule": "`gate:` entries",
}
"""Heading of each section of the config."""


def _section(section: type[BaseModel]) -> str:
    doc = re.sub(r"``(.+?)``", r"`\1`", inspect.cleandoc(section.__doc__ or ""))
    rows = [
        (code(name), _type(field.annotation, field), _default(field), field.description or "")
        for name, field in section.model_fields.items()
        if not field.exclude
    ]
    heading = WHERE.get(section.__name__) or entry_sections()[section]
    return f"## {heading}\n\n{doc}\n\n" + table(["key", "type", "default", "meaning"], rows)


def _type(annotation: Any, field: FieldInfo | None = None) -> str:
    """Return a type in words: `int >= 1`, `"a" or "b"`, `list of text`."""
    bounds = "" if field is None else _bounds(field)
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Literal:
        return ", ".join(code(value) for value in inner)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(_type(one) for one in inner)) + bounds
    if origin is list:
        return f"list of {_type(inner[0])}"
    if origin is dict:
        return f"mapping to {_type(inner[1])}" if inner[1] is not Any else "mapping"
    if origin is typing.Annotated:
        return _type(inner[0])
    names = {"str": "text", "int": "integer", "float": "number", "bool": "true or false", "NoneType": "null"}
    name = getattr(annotation, "__name__", str(annotation))
    return (names.get(name) or "section") + bounds


def _bounds(field: FieldInfo) -> str:
    signs = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
    found = [
        f"{sign} {getattr(m, key):g}"
        for m in field.metadata
        for key, sign in signs.items()
        if hasattr(m, key)
    ]
    return f", {', '.join(found)}" if found else ""


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**required**"
    value = field.default if field.default is not PydanticUndefined else field.default_factory()  # type: ignore[misc, call-arg]
    if isinstance(value, BaseModel):
        return "its defaults"
    if value is None or isinstance(value, bool):
        return code("null" if value is None else str(value).lower())
    return code(value)


def codes_page() -> str:
    """Return every code that a verdict can hold."""
    from evalkit.decoding.codes import FAILURES, OUTCOMES, REPAIRS
    from evalkit.decoding.formats import WIRE_FORMATS

    outcomes = {name: words.meaning for name, words in OUTCOMES.items()}
    groups = {"Outcomes": outcomes, "Wire formats": WIRE_FORMATS, "Failures": FAILURES, "Repairs": REPAIRS}
    parts = [
        f"## {title}\n\n" + table(["code", "meaning"], [(code(name), text) for name, text in known.items()])
        for title, known in groups.items()
    ]
    intro = "Codes are added when a new kind appears and never reused. An answer is *strict* when it is what the prompt asked for."
    return page("Codes", intro, *parts)


def columns_page() -> str:
    """Return every column of scores.parquet with its type."""
    from evalkit.storage.scores_table import COLUMNS, scores_schema

    types = {field.name: str(field.type) for field in scores_schema()}
    rows = [(code(column.name), types[column.name], column.meaning) for column in COLUMNS]
    intro = (
        "`scores.parquet` has one row per model, dataset, sample and trial. In a notebook `run.scores` has a column "
        "`tag_NAME` for every tag besides."
    )
    return page("Columns of scores.parquet", intro, table(["column", "type", "meaning"], rows))


def metrics_page() -> str:
    """Return every measure with its definition and better direction."""
    from evalkit.metrics.table import FAMILIES, METRICS

    rows = [
        (code(metric.name), metric.label, metric.better, _aliases(metric.aliases), metric.meaning)
        for metric in METRICS
    ]
    families = [(code(f"{family.name}.CODE"), "", "", "", family.meaning) for family in FAMILIES]
    intro = (
        "What `evalkit compare` shows and a gate rule can name. Answered rows are those with the outcomes decoded, no_target, "
        "format_failure and blocked. A metric may also be named as papers or summary.json do. "
        "[What the numbers mean](../metrics.md) has the reasons; [Statistics](../statistics.md) the intervals."
    )
    return page("Metrics", intro, table(["metric", "label", "better", "also", "definition"], rows + families))


def _aliases(names: Sequence[str]) -> str:
    return ", ".join(code(name) for name in names)


def protocols_page() -> str:
    """Return every protocol with its source."""
    from evalkit.metrics.protocols import PROTOCOLS

    rows = [
        (
            code(name),
            one.source,
            _first_line(one.function.__doc__ or ""),
            ", ".join(code(key) for key in one.keys),
        )
        for name, one in PROTOCOLS.items()
    ]
    intro = (
        "`score: {protocol: NAME}`, or `protocol:` of a dataset, adds the numbers of that evaluator to summary.json, each with its "
        "interval. `evalkit compare`, gate rules and `evalkit history` know them as `protocol.NUMBER`, such as `protocol.giou`. "
        "[What the numbers mean](../metrics.md) says in what each differs."
    )
    return page("Protocols", intro, table(["name", "source", "what it returns", "numbers"], rows))


def _first_line(doc: str) -> str:
    return doc.strip().splitlines()[0]


def personas_page() -> str:
    """Return every persona of the simulator with its rates."""
    from evalkit.simulator.personas import PERSONAS

    rows = []
    for name, one in PERSONAS.items():
        formats = ", ".join(f"{code(encoding)} {weight:.0%}" for encoding, weight in one.encodings.items())
        defects = ", ".join(f"{code(kind)} {rate:.1%}" for kind, rate in one.defects.items())
        in_turn = f"{len([kind for kind in one.in_turn if kind])} kinds in turn" if one.in_turn else "-"
        rows.append((code(name), one.about, formats, defects or in_turn))
    intro = "Who answers in `provider: simulator` (`persona:`) and `evalkit simulate`. [The local Gemini](../simulator.md) has the faults."
    return page("Personas", intro, table(["persona", "answers like", "encodings", "defects"], rows))


def notebook_page() -> str:
    """Return the notebook API from its docstrings."""
    from evalkit.notebook import api as notebook
    from evalkit.notebook import pictures as notebook_pictures
    from evalkit.notebook import views as notebook_views
    from evalkit.notebook.scored_run import Run

    parts = [_member(f"ek.{name}", getattr(notebook, name)) for name in ("load", "run", "decode", "history")]
    classes = [Run, notebook_views.Comparison, notebook_views.Prediction, notebook_views.Masks]
    classes += [notebook_views.History, notebook_pictures.Pictures]
    for each in classes:
        parts.append(f"## {code(each.__name__)}\n\n{_docstring(each)}")
        parts += [
            _member(f"{each.__name__}.{name}", member, level=3)
            for name, member in vars(each).items()
            if not name.startswith("_") and (callable(member) or isinstance(member, property))
        ]
    intro = "`import evalkit as ek`. In the examples `run` is a small made-up run; a test runs them all."
    return page("Notebook API", intro, *parts)


def _member(name: str, member: Any, level: int = 2) -> str:
    if isinstance(member, property):
        return f"{'#' * level} {code(name)}\n\n{_docstring(member)}"
    signature = str(inspect.signature(member)).replace("(self, ", "(").replace("(self)", "()")
    signature = re.sub(r"(: |-> )'([^']*)'", r"\1\2", signature)
    return f"{'#' * level} {code(name)}\n\n```python\n{name}{signature}\n```\n\n{_docstring(member)}"


def _docstring(thing: Any) -> str:
    """Return a docstring as Markdown, its examples as a code block."""
    text, _, examples = inspect.getdoc(thing).partition(">>>")  # type: ignore[union-attr]
    text = re.sub(r"``(.+?)``", r"`\1`", text.strip())
    examples = re.sub(r" +# doctest:.*", "", examples)
    return f"{text}\n\n```pycon\n>>>{examples.rstrip()}\n```" if examples else text


def pages() -> dict[str, str]:
    """Return file name -> text of every page."""
    made = {
        "commands.md": commands_page(),
        "config.md": config_page(),
        "codes.md": codes_page(),
        "columns.md": columns_page(),
        "metrics.md": metrics_page(),
        "protocols.md": protocols_page(),
        "personas.md": personas_page(),
        "notebook.md": notebook_page(),
    }
    titles = {name: text.splitlines()[0].removeprefix("# ") for name, text in made.items()}
    index = "\n".join(f"- [{title}]({name})" for name, title in titles.items())
    return {**made, "index.md": page("Reference", index)}


def main() -> None:
    """Write the pages."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
        print(FOLDER.name, name)


if __name__ == "__main__":
    main()
