"""Does the gate fail on noise, and does it find what the plan promised? Runs with known truth.

    python benchmarks/gate_alarms.py [--pairs 2000]

1. No change: the same model answers the same samples twice, with fresh noise. Share of gates that fail,
   with no drop allowed at all (the hardest case: stated level 5 %) and with usual allowances; failures by
   answer or by whole image, each question asked once or three times with equal answers, one model or three.
2. Power of the gate: a true drop of ``max_drop`` plus ``detectable_difference`` of the planned size; share of gates
   that fail, against the 80 % promised.
3. Power of a verdict: two models whose true difference is the one that ``plan`` says can be detected, for several mean
   IoUs and spreads; with the plan's assumed mean of 0.7 and with the true one.
4. P-values of the permutation and McNemar tests under no change: share below 1, 5, 10, 50 %.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from scipy.special import ndtr

from evalkit.comparison.gate.checks import relative_check
from evalkit.comparison.gate.verdict import BUILT_IN_SHARE, gate_run
from evalkit.config.gate_rules import GateRule
from evalkit.stats.bootstrap import paired_differences
from evalkit.stats.estimates import interval_of
from evalkit.stats.power import USUAL_IOU, detectable_difference
from evalkit.stats.significance import difference_test, mcnemar_clustered, swap_test
from evalkit.storage.manifest import Manifest

EXPRESSIONS = 3
ZERO = ({"metric": "giou", "max_drop": 0.0}, {"metric": "format_failure_rate", "max_rise": 0.0})
USUAL = ({"metric": "giou", "max_drop": 0.02}, {"metric": "format_failure_rate", "max_rise": 0.01})


class MemoryRun:
    """A run folder that was never written: all that the gate reads."""

    def __init__(self, frame: pd.DataFrame, gate: Sequence[Mapping[str, Any]], seed: int) -> None:
        self.path = Path("in-memory")
        models = [{"name": name, "provider": "gemini"} for name in frame["model"].unique()]
        config = {"gate": list(gate), "models": models, "limits": {}}
        self.manifest = Manifest(name="m", status="complete", seed=seed, config=config)
        self._frame = frame

    @contextmanager
    def read_as_one(self) -> Iterator[None]:
        """Hold nothing: no other process writes here."""
        yield

    def scores(self) -> pd.DataFrame:
        """Return the rows."""
        return self._frame

    def summary(self) -> SimpleNamespace:
        """Return a summary that names no protocol."""
        return SimpleNamespace(results=[])


def rows(
    iou: np.ndarray, failed: np.ndarray, model: str = "m", polygon: np.ndarray | None = None
) -> pd.DataFrame:
    """Return score rows with ``EXPRESSIONS`` per image; ``polygon``: rows answered in the other format."""
    n = iou.size
    iou = np.where(failed, 0.0, iou)
    formats = np.where(
        np.zeros(n, dtype=bool) if polygon is None else polygon, "polygon_pairs", "png_data_url"
    )
    return pd.DataFrame(
        {
            "model": model,
            "dataset": "d",
            "sample_id": [f"s{k}" for k in range(n)],
            "image_id": np.repeat(np.arange(n // EXPRESSIONS), EXPRESSIONS).astype(str),
            "trial": 0,
            "expression": "thing",
            "tags": "{}",
            "outcome": np.where(failed, "format_failure", "decoded"),
            "failure": np.where(failed, "no_json", None),
            "wire_formats": [[] if bad else [name] for bad, name in zip(failed, formats, strict=True)],
            "strict": ~failed,
            "iou": iou,
            "intersection": iou * 1e4,
            "union": 1e4,
            "box_iou": iou,
            "boundary_iou": iou,
            "gt_area": 10_000,
            "no_target": False,
            "latency_s": 1.0,
            "cost_usd": 0.001,
            "input_tokens": 1,
            "output_tokens": 1,
            "thought_tokens": 0,
            "requested_model": "m",
            "model_version": "m",
        }
    )


@dataclass(frozen=True, slots=True)
class Night:
    """How a model answers that does not change: some hard samples, 5 % failures, 10 % in another format.

    ``by_image``: failures and formats come by whole images; ``repeats``: how often each question is
    asked, with equal answers.
    """

    by_image: bool = False
    repeats: int = 1

    def rows(self, generator: np.random.Generator, hardness: np.ndarray, model: str) -> pd.DataFrame:
        """Return one night's rows."""
        n = hardness.size
        image_noise = np.repeat(generator.normal(0, 0.05, n // EXPRESSIONS), EXPRESSIONS)
        iou = np.clip(hardness + image_noise + generator.normal(0, 0.1, n), 0, 1)
        once = rows(iou, self._share(generator, n, 0.05), model, self._share(generator, n, 0.1))
        return pd.concat([once.assign(trial=trial) for trial in range(self.repeats)], ignore_index=True)

    def _share(self, generator: np.random.Generator, n: int, share: float) -> np.ndarray:
        if self.by_image:
            return np.repeat(generator.random(n // EXPRESSIONS) < share, EXPRESSIONS)
        return generator.random(n) < share


def false_alarms(
    pairs: int, n_images: int, gate: Sequence[Mapping[str, Any]], models: int, night: Night
) -> float:
    """Return the share of no-change gates that fail."""
    failed = 0
    for pair in range(pairs):
        generator = np.random.default_rng(pair)
        hardness = np.clip(generator.normal(0.7, 0.2, n_images * EXPRESSIONS), 0, 1)
        nights = [
            pd.concat([night.rows(generator, hardness, f"m{k}") for k in range(models)], ignore_index=True)
            for _ in range(2)
        ]
        base, run = (MemoryRun(frame, gate, seed=0) for frame in nights)
        failed += gate_run(run, base).exit_code == 1  # type: ignore[arg-type]
    return failed / pairs


@dataclass(frozen=True, slots=True)
class Kind:
    """Models of one kind: IoU is the normal distribution's share below ``level`` + ``spread`` x noise, 0 where it fails."""

    level: float
    spread: float
    fails: float


KINDS = (
    Kind(0.15, 1.0, 0.06),
    Kind(0.3, 0.3, 0.2),
    Kind(0.9, 1.0, 0.06),
    Kind(0.62, 0.3, 0.0),
    Kind(1.6, 1.0, 0.02),
    Kind(1.35, 0.5, 0.06),
    Kind(2.2, 0.6, 0.01),
    Kind(1.85, 0.3, 0.0),
)
"""Mean IoU about 0.5, 0.7, 0.85 and 0.95, each wide and tight."""


def answers(generator: np.random.Generator, n_images: int, kind: Kind) -> tuple[np.ndarray, np.ndarray]:
    """Return the IoU of two models of one mean that find the same samples hard."""
    n = n_images * EXPRESSIONS
    common = generator.normal(size=n) * 0.7
    both = []
    for _ in range(2):
        image = np.repeat(generator.normal(size=n_images), EXPRESSIONS)
        own = common + 0.45 * image + 0.55 * generator.normal(size=n)
        both.append(np.where(generator.random(n) < kind.fails, 0.0, ndtr(kind.level + kind.spread * own)))
    return both[0], both[1]


def verdict_power(pairs: int, n_images: int, kind: Kind, *, mean_known: bool) -> dict[str, float]:
    """Return what is planned for and the share of comparisons whose verdict finds it.

    ``mean_known``: the plan takes the models' mean IoU for the assumed one.
    """
    first, second = answers(np.random.default_rng(1), 200_000, kind)
    mean, promised, sd = float(first.mean()), 0.0, 0.0
    assumed = mean if mean_known else USUAL_IOU
    for _ in range(4):
        change = (second * (1 - promised / mean) - first).reshape(-1, EXPRESSIONS)
        sd = float(change.std())
        correlation = (float(change.mean(axis=1).var()) / sd**2 * EXPRESSIONS - 1) / (EXPRESSIONS - 1)
        promised = detectable_difference(
            n_images, EXPRESSIONS, sd, intra_image_correlation=correlation, mean_iou=assumed
        )
    images = np.repeat(np.arange(n_images), EXPRESSIONS)
    found = 0
    for pair in range(pairs):
        before, after = answers(np.random.default_rng(20_000 + pair), n_images, kind)
        after = after * (1 - promised / mean)
        ones = np.ones(images.size)
        estimate = paired_differences([(before, ones)], [(after, ones)], images, seed=0)[0]
        sums = np.stack([np.bincount(images, column).astype(float) for column in (before, ones, after, ones)])
        if estimate is not None:
            gap = interval_of(estimate)
            found += difference_test(estimate, sums, seed=0)[0] <= 0.05 and not gap.low <= 0 <= gap.high
    return {
        "mean_iou": mean,
        "sd": sd,
        "assumed_mean": assumed,
        "difference": promised,
        "power": found / pairs,
    }


def power(pairs: int, n_images: int, allowed: float, rules: int) -> tuple[float, float]:
    """Return the planned drop beyond ``allowed`` and the share of pairs in which the gate's test finds it.

    ``rules``: the gate's own tests, of which all but this one look at what did not change, so that Holm asks
    ``rules`` times the evidence of it. Only that test is run: 2,000 whole gates a line would take an hour.
    """
    sd, correlation = 0.1, 0.2
    promised = detectable_difference(
        n_images,
        EXPRESSIONS,
        sd,
        intra_image_correlation=correlation,
        alpha=0.05 * (1 - BUILT_IN_SHARE),
        sides=1,
        comparisons=rules,
    )
    rule = GateRule(metric="giou", max_drop=allowed)
    n = n_images * EXPRESSIONS
    never = np.zeros(n, dtype=bool)
    found = 0
    for pair in range(pairs):
        generator = np.random.default_rng(10_000 + pair)
        before = generator.uniform(0.5, 0.6, n)
        shared = np.repeat(generator.normal(0, sd * correlation**0.5, n_images), EXPRESSIONS)
        own = generator.normal(0, sd * (1 - correlation) ** 0.5, n)
        after = before - allowed - promised + shared + own
        check = relative_check(rule, "max_drop", allowed, rows(before, never), rows(after, never), seed=0)
        if check is not None:
            found += check.decided(check.p_broken * rules / (1 - BUILT_IN_SHARE)).status == "fail"
    return promised, found / pairs


def p_values(pairs: int, n_images: int) -> dict[str, np.ndarray]:
    """Return p-values of both tests where nothing differs but noise."""
    permutation, clustered = [], []
    images = np.repeat(np.arange(n_images), EXPRESSIONS)
    for pair in range(pairs):
        generator = np.random.default_rng(50_000 + pair)
        first, second = generator.random((2, images.size))
        ones = np.full(n_images, float(EXPRESSIONS))
        sums = np.stack([np.bincount(images, first), ones, np.bincount(images, second), ones])
        permutation.append(swap_test(sums, seed=pair, swaps=999))
        fails = generator.random((2, images.size)) < 0.2
        clustered.append(mcnemar_clustered(fails[1].astype(int) - fails[0], images))
    return {"permutation": np.array(permutation), "clustered McNemar": np.array(clustered)}


def main() -> None:
    """Print one JSON line per study."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=2000)
    pairs = parser.parse_args().pairs
    for name, gate, n_images, models, n_pairs, night in (
        ("no drop allowed", ZERO, 50, 1, pairs, Night()),
        ("no drop allowed", ZERO, 50, 3, pairs // 2, Night()),
        ("no drop allowed, failures by image", ZERO, 50, 1, pairs, Night(by_image=True)),
        (
            "no drop allowed, failures by image, three repeats",
            ZERO,
            50,
            3,
            pairs // 2,
            Night(by_image=True, repeats=3),
        ),
        ("usual allowances", USUAL, 200, 1, pairs // 2, Night()),
        (
            "usual allowances, failures by image, three repeats",
            USUAL,
            200,
            3,
            pairs // 2,
            Night(by_image=True, repeats=3),
        ),
    ):
        started = time.perf_counter()
        share = false_alarms(n_pairs, n_images, gate, models, night)
        show(
            f"no change, {name}",
            models=models,
            pairs=n_pairs,
            images=n_images,
            false_alarms=share,
            stated=0.05,
            seconds=time.perf_counter() - started,
        )
    for kind, n_images, mean_known in product(KINDS, (50, 200, 1000), (False, True)):
        figures = verdict_power(pairs, n_images, kind, mean_known=mean_known)
        show("power of a verdict", pairs=pairs, images=n_images, promised=0.8, **figures)
    for n_images, allowed, rules in ((50, 0.0, 1), (200, 0.02, 1), (200, 0.02, 6)):
        started = time.perf_counter()
        promised, found = power(pairs, n_images, allowed, rules)
        show(
            "power of the gate at the planned size",
            pairs=pairs,
            images=n_images,
            max_drop=allowed,
            tests=rules,
            drop_beyond=promised,
            power=found,
            promised=0.8,
            seconds=time.perf_counter() - started,
        )
    for n_images in (30, 200):
        for name, values in p_values(pairs, n_images).items():
            below = {str(level): float((values <= level).mean()) for level in (0.01, 0.05, 0.1, 0.5)}
            uniform = float(stats.kstest(values, "uniform").pvalue)
            show(f"p-values, {name}", images=n_images, share_below=below, kolmogorov_smirnov_p=uniform)


def show(study: str, **figures: Any) -> None:
    """Print one study's figures."""
    rounded = {
        name: round(value, 4) if isinstance(value, float) else value for name, value in figures.items()
    }
    print(json.dumps({"study": study, **rounded}), flush=True)


if __name__ == "__main__":
    main()
