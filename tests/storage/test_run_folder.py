"""The run folder: samples and truths come back, whole files only, other configs refused."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from evalkit.config.schema import RunConfig
from evalkit.errors import ConfigError, DataError
from evalkit.masks import region_mask, rle_encode
from evalkit.storage.files import write_json
from evalkit.storage.ledger import AttemptRow, Key, Ledger
from evalkit.storage.run_folder import RunFolder, open_for_run
from evalkit.storage.samples_table import SAMPLES_PER_CHUNK, row_of_sample, sample_from_row, write_samples
from evalkit.types import GroundTruth, ImageRef, Polygons, Sample


def sample(number=0, truth=None, **changes):
    values = {
        "dataset": "d",
        "split": "val",
        "sample_id": f"s{number}",
        "image_id": f"i{number // 2}",
        "image": ImageRef("a.png"),
        "expression": 'the "left" cup, 左',
        "truth": truth or GroundTruth(4, 6, (Polygons(((0, 0, 3, 0, 3, 3),)),)),
        "tags": {"category": "ordering"},
    }
    return Sample(**(values | changes))


def config(**changes):
    base = {
        "name": "x",
        "datasets": [{"name": "everyday"}],
        "models": [{"name": "a", "provider": "python", "function": "whole-image"}],
    }
    return RunConfig.model_validate(base | changes)


def folder(tmp_path, **manifest):
    path = tmp_path / "run"
    path.mkdir()
    made = config()
    write_json(
        path / "manifest.json",
        {
            "name": "x",
            "config": made.model_dump(mode="json"),
            "answers_fingerprint": made.answers_fingerprint(),
        }
        | manifest,
    )
    return path


def answer(path):
    """Store one answer of the config's model."""
    with Ledger(path / "responses.sqlite") as ledger:
        ledger.add(AttemptRow(Key(config().models[0].name, "d", "a", 0), 1, "answered", 0.0, body="{}"))


masks = hnp.arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9)))


@given(target=masks)
def test_a_sample_comes_back_with_equal_pixels(target):
    """Row and back: every field, and the truth to the pixel."""
    height, width = target.shape
    truth = GroundTruth(
        height,
        width,
        (rle_encode(target),),
        ignore=rle_encode(~target),
        box_px_xyxy=(0.5, 1.0, 2.0, 3.0),
        alternatives=(GroundTruth(height, width, ()),),
        exhaustive=False,
    )
    before = sample(truth=truth)
    after = sample_from_row(json.loads(json.dumps(row_of_sample(before))))
    assert after == before
    assert np.array_equal(region_mask(after.truth.instances[0], height, width), target)


def test_chunks_hold_all_samples_in_order(tmp_path):
    """Reading chunk by chunk gives every sample once, in the run's order."""
    path = folder(tmp_path)
    written = [sample(number) for number in range(SAMPLES_PER_CHUNK + 3)]
    fingerprints = write_samples(path / "samples.parquet", written)
    run = RunFolder(path)
    chunks = list(run.sample_chunks())
    assert [len(chunk) for chunk in chunks] == [SAMPLES_PER_CHUNK, 3]
    assert [s.sample_id for chunk in chunks for s in chunk] == [s.sample_id for s in written]
    assert fingerprints["d"]["samples"] == len(written)
    assert run.sample("d", "s7").sample_id == "s7"


def test_the_fingerprint_sees_a_changed_mask_and_a_changed_word(tmp_path):
    """Two datasets have one fingerprint only if ids, expressions and masks are equal."""

    def digest(*samples):
        return write_samples(tmp_path / "s.parquet", samples)["d"]["sha256"]

    other_mask = GroundTruth(4, 6, (Polygons(((0, 0, 5, 0, 5, 3),)),))
    assert digest(sample()) == digest(sample())
    assert len({digest(sample()), digest(sample(truth=other_mask)), digest(sample(expression="y"))}) == 3


def test_an_unknown_sample_is_a_data_error(tmp_path):
    """Asking for a sample that was not run says so."""
    path = folder(tmp_path)
    write_samples(path / "samples.parquet", [sample()])
    with pytest.raises(DataError, match="no sample 'zzz'"):
        RunFolder(path).sample("d", "zzz")


def test_a_folder_without_manifest_is_no_run(tmp_path):
    """The wrong folder is named with the way out."""
    with pytest.raises(DataError, match="is not a run folder"):
        RunFolder(tmp_path)


def test_an_unscored_run_says_how_to_score_it(tmp_path):
    """Scores that are not there yet are not an empty table."""
    with pytest.raises(DataError, match="evalkit score"):
        RunFolder(folder(tmp_path)).scores()


def test_a_folder_of_the_same_config_is_resumed(tmp_path):
    """The same questions resume, a changed threshold too."""
    path = folder(tmp_path)
    assert open_for_run(path, config())
    assert open_for_run(path, config(decode={"threshold": 90}))
    assert not open_for_run(tmp_path / "new", config())


def test_a_folder_of_another_config_is_refused_with_what_differs(tmp_path):
    """Answers to other questions are never mixed."""
    path = folder(tmp_path)
    assert open_for_run(path, config(seed=3)), "nothing was answered yet, so nothing can be mixed"
    answer(path)
    with pytest.raises(ConfigError, match="belongs to another config: .*seed: 0, now 3"):
        open_for_run(path, config(seed=3))


@pytest.mark.parametrize("gone", [True, False])
def test_a_ledger_that_is_gone_is_no_reason_to_ask_all_again(tmp_path, gone):
    """The manifest counts answers that are not there: an error, not a second bill."""
    path = folder(tmp_path)
    manifest = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps(manifest | {"counts": {"answered": 7}}))
    if gone:
        (path / "responses.sqlite").unlink(missing_ok=True)
    else:
        Ledger(path / "responses.sqlite").close()
    with pytest.raises(DataError, match="counts 7 answers"):
        open_for_run(path, config())


def test_a_folder_of_something_else_is_not_written_into(tmp_path):
    """A folder that holds a user's files is left alone."""
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(ConfigError, match="is not a run folder"):
        open_for_run(tmp_path, config())


def test_a_run_of_an_older_evalkit_is_resumed_though_keys_were_added_since(tmp_path):
    """Its config lacks the new keys and its digest is another one: what was asked is the same all the same."""
    older = config().model_dump(mode="json")
    del older["datasets"][0]["options"]
    path = folder(tmp_path, config=older, answers_fingerprint="of fewer keys")
    assert open_for_run(path, config())
    answer(path)
    assert open_for_run(path, config())
    with pytest.raises(ConfigError, match="belongs to another config: .*seed: 0, now 3"):
        open_for_run(path, config(seed=3))


def test_a_damaged_manifest_is_a_data_error(tmp_path):
    """Half a JSON file is named."""
    path = folder(tmp_path)
    (path / "manifest.json").write_text('{"name": ')
    with pytest.raises(DataError, match="cannot be read as JSON"):
        _ = RunFolder(path).manifest
