"""Progress: plain lines where the output is no terminal, counts that add up."""

import io

import pytest

from evalkit import progress
from evalkit.progress import SCORING, Progress, Tally


def test_plain_lines_show_done_failures_cost_and_time_left(monkeypatch):
    """Not a terminal: a line says done/total, rate, failures by kind, cost, time left."""
    monkeypatch.setattr(progress, "LINE_EVERY_S", 0.0)
    stream = io.StringIO()
    with Progress(stream=stream) as shown:
        shown.expect("flash", total=4, before=1)
        shown.add("flash", None, 0.01)
        shown.add("flash", "no_json")
        shown.add("flash", "no_json")
    lines = stream.getvalue().splitlines()
    assert lines[0] == "flash: 1 of 4 were answered before and are not asked again"
    assert "flash: 4/4" in lines[-1]
    assert "no_json 2 · $0.0100" in lines[-1]
    assert lines[-1].endswith("0:00 left")
    assert "\x1b" not in stream.getvalue()


def test_the_time_left_is_unknown_before_the_first_answer():
    """Nothing finished yet does not read as nothing left to do."""
    stream = io.StringIO()
    with Progress(stream=stream) as shown:
        shown.expect("flash", total=4)
    assert stream.getvalue().splitlines() == ["flash: 0/4 · 0.0/s · no failures · ? left"]


def test_quiet_prints_nothing():
    """A quiet progress counts and keeps silent."""
    stream = io.StringIO()
    with Progress(quiet=True, stream=stream) as shown:
        shown.expect("flash", total=2)
        shown.add("flash", "blocked")
        shown.note("news")
    assert stream.getvalue() == ""
    assert shown.tallies["flash"].kinds["blocked"] == 1


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        return True


@pytest.mark.parametrize("stream_type", [Terminal, io.StringIO])
def test_scored_rows_are_counted_on_every_kind_of_stream(stream_type):
    """Scoring is announced and counted like questions, with a bar on a terminal."""
    stream = stream_type()
    with Progress(stream=stream) as shown:
        shown.expect(SCORING, total=500)
        shown.scored(300)
        shown.scored(200)
    assert shown.tallies[SCORING].done == 500
    assert "500/500" in stream.getvalue()


def test_the_rate_is_that_of_the_work_not_of_what_follows(monkeypatch):
    """A model that ended keeps its rate while others go on."""
    tally = Tally(total=8, started=10.0)
    monkeypatch.setattr(progress.time, "monotonic", lambda: 14.0)
    tally.add(8)
    monkeypatch.setattr(progress.time, "monotonic", lambda: 100.0)
    assert tally.rate_per_s() == 2.0


def test_a_terminal_gets_bars():
    """On a terminal the bars are drawn, with the words of each model."""
    stream = Terminal()
    with Progress(stream=stream) as shown:
        shown.expect("flash", total=2)
        shown.add("flash", "blocked")
        shown.note("flash stopped: quota")
        shown.add("flash", None)
    assert "flash" in stream.getvalue()
    assert "2/2" in stream.getvalue()
    assert "stopped: quota" in stream.getvalue()
