"""Predictions made elsewhere become answers in the wire format that the decoder reads."""

import asyncio
import json
import logging

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from pydantic import ValidationError

from evalkit.cli.app import main
from evalkit.config.schema import RunConfig
from evalkit.decoding import decode_answer
from evalkit.errors import ConfigError, DataError, GiveUp
from evalkit.masks import full_mask, rle_decode, rle_encode
from evalkit.metrics.counts import count_row
from evalkit.metrics.truth import Truth
from evalkit.models.base import Question
from evalkit.models.predictions import PROVIDER, PredictionsConfig, PredictionsModel
from evalkit.types import AskedFormat, GroundTruth, ImageRef, Rle, Sample


def sample(sample_id, image_id="i", dataset="d"):
    """Return a sample on an image of 4 x 6 pixels."""
    return Sample(dataset, "val", sample_id, image_id, ImageRef("none.jpg"), "thing", GroundTruth(4, 6))


def mask(x0, x1):
    """Return the JSON of a mask that covers columns x0 .. x1 - 1."""
    pixels = np.zeros((4, 6), dtype=bool)
    pixels[:, x0:x1] = True
    return rle_encode(pixels).to_json()


def model_of(tmp_path, predictions, samples, task="mask"):
    """Return the model of predictions written as JSON lines (list of dict) or as they are (text)."""
    text = predictions if isinstance(predictions, str) else "\n".join(map(json.dumps, predictions))
    (tmp_path / "p.jsonl").write_text(text + "\n")
    run = RunConfig.model_validate(
        {
            "name": "r",
            "task": task,
            "datasets": [{"name": "d"}],
            "models": [{"name": "p", "provider": "predictions", "path": "p.jsonl"}],
            "directory": str(tmp_path),
        }
    )
    config = run.models[0]
    assert isinstance(config, PredictionsConfig)
    return PredictionsModel(config, run, samples)


def answer(model, asked):
    """Return the text of the answer about a sample."""
    return asyncio.run(model.ask(Question(asked, model.prompt_for(asked), None))).text


def test_several_lines_are_several_instances(tmp_path):
    """Lines of one sample, in any order in the file, become its items with box and score."""
    one, two = sample("1"), sample("2")
    lines = [
        {"sample_id": "1", "mask": mask(0, 2), "score": 0.9, "box": [0, 0, 2, 4]},
        {"sample_id": "2", "mask": mask(1, 3)},
        {"sample_id": "1", "mask": mask(4, 6), "label": "right"},
    ]
    model = model_of(tmp_path, lines, [one, two])
    items = json.loads(answer(model, one))
    assert [item["score"] for item in items] == [0.9, None]
    assert [item["box_px"] for item in items] == [[0, 0, 2, 4], None]
    assert items[1]["label"] == "right"
    assert items[0]["mask"] == mask(0, 2)
    assert len(json.loads(answer(model, two))) == 1


@pytest.mark.parametrize("line", [{"mask": None, "box": None}, {}])
def test_nothing_marked_is_a_refusal(tmp_path, line):
    """Null mask and box, and no keys at all, say that nothing fits."""
    model = model_of(tmp_path, [{"sample_id": "1"} | line], [sample("1")])
    assert answer(model, sample("1")) == "[]"


@pytest.mark.parametrize("lines", [1, 2])
def test_a_mask_without_a_pixel_is_a_refusal_that_shows(tmp_path, lines):
    """It says that nothing fits, and stays in the text once: GSEval scores it as a prediction."""
    model = model_of(tmp_path, [{"sample_id": "1", "mask": mask(3, 3)}] * lines, [sample("1")])
    text = answer(model, sample("1"))
    assert json.loads(text) == [{"mask": mask(3, 3)}]
    decoded = decode_answer(text, height_px=4, width_px=6, asked=AskedFormat(None, keys=("mask",)))
    assert decoded.outcome == "no_target"
    assert [item.failure for item in decoded.items] == ["mask_empty"]


def test_a_mask_without_a_pixel_is_no_object_beside_others(tmp_path):
    """Only the mask that marks something is an instance."""
    lines = [{"sample_id": "1", "mask": mask(3, 3)}, {"sample_id": "1", "mask": mask(0, 2)}]
    (item,) = json.loads(answer(model_of(tmp_path, lines, [sample("1")]), sample("1")))
    assert item["mask"] == mask(0, 2)


def test_a_box_alone_stays_a_box(tmp_path):
    """A box without a mask invents no pixels."""
    model = model_of(tmp_path, [{"sample_id": "1", "box": [0, 1, 2, 3]}], [sample("1")], task="box")
    (item,) = json.loads(answer(model, sample("1")))
    assert item["mask"] is None
    assert item["box_px"] == [0, 1, 2, 3]


def test_a_raw_answer_is_passed_on_untouched(tmp_path):
    """The text of a model is decoded like that model's own answers."""
    raw = '```json\n[{"box_2d": [0, 0, 10, 10]}]\n```'
    model = model_of(tmp_path, [{"sample_id": "1", "text": raw}], [sample("1")])
    assert answer(model, sample("1")) == raw


def test_the_stored_body_reads_back_as_the_answer(tmp_path):
    """Scoring stored answers sees what asking returned."""
    model = model_of(tmp_path, [{"sample_id": "1", "mask": mask(0, 2)}], [sample("1")])
    asked = asyncio.run(model.ask(Question(sample("1"), "thing", None)))
    assert PROVIDER.read_body(asked.body) == asked


def test_a_missing_prediction_is_not_run(tmp_path, caplog):
    """A sample without a line is no answer, and the log counts and names it and the unknown ids."""
    caplog.set_level(logging.WARNING)
    lines = [{"sample_id": "1", "mask": mask(0, 1)}, {"sample_id": "zzz", "mask": mask(0, 1)}]
    model = model_of(tmp_path, lines, [sample("1"), sample("2")])
    with pytest.raises(GiveUp, match="no prediction for sample '2'"):
        answer(model, sample("2"))
    assert model.missing == [("d", "2")]
    assert model.unknown_ids == ["zzz"]
    assert "1 of 2 samples" in caplog.text
    assert "'zzz'" in caplog.text


def test_a_file_of_other_ids_is_refused(tmp_path):
    """Where no id matches, the error shows both kinds of ids."""
    with pytest.raises(ConfigError, match=r"'a:1'.*'1:1'"):
        model_of(tmp_path, [{"sample_id": "a:1", "mask": None}], [sample("1:1")])


def test_coco_results_match_by_image_and_say_nothing_by_absence(tmp_path):
    """One expression an image: image_id is enough; an image without an entry has no detection."""
    entries = [
        {
            "image_id": 7,
            "category_id": 1,
            "segmentation": mask(0, 2),
            "bbox": [0.1, 0.1, 0.2, 0.2],
            "score": 0.4,
        },
        {"image_id": 7, "category_id": 1, "segmentation": [[0, 0, 3, 0, 3, 4, 0, 4]], "score": 0.8},
    ]
    samples = [sample("a", "7"), sample("b", "8")]
    model = model_of(tmp_path, json.dumps(entries), samples)
    items = json.loads(answer(model, samples[0]))
    assert [item["score"] for item in items] == [0.4, 0.8]
    assert [item["box_px"] for item in items] == [None, None]
    drawn = rle_decode(Rle(4, 6, items[1]["mask"]["counts"].encode()))
    assert drawn[:, :3].all()
    assert not drawn[:, 3:].any()
    assert answer(model, samples[1]) == "[]"


def test_coco_boxes_become_corners(tmp_path):
    """A bbox of a results file is x, y, width, height."""
    model = model_of(
        tmp_path, json.dumps([{"sample_id": "1", "bbox": [1, 1, 3, 2]}]), [sample("1")], task="box"
    )
    assert json.loads(answer(model, sample("1")))[0]["box_px"] == [1, 1, 4, 3]


def test_an_image_with_two_expressions_needs_sample_ids(tmp_path):
    """An image_id that means two samples is refused, not dealt out."""
    entries = json.dumps([{"image_id": 7, "segmentation": mask(0, 2)}])
    with pytest.raises(DataError, match="entry 0: the id means 2 samples"):
        model_of(tmp_path, entries, [sample("a", "7"), sample("b", "7")])


def test_datasets_that_share_ids_are_told_apart(tmp_path):
    """The key "dataset" says which; without it the line is refused."""
    samples = [sample("1", dataset="d"), sample("1", dataset="e")]
    lines = [{"sample_id": "1", "dataset": "e", "mask": mask(0, 2)}]
    assert model_of(tmp_path, lines, samples).missing == [("d", "1")]
    other_image = sample("1", "8", dataset="e")
    with pytest.raises(DataError, match="d and e"):
        model_of(tmp_path, [{"sample_id": "1", "mask": mask(0, 2)}], [samples[0], other_image])


def test_a_dataset_listed_twice_needs_one_line_a_sample(tmp_path):
    """Two names for one dataset, to score it by two protocols, share its predictions."""
    samples = [sample("1", dataset="d"), sample("1", dataset="e")]
    assert model_of(tmp_path, [{"sample_id": "1", "mask": mask(0, 2)}], samples).missing == []


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("not json", "not a JSON object"),
        ("3", "a int, not a JSON object"),
        ('{"mask": null}', 'needs "sample_id"'),
        ('{"sample_id": "1", "mask": "x.png"}', "the mask is a str"),
        ('{"sample_id": "1", "mask": ["x.png"]}', "the mask is a list"),
        ('{"sample_id": "1", "mask": {"size": [6, 4], "counts": "0"}}', r"size \[4, 6\]"),
        ('{"sample_id": "1", "mask": {"size": [4, 6], "counts": [1, 2]}}', "add up to 3"),
        ('{"sample_id": "1", "box": [1, 2, 3]}', "four numbers"),
        ('{"sample_id": "1", "bbox": [0.1, 0.1, 0.2, 0.2]}', "fractions of the image"),
    ],
)
def test_a_bad_line_is_named(tmp_path, line, problem):
    """Every malformed prediction is refused with file and line before anything is asked."""
    good = json.dumps({"sample_id": "1", "mask": None})
    with pytest.raises(DataError, match=problem) as caught:
        model_of(tmp_path, f"{good}\n\n{line}", [sample("1")])
    assert "p.jsonl:3" in str(caught.value)


def test_a_missing_file_is_a_config_error(tmp_path):
    """The error names the model and the path."""
    run = RunConfig.model_validate(
        {
            "name": "r",
            "datasets": [{"name": "d"}],
            "models": [{"name": "p", "provider": "predictions", "path": "none.jsonl"}],
            "directory": str(tmp_path),
        }
    )
    with pytest.raises(ConfigError, match=r"'p'.*none\.jsonl"):
        PredictionsModel(run.models[0], run, [])


def write_run(tmp_path, n_samples, missing):
    """Write photographs, polygons without a size and boxes around them; return the run's config path."""
    ring, box = [10, 10, 30, 10, 30, 30, 10, 30], [10, 10, 30, 30]
    samples, lines = [], []
    for number in range(n_samples):
        if number not in missing:
            Image.new("RGB", (60, 40)).save(tmp_path / f"{number}.png")
        samples.append({"id": str(number), "image": f"{number}.png", "expression": "x", "mask": [ring]})
        lines.append({"sample_id": str(number), "box": box, "mask": [ring]})
    (tmp_path / "d.jsonl").write_text("\n".join(map(json.dumps, samples)))
    (tmp_path / "p.jsonl").write_text("\n".join(map(json.dumps, lines)))
    run = {
        "name": "r",
        "datasets": [{"name": "d", "format": "jsonl", "path": "d.jsonl"}],
        "models": [{"name": "p", "provider": "predictions", "path": "p.jsonl"}],
    }
    (tmp_path / "r.yaml").write_text(json.dumps(run))
    return str(tmp_path / "r.yaml")


def test_a_photograph_that_alone_says_the_size_is_a_data_error_row(tmp_path):
    """One of twelve is missing: its row is no model's fault and in no mean, the page is still drawn."""
    config = write_run(tmp_path, 12, missing={5})
    result = CliRunner().invoke(main, ["run", config, "--out", str(tmp_path / "out"), "--yes"])
    assert result.exit_code == 0, result.output
    summary = json.loads((tmp_path / "out/summary.json").read_text())["results"][0]
    assert summary["outcomes"] == {"decoded": 11, "data_error": 1}
    assert summary["giou"]["value"] == 1.0


def test_a_dataset_of_which_no_size_is_known_is_refused(tmp_path):
    """The only photograph is missing: nothing could be scored, and the message says what to do."""
    config = write_run(tmp_path, 1, missing={0})
    result = CliRunner().invoke(main, ["run", config, "--out", str(tmp_path / "out"), "--yes"])
    assert result.exit_code == 2
    assert "1 of 1 images are missing" in result.output
    assert "no annotation says their size" in result.output


def test_boxes_keep_their_fractions(tmp_path):
    """A box equal to the truth's, fractions included, has box IoU 1; outside the image it is cut."""
    truth = GroundTruth(
        40, 60, (rle_encode(np.ones((40, 60), dtype=bool)),), box_px_xyxy=(1.25, 2.5, 30.5, 40)
    )
    one = Sample("d", "val", "1", "i", ImageRef("none.jpg"), "thing", truth)
    model = model_of(tmp_path, [{"sample_id": "1", "box": [1.25, 2.5, 30.5, 44.0]}], [one], task="box")
    answer = asyncio.run(model.ask(Question(one, "thing", None)))
    decoded = decode_answer(
        answer.text,
        height_px=40,
        width_px=60,
        asked=AskedFormat(wire_format=None, keys=("box_px",), task="box"),
    )
    assert count_row(decoded, Truth(truth))["box_iou"] == 1.0


BOXES = json.dumps([{"bbox_2d": [1, 0, 3, 4], "mask": [[1, 0], [3, 0], [3, 4], [1, 4]]}])


@pytest.mark.parametrize(
    ("convention", "columns"),
    [
        ({"box_order": "xyxy", "unit": "pixel", "keys": ["bbox_2d", "mask"]}, [1, 2]),
        ("in-pixels", [1, 2]),
    ],
)
def test_raw_answers_are_read_by_the_stated_convention(convention, columns):
    """Named by a prompt or stated outright; whoever changes it asks nothing again."""
    own = {
        "text": "{expression}",
        "unit": "pixel",
        "keys": ["bbox_2d", "mask"],
        "wire_format": "polygon_pairs",
    }
    model = {"name": "p", "provider": "predictions", "path": "p.jsonl"}
    runs = [
        RunConfig.model_validate(
            {"name": "r", "datasets": [{"name": "d"}], "prompts": {"in-pixels": own}, "models": [entry]}
        )
        for entry in (model, model | {"convention": convention})
    ]
    asked = PROVIDER.asked(runs[1].models[0], runs[1])
    decoded = decode_answer(BOXES, height_px=4, width_px=6, asked=asked)
    assert np.flatnonzero(full_mask(decoded.mask).any(axis=0)).tolist() == columns
    assert decoded.strict
    assert runs[0].answers_fingerprint() == runs[1].answers_fingerprint()


def test_a_convention_that_names_no_prompt_is_told_before_the_run():
    """The nearest name is given; so is a pair that cannot be."""
    model = {"name": "p", "provider": "predictions", "path": "p.jsonl"}
    base = {"name": "r", "datasets": [{"name": "d"}]}
    run = RunConfig.model_validate(base | {"models": [model | {"convention": "qwen-boxes"}]})
    with pytest.raises(ConfigError, match="qwen-box"):
        PROVIDER.check(run.models[0], run)
    with pytest.raises(ValidationError, match="unit: pixel"):
        PredictionsConfig.model_validate(model | {"convention": {"unit": "pixel", "frame": "box"}})
