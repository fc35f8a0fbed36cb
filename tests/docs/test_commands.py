"""Every evalkit command that the documentation shows is run, page by page, in the order of the page.

Commands stand in ``console`` blocks, one a line; a page's commands share one folder that holds configs/, a photograph
with its mask, and a small simulated run at reports/demo. Comments in the page steer the block below them:

    <!-- file: NAME -->        the block is written to NAME before the commands below it run
    <!-- run: parse -->        the commands need Google, a key or a server: only their arguments are checked
    <!-- run: exit N -->       the last command of the block ends with this exit code
"""

from __future__ import annotations

import re
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from evalkit.cli.app import main

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(
    r"(?:<!-- (?P<how>(?:file|run): [^>]*?) -->\n)?```(?P<language>\w*)\n(?P<text>.*?)```", re.DOTALL
)
WRITTEN_BY_SHELL = {"sh", "yaml", "cron", "ini"}
"""Languages of docs/scheduling.md, whose commands tests/docs/test_scheduling_recipes.py checks."""


@dataclass(frozen=True)
class Block:
    """One fenced block of a page and the comment above it."""

    language: str
    how: str
    text: str

    def commands(self) -> list[list[str]]:
        """Return the arguments of every evalkit command of the block."""
        lines = self.text.replace("\\\n", " ").splitlines()
        return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("evalkit ")]


def blocks_of(page: Path) -> list[Block]:
    """Return the fenced blocks of a page in order."""
    found = BLOCK.finditer(page.read_text(encoding="utf-8"))
    return [Block(one["language"], one["how"] or "", one["text"]) for one in found]


def pages_with_commands() -> list[Path]:
    """Return the pages that show an evalkit command in a console block."""
    return [
        page
        for page in PAGES
        if any(block.language == "console" and block.commands() for block in blocks_of(page))
    ]


def parse(arguments: list[str]) -> None:
    """Check a command's name and arguments without running it."""
    command: click.Command = main
    rest = list(arguments)
    while isinstance(command, click.Group):
        command = command.commands[rest.pop(0)]
    command.make_context(command.name, rest)


@pytest.fixture(scope="session")
def demo(tmp_path_factory):
    """Return a small run of two models of the demo's config, without figures."""
    out = tmp_path_factory.mktemp("demo") / "demo"
    options = ["--limit", "8", "--models", "png-2.5-style,tokens-2.5-style", "--out", str(out), "--yes"]
    with pytest.MonkeyPatch.context() as patch:
        leave_figures_out(patch)
        done = CliRunner().invoke(main, ["run", str(ROOT / "configs" / "demo.yaml"), *options])
    assert done.exit_code == 0, done.output
    return out


def leave_figures_out(patch):
    """Leave out the figures, which take most of a small report's time; the report's own tests draw them."""
    patch.setattr("evalkit.report.dataset_view.draw_figures", lambda *_: {})


@pytest.fixture
def workplace(tmp_path, demo, monkeypatch):
    """Go to a folder with configs/, photos/desk.jpg, masks/desk-1.png and reports/demo."""
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    shutil.copytree(demo, tmp_path / "reports" / "demo")
    for folder in ("photos", "masks"):
        (tmp_path / folder).mkdir()
    mask_hw = np.zeros((96, 128), dtype=np.uint8)
    mask_hw[30:60, 40:80] = 255
    Image.fromarray(mask_hw).save(tmp_path / "masks" / "desk-1.png")
    picture = np.random.default_rng(0).integers(0, 255, (96, 128, 3), dtype=np.uint8)
    Image.fromarray(picture).save(tmp_path / "photos" / "desk.jpg")
    monkeypatch.chdir(tmp_path)
    leave_figures_out(monkeypatch)
    return tmp_path


@pytest.mark.parametrize("page", pages_with_commands(), ids=lambda page: str(page.relative_to(ROOT)))
def test_the_commands_of_the_page_run(page, workplace):
    """Each console block of the page does what it is said to, in the order of the page."""
    for block in blocks_of(page):
        if block.how.startswith("file: "):
            Path(block.how.removeprefix("file: ")).write_text(block.text, encoding="utf-8")
        if block.language != "console":
            continue
        *before, last = block.commands() or [None]
        if last is None:
            continue
        if block.how == "run: parse":
            for arguments in (*before, last):
                parse(arguments)
            continue
        wanted = int(block.how.removeprefix("run: exit ") or 0)
        for arguments, code in [*((arguments, 0) for arguments in before), (last, wanted)]:
            done = CliRunner().invoke(main, arguments, catch_exceptions=False)
            assert done.exit_code == code, f"evalkit {shlex.join(arguments)}\n{done.output}"


def test_there_are_pages_that_really_run():
    """The tutorial and the how-to pages run commands; they are not all parsed alone."""
    running = {
        page.name
        for page in pages_with_commands()
        if any(b.language == "console" and b.commands() and b.how != "run: parse" for b in blocks_of(page))
    }
    assert {"tutorial.md", "own-dataset.md", "own-model.md", "read-the-report.md"} <= running


@pytest.mark.parametrize("page", ["README.md", "docs/how-to/notebook.md"])
def test_the_python_of_the_page_runs(page, workplace):
    """The Python blocks of the page run in its order, beside a run at reports/demo."""
    namespace: dict[str, object] = {}
    blocks = [block for block in blocks_of(ROOT / page) if block.language == "python"]
    for block in blocks:
        exec(block.text, namespace)
    assert "run" in namespace


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_stands_in_a_block_that_is_tested(page):
    """Outside docs/reference, no block but console (and those of the scheduling recipes) shows a command."""
    if page.parent.name == "reference":
        return
    for block in blocks_of(page):
        if block.language != "console" and not (
            page.name == "scheduling.md" and block.language in WRITTEN_BY_SHELL
        ):
            assert not block.commands(), block.text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_in_running_text_exist(page):
    """`evalkit NAME` in a sentence or table names a command, and its options are options of it."""
    for text in re.findall(r"`evalkit ([^`\n]+)`", page.read_text(encoding="utf-8")):
        words = text.replace("\\|", " ").split()
        command: click.Command = main
        while isinstance(command, click.Group) and words and re.fullmatch(r"[a-z]+", words[0]):
            assert words[0] in command.commands, text
            command = command.commands[words.pop(0)]
        known = {name for option in command.params for name in option.opts} | {"--help", "--debug"}
        given = {word.split("=")[0].strip("[].,") for word in words if word.startswith(("--", "[--"))}
        assert {word for word in given if "KEY" not in word} <= known, text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page):
    """Every relative link of a page names a file that is there."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
        if "://" not in target:
            assert (page.parent / target).exists(), target
