"""A stage for Ray Data, over any connection. Imported only when it is named; needs the extra ``ray``.

The plan of a dataset, which Ray sends to its workers, holds the name of the connection and never a key. So each worker
needs the configuration, or the variables, that the name stands for.
"""

# Theory of operation
# -------------------
#
# Ray makes an instance of the stage in each worker, and awaits several batches of one at once: while the last calls of
# a batch are slow, those of the next are sent. The calls of all of them share the threads of the instance, which are
# its limit of calls in progress.
#
# *Threads, not tasks.* Ray stops its event loop while the stages that follow are slower. Calls in that loop would not
# be read meanwhile, and their clocks would run out. Threads receive their responses, whatever the loop does.

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from polyglot_batch.admission import with_rate
from polyglot_batch.results import Result, at_least_one
from polyglot_core import ConfigError, Inference, PolyglotError, RequestError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Sequence

__all__ = ["PolyglotStage", "prompt_stage"]

_NEEDS = "prompt_stage requires the extra ray; install it (pip install 'polyglot-batch[ray]')."

_ROUNDS = 4
"""Calls of a batch for each that is in progress. A worker waits for the last calls of a task before the next begins."""

_COLUMNS: dict[str, tuple[str, Callable[[Result], Any]]] = {
    "": ("string", lambda result: None if result.response is None else result.response.content),
    "_error": ("string", lambda result: None if result.error is None else _described(result.error)),
    "_partial": ("string", lambda result: _received(result.error and result.error.partial, "content")),
    "_finish_reason": ("string", lambda result: _received(result.response, "finish_reason")),
    "_input_tokens": ("int64", lambda result: _received(_received(result.received, "usage"), "input_tokens")),
    "_output_tokens": ("int64", lambda result: _received(_received(result.received, "usage"), "output_tokens")),
}
"""The columns that are added: what follows the name, the type in Arrow, and the value of a result."""


def prompt_stage(
    dataset: Any,
    connection: str,
    *,
    prompt: str = "prompt",
    into: str = "response",
    concurrency: int = 64,
    workers: int = 1,
    batch_size: int | None = None,
    ray_options: Mapping[str, Any] | None = None,
    **arguments: Any,
) -> Any:
    """Return a dataset with the response to the prompt of each row. Nothing is sent before it is consumed.

    The rows keep their columns. Errors are values: a call that fails has its error in a column, and the others go on.
    A connection without a rate learns it from the provider's responses, in each worker; see `polyglot_batch.shared` for
    workers that share one.

    Args:
        dataset: A ``ray.data.Dataset``.
        connection: Name of a connection, a preset or a driver, which each worker has to know.
        prompt: Column of the prompts: texts, or lists of messages in OpenAI's shape.
        into: Column of the texts of the responses. Others are named after it: ``…_error`` (the type and the message of
            the error), ``…_partial`` (the text that was received before it), ``…_finish_reason``, ``…_input_tokens``
            and ``…_output_tokens``. All are null where there is none.
        concurrency: How many calls are in progress at the same time in each worker.
        workers: Number of workers; each is an actor of Ray.
        batch_size: Number of rows that Ray passes at once, and the fewest of a task; by default four times
            `concurrency`.
        ray_options: Further arguments of ``Dataset.map_batches``, such as ``num_cpus`` or ``compute``.
        arguments: Further arguments of `create`, for every call, such as ``model`` and ``options``.

    Raises:
        ConfigError: Ray is not installed, the connection is not a name, or `arguments` hold headers.
        RequestError: A number is not a whole number from 1, or `dataset` is none.
    """
    _check(connection, arguments)
    usual = _ROUNDS * at_least_one("concurrency", concurrency)
    rows = at_least_one("batch_size", usual if batch_size is None else batch_size)
    try:
        data: Any = import_module("ray.data")
    except ImportError as missing:
        raise ConfigError(_NEEDS, phase="configure") from missing
    if not isinstance(dataset, data.Dataset):
        raise RequestError(f"dataset is a ray.data.Dataset, not {type(dataset).__name__}.", phase="encode")
    settings = {"prompt": prompt, "into": into, "concurrency": concurrency, **arguments}
    options = {
        "batch_size": rows,
        "batch_format": "pyarrow",
        "compute": data.ActorPoolStrategy(size=at_least_one("workers", workers)),
        **(ray_options or {}),
    }
    return dataset.map_batches(
        PolyglotStage, fn_constructor_args=(connection,), fn_constructor_kwargs=settings, **options
    )


class PolyglotStage:
    """What each worker has, for ``map_batches(PolyglotStage, fn_constructor_kwargs={"connection": "work"})``.

    Batches are tables of Arrow, or mappings of columns (``batch_format="pyarrow"``, ``"numpy"``). Of the latter Ray
    infers the types of the new columns, in each batch.

    Args:
        connection: Name of a connection, a preset or a driver.
        prompt: Column of the prompts.
        into: Column of the texts of the responses, after which the others are named; see `prompt_stage`.
        concurrency: How many calls are in progress at the same time.
        arguments: Further arguments of `create`, for every call.
    """

    def __init__(
        self,
        connection: str,
        *,
        prompt: str = "prompt",
        into: str = "response",
        concurrency: int = 64,
        **arguments: Any,
    ) -> None:
        self._connection = connection
        self._prompt = prompt
        self._into = into
        self._concurrency = concurrency
        self._arguments = arguments

    @cached_property
    def _calls(self) -> tuple[Callable[[Any], Any], ThreadPoolExecutor]:
        """Return what prepares a call, and the threads for calls. Ray would repeat an error of `__init__` forever."""
        _check(self._connection, self._arguments)
        connection = with_rate(Inference.using(self._connection).connection)
        create: Any = Inference.from_connection(connection).create
        create = partial(create, **{"stream": True, **self._arguments})
        create("What is wrong with an argument is wrong for every row.")  # prepared, and not sent
        return create, ThreadPoolExecutor(at_least_one("concurrency", self._concurrency), "polyglot-ray")

    async def __call__(self, batch: Any) -> AsyncIterator[Any]:
        """Yield the batch with the new columns.

        Raises:
            ConfigError: The connection is not a name or not configured in this worker, or the arguments hold headers.
            RequestError: The batch has no column of prompts, has one of the new columns, or is of another format; the
                concurrency is not a whole number from 1, or an argument of `create` is wrong.
        """
        create, threads = self._calls
        if names := _names(batch):
            self._check_columns(names)
            column = batch[self._prompt]
            prompts = _plain(column.to_pylist() if hasattr(column, "to_pylist") else column)
            run = asyncio.get_running_loop().run_in_executor
            calls = [run(threads, _result, create, index, prompt) for index, prompt in enumerate(prompts)]
            batch = _extended(batch, self._into, await asyncio.gather(*calls))
        yield batch

    def _check_columns(self, names: Collection[str]) -> None:
        if self._prompt not in names:
            msg = f"The dataset has no column {self._prompt!r} of prompts; it has {', '.join(map(repr, names))}."
            raise RequestError(msg, phase="encode")
        if taken := [self._into + ending for ending in _COLUMNS if self._into + ending in names]:
            msg = f"The dataset has a column {taken[0]!r} already; choose another name with into."
            raise RequestError(msg, phase="encode")


def _result(create: Callable[[Any], Any], index: int, prompt: Any) -> Result:
    try:
        return Result(index, prompt, create(prompt).response())
    except PolyglotError as error:
        return Result(index, prompt, error=error)


def _check(connection: object, arguments: Mapping[str, Any]) -> None:
    """Raise if something that may hold a key would be sent to the workers."""
    if not isinstance(connection, str) or "=" in connection:
        given = "a DSN" if isinstance(connection, str) else type(connection).__name__
        msg = (
            f"The stage needs the name of a connection, and not {given}, whose key would be sent to the workers. "
            "Configure the connection on each worker, and name it."
        )
        raise ConfigError(msg, phase="configure")
    if "headers" in arguments:
        msg = "Headers may hold a key, and would be sent to the workers. Set them in the connection, on each worker."
        raise ConfigError(msg, phase="configure")


def _names(batch: Any) -> Collection[str]:
    if isinstance(batch, Mapping):
        return batch.keys()
    if hasattr(batch, "append_column"):
        names: list[str] = batch.column_names
        return names
    msg = f"A batch is {type(batch).__name__}; set batch_format to 'pyarrow' or 'numpy'."
    raise RequestError(msg, phase="encode")


def _plain(value: Any) -> Any:
    """Return a value of Arrow or of NumPy as one of Python, without the members that Arrow adds as null."""
    value = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(value, Mapping):
        return {name: _plain(member) for name, member in value.items() if member is not None}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def _extended(batch: Any, into: str, results: Sequence[Result]) -> Any:
    """Return a batch with the columns of results, which are in the order of its rows."""
    columns = {into + ending: (kind, [read(result) for result in results]) for ending, (kind, read) in _COLUMNS.items()}
    if isinstance(batch, Mapping):
        return {**batch, **{name: values for name, (_, values) in columns.items()}}
    arrow: Any = import_module("pyarrow")
    for name, (kind, values) in columns.items():
        batch = batch.append_column(name, arrow.array(values, type=arrow.type_for_alias(kind)))
    return batch


def _described(error: PolyglotError) -> str:
    return f"{type(error).__name__}: {error}"


def _received(value: object, name: str) -> Any:
    return None if value is None else getattr(value, name)
