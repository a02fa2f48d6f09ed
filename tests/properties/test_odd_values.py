"""Values of an unexpected type anywhere in a body are no driver's fault, and split surrogate pairs are joined."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import strategies as st

from polyglot_core.errors import PluginError, PolyglotError

from .bodies import FOLDER, frames, ours
from .hearing import hear, is_heard
from .test_answers import trying

QUICK = 40
ODD = [None, True, 0, -1, 10**30, 1.5, "", "x", "🌹", [], [None], ["x"], [[]], {}, {"x": 1}, {"type": None}]
each_of_ours = pytest.mark.parametrize("exchange", ours(), ids=lambda exchange: exchange.path)


def texts_of(exchange):
    """Split the body into lines: the prefix of a JSON text, and the parsed text."""
    lines = (FOLDER / exchange.path.removeprefix("ours/")).read_bytes().split(b"\n")
    if exchange.framing == "array.json":
        lines = [b"\n".join(lines)]
    return [read(line, exchange.framing) for line in lines]


def read(line, framing):
    before, mark, text = line.partition(b" ") if framing in {"sse", "frames"} else (b"", b"", line)
    try:
        return before + mark, json.loads(text)
    except ValueError:
        return line, ...


def body_of(exchange, lines):
    """Join such lines to a body."""
    written = [before if value is ... else before + json.dumps(value).encode() for before, value in lines]
    body = b"\n".join(written)
    return frames(body) if exchange.framing == "frames" else body


def places_in(value, at=()):
    """Yield the paths of all values in a value, at any depth."""
    yield at
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield from places_in(item, (*at, key))


def with_value(value, at, odd):
    """Return a copy of `value` with `odd` at a path."""
    if not at:
        return odd
    key, *rest = at
    copy = value.copy()
    copy[key] = with_value(value[key], rest, odd)
    return copy


def changed(exchange, number, odd):
    """Return the body with the value of this number, counted over all lines, replaced."""
    lines = texts_of(exchange)
    found = [(line, at) for line, (_, value) in enumerate(lines) if value is not ... for at in places_in(value)]
    line, at = found[number % len(found)]
    lines[line] = lines[line][0], with_value(lines[line][1], at, odd)
    return body_of(exchange, lines)


def check_odd(exchange, number, odd):
    """Check for a response or a `PolyglotError` that does not blame the driver, serializable as JSON."""
    heard = hear(exchange, changed(exchange, number, odd))
    assert not isinstance(heard.error, PluginError), heard.error
    assert heard.error is None or isinstance(heard.error, PolyglotError)
    assert msgspec.json.encode([heard.partials, heard.response])


@each_of_ours
def test_value_of_another_type_is_handled(exchange):
    """Check a null, number, string, list or object in place of a value of another type."""
    if not is_heard(exchange.dialect):
        pytest.skip(f"the driver of {exchange.dialect} is not installed")

    @trying(QUICK, number=st.integers(0, 1 << 16), odd=st.sampled_from(ODD))
    def check(number, odd):
        check_odd(exchange, number, odd)


@pytest.mark.thorough
@each_of_ours
def test_every_value_of_every_type_is_handled(exchange):
    """Check the same for every value and type."""
    if not is_heard(exchange.dialect):
        pytest.skip(f"the driver of {exchange.dialect} is not installed")
    count = sum(len(list(places_in(value))) for _, value in texts_of(exchange) if value is not ...)
    for number in range(count):
        for odd in ODD:
            check_odd(exchange, number, odd)


# Characters split by a server

ROSE = "🌹"
HIGH, LOW = (b"\xd8\x3c".decode("utf-16-be", "surrogatepass"), b"\xdf\x39".decode("utf-16-be", "surrogatepass"))
streamed = [exchange for exchange in ours() if exchange.streamed and ROSE in exchange.body.decode("utf-8", "replace")]
plain = [exchange for exchange in ours() if not exchange.streamed and ROSE in exchange.body.decode()]


def with_text(value, old, new):
    """Return a copy of `value` in which `new` is applied to each text that ends in `old`."""
    if isinstance(value, str):
        return new(value) if value.endswith(old) else value
    if isinstance(value, dict):
        return {name: with_text(item, old, new) for name, item in value.items()}
    return [with_text(item, old, new) for item in value] if isinstance(value, list) else value


def cut_in_two(exchange):
    """Split the first chunk whose text ends in a rose into two, each with one half of the surrogate pair."""
    lines = texts_of(exchange)
    if exchange.framing == "array.json":
        ((before, values),) = lines
        return body_of(exchange, [(before, halves_of(values))])
    number = next(number for number, (_, value) in enumerate(lines) if is_rosy(value))
    before = lines[number][0]
    first, second = halves_of([lines[number][1]])
    lines[number : number + 1] = [(before, first), (b"", ...), (before, second)]
    return body_of(exchange, lines)


def is_rosy(value):
    return value is not ... and with_text(value, ROSE, lambda _: "") != value


def halves_of(values):
    number = next(number for number, value in enumerate(values) if is_rosy(value))
    first = with_text(values[number], ROSE, lambda text: text.removesuffix(ROSE) + HIGH)
    second = with_text(values[number], ROSE, lambda _: LOW)
    return [*values[:number], first, second, *values[number + 1 :]]


@pytest.mark.parametrize("exchange", streamed, ids=lambda exchange: exchange.path)
def test_split_surrogate_pair_is_joined(exchange):
    """Check that a surrogate pair split over two chunks is joined to one character."""
    if not is_heard(exchange.dialect):
        pytest.skip(f"the driver of {exchange.dialect} is not installed")
    body = cut_in_two(exchange)
    assert rb"\ud83c" in body.replace(rb"\ud83c\udf39", b"")
    heard, whole = hear(exchange, body), hear(exchange)
    assert heard.error is None or type(heard.error) is type(whole.error)
    assert {index: texts[0] for index, texts in heard.texts.items()} == {
        index: texts[0] for index, texts in whole.texts.items()
    }


@pytest.mark.parametrize("exchange", plain, ids=lambda exchange: exchange.path)
def test_lone_surrogate_is_replaced(exchange):
    """Check that a lone surrogate is replaced by U+FFFD."""
    if not is_heard(exchange.dialect):
        pytest.skip(f"the driver of {exchange.dialect} is not installed")
    ((before, value),) = texts_of(exchange)
    body = body_of(exchange, [(before, with_text(value, ROSE, lambda text: text.removesuffix(ROSE) + HIGH))])
    heard, whole = hear(exchange, body), hear(exchange)
    assert heard.error is None
    assert heard.response["choices"][0]["content"] == whole.response["choices"][0]["content"].replace(ROSE, "\ufffd")


@each_of_ours
@pytest.mark.parametrize("odd", [b"NaN", b"-Infinity", b"1e999", b"9" * 400])
def test_invalid_numbers_in_unknown_fields_are_ignored(exchange, odd):
    """Check that unknown fields with invalid or huge numbers are ignored."""
    if not is_heard(exchange.dialect):
        pytest.skip(f"the driver of {exchange.dialect} is not installed")
    lines = [
        (before, {**value, "new": "HERE"} if isinstance(value, dict) else value) for before, value in texts_of(exchange)
    ]
    source = b"\n".join(before if value is ... else before + json.dumps(value).encode() for before, value in lines)
    source = source.replace(b'"HERE"', odd)
    heard = hear(exchange, frames(source) if exchange.framing == "frames" else source)
    assert heard.texts == hear(exchange).texts
    assert type(heard.error) is type(hear(exchange).error)
