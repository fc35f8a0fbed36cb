"""The text of a config for somebody's own data: commented YAML, as a person would write it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from evalkit.config.schema import DatasetConfig
from evalkit.models.suggested import suggested_entry

HEAD = """\
# {name}: written by `evalkit init`. Every key is explained in docs/reference/config.md.
name: {name}
seed: 7                     # of samples and intervals: the same seed, the same numbers

datasets:
  - {dataset}

models:
"""

MODELS = """\
  # The prompt and the settings that suit each model; `evalkit plan` warns of what a model ignores or rejects.
"""

FLOORS = """\
  # What a model must beat to have understood anything; costs nothing.
  - {name: whole-image, provider: python, function: whole-image}
  - {name: centre-box, provider: python, function: centre-box}

"""

TAIL = """\
limits:
  budget_usd: 5             # the run stops before it costs more, and resumes with a larger one
  max_not_run: 0.02         # the gate refuses a run with more unanswered samples than this share

# For `evalkit gate`: what counts as a regression against a baseline (`evalkit baseline set NAME RUN`).
gate:
  - {metric: giou, max_drop: 0.02}
  - {metric: format_failure_rate, max_rise: 0.02}
"""


def config_text(name: str, dataset: DatasetConfig, models: Sequence[str]) -> str:
    """Return the YAML of a run of ``models`` (ids) and the floors on one dataset."""
    given = dataset.model_dump(include={"name", "format", "path", "images"}, exclude_none=True)
    lines = [HEAD.format(name=name, dataset=_flow(given))]
    if models:
        lines.append(MODELS)
        lines += [f"  - {_flow(suggested_entry(model))}\n" for model in models]
    return "".join([*lines, FLOORS, TAIL])


def _flow(value: Any) -> str:
    """Return plain data as YAML's flow style: keys bare, texts quoted where YAML could take them for something else."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, str) and all(part.isalnum() for part in value.replace("-", "x").split(".") if part):
        return value if value[:1].isalpha() and value.lower() not in YAML_WORDS else json.dumps(value)
    return json.dumps(value, ensure_ascii=False)


YAML_WORDS = {"y", "n", "yes", "no", "true", "false", "on", "off", "null"}
