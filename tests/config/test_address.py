"""Addresses of endpoints: which are taken, which are refused before anything is sent, and what is said of them."""

from __future__ import annotations

from pathlib import Path

import httpx2
import pytest
import yarl

from evalkit.config.address import fault_of_address
from evalkit.config.schema import RunConfig, load_config
from evalkit.errors import ConfigError

USABLE = [
    "http://127.0.0.1:8080/persona/x",
    "https://generativelanguage.googleapis.com/",
    "HTTPS://Host.example",
    "http://u:p@h/",
    "http://[::1]:9/path?key=1&alt=json",
    "http://my_service.internal.:80",
    "https://xn--bcher-kva.example/",
]
UNUSABLE = [
    *("http://[bad", "http://bad]", "http://[::1", "http://[v1.x]/", "http://[::1%25eth0]/", "http://::1/"),
    *("localhost:80", "ftp://x/y", "//h/x", "http:h", "http:/h", "h", "", "file:///etc/passwd"),
    *(
        "http://a b/c",
        " http://h",
        "http://h\n/",
        "http://h/\t",
        "http://h\0x/",
        "http://h/\ud800",
        "http://h\\x/",
    ),
    *("http://h:99999/", "http://h:0/", "http://h:/", "http://h:abc", "http://h:-1/", "http://h:\u0661/"),
    *(
        "http://",
        "http:///x",
        "http://u:p@/",
        "http://a..b/",
        "http://-a/",
        "http://1.2.3/",
        "http://256.1.1.1/",
    ),
    *("http://h/#x", "http://a@b@h/", "http://bücher.example/", f"http://{'x' * 64}/", "http://xn--/"),
]


@pytest.mark.parametrize("address", USABLE)
def test_an_address_that_is_taken_is_read_alike_by_the_clients(address: str) -> None:
    """What is accepted here ends in no exception of theirs, and at one host."""
    assert fault_of_address(address) is None
    assert (
        yarl.URL(address).raw_host.rstrip(".").lower()
        == httpx2.URL(address).raw_host.decode().rstrip(".").lower()
    )


@pytest.mark.parametrize("address", UNUSABLE)
@pytest.mark.parametrize("provider", ["gemini", "gemini-batch", "vertex-segmentation"])
def test_an_address_that_is_none_is_refused_with_its_line(
    tmp_path: Path, address: str, provider: str
) -> None:
    """Every provider that has the key refuses the same values."""
    model = {"name": "a", "provider": provider, "model": "m"}
    with pytest.raises(
        ConfigError, match=r"c\.yaml:4: models\.0\.base_url is .* Write one such as https://host/"
    ):
        load_config(_written(tmp_path, model, _quoted(address)))


@pytest.mark.parametrize(
    "address",
    [
        "user:pass-word@h x",
        "http://user:pass-word@h x/",
        "http://h:abc/?key=pass-word",
        "http://a@pass-word@h",
    ],
)
def test_a_refused_address_is_shown_without_what_may_be_secret(tmp_path: Path, address: str) -> None:
    """User, password and query are blanked out, whatever else is wrong."""
    with pytest.raises(ConfigError) as caught:
        load_config(_written(tmp_path, {"name": "a", "provider": "gemini", "model": "m"}, _quoted(address)))
    assert "pass-word" not in str(caught.value)


def test_a_value_of_the_environment_is_shown_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a variable holds stands in no complaint, here or at another key."""
    monkeypatch.setenv("PLACE", "pass-word")
    model = {"name": "a", "provider": "gemini", "model": "m"}
    with pytest.raises(ConfigError, match=r"is '\$\{PLACE\}'") as caught:
        load_config(_written(tmp_path, model, "${PLACE}"))
    assert "pass-word" not in str(caught.value)
    with pytest.raises(ConfigError, match=r"got '\$\{PLACE\}'") as caught:
        load_config(_written(tmp_path, model | {"vertexai": "${PLACE}"}, "http://h"))
    assert "pass-word" not in str(caught.value)


@pytest.mark.parametrize(
    "address", ["${PLACE}", "http://${HOST}:${PORT}/${TOK}", "http://[${HOST}]/", "http://***:***@h/"]
)
def test_a_stored_config_is_read_without_its_variables(address: str) -> None:
    """A folder is scored and shown where the variables of its run are not set."""
    model = {"name": "a", "provider": "gemini", "model": "m", "base_url": address}
    stored = {"name": "x", "datasets": [{"name": "everyday"}], "models": [model]}
    assert RunConfig.from_stored(stored).to_store()["models"][0]["base_url"] == address


def _quoted(text: str) -> str:
    return '"' + "".join(f"\\x{ord(c):02x}" if ord(c) < 256 else f"\\u{ord(c):04x}" for c in text) + '"'


def _written(folder: Path, model: dict[str, str], address: str) -> Path:
    entry = ", ".join(f'{key}: "{value}"' for key, value in model.items())
    path = folder / "c.yaml"
    path.write_text(
        f"name: x\ndatasets: [{{name: everyday}}]\nmodels:\n- {{base_url: {address if address[0] == chr(34) else repr(address)}, {entry}}}\n",
        encoding="utf-8",
    )
    return path
