"""Checks of a request before it is encoded: the types and values of its fields, which no driver needs to check again.

A problem is a clause that begins with its place, such as ``messages[2].content[0].url``.
"""

from __future__ import annotations

import re
import types
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, get_args, get_origin, get_type_hints

from polyglot_core._values.json_values import is_plain, json_problem, text_problem
from polyglot_core._values.media_types import media_problem
from polyglot_core._values.parts import Audio, Document, Image, ToolResult
from polyglot_core._values.request import Message, RawTool, Tool
from polyglot_core._values.suggest import nearest
from polyglot_core.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from msgspec import Struct

    from polyglot_core._values.request import InferenceRequest

__all__ = ["check_request"]


def check_request(request: InferenceRequest) -> None:
    """Raise if something in a request has a wrong type or value, whatever the driver accepts.

    Raises:
        RequestError: It has. The message has the place, what is wrong, and what to do.
    """
    for problem in _problems(request):
        if problem is not None:
            raise RequestError(problem if problem.endswith("?") else f"{problem}.", phase="encode")


def _problems(request: InferenceRequest) -> Iterator[str | None]:
    for index, message in enumerate(request.messages):
        if not _is_plain_turn(message):
            yield from _message_problems(message, f"messages[{index}]")
    for index, tool in enumerate(request.tools):
        yield from _tool_problems(tool, f"tools[{index}]")
    if request.tools:
        yield _repeated_tool(request.tools)
    yield _choice_problem(request)
    if request.response_format is not None:
        yield from _field_problems(request.response_format, "response_format")
    if request.extra:
        yield json_problem(request.extra, "extra")
    if request.options:
        yield json_problem(request.options, "options")
    yield text_problem(request.model, "model")


# Types of fields


def _field_problems(value: Struct | str, where: str) -> Iterator[str | None]:
    """Yield problems of the types of a value's fields, and of what JSON cannot hold in them."""
    if isinstance(value, str):
        yield text_problem(value, where)
        return
    for name, (kinds, expected) in _fields(type(value)).items():
        field = getattr(value, name)
        if type(field) in kinds and (not field or (name != _CACHE and is_plain(field))):
            continue  # the quick way for most fields
        place = f"{where}.{name}"
        if field is None and (type(value), name) in _MAY_BE_NONE:
            continue
        if not isinstance(field, kinds):
            yield f"{place} is {_given(field)}, and should be {expected}{_HINTS.get((name, type(field)), '')}"
        elif isinstance(field, (str, Mapping)):
            yield json_problem(field, place)
            if name == _CACHE and not _LIFETIME.fullmatch(str(field)):
                yield f"{place} is {field!r:.40}, and should be True, or a lifetime such as '5m' or '1h'"


_MAY_BE_NONE = {(Tool, "description")}
"""Fields that a user often has no value for, such as the docstring of a function."""

_CACHE = "cache"
_LIFETIME = re.compile("[1-9][0-9]*[smhd]")
_HINTS: dict[tuple[str, type[Any]], str] = {
    ("data", str): "; decode a text in base64 with base64.b64decode(text)",
    ("data", bytearray): "; pass bytes(data)",
    ("content", bytes): "; decode it",
}
"""What to do about some fields of a wrong type."""


@cache
def _fields(kind: type[Struct]) -> dict[str, tuple[tuple[type, ...], str]]:
    """Return the types of each field of a class, and what they are called in messages."""
    return {name: _kinds(hint) for name, hint in get_type_hints(kind).items() if name in kind.__struct_fields__}


def _kinds(hint: Any) -> tuple[tuple[type, ...], str]:  # noqa: ANN401 (an annotation)
    hints = get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    kinds = tuple(get_origin(each) or each for each in hints)
    expected = tuple(Sequence if kind is tuple else kind for kind in kinds)
    kinds = expected + tuple(made for kind in expected for made in _BUILT_IN.get(kind, ()))
    return kinds, " or ".join(_KINDS.get(kind, kind.__name__) for kind in expected)


_BUILT_IN: dict[type, tuple[type, ...]] = {Mapping: (dict,), Sequence: (tuple, list)}
"""The usual classes of abstract types, which are found faster."""


_KINDS: dict[type, str] = {
    str: "text",
    bytes: "bytes",
    bool: "True or False",
    type(None): "None",
    Mapping: "a dict",
    Sequence: "a list of parts",
}


def _given(value: object) -> str:
    return f"{value!r:.40}" if isinstance(value, (str, bool, int, float)) else f"of type {type(value).__name__}"


# Messages and parts

_ROLES = ("system", "developer", "user", "assistant", "tool")


def _message_problems(message: Message, where: str) -> Iterator[str | None]:
    yield _role_problem(message.role, f"{where}.role")
    yield from _field_problems(message, where)
    if isinstance(message.content, str):
        return
    for index, part in enumerate(message.content):
        place = f"{where}.content[{index}]"
        yield from _part_problems(part, place)
        if isinstance(part, ToolResult) and not isinstance(part.content, str):
            for number, inner in enumerate(part.content):
                yield from _part_problems(inner, f"{place}.content[{number}]")


def _is_plain_turn(message: Message) -> bool:
    """Return True for a turn of ASCII text and nothing else, which has no problems; the quick way for many turns."""
    role, content = message.role, message.content
    bare = message.name is None and message.provider is None and message.complete is True
    plain = type(content) is str and content.isascii() and type(role) is str and role in _ROLES
    return bare and plain and message.extra == {}


def _role_problem(role: object, where: str) -> str | None:
    """Return a problem of a role that is misspelt. A role that resembles none is a matter of the dialect."""
    if role in _ROLES:
        return None
    close = nearest(role.lower(), _ROLES) if isinstance(role, str) else None
    if close is None and isinstance(role, str) and role.strip():
        return text_problem(role, where)
    hint = f"; did you mean {close!r}?" if close else ""
    return f"{where} is {_given(role)}, and should be {', '.join(_ROLES[:-1])} or {_ROLES[-1]}{hint}"


def _part_problems(part: Struct, where: str) -> Iterator[str | None]:
    yield from _field_problems(part, where)
    if check := _PART_CHECKS.get(type(part)):
        yield check(part, where)


def _file_problem(part: Image | Document, where: str) -> str | None:
    """Return a problem of a file that has no source, an empty one or several, or a URL that is none."""
    sources = [name for name in ("url", "data", "file_id") if getattr(part, name, None) is not None]
    allowed = "url, data or file_id" if isinstance(part, Document) else "url or data"
    if len(sources) != 1:
        given = f"{' and '.join(sources)}" if sources else f"no {allowed}"
        return f"{where}, of type {type(part).__name__}, has {given}, and should have one of {allowed}"
    (source,) = sources
    if not getattr(part, source):
        return f"{where}.{source} is empty"
    if part.url is not None and not _URL.match(part.url):
        return (
            f"{where}.url, {part.url!r:.60}, has no scheme, and should be a URL such as https://… or data:…; pass the "
            "content of a file as data"
        )
    return _type_problem(part, where)


_URL = re.compile("[A-Za-z][A-Za-z0-9+.-]+:")  # two letters at least: one is a drive of Windows


def _audio_problem(part: Audio, where: str) -> str | None:
    return _type_problem(part, where) if part.data else f"{where}.data is empty"


def _type_problem(part: Image | Audio | Document, where: str) -> str | None:
    """Return a problem of bytes whose media type is not given and was not recognized as one of the part's."""
    return None if part.mime_type else f"{where}.data {media_problem(part.data or b'')}"


_PART_CHECKS: dict[type, Callable[[Any, str], str | None]] = {
    Image: _file_problem,
    Document: _file_problem,
    Audio: _audio_problem,
}


# Tools


def _tool_problems(tool: Tool | RawTool, where: str) -> Iterator[str | None]:
    yield from _field_problems(tool, where)
    if isinstance(tool, RawTool):
        yield None if tool.payload else f"{where}.payload is empty"
    elif not tool.name.strip():
        yield f"{where}.name is empty; give the tool a name"


def _repeated_tool(tools: Sequence[Tool | RawTool]) -> str | None:
    seen: dict[str, int] = {}
    for index, tool in enumerate(tools):
        name = tool.name if isinstance(tool, Tool) else tool.payload.get("name")
        if not isinstance(name, str):
            continue
        if name in seen:
            return f"tools[{seen[name]}] and tools[{index}] are both named {name!r}; give each tool a name of its own"
        seen[name] = index
    return None


_CHOICES = ("auto", "required", "none")


def _choice_problem(request: InferenceRequest) -> str | None:
    """Return a problem of a choice of tools that cannot be followed. Tools may also be in `extra`."""
    choice = request.tool_choice
    if choice is None or choice in _CHOICES[::2] or any(_TOOLS.search(name) for name in request.extra):
        return None
    names = [tool.name for tool in request.tools]
    if not names:
        return f"tool_choice is {choice!r:.80}, and there are no tools; pass tools=[…]"
    if choice == "required" or choice in names:
        return None
    hint = f"; did you mean {close!r}?" if (close := nearest(choice, (*names, *_CHOICES))) else ""
    words = ", ".join(_CHOICES)
    return f"tool_choice is {choice!r:.80}, and should be {words} or one of {names}{hint}"


_TOOLS = re.compile("tool", re.IGNORECASE)
"""Matches a field of the body that may hold tools."""
