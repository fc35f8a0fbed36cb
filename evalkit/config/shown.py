"""What of a config is stored and shown: variables as ``${NAME}``, secrets as ``***``. Pure.

Secrets are the ``user:password`` of an address, values of its query whose name says so (``key``, ``token``, ``sig``,
...), and such members of ``extra_body``, of headers and of ``dask``.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from evalkit.config.yaml import VARIABLE, KeyPath

HIDDEN = "***"

LEAST_KEY_CHARACTERS = 16
"""From here on a key is one that cannot be a part of a text by chance (Google's have 39)."""

SECRET_WORDS = frozenset(
    [
        *("key", "token", "secret", "password", "passwd", "pwd", "passphrase", "sig", "signature", "auth"),
        *("authorization", "credential", "credentials", "cookie", "apikey", "accesstoken", "bearer"),
    ]
)
"""How the name of a secret ends: `api_key`, `X-Goog-Signature`, `accessToken`."""

OPEN_MAPPINGS = frozenset(["extra_body", "headers", "extra_headers", "http_headers", "dask"])
"""Keys of a config whose members are not evalkit's own, so that any of them may be a secret."""

USER_INFO = re.compile(r"(?<=://)[^/\s?#\"']*@")
QUERY_VALUE = re.compile(r"(?<=[?&;#])([^=&;#?\s]+)=([^&;#\s\"']*)")


def is_secret_name(name: str) -> bool:
    """Tell whether a key's or a query parameter's name ends in a word for a secret."""
    words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", unquote(name))
    return bool(words) and (words[-1].lower() in SECRET_WORDS or "".join(words).lower() in SECRET_WORDS)


def masked_text(text: str) -> str:
    """Return a text with the secrets of every address in it blanked out; ``${NAME}`` stays."""
    if "://" not in text:
        return text
    text = USER_INFO.sub(lambda found: f"{_masked_user(found.group()[:-1])}@", text)
    return QUERY_VALUE.sub(
        lambda found: (
            f"{found.group(1)}={HIDDEN}"
            if is_secret_name(found.group(1)) and not _is_variable(found.group(2))
            else found.group()
        ),
        text,
    )


def without_secrets(text: str, environment: Mapping[str, str]) -> str:
    """Return somebody else's text without the environment's secrets, told by their variables' names, and addresses'."""
    for name, value in environment.items():
        if len(value) >= LEAST_KEY_CHARACTERS and is_secret_name(name):
            text = text.replace(value, f"${{{name}}}")
    return masked_text(text)


def _masked_user(user_info: str) -> str:
    user, colon, password = user_info.partition(":")
    shown_user = user if _is_variable(user) else HIDDEN
    if not colon:
        return shown_user
    return f"{shown_user}:{password if _is_variable(password) else HIDDEN}"


def _is_variable(text: str) -> bool:
    match = VARIABLE.fullmatch(text)
    return match is not None and match.group(2) is None


def masked(value: Any, *, own: bool = True) -> Any:
    """Return plain data with its secrets blanked out; ``own``: whether evalkit knows what each key means."""
    if isinstance(value, str):
        return masked_text(value)
    if isinstance(value, list):
        return [masked(item, own=own) for item in value]
    if not isinstance(value, Mapping):
        return value
    return {
        key: HIDDEN
        if not own and is_secret_name(str(key)) and _holds_text(inner)
        else masked(inner, own=own and str(key) not in OPEN_MAPPINGS)
        for key, inner in value.items()
    }


def _holds_text(value: Any) -> bool:
    if isinstance(value, str):
        return not _is_variable(value)
    return isinstance(value, int | float) and not isinstance(value, bool)


def value_at(data: Any, path: KeyPath) -> Any:
    """Return what stands at ``path`` in plain data, None where nothing does."""
    for part in path:
        if isinstance(data, Mapping) or (
            isinstance(data, list) and isinstance(part, int) and part < len(data)
        ):
            data = data.get(part) if isinstance(data, Mapping) else data[int(part)]
        else:
            return None
    return data


def with_variables(data: Any, written: Mapping[KeyPath, str]) -> Any:
    """Return plain data with the texts of ``written`` at their places."""
    if () in written:
        return written[()]
    below: dict[str | int, dict[KeyPath, str]] = {}
    for path, text in written.items():
        below.setdefault(path[0], {})[path[1:]] = text
    if isinstance(data, Mapping):
        return {key: with_variables(value, below.get(key, {})) for key, value in data.items()}
    if isinstance(data, list):
        return [with_variables(value, below.get(place, {})) for place, value in enumerate(data)]
    return data


def expanded(data: Any, environment: Mapping[str, str]) -> tuple[Any, dict[KeyPath, str]]:
    """Return stored data with ``${NAME}`` filled in where it is set or has a default, and the texts that held one."""
    written: dict[KeyPath, str] = {}

    def fill(value: Any, path: KeyPath) -> Any:
        if isinstance(value, Mapping):
            return {key: fill(inner, (*path, key)) for key, inner in value.items()}
        if isinstance(value, list):
            return [fill(inner, (*path, place)) for place, inner in enumerate(value)]
        if not isinstance(value, str) or VARIABLE.search(value) is None:
            return value
        written[path] = value
        return VARIABLE.sub(
            lambda match: environment.get(match.group(1), match.group(2)) or match.group(), value
        )

    return fill(data, ()), written


def shown_address(url: str, written: str | None) -> str:
    """Return an address for messages and for telling endpoints apart, without its secrets.

    ``written``: how it stands in the config where variables were filled in. What they brought in behind the host is
    ``***``, with a digest, as two endpoints may differ in it alone.
    """
    if written is None:
        return masked_text(url)
    head, rest = _at_the_host(masked_text(url))
    literal = _literal_parts(written)
    shown = "".join(
        part if part in literal or part in "/?&;#=" or part == HIDDEN else HIDDEN
        for part in re.split(r"([/?&;#=])", rest)
    )
    if shown == rest:
        return f"{head}{rest}"
    return f"{head}{shown} [{digest_of(rest)}]"


def _literal_parts(written: str) -> set[str]:
    """Return the parts of an address that stand in the config as they are; a secret is none of them."""
    return set(re.split(r"[/?&;#=]", VARIABLE.sub("/", masked_text(written))))


def secrets_of(url: str | None, written: str | None) -> tuple[str, ...]:
    """Return the texts of an address that no message may hold, the longest first."""
    if url is None:
        return ()
    split = urlsplit(url)
    user_info = split.netloc.rpartition("@")[0]
    found = {part for part in (user_info, *user_info.split(":", 1)) if part}
    found |= {match.group(2) for match in QUERY_VALUE.finditer(url) if is_secret_name(match.group(1))}
    if written is not None:
        literal = _literal_parts(written)
        found |= {part for part in re.split(r"[/?&;#=]", _at_the_host(url)[1]) if part not in literal}
    found |= {unquote(part) for part in found}
    return tuple(sorted((part for part in found if part), key=len, reverse=True))


def _at_the_host(url: str) -> tuple[str, str]:
    """Return an address up to the end of its host and port, and the rest."""
    match = re.match(r"[^:/?#]*://[^/?#]*", url)
    end = match.end() if match else 0
    return url[:end], url[end:]


def digest_of(text: str) -> str:
    """Return a short digest, for telling whether a value that is not stored has changed."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]
