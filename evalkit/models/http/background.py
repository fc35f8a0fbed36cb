"""What the stored answers of an HTTP service depend on besides the config and the sample. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from evalkit.config.shown import masked


def request_background(
    settings: Mapping[str, Any], extra_body: Mapping[str, Any] | None, examples: Sequence[Any]
) -> dict[str, str]:
    """Return digests of what every request holds besides its question: settings with the schema, and examples.

    The config is compared before; this sees what the config only names (a shipped prompt's schema, a variable, a file).
    Whether the service keeps requests (``store``) changes no answer, nor does a secret.
    """
    kept = {key: value for key, value in settings.items() if key != "store"}
    facts = {"request settings": _digest([kept, masked({"extra_body": extra_body or {}})])}
    if examples:
        facts["examples"] = _digest(examples)
    return facts


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
