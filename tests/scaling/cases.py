"""Work for every buffer and parser, whose size a server or a caller chooses within the default limits."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from polyglot_core import Image, Message, Text, Tool, ToolCall
from polyglot_core._attempt.filters.json_repair import repaired
from polyglot_core._drivers import discovery
from polyglot_core._http.inflate import inflater_for
from polyglot_core._values.openai_shape import read_parts
from polyglot_core._wire.response_headers import telling_headers
from polyglot_core.plugin import InferenceRequest, Reasoning, ToolResult, merged
from polyglot_streams import json_complete, repeated_ngram
from polyglot_streams.pacing import Coalesce, Smooth, boundary
from polyglot_streams.pieces import nothing_new, piece_of
from polyglot_streams.stopping import StopWhen, matches
from polyglot_testkit import Recording, replay

from ..conformance.endpoints import DRIVERS, connection_to
from ..properties.bodies import frames

if TYPE_CHECKING:
    from polyglot_core._drivers.bound import BoundDriver
    from polyglot_streams.stages import Stage

    from .measuring import Work

__all__ = ["CASES"]

JSONObject = dict[str, Any]

_READ = 1000  # bytes of a read from the socket, so that buffers grow bit by bit


# Responses


@cache
def _driver(dialect: str) -> BoundDriver:
    driver = discovery.load_driver(DRIVERS[dialect])
    assert driver is not None, f"the driver of {dialect} is not installed"
    return driver.bind(connection_to(dialect, "ours", "http://127.0.0.1:1"))


def _received(
    body: Callable[[int], bytes],
    dialect: str = "openai-chat",
    *,
    streamed: bool = True,
    status: int = 200,
    kind: str = "",
) -> Work:
    """Return the work of decoding a response, and reading it, whose body depends on the size."""
    headers = {"content-type": kind} if kind else {}

    def work(size: int) -> Callable[[], object]:
        whole = body(size)
        pieces = [whole[start : start + _READ] for start in range(0, len(whole), _READ)]
        recording = Recording(name="body", body=whole, streamed=streamed, status=status, headers=headers)

        def run() -> object:
            return replay(_driver(dialect), recording, pieces=pieces).response.message

        return run

    return work


def _sse(*payloads: object) -> bytes:
    return b"".join(b"data: %b\n\n" % json.dumps(payload).encode() for payload in payloads)


def _delta(index: int = 0, **fields: Any) -> JSONObject:
    return {"choices": [{"index": index, "delta": fields}]}


_END = _sse({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}) + b"data: [DONE]\n\n"


def _chunks(chunk: Callable[[int], object], before: bytes = b"") -> Callable[[int], bytes]:
    return lambda size: before + _sse(*map(chunk, range(size))) + _END


def _call(index: int, arguments: str = "", **fields: Any) -> JSONObject:
    return _delta(tool_calls=[{"index": index, "function": {"arguments": arguments, **fields}}])


def _begun(index: int) -> JSONObject:
    return _delta(tool_calls=[{"index": index, "id": f"c{index}", "function": {"name": "rake", "arguments": "{}"}}])


def _detail(number: int, **fields: Any) -> JSONObject:
    return _delta(
        reasoning_details=[{"type": "reasoning.text", "text": "a", **fields, **({} if fields else {f"k{number}": 1})}]
    )


def _anthropic(blocks: Iterable[bytes]) -> bytes:
    start = b'{"type":"message_start","message":{"id":"m","model":"m","usage":{"input_tokens":1}}}'
    end = (
        b'{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":1}}',
        b'{"type":"message_stop"}',
    )
    return b"".join(b"data: %b\n\n" % event for event in (start, *blocks, *end))


def _thinking(number: int) -> bytes:
    return b'{"type":"content_block_start","index":%d,"content_block":{"type":"thinking","thinking":"a"}}' % number


_TEXT_BLOCK = b'{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}'
_CITED = b'{"type":"content_block_delta","index":0,"delta":{"type":"citations_delta","citation":{"cited_text":"a"}}}'


def _items(size: int) -> bytes:
    items = [
        {"type": "reasoning", "id": f"r{number}", "summary": [{"type": "summary_text", "text": "a"}]}
        for number in range(size)
    ]
    events = [
        {"type": "response.output_item.done", "output_index": number, "item": item} for number, item in enumerate(items)
    ]
    last = {"type": "response.completed", "response": {"id": "r", "status": "completed", "output": items}}
    return _sse({"type": "response.created", "response": {"id": "r"}}, *events, last)


def _gemini(*parts: Any) -> JSONObject:
    return {"candidates": [{"index": 0, "content": {"parts": list(parts)}}]}


_GEMINI_END = {"candidates": [{"index": 0, "content": {"parts": []}, "finishReason": "STOP"}]}


def _grounded(size: int) -> bytes:
    chunks = [{"web": {"uri": f"https://a.test/{number}"}} for number in range(size)]
    supports = [
        {"segment": {"startIndex": number, "endIndex": number + 1, "text": "a"}, "groundingChunkIndices": [number]}
        for number in range(size)
    ]
    last = {
        "candidates": [
            {
                **_GEMINI_END["candidates"][0],
                "groundingMetadata": {"groundingChunks": chunks, "groundingSupports": supports},
            }
        ]
    }
    return _sse(_gemini({"text": "a" * size}), last)


def _partial_args(size: int) -> bytes:
    pieces = [{"jsonPath": f"$.rows[{number}]", "stringValue": "a"} for number in range(size)]
    begun = _gemini({"functionCall": {"name": "rake", "willContinue": True}})
    rest = [_gemini({"functionCall": {"partialArgs": [piece], "willContinue": True}}) for piece in pieces]
    return _sse(begun, *rest, _gemini({"functionCall": {}}), _GEMINI_END)


_FRAMES = (b'messageStart {"role": "assistant"}\n', b'messageStop {"stopReason": "end_turn"}')


def _framed(*lines: bytes) -> bytes:
    return frames(b"\n".join([_FRAMES[0].strip(), *lines, _FRAMES[1]]))


_PIECE = b'contentBlockDelta {"contentBlockIndex": 0, "delta": {"text": "a"}}'

_LINE = b'{"model":"m","message":{"role":"assistant","content":"a"},"done":false}\n'
_LAST_LINE = b'{"model":"m","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop"}\n'

_RESPONSES: Mapping[str, tuple[Work, int]] = {
    "sse: one long line": (_received(lambda size: _sse(_delta(content="a" * size)) + _END), 100_000),
    "sse: many lines of one event": (_received(lambda size: b"data:\n" * size + b"\n" + _sse(_delta(content="a")) + _END), 10_000),
    "sse: many events": (_received(_chunks(lambda _: _delta(content="a"))), 500),
    "sse: many comments": (_received(lambda size: b": a\n\n" * size + _sse(_delta(content="a")) + _END), 5000),
    "sse: one long comment": (_received(lambda size: b":" + b"a" * size + b"\n\n" + _sse(_delta(content="a")) + _END), 100_000),
    "sse: events that are only CR": (_received(lambda size: b"\r" * size + _sse(_delta(content="a")) + _END), 20_000),
    "sse: lists of chunks in one event": (_received(lambda size: _sse([_delta(content="a")] * size) + _END), 500),
    "sse: objects behind one another in one event": (
        _received(lambda size: b"data: " + json.dumps(_delta(content="a")).encode() * size + b"\n\n" + _END),
        500,
    ),
    "leftovers: lines": (_received(lambda size: _sse(_delta(content="a")) + b"good morning\n\n" * size), 5000),
    "leftovers: objects": (_received(lambda size: _sse(_delta(content="a")) + _sse({"type": "x", "message": "a"}) * size), 500),
    "ndjson: one long line": (
        _received(lambda size: _LINE.replace(b'"a"', b'"%b"' % (b"a" * size)) + _LAST_LINE, "ollama-chat"),
        100_000,
    ),
    "ndjson: many lines": (_received(lambda size: _LINE * size + _LAST_LINE, "ollama-chat"), 500),
    "list: one long element": (
        _received(lambda size: json.dumps([_gemini({"text": "a" * size}), _GEMINI_END]).encode(), "gemini-generate", kind="application/json"),
        100_000,
    ),
    "list: many elements": (
        _received(lambda size: json.dumps([_gemini({"text": "a"})] * size + [_GEMINI_END]).encode(), "gemini-generate", kind="application/json"),
        300,
    ),
    "frames: one long frame": (
        _received(lambda size: _framed(_PIECE.replace(b'"a"', b'"%b"' % (b"a" * size))), "bedrock-converse-stream"),
        100_000,
    ),
    "frames: many frames": (_received(lambda size: _framed(*[_PIECE] * size), "bedrock-converse-stream"), 300),
    "whole body": (
        _received(lambda size: json.dumps({"choices": [{"message": {"content": "a" * size}, "finish_reason": "stop"}]}).encode(), streamed=False),
        200_000,
    ),
    "whole body: many blocks": (
        _received(
            lambda size: json.dumps({"type": "message", "content": [{"type": "text", "text": "a"}] * size, "stop_reason": "end_turn"}).encode(),
            "anthropic-messages",
            streamed=False,
        ),
        500,
    ),
    "error: HTML": (_received(lambda size: b"<p><script>" * size, status=500, kind="text/html"), 1000),
    "error: nested JSON": (
        _received(lambda size: b'{"error":' * size + b'{"message":"a"}' + b"}" * size, status=500, kind="application/json"),
        150,
    ),
    "error: words": (_received(lambda size: b"try again in " * size, status=429, kind="text/plain"), 1000),
    "error: JSON in a text": (
        _received(lambda size: json.dumps({"error": {"message": "Error - {'error': " * size}}).encode(), status=400, kind="application/json"),
        500,
    ),
    "error: JSON with many fields": (
        _received(lambda size: json.dumps({"error": {"message": "a", **{f"k{n}": n for n in range(size)}}}).encode(), status=400, kind="application/json"),
        1000,
    ),
    "gemini: many parts in one event": (_received(lambda size: _sse(_gemini(*[{"text": "a"}] * size), _GEMINI_END), "gemini-generate"), 500),
    "gemini: many calls": (
        _received(lambda size: _sse(*[_gemini({"functionCall": {"name": "rake", "args": {}}})] * size, _GEMINI_END), "gemini-generate"),
        200,
    ),
    "gemini: arguments value by value": (_received(_partial_args, "gemini-generate"), 200),
    "gemini: sources": (_received(_grounded, "gemini-generate"), 300),
    "reasoning: a new field in each piece": (_received(_chunks(_detail)), 300),
    "reasoning: many blocks": (_received(_chunks(lambda number: _detail(number, index=number))), 300),
    "tool calls: many": (_received(_chunks(_begun)), 200),
    "tool calls: many pieces of one": (_received(_chunks(lambda _: _call(0, "a"), before=_sse(_begun(0)))), 500),
    "tool calls: one piece of each in turn": (
        _received(_chunks(lambda number: _call(number % 200, "a"), before=_sse(*map(_begun, range(200))))),
        500,
    ),
    "choices: many": (_received(_chunks(lambda number: _delta(number, content="a"))), 30),
    "citations": (
        _received(_chunks(lambda n: _delta(content="a", annotations=[{"type": "url_citation", "url_citation": {"url": f"https://a.test/{n}"}}]))),
        300,
    ),
    "citations: of one text": (_received(lambda size: _anthropic([_TEXT_BLOCK, *[_CITED] * size]), "anthropic-messages"), 500),
    "details: a new one in each chunk": (_received(_chunks(lambda number: {**_delta(content="a"), f"k{number}": 1})), 300),
    "details: one that changes": (_received(_chunks(lambda number: {**_delta(content="a"), "tier": number})), 300),
    "usage in each chunk": (_received(_chunks(lambda number: {**_delta(content="a"), "usage": {"completion_tokens": number}})), 300),
    "think tags: begun in each piece": (_received(_chunks(lambda _: _delta(content="<"), before=_sse(_delta(content="<think>")))), 500),
    "think tags: begun within one piece": (_received(lambda size: _sse(_delta(content="<think>" + "</thin" * size)) + _END), 10_000),
    "think tags: white space before": (_received(_chunks(lambda _: _delta(content=" "))), 500),
    "halves of surrogates": (_received(lambda size: b'data: {"choices":[{"delta":{"content":"\\ud83d"}}]}\n\n' * size + _END), 300),
    "anthropic: many blocks": (_received(lambda size: _anthropic(map(_thinking, range(size))), "anthropic-messages"), 300),
    "responses: many items": (_received(_items, "openai-responses"), 150),
    "mistral: many parts": (
        _received(_chunks(lambda _: _delta(content=[{"type": "thinking", "thinking": [{"type": "text", "text": "a"}]}, {"type": "text", "text": "b"}])), "mistral-chat"),
        200,
    ),
}  # fmt: skip


# Single functions


def _inflating(size: int) -> Callable[[], object]:
    data = gzip.compress(json.dumps([number * 7919 % 100_003 for number in range(size)]).encode())
    pieces = [data[start : start + _READ] for start in range(0, len(data), _READ)]

    def run() -> None:
        inflater = inflater_for({"content-encoding": "gzip"}, 200)
        assert inflater is not None
        for piece in pieces:
            inflater.decode(piece)
        inflater.finish()

    return run


def _repairing(text: bytes) -> Work:
    return lambda size: partial(repaired, b'{"x":[' + text * size + b"1]}")


def _merging(size: int) -> Callable[[], object]:
    body = {"a": {f"k{number}": {"b": 1} for number in range(size)}, "tools": [1] * size}
    extra = {"a": {f"k{number}": {"c": 1} for number in range(size)}, "tools": [2] * size}
    return lambda: merged(body, extra)


def _reading(size: int) -> Callable[[], object]:
    parts = [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "https://a.test/p"}}] * size
    return lambda: read_parts(parts)


def _heading(size: int) -> Callable[[], object]:
    wire = _driver("openai-chat").encode(InferenceRequest(model="m", messages=(Message(role="user", content="a"),)))
    headers = {f"x-ratelimit-{number}": "1" for number in range(size)} | {f"a{number}": "1" for number in range(size)}
    return lambda: telling_headers(headers, wire)


def _staged(stage: Callable[[], Stage[Any, Any]], text: str) -> Work:
    """Return the work of a transform on a text that is received in pieces of four characters."""

    def work(size: int) -> Callable[[], object]:
        whole = text * size
        partials = [piece_of(nothing_new(None), whole[start : start + 4]) for start in range(0, len(whole), 4)]

        def run() -> None:
            made = stage()
            for each in partials:
                made.feed(each, 0.0)
            made.flush(0.0)

        return run

    return work


_FUNCTIONS: Mapping[str, tuple[Work, int]] = {
    "inflate": (_inflating, 20_000),
    "JSON repair: NaN": (_repairing(b"NaN,"), 5000),
    "JSON repair: escapes": (_repairing(rb'"\q",'), 5000),
    "JSON repair: open texts": (_repairing(rb'["\\'), 5000),
    "JSON repair: backslashes": (_repairing(b"\\"), 10_000),
    "merged": (_merging, 2000),
    "read_parts": (_reading, 500),
    "headers": (_heading, 500),
    "smooth": (_staged(lambda: Smooth(boundary("word"), 0), "word "), 2000),
    "smooth: no boundary": (_staged(lambda: Smooth(boundary("word"), 0), "words"), 2000),
    "smooth: a regular expression": (_staged(lambda: Smooth(boundary("[.!]"), 0), "words"), 2000),
    "coalesce": (_staged(lambda: Coalesce(1), "word "), 5000),
    "stop_when": (_staged(lambda: StopWhen(matches(re.compile("never"))), "word "), 2000),
    "json_complete": (_staged(lambda: StopWhen(json_complete()), '[{"\\"'), 5000),
    "repeated_ngram": (_staged(lambda: StopWhen(repeated_ngram(times=10_000)), "a b a c "), 1000),
    "repeated_ngram: one word": (_staged(lambda: StopWhen(repeated_ngram()), "words"), 5000),
}


# Requests

_PARTS = (Text("a"), Image(data=b"\x89PNG"))


def _sent(dialect: str, messages: Callable[[int], Iterable[Message]]) -> Work:
    """Return the work of encoding a conversation whose messages depend on the size."""

    def work(size: int) -> Callable[[], object]:
        request = InferenceRequest(model="m", messages=tuple(messages(size)), tools=(Tool("rake"),), unsupported="drop")
        return lambda: _driver(dialect).encode(request)

    return work


def _many_parts(size: int) -> list[Message]:
    return [Message(role="user", content=_PARTS * size)]


def _conversation(size: int) -> list[Message]:
    hello, told = Message(role="user", content="a"), Message(role="assistant", content=(Reasoning(text="a"), Text("b")))
    return [*([hello, told] * size), hello]


def _calls(size: int) -> list[Message]:
    """Return calls without ids, and their results in reverse order, which are matched by name."""
    calls = tuple(ToolCall(name=f"f{number}", arguments_raw="{}") for number in range(size))
    results = tuple(ToolResult(id="", content="a", name=call.name) for call in reversed(calls))
    return [
        Message(role="user", content="a"),
        Message(role="assistant", content=calls),
        Message(role="tool", content=results),
    ]


_REQUEST_DIALECTS = [dialect for dialect in DRIVERS if dialect != "bedrock-converse-stream"]
_REQUESTS: Mapping[str, tuple[Work, int]] = {
    f"{what} to {dialect}": (_sent(dialect, messages), size)
    for dialect in _REQUEST_DIALECTS
    for what, messages, size in (
        ("many parts", _many_parts, 200),
        ("a long conversation", _conversation, 100),
        ("many calls and results", _calls, 300),
    )
}

CASES: Mapping[str, tuple[Work, int]] = {**_RESPONSES, **_FUNCTIONS, **_REQUESTS}
"""Work and size by name."""
