"""What users hold: `Inference` makes calls, a `PendingInference` is one call, a stream is its answer as it comes.

The async classes are the sync ones with ``await``; a test compares them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NoReturn

from msgspec.structs import replace

from polyglot_core import plugins, settings
from polyglot_core.engine import AsyncSource, EventsWaiting, async_pump, pump
from polyglot_core.errors import ConfigError, PolyglotError, StreamError
from polyglot_core.request import InferenceRequest, as_messages, as_response_format
from polyglot_core.run import Run, Target
from polyglot_core.transport import Pools, shared_pools

if TYPE_CHECKING:
    import os
    from collections import deque
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
    from typing import Self

    from polyglot_core.connection import Connection, Timeouts
    from polyglot_core.engine import AsyncPump, Pump
    from polyglot_core.events import Event, Seam
    from polyglot_core.plugins import BoundDriver
    from polyglot_core.policy import Resume
    from polyglot_core.request import Messages, ResponseFormat, Tool
    from polyglot_core.response import InferenceResponse, PartialInferenceResponse
    from polyglot_core.run import OnTruncated
    from polyglot_core.transport import Client

__all__ = [
    "AsyncInference",
    "AsyncInferenceStream",
    "AsyncPendingInference",
    "Inference",
    "InferenceStream",
    "PendingInference",
]


def _driver_for(connection: Connection) -> BoundDriver:
    driver = plugins.load_driver(connection.driver)
    if driver is None:
        raise settings.unknown_driver(connection)
    return driver.bind(connection)


def _streamed(targets: Sequence[Target], streamed: bool) -> list[Target]:  # noqa: FBT001 (it is what is asked)
    """The targets, asked for a stream or for a whole answer."""
    return [target._replace(request=replace(target.request, stream=streamed)) for target in targets]


def _targets(
    drivers: Sequence[tuple[Connection, BoundDriver]],
    messages: Messages,
    options: Mapping[str, Any] | None,
    *,
    model: str | None,
    **asked: Any,  # noqa: ANN401 (the arguments of create)
) -> list[Target]:
    """What is asked of each connection. The call's own model is the first one's; the others ask for theirs."""
    models = [model, *[None] * (len(drivers) - 1)]
    return [
        _target(connection, driver, messages, options, model=its_own, **asked)
        for (connection, driver), its_own in zip(drivers, models, strict=True)
    ]


def _target(  # noqa: PLR0913 (what a call can say)
    connection: Connection,
    driver: BoundDriver,
    messages: Messages,
    options: Mapping[str, Any] | None,
    *,
    model: str | None,
    stream: bool | None,
    tools: Sequence[Tool],
    tool_choice: str | None,
    parallel_tool_calls: bool | None,
    response_format: ResponseFormat | Mapping[str, Any] | None,
    unsupported: Literal["raise", "warn", "drop"],
    extra: Mapping[str, Any] | None,
) -> Target:
    """Lay what a call says over what its connection says. An explicit `stream` beats the option of that name."""
    merged = {**connection.options, **(options or {})}
    streamed = merged.pop("stream", False)
    model = model or connection.model
    if not model:
        msg = f"Connection {connection.name!r} names no model; give one, as in create(…, model='NAME')."
        raise ConfigError(msg, connection=connection.name, phase="configure")
    request = InferenceRequest(
        model=model,
        messages=as_messages(messages),
        stream=bool(streamed if stream is None else stream),
        options=merged,
        tools=tuple(tools),
        tool_choice=tool_choice,
        parallel_tool_calls=parallel_tool_calls,
        response_format=as_response_format(response_format),
        unsupported=unsupported,
        extra=extra or {},
    )
    return Target(connection, driver, request)


def _ended() -> StreamError:
    return StreamError("The stream has ended and is not replayed; the whole answer is in response().")


class _NotCopied:
    """What holds connections is neither pickled nor copied: the copy would hold none, or a stranger's."""

    def __reduce__(self) -> NoReturn:
        msg = f"{type(self).__name__} holds connections and is neither pickled nor copied; make another."
        raise TypeError(msg)


class Inference(_NotCopied):
    """Makes calls over one connection. Safe to share between threads.

    Used with ``with``, it owns its HTTP connections and closes them at the end; otherwise it shares the process's.
    """

    def __init__(self, connection: Connection, client: Client | None = None) -> None:
        self.connection = connection
        self._drivers = [(each, _driver_for(each)) for each in (connection, *connection.fallbacks)]
        self._pools = shared_pools() if client is None else Pools(client)

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
            client: An ``httpx.Client`` of your own, which stays yours to close.
            overrides: Fields of `Connection` that replace what was found, such as ``model`` or ``timeouts``.

        Raises:
            ConfigError: Nothing has this name, or its key is missing.
            PluginError: The driver cannot be loaded.
        """
        return cls(settings.resolve(name, config=config, **overrides), client)

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
        tools: Sequence[Tool] = (),
        tool_choice: str | None = None,
        parallel_tool_calls: bool | None = None,
        response_format: ResponseFormat | Mapping[str, Any] | None = None,
        timeouts: Timeouts | Mapping[str, float | None] | None = None,
        unsupported: Literal["raise", "warn", "drop"] = "raise",
        extra: Mapping[str, Any] | None = None,
        on_truncated: OnTruncated = "raise",
        resume: Resume | None = None,
    ) -> PendingInference:
        """Prepare a call. Nothing is sent until its answer is asked for.

        Args:
            messages: A text, or the turns of a conversation as `Message` objects or dicts in OpenAI's shape.
            model: Model to ask, instead of the connection's.
            options: Options such as ``temperature``, laid over the connection's. ``stream`` asks for a stream.
            stream: Whether to ask for a stream; beats ``options["stream"]``.
            tools: Functions that the model may call.
            tool_choice: ``auto``, ``required``, ``none``, or the name of a tool.
            parallel_tool_calls: Whether the model may call several tools in one turn.
            response_format: ``"text"``, ``"json"``, a `JSONSchema`, or a JSON Schema as a dict.
            timeouts: Clocks of this call, in seconds, instead of the connection's; a dict changes single ones.
            unsupported: What to do about something that the driver cannot express: ``raise`` a `RequestError`,
                ``warn`` and leave it out, or ``drop`` it.
            extra: Fields for the body, sent as they are.
            on_truncated: What an answer is that ends before the model was done: ``raise`` a `Truncated`, or ``mark``
                the response with ``outcome == "truncated"``.
            resume: How an answer goes on that breaks off after it has begun, as often as the connection's `retries`
                allow: ``restart`` asks anew, ``prefill`` lets the model write on from what had come, ``provider`` lets
                the provider send the rest of what it has kept. None raises. A partial with a `seam` shows the place.

        Raises:
            ConfigError: There is no model to ask.
            RequestError: The messages cannot be understood.
        """
        targets = _targets(
            self._drivers,
            messages,
            options,
            model=model,
            stream=stream,
            tools=tools,
            tool_choice=tool_choice,
            parallel_tool_calls=parallel_tool_calls,
            response_format=response_format,
            unsupported=unsupported,
            extra=extra,
        )
        clocks = settings.clocks(self.connection.name, self.connection.timeouts, timeouts)
        return PendingInference(
            targets[0].request,
            lambda streamed: self._pump(_streamed(targets, streamed), clocks, on_truncated, resume),
        )

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

    def __repr__(self) -> str:
        return f"Inference({self.connection.name!r})"

    def _pump(
        self, targets: Sequence[Target], timeouts: Timeouts, on_truncated: OnTruncated, resume: Resume | None
    ) -> Pump:
        return pump(Run(targets, timeouts, on_truncated=on_truncated, resume=resume), self._pools)


class PendingInference(_NotCopied):
    """One call. Nothing is sent until `stream`, `response` or `text` is called, and nothing is sent twice."""

    def __init__(self, request: InferenceRequest, start: Callable[[bool], Pump]) -> None:
        self.request = request
        self._start = start
        self._stream: InferenceStream | None = None

    def stream(self) -> InferenceStream:
        """The answer as it comes; always the same object.

        The provider is asked to stream whether or not the option was given. After a plain `response()` it hands out
        that answer's partials, and nothing is sent.
        """
        return self._started(streamed=True)

    def response(self) -> InferenceResponse:
        """The complete response: of a stream, if one was asked for or has begun, else of a plain request.

        Raises:
            PolyglotError: The answer did not come, or not whole; repeated calls raise the same error.
        """
        return self._started(streamed=self.request.stream).response()

    def text(self) -> str:
        """The whole visible text. Raises as `response`."""
        return (self.response()).content

    def __repr__(self) -> str:
        sent = self._stream is not None
        return f"PendingInference(model={self.request.model!r}, stream={self.request.stream}, sent={sent})"

    def _started(self, *, streamed: bool) -> InferenceStream:
        if self._stream is None:
            self._stream = InferenceStream(self._start(streamed))
        return self._stream


class InferenceStream(_NotCopied):
    """An answer as it comes. Iterate it for partials; use ``with`` to close the connection wherever you leave.

    One thread reads a stream; any thread may `close` it. A loop goes on where the last one stopped.
    """

    def __init__(self, pump: Pump) -> None:
        self._pump = pump
        self._callback: Callable[[PartialInferenceResponse], object] | None = None
        self._kept: list[PartialInferenceResponse] | None = None  # of a plain answer that was taken whole

    def __iter__(self) -> Iterator[PartialInferenceResponse]:
        """The partials that have not been handed out yet.

        Raises:
            StreamError: The stream has ended. Further errors come out of the iterator.
        """
        return self._partials()

    def events(self) -> Iterator[Event]:
        """What the partials are made of, event by event, from where the stream stands.

        Raises as a loop over the stream does.
        Until something of the answer has come, only pings are handed out.
        """
        return _Events(self._partials(), self._pump)

    def text(self) -> Iterator[str]:
        """The pieces of choice 0's visible text. Raises as a loop over the stream."""
        return _Texts(self._partials())

    def on_partial(self, callback: Callable[[PartialInferenceResponse], object]) -> Self:
        """Call `callback` with each partial before it is handed out, whatever drives the stream. Returns the stream."""
        self._callback = callback
        return self

    def on_seam(self, callback: Callable[[Seam], object]) -> Self:
        """Call `callback` with each further request when it is decided on, before the wait. Returns the stream."""
        self._pump.run.on_seam = callback
        return self

    def response(self) -> InferenceResponse:
        """Read what is left and return the complete response.

        A stream that was closed gives what had come, with ``outcome == "cancelled"``.

        Raises:
            PolyglotError: The answer did not come, or not whole; repeated calls raise the same error.
        """
        run = self._pump.run
        if not self._pump.exhausted and not run.cancelled and run.error is None:
            rest = [partial for partial in self._partials()]  # noqa: C416 (the async twin has no shorter form)
            self._kept = None if run.request.stream else rest
        if run.error is not None:
            raise run.error.with_traceback(None)
        return run.response

    def final(self) -> InferenceResponse:
        """The older word for `response`."""
        return self.response()

    def close(self) -> None:
        """End the stream and close its connection; what had come stays readable in `response()`."""
        self._pump.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        run = self._pump.run
        outcome = None if run.session is None else run.session.outcome
        return f"InferenceStream(model={run.request.model!r}, outcome={outcome and outcome.value!r})"

    def _partials(self) -> Iterator[PartialInferenceResponse]:
        """The rest of the stream, by way of the callback if there is one."""
        if self._kept is not None:
            kept, self._kept = self._kept, None
            return _Kept(kept)
        if self._pump.exhausted or self._pump.run.error is not None:
            raise _ended()
        return self._pump if self._callback is None else _Watched(self._pump, self._callback)


class _Kept:
    """Iterates the partials of a plain answer that has been taken whole."""

    def __init__(self, partials: list[PartialInferenceResponse]) -> None:
        self._partials = iter(partials)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> PartialInferenceResponse:
        for partial in self._partials:
            return partial
        raise StopIteration


class _Watched:
    """Iterates partials, and calls somebody with each before it is handed out."""

    def __init__(self, pump: Pump, callback: Callable[[PartialInferenceResponse], object]) -> None:
        self._pump = pump
        self._callback = callback

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> PartialInferenceResponse:
        partial = next(self._pump)
        self._callback(partial)
        return partial


class _Texts:
    """Iterates the non-empty pieces of choice 0's text."""

    def __init__(self, partials: Iterator[PartialInferenceResponse]) -> None:
        self._partials = partials

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        while True:
            partial = next(self._partials)
            if partial.content_delta and partial.choice == 0:
                return partial.content_delta


class _Events:
    """Iterates events; the partials that they make are taken off the stream with them."""

    def __init__(self, partials: Iterator[PartialInferenceResponse], pump: Pump) -> None:
        self._partials: Iterator[PartialInferenceResponse] | None = partials
        self._pump = pump
        self._events: deque[Event] = pump.run.watch_events()
        self._error: PolyglotError | None = None

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        while not self._events:
            if self._error is not None:
                raise self._error
            if self._partials is None:
                raise StopIteration
            self._pump.stops_for_events = True
            try:
                if next(self._partials, None) is None:
                    self._partials = None
            except EventsWaiting:
                continue
            except PolyglotError as error:
                self._partials, self._error = None, error  # the events before it come first
            finally:
                self._pump.stops_for_events = False
        return self._events.popleft()


class AsyncInference(_NotCopied):
    """Makes calls over one connection. Safe to share between tasks and event loops.

    Used with ``async with``, it owns its HTTP connections and closes them at the end; otherwise it shares the
    process's.
    """

    def __init__(self, connection: Connection, client: Client | None = None) -> None:
        self.connection = connection
        self._drivers = [(each, _driver_for(each)) for each in (connection, *connection.fallbacks)]
        self._source = AsyncSource(client)

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
            client: An ``httpx.AsyncClient`` of your own, which stays yours to close.
            overrides: Fields of `Connection` that replace what was found, such as ``model`` or ``timeouts``.

        Raises:
            ConfigError: Nothing has this name, or its key is missing.
            PluginError: The driver cannot be loaded.
        """
        return cls(settings.resolve(name, config=config, **overrides), client)

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
        tools: Sequence[Tool] = (),
        tool_choice: str | None = None,
        parallel_tool_calls: bool | None = None,
        response_format: ResponseFormat | Mapping[str, Any] | None = None,
        timeouts: Timeouts | Mapping[str, float | None] | None = None,
        unsupported: Literal["raise", "warn", "drop"] = "raise",
        extra: Mapping[str, Any] | None = None,
        on_truncated: OnTruncated = "raise",
        resume: Resume | None = None,
    ) -> AsyncPendingInference:
        """Prepare a call. Nothing is sent until its answer is asked for.

        Args:
            messages: A text, or the turns of a conversation as `Message` objects or dicts in OpenAI's shape.
            model: Model to ask, instead of the connection's.
            options: Options such as ``temperature``, laid over the connection's. ``stream`` asks for a stream.
            stream: Whether to ask for a stream; beats ``options["stream"]``.
            tools: Functions that the model may call.
            tool_choice: ``auto``, ``required``, ``none``, or the name of a tool.
            parallel_tool_calls: Whether the model may call several tools in one turn.
            response_format: ``"text"``, ``"json"``, a `JSONSchema`, or a JSON Schema as a dict.
            timeouts: Clocks of this call, in seconds, instead of the connection's; a dict changes single ones.
            unsupported: What to do about something that the driver cannot express: ``raise`` a `RequestError`,
                ``warn`` and leave it out, or ``drop`` it.
            extra: Fields for the body, sent as they are.
            on_truncated: What an answer is that ends before the model was done: ``raise`` a `Truncated`, or ``mark``
                the response with ``outcome == "truncated"``.
            resume: How an answer goes on that breaks off after it has begun, as often as the connection's `retries`
                allow: ``restart`` asks anew, ``prefill`` lets the model write on from what had come, ``provider`` lets
                the provider send the rest of what it has kept. None raises. A partial with a `seam` shows the place.

        Raises:
            ConfigError: There is no model to ask.
            RequestError: The messages cannot be understood.
        """
        targets = _targets(
            self._drivers,
            messages,
            options,
            model=model,
            stream=stream,
            tools=tools,
            tool_choice=tool_choice,
            parallel_tool_calls=parallel_tool_calls,
            response_format=response_format,
            unsupported=unsupported,
            extra=extra,
        )
        clocks = settings.clocks(self.connection.name, self.connection.timeouts, timeouts)
        return AsyncPendingInference(
            targets[0].request,
            lambda streamed: self._pump(_streamed(targets, streamed), clocks, on_truncated, resume),
        )

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

    def __repr__(self) -> str:
        return f"AsyncInference({self.connection.name!r})"

    def _pump(
        self, targets: Sequence[Target], timeouts: Timeouts, on_truncated: OnTruncated, resume: Resume | None
    ) -> AsyncPump:
        return async_pump(Run(targets, timeouts, on_truncated=on_truncated, resume=resume), self._source)


class AsyncPendingInference(_NotCopied):
    """One call. Nothing is sent until `stream`, `response` or `text` is called, and nothing is sent twice."""

    def __init__(self, request: InferenceRequest, start: Callable[[bool], AsyncPump]) -> None:
        self.request = request
        self._start = start
        self._stream: AsyncInferenceStream | None = None

    def stream(self) -> AsyncInferenceStream:
        """The answer as it comes; always the same object.

        The provider is asked to stream whether or not the option was given. After a plain `response()` it hands out
        that answer's partials, and nothing is sent.
        """
        return self._started(streamed=True)

    async def response(self) -> InferenceResponse:
        """The complete response: of a stream, if one was asked for or has begun, else of a plain request.

        Raises:
            PolyglotError: The answer did not come, or not whole; repeated calls raise the same error.
        """
        return await self._started(streamed=self.request.stream).response()

    async def text(self) -> str:
        """The whole visible text. Raises as `response`."""
        return (await self.response()).content

    def __repr__(self) -> str:
        sent = self._stream is not None
        return f"AsyncPendingInference(model={self.request.model!r}, stream={self.request.stream}, sent={sent})"

    def _started(self, *, streamed: bool) -> AsyncInferenceStream:
        if self._stream is None:
            self._stream = AsyncInferenceStream(self._start(streamed))
        return self._stream


class AsyncInferenceStream(_NotCopied):
    """An answer as it comes. Iterate it for partials; use ``async with`` to close the connection wherever you leave.

    One task reads a stream; any task may `close` it. A loop goes on where the last one stopped.
    """

    def __init__(self, pump: AsyncPump) -> None:
        self._pump = pump
        self._callback: Callable[[PartialInferenceResponse], object] | None = None
        self._kept: list[PartialInferenceResponse] | None = None  # of a plain answer that was taken whole

    def __aiter__(self) -> AsyncIterator[PartialInferenceResponse]:
        """The partials that have not been handed out yet.

        Raises:
            StreamError: The stream has ended. Further errors come out of the iterator.
        """
        return self._partials()

    def events(self) -> AsyncIterator[Event]:
        """What the partials are made of, event by event, from where the stream stands.

        Raises as a loop over the stream does.
        Until something of the answer has come, only pings are handed out.
        """
        return _AsyncEvents(self._partials(), self._pump)

    def text(self) -> AsyncIterator[str]:
        """The pieces of choice 0's visible text. Raises as a loop over the stream."""
        return _AsyncTexts(self._partials())

    def on_partial(self, callback: Callable[[PartialInferenceResponse], object]) -> Self:
        """Call `callback` with each partial before it is handed out, whatever drives the stream. Returns the stream."""
        self._callback = callback
        return self

    def on_seam(self, callback: Callable[[Seam], object]) -> Self:
        """Call `callback` with each further request when it is decided on, before the wait. Returns the stream."""
        self._pump.run.on_seam = callback
        return self

    async def response(self) -> InferenceResponse:
        """Read what is left and return the complete response.

        A stream that was closed gives what had come, with ``outcome == "cancelled"``.

        Raises:
            PolyglotError: The answer did not come, or not whole; repeated calls raise the same error.
        """
        run = self._pump.run
        if not self._pump.exhausted and not run.cancelled and run.error is None:
            rest = [partial async for partial in self._partials()]
            self._kept = None if run.request.stream else rest
        if run.error is not None:
            raise run.error.with_traceback(None)
        return run.response

    async def final(self) -> InferenceResponse:
        """The older word for `response`."""
        return await self.response()

    async def close(self) -> None:
        """End the stream and close its connection; what had come stays readable in `response()`."""
        await self._pump.close()

    async def aclose(self) -> None:
        """The usual other name of `close`."""
        await self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __repr__(self) -> str:
        run = self._pump.run
        outcome = None if run.session is None else run.session.outcome
        return f"AsyncInferenceStream(model={run.request.model!r}, outcome={outcome and outcome.value!r})"

    def _partials(self) -> AsyncIterator[PartialInferenceResponse]:
        """The rest of the stream, by way of the callback if there is one."""
        if self._kept is not None:
            kept, self._kept = self._kept, None
            return _AsyncKept(kept)
        if self._pump.exhausted or self._pump.run.error is not None:
            raise _ended()
        return self._pump if self._callback is None else _AsyncWatched(self._pump, self._callback)


class _AsyncKept:
    """Iterates the partials of a plain answer that has been taken whole."""

    def __init__(self, partials: list[PartialInferenceResponse]) -> None:
        self._partials = iter(partials)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> PartialInferenceResponse:
        for partial in self._partials:
            return partial
        raise StopAsyncIteration


class _AsyncWatched:
    """Iterates partials, and calls somebody with each before it is handed out."""

    def __init__(self, pump: AsyncPump, callback: Callable[[PartialInferenceResponse], object]) -> None:
        self._pump = pump
        self._callback = callback

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> PartialInferenceResponse:
        partial = await anext(self._pump)
        self._callback(partial)
        return partial


class _AsyncTexts:
    """Iterates the non-empty pieces of choice 0's text."""

    def __init__(self, partials: AsyncIterator[PartialInferenceResponse]) -> None:
        self._partials = partials

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        while True:
            partial = await anext(self._partials)
            if partial.content_delta and partial.choice == 0:
                return partial.content_delta


class _AsyncEvents:
    """Iterates events; the partials that they make are taken off the stream with them."""

    def __init__(self, partials: AsyncIterator[PartialInferenceResponse], pump: AsyncPump) -> None:
        self._partials: AsyncIterator[PartialInferenceResponse] | None = partials
        self._pump = pump
        self._events: deque[Event] = pump.run.watch_events()
        self._error: PolyglotError | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        while not self._events:
            if self._error is not None:
                raise self._error
            if self._partials is None:
                raise StopAsyncIteration
            self._pump.stops_for_events = True
            try:
                if await anext(self._partials, None) is None:
                    self._partials = None
            except EventsWaiting:
                continue
            except PolyglotError as error:
                self._partials, self._error = None, error  # the events before it come first
            finally:
                self._pump.stops_for_events = False
        return self._events.popleft()
