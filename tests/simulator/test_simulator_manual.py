"""The manual page names every persona, fault, setting and selector, and its examples are valid."""

import re
from pathlib import Path

import pytest

from evalkit.config.yaml import parse_yaml
from evalkit.simulator import faults
from evalkit.simulator.personas import PERSONAS

MANUAL = Path(__file__).parents[2] / "docs" / "simulator.md"


@pytest.mark.parametrize(
    "name",
    sorted(
        {*PERSONAS, *faults.KINDS, *faults.SELECTORS, *faults.OPERATIONS} - {"per"}
        | {setting for kind in faults.KINDS.values() for setting in kind}
    ),
)
def test_the_manual_names(name):
    """Each name stands in the page as code."""
    assert re.search(rf"`{re.escape(name)}[`:]", MANUAL.read_text())


def test_the_manuals_faults_are_valid():
    """The YAML block passes the check that fault files pass."""
    block = re.search(r"```yaml\n(.*?)```", MANUAL.read_text(), re.DOTALL)[1]
    entries = parse_yaml(block, "manual").data
    assert len(entries) == 5
    for number, entry in enumerate(entries, start=1):
        faults.check_fault(entry, number)
