"""What an answer costs: unknown is unknown, the answering model's price, revisions, tiers and long prompts."""

import datetime as dt
import json

import pytest

from evalkit.config.schema import RunConfig
from evalkit.models.google.bodies import read_gemini_body
from evalkit.models.known_models import known_model
from evalkit.models.prices import Price, cost_usd, find_price, requested_cost_usd
from evalkit.types import Usage

DAY = dt.date(2026, 11, 25)


def entry_of(model="gemini-2.5-flash", tier=None, **fields):
    """Return a gemini entry."""
    generation = {} if tier is None else {"generation": {"service_tier": tier}}
    entry = {"name": "m", "provider": "gemini", "model": model} | generation | fields
    return RunConfig.model_validate({"name": "r", "datasets": [{"name": "d"}], "models": [entry]}).models[0]


def body_of(usage, version="gemini-2.5-flash", text="[]"):
    """Return a body with this usageMetadata."""
    parts = [{"text": text}] if text else []
    body = {"candidates": [{"content": {"parts": parts}}], "modelVersion": version}
    return json.dumps(body if usage is None else body | {"usageMetadata": usage})


def cost_of(usage, entry=None, **body):
    """Return the cost of an answer with this usageMetadata."""
    return cost_usd(entry or entry_of(), read_gemini_body(body_of(usage, **body)), DAY)


FULL = {"promptTokenCount": 1_000_000, "candidatesTokenCount": 100_000, "totalTokenCount": 1_100_000}


def test_a_full_count_is_priced():
    """Input and output at their prices; a zero that the service omits is a zero."""
    assert cost_of(FULL) == pytest.approx(0.30 + 0.25)
    assert cost_of(FULL | {"thoughtsTokenCount": 100_000, "totalTokenCount": 1_200_000}) == pytest.approx(
        0.80
    )


@pytest.mark.parametrize(
    "usage",
    [
        None,
        {},
        {"totalTokenCount": 500},  # the total alone
        {"promptTokenCount": 100},  # an answer stands there, so something was written
        {"promptTokenCount": 100, "totalTokenCount": 500},
        {"candidatesTokenCount": 100, "totalTokenCount": 500},
        {
            "promptTokenCount": 100,
            "candidatesTokenCount": 50,
            "totalTokenCount": 500,
        },  # 350 that nobody names
        {
            "promptTokenCount": 100,
            "candidatesTokenCount": 50,
            "thoughtsTokenCount": 1,
            "totalTokenCount": 500,
        },  # the same, where every count is told
        {"promptTokenCount": 100, "candidatesTokenCount": 50, "toolUsePromptTokenCount": 300},
        {"promptTokenCount": -1, "candidatesTokenCount": 50},
        {"promptTokenCount": 100, "candidatesTokenCount": -50},
        {"promptTokenCount": 100, "candidatesTokenCount": 50, "thoughtsTokenCount": -1},
        {"promptTokenCount": 100, "candidatesTokenCount": 10**12},
        {"promptTokenCount": 100, "candidatesTokenCount": 1.5},
        {"promptTokenCount": "100", "candidatesTokenCount": 50},
        {"promptTokenCount": True, "candidatesTokenCount": 50},
        {"promptTokenCount": float("inf"), "candidatesTokenCount": 50},
    ],
)
def test_unknown_usage_has_an_unknown_cost(usage):
    """Nothing that was not told, or that cannot be, becomes 0."""
    assert cost_of(usage) is None


def test_known_counts_stay_known_beside_unknown_ones():
    """What was told is shown, what was not is None."""
    usage = read_gemini_body(body_of({"promptTokenCount": 100, "totalTokenCount": 500})).usage
    assert (usage.input_tokens, usage.output_tokens) == (100, None)
    usage = read_gemini_body(body_of({"totalTokenCount": 500})).usage
    assert usage == Usage(all_counted=False)


def test_an_answer_without_text_may_have_no_output():
    """A blocked prompt bills its input alone."""
    assert cost_of({"promptTokenCount": 1_000_000, "totalTokenCount": 1_000_000}, text=None) == pytest.approx(
        0.30
    )


def test_a_providers_output_may_include_its_thoughts():
    """Where thinking is no count of its own, nothing is missing."""
    assert Price(1.0, 2.0).cost_usd(Usage(1_000_000, 1_000_000)) == pytest.approx(3.0)


@pytest.mark.parametrize(
    ("model", "listed"),
    [
        ("gemini-2.5-flash-001", 0.30),
        ("gemini-2.5-flash-preview-05-20", 0.30),
        ("models/gemini-2.5-flash", 0.30),
        ("gemini-2.5-flash-lite-preview-06-17", 0.10),
        ("publishers/google/models/gemini-2.5-flash@001", 0.30),
        ("gemini-3.1-flash-lite-preview", 0.25),
        ("gemini-3-flash-preview", 0.50),
        ("gemini-2.5-flash-image", None),
        ("gemini-2.5-flash-lite-image", None),
        ("gemini-9", None),
    ],
)
def test_a_revision_has_its_models_price(model, listed):
    """Another kind of model is not a revision."""
    price = find_price(entry_of(model), DAY)
    assert (None if price is None else price.input_usd_per_million) == listed
    if listed is not None:
        assert known_model(model) is not None


def test_a_routed_answer_is_priced_by_the_model_that_gave_it():
    """Both figures can be had: as answered and as asked."""
    response = read_gemini_body(body_of(FULL, version="gemini-2.5-flash-lite"))
    assert cost_usd(entry_of(), response, DAY) == pytest.approx(0.10 + 0.04)
    assert requested_cost_usd(entry_of(), response, DAY) == pytest.approx(0.55)


def test_a_routed_answer_of_an_unlisted_model_is_unpriced():
    """Unless the config says what the entry is billed."""
    response = read_gemini_body(body_of(FULL, version="gemini-9-ultra"))
    assert cost_usd(entry_of(), response, DAY) is None
    own = entry_of(price={"input_usd_per_million": 1.0, "output_usd_per_million": 1.0})
    assert cost_usd(own, response, DAY) == pytest.approx(1.1)


def test_a_revision_that_answers_is_no_routing():
    """The requested model's price holds, and the config's own price with it."""
    response = read_gemini_body(body_of(FULL, version="gemini-2.5-flash-002"))
    own = entry_of(price={"input_usd_per_million": 1.0, "output_usd_per_million": 1.0})
    assert cost_usd(own, response, DAY) == pytest.approx(1.1)


def test_a_latest_name_is_priced_by_who_answers():
    """``gemini-flash-latest`` is no model of its own."""
    assert cost_of(FULL, entry_of("gemini-flash-latest"), version="gemini-3.5-flash-lite") == pytest.approx(
        0.55
    )


@pytest.mark.parametrize(
    ("tier", "share"),
    [
        (None, 1.0),
        ("standard", 1.0),
        ("FLEX", 0.5),
        ("SERVICE_TIER_FLEX", 0.5),
        ("priority", None),
        ("gold", None),
    ],
)
def test_the_service_tier_chooses(tier, share):
    """Flex is half of standard; a tier without a known price is unpriced, not standard."""
    found = cost_of(FULL, entry_of(tier=tier))
    assert found == (None if share is None else pytest.approx(0.55 * share))


def test_a_tier_of_the_extra_body_is_the_one_that_is_sent():
    """``extra_body`` wins over ``service_tier`` in the request, so it does in the price."""
    flex = entry_of(generation={"extra_body": {"serviceTier": "flex"}})
    standard = entry_of(generation={"service_tier": "flex", "extra_body": {"serviceTier": "standard"}})
    assert cost_of(FULL, flex) == pytest.approx(0.275)
    assert cost_of(FULL, standard) == pytest.approx(0.55)


def test_a_long_prompt_has_its_own_price():
    """2.5 Pro above 200,000 tokens; at the limit the usual price still holds."""
    at, above = (
        cost_of(
            {"promptTokenCount": tokens, "candidatesTokenCount": 0, "totalTokenCount": tokens},
            entry_of("gemini-2.5-pro"),
            version="gemini-2.5-pro",
        )
        for tokens in (200_000, 200_001)
    )
    assert at == pytest.approx(0.2 * 1.25)
    assert above == pytest.approx(0.200001 * 2.50)
    flex = find_price(entry_of("gemini-2.5-pro", tier="flex"), DAY)
    assert flex.cost_usd(Usage(1_000_000, 0, 0)) == pytest.approx(1.25)
