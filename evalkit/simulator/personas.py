"""Who answers: personas with their own format, steadiness and bad habits, in one dict.

A persona sees the ground truth and answers from it with seeded errors. The same question (persona,
model, sample and the request's ``seed``) always gets the same answer, whatever was asked before: so
a resumed or retried run ends in the same scores.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from evalkit.simulator import perturbed_masks
from evalkit.simulator.answer_builder import AnswerBuilder, SimulatedAnswer, SimulatedObject
from evalkit.simulator.encoders import box_norm
from evalkit.simulator.failures import FAILURES, REPAIRABLE
from evalkit.simulator.perturbed_masks import MaskNoise
from evalkit.types import Sample


@dataclass(frozen=True, slots=True)
class Persona:
    """One way of answering; every rate is a probability per answer.

    ``encodings``: how masks are written, with weights. ``misplaces``: answers about another place.
    ``omits``: leaves out one of several objects. ``refuses``: says ``[]`` although there is a
    target. ``hallucinates``: draws something where there is none. ``defects``: rates of the FAILURES
    and REPAIRABLE answers of ``simulator.failures``. ``in_turn``: defects that come one after the other by the sample's
    place in the dataset instead, so that a small dataset meets every one ("" = none).
    """

    about: str
    encodings: Mapping[str, float]
    wrap: str
    mask_noise: MaskNoise = perturbed_masks.NO_NOISE
    misplaces: float = 0.0
    omits: float = 0.0
    refuses: float = 0.0
    hallucinates: float = 0.0
    defects: Mapping[str, float] = field(default_factory=dict)
    in_turn: tuple[str, ...] = ()


PERSONAS: dict[str, Persona] = {
    "perfect": Persona(
        about="reference: PNG masks made from the ground truth, no errors",
        encodings={"png_data_url": 1.0},
        wrap="fence",
    ),
    "png-masks": Persona(
        about="2.5 Flash as documented: a fenced JSON list, a 256 x 256 PNG inside each box",
        encodings={"png_data_url": 1.0},
        wrap="fence",
        mask_noise=MaskNoise(edge=0.08, wobble=0.22, erosion=0.06),
        misplaces=0.04,
        omits=0.10,
        refuses=0.02,
        hallucinates=0.25,
        defects={"mask_missing": 0.02, "truncated": 0.015, "mask_bad_png": 0.01, "prose_around": 0.03},
    ),
    "leaked-tokens": Persona(
        about="2.5 Flash as reported since 2026: mostly <start_of_mask><seg_N>, some PNG",
        encodings={"seg_tokens": 0.7, "png_data_url": 0.3},
        wrap="fence",
        mask_noise=MaskNoise(edge=0.09, wobble=0.28, erosion=0.08),
        misplaces=0.05,
        omits=0.10,
        refuses=0.03,
        hallucinates=0.30,
        defects={"mask_placeholder": 0.05, "repetition": 0.02},
    ),
    "polygons": Persona(
        about="Robotics-ER and 3.5 style: pairs, chunked, flat or a string; a third y first, ambiguous beside boxes",
        encodings={
            "pairs_xy": 0.62,
            "pairs_yx": 0.16,
            "chunked_yx": 0.08,
            "flat_yx": 0.07,
            "string_yx": 0.05,
            "sub_boxes": 0.02,
        },
        wrap="list",
        mask_noise=MaskNoise(edge=0.11, wobble=0.28, erosion=0.05),
        misplaces=0.07,
        omits=0.08,
        refuses=0.02,
        hallucinates=0.35,
        defects={"no_json": 0.015, "polygon_degenerate": 0.02, "trailing_comma": 0.02},
    ),
    "polygon-points": Persona(
        about='3.x style: {"boxes": [...]} with pairs or x/y points, a garbled point at times',
        encodings={"pairs_xy": 0.75, "points_xy": 0.25},
        wrap="boxes",
        mask_noise=MaskNoise(edge=0.06, wobble=0.20, erosion=0.03),
        misplaces=0.02,
        omits=0.04,
        refuses=0.01,
        hallucinates=0.12,
        defects={"bad_point_dropped": 0.05, "frame_box_local": 0.04, "thinking_used_budget": 0.01},
    ),
    "mixed-failures": Persona(
        about="every failure and repairable defect in turn, with sound answers between",
        encodings={"png_data_url": 1.0},
        wrap="fence",
        mask_noise=MaskNoise(edge=0.06, wobble=0.20, erosion=0.05),
        hallucinates=0.5,
        in_turn=tuple(name for kind in (*FAILURES, *REPAIRABLE) for name in (kind, "")),
    ),
    "boxes": Persona(
        about="box task: boxes and labels, no masks",
        encodings={"box_only": 1.0},
        wrap="fence",
        mask_noise=MaskNoise(edge=0.08, wobble=0.25),
        misplaces=0.05,
        omits=0.08,
        refuses=0.02,
        hallucinates=0.25,
        defects={"no_json": 0.01, "box_invalid": 0.01},
    ),
    "pixel-polygons": Persona(
        about='as GPT models are asked: {"segmentations": [...]}, flat polygons in pixels of the image as sent, some refusals',
        encodings={"flat_px": 1.0},
        wrap="segmentations",
        mask_noise=MaskNoise(edge=0.07, wobble=0.20, erosion=0.04),
        misplaces=0.03,
        omits=0.05,
        refuses=0.01,
        hallucinates=0.15,
        defects={"blocked_prompt": 0.02, "no_json": 0.01, "truncated": 0.01},
    ),
    "x-first-boxes": Persona(
        about="as Qwen3-VL answers: fenced bbox_2d, x first, 0..1000, no masks",
        encodings={"box_xyxy": 1.0},
        wrap="fence",
        mask_noise=MaskNoise(edge=0.08, wobble=0.22),
        misplaces=0.04,
        omits=0.06,
        refuses=0.02,
        hallucinates=0.20,
        defects={"no_json": 0.01},
    ),
    "svg-paths": Persona(
        about="as moondream answers: an SVG path and its box in 0..1",
        encodings={"svg_path": 1.0},
        wrap="list",
        mask_noise=MaskNoise(edge=0.06, wobble=0.18, erosion=0.03),
        misplaces=0.05,
        omits=0.04,
        refuses=0.02,
        hallucinates=0.20,
    ),
}
"""Every persona by the name that URLs and configurations use."""


def question_rng(seed: int, *question: object) -> np.random.Generator:
    """Return the generator of one question: a function of the seed and the question alone."""
    name = "\x1f".join(str(part) for part in (seed, *question))
    return np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode()).digest()[:16]))


def answer(
    persona: Persona,
    sample: Sample,
    place: int,
    rng: np.random.Generator,
    sent_px: tuple[int, int] | None = None,
) -> SimulatedAnswer:
    """Return what the persona says about one sample.

    ``place``: the sample's position in the dataset, which ``in_turn`` counts by. ``sent_px``: (width, height) of
    the image that was shown.
    Raises ``DataError`` where the ground truth cannot be read.
    """
    encoding = str(rng.choice(list(persona.encodings), p=list(persona.encodings.values())))
    objects = draw_objects(persona, sample, rng)
    defect = _pick_defect(persona, place, rng)
    builder = AnswerBuilder(objects, encoding, persona.wrap, rng, sent_px)
    if not objects and defect:
        builder = AnswerBuilder((_hallucinated_object(sample, rng),), encoding, persona.wrap, rng, sent_px)
    if defect in FAILURES:
        return FAILURES[defect](builder)
    if defect in REPAIRABLE and objects:
        return SimulatedAnswer(REPAIRABLE[defect](builder))
    return SimulatedAnswer(AnswerBuilder(objects, encoding, persona.wrap, rng, sent_px).text())


def _pick_defect(persona: Persona, place: int, rng: np.random.Generator) -> str:
    if persona.in_turn:
        return persona.in_turn[place % len(persona.in_turn)]
    drawn = rng.random()
    for name, rate in persona.defects.items():
        if drawn < rate:
            return name
        drawn -= rate
    return ""


def draw_objects(persona: Persona, sample: Sample, rng: np.random.Generator) -> tuple[SimulatedObject, ...]:
    """Return the objects that the persona sees for a sample, as it draws them; none where it sees none."""
    truths = perturbed_masks.truth_instances(sample.truth)
    if not truths:
        return (_hallucinated_object(sample, rng),) if rng.random() < persona.hallucinates else ()
    if rng.random() < persona.refuses:
        return ()
    misplaced = rng.random() < persona.misplaces
    if len(truths) > 1 and rng.random() < persona.omits:
        truths.pop(int(rng.integers(len(truths))))
    drawn = []
    for truth_hw in truths:
        mask_hw = perturbed_masks.perturbed(truth_hw, persona.mask_noise, rng)
        mask_hw = perturbed_masks.displaced(mask_hw, rng) if misplaced else mask_hw
        box = box_norm(mask_hw)
        if box is not None:
            drawn.append(SimulatedObject(mask_hw, box, sample.expression))
    return tuple(drawn)


def _hallucinated_object(sample: Sample, rng: np.random.Generator) -> SimulatedObject:
    """Return an object of the persona's imagination."""
    mask_hw = perturbed_masks.random_ellipse(sample.truth.height_px, sample.truth.width_px, rng)
    return SimulatedObject(mask_hw, box_norm(mask_hw) or (0, 0, 1000, 1000), sample.expression)
