"""Costs: exact where tokens are counted, estimates marked as such, and unknown where nothing is known."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

from polyglot_batch import Cost, Price, PriceRow, Prices, Total, cost
from polyglot_batch.prices import shipped
from polyglot_core import ConfigError, Inference, InferenceResponse, Outcome, PolyglotError, Usage
from polyglot_core.plugin import InferenceRequest
from polyglot_simulator import Cut, Reply, Simulator

DAY = dt.date(2026, 11, 29)
USAGE = Usage(input_tokens=1000, output_tokens=200, cache_read_tokens=400, cache_write_tokens=100, reasoning_tokens=50)
OWN = Prices(
    rows=(
        PriceRow(
            models=("m",),
            prices=(
                Price(input=Decimal(3), output=Decimal(15), cache_read=Decimal("0.3"), cache_write=Decimal("3.75")),
            ),
        ),
    )
)
DIALECTS = [
    "openai",
    "azure-openai",
    "openai-responses",
    "anthropic",
    "gemini",
    "vertex",
    "mistral",
    "cohere",
    "ollama",
    "bedrock",
]


def response(model="gpt-4o", usage=USAGE, **fields):
    """Return a response with these tokens."""
    return InferenceResponse(outcome=Outcome.FINISHED, model=model, usage=usage, **fields)


def test_tokens_are_counted_once():
    """What was read from or written to a cache is part of the prompt, and reasoning of the output."""
    assert cost(response("m"), prices=OWN) == Cost(
        (500 * Decimal(3) + 400 * Decimal("0.3") + 100 * Decimal("3.75") + 200 * 15) / 1_000_000
    )


def test_a_response_from_the_cache_costs_nothing():
    """Nothing was sent for it, whether or not the price of the model is known."""
    assert cost(response("m", transport="cache"), prices=OWN) == Cost(Decimal(0))
    assert cost(response("unheard-of", transport="cache")) == Cost(Decimal(0))


@pytest.mark.parametrize("dialect", DIALECTS)
def test_stream_plain_and_price_agree(dialect):
    """In every dialect the streamed and the plain response of one exchange cost the same, and what the price says."""
    usage = Usage(
        input_tokens=900, output_tokens=300, cache_read_tokens=100, cache_write_tokens=50, reasoning_tokens=20
    )
    with Simulator(Reply(text="One two three four.", usage=usage)) as simulator:
        connection = simulator.connection_for(dialect).with_changes(model="m")
        inference = Inference(connection)
        streamed = inference.stream("Count.").response()
        whole = inference.create("Count.", stream=False).response()
    table = Prices(
        rows=tuple(PriceRow(models=(each.model or "m",), prices=OWN.rows[0].prices) for each in (streamed, whole))
    )
    read, written = whole.usage.cache_read_tokens or 0, whole.usage.cache_write_tokens or 0
    apart = read * Decimal("0.3") + written * Decimal("3.75")
    expected = Cost(((900 - read - written) * Decimal(3) + apart + 300 * Decimal(15)) / 1_000_000)
    assert (whole.usage.input_tokens, whole.usage.output_tokens) == (900, 300)
    asked = InferenceRequest(model="m", messages=())
    assert cost(streamed, request=asked, prices=table) == cost(whole, request=asked, prices=table) == expected


@pytest.mark.parametrize(
    ("model", "provider", "known"),
    [
        ("gpt-4o-2024-08-06", "openai", True),
        ("gpt-4o", "azure-openai", True),
        ("gpt-4o-audio-preview", "openai", False),
        ("gpt-4o-mini-transcribe", "openai", False),
        ("gpt-4o", "ollama", False),
        ("claude-sonnet-4-5-20250929", "anthropic", True),
        ("claude-sonnet-4-5@20250929", "anthropic", True),
        ("gemini-2.5-flash-preview-05-20", "gemini", True),
        ("models/gemini-2.5-flash-001", "gemini", True),
        ("gemini-2.5-flash-image", "gemini", False),
        ("command-r-plus-08-2024", "cohere", True),
        ("llama-3.3-70b", "openai", False),
        ("", "openai", False),
    ],
)
def test_which_models_are_known(model, provider, known):
    """A name may end with a version; another model, or another provider's, is unknown, and not guessed."""
    assert (cost(response(model, provider=provider), day=DAY) is not None) is known


def test_prices_change():
    """The price on the day of the call counts; before the first known one, none is known."""
    medium = response("mistral-medium-latest", Usage(input_tokens=1_000_000, output_tokens=0), provider="mistral")
    assert cost(medium, day=dt.date(2026, 6, 15)) == Cost(Decimal("0.4"))
    assert cost(medium, day=dt.date(2026, 6, 16)) == Cost(Decimal("1.5"))
    assert cost(response("o3", provider="openai"), day=dt.date(2025, 1, 1)) is None


def test_long_prompts():
    """Above a length the whole request has other prices."""
    at = Usage(input_tokens=200_000, output_tokens=1000)
    above = Usage(input_tokens=200_001, output_tokens=1000)
    assert cost(response("gemini-2.5-pro", at), day=DAY) == Cost(Decimal("0.26"))
    assert cost(response("gemini-2.5-pro", above), day=DAY) == Cost(Decimal("0.5150025"))


def test_tokens_that_are_counted_apart():
    """Anthropic's writes to the cache of an hour have a price of their own."""
    usage = Usage(
        input_tokens=3000,
        output_tokens=0,
        cache_write_tokens=3000,
        raw={"cache_creation": {"ephemeral_5m_input_tokens": 1000, "ephemeral_1h_input_tokens": 2000}},
    )
    assert cost(response("claude-haiku-4-5", usage), day=DAY) == Cost(
        (1000 * Decimal("1.25") + 2000 * Decimal(2)) / 1_000_000
    )


def test_what_is_not_known():
    """Without a price or without usage there is no cost; a sum says how many are missing."""
    assert cost(response("unheard-of")) is None
    assert cost(response(usage=None)) is None
    assert cost(response(usage=Usage(input_tokens=5))) is None
    total = Total.of(map(cost, [response(), response("unheard-of")]))
    assert (total.known, total.unknown) == (1, 1)
    assert str(total) == "$0.0040 (1 unknown)"


def test_an_abandoned_stream_has_an_estimate():
    """It is marked as one; the tokens of the prompt are those of the provider if it has stated them."""
    with Simulator("word " * 400) as simulator:
        pending = Inference(simulator.connection.with_changes(model="m")).create("x" * 4000, stream=True)
        with pending.stream() as stream:
            for partial in stream:
                if len(partial.content) >= 400:
                    break
        abandoned = stream.response()
    assert abandoned.outcome == "cancelled"
    estimate = cost(abandoned, request=pending.request, prices=OWN)
    assert estimate.estimated
    assert Decimal("0.004") < estimate.amount < Decimal("0.0055")  # 1,000 tokens of prompt, and 100 or more of output
    assert str(estimate).endswith(" (estimated)")
    assert cost(abandoned, prices=OWN) is None
    started = InferenceResponse(outcome=Outcome.CANCELLED, model="m", usage=Usage(input_tokens=1000, output_tokens=1))
    assert cost(started, prices=OWN) == Cost((1000 * Decimal(3) + 15) / 1_000_000, estimated=True)


def test_a_truncated_response_has_an_estimate():
    """An error has a partial, which was paid for."""
    with Simulator("One two three four.", fault=Cut(after_events=3)) as simulator:
        pending = Inference(simulator.connection.with_changes(model="m")).create("Count.", stream=True)
        with pytest.raises(PolyglotError) as caught:
            pending.response()
    assert cost(caught.value.partial, request=pending.request, prices=OWN).estimated


def test_a_table_of_your_own(tmp_path):
    """It replaces the shipped one, or is laid over it."""
    file = tmp_path / "prices.json"
    file.write_text('{"rows": [{"models": ["mine"], "prices": [{"input": "1", "output": "2"}]}]}')
    own = Prices.from_file(file)
    mine = response("mine", Usage(input_tokens=1_000_000, output_tokens=0))
    assert cost(mine, prices=own) == Cost(Decimal(1))
    assert cost(response(), prices=own) is None
    assert cost(response(), prices=own.over(shipped())) is not None
    assert Prices.from_dict({"rows": [{"models": ["mine"], "prices": [{"input": "1", "output": "2"}]}]}) == own


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"rows": [{"models": "mine"}]}',
        '{"rows": [{"models": ["m"], "prices": [{"input": "much", "output": "2"}]}]}',
    ],
)
def test_a_table_that_cannot_be_read(tmp_path, text):
    """The error names the file and the place."""
    file = tmp_path / "prices.json"
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"prices\.json cannot be read"):
        Prices.from_file(file)
    with pytest.raises(ConfigError, match="cannot be read"):
        Prices.from_file(tmp_path / "none.json")


def test_sums():
    """Costs of one currency are added, exactly."""
    assert Total.of([Cost(Decimal("0.1"))] * 3).amount == Decimal("0.3")
    with pytest.raises(ValueError, match="USD and EUR"):
        Total.of([Cost(Decimal(1)), Cost(Decimal(1), "EUR")])
    assert str(Total() + Cost(Decimal("2.5"), "EUR", estimated=True)) == "2.50 EUR (1 estimated)"


def test_the_shipped_table():
    """It has a date, sources and a licence, and every price is valid."""
    table = shipped()
    assert table.date
    assert table.licence
    assert all(url.startswith("https://") for url in table.sources.values())
    for row in table.rows:
        assert row.drivers
        for price in row.prices:
            assert 0 < price.input <= price.output
            assert price.cache_read is None or price.cache_read < price.input
        days = [price.since for price in row.prices]
        assert days == sorted(days, key=lambda day: day or dt.date.min)


_PROVIDERS = {
    "openai": "openai",
    "anthropic": "anthropic",
    "gemini": "google",
    "mistral": "mistral",
    "cohere": "cohere",
}


@pytest.mark.parametrize("row", shipped().rows, ids=lambda row: row.models[0])
def test_another_table_agrees(row):
    """The prices are those of genai-prices, where that has the model."""
    genai_prices = pytest.importorskip("genai_prices")
    moment = dt.datetime(2026, 11, 29, 12, tzinfo=dt.UTC)
    for model in row.models:
        for prompt in (1000, 300_000):
            usage = Usage(input_tokens=prompt, output_tokens=500, cache_read_tokens=prompt // 4)
            counted = genai_prices.Usage(input_tokens=prompt, output_tokens=500, cache_read_tokens=prompt // 4)
            try:
                theirs = genai_prices.calc_price(
                    counted, model, provider_id=_PROVIDERS[row.drivers[0]], genai_request_timestamp=moment
                )
            except LookupError:
                continue
            ours = cost(response(model, usage, provider=row.drivers[0]), day=DAY)
            assert ours.amount == theirs.total_price, (model, prompt)
