"""Raw bodies as text: what no file can hold is replaced, everything else is kept."""

from __future__ import annotations

import json

import pytest

from evalkit.models.bodies import read_text_body
from evalkit.models.google.bodies import read_gemini_body


def body_of(*texts: str) -> str:
    """Return a ``generateContent`` body of these text parts."""
    return json.dumps({"candidates": [{"content": {"parts": [{"text": text} for text in texts]}}]})


@pytest.mark.parametrize(
    ("texts", "read"),
    [
        (("a \ud83d\ude00 b",), "a \U0001f600 b"),
        (("a \ud83d", "\ude00 b"), "a \U0001f600 b"),
        (("cut off \ud83d",), "cut off \ufffd"),
        (("plain ünï",), "plain ünï"),
    ],
)
def test_half_a_character_does_not_reach_a_file(texts: tuple[str, ...], read: str) -> None:
    """A limit can cut an emoji's escape in two; the text can be written all the same, the body is kept."""
    response = read_gemini_body(body_of(*texts))
    assert response.text == read
    assert response.text.encode("utf-8")
    assert response.body == body_of(*texts)


def test_a_functions_text_can_be_written() -> None:
    """A function may return half a character as well."""
    assert read_text_body("x \ud800").text == "x \ufffd"
