"""``/segment`` of the simulator: one path and its box for each question, and refusals of what is none."""

import base64
import re

import httpx2
import pytest


def segment(url, sample, **changes):
    """Ask about a sample."""
    picture = "data:image/png;base64," + base64.b64encode(sample.image.inline).decode()
    body = {"image_url": picture, "object": sample.expression, "stream": False} | changes
    return httpx2.post(url + "/v1/segment", json=body, verify=False)


def test_the_box_is_that_of_the_path(start, samples):
    """Several objects stand in one path; the box holds them all and no more."""
    told = segment(start().url_for("perfect"), samples[2]).json()
    numbers = [float(number) for number in re.findall(r"[\d.]+", told["path"])]
    xs, ys = numbers[::2], numbers[1::2]
    assert told["path"].count("M") == 2
    assert told["bbox"] == {"x_min": min(xs), "y_min": min(ys), "x_max": max(xs), "y_max": max(ys)}
    assert told["request_id"].startswith("simulated-")


def test_nothing_found_is_an_empty_path(start, samples):
    """There is no box then."""
    told = segment(start().url_for("perfect"), samples[4]).json()
    assert told["path"] == ""
    assert "bbox" not in told


@pytest.mark.parametrize(
    "changes", [{"object": ""}, {"object": None}, {"image_url": "http://x/y.png"}], ids=str
)
def test_bad_requests_are_refused(start, samples, changes):
    """In the shape that the service's errors have."""
    reply = segment(start().base_url, samples[0], **changes)
    assert reply.status_code == 400
    assert reply.json()["error"]["message"]
