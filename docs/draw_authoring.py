"""Generate the table of mistakes in drivers, with the message that each gets: each is made, and run."""

from __future__ import annotations

import logging
import types
from typing import NamedTuple

from polyglot_core import Connection, Message, PolyglotError
from polyglot_core.plugin import InferenceRequest
from polyglot_core.testing import bind, replay
from polyglot_testkit import ExamFailed, Recording, check_driver

__all__ = ["MISTAKES", "Mistake", "draw_authoring", "message_of"]

_RIGHT = """
from polyglot_core.plugin import *
from polyglot_core.plugin import json_access
import msgspec

@hookimpl
def encode_request(connection, request):
    body = {"model": request.model, "messages": MessageWriter(request, "acme").messages(), "stream": request.stream}
    body |= translate_options(request, {"temperature": "heat"}, driver="acme")
    return json_request(f"{connection.base_url}/chat", body, stream=request.stream, complete_on="end")

@hookimpl
def decode_chunk(chunk):
    piece = msgspec.json.decode(chunk.data)
    events = [TextDelta(piece["say"])] if "say" in piece else []
    if "because" in piece:
        events += [UsageReport({"read": 3}), Finish("stop", piece["because"]), End()]
    return events

@hookimpl
def extract_usage(payload):
    return Usage(input_tokens=payload["read"], raw=payload)
"""
"""A driver without a mistake, of which each mistake replaces a function."""

_STREAM = b'data: {"say": "Hel"}\n\ndata: {"say": "lo."}\n\ndata: {"because": "all said"}\n\n'


class Mistake(NamedTuple):
    """A mistake in a driver.

    Attributes:
        what: The mistake, in words.
        code: Python that makes it, in the namespace of a driver without one.
        remedy: What to do.
        check: The check of the exam that finds it; empty for one that a replay finds.
    """

    what: str
    code: str
    remedy: str
    check: str = ""


MISTAKES = (
    Mistake(
        "a hook without `hookimpl`",
        "def extract_usage(payload): return Usage()",
        "Put `@hookimpl` above each hook.",
    ),
    Mistake("a misspelt hook", "@hookimpl\ndef decode_chunks(chunk): return ()", "Correct the name of the function."),
    Mistake(
        "an argument that the contract does not have",
        "@hookimpl\ndef encode_request(connection, req): ...",
        "Hooks receive their arguments by name: use the names of [the contract](drivers.md).",
    ),
    Mistake(
        "`decode_chunk` is a generator",
        "@hookimpl\ndef decode_chunk(chunk): yield TextDelta('Hel')",
        "Return a list or a tuple.",
    ),
    Mistake(
        "`decode_chunk` returns nothing",
        "@hookimpl\ndef decode_chunk(chunk): return None",
        "Return `()` for a chunk without meaning.",
    ),
    Mistake(
        "`decode_chunk` returns text",
        "@hookimpl\ndef decode_chunk(chunk): return ['Hel']",
        "Return [events](drivers.md#events).",
    ),
    Mistake(
        "a field of an event has the wrong type",
        "@hookimpl\ndef decode_chunk(chunk): return [TextDelta(None)]",
        "Emit no event for a value that is null.",
    ),
    Mistake(
        "a field that a chunk does not have",
        "@hookimpl\ndef decode_chunk(chunk): return [TextDelta(msgspec.json.decode(chunk.data)['text'])]",
        "Decode into a struct with defaults: chunks without a field are usual.",
    ),
    Mistake(
        "no `Finish` and no `End`",
        "@hookimpl\ndef decode_chunk(chunk): return [TextDelta('Hel')]",
        "Emit a `Finish` for the finish reason, and an `End` if the dialect has an end marker.",
    ),
    Mistake(
        '`complete_on="end"`, but `decode_chunk` emits no `End`',
        "@hookimpl\ndef decode_chunk(chunk): return [TextDelta('Hel'), Finish('stop', 'stop')]",
        'Emit the `End`, or leave `complete_on` at `"finish"`.',
    ),
    Mistake(
        "`encode_request` returns a dict",
        "@hookimpl\ndef encode_request(connection, request): return {'model': request.model}",
        "Return the result of `json_request`.",
    ),
    Mistake(
        "an unknown framing",
        "@hookimpl\ndef encode_request(request): return json_request('http://a/', {}, stream=True, framing='lines')",
        'A stream of JSON lines is `"ndjson"`.',
    ),
    Mistake(
        "`extract_usage` returns a dict",
        "@hookimpl\ndef extract_usage(payload): return {'input_tokens': 3}",
        "Return a `Usage`.",
    ),
    Mistake(
        "a fact that the driver does not have",
        "class Facts(msgspec.Struct): version: str = '2'\n"
        "@hookimpl\ndef encode_request(connection, request): read_facts(connection, Facts)",
        "Correct the name in the preset or the connection.",
    ),
    Mistake(
        "text that is kept outside `state`",
        "texts = []\n@hookimpl\ndef decode_chunk(chunk):\n"
        "    piece = msgspec.json.decode(chunk.data)\n    texts.append(piece.get('say', ''))\n"
        "    done = [Finish('stop', 'all said'), End()] if 'because' in piece else []\n"
        "    return [TextDelta(str(len(texts))), *done]",
        "Keep what later chunks need in `state`, which is new for each attempt.",
        "interleaved streams do not mix",
    ),
    Mistake(
        "an option that is not in the body",
        "@hookimpl\ndef encode_request(connection, request):\n"
        "    body = {'messages': MessageWriter(request, 'acme').messages(), 'stream': request.stream}\n"
        "    for what in ('tools', 'tool_choice', 'parallel_tool_calls', 'response_format'):\n"
        "        if getattr(request, what) not in (None, ()): cannot_express(request, what, driver='acme')\n"
        "    return json_request(f'{connection.base_url}/chat', body, stream=request.stream, complete_on='end')",
        "Translate it, or let `translate_options` report it.",
        "every feature is encoded or rejected",
    ),
    Mistake(
        "the key in the URL",
        "@hookimpl\ndef encode_request(connection, request):\n"
        "    url = f'{connection.base_url}?key={connection.secret.reveal()}'\n"
        "    return json_request(url, {}, stream=request.stream)",
        "Leave the key to core: `auth_header` and `auth_scheme` of the preset.",
        "the key stays out of url and body",
    ),
)
"""The mistakes, in the order of the table."""

_CONNECTION = Connection(
    name="mine", driver="acme", base_url="http://127.0.0.1", model="acme-1", facts={"versoin": "3"}
)


def draw_authoring() -> str:
    """Return the table."""
    rows = ["| mistake | message | what to do |", "|---|---|---|"]
    for mistake in MISTAKES:
        text = message_of(mistake).replace("|", "\\|").replace("<", "\\<").replace("_", "\\_")
        rows.append(f"| {mistake.what} | {text} | {mistake.remedy} |")
    return "\n".join(rows)


def message_of(mistake: Mistake) -> str:
    """Return the name and the message of the error that a mistake gets.

    Raises:
        AssertionError: There is no error.
    """
    module = types.ModuleType("polyglot_acme.driver")
    exec(_RIGHT + mistake.code, module.__dict__)  # noqa: S102 (our own)
    try:
        error: Exception | None = _examine(module) if mistake.check else _replay(module)
    except (PolyglotError, ExamFailed) as raised:
        error = raised
    if error is None:
        msg = f"{mistake.what}: there is no error"
        raise AssertionError(msg)
    return f"`{type(error).__name__}`: {_shown(str(error), mistake.check)}"


_LONGEST = 400  # characters of a message; the exam lists every feature that is lost


def _shown(text: str, check: str) -> str:
    """Return a message on one line; of the exam's, that of one check."""
    lines = text.split("\n- ")
    line = " ".join(next((each for each in lines if each.startswith(check)), lines[-1]).split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST].rpartition(' ')[0]} …"


def _replay(module: types.ModuleType) -> PolyglotError | None:
    driver = bind(module, _CONNECTION)
    question = InferenceRequest(model="acme-1", messages=(Message(role="user", content="Hello"),), stream=True)
    replayed = replay(driver, driver.encode(question), [_STREAM])
    if replayed.error is None:
        _ = replayed.response.usage
    return replayed.error


def _examine(module: types.ModuleType) -> None:
    log = logging.getLogger("polyglot_core")
    level = log.level
    log.setLevel(logging.ERROR)  # the exam corrupts recordings, and what is odd is logged
    try:
        check_driver(module, [Recording(name="stream", body=_STREAM)])
    finally:
        log.setLevel(level)
