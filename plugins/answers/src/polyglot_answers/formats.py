"""Response formats for core: types and schemas, asked for in four modes, and read while they are received.

Core finds this module in the entry-point group ``polyglot.formats``.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from polyglot_answers.extraction import json_in as json_value_in
from polyglot_answers.extraction import read_json
from polyglot_answers.functions import tool_of
from polyglot_answers.json_reader import JSONFault
from polyglot_answers.reading import TypeReader, no_json
from polyglot_answers.schemas import TypeSchema, is_closed, schema_of
from polyglot_answers.validation import element_type, validated
from polyglot_core import FinishReason, InferenceResponse, JSONSchema, Message, Outcome, Text, Tool
from polyglot_core.errors import RequestError, ResponseFormatError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from polyglot_core.plugin import InferenceRequest

__all__ = ["TypeFormat", "format_of", "json_in", "tool_of"]


def format_of(kind: object) -> TypeFormat | None:
    """Return the format for a type, a `JSONSchema`, or ``json``, which stands for any JSON value.

    Raises:
        RequestError: The type has no JSON Schema.
    """
    if isinstance(kind, JSONSchema):
        return TypeFormat(Any, TypeSchema(kind.name, kind.schema, kind.description), sent=True)
    if kind == "json":
        return TypeFormat(Any, TypeSchema("json", {}), sent=True)
    try:
        return _format_of_type(kind)
    except TypeError as error:
        raise RequestError(f"response_format cannot be {kind!r:.80}: {error}", phase="encode") from error


@lru_cache(maxsize=256)
def _format_of_type(kind: Any) -> TypeFormat:
    return TypeFormat(kind, schema_of(kind))


def json_in(text: str) -> Any:
    """Return the JSON value in a text: the whole text, else a fenced block, else the text from a brace or bracket on.

    Raises:
        ResponseFormatError: There is none.
    """
    try:
        return json_value_in(text)
    except JSONFault as fault:
        raise no_json(fault, text) from None


class TypeFormat:
    """A type, or a schema, as a response format.

    Args:
        kind: The type; `Any` for a schema, whose value is plain JSON.
        schema: The schema of the type.
        sent: True for a schema, which core puts into the request as the user gave it.
    """

    def __init__(self, kind: Any, schema: TypeSchema, *, sent: bool = False) -> None:
        self._kind = kind
        self._schema = schema
        self._sent = sent

    def prepare(self, request: InferenceRequest, mode: str) -> InferenceRequest:
        """Return the request that asks for the format in a mode.

        Raises:
            RequestError: In the mode ``tool``, the request has tools, or the schema is not that of an object.
        """
        if mode == "native" and self._sent:
            return request
        return _PREPARE[mode](request, self._schema)

    def reader(self, mode: str, path: Sequence[str] | None = None) -> TypeReader:
        """Return a reader for one response. `path` leads to the list whose elements are read.

        Raises:
            RequestError: The type has no list at the path.
        """
        elements = Any
        if path is not None:
            try:
                elements = element_type(self._kind, path)
            except LookupError as error:
                raise RequestError(
                    f"elements({', '.join(map(repr, path))}): {error.args[0]}.", phase="encode"
                ) from error
        return TypeReader(self._schema, elements, tuple(path or ()), searches=_searches(mode))

    def read(self, response: InferenceResponse[Any], mode: str) -> Any:
        """Return the value of a complete response.

        Raises:
            ResponseFormatError: The response is a refusal or incomplete, its text is no JSON, or does not fit the type.
        """
        text = self._text_of(response, mode)
        try:
            value = json_value_in(text) if _searches(mode) else read_json(text)
        except JSONFault as fault:
            raise no_json(fault, text, partial=response) from None
        value = self._schema.without_absent(value)
        name = self._schema.wrapped
        if name is not None and isinstance(value, dict):
            if name not in value:
                found = ", ".join(map(repr, value)) or "none"
                msg = (
                    f"The response is JSON without the member {name!r}, which holds the value; its members are {found}."
                )
                raise ResponseFormatError(msg, text, path="$", cause="type", partial=response)
            value = value[name]
        return validated(value, self._kind, text, partial=response)

    def _text_of(self, response: InferenceResponse[Any], mode: str) -> str:
        """Return the text that holds the data.

        Raises:
            ResponseFormatError: There is none: the response is a refusal, incomplete, or no call of the tool.
        """
        calls = response.tool_calls if mode == "tool" else ()
        text = calls[0].arguments_raw if calls else response.content
        problem = _problem(response)
        if problem is None and mode == "tool" and not calls:
            problem = "none", f"The model did not call the tool {self._schema.name!r}, whose arguments are the data."
        if problem is not None:
            cause, message = problem
            raise ResponseFormatError(message, text, cause=cause, partial=response)
        return text


def _problem(response: InferenceResponse[Any]) -> tuple[str, str] | None:
    """Return why a response cannot have its data, as a cause and a message; None if it can."""
    if response.refusal is not None or response.finish_reason in _REFUSALS:
        said = response.refusal or response.content
        return "refusal", f"The model refused, so there is no data: {said!r:.200}"
    if response.outcome is not Outcome.FINISHED:
        return (
            "cut",
            f"The response is incomplete, its outcome is {response.outcome}; received_data has its data so far.",
        )
    if response.finish_reason is FinishReason.LENGTH:
        return "cut", (
            "The response was cut at its limit of tokens, and so was its data, which received_data has so far; raise "
            "max_tokens."
        )
    return None


_REFUSALS = frozenset({FinishReason.REFUSAL, FinishReason.CONTENT_FILTER})


def _searches(mode: str) -> bool:
    """Return True for modes in which other words may stand around the JSON."""
    return mode in {"json", "markdown"}


# The request in each mode


def _ask_natively(request: InferenceRequest, schema: TypeSchema) -> InferenceRequest:
    strict = True if is_closed(schema.schema) else None  # providers that enforce schemas refuse open objects
    wanted = JSONSchema(schema.schema, name=schema.name, strict=strict, description=schema.description)
    return replace(request, response_format=wanted)


def _ask_by_tool(request: InferenceRequest, schema: TypeSchema) -> InferenceRequest:
    if request.tools:
        msg = "data_mode='tool' makes the model call one tool, so the call cannot have tools; use another mode."
        raise RequestError(msg, phase="encode")
    parameters = schema.schema or {"type": "object"}
    if parameters.get("type") != "object":
        msg = "data_mode='tool' needs the schema of an object; wrap it in one, or use another mode."
        raise RequestError(msg, phase="encode")
    tool = Tool(schema.name, schema.description or "Give the result.", parameters)
    return replace(request, response_format=None, tools=(tool,), tool_choice="required")


def _ask_for_json(request: InferenceRequest, schema: TypeSchema) -> InferenceRequest:
    return replace(_with_instruction(request, "Respond with JSON alone.", schema), response_format="json")


def _ask_for_markdown(request: InferenceRequest, schema: TypeSchema) -> InferenceRequest:
    how = "Respond with JSON in one fenced block (```json), and with nothing after it."
    return replace(_with_instruction(request, how, schema), response_format=None)


def _with_instruction(request: InferenceRequest, how: str, schema: TypeSchema) -> InferenceRequest:
    """Return the request with an instruction at the end of the user's last turn."""
    wanted = json.dumps(schema.schema, ensure_ascii=False)
    text = f"{how} The JSON must match this schema:\n{wanted}" if schema.schema else how
    messages = list(request.messages)
    users = [index for index, message in enumerate(messages) if message.role == "user"]
    if users:
        turn = messages[users[-1]]
        messages[users[-1]] = replace(turn, content=(*turn.parts, Text(f"\n\n{text}")))
    else:
        messages.append(Message(role="user", content=text))
    return replace(request, messages=tuple(messages))


_PREPARE: Mapping[str, Callable[[InferenceRequest, TypeSchema], InferenceRequest]] = {
    "native": _ask_natively,
    "tool": _ask_by_tool,
    "json": _ask_for_json,
    "markdown": _ask_for_markdown,
}
