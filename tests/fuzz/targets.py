"""The fuzz targets: a name, a check of the bytes, and seeds."""

from __future__ import annotations

import gzip
import itertools
import json
import zlib
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from polyglot_answers.json_reader import JSONFault, JSONReader
from polyglot_bedrock.eventstream import EventStreamFramer
from polyglot_core._attempt.filters.json_repair import repaired
from polyglot_core._attempt.filters.think_tags import ThinkTags
from polyglot_core._http.inflate import inflater_for
from polyglot_core._values.events import ReasoningDelta, TextDelta
from polyglot_core._wire.framings import FRAMERS, framer_for
from polyglot_core._wire.messages import WireRequest
from polyglot_google.framing import StreamFramer

from ..properties.bodies import FOLDER, frames, ours, recorded
from ..properties.hearing import PRESET
from . import responses
from .assembling import check_session
from .rules import Broken, check_answer, check_framer, check_inflater

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from polyglot_core._wire.messages import FramerClass

    from ..conformance.corpus import Exchange

_LONGEST_SEED = 6000  # bytes; longer ones make the fuzzer slow
_MOST_SEEDS = 40  # recorded ones a dialect
_BINARY = "aws-eventstream"
_RATIO = 200
_PRESETS = ("gemini-openai", "groq", "minimax", "perplexity")  # with facts that change what is read, each others


class Target(NamedTuple):
    """A fuzz target.

    Attributes:
        check: Takes any bytes; raises where a rule does not hold.
        seeds: Gives bytes to begin with.
    """

    check: Callable[[bytes], object]
    seeds: Callable[[], Iterable[bytes]]


# Framers


def _framer(name: str, framing: str | FramerClass = "", **wire: bool) -> Target:
    request = WireRequest(url="", body=b"", framing=framing or name, **wire)
    return Target(lambda data: check_framer(lambda: framer_for(request, 1 << 24), data), lambda: _framed(name))


def _framed(name: str) -> Iterable[bytes]:
    """Return bodies of our own in a framing."""
    kinds = {"sse": "sse", "ndjson": "ndjson", "json-array": "array.json", "whole": "json", _BINARY: "frames"}
    return [exchange.body for exchange in ours() if exchange.framing == kinds[name]]


# Drivers


def _answer(exchange: Exchange, provider: str = "ours") -> Target:
    asked = exchange._replace(path=f"{provider}/any")
    binary = asked.framing == "frames"
    return Target(
        lambda data: check_answer(asked, frames(data) if binary else data),
        lambda: [*_seeds_of_our_own(asked), *([] if binary else _recorded_seeds(asked))],
    )


def _seeds_of_our_own(asked: Exchange) -> Iterable[bytes]:
    """Return bodies in the dialect, streamed or plain. Those of frames are lines: no mutation has a right checksum."""
    files = [FOLDER / one.path.rpartition("/")[2] for one in ours() if _is_alike(one, asked)]
    return [file.read_bytes() for file in files]


def _recorded_seeds(asked: Exchange) -> Iterable[bytes]:
    bodies = sorted((one.body for one in recorded(asked.dialect) if _is_alike(one, asked)), key=len)
    return [body for body in bodies[:: len(bodies) // _MOST_SEEDS + 1] if len(body) <= _LONGEST_SEED]


def _is_alike(one: Exchange, other: Exchange) -> bool:
    return (one.dialect, one.streamed) == (other.dialect, other.streamed)


def _answers() -> dict[str, Target]:
    """Return targets for each dialect, streamed and plain, and for each kind of facts that change decoding."""
    by_name = {
        f"{one.dialect}.{'stream' if one.streamed else 'plain'}": one for one in ours() if "error" not in one.path
    }
    chat = by_name["openai-chat.stream"]
    return {
        **{name: _answer(one) for name, one in by_name.items()},
        **{f"openai-chat.stream.{preset}": _answer(chat, PRESET + preset) for preset in _PRESETS},
    }


# The rest


def _inflater(encoding: str, compress: Callable[[bytes], bytes]) -> Target:
    def make():
        found = inflater_for({"content-encoding": encoding}, _RATIO)
        assert found is not None
        return found

    return Target(lambda data: check_inflater(make, data), lambda: [compress(body) for body in _framed("sse")])


def _check_thinking(data: bytes) -> None:
    """Check that thinking and text do not depend on the split, and that only tags and white space are removed."""
    text = data.decode("utf-8", "replace")
    cuts = [range(1), range(len(text)), range(0, len(text), 3)]
    told = {_thought([text[start:end] for start, end in itertools.pairwise([*cut, len(text)])]) for cut in cuts}
    if len(told) != 1:
        raise Broken(f"cut differently it is {told}")


def _thought(pieces: list[str]) -> tuple[str, str]:
    tags = ThinkTags("<think>", "</think>")
    events = [event for piece in pieces for event in tags.apply([TextDelta(piece)])] + tags.rest()
    return tuple("".join(event.text for event in events if type(event) is kind) for kind in (ReasoningDelta, TextDelta))


def _check_lenient(data: bytes) -> None:
    """Check that a repaired text needs no more repair, and that valid JSON is unchanged."""
    found = repaired(data)
    if found is None:
        return
    if repaired(found) is not None:
        raise Broken("a second time there is something to put right again")
    try:
        before = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return
    if b"999" not in data and msgspec.json.decode(found) != before:  # a number that is too large may be read as well
        raise Broken("what could be read is read as something else")


def _check_json(data: bytes) -> None:
    """Check that a text read in pieces is what the standard library reads, and that nothing else is raised."""
    text = data.decode("utf-8", "replace")
    try:
        expected: object = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        expected = None
    for size in (1, 3, len(text) or 1):
        reader = JSONReader()
        try:
            for start in range(0, len(text), size):
                reader.feed(text[start : start + size])
            found = reader.close()
        except JSONFault as fault:
            if expected is not None and "nested" not in fault.reason and "surrogate" not in fault.reason:
                raise Broken(f"in pieces of {size} it is no JSON: {fault}") from fault
        else:
            if expected is not None and found != expected and found == found:  # noqa: PLR0124 (NaN, of a large number)
                raise Broken(f"in pieces of {size} it is {found!r}")


def _no_constant(name: str) -> object:
    raise ValueError(name)


_ODD = (rb'{"a":"\ud83d","b":[NaN,-Infinity,1e999],"c":"\\ud83d\ude00"}', b'{"a":1}')
_TAGGED = (b"<think>hm</think>\n\nHello", b" <thi", b"Hello <think>no</think>")
_EVENTS = (bytes(range(64)), b"\0\0\1\0\4\0\1\0", bytes(64), b"\3" * 40)

TARGETS: dict[str, Target] = {
    **{f"framer.{name}": _framer(name) for name in FRAMERS},
    f"framer.{_BINARY}": _framer(_BINARY, EventStreamFramer),
    "framer.sse.flushed": _framer("sse", flush_at_eof=True),
    "framer.google": Target(
        lambda data: check_framer(partial(StreamFramer, limit=1 << 20), data),
        lambda: [*_framed("sse"), *_framed("json-array")],
    ),
    "inflater.gzip": _inflater("gzip", gzip.compress),
    "inflater.deflate": _inflater("deflate", zlib.compress),
    "http1": Target(responses.check_response, lambda: responses.SEEDS),
    "lenient": Target(_check_lenient, lambda: [*_ODD, *_framed("whole")]),
    "json": Target(_check_json, lambda: [*_ODD, b'[1, -2.5e3, "a\\u00e9", {"b": null}]', *_framed("whole")]),
    "thinking": Target(_check_thinking, lambda: _TAGGED),
    "attempt": Target(check_session, lambda: _EVENTS),
    **_answers(),
}
"""Every target by its name."""
