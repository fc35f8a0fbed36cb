"""Faults as data: the schedule by itself, then each kind on the wire through the real client."""

import asyncio
import json
import time
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest
from google.genai import errors

from evalkit.errors import ConfigError
from evalkit.simulator import read_faults
from evalkit.simulator.faults import RequestEvent, Schedule


def event(question="q", **changes):
    """Return a generate event about one question."""
    return RequestEvent(
        **{
            "operation": "generate",
            "model": "m",
            "persona": "p",
            "sample_id": "s",
            "question": question,
            **changes,
        }
    )


def hits(fault, events, seed=0, **settings):
    """Return the places (from 1) of the events that a single fault happens to."""
    schedule = Schedule([fault], seed, **settings)
    return [place for place, one in enumerate(events, start=1) if schedule.next(one) is not None]


@pytest.mark.parametrize(
    ("selectors", "expected"),
    [
        ({}, [1, 2, 3, 4, 5, 6, 7, 8]),
        ({"every": 3}, [3, 6]),
        ({"first": 2}, [1, 2]),
        ({"after": 6}, [7, 8]),
        ({"requests": [2, 5]}, [2, 5]),
        ({"every": 2, "after": 4}, [6, 8]),
        ({"probability": 0}, []),
        ({"probability": 1}, [1, 2, 3, 4, 5, 6, 7, 8]),
    ],
)
def test_selectors_count_requests_from_one(selectors, expected):
    """All given selectors must hold."""
    assert hits({"kind": "unavailable", **selectors}, [event()] * 8) == expected


def test_filters_leave_other_requests_uncounted():
    """Only requests of the named model, sample and operation count."""
    events = [event(model="a"), event(model="b"), event(model="a"), event(model="b")]
    assert hits({"kind": "internal", "model": "b", "first": 1}, events) == [2]
    assert hits({"kind": "internal", "samples": ["t"]}, [event(), event(sample_id="t")]) == [2]
    assert hits({"kind": "internal", "operation": "files"}, [event(), event(operation="files")]) == [2]
    assert hits({"kind": "internal", "operation": "any"}, [event(), event(operation="files")]) == [1, 2]


def test_per_question_counts_attempts_at_each():
    """The first attempt at each of two questions fails."""
    events = [event("a"), event("b"), event("a"), event("b")]
    assert hits({"kind": "reset", "first": 1, "per": "question"}, events) == [1, 2]


def test_probability_is_a_share_and_does_not_depend_on_the_order():
    """Which attempts fail is decided by seed, question and attempt alone."""
    events = [event(f"q{n}") for n in range(2000)]
    fault = {"kind": "unavailable", "probability": 0.1}
    forwards = {events[place - 1].question for place in hits(fault, events)}
    backwards = {events[::-1][place - 1].question for place in hits(fault, events[::-1])}
    assert forwards == backwards
    assert 150 < len(forwards) < 250
    assert forwards != {events[place - 1].question for place in hits(fault, events, seed=1)}


def test_answer_faults_meet_the_same_question_at_every_attempt_transport_faults_do_not():
    """An answer must not depend on how often it was asked for; a retry must be able to succeed."""
    events = [event("q")] * 60
    for question in ("q", "r", "s", "t"):
        chosen = hits({"kind": "empty", "probability": 0.5}, [event(question)] * 60)
        assert len(chosen) in (0, 60)
    assert 0 < len(hits({"kind": "reset", "probability": 0.5}, events)) < 60


def test_a_quota_grants_its_rate_and_tells_the_wait():
    """600 a minute: ten in the first second, then one each tenth of a second."""
    clock = [0.0]
    schedule = Schedule(
        [{"kind": "rate_limit_minute", "requests_per_minute": 600}], 0, clock=lambda: clock[0]
    )
    granted = 0
    for _ in range(3000):
        clock[0] += 0.002
        injected = schedule.next(event())
        granted += injected is None
        if injected is not None:
            assert 0 < injected.settings["retry_delay_s"] <= 0.1 + 1e-9
    assert granted == pytest.approx(10 + 60, abs=1)


def test_quotas_are_per_model():
    """One model's storm does not starve another."""
    fault = {"kind": "rate_limit_minute", "requests_per_minute": 1, "burst": 1}
    events = [event(model="a"), event(model="a"), event(model="b")]
    assert hits(fault, events, clock=lambda: 0.0) == [2]


def test_the_first_fault_of_the_list_wins_and_the_others_still_count():
    """Request 2 is chosen by both; the second fault counts it all the same."""
    schedule = Schedule([{"kind": "reset", "requests": [2]}, {"kind": "internal", "every": 2}], 0)
    kinds = [injected and injected.kind for injected in (schedule.next(event()) for _ in range(4))]
    assert kinds == [None, "reset", None, "internal"]


def test_the_schedule_is_thread_safe():
    """Of 2,000 requests on 8 threads exactly every tenth fails."""
    schedule = Schedule([{"kind": "internal", "every": 10}], 0)
    with ThreadPoolExecutor(8) as pool:
        happened = list(pool.map(lambda n: schedule.next(event(f"q{n}")), range(2000)))
    assert sum(one is not None for one in happened) == 200


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ({"kind": "unavailble"}, "Did you mean 'unavailable'"),
        ({"kind": "reset", "evry": 2}, "Did you mean 'every'"),
        ({"kind": "reset", "seconds": 2}, "unknown key 'seconds'"),
        ({"every": 2}, "a `kind`"),
        ({"kind": "reset", "every": 0}, "whole number from 1, not 0"),
        ({"kind": "reset", "probability": 2}, "from 0 to 1"),
        ({"kind": "reset", "requests": 3}, "is a list"),
        ({"kind": "reset", "operation": "genrate"}, "Did you mean 'generate'"),
        ({"kind": "slow", "seconds": "long"}, "is a number"),
        ({"kind": "reset", "per": "model"}, "question or all"),
        ({"kind": "rate_limit_minute", "requests_per_minute": 0}, "more than 0"),
    ],
)
def test_malformed_faults_are_refused_with_the_way_out(start, fault, says):
    """A typing error in a fault list must not make a rehearsal pass."""
    with pytest.raises(ConfigError, match="fault 1") as caught:
        start(faults=[fault])
    assert says in str(caught.value)


def test_fault_files_are_yaml_or_json(tmp_path):
    """A list, or a mapping with `faults:`; errors name the file."""
    yaml_file, json_file, bad = tmp_path / "f.yaml", tmp_path / "f.json", tmp_path / "bad.yaml"
    yaml_file.write_text("faults:\n  - {kind: unavailable, every: 3}\n")
    json_file.write_text('[{"kind": "unavailable", "every": 3}]')
    bad.write_text("- {kind: nope}\n")
    assert read_faults(yaml_file) == read_faults(json_file) == [{"kind": "unavailable", "every": 3}]
    with pytest.raises(ConfigError, match=r"bad\.yaml: fault 1"):
        read_faults(bad)
    bad.write_text("kind: reset\n")
    with pytest.raises(ConfigError, match="is a list of faults"):
        read_faults(bad)


def raised(wire, simulator, sample, **settings):
    """Return what asking raises."""
    with pytest.raises(Exception) as caught:
        wire.ask(simulator.base_url, sample, client_settings=settings)
    return caught.value


def test_reset_and_truncated_bodies_are_transport_errors(start, wire, samples):
    """The connection ends before, or within, the body."""
    simulator = start(faults=[{"kind": "reset", "first": 1}, {"kind": "truncated_body", "requests": [2]}])
    assert isinstance(raised(wire, simulator, samples[0]), httpx2.TransportError)
    assert isinstance(raised(wire, simulator, samples[0]), httpx2.RemoteProtocolError)
    assert wire.ask(simulator.base_url, samples[0])["candidates"]
    assert [(entry.status, entry.fault) for entry in simulator.requests] == [
        (None, "reset"),
        (200, "truncated_body"),
        (200, None),
    ]


def give_up_after(wire, simulator, sample, seconds):
    """Ask with a total time-out, which the client survives."""

    async def once():
        async with wire.open_client(simulator.base_url) as client, asyncio.timeout(seconds):
            await wire.ask_async(client, sample)

    asyncio.run(once())


def test_a_hanging_request_is_logged_at_once_and_ends_with_the_simulator(start, wire, samples):
    """Only the caller's own time-out ends it; closing does not wait for it."""
    simulator = start(faults=[{"kind": "hang"}])
    begun = time.perf_counter()
    with pytest.raises(TimeoutError):
        give_up_after(wire, simulator, samples[0], 0.5)
    assert [(entry.fault, entry.status) for entry in simulator.requests] == [("hang", None)]
    simulator.close()
    assert time.perf_counter() - begun < 5


def test_a_trickling_body_needs_a_total_timeout(start, wire, samples):
    """Each read brings a byte in time; the whole answer would take minutes."""
    simulator = start(faults=[{"kind": "trickle", "seconds_per_byte": 0.05}])
    with pytest.raises(TimeoutError):
        give_up_after(wire, simulator, samples[0], 0.7)
    assert simulator.requests[0].status == 200


def test_slow_answers_wait_longer(start, wire, samples):
    """Seconds are added to the latency."""
    simulator = start(faults=[{"kind": "slow", "seconds": 0.4}])
    begun = time.perf_counter()
    assert wire.ask(simulator.base_url, samples[0])["candidates"]
    assert time.perf_counter() - begun >= 0.4


@pytest.mark.parametrize(("kind", "body"), [("non_json_200", "<html>"), ("empty_body", "")])
def test_a_200_can_hold_no_json(start, wire, samples, kind, body):
    """The raw body comes through should_return_http_response; it is no JSON."""
    simulator = start(faults=[{"kind": kind}])
    caught = raised(wire, simulator, samples[0])
    assert isinstance(caught, json.JSONDecodeError)
    assert caught.doc.startswith(body)


def test_a_wrong_model_version_is_the_only_sign_of_routing(start, wire, samples):
    """Everything else is as the requested model would answer."""
    fault = {"kind": "wrong_model_version", "model_version": "gemini-3.5-flash-lite"}
    routed = wire.ask(start(faults=[fault]).base_url, samples[0])
    plain = wire.ask(start().base_url, samples[0])
    assert routed.pop("modelVersion") == "gemini-3.5-flash-lite"
    assert plain.pop("modelVersion") == "gemini-2.5-flash"
    assert routed == plain


def test_continuation_gives_half_of_the_text_in_one_request(start, wire, samples):
    """With automatic continuation off, one request is one request."""
    simulator = start(faults=[{"kind": "continuation"}])
    body = wire.ask(simulator.url_for("perfect"), samples[0])
    assert body["candidates"][0]["finishReason"] == "CONTINUATION"
    whole = wire.text_of(wire.ask(start().url_for("perfect"), samples[0]))
    assert wire.text_of(body) == whole[: len(whole) // 2]
    assert len(simulator.requests) == 1


def test_empty_blocked_and_thoughts_only_answers(start, wire, samples):
    """Three ways of a 200 without text."""
    empty = wire.ask(start(faults=[{"kind": "empty"}]).base_url, samples[0])
    assert empty["candidates"][0] == {"content": {"role": "model"}, "finishReason": "STOP", "index": 0}
    blocked = wire.ask(start(faults=[{"kind": "blocked_prompt"}]).base_url, samples[0])
    assert blocked["promptFeedback"] == {"blockReason": "PROHIBITED_CONTENT"}
    assert "candidates" not in blocked
    thoughts = wire.ask(start(faults=[{"kind": "thoughts_only"}]).base_url, samples[0], max_output_tokens=500)
    assert [part["thought"] for part in thoughts["candidates"][0]["content"]["parts"]] == [True]
    assert thoughts["usageMetadata"]["thoughtsTokenCount"] == 500


def test_faults_change_when_an_answer_comes_but_not_what_it_says(start, wire, samples):
    """Retrying through 429, 503 and resets ends in the answers of a quiet server."""
    stormy = start(
        faults=[
            {"kind": "rate_limit_minute", "first": 1, "per": "question", "retry_delay_s": 0},
            {"kind": "unavailable", "probability": 0.4},
            {"kind": "reset", "every": 7},
        ]
    )

    def persist(sample):
        for _ in range(40):
            try:
                return wire.ask(stormy.url_for("png-masks"), sample)
            except (errors.APIError, httpx2.TransportError):
                continue
        raise AssertionError("forty attempts failed")

    quiet = start()
    assert [persist(s) for s in samples] == [wire.ask(quiet.url_for("png-masks"), s) for s in samples]
    assert len(stormy.requests) > 2 * len(samples) - 1
