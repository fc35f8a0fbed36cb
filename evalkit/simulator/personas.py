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

from evalkit.simulator import perturbed_masks as sketch
from evalkit.simulator.drafts import Answer, Draft, Drawn
from evalkit.simulator.encoders import box_norm
from evalkit.simulator.failures import BLEMISHES, FAILURES
from evalkit.simulator.perturbed_masks import Hand
from evalkit.types import Sample


@dataclass(frozen=True, slots=True)
class Persona:
    """One way of answering; every rate is a probability per answer.

    ``spellings``: how masks are written, with weights. ``misplaces``: answers about another place.
    ``overlooks``: leaves out one of several objects. ``refuses``: says ``[]`` although there is a
    target. ``imagines``: draws something where there is none. ``mishaps``: rates of the failures
    and blemishes of ``mishaps``. ``in_turn``: mishaps that come one after the other by the sample's
    place in the dataset instead, so that a small dataset meets every one ("" = none).
    """

    about: str
    spellings: Mapping[str, float]
    wrap: str
    hand: Hand = sketch.STEADY
    misplaces: float = 0.0
    overlooks: float = 0.0
    refuses: float = 0.0
    imagines: float = 0.0
    mishaps: Mapping[str, float] = field(default_factory=dict)
    in_turn: tuple[str, ...] = ()


PERSONAS: dict[str, Persona] = {
    "perfect": Persona(
        about="reference: PNG masks made from the ground truth, no errors",
        spellings={"png_data_url": 1.0},
        wrap="fence",
    ),
    "png-masks": Persona(
        about="2.5 Flash as documented: a fenced JSON list, a 256 x 256 PNG inside each box",
        spellings={"png_data_url": 1.0},
        wrap="fence",
        hand=Hand(edge=0.08, wobble=0.22, erosion=0.06),
        misplaces=0.04,
        overlooks=0.10,
        refuses=0.02,
        imagines=0.25,
        mishaps={"mask_missing": 0.02, "truncated": 0.015, "mask_bad_png": 0.01, "prose_around": 0.03},
    ),
    "leaked-tokens": Persona(
        about="2.5 Flash as reported since 2026: mostly <start_of_mask><seg_N>, some PNG",
        spellings={"seg_tokens": 0.7, "png_data_url": 0.3},
        wrap="fence",
        hand=Hand(edge=0.09, wobble=0.28, erosion=0.08),
        misplaces=0.05,
        overlooks=0.10,
        refuses=0.03,
        imagines=0.30,
        mishaps={"mask_placeholder": 0.05, "repetition": 0.02},
    ),
    "polygons": Persona(
        about="Robotics-ER and 3.5 style: pairs, some y first, some chunked, flat or as a string",
        spellings={
            "pairs_xy": 0.62,
            "pairs_yx": 0.16,
            "chunked_yx": 0.08,
            "flat_yx": 0.07,
            "string_yx": 0.05,
            "sub_boxes": 0.02,
        },
        wrap="list",
        hand=Hand(edge=0.11, wobble=0.28, erosion=0.05),
        misplaces=0.07,
        overlooks=0.08,
        refuses=0.02,
        imagines=0.35,
        mishaps={"no_json": 0.015, "polygon_degenerate": 0.02, "trailing_comma": 0.02},
    ),
    "polygon-points": Persona(
        about='3.x style: {"boxes": [...]} with pairs or x/y points, a garbled point at times',
        spellings={"pairs_xy": 0.75, "points_xy": 0.25},
        wrap="boxes",
        hand=Hand(edge=0.06, wobble=0.20, erosion=0.03),
        misplaces=0.02,
        overlooks=0.04,
        refuses=0.01,
        imagines=0.12,
        mishaps={"bad_point_dropped": 0.05, "frame_box_local": 0.04, "thinking_used_budget": 0.01},
    ),
    "mixed-failures": Persona(
        about="every failure and blemish in turn, with sound answers between",
        spellings={"png_data_url": 1.0},
        wrap="fence",
        hand=Hand(edge=0.06, wobble=0.20, erosion=0.05),
        imagines=0.5,
        in_turn=tuple(name for kind in (*FAILURES, *BLEMISHES) for name in (kind, "")),
    ),
    "boxes": Persona(
        about="box task: boxes and labels, no masks",
        spellings={"box_only": 1.0},
        wrap="fence",
        hand=Hand(edge=0.08, wobble=0.25),
        misplaces=0.05,
        overlooks=0.08,
        refuses=0.02,
        imagines=0.25,
        mishaps={"no_json": 0.01, "box_invalid": 0.01},
    ),
}
"""Every persona by the name that URLs and configurations use."""


def question_rng(seed: int, *question: object) -> np.random.Generator:
    """Return the generator of one question: a function of the seed and the question alone."""
    name = "\x1f".join(str(part) for part in (seed, *question))
    return np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode()).digest()[:16]))


def answer(persona: Persona, sample: Sample, place: int, rng: np.random.Generator) -> Answer:
    """Return what the persona says about one sample.

    ``place``: the sample's position in the dataset, which ``in_turn`` counts by.
    Raises ``DataError`` where the ground truth cannot be read.
    """
    spelling = str(rng.choice(list(persona.spellings), p=list(persona.spellings.values())))
    objects = draw_objects(persona, sample, rng)
    mishap = _mishap(persona, place, rng)
    draft = Draft(objects, spelling, persona.wrap, rng)
    if not objects and mishap:
        draft = Draft((_nothing_there(sample, rng),), spelling, persona.wrap, rng)
    if mishap in FAILURES:
        return FAILURES[mishap](draft)
    if mishap in BLEMISHES and objects:
        return Answer(BLEMISHES[mishap](draft))
    return Answer(Draft(objects, spelling, persona.wrap, rng).text())


def _mishap(persona: Persona, place: int, rng: np.random.Generator) -> str:
    if persona.in_turn:
        return persona.in_turn[place % len(persona.in_turn)]
    drawn = rng.random()
    for name, rate in persona.mishaps.items():
        if drawn < rate:
            return name
        drawn -= rate
    return ""


def draw_objects(persona: Persona, sample: Sample, rng: np.random.Generator) -> tuple[Drawn, ...]:
    """Return the objects that the persona sees for a sample, as it draws them; none where it sees none."""
    truths = sketch.truth_instances(sample.truth)
    if not truths:
        return (_nothing_there(sample, rng),) if rng.random() < persona.imagines else ()
    if rng.random() < persona.refuses:
        return ()
    misplaced = rng.random() < persona.misplaces
    if len(truths) > 1 and rng.random() < persona.overlooks:
        truths.pop(int(rng.integers(len(truths))))
    drawn = []
    for truth_hw in truths:
        mask_hw = sketch.redraw(truth_hw, persona.hand, rng)
        mask_hw = sketch.elsewhere(mask_hw, rng) if misplaced else mask_hw
        box = box_norm(mask_hw)
        if box is not None:
            drawn.append(Drawn(mask_hw, box, sample.expression))
    return tuple(drawn)


def _nothing_there(sample: Sample, rng: np.random.Generator) -> Drawn:
    """Return an object of the persona's imagination."""
    mask_hw = sketch.imagined(sample.truth.height_px, sample.truth.width_px, rng)
    return Drawn(mask_hw, box_norm(mask_hw) or (0, 0, 1000, 1000), sample.expression)
