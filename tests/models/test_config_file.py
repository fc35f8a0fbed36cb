"""Names in a config that nothing has: all told together with the rest, each at its line."""

import re

import pytest

from evalkit.errors import ConfigError
from evalkit.models.config_file import load_run_config

CONFIG = """name: bad
datasets:
  - {name: everydya}
  - {name: a, format: jsnl, path: x.jsonl, protocol: lsia}
  - {name: a, format: "mine.formats:load", path: x.jsonl}
models:
  - {name: m, provider: gemini, model: gemini-3.8-flash, prompt: polygn, max_sides: 3}
  - {name: m, provider: python, function: whole-imag}
  - {name: n, provider: gemini, model: gemini-3.8-flash, prompt: own}
  - {name: o, provider: gemini, model: gemini-3.8-flash, prompt: "Find {expression}"}
prompts:
  own: {text: "Outline {expression}"}
score: {protocol: rala}
limits: {budget_usd: lots}
"""

WANTED = {
    3: "dataset 'everydya' is no card.*Did you mean 'everyday'",
    4: "no format 'jsnl'. Did you mean 'jsonl'.*|no protocol 'lsia'. Did you mean 'lisa'",
    5: "two datasets are called 'a'",
    7: "no prompt 'polygn'. Did you mean 'polygon'|unknown key 'max_sides'",
    8: "no function 'whole-imag'. Did you mean 'whole-image'|two models are called 'm'",
    13: "no protocol 'rala'. Did you mean 'rela'",
    14: "limits.budget_usd",
}


def test_every_wrong_name_is_told_at_its_line_with_the_rest(tmp_path):
    """Nine faults, one error; names of one's own and prompts of the file are none."""
    path = tmp_path / "bad.yaml"
    path.write_text(CONFIG)
    with pytest.raises(ConfigError) as caught:
        load_run_config(path)
    said = str(caught.value).splitlines()
    assert [int(line.split(":")[1]) for line in said] == [3, 4, 4, 5, 7, 7, 8, 8, 13, 14]
    for line in said:
        assert re.search(WANTED[int(line.split(":")[1])], line), line


def test_a_tab_is_called_a_tab(tmp_path):
    """YAML's own words name a token that cannot start."""
    path = tmp_path / "tab.yaml"
    path.write_text("name: t\ndatasets:\n\t- {name: everyday}\n")
    with pytest.raises(ConfigError, match="tab.yaml:3: .*indent with spaces"):
        load_run_config(path)
