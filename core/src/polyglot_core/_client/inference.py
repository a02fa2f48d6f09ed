"""What users hold: `Inference` makes calls over a connection, with threads or, as `AsyncInference`, with tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, get_args

from msgspec.structs import replace

from polyglot_core._client.arguments import UNSUPPORTED, as_messages, as_response_format, as_tools, check_word
from polyglot_core._client.pending import AsyncPendingInference, PendingInference
from polyglot_core._client.stream import AsyncInferenceStream, InferenceStream, NotCopied
from polyglot_core._config import resolve
from polyglot_core._config.dsn import read_line
from polyglot_core._drivers import discovery
from polyglot_core._engine.call import Call, OnTruncated, Target
from polyglot_core._engine.pump import async_pump, pump
from polyglot_core._engine.retry_policy import ResumeMode
from polyglot_core._http.event_loops import AsyncSource
from polyglot_core._http.pools import Pools, shared_pools
from polyglot_core._values.connection import Connection, guard
from polyglot_core._values.request import InferenceRequest
from polyglot_core._values.secret import Secret
from polyglot_core.errors import ConfigError

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence
    from typing import Self

    from polyglot_core._drivers.bound import BoundDriver
    from polyglot_core._http.httpx_options import Client
    from polyglot_core._values.limits import Retries, Timeouts
    from polyglot_core._values.request import Messages, ResponseFormat, Tool

__all__ = ["AsyncInference", "Inference"]

_PendingT = TypeVar("_PendingT", bound="PendingInference | AsyncPendingInference")
_StreamT = TypeVar("_StreamT", bound="InferenceStream | AsyncInferenceStream")


class _Inference(NotCopied, Generic[_PendingT, _StreamT]):
    """What does not wait, of the two inferences.

    Attributes:
        connection: The connection that is asked; its fallbacks are asked after it.
    """

    def __init__(self, connection: Connection, client: Client | None = None) -> None:
        if not isinstance(connection, Connection):
            name = type(self).__name__
            msg = f"{name}() takes a Connection, not {type(connection).__name__}; {name}.using('NAME') takes a name."
            raise ConfigError(msg, phase="configure")
        self.connection = connection
        self._drivers = [(each, _driver_for(each)) for each in (connection, *connection.fallbacks)]
        self._use(client)

    @classmethod
    def using(
        cls,
        name: str | None = None,
        *,
        config: str | os.PathLike[str] | None = None,
        client: Client | None = None,
        **overrides: Any,  # noqa: ANN401 (the fields of a connection)
    ) -> Self:
        """Use the connection, preset or driver of this name.

        Args:
            name: The name, or the name with a model after a slash; None for the default.
            config: Configuration file, instead of the one that would be found.
            client: An ``httpx.Client`` of your own (async: an ``httpx.AsyncClient``), which stays yours to close.
            overrides: Fields of `Connection` that replace what was found, such as ``model`` or ``timeouts``.

        Raises:
            ConfigError: Nothing has this name, or its key is missing.
            PluginError: The driver cannot be loaded.
        """
        guard(overrides)
        return cls(resolve.resolve(name, config=config, **overrides), client)

    @classmethod
    def from_dsn(cls, dsn: str, client: Client | None = None) -> Self:
        """Use a connection given in one line: fields as ``name=value``, separated by commas.

        The line starts from a driver, ``driver=``, or a preset, ``preset=``. A dot selects an item of a mapping, as in
        ``preset=openai,model=gpt-4o,options.temperature=0``. Items are parsed as JSON if possible, else kept as text.

        Raises:
            ConfigError: The line names neither a driver nor a preset, or has something that is not a field.
            PluginError: The driver cannot be loaded.
        """
        line = Secret(dsn)
        del dsn  # it may hold a key, and a traceback shows this frame
        return cls(read_line(line), client)

    @classmethod
    def from_connection(cls, connection: Connection, client: Client | None = None) -> Self:
        """Use a connection that was made in code.

        Raises:
            ConfigError: It names a driver that is not there.
            PluginError: The driver cannot be loaded.
        """
        return cls(connection, client)

    def create(  # noqa: PLR0913 (what a call can say)
        self,
        messages: Messages,
        *,
        model: str | None = None,
        options: Mapping[str, Any] | None = None,
        stream: bool | None = None,
        tools: Sequence[Tool | Mapping[str, Any]] = (),
        tool_choice: str | None = None,
        parallel_tool_calls: bool | None = None,
        response_format: ResponseFormat | Mapping[str, Any] | None = None,
        timeouts: Timeouts | Mapping[str, float | None] | None = None,
        retries: Retries | Mapping[str, float] | None = None,
        unsupported: Literal["raise", "warn", "drop"] = "raise",
        extra: Mapping[str, Any] | None = None,
        on_truncated: OnTruncated = "raise",
        resume: ResumeMode | None = None,
    ) -> _PendingT:
        """Prepare a call. Nothing is sent until its answer is asked for.

        Args:
            messages: A text, or the turns of a conversation as `Message` objects or dicts in OpenAI's shape.
            model: Model to ask, instead of the connection's.
            options: Options such as ``temperature``, laid over the connection's. ``stream`` asks for a stream.
            stream: Whether to ask for a stream; beats ``options["stream"]``.
            tools: Functions that the model may call, as `Tool` objects or dicts in OpenAI's shape.
            tool_choice: ``auto``, ``required``, ``none``, or the name of a tool.
            parallel_tool_calls: Whether the model may call several tools in one turn.
            response_format: ``"text"``, ``"json"``, a `JSONSchema`, or a JSON Schema as a dict.
            timeouts: Clocks of this call, in seconds, instead of the connection's; a dict changes single ones.
            retries: When a request of this call is sent again, instead of what its connections say; a dict changes
                single numbers.
            unsupported: What to do about something that the driver cannot express: ``raise`` a `RequestError`,
                ``warn`` and leave it out, or ``drop`` it.
            extra: Fields for the body, sent as they are.
            on_truncated: What an answer is that ends before the model was done: ``raise`` a `Truncated`, or ``mark``
                the response with ``outcome == "truncated"``.
            resume: How an answer goes on that breaks off after it has begun, as often as `retries` allow: ``restart``
                asks anew, ``prefill`` lets the model write on from what had come, ``provider`` lets the provider send
                the rest of what it has kept. None raises. A partial with a `seam` shows the place.

        Raises:
            ConfigError: There is no model to ask.
            RequestError: The messages cannot be understood.
        """
        _check_words(unsupported=unsupported, on_truncated=on_truncated, resume=resume)
        asked = InferenceRequest(
            model=model or "", messages=as_messages(messages), options=options or {}, tools=as_tools(tools),
            tool_choice=tool_choice, parallel_tool_calls=parallel_tool_calls, unsupported=unsupported,
            response_format=as_response_format(response_format), extra=extra or {},
        )  # fmt: skip
        targets = _targets(self._drivers, asked, stream, retries)
        clocks = resolve.clocks(self.connection.name, self.connection.timeouts, timeouts)
        return self._pending(
            targets[0].request,
            lambda streamed: self._stream(
                Call(_streamed(targets, streamed), clocks, on_truncated=on_truncated, resume=resume)
            ),
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.connection.name!r})"

    def _use(self, client: Client | None) -> None:
        """Take connections from this client, or from the pools that all share."""
        raise NotImplementedError

    def _pending(self, request: InferenceRequest, start: Callable[[bool], _StreamT]) -> _PendingT:
        raise NotImplementedError

    def _stream(self, call: Call) -> _StreamT:
        raise NotImplementedError


def _driver_for(connection: Connection) -> BoundDriver:
    driver = discovery.load_driver(connection.driver)
    if driver is None:
        raise resolve.unknown_driver(connection)
    return driver.bind(connection)


_WORDS = {
    "unsupported": UNSUPPORTED,
    "on_truncated": get_args(OnTruncated),
    "resume": (None, *get_args(ResumeMode)),
}


def _check_words(**said: object) -> None:
    for field, word in said.items():
        check_word(field, word, _WORDS[field])


def _targets(
    drivers: Sequence[tuple[Connection, BoundDriver]],
    asked: InferenceRequest,
    stream: bool | None,  # noqa: FBT001 (what the call says)
    retries: Retries | Mapping[str, float] | None,
) -> list[Target]:
    """What is asked of each connection: what the call says, laid over what the connection says.

    The call's own model is the first one's; the others ask for theirs. An explicit `stream` beats the option.
    """
    targets = []
    for place, (connection, driver) in enumerate(drivers):
        options = {**connection.options, **asked.options}
        streamed = options.pop("stream", False)
        model = (asked.model if place == 0 else "") or connection.model
        if not model:
            msg = f"Connection {connection.name!r} names no model; give one, as in create(…, model='NAME')."
            raise ConfigError(msg, connection=connection.name, phase="configure")
        request = replace(asked, model=model, options=options, stream=bool(streamed if stream is None else stream))
        targets.append(Target(_with_retries(connection, retries), driver, request))
    return targets


def _streamed(targets: Sequence[Target], streamed: bool) -> list[Target]:  # noqa: FBT001 (it is what is asked)
    """The targets, asked for a stream or for a whole answer."""
    return [target._replace(request=replace(target.request, stream=streamed)) for target in targets]


def _with_retries(connection: Connection, changed: Retries | Mapping[str, float] | None) -> Connection:
    if changed is None:
        return connection
    return connection.with_changes(retries=resolve.retries(connection.name, connection.retries, changed))


class Inference(_Inference[PendingInference, InferenceStream]):
    """Makes calls over one connection. Safe to share between threads.

    Used with ``with``, it owns its HTTP connections and closes them at the end; otherwise it shares the process's.
    """

    _pools: Pools

    def stream(self, messages: Messages, **asked: Any) -> InferenceStream:  # noqa: ANN401 (the arguments of create)
        """Shortcut for ``create(messages, …).stream()``; the arguments are those of `create`."""
        return self.create(messages, **asked).stream()

    def close(self) -> None:
        """Close the HTTP connections that are this inference's own."""
        if self._pools is not shared_pools():
            self._pools.close()

    def __enter__(self) -> Self:
        if self._pools is shared_pools():
            self._pools = Pools()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _use(self, client: Client | None) -> None:
        self._pools = shared_pools() if client is None else Pools(client)

    def _pending(self, request: InferenceRequest, start: Callable[[bool], InferenceStream]) -> PendingInference:
        return PendingInference(request, start)

    def _stream(self, call: Call) -> InferenceStream:
        return InferenceStream(pump(call, self._pools))


class AsyncInference(_Inference[AsyncPendingInference, AsyncInferenceStream]):
    """Makes calls over one connection. Safe to share between tasks and event loops.

    Used with ``async with``, it owns its HTTP connections and closes them at the end; otherwise it shares the
    process's.
    """

    _source: AsyncSource

    def stream(self, messages: Messages, **asked: Any) -> AsyncInferenceStream:  # noqa: ANN401 (the arguments of create)
        """Shortcut for ``create(messages, …).stream()``; the arguments are those of `create`."""
        return self.create(messages, **asked).stream()

    async def close(self) -> None:
        """Close the HTTP connections that are this inference's own, in the running event loop."""
        await self._source.close()

    async def aclose(self) -> None:
        """The usual other name of `close`."""
        await self.close()

    async def __aenter__(self) -> Self:
        if self._source.shared:
            self._source = AsyncSource(shared=False)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _use(self, client: Client | None) -> None:
        self._source = AsyncSource(client)

    def _pending(
        self, request: InferenceRequest, start: Callable[[bool], AsyncInferenceStream]
    ) -> AsyncPendingInference:
        return AsyncPendingInference(request, start)

    def _stream(self, call: Call) -> AsyncInferenceStream:
        return AsyncInferenceStream(async_pump(call, self._source))
