"""The reading path of CONTRIBUTING is six files of the package, short enough to read in one sitting."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILES = 6
MOST_LINES = 1_200


def reading_path():
    """Return the files that the section names, in order."""
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    section = text.split("## Reading path\n", 1)[1].split("\n## ", 1)[0]
    return [ROOT / name for name in re.findall(r"^\| `(evalkit/[^`]+)` \|", section, flags=re.MULTILINE)]


def test_one_sample_can_be_followed_through_six_short_files():
    """Where this fails, move what a first reader need not know into a module of its own."""
    lines = {path.name: len(path.read_text("utf-8").splitlines()) for path in reading_path()}
    assert len(lines) == FILES
    assert sum(lines.values()) < MOST_LINES, lines
