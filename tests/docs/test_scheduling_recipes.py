"""The recipes of docs/scheduling.md can be used as they stand."""

from __future__ import annotations

import configparser
import re
import shlex
import subprocess
from pathlib import Path

import click
import pytest
from ruamel.yaml import YAML

from evalkit.cli.app import main
from evalkit.config.schema import load_config

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "scheduling.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """Return the fenced blocks of one language."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def evalkit_lines() -> list[str]:
    """Return every evalkit command line of the page, continued lines joined, shell variables as words."""
    joined = "\n".join((*blocks("sh"), *blocks("yaml"))).replace("\\\n", " ")
    lines = [line.strip().removeprefix("run: ").removeprefix("- run: ") for line in joined.splitlines()]
    spelled = [line.replace('"$evalkit"', "evalkit").split("||")[0] for line in lines]
    return [re.sub(r"\$\{\{.*?\}\}", "X", line) for line in spelled if line.startswith("evalkit ")]


@pytest.mark.parametrize("line", sorted(set(evalkit_lines())))
def test_every_command_line_parses(line: str) -> None:
    """Each command and option of the recipes exists."""
    command: click.Command = main
    arguments = shlex.split(line)[1:]
    while isinstance(command, click.Group):
        command = command.commands[arguments.pop(0)]
    command.make_context(command.name, arguments)


def test_the_commands_were_found() -> None:
    """The page holds runs, gates, histories and baselines: the test above is not empty."""
    words = {line.split()[1] for line in evalkit_lines()}
    assert words == {"run", "gate", "history", "baseline"}


def test_the_script_is_valid_shell() -> None:
    """The script of the page passes `sh -n`."""
    (script,) = [block for block in blocks("sh") if block.startswith("#!/bin/sh")]
    subprocess.run(["sh", "-n"], input=script, text=True, check=True)


@pytest.mark.parametrize(("verdict", "exit_code"), [(0, 0), (1, 1), (3, 3)])
def test_the_script_ends_with_the_gates_code(tmp_path: Path, verdict: int, exit_code: int) -> None:
    """The history is drawn whatever the gate said, and the gate's code is the script's."""
    (script,) = [block for block in blocks("sh") if block.startswith("#!/bin/sh")]
    (tmp_path / "nightly.sh").write_text(script)
    fake = tmp_path / "evalkit"
    fake.write_text(
        f'#!/bin/sh\necho "$1" >> "{tmp_path}/calls"\n[ "$1" = gate ] && exit {verdict}\nexit 0\n'
    )
    fake.chmod(0o755)
    done = subprocess.run(
        ["sh", tmp_path / "nightly.sh"], env={"EVALKIT": str(fake), "PATH": "/usr/bin:/bin"}, check=False
    )
    assert done.returncode == exit_code
    assert (tmp_path / "calls").read_text().split() == ["run", "gate", "history"]


def test_units_and_workflow_parse() -> None:
    """The systemd units are INI files with a service and a timer; the workflow is YAML with its steps in order."""
    sections = set()
    for block in blocks("ini"):
        parser = configparser.ConfigParser(strict=True, interpolation=None)
        parser.read_string(block)
        sections |= set(parser.sections())
    assert sections == {"Unit", "Service", "Timer", "Install"}
    (workflow,) = (YAML(typ="safe").load(block) for block in blocks("yaml"))
    names = [step.get("name") for step in workflow["jobs"]["evaluate"]["steps"] if "name" in step]
    assert names == [
        "Restore the ledger and earlier nights",
        "Run",
        "Gate",
        "History",
        "Keep the ledger",
        "Publish",
    ]


@pytest.mark.parametrize("name", ["nightly.yaml", "nightly-rehearsal.yaml"])
def test_the_configs_of_the_recipes_load(name: str) -> None:
    """Both configs are valid and have gate rules."""
    assert load_config(ROOT / "configs" / name).gate
