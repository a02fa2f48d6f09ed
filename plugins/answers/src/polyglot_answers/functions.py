"""Tools from typed functions: their schema, and running them with the arguments of a tool call."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import json
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Self, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from polyglot_answers.docstrings import read_docstring
from polyglot_answers.schemas import TypeSchema, is_model, schema_of
from polyglot_core import Message, Tool, ToolCall
from polyglot_core.errors import RequestError

if TYPE_CHECKING:
    from polyglot_core import AsyncInferenceStream, InferenceStream, PartialInferenceResponse

__all__ = [
    "CompleteCalls",
    "FunctionTool",
    "Functions",
    "Registry",
    "arun",
    "on_tool_call",
    "registry_of",
    "run",
    "tool_of",
]

_log = logging.getLogger("polyglot_answers")


@dataclasses.dataclass(frozen=True, eq=False)
class FunctionTool:
    """A function that a model may call, and the tool that describes it to the model.

    `FunctionTool.of` makes one from the function alone. Made by hand, it joins a tool with a schema of your own to a
    function, which is then called with the members of the arguments' object as they are.

    Attributes:
        tool: The tool, as it is sent.
        function: The function, sync or async. Arguments are passed by name.
        fields: Struct that the arguments are validated with; None if they are not validated.
        schema: Schema of the struct.
    """

    tool: Tool
    function: Callable[..., Any]
    fields: type[msgspec.Struct] | None = None
    schema: TypeSchema | None = None

    @classmethod
    def of(
        cls,
        function: Callable[..., Any],
        *,
        name: str | None = None,
        description: str | None = None,
        strict: bool | None = None,
    ) -> Self:
        """Return a function as a tool, with its name, docstring and annotations; the arguments are those of `tool_of`.

        Raises:
            RequestError: The function cannot be a tool. The message has the function and the parameter.
        """
        if not callable(function):
            raise RequestError(f"{function!r:.80} is no function, and cannot be a tool.", phase="encode")
        named = name or str(getattr(function, "__name__", ""))
        if not named.isidentifier() and not name:
            msg = (
                f"{function!r:.80} has no name that a tool can have; pass one, as in tool_of(function, name='search')."
            )
            raise RequestError(msg, phase="encode")
        doc = read_docstring(_doc_of(function))
        fields = _fields_of(function, named, doc.arguments)
        schema = _schema_of(fields, named)
        if strict and (open_place := _open_object(schema.schema)):
            raise _unfit(named, f"{open_place} accepts members of any name, which no strict schema can state")
        parameters = {field: value for field, value in schema.schema.items() if field != "title"}  # the name once more
        tool = Tool(named, doc.text if description is None else description, parameters, strict=strict)
        return cls(tool, function, fields, schema)

    @property
    def is_async(self) -> bool:
        """Return True if the function is a coroutine function."""
        code = _code_of(self.function)
        return inspect.iscoroutinefunction(code)

    def arguments(self, call: ToolCall) -> dict[str, Any]:
        """Return the validated arguments of a tool call, by the names of parameters.

        Raises:
            ValueError: The tool call is not complete, or its arguments do not fit. The message is for the model.
        """
        if not call.complete:
            raise ValueError("The tool call was interrupted: its arguments are incomplete.")
        given = call.arguments
        if given is None:
            raise ValueError(f"The arguments are not a JSON object: {_json_problem(call.arguments_raw)}.")
        if self.fields is None or self.schema is None:
            return given
        try:
            found = msgspec.convert(self.schema.without_absent(given), self.fields, str_keys=True, dec_hook=_decoded)
        except Exception as error:  # one that the type of a parameter raises, too
            raise ValueError(f"The arguments do not fit the tool {self.tool.name!r}: {error}.") from error
        return {name: getattr(found, name) for name in self.fields.__struct_fields__}


Registry = Mapping[str, FunctionTool]
"""Functions by the names of their tools."""

Functions = Sequence[Callable[..., Any] | FunctionTool] | Mapping[str, Callable[..., Any] | FunctionTool]
"""Functions as `registry_of` takes them: a list, or a mapping whose names are those of the tools."""


def tool_of(
    function: Callable[..., Any],
    *,
    name: str | None = None,
    description: str | None = None,
    strict: bool | None = None,
) -> Tool:
    """Return the tool that a function is: its name, docstring and annotations.

    The text of the docstring outside of its sections describes the tool. Arguments are described in its section of
    arguments, in the style of Google, NumPy or Sphinx, or by ``Annotated[int, "description"]``. The schema is in strict
    form: every member is required, null stands for a default, and no other members are accepted.

    Args:
        function: A function, sync or async, with an annotation for each parameter.
        name: Name of the tool, instead of the function's.
        description: Description of the tool, instead of the docstring's text.
        strict: True to request that the provider enforces the schema. Not every provider and model can, and those
            raise an error then. None is the provider's default.

    Raises:
        RequestError: A parameter has no annotation, cannot be passed by name, or its type has no JSON Schema. The
            message has the function and the parameter.
    """
    return FunctionTool.of(function, name=name, description=description, strict=strict).tool


def registry_of(functions: Functions) -> Registry:
    """Return functions by the names of their tools, to be passed to `run` for many tool calls.

    Raises:
        RequestError: Two functions have one name, or a function cannot be a tool.
    """
    pairs: list[tuple[str | None, Callable[..., Any] | FunctionTool]] = []
    if isinstance(functions, Mapping):
        pairs += functions.items()
    else:
        pairs += ((None, function) for function in functions)
    registry: dict[str, FunctionTool] = {}
    for name, function in pairs:
        each = _named(function, name) if isinstance(function, FunctionTool) else FunctionTool.of(function, name=name)
        if each.tool.name in registry:
            msg = f"Two functions are called {each.tool.name!r}; pass a dict of names and functions."
            raise RequestError(msg, phase="encode")
        registry[each.tool.name] = each
    return registry


def _named(function: FunctionTool, name: str | None) -> FunctionTool:
    """Return a function under another name, if there is one."""
    if name is None or name == function.tool.name:
        return function
    return dataclasses.replace(function, tool=msgspec.structs.replace(function.tool, name=name))


# Running a tool call


def run(call: ToolCall, functions: Functions) -> Message:
    """Run a tool call, and return the message with its result.

    An unknown tool, arguments that are incomplete or do not fit the function, and an exception of the function become
    a result with ``error=True``, whose text the model can use. Exceptions of functions are logged with their tracebacks
    at the level INFO of the logger ``polyglot``. `KeyboardInterrupt` and other exceptions that are no `Exception` pass.

    Raises:
        RequestError: The function is async; use `arun`.
    """
    bound = _bound(call, registry_of(functions))
    if isinstance(bound, Message):
        return bound
    if inspect.iscoroutinefunction(_code_of(bound.func)):
        raise _is_async(call)
    value, error = _outcome(bound)
    if inspect.isawaitable(value):
        if inspect.iscoroutine(value):
            value.close()
        raise _is_async(call)
    return _message(call, value, error)


async def arun(call: ToolCall, functions: Functions) -> Message:
    """Run a tool call, and return the message with its result, as `run` does.

    An async function is awaited. A sync function runs in a worker thread, so that it does not block the event loop. If
    the caller is cancelled meanwhile, the cancellation is delivered when the function has returned.
    """
    bound = _bound(call, registry_of(functions))
    if isinstance(bound, Message):
        return bound
    if inspect.iscoroutinefunction(_code_of(bound.func)):
        value, error = _outcome(bound)
    else:
        import anyio.to_thread  # noqa: PLC0415 (sync programs do not need it)

        value, error = await anyio.to_thread.run_sync(_outcome, bound)
    if inspect.isawaitable(value):
        try:
            value = await value
        except Exception as raised:  # noqa: BLE001 (the model is told)
            error = raised
    return _message(call, value, error)


def _bound(call: ToolCall, registry: Registry) -> functools.partial[Any] | Message:
    """Return the function with its arguments, or the message on what is wrong with the tool call."""
    function = registry.get(call.name)
    if function is None:
        known = ", ".join(registry) or "none"
        return Message.tool_result(call, f"There is no tool {call.name!r}. The tools are: {known}.", error=True)
    try:
        return functools.partial(function.function, **function.arguments(call))
    except ValueError as error:
        return Message.tool_result(call, str(error), error=True)


def _outcome(bound: Callable[[], Any]) -> tuple[Any, Exception | None]:
    """Call a function; return its value, or what it raises."""
    try:
        return bound(), None
    except Exception as error:  # noqa: BLE001 (the model is told)
        return None, error


def _message(call: ToolCall, value: Any, error: Exception | None) -> Message:
    """Return the message with the result of a function: its value, or what it raised."""
    if error is None:
        try:
            return Message.tool_result(call, value.model_dump(mode="json") if is_model(value) else value)
        except RequestError as problem:  # the value is no JSON value
            error = problem
    _log.info("The tool %r raised %s.", call.name, type(error).__name__, exc_info=error)
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return Message.tool_result(call, text, error=True)


def _is_async(call: ToolCall) -> RequestError:
    return RequestError(f"The tool {call.name!r} is an async function; run it with arun.", phase="encode")


def _json_problem(text: str) -> str:
    """Return a clause on why a text is not a JSON object."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        return str(error)
    return f"they are of type {type(value).__name__}"


# Tool calls while they stream


class CompleteCalls:
    """Finds the tool calls that a partial completes, for partials that are passed one after the other.

    Calls of choice 0 are found, each once. After a response was restarted, its tool calls are found anew.
    """

    def __init__(self) -> None:
        self._found: set[int] = set()

    def of(self, partial: PartialInferenceResponse) -> list[ToolCall]:
        """Return the tool calls that are complete now, and were not with the partials before."""
        if partial.seam is not None and not partial.seam.keeps:
            self._found.clear()
        if partial.choice != 0:
            return []
        new = [slot for slot, call in enumerate(partial.tool_calls) if call.complete and slot not in self._found]
        self._found.update(new)
        return [partial.tool_calls[slot] for slot in new]


_StreamT = TypeVar("_StreamT", bound="InferenceStream | AsyncInferenceStream")


def on_tool_call(stream: _StreamT, callback: Callable[[ToolCall], object]) -> _StreamT:
    """Call `callback` with each tool call when it is complete, while the stream is read. Return the stream.

    Args:
        stream: A stream that is not read yet; by whichever method it is read then.
        callback: A plain function. What it raises closes the stream and passes to the reader, as of `on_partial`.
    """
    calls = CompleteCalls()

    def watch(partial: PartialInferenceResponse) -> None:
        for call in calls.of(partial):
            callback(call)

    stream.on_partial(watch)
    return stream


# Signatures


def _code_of(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function that runs: without arguments bound to it, and of a callable object its method."""
    while isinstance(function, functools.partial):
        function = function.func
    if inspect.isroutine(function) or inspect.isclass(function):
        return function
    return getattr(type(function), "__call__", function)  # noqa: B004 (the method, not whether there is one)


def _doc_of(function: Callable[..., Any]) -> str:
    """Return the docstring of a function, or of a callable object or its class; empty if there is none."""
    while isinstance(function, functools.partial):
        function = function.func
    of_class = "" if inspect.isroutine(function) else inspect.getdoc(type(function))
    own = function if inspect.isclass(function) else _code_of(function)
    return (inspect.getdoc(own) if own.__doc__ else of_class) or ""


def _fields_of(function: Callable[..., Any], name: str, texts: Mapping[str, str]) -> type[msgspec.Struct]:
    """Return a struct with a field for each parameter of a function that is not bound yet."""
    fields: list[Any] = []
    for parameter in _parameters(function, name):
        kind = _with_description(_hint(function, parameter, name), texts.get(parameter.name))
        default = () if parameter.default is inspect.Parameter.empty else (_default(parameter.default),)
        fields.append((parameter.name, kind, *default))
    return msgspec.defstruct(name, fields, kw_only=True, forbid_unknown_fields=True)


_BY_POSITION = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def _parameters(function: Callable[..., Any], name: str) -> list[inspect.Parameter]:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (ValueError, TypeError, NameError) as error:
        raise _unfit(name, f"its signature cannot be read: {error}") from error
    hidden = function.keywords if isinstance(function, functools.partial) else {}
    found = [parameter for parameter in parameters if parameter.name not in hidden]
    for parameter in found:
        if parameter.kind in _BY_POSITION:
            raise _unfit(name, f"its parameter {parameter.name!r} cannot be passed by name")
        if parameter.annotation is inspect.Parameter.empty:
            raise _unfit(name, f"its parameter {parameter.name!r} has no annotation")
    return found


class _Annotated:
    """Holds one annotation, for `get_type_hints`."""


def _hint(function: Callable[..., Any], parameter: inspect.Parameter, name: str) -> Any:
    """Return the annotation of a parameter. Those of others and of the result need not be readable."""
    code = inspect.unwrap(_code_of(function))
    code = code.__init__ if inspect.isclass(code) else code
    holder = _Annotated()
    holder.__annotations__ = {parameter.name: parameter.annotation}
    try:
        hints = get_type_hints(holder, globalns=getattr(code, "__globals__", {}), include_extras=True)
    except (NameError, TypeError, SyntaxError) as error:
        raise _unfit(name, f"the annotation of its parameter {parameter.name!r} cannot be read: {error}") from error
    return hints[parameter.name]


def _schema_of(fields: type[msgspec.Struct], name: str) -> TypeSchema:
    """Return the schema of a struct of parameters.

    Raises:
        RequestError: The type of one of them has no schema.
    """
    try:
        return schema_of(fields)
    except TypeError as error:
        raise _unfit(name, f"{_without_schema(fields)} has no JSON Schema; {_TYPES}") from error


_TYPES = (
    "types are numbers, texts, dates, enums, literals, Structs, dataclasses, TypedDicts, and lists and dicts of these"
)


def _without_schema(fields: type[msgspec.Struct]) -> str:
    """Return the parameter, with its type, that has no schema."""
    for field in msgspec.structs.fields(fields):
        try:
            schema_of(msgspec.defstruct(fields.__name__, [(field.name, field.type)]))
        except TypeError:
            return f"the type of its parameter {field.name!r}, {field.type!r:.80},"
    return "one of its parameters"


def _decoded(kind: Any, value: Any) -> Any:
    """Return the value of a type that msgspec does not know: a pydantic model.

    Raises:
        NotImplementedError: It is another type.
    """
    if is_model(kind):
        return kind.model_validate(value)
    raise NotImplementedError


def _default(value: Any) -> Any:
    """Return a default as a field of a struct may have it."""
    try:
        hash(value)
    except TypeError:
        return msgspec.field(default_factory=lambda: value)
    return msgspec.field(default=value)


def _with_description(kind: Any, text: str | None) -> Any:
    """Return an annotation with the description that it has, else with one from the docstring."""
    if get_origin(kind) is Annotated:
        inner, *extras = get_args(kind)
        text = next(filter(None, map(_description, extras)), text)
        kept = tuple(extra for extra in extras if isinstance(extra, msgspec.Meta))
        kind = Annotated[(inner, *kept)] if kept else inner
    return Annotated[kind, msgspec.Meta(description=text)] if text else kind


def _description(extra: Any) -> str | None:
    """Return the description that an annotation holds: a text, or an object with one."""
    found = extra if isinstance(extra, str) else None
    for field in ("description", "documentation"):  # of msgspec's and pydantic's objects, and of typing's Doc
        found = found or getattr(extra, field, None)
    return found if isinstance(found, str) else None


def _open_object(schema: Mapping[str, Any]) -> str | None:
    """Return the parameter whose schema has an object that accepts any names; None if there is none."""
    definitions = schema.get("$defs", {})
    open_names = {name for name, inner in definitions.items() if _is_open(inner, ())}
    members = schema.get("properties", {})
    return next((f"its parameter {name!r}" for name, inner in members.items() if _is_open(inner, open_names)), None)


def _is_open(schema: Any, open_names: Collection[str]) -> bool:
    if isinstance(schema, list):
        return any(_is_open(each, open_names) for each in schema)
    if not isinstance(schema, Mapping):
        return False
    if not set(schema) - {"description", "title"}:  # of any type
        return True
    if schema.get("type") == "object" and schema.get("additionalProperties") is not False:
        return True
    inner = [*schema.get("properties", {}).values(), schema.get("items", ()), schema.get("anyOf", ())]
    reference = schema.get("$ref", "")
    return reference.rpartition("/")[2] in open_names or _is_open(inner, open_names)


def _unfit(name: str, why: str) -> RequestError:
    return RequestError(f"The function {name!r} cannot be a tool: {why}.", phase="encode")
