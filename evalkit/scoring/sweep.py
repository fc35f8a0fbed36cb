"""A run's numbers at every threshold of the masks' grey values, from one pass over its stored answers.

Calls nothing and leaves the scores as they are. At each threshold the numbers are those that
``evalkit score RUN --decode.threshold T`` would write.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from evalkit.decoding.settings import DecodeSettings
from evalkit.errors import ConfigError
from evalkit.metrics.thresholds import N_THRESHOLDS, ThresholdCounts, count_thresholds, counts_of_readings
from evalkit.scoring.engine import map_chunks
from evalkit.scoring.stored_answers import AnswersJob, StoredAnswer, answers_jobs, stored_answers
from evalkit.stats.bootstrap import ratio_intervals
from evalkit.storage.run_folder import RunFolder
from evalkit.types import SIMULATED_WARNING

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evalkit.scoring.engine import Engine

    Floats = NDArray[np.float64]

SWEEP_FILE = "sweep-threshold.json"


def _zeros() -> Floats:
    return np.zeros(N_THRESHOLDS)


@dataclass(slots=True, eq=False)
class Sums:
    """What is summed over the answers of one model on one dataset; arrays are by threshold, shape (256,).

    ``by_image``: image -> its sum of IoU (float32, shape (256,)) and its number of answers: 1 kB an image.
    """

    n_answered: int = 0
    n_targeted: int = 0
    boxes_alone: int = 0
    iou: Floats = field(default_factory=_zeros)
    intersection: Floats = field(default_factory=_zeros)
    union: Floats = field(default_factory=_zeros)
    failed: Floats = field(default_factory=_zeros)
    precise: Floats = field(default_factory=_zeros)
    by_image: dict[str, tuple[NDArray[np.float32], int]] = field(default_factory=dict)

    def add(self, image_id: str, counts: ThresholdCounts, *, failed: Floats, targeted: bool) -> None:
        """Add one answer."""
        self.n_answered += 1
        self.n_targeted += targeted
        self.iou += counts.iou
        self.intersection += counts.intersection
        self.union += counts.union
        self.failed += failed
        self.precise += (counts.iou >= 0.5) & targeted
        self._add_image(image_id, counts.iou.astype(np.float32), 1)

    def merge(self, other: Sums) -> None:
        """Add what another chunk summed."""
        for name in ("n_answered", "n_targeted", "boxes_alone"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("iou", "intersection", "union", "failed", "precise"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for image_id, (ious, n) in other.by_image.items():
            self._add_image(image_id, ious, n)

    def _add_image(self, image_id: str, ious: NDArray[np.float32], n: int) -> None:
        known = self.by_image.get(image_id)
        self.by_image[image_id] = (ious, n) if known is None else (known[0] + ious, known[1] + n)


def sweep_threshold(run_path: str | Path, *, engine: Engine = "local") -> dict[str, Any]:
    """Return the numbers of every model and dataset at thresholds 0..255, as JSON holds them.

    ``giou`` with ``giou_low`` and ``giou_high`` (95 %, over images, by the linearised error), ``ciou``,
    ``precision_at_0.5``, ``format_failure_rate``: lists of 256. ``best``: the threshold with the highest gIoU
    and its change against the run's own threshold, paired, with its interval. Raises ``ConfigError`` where the
    run's task is boxes.
    """
    run = RunFolder(run_path)
    config = run.config()
    if config.task == "box":
        raise ConfigError(
            f"{run.path}: the run's task is boxes: there is no mask whose threshold could change"
        )
    totals: dict[tuple[str, str], Sums] = {}
    scheduler = config.dask.get("scheduler")
    for part in map_chunks(sweep_chunk, answers_jobs(run), engine=engine, scheduler=scheduler):
        for place, sums in part.items():
            totals.setdefault(place, Sums()).merge(sums)
    return {
        "run": run.manifest.name,
        "simulated": run.manifest.simulated,
        "sweep": "threshold",
        "threshold": config.decode.threshold,
        "thresholds": list(range(N_THRESHOLDS)),
        "results": [
            _result(model, dataset, sums, config.decode.threshold, config.seed)
            for (model, dataset), sums in totals.items()
        ],
    }


def sweep_chunk(job: AnswersJob) -> dict[tuple[str, str], Sums]:
    """Return the sums of one chunk, by model and dataset."""
    lowest = job.settings.model_copy(update={"threshold": 0})
    found: dict[tuple[str, str], Sums] = {}
    for stored in stored_answers(job):
        sums = found.setdefault((stored.model.name, stored.sample.dataset), Sums())
        if stored.answer is not None:
            _add_answer(sums, stored, lowest)
    return found


def _add_answer(sums: Sums, stored: StoredAnswer, lowest: DecodeSettings) -> None:
    assert stored.answer is not None
    decoded = stored.answer.read(lowest)
    if lowest.formats:  # a wire format from outside may take the threshold its own way
        each = (stored.answer.read(lowest.model_copy(update={"threshold": t})) for t in range(N_THRESHOLDS))
        counts = counts_of_readings(each, stored.truth)
    else:
        counts = count_thresholds(decoded, stored.truth, lowest.instances)
    if counts is None:
        sums.boxes_alone += 1
        return
    unreadable = decoded.outcome in ("decoded", "format_failure")
    failed = (~counts.decoded & unreadable).astype(np.float64)
    sums.add(stored.sample.image_id, counts, failed=failed, targeted=not stored.truth.no_target)


def _result(model: str, dataset: str, sums: Sums, threshold: int, seed: int) -> dict[str, Any]:
    """Return one model's curves on one dataset; None in place of a list where there is nothing to divide by."""
    # As in the summary: masks have no mean where answers were boxes alone.
    n = 0 if sums.boxes_alone else sums.n_answered
    result: dict[str, Any] = {"model": model, "dataset": dataset, "n_answered": sums.n_answered}
    result["n_images"] = len(sums.by_image)
    if not n:
        return result | dict.fromkeys(
            ("giou", "giou_low", "giou_high", "ciou", "precision_at_0.5", "format_failure_rate", "best")
        )
    giou = sums.iou / n
    images = np.stack([ious for ious, _ in sums.by_image.values()]).astype(np.float64)
    answers = np.array([count for _, count in sums.by_image.values()], dtype=np.float64)
    error = _half_width(images, answers, giou)
    best = threshold if giou[threshold] == giou.max() else int(giou.argmax())
    moved = (images[:, best] - images[:, threshold])[None]
    change = ratio_intervals(moved, answers[None], np.arange(len(answers)), seed=seed, shares=[False])[0]
    return result | {
        "giou": giou.tolist(),
        "giou_low": np.clip(giou - error, 0, 1).tolist(),
        "giou_high": np.clip(giou + error, 0, 1).tolist(),
        "ciou": _ratios(sums.intersection, sums.union),
        "precision_at_0.5": _ratios(sums.precise, np.full(N_THRESHOLDS, float(sums.n_targeted))),
        "format_failure_rate": (sums.failed / n).tolist(),
        "best": {
            "threshold": best,
            "giou": float(giou[best]),
            "change": None if change is None else change.to_json(),
        },
    }


def _half_width(images: Floats, answers: Floats, means: Floats) -> Floats:
    """Return half the 95 % interval of each mean: Student's t times the linearised error over images.

    Cochran 1977, Sampling Techniques, section 6.3. ``images``: (images, 256) sums. 0..1 is all that is known of
    a single image.
    """
    from scipy.stats import t

    n = len(answers)
    if n < 2:
        return np.ones(N_THRESHOLDS)
    residuals = images - answers[:, None] * means
    error = np.sqrt(n / (n - 1) * np.square(residuals).sum(axis=0)) / answers.sum()
    width: Floats = float(t.ppf(0.975, n - 1)) * error
    return width


def _ratios(above: Floats, below: Floats) -> list[float] | None:
    return None if not below.any() else np.divide(above, below, out=_zeros(), where=below > 0).tolist()


SHOWN_THRESHOLDS = (0, 31, 63, 95, 127, 128, 159, 191, 223, 254)


def sweep_table(swept: dict[str, Any]) -> str:
    """Return some thresholds of every model and dataset as text, with the best one."""
    lines = [f"{SIMULATED_WARNING}\n"] * swept["simulated"]
    for result in swept["results"]:
        lines.append(f"{result['model']} on {result['dataset']} (n = {result['n_answered']})")
        if result["giou"] is None:
            lines.append("  no masks were answered: nothing to sweep")
            continue
        lines.append(f"  {'threshold':<12} {'gIoU':<24} {'cIoU':<8} format failures")
        shown = sorted({*SHOWN_THRESHOLDS, swept["threshold"]})
        lines += [_sweep_line(result, t, own=t == swept["threshold"]) for t in shown]
        best, change = result["best"], result["best"]["change"]
        told = (
            ""
            if change is None
            else f", {change['value']:+z.4f} [{change['low']:+z.4f}, {change['high']:+z.4f}] against the run's own"
        )
        lines.append(f"  highest gIoU at {best['threshold']}: {best['giou']:.4f}{told}\n")
    return "\n".join(lines).rstrip()


def _sweep_line(result: dict[str, Any], t: int, *, own: bool) -> str:
    giou, low, high = (result[key][t] for key in ("giou", "giou_low", "giou_high"))
    ciou = "-" if result["ciou"] is None else f"{result['ciou'][t]:.4f}"
    name = f"{t} (own)" if own else str(t)
    interval = f"{giou:.4f} [{low:.4f}, {high:.4f}]"
    return f"  {name:<12} {interval:<24} {ciou:<8} {result['format_failure_rate'][t]:.4f}"
