"""The evaluators' own numbers, reproduced to 1e-6."""

import asyncio
import json

import pandas as pd
import pytest
from support.protocol_fixtures import values_of

from evalkit.config.schema import RunConfig
from evalkit.decoding import decode_answer
from evalkit.masks import rle_decode
from evalkit.metrics.counts import count_row
from evalkit.metrics.protocols import PROTOCOLS
from evalkit.metrics.truth import Truth
from evalkit.models.base import Question
from evalkit.models.predictions import PredictionsModel
from evalkit.types import AskedFormat, GroundTruth, ImageRef, Sample


def targeted(pairs):
    """Return the pairs that have a target."""
    return [(decoded, truth) for decoded, truth in pairs if not truth.no_target]


@pytest.mark.parametrize(
    ("choice", "key"), [(list, "rela_official"), (targeted, "rela_official_targeted_only")]
)
def test_rela_gives_the_official_numbers(gref_pairs, gref_expected, choice, key, made):
    """gIoU, cIoU, N-acc, T-acc and Pr equal ReLA's evaluator, with and without no-target rows."""
    found, wanted = made.numbers("rela", choice(gref_pairs)), gref_expected[key]
    assert found["giou"] * 100 == pytest.approx(wanted["gIoU"], abs=1e-6)
    assert found["ciou"] * 100 == pytest.approx(wanted["cIoU"], abs=1e-6)
    assert found["n_acc"] == pytest.approx(wanted["N_acc"], abs=1e-6)
    assert found["t_acc"] == pytest.approx(wanted["T_acc"], abs=1e-6)
    for threshold in ("0.7", "0.8", "0.9"):
        assert found[f"pr_{threshold}"] * 100 == pytest.approx(wanted[f"Pr@{threshold}"], abs=1e-6)


@pytest.mark.parametrize("name", ["lisa", "lisa-exact"])
def test_lisa_gives_its_rule(gref_pairs, gref_expected, name, made):
    """Without overlapping polygons both of LISA's readings give the same, tiny terms included."""
    found, wanted = made.numbers(name, gref_pairs), gref_expected["lisa_rule_reimplemented"]
    assert found["giou"] == pytest.approx(wanted["gIoU"], abs=1e-12)
    assert found["ciou"] == pytest.approx(wanted["cIoU"], abs=1e-12)


def test_converseg_gives_its_rule(gref_pairs, gref_expected, made):
    """ConverSeg differs from LISA in the ninth digit, and both are met."""
    found, wanted = made.numbers("converseg", gref_pairs), gref_expected["converseg_rule_reimplemented"]
    assert found["giou"] == pytest.approx(wanted["gIoU"], abs=1e-12)
    assert found["ciou"] == pytest.approx(wanted["cIoU"], abs=1e-12)


def test_refzom_gives_its_rule_at_native_resolution(gref_pairs, gref_expected, made):
    """MIoU, oIoU, Acc and P equal RIS-DMMI's rule."""
    found = made.numbers("refzom", gref_pairs)
    wanted = gref_expected["refzom_rule_reimplemented_native_resolution"]
    names = {"miou": "mIoU", "oiou": "oIoU", "acc": "Acc", **{f"p_0.{n}": f"P@0.{n}" for n in range(5, 10)}}
    for ours, theirs in names.items():
        assert found[ours] * 100 == pytest.approx(wanted[theirs], abs=1e-6), ours


def test_counts_equal_every_row(gref_pairs, gref_expected, made):
    """Intersection and union of each of the 46 rows are the evaluator's."""
    frame = made.rows(PROTOCOLS["default"], gref_pairs)
    for number, (intersection, union) in gref_expected["per_row_I_U"].items():
        row = frame.iloc[int(number)]
        assert (row["intersection"], row["union"]) == (intersection, union), number


def saco_pairs(folder, annotators, made):
    """Return the (Decoded, GroundTruth) pairs of the SA-Co fixture for these annotators."""
    files = [
        json.loads(
            (folder / f"dataset-fixtures/saco_gold/gold_fixture_merged_{a}_release_test.json").read_text()
        )
        for a in annotators
    ]
    predictions = json.loads((folder / "known-answers/saco_gold_fixture_predictions.json").read_text())
    pairs = []
    for image in files[0]["images"]:
        truths = [saco_truth(file, image, made) for file in files]
        first = truths[0]
        truth = GroundTruth(
            first.height_px,
            first.width_px,
            first.instances,
            alternatives=tuple(truths[1:]),
            exhaustive=first.exhaustive,
        )
        mine = [p for p in predictions if p["image_id"] == image["id"]]
        masks = [rle_decode(made.rle(p["segmentation"])) for p in mine]
        pairs.append((made.decoded(masks, [p["score"] for p in mine]), truth))
    return pairs


def saco_truth(file, image, made):
    """Return one annotator's truth of one pair."""
    found = [a for a in file["annotations"] if a["image_id"] == image["id"]]
    own = next(i for i in file["images"] if i["id"] == image["id"])
    return GroundTruth(
        image["height"],
        image["width"],
        tuple(made.rle(a["segmentation"]) for a in found),
        exhaustive=bool(own["is_instance_exhaustive"]),
    )


@pytest.mark.parametrize(
    ("annotators", "key"), [("abc", "gold_fixture_oracle_segm"), ("a", "gold_fixture_a_only_segm")]
)
def test_saco_gives_the_official_numbers(shared_data, annotators, key, made):
    """cgF1, pmF1 and IL_MCC equal SAM 3's evaluator for one annotator and for the oracle over three."""
    wanted = json.loads((shared_data / "known-answers/saco_gold_fixture_expected.json").read_text())[key]
    found = made.numbers("saco", saco_pairs(shared_data, annotators, made))
    names = {"cgf1": "cgF1", "pmf1": "positive_micro_F1"}
    for ours, theirs in names.items():
        assert found[ours] == pytest.approx(wanted[f"cgF1_eval_segm_{theirs}"], abs=1e-9)
        for threshold in ("0.5", "0.75"):
            official = wanted[f"cgF1_eval_segm_{theirs}@{threshold}"]
            assert found[f"{ours}_{threshold}"] == pytest.approx(official, abs=1e-9)
    assert found["il_mcc"] == pytest.approx(wanted["cgF1_eval_segm_IL_MCC"], abs=1e-9)


def rows_from_file(model, samples, protocol):
    """Return the scored rows of a predictions file: read, decoded and counted as a run does."""
    rows = []
    for sample in samples:
        response = asyncio.run(model.ask(Question(sample, sample.expression, None)))
        truth = Truth(sample.truth)
        decoded = decode_answer(
            response.text,
            height_px=truth.height_px,
            width_px=truth.width_px,
            asked=AskedFormat(wire_format=None, keys=("mask",)),
        )
        counts = protocol.count(decoded, sample, truth)
        rows.append(
            count_row(decoded, truth)
            | {
                "outcome": decoded.outcome,
                "no_target": truth.no_target,
                "protocol_counts": None if counts is None else json.dumps(counts),
            }
        )
    return pd.DataFrame(rows)


def predictions_model(path, samples):
    """Return the model of one predictions file."""
    entry = {"name": "p", "provider": "predictions", "path": str(path)}
    run = RunConfig.model_validate({"name": "r", "datasets": [{"name": "d"}], "models": [entry]})
    return PredictionsModel(run.models[0], run, samples)


@pytest.mark.parametrize("empty_as_null", [True, False])
def test_a_predictions_file_gives_the_official_numbers(
    shared_data, gref_expected, tmp_path, made, empty_as_null
):
    """From JSON lines through the decoder to ReLA's numbers; an empty mask refuses just as null does."""
    known = json.loads((shared_data / "known-answers/gref_predictions.json").read_text())
    samples, lines = [], []
    for row in known:
        target = made.rle(row["gt"])
        instances = () if row["gt_no_target"] else (target,)
        truth = GroundTruth(target.height_px, target.width_px, instances)
        image = ImageRef("none.jpg")
        samples.append(Sample("d", "val", str(row["ref_id"]), str(row["image_id"]), image, "x", truth))
        mask = None if row["pred_no_target"] and empty_as_null else row["pred"]
        lines.append(json.dumps({"sample_id": str(row["ref_id"]), "mask": mask, "box": None}))
    (tmp_path / "p.jsonl").write_text("\n".join(lines))
    model = predictions_model(tmp_path / "p.jsonl", samples)
    found = values_of("rela", rows_from_file(model, samples, PROTOCOLS["rela"]))
    assert found["giou"] * 100 == pytest.approx(gref_expected["rela_official"]["gIoU"], abs=1e-6)
    assert found["n_acc"] == pytest.approx(gref_expected["rela_official"]["N_acc"], abs=1e-6)


def test_a_coco_results_file_gives_the_official_numbers(shared_data, made):
    """The evaluator's own input file, image ids without an entry included, gives its cgF1."""
    pairs = saco_pairs(shared_data, "abc", made)
    file = json.loads(
        (shared_data / "dataset-fixtures/saco_gold/gold_fixture_merged_a_release_test.json").read_text()
    )
    ids = [str(image["id"]) for image in file["images"]]
    samples = [
        Sample("d", "gold", pair_id, pair_id, ImageRef("none.jpg"), "x", truth)
        for pair_id, (_, truth) in zip(ids, pairs, strict=True)
    ]
    model = predictions_model(shared_data / "known-answers/saco_gold_fixture_predictions.json", samples)
    rows = rows_from_file(model, samples, PROTOCOLS["saco"])
    wanted = json.loads((shared_data / "known-answers/saco_gold_fixture_expected.json").read_text())
    official = wanted["gold_fixture_oracle_segm"]["cgF1_eval_segm_cgF1"]
    assert values_of("saco", rows)["cgf1"] == pytest.approx(official, abs=1e-9)
