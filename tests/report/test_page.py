"""The report as files: what each page says, that it is whole, and that texts of models are harmless."""

import base64
import json
import re
import shutil
import zlib
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from evalkit.cli.app import main
from evalkit.comparison.compare import compare_runs
from evalkit.comparison.words import comparison_json
from evalkit.decoding.codes import FAILURES
from evalkit.errors import DataError
from evalkit.report import build_report
from evalkit.report.chunk_files import safe_json
from evalkit.report.headline import decided
from evalkit.storage.files import write_json
from evalkit.storage.run_folder import RunFolder

from .conftest import EXPRESSION, HOSTILE


class Links(HTMLParser):
    """Collects every address that a page refers to, its scripts and its text."""

    def __init__(self):
        super().__init__()
        self.addresses, self.inline_scripts, self.text = [], [], []
        self.in_script = False

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.addresses += [attributes[key] for key in ("href", "src") if attributes.get(key)]
        self.in_script = tag == "script"
        if tag == "script" and "src" not in attributes:
            self.inline_scripts.append(attributes.get("type"))
        assert not any(key.startswith("on") for key in attributes)

    def handle_endtag(self, tag):
        self.in_script = False

    def handle_data(self, data):
        if not self.in_script:
            self.text.append(data)


def read(path):
    """Return a page's parsed links and texts."""
    parsed = Links()
    parsed.feed(path.read_text(encoding="utf-8"))
    return parsed


def pages_of(page):
    """Return every page of a report."""
    return [page, page.parent / "sample.html"]


def gallery_of(page):
    """Return the gallery's data."""
    text = next(page.parent.glob("data/index-*.js")).read_text(encoding="utf-8")
    return json.loads(text.removeprefix("window.EVALKIT_INDEX = ").removesuffix(";\n"))


def members_of(page, name):
    """Return the JSON values of one chunk."""
    text = (page.parent / "data" / f"{name}.js").read_text(encoding="ascii")
    members = json.loads(text.removeprefix(f'EVALKIT.put("{name}",').removesuffix(");\n"))
    return [json.loads(zlib.decompress(base64.b64decode(member))) for member in members]


def details_of(page, sample_id):
    """Return the number of a sample and the details that its page shows."""
    index = gallery_of(page)
    number = next(n for n, sample in enumerate(index["samples"]) if sample["id"] == sample_id)
    chunk = index["chunks"][index["samples"][number]["c"]]
    return number, members_of(page, chunk)[1][str(number)]


def test_every_address_stays_in_the_folder(page):
    """Nothing is loaded from a network, and every file that is named exists."""
    root = page.parent.resolve()
    for path in pages_of(page):
        for address in read(path).addresses:
            assert not re.match(r"[a-z]+:", address) or address == "data:,"
            target = (path.parent / address.split("#")[0]).resolve() if address.split("#")[0] else path
            if address != "data:,":
                assert target.exists(), f"{path.name} names {address}"
                assert root in (target, *target.parents)


def test_no_page_names_a_network(page):
    """Scripts, styles and figures hold no address of a server but XML's own names."""
    for path in page.parent.rglob("*"):
        if path.suffix in (".js", ".css", ".svg"):
            text = path.read_text(encoding="utf-8")
            found = set(re.findall(r"https?://[^\s\"'<>)]+", text))
            assert all(address.startswith("http://www.w3.org/") or "matplotlib" in address or "purl" in address
                       or "creativecommons" in address for address in found), (path, found)  # fmt: skip


def test_texts_of_models_are_texts(page):
    """A hostile answer and a quoted expression are shown as they are and start nothing."""
    for path in pages_of(page):
        parsed = read(path)
        assert parsed.inline_scripts == []
        markup = path.read_text(encoding="utf-8")
        assert "<script>window.stolen" not in markup
        assert "<img src=x" not in markup
    for path in (page.parent / "data").iterdir():
        assert "<" not in path.read_text(encoding="utf-8")
    assert details_of(page, "0:1")[1]["answers"][1]["raw"] == HOSTILE
    assert any(sample["x"] == EXPRESSION for sample in gallery_of(page)["samples"])


def test_first_page_says_what_a_reader_needs(page):
    """Verdict, headline numbers with intervals, what answered, what failed and the settings are there."""
    text = " ".join("".join(read(page).text).split())
    assert "good segments best." in text
    for heading in (
        "gIoU",
        "cIoU",
        "P@0.5",
        "Format failures",
        "Strict failures",
        "Not run",
        "Latency",
        "Cost",
    ):
        assert heading in text
    assert "another model answered" in text
    assert "503 overloaded" in text
    assert "Resolved configuration" in text
    assert "Simulated answers" not in text


def test_page_terminal_and_compare_say_one_sentence(page, run_folder):
    """The decision comes from one engine: `compare`, what `run` prints and the first screen agree to the letter."""
    document = comparison_json(compare_runs([RunFolder(run_folder)]), 0.02)
    found = document["decisions"][0]
    text = " ".join("".join(read(page).text).split())
    for sentence in (found["headline"], *found["details"], *found["against"], *document["objections"]):
        assert sentence in text
        assert sentence in decided(page)


def test_numbers_are_those_of_the_summary(page, run_folder):
    """The table repeats summary.json, to the digits shown."""
    result = next(
        r for r in RunFolder(run_folder).summary().results if r["model"] == "good" and r["slice"] == "all"
    )
    text = "".join(read(page).text)
    giou = result["giou"]
    assert f"{giou['value']:.3f}" in text
    assert f"{giou['low']:.3f} to {giou['high']:.3f}" in text


def test_who_answered_stands_with_the_verdict(page, run_folder, tmp_path, without_figures):
    """Another model's answers and thinking that was off are told before any number."""
    asked = "poor asked for gemini-3.6-flash and was answered by gemini-3.8-flash (15 answers)."
    verdict = page.read_text().split('id="comparison"')[0]
    assert asked in verdict
    assert "asked not to think" not in verdict
    target = tmp_path / "thinking"
    shutil.copytree(run_folder, target, ignore=shutil.ignore_patterns("report"))
    summary = RunFolder(target).summary().to_json()
    summary |= {"routed": [], "unasked_thinking": [{"model": "good", "n": 3, "thought_tokens": 1234}]}
    write_json(target / "summary.json", summary)
    text = build_report([target]).read_text()
    assert asked not in text
    assert "good was asked not to think, and thought in 3 answers (1,234 tokens, billed)." in text


def test_repeats_are_those_of_the_summary(both_page, later_folder):
    """Spread and agreement of the trials repeat summary.json, and the gallery says which trial it shows."""
    result = next(
        r for r in RunFolder(later_folder).summary().results if r["model"] == "poor" and r["slice"] == "all"
    )
    text = both_page.read_text()
    row = text[text.index("Masks agree") :].split("poor @ later")[1]
    shown = [part.split("<")[0] for part in row.split('class="value">')[1:4]]
    trials = result["trials"]
    wanted = (trials["giou_sd"], trials["iou_sd_within_sample"], trials["agreement"]["value"])
    assert shown == [f"{value:.3f}" for value in wanted]
    assert "Of 2 trials the first is shown." in text


def test_gallery_holds_every_answer(page, run_folder):
    """One entry per row of the first trial, with its outcome, failure and IoU."""
    data = gallery_of(page)
    scores = RunFolder(run_folder).scores()
    answers = data["answers"]
    assert len(answers["s"]) == len(scores)
    assert {len(column) for column in answers.values()} == {len(scores)}
    rows = {(row["sample_id"], row["model"]): row for row in scores.to_dict("records")}
    for place, number in enumerate(answers["s"]):
        row = rows.pop((data["samples"][number]["id"], data["models"][answers["m"][place]]["label"]))
        assert data["outcomes"][answers["o"][place]] == row["outcome"]
        assert answers["v"][place] == (None if np.isnan(row["iou"]) else pytest.approx(row["iou"], abs=1e-4))
        failure = answers["f"][place]
        assert (data["failures"][failure] if failure >= 0 else None) == (
            row["failure"] if isinstance(row["failure"], str) else None
        )
    assert not rows


def test_details_put_all_models_side_by_side(page):
    """A sample's details hold both models, the raw answer, the failure and the prompt."""
    _, details = details_of(page, "1:0")
    good, poor = details["answers"]
    assert poor["raw"].startswith('[{"box_2d"')
    assert "<start_of_mask><seg_1>" in poor["raw"]
    assert poor["row"]["failure"] == "mask_tokens"
    assert ["Answered as", "gemini-3.8-flash"] in poor["facts"]
    assert "disc number 1" in details["prompts"][good["prompt"]]
    assert gallery_of(page)["failureWords"]["mask_tokens"] == FAILURES["mask_tokens"]


def test_a_missing_photograph_is_said(page):
    """Where the picture is gone its place is empty and the index says why; the masks are there."""
    index = gallery_of(page)
    number, _ = details_of(page, "7:0")
    sample = index["samples"][number]
    assert "does not exist" in index["photographs"]["missing"][str(sample["i"])]
    drawn = members_of(page, index["chunks"][sample["c"]])[0][str(number)]
    assert drawn["t"] is not None
    assert drawn["a"]["0"][0] is not None


def test_every_sample_is_shown(page):
    """None is left out: each has a chunk, and the page says so."""
    assert all(sample["c"] >= 0 for sample in gallery_of(page)["samples"])
    assert "Every answer to all 16 samples is here." in page.read_text()
    assert "ids and the first 180 characters of each answer" in page.read_text()


def test_tables_and_figures_are_files(page):
    """Tables come as CSV, Markdown and LaTeX, figures as SVG and PNG."""
    tables = {path.name for path in (page.parent / "tables").iterdir()}
    assert {
        "headline.csv",
        "headline.md",
        "headline.tex",
        "pairs.csv",
        "tags.csv",
        "precision-at-iou.csv",
    } <= tables
    figures = {path.name for path in (page.parent / "figures").iterdir()}
    assert {"outcomes.svg", "iou-distribution.png", "precision-at-iou.svg", "quality-latency.png"} <= figures
    header, first, *_ = (page.parent / "tables/headline.csv").read_text().splitlines()
    assert header.startswith("model,n,giou,giou_low,giou_high")
    assert first.startswith("good,16,")


def test_simulated_and_partial_are_said_on_every_page(both_page):
    """A banner stands on each page where any run was simulated or did not finish."""
    for path in pages_of(both_page):
        text = "".join(read(path).text)
        assert "Simulated answers." in text
        assert "later did not finish" in text


def test_several_runs_speak_of_what_changed(both_page):
    """The headline names the model that got worse; repeats and the change of each answer are there."""
    text = " ".join("".join(read(both_page).text).split())
    assert "good got worse since shapes-run." in text
    assert "Repeats" in text
    data = gallery_of(both_page)
    assert data["hasChange"]
    assert min(change for change in data["answers"]["c"] if change is not None) < -0.1
    assert [model["label"] for model in data["models"]] == [
        "good @ shapes-run", "poor @ shapes-run", "good @ later", "poor @ later"
    ]  # fmt: skip


def test_rebuilding_gives_the_same_files(run_folder, page, tmp_path):
    """Addresses of samples and every text stay the same from one build to the next."""
    again = build_report([run_folder], tmp_path / "again")
    ours = {p.relative_to(page.parent): p for p in page.parent.rglob("*") if p.is_file()}
    theirs = {p.relative_to(again.parent): p for p in again.parent.rglob("*") if p.is_file()}
    assert ours.keys() == theirs.keys()
    for name, path in ours.items():
        assert path.read_bytes() == theirs[name].read_bytes(), name


def test_another_folder_is_not_replaced(run_folder, tmp_path):
    """A folder that is no report is refused, and left as it was."""
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(DataError, match=r"is not a report.*give another folder"):
        build_report([run_folder], tmp_path)
    assert (tmp_path / "mine.txt").read_text() == "keep"


@pytest.mark.usefixtures("without_figures")
def test_command_writes_the_report(run_folder, tmp_path):
    """`evalkit report RUN --out DIR` prints where the page is."""
    done = CliRunner().invoke(main, ["report", str(run_folder), "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert Path(done.output.removeprefix("report: ").strip()) == tmp_path / "out" / "index.html"


def test_command_refuses_what_is_no_run(tmp_path):
    """A folder without a manifest is one clear sentence and exit code 2."""
    done = CliRunner().invoke(main, ["report", str(tmp_path)])
    assert done.exit_code == 2
    assert "is not a run folder" in done.output


def test_json_is_inert_inside_a_script():
    """No text can close the element, and reading it back gives the same value."""
    value = {"a": "</script><!-- \u2028 & 'x'"}
    text = safe_json(value)
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == value
