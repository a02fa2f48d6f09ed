"""Checks of what a driver sends: the content of the request, in order, unchanged, and as recorded."""

from __future__ import annotations

import base64
import json
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from msgspec.structs import replace

from polyglot_core.errors import RequestError
from polyglot_core.plugin import (
    Document,
    Image,
    InferenceRequest,
    JSONSchema,
    Message,
    Text,
    Tool,
    ToolCall,
    json_access,
)
from polyglot_testkit.check import differing, expect, nothing_to_check
from polyglot_testkit.hook_calls import question
from polyglot_testkit.json_paths import keys_and_texts, leaves
from polyglot_testkit.probes import probes_for
from polyglot_testkit.recording import request_of

if TYPE_CHECKING:
    from polyglot_core.plugin import WireRequest
    from polyglot_testkit.check import Exam

__all__ = [
    "extra_has_the_last_word",
    "misspelt_options_are_rejected",
    "recorded_requests_are_encoded",
    "requests_are_well_formed",
    "roles_are_told_apart",
    "the_model_is_that_of_the_request",
    "unsupported_features_can_be_dropped",
    "what_is_sent_is_in_the_request",
]

_CITY = "Zürich 世界 🚀"
_ARGUMENTS = {"city": _CITY, "days": [1, 2.5, None, True], "deep": {"er": '\\ "quoted"'}}
_PNG, _PDF = b"\x89PNG bytes of an image", b"%PDF bytes of a document"
_TOOL = Tool(
    "weather_of",
    description="The weather of a place. ☂",
    parameters={"type": "object", "properties": {"city_name": {"type": "string"}}, "required": ["city_name"]},
)


def _encoded(exam: Exam, request: InferenceRequest) -> WireRequest | None:
    """Return the encoded request; None if the driver rejects it."""
    try:
        return exam.driver.encode(request)
    except RequestError:
        return None


def _body(wire: WireRequest) -> Any:  # noqa: ANN401 (a JSON value)
    return json_access.parse(wire.body, otherwise=None)


def what_is_sent_is_in_the_request(exam: Exam) -> bool:
    """Check that texts, tools, files and the values of options are in the request as they were given, in order."""
    checked = False
    for what, request, wanted in _contents(exam):
        wire = _encoded(exam, request)
        if wire is None or _body(wire) is None:
            continue
        checked = True
        sent = [*keys_and_texts(_body(wire)), wire.url]
        position = -1
        for text in wanted:
            places = [number for number, each in enumerate(sent) if text in each]
            expect(bool(places), f"{what}: {text!r:.100} is not in the request; it has {json.dumps(_body(wire)):.400}")
            later = [place for place in places if place >= position]
            expect(bool(later), f"{what}: {text!r:.100} is not in its place in the request")
            position = later[0]
    _options_are_unchanged(exam)
    if not checked:
        nothing_to_check("no request has a JSON body")
    return True


def _contents(exam: Exam) -> list[tuple[str, InferenceRequest, tuple[str, ...]]]:
    """Return requests, each with the texts that have to be in it, in order."""

    def ask(*messages: Message, **fields: Any) -> InferenceRequest:  # noqa: ANN401 (of the request)
        return InferenceRequest(model=exam.model, messages=messages, **fields)

    first, reply, last = "First: grüße 世界 🚀\n", "Second: \\n is no line break", '  Third, "quoted"  '
    user = Message(role="user", content="Hello")
    turns = _turns(("user", first), ("assistant", reply), ("user", last))
    repeated = _turns(*(("user", "Again?"), ("assistant", "Yes.")) * 3, ("user", "Again?"))
    call = ToolCall(name="weather_of", id="call_1", arguments_raw=json.dumps(_ARGUMENTS), complete=True)
    called = (user, Message(role="assistant", content=(call,)), Message.tool_result(call, f"4 degrees in {_CITY}"))
    extra = {"exam_field": {"of the dialect": _CITY}}
    parts = (Text("Look at one,"), Text("at the other."), Image(data=_PNG, mime_type="image/png"))
    schema = JSONSchema({"type": "object", "properties": {"city_name": {"type": "string"}}}, name="place")
    return [
        (
            "a conversation",
            ask(*turns),
            (first, reply, last.strip()),
        ),
        ("a long message", ask(Message(role="user", content="long " * 4000 + "to the end")), ("to the end",)),
        ("a message that is repeated", ask(*repeated), ("Again?", "Yes.") * 3 + ("Again?",)),
        ("a system message", ask(Message(role="system", content=first), user), (first,)),
        ("a tool", ask(user, tools=(_TOOL,)), ("weather_of",)),
        ("a tool's description", ask(user, tools=(_TOOL,)), (_TOOL.description or "",)),
        ("a tool's parameters", ask(user, tools=(_TOOL,)), ("city_name",)),
        ("a tool call", ask(*called, tools=(_TOOL,)), ("weather_of",)),
        ("a tool result", ask(*called, tools=(_TOOL,)), (f"4 degrees in {_CITY}",)),
        ("extra", ask(user, extra=extra), ("exam_field", "of the dialect", _CITY)),
        ("several parts", ask(Message(role="user", content=parts)), ("Look at one,", "at the other.", _as_text(_PNG))),
        (
            "an image by its URL",
            ask(_file(Image(url="https://example.com/a%20b.png"))),
            ("https://example.com/a%20b.png",),
        ),
        ("a document", ask(_file(Document(data=_PDF, mime_type="application/pdf", name="a.pdf"))), (_as_text(_PDF),)),
        ("a schema", ask(user, response_format=schema), ("city_name",)),
    ]


def _turns(*turns: tuple[str, str]) -> list[Message]:
    return [Message(role=role, content=text) for role, text in turns]


def _file(part: Image | Document) -> Message:
    return Message(role="user", content=(Text("See:"), part))


def _as_text(data: bytes) -> str:
    return base64.b64encode(data).decode()


_VALUES: Mapping[str, object] = {
    "max_tokens": 517,
    "temperature": 0.53,
    "top_p": 0.47,
    "top_k": 39,
    "stop": ["EXAM", "ÜBER"],
    "seed": 20260102,
    "presence_penalty": 0.31,
    "frequency_penalty": 0.29,
    "user": "user-of-the-exam",
}


def _options_are_unchanged(exam: Exam) -> None:
    """Fail if the value of an option is not in the request as it was given."""
    for option, value in _VALUES.items():
        wire = _encoded(exam, replace(question(exam, stream=False), options={option: value}))
        if wire is None or _body(wire) is None:
            continue
        found = [each for _, each in leaves(_body(wire))]
        missing = [each for each in (value if isinstance(value, list) else [value]) if each not in found]
        named = f"option {option}"
        expect(not missing or named in exam.left_out, f"{named}={value!r} is not in the request with this value")


# Tool calls' arguments and roles


def roles_are_told_apart(exam: Exam) -> bool:
    """Check that the same text gives another request in another role, and a result in that of another tool call."""
    pairs = {
        "a user and the assistant": (
            _turns(("user", "Hello"), ("assistant", "Good."), ("user", "Go on.")),
            _turns(("user", "Hello"), ("user", "Good."), ("user", "Go on.")),
        ),
        "the system and a user": (
            _turns(("system", "Be brief."), ("user", "Hello")),
            _turns(("user", "Be brief."), ("user", "Hello")),
        ),
        "two orders of two results": (_results("call_1", "call_2"), _results("call_2", "call_1")),
        "two orders of two messages": (
            _turns(("user", "One."), ("assistant", "Yes."), ("user", "Two.")),
            _turns(("user", "Two."), ("assistant", "Yes."), ("user", "One.")),
        ),
    }
    for what, (one, other) in pairs.items():
        requests = [InferenceRequest(model=exam.model, messages=tuple(turns), tools=_CALLED) for turns in (one, other)]
        requests = [replace(request, tools=()) if "results" not in what else request for request in requests]
        wires = [_encoded(exam, request) for request in requests]
        bodies = [None if wire is None else wire.body for wire in wires]
        expect(bodies[0] is None or bodies[0] != bodies[1], f"the same is sent for {what}")
    return True


_CALLED = (Tool("weather_of"),)


def _results(*ids: str) -> list[Message]:
    """Return a conversation with two tool calls, and their results in the order of ids."""
    calls = tuple(
        ToolCall(name="weather_of", id=each, arguments_raw=json.dumps({"city": each}), complete=True)
        for each in ("call_1", "call_2")
    )
    results = [Message.tool_result(each, text) for each, text in zip(ids, ("4 degrees", "21 degrees"), strict=True)]
    return [Message(role="user", content="Hello"), Message(role="assistant", content=calls), *results]


def the_model_is_that_of_the_request(exam: Exam) -> bool:
    """Check that the model of the request is sent, and not that of the connection or another spelling."""
    model = "Exam-Model-2"
    wire = _encoded(exam, replace(question(exam), model=model))
    if wire is None:
        nothing_to_check(f"the driver rejects the model {model!r}")
    sent = [*keys_and_texts(_body(wire)), unquote(wire.url)]
    expect(any(model in text for text in sent), f"the model {model!r} is neither in the body nor in the URL")
    return True


def extra_has_the_last_word(exam: Exam) -> bool:
    """Check that a field in `extra` replaces the field of that name which the driver writes."""
    body = _body(exam.driver.encode(question(exam)))
    names = [name for name in body if name not in exam.switch] if isinstance(body, dict) else []
    if not names:
        nothing_to_check("the body of a question is no object with fields")
    for name in names:
        wire = _encoded(exam, replace(question(exam), extra={name: "of the exam"}))
        if wire is not None:
            value = _body(wire).get(name)
            expect(value == "of the exam", f"extra={{{name!r}: …}} is not sent; lay it over the body with merged")
    return True


# Headers


def requests_are_well_formed(exam: Exam) -> bool:
    """Check the method, the headers and the framing of a request: what core and HTTP expect of every request."""
    for stream in (True, False):
        wire = exam.driver.encode(question(exam, stream=stream))
        upper = [name for name in wire.headers if name != name.lower()]
        expect(not upper, f"the headers {', '.join(upper)} have names in upper case; write them in lower case")
        kind = wire.headers.get("content-type")
        labelled = not wire.body or (isinstance(kind, str) and ("json" not in kind or _body(wire) is not None))
        expect(labelled, f"the request has the content type {kind!r}, which is not that of its body; use json_request")
        expect(bool(wire.body) == (wire.method != "GET"), f"a {wire.method} request has {len(wire.body)} bytes of body")
        if not stream:
            expect(wire.framing == "whole", f"the framing of a plain response is {wire.framing!r} and not 'whole'")
    return True


# Recorded requests


def recorded_requests_are_encoded(exam: Exam) -> bool:
    """Check that the request of a recording is encoded to the body that was sent for it."""
    recorded = [recording for recording in exam.recordings if recording.sent is not None]
    if not recorded:
        nothing_to_check("no recording has the body that was sent: Recording(sent={…})")
    for recording in recorded:
        model = exam.model
        if recording.request is None and isinstance(recording.sent, Mapping):
            stated = recording.sent.get("model")
            model = stated if isinstance(stated, str) else model
        body = _body(exam.driver.encode(request_of(recording, model)))
        fields = differing(body, recording.sent)
        why = f"{recording.name}: the encoded request differs from what was sent in {', '.join(fields)}"
        expect(not fields, f"{why}; it is {json.dumps(body):.400}")
    return True


# Options and what cannot be expressed

_MISSPELT = {"temprature": 0.5, "maxTokens": 5, "exam_option": "x"}


def misspelt_options_are_rejected(exam: Exam) -> bool:
    """Check that an option that does not exist is a `RequestError`, however unsupported features are handled."""
    for option, value in _MISSPELT.items():
        for unsupported in ("raise", "drop"):
            request = replace(question(exam), options={option: value}, unsupported=unsupported)
            why = f"the option {option!r} does not exist and is accepted; use translate_options"
            expect(_encoded(exam, request) is None, why)
    return True


def unsupported_features_can_be_dropped(exam: Exam) -> bool:
    """Check that what the driver rejects is left out with ``unsupported="drop"``, and with a warning for ``"warn"``."""
    checked = False
    for probe in probes_for(exam.model):
        if _encoded(exam, probe.request) is not None or _encoded(exam, probe.without) is None:
            continue
        checked = True
        for unsupported in ("drop", "warn"):
            request: InferenceRequest = replace(probe.request, unsupported=unsupported)
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                try:
                    exam.driver.encode(request)
                except RequestError as error:
                    why = f"{probe.name} is rejected with unsupported={unsupported!r} too; use cannot_express: {error}"
                    expect(False, why)  # noqa: FBT003 (it did not hold)
            silent = unsupported == "warn" and not caught
            expect(not silent, f"{probe.name} is left out silently with unsupported='warn'; use cannot_express")
            loud = unsupported == "drop" and bool(caught)
            expect(not loud, f"{probe.name} gives a warning with unsupported='drop'; use cannot_express")
    if not checked:
        nothing_to_check("the driver supports every feature")
    return True
