"""Which stored answers still belong to the questions of a run that goes on.

An answer belongs to a question: the prompt with its expression, the bytes of the photograph, and what stands
behind the model (its endpoint, the source of a function, the content of a predictions file). Their digest is
kept with each answer. Where it is another one now, the answer is set aside in the ledger and the question asked
again, and the user is told how many and why; it is never scored against a question that it was not given to.
What the config says of a model is compared before, by ``storage.run_folder.open_for_run``.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evalkit.errors import DataError
from evalkit.images import read_bytes
from evalkit.models import find_provider, read_body
from evalkit.storage.ledger import Key, Ledger
from evalkit.storage.run_folder import LEDGER
from evalkit.storage.samples_table import image_stamp

if TYPE_CHECKING:
    from evalkit.config.models import ModelEntry
    from evalkit.models.base import Model
    from evalkit.runner.prepare import RunPlan
    from evalkit.storage.ledger import AskedDigests
    from evalkit.storage.manifest import Manifest
    from evalkit.storage.samples_table import StoredQuestions
    from evalkit.types import Sample


@dataclass(frozen=True, slots=True)
class Background:
    """What stands behind one model outside the config: name -> text, such as the endpoint's address."""

    model: str
    facts: Mapping[str, str]

    def question(self, prompt: str, image_sha256: str | None) -> str:
        """Return the digest of one question: 32 hexadecimal digits."""
        text = json.dumps([dict(sorted(self.facts.items())), prompt, image_sha256], ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()[:32]


def backgrounds_of(plan: RunPlan, models: Sequence[Model]) -> dict[str, Background]:
    """Return model name -> what stands behind it, for the opened models of a run."""
    return {
        model.name: Background(
            model.name, find_provider(entry.provider).background(entry, model, plan.config)
        )
        for model, entry in zip(models, plan.model_configs, strict=True)
    }


def set_aside_changed(
    plan: RunPlan,
    models: Sequence[Model],
    backgrounds: Mapping[str, Background],
    stored: StoredQuestions,
    manifest: Manifest,
) -> list[str]:
    """Set aside the stored answers whose questions have changed; return what to tell, a sentence each.

    ``stored`` and ``manifest``: what the folder says of the samples and the run before they are brought up to date.
    """
    samples = {(sample.dataset, sample.sample_id): sample for sample in plan.samples}
    told = []
    with Ledger(plan.out / LEDGER) as ledger:
        told += set_aside_simulated(
            ledger, [entry for entry in plan.model_configs if entry.name in manifest.mixed]
        )
        told += models_left_out(ledger, plan)
        known = ledger.backgrounds()
        for model, entry in zip(models, plan.model_configs, strict=True):
            comparison = QuestionComparison(
                model,
                backgrounds[model.name],
                known=known.get(model.name),
                stored=stored,
                samples=samples,
                needs_image=find_provider(entry.provider).needs_image,
            )
            changed = comparison.changed(ledger.answered_rows(model.name))
            ledger.set_aside([key for key, _ in changed])
            if changed:
                reasons = Counter(reason for _, reason in changed)
                why = ", ".join(f"{reason}: {count}" for reason, count in reasons.most_common())
                told.append(
                    f"{model.name}: {len(changed)} stored answers were given to other questions ({why} changed). They "
                    "are kept aside in the ledger, and the questions are asked again"
                )
        ledger.remember_backgrounds({name: one.facts for name, one in backgrounds.items()})
    return told


def set_aside_simulated(ledger: Ledger, entries: Sequence[ModelEntry]) -> list[str]:
    """Set aside the simulator's answers among those of models that others answered too; say so, a sentence each."""
    told = []
    for entry in entries:
        simulated = [
            key for key, body in ledger.answers(entry.name) if read_body(entry.provider, body).simulated
        ]
        ledger.set_aside(simulated)
        told.append(
            f"{entry.name}: {len(simulated)} stored answers are the simulator's and the others are not. The simulated ones "
            "are kept aside in the ledger, and the questions are asked again"
        )
    return told


def models_left_out(ledger: Ledger, plan: RunPlan) -> list[str]:
    """Return a sentence for each model that has stored answers and no entry any more, renamed ones included."""
    names = {entry.name for entry in plan.config.models}
    return [
        f"{name}: {count} stored answers are in no table, as the config has no model of that name any more; they stay in "
        "the ledger. A model that was renamed is asked anew: its answers are kept by its name"
        for name, count in ledger.answered_by_model().items()
        if name not in names
    ]


class QuestionComparison:
    """One model's stored answers against the questions of today."""

    def __init__(
        self,
        model: Model,
        background: Background,
        *,
        known: Mapping[str, str] | None,
        stored: StoredQuestions,
        samples: Mapping[tuple[str, str], Sample],
        needs_image: bool,
    ) -> None:
        self.model = model
        self.background = background
        self.known = known
        self.stored = stored
        self.needs_image = needs_image
        self.samples = samples
        self.digests: dict[str, str | None] = {}

    def changed(self, rows: Iterator[AskedDigests]) -> list[tuple[Key, str]]:
        """Return the keys whose question is another one now, each with what changed."""
        found = []
        for row in rows:
            sample = self.samples.get((row.key.dataset, row.key.sample_id))
            reason = None if sample is None else self._reason(row, sample)
            if reason is not None:
                found.append((row.key, reason))
        return found

    def _reason(self, row: AskedDigests, sample: Sample) -> str | None:
        """Return what differs between the question that was answered and today's, None where nothing does."""
        image_sha256 = self._image_sha256(row, sample) if self.needs_image else row.image_sha256
        prompt = self.model.prompt_for(sample)
        if row.question == self.background.question(prompt, image_sha256):
            return None
        before = self.stored.get((sample.dataset, sample.sample_id))
        if before is not None and before.expression != sample.expression:
            return "the expression"
        if image_sha256 != row.image_sha256:
            return "the photograph"
        if self.known is None:
            # Written before digests were kept: what the folder does say has been compared.
            return "the question" if row.question is not None else None
        names = sorted(
            name
            for name in self.known.keys() | self.background.facts.keys()
            if self.known.get(name) != self.background.facts.get(name)
        )
        return " and ".join(f"the {name}" for name in names) or "the prompt"

    def _image_sha256(self, row: AskedDigests, sample: Sample) -> str | None:
        """Return the digest of the photograph as it lies there now; a file that was not touched is not read again."""
        before = self.stored.get((sample.dataset, sample.sample_id))
        stamp = image_stamp(sample.image)
        if stamp is not None and before is not None and before.image_stamp == stamp:
            return row.image_sha256
        if sample.image.path not in self.digests:
            try:
                self.digests[sample.image.path] = hashlib.sha256(read_bytes(sample.image)).hexdigest()
            except DataError:
                self.digests[sample.image.path] = None
        # A photograph that is gone cannot be asked about again: its answer stands.
        return self.digests[sample.image.path] or row.image_sha256


def changed_truths(before: StoredQuestions, after: StoredQuestions) -> list[str]:
    """Return a sentence on truths that are others now: their answers stand and are scored against the new ones."""
    changed = Counter(
        key[0] for key, one in after.items() if key in before and before[key].truth_sha256 != one.truth_sha256
    )
    return [
        f"{name}: the ground truth of {count} samples is another one than before; their answers are scored anew"
        for name, count in changed.items()
    ]
