"""Reading of the arguments of `create`, in all the forms that users may write them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, get_origin

from msgspec.structs import replace

from polyglot_core._client.request_checks import check_request
from polyglot_core._values.connection import Connection, guarded_headers
from polyglot_core._values.formats import find_format
from polyglot_core._values.json_values import plain_text, text_problem
from polyglot_core._values.openai_shape import read_parts, read_result
from polyglot_core._values.options import EMBEDDING, NAMES, option_problem
from polyglot_core._values.parts import ToolResult
from polyglot_core._values.request import (
    InferenceRequest,
    JSONObject,
    JSONSchema,
    Message,
    Messages,
    RawTool,
    ResponseFormat,
    Tool,
)
from polyglot_core._values.secret import Headers, header_problem
from polyglot_core._values.suggest import nearest
from polyglot_core.errors import RequestError

if TYPE_CHECKING:
    from polyglot_core._values.formats import DataFormat, DataReader, Mode
    from polyglot_core._values.response import InferenceResponse

__all__ = [
    "as_data_format",
    "as_headers",
    "as_mapping",
    "as_messages",
    "as_request",
    "as_response_format",
    "as_switch",
    "as_texts",
    "as_tool_choice",
    "as_tools",
    "check_word",
    "checked_names",
    "without_plain_keys",
]


class SchemaFormat:
    """The format of a schema or of ``json``: the driver sends it, and the package that reads it is found on first use.

    So a call with a schema needs no package unless its data is read, or asked for in another mode than ``native``.
    """

    def __init__(self, given: JSONSchema | Literal["json"]) -> None:
        self._given = given

    def prepare(self, request: InferenceRequest, mode: Mode) -> InferenceRequest:
        return request if mode == "native" else self._found().prepare(request, mode)

    def reader(self, mode: Mode, path: Sequence[str] | None = None) -> DataReader:
        return self._found().reader(mode, path)

    def read(self, response: InferenceResponse, mode: Mode) -> Any:  # noqa: ANN401 (any JSON value)
        return self._found().read(response, mode)

    def _found(self) -> DataFormat[Any]:
        found = find_format(self._given)
        if found is None:
            raise _no_format(self._given)
        return found


def as_data_format(given: object, sent: ResponseFormat | None) -> DataFormat[Any] | None:
    """Return the format by which the data of a response is read; None for text.

    Args:
        given: The format as the user gave it.
        sent: The format of the request, which has been read from it; None for a type.

    Raises:
        RequestError: It is no format that can be read.
        ConfigError: It is a type, and no package with formats is installed.
    """
    if sent is not None:
        return None if sent == "text" else SchemaFormat(sent)
    if given is None:
        return None
    found = find_format(given) if isinstance(given, type) or get_origin(given) is not None else None
    if found is None:
        raise _no_format(given)
    return found


def as_request(*known: Any, headers: Headers, **given: Any) -> InferenceRequest:  # noqa: ANN401 (the arguments of create)
    """Return the request for the arguments of `create` of the same names, with the checked headers.

    Args:
        known: The options that it may have, if they are not those of calls with messages.
        headers: The headers.
        given: The arguments; `embed` has only some of them.

    Raises:
        RequestError: An argument cannot be read, or has a wrong value. The message has its place.
    """
    request = InferenceRequest(
        model=_as_model(given.get("model")) or "",
        messages=as_messages(given["messages"]),
        options=as_mapping("options", given.get("options")),
        tools=as_tools(given.get("tools")),
        tool_choice=as_tool_choice(given.get("tool_choice")),
        parallel_tool_calls=as_switch("parallel_tool_calls", given.get("parallel_tool_calls")),
        response_format=_sent_format(given.get("response_format")),
        unsupported=given["unsupported"],
        extra=as_mapping("extra", given.get("extra")),
        headers=headers,
    )
    if request.options and (problem := option_problem(request.options, "options", *known)):
        raise _error(problem)
    check_request(request)
    return request


_MOST_TEXTS = 100_000
"""Texts of one call. Their vectors are in memory together: 100,000 of 1,536 numbers take five gigabytes."""


def as_texts(texts: object) -> list[Message]:
    """Return a message for each of the texts to embed. A string is one text.

    Raises:
        RequestError: There are none, or too many, or one is blank or no text.
    """
    listed = [texts] if isinstance(texts, str) else texts
    if not isinstance(listed, Sequence) or not 0 < len(listed) <= _MOST_TEXTS:
        raise _error(f"texts must be a list of 1 to {_MOST_TEXTS} texts, not {listed!r:.40}.")
    for index, text in enumerate(listed):
        if not isinstance(text, str) or not text.strip() or text_problem(text, ""):
            raise _error(f"texts[{index}] must be text that is not blank and can be sent as UTF-8, not {text!r:.40}.")
    return [Message(role="user", content=text) for text in listed]


def checked_names(arguments: Any, known: Collection[str], method: str = "create") -> dict[str, Any]:  # noqa: ANN401 (also a TypedDict)
    """Return keyword arguments of a method. Remove them before raising: a traceback could show a key in them.

    Args:
        arguments: The arguments.
        known: The names that the method knows.
        method: Name of the method.

    Raises:
        RequestError: There is no such argument. The message has what to write instead.
    """
    unknown = [(name, v if type(v) in {int, float} else "…") for name, v in arguments.items() if name not in known]
    for name, value in unknown:
        arguments.clear()
        raise _error(f"{method} has no argument {name!r}; {_instead(name, value, known)}")
    return arguments  # type: ignore[no-any-return]


def _instead(name: str, value: object, arguments: Collection[str]) -> str:
    """Return what to write instead of an argument that a method does not have."""
    fields = Connection.__struct_fields__
    close = _ALIASES.get(name) or nearest(name, ("messages", *arguments, *NAMES, *EMBEDDING, *fields))
    if close in NAMES or close in EMBEDDING:
        return f"pass it as options={{{close!r}: {value}}}."
    if close in fields and close not in arguments:
        return f"it is a field of the connection, as in Inference.using(…, {close}=…)."
    return f"did you mean {close}?" if close else "a field of the provider's own goes into extra={…}."


_SYSTEM = "messages=[{'role': 'system', 'content': '…'}, …]"
_ALIASES = {"prompt": "messages", "input": "messages", "system": _SYSTEM, "max_completion_tokens": "max_tokens"}
"""Names that other libraries use, and what they are here."""


def _error(message: str) -> RequestError:
    return RequestError(message, phase="encode")


# Messages


def as_messages(messages: Messages | object) -> tuple[Message, ...]:
    """Return the messages as `Message` objects. A string becomes a message of the user.

    Raises:
        RequestError: There are no messages, or one is neither a string, a `Message` nor a mapping with a role.
    """
    if isinstance(messages, (str, Message, Mapping)):
        if not messages:
            raise _error(_NO_MESSAGES)
        return (_as_message(messages, "messages"),)
    if not isinstance(messages, Sequence) or isinstance(messages, (bytes, bytearray)):
        hint = "; make a list of it, as in list(turns)" if isinstance(messages, Iterable) else ""
        hint = "; decode it" if isinstance(messages, (bytes, bytearray)) else hint
        raise _error(f"messages must be a string or a list of messages, not {_named(messages)}{hint}.")
    if not messages:
        raise _error(_NO_MESSAGES)
    return tuple(_as_message(turn, f"messages[{index}]") for index, turn in enumerate(messages))


_NO_MESSAGES = "There are no messages; pass a string that is not empty, or at least one message."


def _named(value: object) -> str:
    return "None" if value is None else type(value).__name__


def _as_message(turn: object, where: str) -> Message:
    if isinstance(turn, Message):
        return turn if isinstance(turn.content, str) else _read_again(turn, f"{where}.content")
    if isinstance(turn, str):
        return Message(role="user", content=turn)
    if isinstance(turn, Mapping):
        return Message.from_dict(turn, where)
    msg = f"{where} must be a string, a Message or a dict with role and content, not {type(turn).__name__}."
    raise _error(msg)


def _read_again(turn: Message, where: str) -> Message:
    """Return a message whose parts, and those of its tool results, may be written as dicts."""
    parts = read_parts(turn.content, where)
    return replace(
        turn,
        content=tuple(
            replace(part, content=_result(part.content, f"{where}[{index}].content"))
            if isinstance(part, ToolResult)
            else part
            for index, part in enumerate(parts)
        ),
    )


def _result(content: object, where: str) -> Any:  # noqa: ANN401 (the content of a tool result)
    return content if isinstance(content, str) else read_result(content, read_parts(content, where), where)


# Words and switches


def check_word(field: str, word: object, words: Sequence[object]) -> None:
    """Raise if `word` is not a valid value of `field`, so that a typo is not silently ignored.

    Raises:
        RequestError: `word` is not one of `words`.
    """
    for known in words:  # not `in`: a word of another type may compare in any way
        if word is known:
            return
    if not (isinstance(word, str) and word in words):
        *most, last = map(repr, words)
        raise _error(f"{field} must be {', '.join(most)} or {last}, not {word!r:.80}.")


def as_switch(field: str, given: object) -> bool | None:
    """Return an argument that is True, False or None.

    Raises:
        RequestError: It is neither.
    """
    if given is None or isinstance(given, bool):
        return given
    raise _error(f"{field} must be True, False or None, not {given!r:.80}.")


def as_mapping(field: str, given: object) -> dict[str, Any]:
    """Return an argument that is a mapping with names, or None, as a dict.

    Raises:
        RequestError: It is neither.
    """
    if given is None:
        return {}
    if type(given) is not dict and not isinstance(given, Mapping):
        raise _error(f"{field} must be a dict, not {type(given).__name__}.")
    for name in given:
        if not isinstance(name, str):
            raise _error(f"{field} has the name {name!r:.80} of type {type(name).__name__}; names are text.")
    return dict(given)


def _as_model(model: object) -> str | None:
    """Return the name of a model, or None.

    Raises:
        RequestError: It is empty, or no text.
    """
    if model is None:
        return None
    if isinstance(model, str) and model.strip():
        return plain_text(model)  # a driver may format it into a URL, where an enum's member is its name
    given = "empty" if isinstance(model, str) else f"of type {type(model).__name__}"
    raise _error(f"model is {given}; pass the name of a model, or None for that of the connection.")


def without_plain_keys(headers: Any, auth_header: str | None) -> Any:  # noqa: ANN401 (what a user may pass)
    """Return headers with the values of those that carry a key as secrets; anything but a mapping is unchanged.

    `create` does this first, because a traceback can show the variables of every frame.
    """
    return guarded_headers(headers, auth_header) if headers is not None and isinstance(headers, Mapping) else headers


def as_headers(headers: object, auth_header: str | None = None) -> dict[str, Any]:
    """Return the headers of a call, with names in lower case.

    Args:
        headers: A mapping of names to text or to secrets, as `without_plain_keys` returns it; None for no headers.
        auth_header: Header that carries the connection's key, which cannot be replaced; None if there is no key.

    Raises:
        RequestError: It is no such mapping, or a header cannot be sent or replaces the key.
    """
    if headers is None:
        return {}
    given: Headers = as_mapping("headers", headers)
    for name, text in given.items():
        if problem := header_problem(name, text):
            raise _error(f"headers[{name!r}] {problem}.")
        if auth_header is not None and name.lower() == auth_header.lower():
            raise _error(
                f"headers[{name!r}] would replace the key of the connection; for another key use another connection, "
                "as in Inference.using(…, api_key=…)."
            )
    named = {name.lower(): text for name, text in given.items()}
    if len(named) < len(given):
        twice = next(name for name in named if sum(name == each.lower() for each in given) > 1)
        raise _error(f"headers has {twice!r} more than once, in other letter cases; keep one of them.")
    return named


# Tools and formats


def as_tools(tools: object) -> tuple[Tool | RawTool, ...]:
    """Return the tools as `Tool` and `RawTool` objects.

    A dict in OpenAI's format becomes a `Tool`. A dict of another type, or without a name, is a tool in the provider's
    own format and becomes a `RawTool`.

    Raises:
        RequestError: A tool is none of these.
    """
    if tools is None or (type(tools) is tuple and not tools):
        return ()
    if isinstance(tools, (str, bytes, Mapping, Tool, RawTool)) or not isinstance(tools, Iterable):
        hint = "; put it in a list" if isinstance(tools, (Mapping, Tool, RawTool)) else ""
        raise _error(f"tools must be a list of Tool, RawTool or dicts, not {type(tools).__name__}{hint}.")
    return tuple(_as_tool(tool, f"tools[{index}]") for index, tool in enumerate(tools))


def _as_tool(tool: object, where: str) -> Tool | RawTool:
    if isinstance(tool, (Tool, RawTool)):
        return tool
    if not isinstance(tool, Mapping):
        msg = f"{where} must be a Tool, a RawTool or a dict with a function, not {type(tool).__name__}."
        raise _error(msg)
    return RawTool(tool) if _is_own(tool) else Tool.from_dict(tool, where)


_OF_A_FUNCTION = frozenset({"function", "name", "parameters", "input_schema", "description"})


def _is_own(tool: JSONObject) -> bool:
    """Return True for a tool in a provider's own format: one with a type of its own, or with no field of a function."""
    kind = tool.get("type")
    if kind is None:
        return bool(tool) and _OF_A_FUNCTION.isdisjoint(tool)
    return isinstance(kind, str) and kind != "function"


def as_tool_choice(choice: object) -> str | None:
    """Return the choice of tools as a word or the name of a tool. It may be a dict in OpenAI's or Anthropic's format.

    Raises:
        RequestError: It is none of these.
    """
    if choice is None or (isinstance(choice, str) and choice):
        return choice
    if isinstance(choice, Mapping):
        named = choice.get("function", choice)
        name = named.get("name") if isinstance(named, Mapping) else None
        if isinstance(name, str) and name and choice.keys() <= {"type", "function", "name"}:
            return name
        if set(choice) == {"type"} and isinstance(word := choice["type"], str):
            return _CHOICES.get(word, word)
    if isinstance(choice, Tool):
        return choice.name
    raise _error(f"tool_choice must be 'auto', 'required', 'none' or the name of a tool, not {choice!r:.80}.")


_CHOICES = {"any": "required"}
"""Words of dicts in Anthropic's format that differ."""

_NAMED_FORMATS: dict[str, Literal["text", "json"]] = {
    "text": "text",
    "json": "json",
    "json_object": "json",
}

_OF_A_FORMAT: dict[str, tuple[str, ...]] = {
    "text": (),
    "json": ("schema",),
    "json_object": ("schema",),
    "json_schema": JSONSchema.__struct_fields__,
}
"""Types of dicts in OpenAI's format, and the fields of each beside its type. Several servers read a schema of
``json_object``."""

_JSON_TYPES = frozenset({"object", "array", "string", "number", "integer", "boolean", "null"})


def _sent_format(given: object) -> ResponseFormat | None:
    """Return the format that is sent as the user gave it; None for a type, which its own format adds to the request."""
    return as_response_format(given) if given is None or isinstance(given, (str, JSONSchema, Mapping)) else None


def as_response_format(given: object) -> ResponseFormat | None:
    """Return the response format. It may be a word, a `JSONSchema`, a dict in OpenAI's shape, or a raw JSON Schema.

    Raises:
        RequestError: It is none of these, or has a field that would be lost.
    """
    if given is None or isinstance(given, JSONSchema):
        return given
    if isinstance(given, str) and given in _NAMED_FORMATS:
        return _NAMED_FORMATS[given]
    if not isinstance(given, Mapping):
        raise _no_format(given)
    kind = given.get("type")
    if not isinstance(kind, str) or kind.lower() in _JSON_TYPES:
        return JSONSchema(given)
    if kind not in _OF_A_FORMAT:
        raise _no_format(given, f"; put the format {kind!r:.40} of a provider into extra={{…}}")
    inner, where = given, "response_format"
    if kind == "json_schema" and "json_schema" in given:
        _check_format(given, where, ("json_schema",))
        inner, where = given["json_schema"], "response_format['json_schema']"
    if isinstance(inner, Mapping):
        _check_format(inner, where, _OF_A_FORMAT[kind])
        if isinstance(inner.get("schema"), Mapping):
            fields = {name: inner[name] for name in JSONSchema.__struct_fields__ if inner.get(name) is not None}
            return JSONSchema(**fields)
        if kind in _NAMED_FORMATS and inner.get("schema") is None:
            return _NAMED_FORMATS[kind]
    raise _no_format(given)


def _check_format(given: JSONObject, where: str, known: tuple[str, ...]) -> None:
    """Raise if a dict has a field beside its type that is not one of `known`: it would be lost."""
    for name, value in given.items():
        if name not in known and name != "type" and value is not None:
            close = nearest(str(name), known)
            hint = f"did you mean {close!r}?" if close else "put a provider's own format into extra={…}."
            raise _error(f"{where} has the field {name!r:.80}, which is not read; {hint}")


def _no_format(given: object, hint: str = "") -> RequestError:
    return _error(
        "response_format must be 'text', 'json', a type such as a dataclass, a JSONSchema or a dict with a JSON "
        f"Schema, not {given!r:.80}{hint}."
    )
