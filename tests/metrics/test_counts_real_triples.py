"""Real photographs, human expressions and COCO masks through the whole job; skipped where they are absent."""

import json

import pandas as pd
from click.testing import CliRunner
from support.shared_data import need_shared

from evalkit.cli.app import main


def test_real_triples_run_as_a_jsonl_dataset(tmp_path):
    """17 triples on 15 photographs: perfect answers score near 1, refusals of the 5 no-targets score 1."""
    data = need_shared("refcocos")
    triples = json.loads((data / "triples.json").read_text())
    rows = [
        {
            "id": triple["id"],
            "image": str(data / triple["image"]),
            "image_id": triple["image_id"],
            "expression": triple["expression"],
            "mask": None if triple["mask"] is None else str(data / triple["mask"]),
            "no_target": triple["mask"] is None,
            "tags": {"hops": triple["annotator_categories"]["hops"]},
        }
        for triple in triples
    ]
    (tmp_path / "triples.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    (tmp_path / "run.yaml").write_text(
        "name: triples\n"
        "datasets: [{name: triples, format: jsonl, path: triples.jsonl}]\n"
        "models:\n"
        "  - {name: perfect, provider: simulator, persona: perfect, latency_s: 0.001}\n"
        "  - {name: floor, provider: python, function: whole-image}\n"
    )
    out = tmp_path / "out"
    result = CliRunner().invoke(main, ["run", str(tmp_path / "run.yaml"), "--out", str(out), "--yes"])
    assert result.exit_code == 0, result.output
    scores = pd.read_parquet(out / "scores.parquet")
    perfect = scores[scores.model == "perfect"]
    assert len(perfect) == 17
    assert perfect.image_id.nunique() == 15
    assert (perfect[perfect.no_target].iou == 1).all()
    assert perfect[~perfect.no_target].iou.min() > 0.85
    targets = {t["id"]: t["mask_area"] for t in triples if "mask_area" in t}
    for row in perfect.itertuples():
        assert row.gt_area == targets.get(row.sample_id, row.gt_area)
    assert scores[scores.model == "floor"].iou.mean() < 0.4
