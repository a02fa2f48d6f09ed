"""Properties of every body in every dialect: split anywhere, truncated anywhere, or with flipped bits.

The answers of our own are always tried; those of the corpus are drawn from where ``POLYGLOT_CORPUS`` says where it is.
"""

from __future__ import annotations

import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from polyglot_core.errors import PluginError, PolyglotError, Truncated

from .bodies import dialects, ours, recorded
from .hearing import hear, is_heard

OURS = {exchange.path: exchange for exchange in ours()}
QUICK, THOROUGH = 15, 200

each_of_ours = pytest.mark.parametrize("exchange", OURS.values(), ids=OURS)
each_dialect = pytest.mark.parametrize("dialect", dialects())
quick_and_thorough = pytest.mark.parametrize(
    "examples", [QUICK, pytest.param(THOROUGH, marks=pytest.mark.thorough)], ids=["quick", "thorough"]
)


@pytest.fixture(autouse=True)
def spoken(request):
    """Return the dialect; skip one without an installed driver."""
    named = request.node.callspec.params
    dialect = named["dialect"] if "dialect" in named else named["exchange"].dialect
    if not is_heard(dialect):
        pytest.skip(f"the driver of {dialect} is not installed")


@pytest.fixture
def from_corpus(dialect):
    """Draw a recorded body in the dialect."""
    if not recorded(dialect):
        pytest.skip(f"POLYGLOT_CORPUS names no folder with recorded answers in {dialect}")
    return st.sampled_from([exchange for exchange in recorded(dialect) if exchange.body])


def trying(examples, **strategies):
    """Run `given` with so many examples, on a function without fixtures."""
    limits = settings(max_examples=examples, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
    return lambda check: limits(given(**strategies)(check))()


def pieces_of(body, places):
    """Return the body, split at these offsets."""
    places = sorted(place % (len(body) + 1) for place in places)
    return [body[start:end] for start, end in itertools.pairwise([0, *places, len(body)])]


def bytes_of(body):
    return [body[place : place + 1] for place in range(len(body))]


places = st.lists(st.integers(0, 1 << 24), max_size=12)


# Split anywhere


@each_of_ours
@quick_and_thorough
def test_any_split_gives_same_result(exchange, examples):
    """Check that events, partials, response and error do not depend on how the bytes are split."""
    whole = hear(exchange).told
    assert hear(exchange, pieces=bytes_of(exchange.body)).told == whole

    @trying(examples, places=places)
    def check(places):
        assert hear(exchange, pieces=pieces_of(exchange.body, places)).told == whole


@each_dialect
@quick_and_thorough
def test_any_split_of_recorded_body_gives_same_result(dialect, from_corpus, examples):
    """Check the same for recorded bodies, errors included."""

    @trying(examples, exchange=from_corpus, places=places)
    def check(exchange, places):
        assert hear(exchange, pieces=pieces_of(exchange.body, places)).told == hear(exchange).told


# Truncated anywhere


def check_prefix(exchange, whole, size):
    """Check that a prefix is truncated or finished, with that outcome, and contains nothing beyond the whole."""
    part = hear(exchange, exchange.body[:size])
    assert part.outcome in {"truncated", "finished"}, part.error
    assert isinstance(part.error, Truncated) == (part.outcome == "truncated")
    assert all(
        whole.texts[index][kind].startswith(text)
        for index, texts in part.texts.items()
        for kind, text in enumerate(texts)
    )


@each_of_ours
@pytest.mark.parametrize("most", [60, pytest.param(1 << 24, marks=pytest.mark.thorough)], ids=["some", "all"])
def test_any_prefix_is_truncated_or_finished(exchange, most):
    """Check that every prefix is `Truncated` unless it has a finish reason, and that nothing is made up."""
    whole = hear(exchange)
    end = len(exchange.body) if whole.error is None else _before_the_error(exchange.body)
    for size in range(0, end, end // most + 1):
        check_prefix(exchange, whole, size)


def _before_the_error(body):
    """Return the offset of the error in a body: of its name, which alone is an error, or of its message."""
    name = body.find(b"event: error")
    return body.rindex(b"garden") if name < 0 else name


@each_dialect
@quick_and_thorough
def test_any_prefix_of_recorded_body_is_truncated_or_finished(dialect, from_corpus, examples):
    """Check the same for recorded bodies without errors."""

    @trying(examples, exchange=from_corpus, place=st.integers(0, 1 << 24))
    def check(exchange, place):
        whole = hear(exchange)
        if whole.error is None:
            check_prefix(exchange, whole, place % len(exchange.body))


# Damaged


def check_damage(exchange, flips):
    """Check that flipped bits give a response or a `PolyglotError` that does not blame the driver."""
    body = bytearray(exchange.body)
    for flip in flips:
        body[(flip >> 3) % len(body)] ^= 1 << (flip & 7)
    heard = hear(exchange, bytes(body))  # anything but a PolyglotError comes out of it
    assert heard.outcome in {"truncated", "finished", "failed"}
    assert (heard.error is None) == (heard.outcome == "finished")
    assert heard.error is None or isinstance(heard.error, PolyglotError)
    assert not isinstance(heard.error, PluginError), heard.error
    assert heard.error is None or heard.error.message.isprintable()


flips = st.lists(st.integers(0, 1 << 27), min_size=1, max_size=4)


@each_of_ours
@quick_and_thorough
def test_flipped_bits_raise_only_polyglot_errors(exchange, examples):
    """Check that damaged bytes give a response or a `PolyglotError` that does not blame the driver."""

    @trying(5 * examples, flips=flips)
    def check(flips):
        check_damage(exchange, flips)


@each_dialect
@quick_and_thorough
def test_flipped_bits_of_recorded_body_raise_only_polyglot_errors(dialect, from_corpus, examples):
    """Check the same for recorded bodies."""

    @trying(2 * examples, exchange=from_corpus, flips=flips)
    def check(exchange, flips):
        check_damage(exchange, flips)
