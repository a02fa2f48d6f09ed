"""Tools from typed functions: their schema, and running them with the arguments of a tool call."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import msgspec

from polyglot_answers.schemas import TypeSchema, schema_of
from polyglot_core import Message, Tool, ToolCall
from polyglot_core.errors import RequestError

__all__ = ["Registry", "arun", "registry_of", "run", "tool_of"]

Registry = Mapping[str, Callable[..., Any]]
"""Functions by the names of their tools."""

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
_SECTION = re.compile(r"^\s*(Args|Arguments|Parameters|Returns|Raises|Yields|Attributes|Examples?|Notes?):\s*$")
_ENTRY = re.compile(r"^(\s*)\*{0,2}(\w+)\s*(?:\([^)]*\))?:\s*(.*)$")


def tool_of(function: Callable[..., Any], *, name: str | None = None) -> Tool:
    """Return the tool that a function is: its name, docstring and annotations.

    The text of the docstring before its first section describes the tool. Arguments are described in its section
    ``Args:``, or by ``Annotated[int, "description"]``.

    Args:
        function: A function, sync or async, with an annotation for each parameter.
        name: Name of the tool, instead of the function's.

    Raises:
        RequestError: A parameter has no annotation, cannot be passed by name, or its type has no JSON Schema.
    """
    described = _described(function)
    return Tool(
        name or function.__name__,
        _summary(function),
        described.schema,
        strict=True,
    )


def registry_of(functions: Iterable[Callable[..., Any]] | Registry) -> Registry:
    """Return functions by the names of their tools.

    Raises:
        RequestError: Two functions have one name.
    """
    if isinstance(functions, Mapping):
        return functions
    registry: dict[str, Callable[..., Any]] = {}
    for function in functions:
        if function.__name__ in registry:
            msg = f"Two functions are called {function.__name__!r}; pass a dict of names and functions."
            raise RequestError(msg, phase="encode")
        registry[function.__name__] = function
    return registry


def run(call: ToolCall, functions: Iterable[Callable[..., Any]] | Registry) -> Message:
    """Run a tool call, and return the message with its result.

    Arguments that do not fit the function, an unknown tool and an exception of the function become a result with
    ``error=True``, from which the model can go on.

    Raises:
        RequestError: The function is async; use `arun`.
    """
    function, arguments, problem = _prepared(call, registry_of(functions))
    if function is None:
        return Message.tool_result(call, problem, error=True)
    if inspect.iscoroutinefunction(function):
        raise RequestError(f"The tool {call.name!r} is an async function; run it with arun.", phase="encode")
    try:
        return Message.tool_result(call, function(**arguments))
    except Exception as error:  # noqa: BLE001 (the model is told)
        return Message.tool_result(call, _problem(error), error=True)


async def arun(call: ToolCall, functions: Iterable[Callable[..., Any]] | Registry) -> Message:
    """Run a tool call, whose function may be async, and return the message with its result, as `run` does."""
    function, arguments, problem = _prepared(call, registry_of(functions))
    if function is None:
        return Message.tool_result(call, problem, error=True)
    try:
        found = function(**arguments)
        return Message.tool_result(call, await found if inspect.isawaitable(found) else found)
    except Exception as error:  # noqa: BLE001 (the model is told)
        return Message.tool_result(call, _problem(error), error=True)


def _prepared(call: ToolCall, registry: Registry) -> tuple[Callable[..., Any] | None, dict[str, Any], str]:
    """Return the function with its arguments, or None with what is wrong with the tool call."""
    function = registry.get(call.name)
    if function is None:
        return None, {}, f"There is no tool {call.name!r}. Tools are {', '.join(registry) or 'none'}."
    if call.arguments is None:
        return None, {}, "The arguments are not a JSON object."
    described, kind = _described(function), _arguments_of(function)
    try:
        given = msgspec.convert(described.without_absent(call.arguments), kind, str_keys=True)
    except msgspec.ValidationError as error:
        return None, {}, f"The arguments do not fit the tool: {error}."
    return function, {name: getattr(given, name) for name in kind.__struct_fields__}, ""


def _problem(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".rstrip(": ")


# Signatures and docstrings


@lru_cache(maxsize=256)
def _described(function: Callable[..., Any]) -> TypeSchema:
    try:
        return schema_of(_arguments_of(function))
    except TypeError as error:
        raise _unfit(function, str(error)) from error


@lru_cache(maxsize=256)
def _arguments_of(function: Callable[..., Any]) -> type[msgspec.Struct]:
    """Return a struct with a field for each parameter of a function."""
    try:
        hints = get_type_hints(function, include_extras=True)
    except (NameError, TypeError) as error:
        raise _unfit(function, f"its annotations cannot be read: {error}") from error
    texts = _argument_texts(inspect.getdoc(function) or "")
    fields: list[Any] = []
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind in _POSITIONAL:
            raise _unfit(function, f"its parameter {name!r} cannot be passed by name")
        if name not in hints:
            raise _unfit(function, f"its parameter {name!r} has no annotation")
        kind = _with_description(hints[name], texts.get(name))
        default = () if parameter.default is inspect.Parameter.empty else (_default(parameter.default),)
        fields.append((name, kind, *default))
    return msgspec.defstruct(function.__name__, fields, kw_only=True, forbid_unknown_fields=True)


def _default(value: Any) -> Any:
    """Return a default as a field of a struct may have it."""
    return msgspec.field(default_factory=lambda: value) if isinstance(value, (list, dict, set)) else value


def _with_description(kind: Any, text: str | None) -> Any:
    if get_origin(kind) is Annotated:
        inner, *extras = get_args(kind)
        plain = next((extra for extra in extras if isinstance(extra, str)), None)
        kept = tuple(extra for extra in extras if isinstance(extra, msgspec.Meta))
        text = plain or (None if any(meta.description for meta in kept) else text)
        kind = Annotated[(inner, *kept)] if kept else inner
    return Annotated[kind, msgspec.Meta(description=text)] if text else kind


def _summary(function: Callable[..., Any]) -> str:
    """Return the text of the docstring before its first section."""
    lines: list[str] = []
    for line in (inspect.getdoc(function) or "").splitlines():
        if _SECTION.match(line):
            break
        lines.append(line)
    return "\n".join(lines).strip()


def _argument_texts(doc: str) -> dict[str, str]:
    """Return the descriptions of arguments in the section ``Args:`` of a docstring."""
    texts: dict[str, list[str]] = {}
    inside, indent, current = False, -1, ""
    for line in doc.splitlines():
        if section := _SECTION.match(line):
            inside = section[1] in {"Args", "Arguments", "Parameters"}
            indent = -1
        elif inside and line.strip():
            entry = _ENTRY.match(line)
            if entry is not None and (indent < 0 or len(entry[1]) == indent):
                indent, current = len(entry[1]), entry[2]
                texts[current] = [entry[3]]
            elif current:
                texts[current].append(line.strip())
    return {name: " ".join(lines).strip() for name, lines in texts.items()}


def _unfit(function: Callable[..., Any], why: str) -> RequestError:
    name = getattr(function, "__name__", repr(function))
    return RequestError(f"The function {name!r} cannot be a tool: {why}.", phase="encode")
