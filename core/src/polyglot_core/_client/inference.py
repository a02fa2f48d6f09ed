"""`Inference` and `AsyncInference`, which make calls over a connection, with threads or with tasks."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast, get_args

from msgspec.structs import asdict, replace

from polyglot_core._client.arguments import (
    as_data_format,
    as_headers,
    as_request,
    as_switch,
    as_texts,
    check_word,
    checked_names,
    without_plain_keys,
)
from polyglot_core._client.not_copied import NotCopied
from polyglot_core._client.pending import AsyncPendingInference, PendingInference
from polyglot_core._client.signatures import EmbedArguments
from polyglot_core._client.stream import AsyncInferenceStream, InferenceStream
from polyglot_core._config import resolve
from polyglot_core._config.dsn import read_line
from polyglot_core._config.listing import cannot_embed
from polyglot_core._drivers import discovery
from polyglot_core._engine.call import Call, Target
from polyglot_core._engine.call_options import (
    UNSUPPORTED,
    CallOptions,
    OnLength,
    OnTruncated,
    ResumeMode,
    Unsupported,
    continuations,
)
from polyglot_core._engine.observers import CallRecord, guarded, record_for
from polyglot_core._engine.pump import async_pump, pump
from polyglot_core._http.event_loops import AsyncSource
from polyglot_core._http.pools import Pools, shared_pools
from polyglot_core._values.addresses import origin_of
from polyglot_core._values.admission import find_admission
from polyglot_core._values.connection import Connection, guard
from polyglot_core._values.embeddings import EmbeddingRequest, Embeddings, batches_of, joined
from polyglot_core._values.formats import MODES, FormatUse
from polyglot_core._values.limits import folded_numbers
from polyglot_core._values.models import PROBES, Capabilities, Model
from polyglot_core._values.options import EMBEDDING, option_problem, plain_options
from polyglot_core._values.request import InferenceRequest, Message
from polyglot_core._values.secret import Secret
from polyglot_core._values.suggest import config_error
from polyglot_core.errors import ConfigError, RequestError

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import Self, Unpack

    from polyglot_core._client.signatures import CallArguments, ConnectionFields, TextArguments
    from polyglot_core._drivers.bound import BoundDriver
    from polyglot_core._http.httpx_options import Client
    from polyglot_core._values.calls import Observers
    from polyglot_core._values.formats import DataFormat, DataT, Mode
    from polyglot_core._values.limits import Retries, Timeouts
    from polyglot_core._values.options import Options
    from polyglot_core._values.request import Messages, RawTool, ResponseFormat, Tool

    AskedFormat = type[DataT] | ResponseFormat | Mapping[str, Any] | None

__all__ = ["AsyncInference", "Inference"]

_PendingT = TypeVar("_PendingT", bound="PendingInference | AsyncPendingInference")
_StreamT = TypeVar("_StreamT", bound="InferenceStream | AsyncInferenceStream")


class _Inference(NotCopied, Generic[_PendingT, _StreamT]):
    """The methods of both inferences that do not wait.

    Attributes:
        connection: The connection that calls use. Its fallbacks are used when it fails.
    """

    _pending: Any  # the class of pending calls

    def __init__(self, connection: Connection, client: Client | None = None, observers: Observers = ()) -> None:
        if not isinstance(connection, Connection):
            name = type(self).__name__
            msg = f"{name}() takes a Connection, not {type(connection).__name__}; use {name}.using('NAME') for a name."
            raise ConfigError(msg, phase="configure")
        self.connection = connection
        self._drivers = [(each, driver_for(each)) for each in (connection, *connection.fallbacks)]
        self._given = client, observers
        self._observers = guarded(*connection.observers, *connection.with_changes(observers=observers).observers)
        self._use(client)

    @classmethod
    def using(
        cls,
        name: str | None = None,
        *,
        config: str | os.PathLike[str] | None = None,
        client: Client | None = None,
        **overrides: Unpack[ConnectionFields],
    ) -> Self:
        """Create an inference for the connection, preset or driver of this name.

        Args:
            name: The name, optionally followed by a slash and a model; None for the default connection.
            config: Path of a configuration file to read instead of the one that is found.
            client: An ``httpx.Client`` to send requests with (async: an ``httpx.AsyncClient``). You close it yourself.
            overrides: Fields of `Connection` that override what is configured, such as ``model`` or ``timeouts``.

        Raises:
            ConfigError: No connection, preset or driver has this name, or its key is missing.
            PluginError: The driver cannot be loaded.
        """
        fields = cast("dict[str, Any]", overrides)  # not a copy: the key is taken out of it
        guard(fields)
        return cls(resolve.resolve(name, config=config, **fields), client)

    @classmethod
    def from_dsn(cls, dsn: str, client: Client | None = None) -> Self:
        """Use a connection given in one line: fields as ``name=value``, separated by commas.

        The line starts from a driver, ``driver=``, or a preset, ``preset=``. A dot selects an item of a mapping, as in
        ``preset=openai,model=gpt-4o,options.temperature=0``. Items are parsed as JSON if possible, else kept as text.

        Raises:
            ConfigError: The line names neither a driver nor a preset, or has something that is not a field.
            PluginError: The driver cannot be loaded.
        """
        if not isinstance(dsn, str):
            raise config_error(f"A DSN is text of name=value pairs separated by commas, not {type(dsn).__name__}.")
        line = Secret(dsn)
        del dsn  # it may hold a key, and a traceback shows this frame
        return cls(read_line(line), client)

    @classmethod
    def from_connection(cls, connection: Connection, client: Client | None = None, observers: Observers = ()) -> Self:
        """Create an inference for a `Connection` that was created in code.

        Args:
            connection: The connection.
            client: As of `using`.
            observers: Called with the events of its calls, besides those of the connection.

        Raises:
            ConfigError: The connection names a driver that is not installed.
            PluginError: The driver cannot be loaded.
        """
        return cls(connection, client, observers)

    def with_changes(self, **changes: Any) -> Self:  # noqa: ANN401 (as of `Connection.with_changes`)
        """Return an inference over the connection with some fields changed, with the same client and observers.

        Raises:
            ConfigError: A field has a wrong value.
            TypeError: There is no field of a name.
        """
        guard(changes)
        return type(self)(self.connection.with_changes(**changes), *self._given)

    def create(  # noqa: PLR0913 (the options of a call)
        self,
        messages: Messages = (),
        *,
        model: str | None = None,
        options: Options | None = None,
        stream: bool | None = None,
        tools: Sequence[Tool | RawTool | Mapping[str, Any]] = (),
        tool_choice: str | Mapping[str, Any] | None = None,
        parallel_tool_calls: bool | None = None,
        response_format: Any = None,  # noqa: ANN401 (a format, or the type of the data: see the subclasses)
        data_mode: Mode | None = None,
        timeouts: Timeouts | Mapping[str, float | None] | float | None = None,
        retries: Retries | int | Mapping[str, float] | None = None,
        unsupported: Unsupported = "raise",
        extra: Mapping[str, Any] | None = None,
        headers: Mapping[str, str | Secret] | None = None,
        on_truncated: OnTruncated = "raise",
        resume: ResumeMode | None = None,
        on_length: OnLength = "stop",
        **_unknown: Any,  # noqa: ANN401 (refused, with a suggestion)
    ) -> _PendingT:
        """Prepare a call. The request is sent when the stream, the response or the text is first read.

        Args:
            messages: The user's message as a string, or a list of `Message` objects or dicts in OpenAI's shape.
            model: Name of the model, instead of the connection's.
            options: Such as ``temperature`` or ``max_tokens``, over the connection's; ``stream`` is as `stream`.
            stream: True to request a stream for `response` and `text` as well; overrides ``options["stream"]``.
            tools: Functions that the model may call, and tools of the provider: `Tool`, `RawTool`, or dicts of either.
            tool_choice: ``auto``, ``required``, ``none``, or the name of a tool that the model must call.
            parallel_tool_calls: False to allow one tool call per response; None for the provider's default.
            response_format: ``"text"``, ``"json"``, a `JSONSchema`, a dict with a JSON Schema, or a type: a Struct, a
                dataclass, a TypedDict, a pydantic model or a ``list`` of one, whose value is the response's `data`.
            data_mode: How data is asked for: ``native``, ``tool``, ``json``, ``markdown``; None as the connection says.
            timeouts: Clocks in seconds: `Timeouts`, a dict of some (None for no limit), or a number for each wait.
            retries: `Retries`, a number of retries, or a dict of changed fields. Waits are in seconds.
            unsupported: For options that the driver cannot express: ``raise`` a `RequestError`, ``warn``, or ``drop``.
            extra: Fields that are laid over the request body, field by field.
            headers: Headers of this call, over the connection's. Those that carry a key are sent to one origin only.
            on_truncated: For a response that is cut off: ``raise`` a `Truncated`, or ``mark`` its ``outcome``.
            resume: How to resume an interrupted response: ``restart``, ``prefill``, ``provider``; a `seam` shows where.
            on_length: ``continue``, or a number of times, to let the model continue a text at its limit of tokens.

        Raises:
            ConfigError: Neither the call nor the connection names a model, or a clock or a retry setting is invalid.
            RequestError: An argument cannot be read, or has a wrong value. The message has its place.
        """
        headers = without_plain_keys(headers, auth_header := _key_header(*self._drivers[0]))
        _check_words(_unknown, unsupported=unsupported, on_truncated=on_truncated, resume=resume, data_mode=data_mode)
        request = as_request(
            messages=messages, model=model, options=options, tools=tools, tool_choice=tool_choice, extra=extra,
            parallel_tool_calls=parallel_tool_calls, unsupported=unsupported, response_format=response_format,
            headers=as_headers(headers, auth_header),
        )  # fmt: skip
        targets = _targets(self._drivers, request, as_switch("stream", stream), retries)
        targets = _with_format(targets, as_data_format(response_format, request.response_format), data_mode)
        clocks = folded_numbers(self.connection.timeouts, "timeouts", self.connection.name, timeouts)
        how = CallOptions(clocks, on_truncated, resume, continuations(on_length))
        return self._pending(targets[0].request, lambda on: self._stream(self._call(targets, how, on)))  # type: ignore[no-any-return]

    def capabilities(self, model: str | None = None) -> Capabilities:
        """Return what the driver can express in requests for a model. Nothing is sent.

        Small requests are encoded, and those that the driver rejects are noted. So the result is about the driver, the
        facts of the connection and, for some drivers, the name of the model. It is not about the model, which may
        reject a request that the driver can express: images, for example.

        Args:
            model: Name of the model, instead of the connection's.

        Raises:
            PolyglotError: The driver rejects the model's name or the connection.
        """
        driver, name = self._drivers[0][1], model or self.connection.model or ""
        plain = InferenceRequest(model=name, messages=(Message(role="user", content="A"),))
        driver.encode(plain)
        return Capabilities(
            **{probed: _succeeds(driver.encode, replace(plain, **fields)) for probed, fields in PROBES.items()},
            prefill=_succeeds(driver.encode_prefill, plain, ""),
            resume="encode_resume" in driver.hooks,
            models=_succeeds(next(driver.pages_of_models([])).encode, plain),
            embeddings="encode_embeddings" in driver.hooks,
        )

    def _call(self, targets: Sequence[Target], options: CallOptions, streamed: bool) -> Call:  # noqa: FBT001 (a field)
        return Call(_streamed(targets, streamed), options, record_for(self._observers))

    def _model_calls(self, models: list[Model]) -> Iterator[Call]:
        """Yield a call for each page of the list of models, to be read before the next. Append them to `models`."""
        connection, driver = self._drivers[0]
        none = InferenceRequest(model="", messages=())
        pages = (Target(connection, page, none) for page in driver.pages_of_models(models))
        return _under_one_clock(pages, connection.timeouts, lambda: CallRecord([]))

    def _embedding_calls(self, texts: object, given: dict[str, Any]) -> tuple[Iterator[Call], list[Embeddings]]:
        """Return a call for each batch of texts, to be read before the next; and the list that they add vectors to."""
        connection, driver = self.connection.with_changes(options={}), self._drivers[0][1]  # options are for messages
        # in place, because the frames of a traceback show the arguments
        given["headers"] = without_plain_keys(given.get("headers"), auth_header := _key_header(connection, driver))
        checked_names(given, EmbedArguments.__annotations__, "embed")
        if "encode_embeddings" not in driver.hooks:
            raise cannot_embed(connection)
        if (most := given.get("batch_size")) is not None and (type(most) is not int or most < 1):
            raise RequestError(f"batch_size must be a whole number from 1, not {most!r:.40}.", phase="encode")
        _check_words({}, unsupported=given.setdefault("unsupported", "raise"))
        given["headers"] = as_headers(given["headers"], auth_header)
        common = as_request(EMBEDDING, messages=as_texts(texts), **given)
        (target,) = _targets([(connection, driver)], common, stream=False, retries=given.get("retries"))
        timeouts = folded_numbers(connection.timeouts, "timeouts", connection.name, given.get("timeouts"))
        request = EmbeddingRequest(**asdict(target.request))
        batches = batches_of(request, *driver.embedding_limits(request.model, most))
        targets = (target._replace(driver=driver.for_batch(batch, first), request=batch) for first, batch in batches)
        return _under_one_clock(targets, timeouts, lambda: record_for(self._observers)), request.received

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.connection.name!r})"

    def _use(self, client: Client | None) -> None:
        """Set where HTTP connections are taken from: this client, or the pools that all inferences share."""
        raise NotImplementedError

    def _stream(self, call: Call) -> _StreamT:
        raise NotImplementedError


_ARGUMENTS = tuple(_Inference.create.__kwdefaults__ or ())


def _under_one_clock(targets: Iterable[Target], timeouts: Timeouts, record: Callable[[], CallRecord]) -> Iterator[Call]:
    """Yield a call for each target. The clock `total` runs over all of them."""
    begun = perf_counter()
    for target in targets:
        left = None if timeouts.total is None else max(0.0, begun + timeouts.total - perf_counter())
        yield Call([target], CallOptions(replace(timeouts, total=left)), record())


def driver_for(connection: Connection) -> BoundDriver:
    driver = discovery.load_driver(connection.driver)
    if driver is None:
        raise resolve.unknown_driver(connection)
    if connection.rate is not None:
        find_admission(connection)
    return driver.bind(connection)


def _succeeds(encode: Callable[..., object], *arguments: object) -> bool:
    try:
        encode(*arguments)
    except RequestError:
        return False
    return True


def _key_header(connection: Connection, driver: BoundDriver) -> str | None:
    """Return the header that carries the connection's key, or that its driver writes; None if there is none."""
    return connection.auth_header if connection.secret is not None or driver.authorize is not None else None


def _check_options(connection: Connection) -> None:
    """Raise if an option of a connection does not exist or has a wrong value."""
    options = connection.options
    if options and (problem := option_problem(options, f"connection {connection.name!r}: options")):
        raise ConfigError(problem, connection=connection.name, phase="configure")


_WORDS = {
    "unsupported": UNSUPPORTED,
    "on_truncated": get_args(OnTruncated),
    "resume": (None, *get_args(ResumeMode)),
    "data_mode": (None, *MODES),
}


_OF_WORDS = (str, type(None))


def _check_words(unknown: dict[str, Any], /, **words: object) -> None:
    checked_names(unknown, _ARGUMENTS)
    for field, word in words.items():
        if type(word) not in _OF_WORDS or word not in _WORDS[field]:
            check_word(field, word, _WORDS[field])


def _targets(
    drivers: Sequence[tuple[Connection, BoundDriver]],
    common: InferenceRequest,
    stream: bool | None,  # noqa: FBT001 (an option of the call)
    retries: Retries | int | Mapping[str, float] | None,
) -> list[Target]:
    """Return a target for each connection, with the options of the call merged over those of the connection.

    The model of the call is used by the first connection; fallbacks use their own. An explicit `stream` overrides the
    option.

    Raises:
        ConfigError: A connection has no model.
    """
    targets = []
    first = drivers[0][0]
    for index, (connection, driver) in enumerate(drivers):
        _check_options(connection)
        options = {**connection.options, **common.options}
        streamed = options.pop("stream", False)
        model = (common.model if index == 0 else "") or connection.model
        if not model:
            msg = f"Connection {connection.name!r} has no model; pass one, as in create(…, model='NAME')."
            raise ConfigError(msg, connection=connection.name, phase="configure")
        streamed = bool(streamed if stream is None else stream)
        headers = _headers_for(connection, first, common.headers)
        request = replace(common, model=model, options=plain_options(options), stream=streamed, headers=headers)
        changed = _with_headers(_with_retries(connection, retries), headers)
        targets.append(Target(changed, driver, request))
    return targets


def _with_format(targets: list[Target], data_format: DataFormat[Any] | None, mode: Mode | None) -> list[Target]:
    """Return targets whose requests ask for data in the mode of the call, else in that of their connection.

    Raises:
        RequestError: The call has a mode and no format, or the format cannot be asked for in the mode.
    """
    if data_format is None:
        if mode is not None:
            msg = f"data_mode={mode!r} is for calls with a response_format; this one has none that is data."
            raise RequestError(msg, phase="encode")
        return targets
    asked = []
    for target in targets:
        chosen: Any = mode or target.connection.data_mode or "native"
        use = FormatUse(data_format, chosen)
        asked.append(target._replace(request=data_format.prepare(target.request, chosen), use=use))
    return asked


def _headers_for(
    connection: Connection, first: Connection, headers: Mapping[str, str | Secret]
) -> Mapping[str, str | Secret]:
    """Return the headers of the call that a connection sends: those that carry a key go to one origin only."""
    if not headers or connection is first or _endpoint(connection) == _endpoint(first):
        return headers
    return {name: text for name, text in headers.items() if not isinstance(text, Secret)}


def _endpoint(connection: Connection) -> tuple[str, str]:
    return connection.driver, origin_of(connection.base_url or "")


def _with_headers(connection: Connection, headers: Mapping[str, str | Secret]) -> Connection:
    """Return a connection with the headers of a call, whose names are in lower case, over its own.

    So they are sent, redacted and told apart in the pools as those of the connection are.
    """
    if not headers:
        return connection
    own = {name: text for name, text in connection.headers.items() if name.lower() not in headers}
    return connection.with_changes(headers={**own, **headers})


def _streamed(targets: Sequence[Target], streamed: bool) -> list[Target]:  # noqa: FBT001 (a field of the request)
    """Return the targets with requests for a stream or for a plain response."""
    return [
        target
        if target.request.stream is streamed
        else target._replace(request=replace(target.request, stream=streamed))
        for target in targets
    ]


def _with_retries(connection: Connection, changed: Retries | int | Mapping[str, float] | None) -> Connection:
    if changed is None:
        return connection
    return connection.with_changes(retries=folded_numbers(connection.retries, "retries", connection.name, changed))


class Inference(_Inference[PendingInference, InferenceStream]):
    """Makes calls over one connection. Safe to share between threads.

    In a ``with`` block it owns its HTTP connections and closes them at the end. Otherwise it uses the pools of the
    process.
    """

    _pending = PendingInference
    _pools: Pools

    if TYPE_CHECKING:  # the type of the data is that of `response_format`

        def create(  # type: ignore[override]  # the base class takes unknown names too, to refuse them
            self, messages: Messages, *, response_format: AskedFormat[DataT] = None, **arguments: Unpack[CallArguments]
        ) -> PendingInference[DataT]: ...
        def stream(
            self, messages: Messages, *, response_format: AskedFormat[DataT] = None, **arguments: Unpack[CallArguments]
        ) -> InferenceStream[DataT]: ...

    else:

        def stream(self, messages: Messages = (), **arguments: Any) -> InferenceStream[Any]:  # noqa: ANN401 (checked by name)
            """Return ``create(messages, …).stream()``. The arguments are those of `create`."""
            return self.create(messages, **checked_names(arguments, _ARGUMENTS)).stream()

    def text(self, messages: Messages = (), **arguments: Unpack[TextArguments]) -> str:
        """Return ``create(messages, …).text()``, the complete visible text. The arguments are those of `create`.

        Raises:
            PolyglotError: As `create`, and as `response`. A truncated response is an error, also if it is to be marked.
        """
        return self.create(messages, **checked_names(arguments, _ARGUMENTS)).text()

    def models(self) -> list[Model]:
        """Return the provider's list of models, of all pages, in its order. Fallbacks are not used.

        Clocks, retries and errors are those of a call, with one clock `total` for all pages. An error has no partial.

        Raises:
            RequestError: The driver cannot list models, or not on this connection.
            PolyglotError: The provider returned an error, or something else than a list; or more than 100 pages.
        """
        models: list[Model] = []
        for call in self._model_calls(models):
            self._stream(call).response()
        return models

    def embed(self, texts: Sequence[str], **arguments: Unpack[EmbedArguments]) -> Embeddings:
        """Return a vector for each text, in order. The texts are sent in batches; fallbacks are not used.

        Clocks, retries and errors of a batch are those of a call, with one clock `total` for all batches. The options
        of the connection are not sent: they are for calls with messages.

        Args:
            texts: Texts that are not blank, up to 100,000.
            arguments: As of `create`: ``model``, ``timeouts``, ``retries``, ``unsupported``, ``extra``, ``headers``.
                ``options`` are `EmbeddingOptions`, such as ``dimensions``. ``batch_size`` is the number of texts in a
                request, instead of the provider's limits.

        Raises:
            ConfigError: Neither the call nor the connection names a model.
            RequestError: An argument is wrong, or the driver has no embeddings.
            PolyglotError: As `response` of a call; `Malformed` for anything but one vector for each text. Its
                `embeddings` are those of the batches before.
        """
        calls, received = self._embedding_calls(texts, cast("dict[str, Any]", arguments))
        for call in calls:
            self._stream(call).response()
        return joined(received)

    def close(self) -> None:
        """Close the HTTP connections that this inference owns."""
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

    def _stream(self, call: Call) -> InferenceStream:
        return InferenceStream(pump(call, self._pools))


class AsyncInference(_Inference[AsyncPendingInference, AsyncInferenceStream]):
    """Makes calls over one connection. Safe to share between tasks and event loops.

    In an ``async with`` block it owns its HTTP connections and closes them at the end. Otherwise it uses the pools that
    the event loop shares.
    """

    _pending = AsyncPendingInference
    _source: AsyncSource

    if TYPE_CHECKING:  # the type of the data is that of `response_format`

        def create(  # type: ignore[override]  # the base class takes unknown names too, to refuse them
            self, messages: Messages, *, response_format: AskedFormat[DataT] = None, **arguments: Unpack[CallArguments]
        ) -> AsyncPendingInference[DataT]: ...
        def stream(
            self, messages: Messages, *, response_format: AskedFormat[DataT] = None, **arguments: Unpack[CallArguments]
        ) -> AsyncInferenceStream[DataT]: ...

    else:

        def stream(self, messages: Messages = (), **arguments: Any) -> AsyncInferenceStream[Any]:  # noqa: ANN401 (checked by name)
            """Return ``create(messages, …).stream()``. The arguments are those of `create`."""
            return self.create(messages, **checked_names(arguments, _ARGUMENTS)).stream()

    async def text(self, messages: Messages = (), **arguments: Unpack[TextArguments]) -> str:
        """Return ``await create(messages, …).text()``, the complete visible text. The arguments are those of `create`.

        Raises:
            PolyglotError: As `create`, and as `response`. A truncated response is an error, also if it is to be marked.
        """
        return await self.create(messages, **checked_names(arguments, _ARGUMENTS)).text()

    async def models(self) -> list[Model]:
        """Return the provider's list of models, of all pages, in its order. Fallbacks are not used.

        Clocks, retries and errors are those of a call, with one clock `total` for all pages. An error has no partial.

        Raises:
            RequestError: The driver cannot list models, or not on this connection.
            PolyglotError: The provider returned an error, or something else than a list; or more than 100 pages.
        """
        models: list[Model] = []
        for call in self._model_calls(models):
            await self._stream(call).response()
        return models

    async def embed(self, texts: Sequence[str], **arguments: Unpack[EmbedArguments]) -> Embeddings:
        """Return a vector for each text, in order. The texts are sent in batches; fallbacks are not used.

        Clocks, retries and errors of a batch are those of a call, with one clock `total` for all batches. The options
        of the connection are not sent: they are for calls with messages.

        Args:
            texts: Texts that are not blank, up to 100,000.
            arguments: As of `create`: ``model``, ``timeouts``, ``retries``, ``unsupported``, ``extra``, ``headers``.
                ``options`` are `EmbeddingOptions`, such as ``dimensions``. ``batch_size`` is the number of texts in a
                request, instead of the provider's limits.

        Raises:
            ConfigError: Neither the call nor the connection names a model.
            RequestError: An argument is wrong, or the driver has no embeddings.
            PolyglotError: As `response` of a call; `Malformed` for anything but one vector for each text. Its
                `embeddings` are those of the batches before.
        """
        calls, received = self._embedding_calls(texts, cast("dict[str, Any]", arguments))
        for call in calls:
            await self._stream(call).response()
        return joined(received)

    async def close(self) -> None:
        """Close the HTTP connections that this inference owns in the running event loop."""
        await self._source.close()

    async def aclose(self) -> None:
        """Close the inference; the name that `contextlib.aclosing` uses."""
        await self.close()

    async def __aenter__(self) -> Self:
        if self._source.shared:
            self._source = AsyncSource(shared=False)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _use(self, client: Client | None) -> None:
        self._source = AsyncSource(client)

    def _stream(self, call: Call) -> AsyncInferenceStream:
        return AsyncInferenceStream(async_pump(call, self._source))
