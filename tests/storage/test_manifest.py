"""manifest.json and summary.json as records: written as they were read, and refused with the field at fault."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from evalkit.errors import DataError
from evalkit.storage.manifest import BEGUN, Manifest, read_manifest
from evalkit.storage.run_folder import RunFolder
from evalkit.storage.summary import Summary

CONFIG = {"name": "nightly", "models": [{"name": "a"}], "datasets": [{"name": "d"}]}
WHOLE = {
    "name": "nightly",
    "evalkit": "0.1.0",
    "status": "complete",
    "simulated": False,
    "answers_fingerprint": "f" * 64,
    "seed": 7,
    "started_at": "2026-11-25T08:43:38+00:00",
    "finished_at": None,
    "sessions": [{"started_at": "2026-11-25T08:43:38+00:00", "evalkit": "0.1.0"}],
    "config": CONFIG,
    "models": ["a"],
    "limit": None,
    "datasets": {"d": {"sha256": "0" * 64, "samples": 3, "images": 1}},
    "versions": {"python": "3.11.7"},
    "incomplete": [],
    "stopped": [],
    "counts": {"samples": 3, "attempts": 3, "answered": 3},
    "scored_at": "2026-11-25T08:43:43+00:00",
}
SUMMARY = {
    "evalkit": "0.1.0",
    "run": "nightly",
    "status": "complete",
    "simulated": False,
    "routed": [],
    "unasked_thinking": [],
    "results": [{"model": "a", "dataset": "d", "slice": "all", "giou": None}],
}
PATH = Path("runs/nightly/manifest.json")


def text(data):
    """Return the file's text; the order of keys counts."""
    return json.dumps(data, indent=2)


@pytest.mark.parametrize(
    "data",
    [
        WHOLE,
        dict(reversed(WHOLE.items())),
        {"config": CONFIG},
        {"config": CONFIG, "datasets": [{"name": "d", "sha256": "1"}]},
        {"written_by": {"tool": "another", "since": [1, 2]}, **WHOLE, "note": "kept"},
    ],
    ids=["whole", "another order", "least", "datasets as a list", "unknown fields"],
)
def test_what_is_read_is_written_byte_for_byte(data):
    """Order, absent fields and unknown ones survive a rewrite."""
    assert text(Manifest.from_json(data, PATH).to_json()) == text(data)


def test_a_changed_field_keeps_its_place_and_a_new_one_comes_last():
    """A re-scored copy differs from its source in the fields that were changed alone."""
    copy = replace(Manifest.from_json(WHOLE, PATH), ledger="../a/responses.sqlite", status="partial")
    assert text(copy.to_json()) == text(WHOLE | {"status": "partial", "ledger": "../a/responses.sqlite"})


def test_a_run_that_begins_has_every_key_that_is_known_then():
    """`limit` and `finished_at` are null, what only the end knows is absent."""
    assert tuple(Manifest(name="n", config=CONFIG).to_json()) == BEGUN


def test_a_record_cannot_be_changed_in_place():
    """Changing it is making the next one."""
    with pytest.raises(AttributeError):
        Manifest.from_json(WHOLE, PATH).status = "complete"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seed": "7"}, "`seed` must be a whole number, found '7'"),
        ({"seed": True}, "`seed` must be a whole number, found True"),
        ({"simulated": "no"}, "`simulated` must be true or false, found 'no'"),
        ({"status": 3}, "`status` must be text, found 3"),
        ({"status": "done"}, "`status` must be `partial` or `complete`, found 'done'"),
        ({"models": "a"}, "`models` must be a list, found 'a'"),
        ({"models": ["a", 2]}, "`models[1]` must be text, found 2"),
        ({"config": None}, "`config` is missing"),
        ({"config": {"name": "x"}}, "`config.models` is missing"),
        ({"config": {"models": [{"provider": "gemini"}]}}, "`config.models[0].name` is missing"),
        ({"config": CONFIG | {"limits": 5}}, "`config.limits` must be an object, found 5"),
        ({"config": CONFIG | {"gate": [1]}}, "`config.gate[0]` must be an object, found 1"),
        ({"datasets": ["d"]}, "`datasets[0]` must be an object, found 'd'"),
        ({"counts": []}, "`counts` must be an object, found []"),
        ({"ledger": ["x"]}, "`ledger` must be text, found ['x']"),
    ],
)
def test_a_damaged_field_is_named(changes, words):
    """The error says the file, the field, the rule, the value and the way out."""
    with pytest.raises(DataError) as caught:
        Manifest.from_json(WHOLE | changes, PATH)
    told = str(caught.value)
    assert told.startswith(f"{PATH}: the field {words}")
    assert "restore it from a copy" in told


def one_result(**changes):
    """Return the change to a summary whose only result holds ``changes``."""
    return {"results": [{"model": "a", "dataset": "d", "slice": "all", **changes}]}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"results": None}, "`results` is missing"),
        ({"results": {"a": 1}}, "`results` must be a list"),
        ({"results": [{"model": "a", "slice": "all"}]}, "`results[0].dataset` is missing"),
        ({"simulated": 0}, "`simulated` must be true or false, found 0"),
        ({"routed": ["a"]}, "`routed[0]` must be an object, found 'a'"),
        ({"status": "done"}, "`status` must be `partial` or `complete`, found 'done'"),
        (one_result(giou="high"), "`results[0].giou` must be a number, found 'high'"),
        (one_result(giou={"value": 0.5, "high": 0.6}), "`results[0].giou.low` must be a number, found None"),
        (
            one_result(giou={"value": 7.0, "low": 0, "high": 1}),
            "`results[0].giou.value` must be a share in 0..1",
        ),
        (
            one_result(precision_at={"0.5": True}),
            "`results[0].precision_at.0.5` must be a number, found True",
        ),
        (one_result(n="100"), "`results[0].n` must be a whole number, found '100'"),
        (one_result(failures=[1]), "`results[0].failures` must be an object, found [1]"),
        (
            one_result(failures={"no_json": "1"}),
            "`results[0].failures.no_json` must be a whole number, found '1'",
        ),
    ],
)
def test_a_damaged_summary_is_named_with_the_command_that_writes_it_anew(changes, words):
    """Scores are made from stored answers, so a summary is never lost."""
    path = Path("runs/nightly/summary.json")
    with pytest.raises(DataError) as caught:
        Summary.from_json(SUMMARY | changes, path)
    assert str(caught.value).startswith(f"{path}: the field {words}")
    assert "`evalkit score runs/nightly` writes the file anew" in str(caught.value)


def test_a_summary_is_written_as_it_was_read():
    """Unknown fields and their order too."""
    data = {"made_by": "another tool", **SUMMARY}
    assert text(Summary.from_json(data, PATH).to_json()) == text(data)


def test_a_run_without_a_name_is_called_as_its_config_or_its_folder(tmp_path):
    """Folders of other tools need not repeat the name."""
    assert Manifest.from_json({"config": CONFIG}, PATH).name == "nightly"
    (tmp_path / "tuesday").mkdir()
    (tmp_path / "tuesday" / "manifest.json").write_text('{"config": {"models": []}}')
    assert read_manifest(tmp_path / "tuesday").name == "tuesday"


def test_a_run_of_another_versions_config_says_which_field_is_not_known(tmp_path):
    """The config inside is checked when the run is scored: one error, no traceback of the schema."""
    (tmp_path / "manifest.json").write_text(json.dumps(WHOLE))
    with pytest.raises(DataError, match=r"`config\.\S+`.*made by evalkit 0\.1\.0"):
        RunFolder(tmp_path).config()


@pytest.mark.parametrize("content", ["", "[]", '{"seed": NaN}', '{"a": ' + "[" * 100_000, '"\\ud800', "\0"])
def test_a_file_that_holds_no_object_is_a_data_error(tmp_path, content):
    """Half a file, a constant that JSON does not have, endless brackets: none ends in a traceback."""
    (tmp_path / "manifest.json").write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=r"manifest\.json"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    ("config", "named"),
    [
        (
            {"models": [{"name": "a", "price": {"input_usd_per_million": "cheap"}}]},
            "models[0].price.input_usd_per_million",
        ),
        ({"models": [{"name": "a", "price": {"image_usd": -1}}]}, "models[0].price.image_usd"),
        ({"models": [{"name": "a", "prompt": 5}]}, "models[0].prompt"),
        ({"models": [{"name": "a", "prompt": {"text": 5}}]}, "models[0].prompt.text"),
        (
            {"models": [{"name": "a", "generation": {"temperature": "hot"}}]},
            "models[0].generation.temperature",
        ),
        ({"decode": {"threshold": "high"}}, "decode.threshold"),
        ({"decode": {"threshold": 300}}, "decode.threshold"),
        ({"limits": {"max_not_run": 7}}, "limits.max_not_run"),
    ],
)
def test_a_section_of_the_config_that_cannot_be_is_named(config, named):
    """Every reader of a manifest finds it, those that do not take the whole config included."""
    with pytest.raises(DataError) as raised:
        Manifest.from_json(WHOLE | {"config": CONFIG | config}, PATH)
    assert f"`config.{named}`" in str(raised.value)


def test_keys_of_another_version_are_let_through():
    """A config was written by the evalkit of its day."""
    config = CONFIG | {"decode": {"threshold": 100, "of_tomorrow": 1}}
    assert Manifest.from_json(WHOLE | {"config": config}, PATH).config == config


@pytest.mark.parametrize("key", ["started_at", "finished_at", "scored_at"])
def test_a_time_that_is_none_is_named(key):
    """Runs are put in order by it."""
    with pytest.raises(DataError, match=f"`{key}` must be a date and time"):
        Manifest.from_json(WHOLE | {key: "last week"}, PATH)
