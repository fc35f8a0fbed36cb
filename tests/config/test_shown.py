"""What of a config is stored and shown: variables as they were written, secrets not at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evalkit.config.schema import RunConfig, load_config
from evalkit.config.shown import is_secret_name, masked_text, secrets_of, shown_address

TEXT = """
name: t
seed: 3
datasets: [{name: d, format: jsonl, path: "${DATA}/x.jsonl"}]
models:
- name: "${LABEL}"
  provider: gemini
  model: gemini-2.5-flash
  base_url: http://user:pass-word@127.0.0.1:9/${TOK}?key=${TOK}&sig=abcdef&alt=json
  generation:
    extra_body: {labels: {team: "${TEAM}"}, api_key: literal-secret, headers: {Authorization: "Bearer abc"}}
- {name: b, provider: gemini, model: "${MODEL}"}
limits: {budget_usd: 5}
"""
VALUES = {"DATA": "/data", "LABEL": "a", "TOK": "tok-secret", "TEAM": "blue", "MODEL": "gemini-2.5-pro"}


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunConfig:
    """Return the config with its variables set."""
    for name, value in VALUES.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "c.yaml").write_text(TEXT, encoding="utf-8")
    return load_config(tmp_path / "c.yaml")


def test_stored_configs_hold_variables_and_no_secret(config: RunConfig) -> None:
    """Values of the environment go back to their names; literals that are secrets are blanked out."""
    stored = config.to_store()
    text = json.dumps(stored)
    for secret in ("tok-secret", "pass-word", "abcdef", "literal-secret", "Bearer", "blue", "/data"):
        assert secret not in text
    assert stored["models"][0]["base_url"] == "http://***:***@127.0.0.1:9/${TOK}?key=${TOK}&sig=***&alt=json"
    assert stored["models"][0]["name"] == "a", "rows carry the name"
    assert stored["models"][1]["model"] == "${MODEL}"
    assert stored["datasets"][0]["path"] == "${DATA}/x.jsonl"


def test_stored_configs_are_read_back(config: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Filled in where the variable is set, as text where it is not; written once more, it is the same."""
    stored = json.loads(json.dumps(config.to_store()))
    again = RunConfig.from_stored(stored)
    assert again.datasets[0].path == "/data/x.jsonl"
    assert again.to_store() == stored
    monkeypatch.delenv("DATA")
    assert RunConfig.from_stored(stored).datasets[0].path == "${DATA}/x.jsonl"
    assert RunConfig.from_stored(stored).to_store() == stored


def test_another_value_of_a_variable_is_seen(
    config: RunConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """By digests of what changes answers; a token of an address may change."""
    before = config.variables()
    assert set(before) == {"${DATA}/x.jsonl", "${MODEL}"}
    monkeypatch.setenv("MODEL", "gemini-3-flash-preview")
    monkeypatch.setenv("TOK", "rotated")
    after = load_config(tmp_path / "c.yaml").variables()
    assert {text for text in before if before[text] != after[text]} == {"${MODEL}"}


def test_the_fingerprint_is_of_real_values(
    config: RunConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The same values written out give the same digest."""
    text = TEXT
    for name, value in VALUES.items():
        text = text.replace("${" + name + "}", value)
    (tmp_path / "plain.yaml").write_text(text, encoding="utf-8")
    assert load_config(tmp_path / "plain.yaml").answers_fingerprint() == config.answers_fingerprint()


@pytest.mark.parametrize(
    "name",
    [
        "key",
        "api_key",
        "apiKey",
        "X-Goog-Api-Key",
        "access_token",
        "sig",
        "X-Amz-Signature",
        "password",
        "%6bey",
        "APIKEY",
    ],
)
def test_names_of_secrets(name: str) -> None:
    """In every spelling."""
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name", ["alt", "keys", "tokens", "max_output_tokens", "monkey", "team", "", "api_key_env"]
)
def test_other_names(name: str) -> None:
    """Words that only hold one of them."""
    assert not is_secret_name(name)


def test_addresses_in_texts() -> None:
    """Wherever in an error one stands."""
    said = "GET 'https://u:p@h/x?a=1&token=t' failed at https://tok@g/y, see s3://b/k"
    assert (
        masked_text(said) == "GET 'https://***:***@h/x?a=1&token=***' failed at https://***@g/y, see s3://b/k"
    )


def test_endpoints_are_told_apart_without_their_secrets() -> None:
    """By host and port in clear, by a digest of what a variable brought in behind them."""
    one, two = (shown_address(f"http://h:1/v/{token}", "http://h:1/v/${TOK}") for token in ("one", "two"))
    assert one != two
    assert one.startswith("http://h:1/v/*** [")
    assert shown_address("http://h:1", "${URL}") == "http://h:1"
    assert shown_address("http://h:1/v/one", None) == "http://h:1/v/one"
    assert "one" in secrets_of("http://u:pw@h:1/v/one?key=k", "http://u:pw@h:1/v/${TOK}?key=k")
    assert {"u", "pw", "k"} <= set(secrets_of("http://u:pw@h:1/v?key=k", None))
