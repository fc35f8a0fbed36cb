"""What of a key is blanked out where, and what of an answer never is."""

from __future__ import annotations

from typing import Any

import pytest

from evalkit.models.google.client import Endpoint

LONG = "AIzaSyD-a-key-of-real-length-0123456789"


def endpoint(secret: str | None) -> Endpoint:
    """Return an endpoint that is never asked."""
    unused: Any = None
    return Endpoint(unused, unused, unused, "http://127.0.0.1:1", secret)


@pytest.mark.parametrize("secret", ["x", "mask", "[", "0", "a-key-of-15-let", None])
def test_a_short_key_destroys_no_answer(secret: str | None) -> None:
    """Bodies are kept as they came."""
    body = '{"text": "[{\\"box_2d\\": [0, 1, 2, 3], \\"mask\\": \\"x\\"}] a-key-of-15-let"}'
    assert endpoint(secret).redact_body(body) == body


def test_an_echoed_key_of_real_length_is_kept_nowhere() -> None:
    """Neither in a body nor in a text of ours."""
    assert endpoint(LONG).redact_body(f"your key is {LONG}.") == "your key is [key]."
    assert endpoint(LONG).redact(f"?key={LONG}&") == "?key=[key]&"


def test_a_short_key_leaves_our_texts_as_a_word_of_its_own() -> None:
    """Letters of other words stay."""
    assert endpoint("x").redact("httpx2.ReadError: bad key x") == "httpx2.ReadError: bad key [key]"
