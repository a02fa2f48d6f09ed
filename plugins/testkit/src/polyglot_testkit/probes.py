"""The features of a request, one at a time: a request with the feature, and the same request without it."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec.structs import replace

from polyglot_core.errors import RequestError
from polyglot_core.plugin import (
    Audio,
    Document,
    Image,
    InferenceRequest,
    JSONSchema,
    Message,
    RawPart,
    Reasoning,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from polyglot_core.testing import OPTIONS

if TYPE_CHECKING:
    from collections.abc import Callable

    from polyglot_core.plugin import Part, WireRequest

__all__ = ["Probe", "is_dropped", "probes_for"]


class Probe(NamedTuple):
    """One feature of a request.

    Attributes:
        name: Its name in messages.
        request: A request with it.
        without: The same request without it.
    """

    name: str
    request: InferenceRequest
    without: InferenceRequest


def is_dropped(probe: Probe, encode: Callable[[InferenceRequest], WireRequest]) -> bool:
    """Return True if a driver silently drops the feature: it encodes both requests to the same bytes.

    For a driver that rejects tools, the other features of tools are compared without them.
    """
    said, unsaid = _sent(encode, probe.request), _sent(encode, probe.without)
    if unsaid is None and probe.without.tools:
        request, without = (replace(one, tools=()) for one in (probe.request, probe.without))
        return request != without and is_dropped(Probe(probe.name, request, without), encode)
    return said is not None and said == unsaid


def _sent(encode: Callable[[InferenceRequest], WireRequest], request: InferenceRequest) -> tuple[object, ...] | None:
    """Return what is sent, or None if the driver rejects the request.

    The header ``accept`` is not compared: most providers ignore it, and core writes it for each JSON request.
    """
    try:
        wire = encode(request)
    except RequestError:
        return None
    headers = {name: value for name, value in wire.headers.items() if name != "accept"}
    return wire.method, wire.url, headers, wire.body


def probes_for(model: str) -> list[Probe]:
    """Return a probe for each feature, with requests to `model`. They are copies, which a driver cannot spoil."""
    return [
        Probe(name, InferenceRequest(model=model, **request), InferenceRequest(model=model, **without))
        for name, (request, without) in copy.deepcopy(_EVERYTHING).items()
    ]


_Fields = dict[str, Any]
_Pairs = dict[str, tuple[_Fields, _Fields]]

_HELLO = Message(role="user", content="Hello.")


def _fields(*messages: Message, **fields: Any) -> _Fields:  # noqa: ANN401 (the fields of a request)
    return {"messages": messages or (_HELLO,), **fields}


# Messages

_GO_ON = Message(role="user", content="Go on.")
_SAID = Message(role="assistant", content="Well met.")
_MESSAGES: _Pairs = {
    "stream": (_fields(stream=True), _fields()),
    "extra": (_fields(extra={"mood": "glad"}), _fields()),
    "earlier messages": (_fields(_HELLO, _SAID, _GO_ON), _fields(_HELLO, _GO_ON)),
    "a system message": (_fields(Message(role="system", content="Be brief."), _HELLO), _fields()),
    "a developer message": (_fields(Message(role="developer", content="Be brief."), _HELLO), _fields()),
    "name of a message": (_fields(Message(role="user", content="Hello.", name="Ada")), _fields()),
    "extra of a message": (_fields(Message(role="user", content="Hello.", extra={"mood": "glad"})), _fields()),
}

# Parts. Two texts precede each, because some dialects have a shorter form for a single text.

_TEXTS = (Text("Look:"), Text("Here."))
_BYTES = b"bytes"
_URL = "https://example.com/file"
_PARTS: dict[str, Part] = {
    "Text": Text("And there."),
    "Image by URL": Image(url=f"{_URL}.png"),
    "Image as bytes": Image(data=_BYTES, mime_type="image/png"),
    "Audio": Audio(data=_BYTES, mime_type="audio/wav"),
    "Document by URL": Document(url=f"{_URL}.pdf"),
    "Document as bytes": Document(data=_BYTES, mime_type="application/pdf", name="file.pdf"),
    "Document by file_id": Document(file_id="file-1"),
    "RawPart": RawPart({"type": "block", "of": "a dialect"}),
}


def _part(*parts: Part) -> _Fields:
    return _fields(Message(role="user", content=(*_TEXTS, *parts)))


# Tools

_TOOL = Tool("weather")
_CALL = ToolCall(name="weather", id="call_1", arguments_raw='{"city":"Oslo"}', complete=True)


def _tool(tool: Tool = _TOOL, **fields: Any) -> _Fields:  # noqa: ANN401 (the fields of a request)
    return _fields(tools=(tool,), **fields)


def _answered(*parts: Part) -> _Fields:
    return _fields(_HELLO, Message(role="assistant", content=(*parts, Text("I look."))), _GO_ON)


def _result(*content: Text | Image, error: bool = False) -> _Fields:
    result = ToolResult(id="call_1", content=content, error=error, name="weather")
    return _fields(_HELLO, Message(role="assistant", content=(_CALL,)), Message(role="tool", content=(result,)))


_COLD, _WARM = Text("4 degrees"), Text("21 degrees")
_TOOLS: _Pairs = {
    "tools": (_tool(), _fields()),
    "strict of a tool": (_tool(Tool("weather", strict=True)), _tool()),
    "tool_choice='required'": (_tool(tool_choice="required"), _tool()),
    "tool_choice='none'": (_tool(tool_choice="none"), _tool()),
    "tool_choice by name": (_tool(tool_choice="weather"), _tool()),
    "parallel_tool_calls=False": (_tool(parallel_tool_calls=False), _tool()),
    "ToolCall": (_answered(_CALL), _answered()),
    "ToolResult": (_result(_COLD), _result(_WARM)),
    "ToolResult with error=True": (_result(_COLD, error=True), _result(_COLD)),
    "ToolResult with an image": (_result(_COLD, Image(data=_BYTES, mime_type="image/png")), _result(_COLD)),
}

# Formats and thinking

_FORMATS: _Pairs = {
    "response_format='json'": (_fields(response_format="json"), _fields()),
    "response_format with a schema": (_fields(response_format=JSONSchema({"type": "object"})), _fields()),
    "Reasoning with signature": (_answered(Reasoning(text="Hm.", signature="signature", id="id_1")), _answered()),
}

# Options

_VALUES: dict[str, tuple[object, ...]] = {
    "max_tokens": (500,),
    "temperature": (0.5, 0),
    "top_p": (0.5,),
    "top_k": (40,),
    "stop": ("END",),
    "seed": (7, 0),
    "presence_penalty": (0.5,),
    "frequency_penalty": (0.5,),
    "n": (2,),
    "logprobs": (True,),
    "top_logprobs": (3,),
    "reasoning_effort": ("low",),
    "reasoning_budget": (2000, 0),
    "service_tier": ("priority",),
    "user": ("user-1",),
    "metadata": ({"team": "docs"},),
}
"""Values of each option. Where 0 is meaningful it is probed too: drivers easily treat it as absent."""


def _options() -> _Pairs:
    values = [(option, value) for option in OPTIONS for value in _VALUES[option]]
    names = [f"option {option}" if value else f"option {option}=0" for option, value in values]
    requests = [_fields(options={option: value}) for option, value in values]
    return {name: (request, _fields()) for name, request in zip(names, requests, strict=True)}


_EVERYTHING: _Pairs = {
    **_MESSAGES,
    **{name: (_part(part), _part()) for name, part in _PARTS.items()},
    **_TOOLS,
    **_FORMATS,
    **_options(),
}
"""Name → the fields of a request with the feature, and of the same request without it."""
