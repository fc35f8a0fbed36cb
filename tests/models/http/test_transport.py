"""What of a key is blanked out where, and what of an answer never is."""

from __future__ import annotations

from pathlib import Path

import pytest

from evalkit.errors import ConfigError
from evalkit.models.http.transport import Secrets, trusted_certificates

LONG = "AIzaSyD-a-key-of-real-length-0123456789"


def secrets_with(secret: str | None) -> Secrets:
    """Return the secrets of an endpoint with this key."""
    return Secrets(secret)


@pytest.mark.parametrize("secret", ["x", "mask", "[", "0", "a-key-of-15-let", None])
def test_a_short_key_destroys_no_answer(secret: str | None) -> None:
    """Bodies are kept as they came."""
    body = '{"text": "[{\\"box_2d\\": [0, 1, 2, 3], \\"mask\\": \\"x\\"}] a-key-of-15-let"}'
    assert secrets_with(secret).redact_body(body) == body


def test_an_echoed_key_of_real_length_is_kept_nowhere() -> None:
    """Neither in a body nor in a text of ours."""
    assert secrets_with(LONG).redact_body(f"your key is {LONG}.") == "your key is [key]."
    assert secrets_with(LONG).redact(f"?key={LONG}&") == "?key=[key]&"


def test_a_short_key_leaves_our_texts_as_a_word_of_its_own() -> None:
    """Letters of other words stay."""
    assert secrets_with("x").redact("httpx2.ReadError: bad key x") == "httpx2.ReadError: bad key [key]"


@pytest.mark.parametrize("content", [None, b"", b"no certificate", b"\xff\xfe"])
def test_certificates_that_cannot_be_read_are_named(
    content: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the variable that names them."""
    path = tmp_path / "own.pem"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    with pytest.raises(ConfigError, match=r"SSL_CERT_FILE=.*own\.pem"):
        trusted_certificates()
