"""Two models side by side on the samples that both answered, and what differs in how they were asked.

A comparison is only of rows with the same dataset, sample and trial that both sides answered:
rows that were not run or whose data was at fault stand outside. Two runs may have been decoded,
prompted or sampled differently: ``setting_differences`` lists all of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from evalkit.errors import ConfigError, DataError, nearest
from evalkit.metrics.names import answered_rows
from evalkit.metrics.protocol_numbers import COLUMN as PROTOCOL_COLUMN
from evalkit.storage.run_folder import RunFolder

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from evalkit.storage.manifest import Manifest
    from evalkit.storage.summary import Summary

KEYS = ["dataset", "sample_id", "trial"]
"""What makes two rows the same question."""

MUST_AGREE = ["expression", "no_target", "gt_area"]
"""Columns of the question itself: where they differ the ground truth is another one."""


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """One model of one run. ``label`` names it in a comparison; ``config`` is its entry in the YAML.

    ``summary``: of its run, with the results of every model.
    """

    label: str
    model: str
    run: str
    path: str
    manifest: Manifest
    config: Mapping[str, Any]
    rows: pd.DataFrame
    summary: Summary

    def describe(self) -> dict[str, Any]:
        """Return what identifies this side, as JSON data."""
        return {
            "label": self.label,
            "model": self.model,
            "run": self.run,
            "path": self.path,
            "status": self.manifest.status,
            "simulated": self.manifest.simulated,
            "started_at": self.manifest.started_at,
        }


@dataclass(frozen=True, slots=True)
class SettingDifference:
    """One setting in which the two sides differ; ``kind``: dataset, decode, score, prompt, image, ..."""

    kind: str
    setting: str
    a: Any
    b: Any

    def words(self) -> str:
        """Return one line for people."""
        return f"{self.setting}: {_short(self.a)} against {_short(self.b)}"


def read_sides(folders: Sequence[RunFolder]) -> list[list[Side]]:
    """Return the sides of each run; with two runs each is labelled ``model @ run``."""
    labels = [None] if len(folders) == 1 else _run_labels(folders[0], folders[1])
    return [run_sides(folder, label) for folder, label in zip(folders, labels, strict=True)]


def pairs_of(
    runs: Sequence[Sequence[Side]], folders: Sequence[RunFolder], names: Sequence[str] | None = None
) -> list[tuple[Side, Side]]:
    """Return the pairs to compare, each (first, second): differences are second minus first.

    One run: all pairs of its models, or the two ``names``. Two runs: every model that both have,
    or ``names[0]`` of the first against ``names[1]`` of the second. Raises ``ConfigError``
    where there is no such model or nothing to pair.
    """
    found = [{side.model: side for side in run} for run in runs]
    if len(folders) > 1:
        return _pairs_of_runs(found[0], found[1], folders, names)
    sides = found[0]
    chosen = [_pick(sides, name, folders[0]) for name in names or sides]
    if len(chosen) < 2:
        raise ConfigError(
            f"{folders[0].path} holds one model ({', '.join(sides)}): nothing to compare it with. "
            "Give a second run: `evalkit compare RUN RUN`"
        )
    return list(combinations(chosen, 2))


def _pairs_of_runs(
    before: Mapping[str, Side],
    after: Mapping[str, Side],
    folders: Sequence[RunFolder],
    names: Sequence[str] | None,
) -> list[tuple[Side, Side]]:
    first, second = folders
    if names:
        return [(_pick(before, names[0], first), _pick(after, names[-1], second))]
    common = [name for name in before if name in after]
    if common:
        return [(before[name], after[name]) for name in common]
    if len(before) == len(after) == 1:
        return [(next(iter(before.values())), next(iter(after.values())))]
    raise ConfigError(
        f"{first.path} ({', '.join(before)}) and {second.path} ({', '.join(after)}) have no model name in "
        "common. Name one of each: --models A B"
    )


def _run_labels(first: RunFolder, second: RunFolder) -> tuple[str, str]:
    names = first.manifest.name, second.manifest.name
    if names[0] != names[1]:
        return names
    folders = first.path.resolve().name, second.path.resolve().name
    return folders if folders[0] != folders[1] else (str(first.path), str(second.path))


def _pick(sides: Mapping[str, Side], name: str, folder: RunFolder) -> Side:
    if name not in sides:
        raise ConfigError(f"{folder.path} has no model '{name}'.{nearest(name, sides)}")
    return sides[name]


def run_sides(folder: RunFolder, label: str | None = None) -> list[Side]:
    """Return every scored model of a run, in the order of its config."""
    with folder.read_as_one():
        manifest, scores, summary = folder.manifest, folder.scores(), folder.summary()
        scores = scores.assign(**{PROTOCOL_COLUMN: _protocols(summary, scores)})
    entries = {entry["name"]: entry for entry in manifest.entries}
    present = list(dict.fromkeys(scores["model"]))
    ordered = [name for name in entries if name in present] + [n for n in present if n not in entries]
    return [
        Side(
            label=name if label is None else f"{name} @ {label}",
            model=name,
            run=manifest.name,
            path=str(folder.path),
            manifest=manifest,
            config=entries.get(name, {}),
            rows=scores[scores["model"] == name],
            summary=summary,
        )
        for name in ordered
    ]


def common_questions(a: Side, b: Side) -> pd.Index[Any]:
    """Return the keys (dataset, sample_id, trial) of the questions that both sides answered."""
    first, second = (_answered_by_key(side).index for side in (a, b))
    return first.intersection(second)


def _answered_by_key(side: Side) -> pd.DataFrame:
    return side.rows[answered_rows(side.rows)].set_index(KEYS)


def _protocols(summary: Summary, scores: pd.DataFrame) -> NDArray[np.object_]:
    """Return the protocol that each row was scored by, as summary.json names it."""
    named = {
        (result["model"], result["dataset"]): str(result["protocol"]["name"])
        for result in summary.results
        if result.get("protocol")
    }
    protocols = np.full(len(scores), "default", dtype=object)
    for (model, dataset), protocol in named.items():
        protocols[((scores["model"] == model) & (scores["dataset"] == dataset)).to_numpy(dtype=bool)] = (
            protocol
        )
    return protocols


def common_rows(a: Side, b: Side) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows of the questions that both sides answered, aligned row by row.

    Raises ``DataError`` where the two sides have another ground truth for a common sample, or
    no question in common.
    """
    first, second = _answered_by_key(a), _answered_by_key(b)
    common = first.index.intersection(second.index)
    if len(common) == 0:
        raise nothing_common(a, b)
    left, right = first.loc[common].reset_index(), second.loc[common].reset_index()
    _refuse_other_truth(a, b, left, right)
    return left, right


def nothing_common(a: Side, b: Side) -> DataError:
    """Return the error that two sides cannot be paired."""
    return DataError(
        f"{a.label} and {b.label} answered no sample in common, so nothing can be paired. "
        "Compare runs over the same datasets, or run both models in one config"
    )


def _refuse_other_truth(a: Side, b: Side, left: pd.DataFrame, right: pd.DataFrame) -> None:
    for column in MUST_AGREE:
        known = left[column].notna() & right[column].notna()
        differs = known & (left[column] != right[column])
        if differs.any():
            at = int(differs.to_numpy().argmax())
            raise DataError(
                f"sample '{left['sample_id'][at]}' of dataset '{left['dataset'][at]}' has another {column} in "
                f"{a.path} ({left[column][at]}) than in {b.path} ({right[column][at]}), and {int(differs.sum())} of "
                f"{len(left)} common samples differ so: the two runs were scored against different ground truths. "
                "Run both on the same dataset"
            )


def setting_differences(a: Side, b: Side) -> list[SettingDifference]:
    """Return every setting that can move a number and differs between the two sides."""
    found = [*_model_differences(a, b)]
    if a.path == b.path:
        return found
    ours, theirs = a.manifest, b.manifest
    found += _dataset_differences(ours, theirs)
    for section in ("decode", "score", "image"):
        found += _compare(section, ours.config.get(section), theirs.config.get(section), section)
    for key in ("trials", "task"):
        found += _compare("trials", ours.config.get(key), theirs.config.get(key), key)
    found += _compare("simulated", ours.simulated, theirs.simulated, "simulated")
    found += _compare("status", ours.status, theirs.status, "status")
    found += _compare("evalkit", ours.evalkit, theirs.evalkit, "evalkit version")
    return found


def _dataset_differences(a: Manifest, b: Manifest) -> list[SettingDifference]:
    ours, theirs = _fingerprints(a), _fingerprints(b)
    return [
        difference
        for name in ours.keys() & theirs.keys()
        for difference in _compare("dataset", ours[name], theirs[name], f"fingerprint of dataset {name}")
        if None not in (ours[name], theirs[name])
    ] + [
        SettingDifference("dataset", f"dataset {name}", name in ours, name in theirs)
        for name in sorted(ours.keys() ^ theirs.keys())
    ]


def _fingerprints(manifest: Manifest) -> dict[str, Any]:
    """Return dataset -> what identifies its samples and truths, None where the manifest does not say."""
    return {name: _fingerprint(entry) for name, entry in manifest.fingerprints().items()}


def _fingerprint(entry: Any) -> Any:
    if not isinstance(entry, Mapping):
        return entry
    found = entry.get("sha256", entry.get("fingerprint"))
    return {key: value for key, value in entry.items() if key != "name"} or None if found is None else found


def _model_differences(a: Side, b: Side) -> list[SettingDifference]:
    found = _compare("prompt", _prompt(a), _prompt(b), "prompt")
    if a.path != b.path and a.model == b.model:
        for key in ("provider", "model", "persona", "generation", "function", "path"):
            found += _compare("model", a.config.get(key), b.config.get(key), key)
    return found


def _prompt(side: Side) -> Any:
    """Return the prompt's text where the config defines it, else its name."""
    prompt = side.config.get("prompt")
    own = side.manifest.section("prompts")
    if isinstance(prompt, str) and prompt in own:
        prompt = own[prompt]
    return prompt.get("text") if isinstance(prompt, Mapping) else prompt


def _compare(kind: str, a: Any, b: Any, setting: str) -> list[SettingDifference]:
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        keys = sorted(a.keys() | b.keys())
        return [found for key in keys for found in _compare(kind, a.get(key), b.get(key), f"{setting}.{key}")]
    return [] if a == b else [SettingDifference(kind, setting, a, b)]


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "..."
