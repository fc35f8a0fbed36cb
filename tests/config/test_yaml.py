"""YAML with lines: the traps of YAML 1.1, duplicate keys, variables."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.config.yaml import parse_yaml, read_yaml
from evalkit.errors import ConfigError


def data(text, **environment):
    source = parse_yaml(text, "x.yaml", environment)
    source.raise_problems()
    return source.data


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("1e-4", 1e-4),
        ("010", 10),
        ("12:30", "12:30"),
        ("on", "on"),
        ("~", None),
        ("true", True),
    ],
)
def test_scalars_follow_yaml_1_2(text, value):
    """The famous surprises of YAML 1.1 are absent."""
    assert data(f"key: {text}") == {"key": value}


def test_duplicate_keys_are_reported_with_both_lines():
    """A key that stands twice is an error that names both lines, not last-one-wins."""
    with pytest.raises(ConfigError, match=r"x.yaml:3: the key 'a' stands twice \(first on line 1\)"):
        data("a: 1\nb: 2\na: 3\n")


def test_variables_come_from_the_environment_with_defaults():
    """${VAR} and ${VAR:-default} are filled in, inside longer texts too."""
    assert data("p: ${A}/x\nq: ${B:-y}\nr: ${B:-}", A="/data") == {"p": "/data/x", "q": "y", "r": ""}


def test_an_unset_variable_names_its_line_and_the_way_out():
    """An unset variable without a default is an error at its line."""
    with pytest.raises(ConfigError, match=r"x.yaml:2: the environment variable ROOT_DIR is not set: export"):
        data("a: 1\nb: ${ROOT_DIR}")


def test_invalid_yaml_names_its_line():
    """A syntax error is one line with the place, not a traceback."""
    with pytest.raises(ConfigError, match=r"x.yaml:2: not valid YAML"):
        data("a: [1, 2\nb: 3")


def test_a_folder_is_not_taken_for_a_missing_file(tmp_path):
    """A config that is a folder is said to be one."""
    with pytest.raises(ConfigError, match=r"cannot be read \(is a directory\)"):
        read_yaml(tmp_path)


def test_missing_file_is_a_config_error(tmp_path):
    """A file that is not there is said in one sentence."""
    with pytest.raises(ConfigError, match="there is no such file"):
        read_yaml(tmp_path / "none.yaml")


def test_binary_file_is_a_config_error(tmp_path):
    """A PNG given as a config is refused as not being text."""
    path = tmp_path / "x.yaml"
    path.write_bytes(b"\x89PNG\r\n\x1a\n\xff\xfe")
    with pytest.raises(ConfigError):
        read_yaml(path)


def test_anchors_and_merge_keys_work():
    """Anchors and merge keys are read, the key beside a merge wins."""
    text = "base: &b {x: 1, y: 2}\nmodel:\n  <<: *b\n  y: 3\n"
    assert data(text)["model"] == {"x": 1, "y": 3}


@given(
    st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), st.integers() | st.booleans(), max_size=6)
)
def test_plain_mappings_come_back_as_written(mapping):
    """Whatever JSON-like mapping is written comes back the same."""
    import json

    assert (data(json.dumps(mapping)) or {}) == mapping


HOSTILE = {
    "a tag": ("a: !include other.yaml\n", "a.yaml:1: the tag !include"),
    "bytes": ("a: !!binary aGVsbG8=\n", "a.yaml:1: the tag !!binary"),
    "a Python object": ("a:\n  b: !!python/object:os.system {}\n", "a.yaml:2: the tag !!python"),
    "deep lists": ("a: " + "[" * 5000 + "]" * 5000, "nested too deeply"),
    "deep mappings": ("{a: " * 3000 + "1" + "}" * 3000, "nested too deeply"),
    "an alias of itself": ("a: &x\n  b: *x\n", "an alias holds itself"),
    "aliases of aliases": (
        "a0: &a0 [1, 1]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40)),
        "unfold to more than 100,000 values",
    ),
    "a list as key": ("? [a, b]\n: 1\n", "a.yaml:1: a key must be text"),
    "a merge of a list": ("a: &x [1]\nb:\n  <<: [*x]\n", "'<<' merges mappings"),
    "a merge of text": ("b:\n  <<: text\n", "a.yaml:2: '<<' merges mappings"),
    "a number of 10,000 digits": ("a: " + "9" * 10_000, "a.yaml:1: the value"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_no_config_holds_is_one_complaint_with_its_line(name):
    """Never a traceback, never a minute of work."""
    text, words = HOSTILE[name]
    with pytest.raises(ConfigError, match=re.escape(words)):
        parse_yaml(text, "a.yaml").raise_problems()


def test_merged_keys_are_those_of_the_mapping_that_brings_them():
    """A key of its own goes before a merged one; of several merged mappings the first counts."""
    text = "a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\nc:\n  <<: [*a, *b]\n  x: 0\n"
    assert parse_yaml(text, "a.yaml").data["c"] == {"x": 0, "y": 1, "z": 2}


def test_what_stood_in_the_file_is_kept_beside_the_value():
    """A value from the environment can be written back as the variable that it came from."""
    source = parse_yaml("a:\n  - b: x${TOKEN}y\n    c: plain\n", "a.yaml", {"TOKEN": "secret"})
    assert source.data == {"a": [{"b": "xsecrety", "c": "plain"}]}
    assert source.written == {("a", 0, "b"): "x${TOKEN}y"}
