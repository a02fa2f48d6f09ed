"""Batches: the prompts of a file, and their results in another, which can be resumed at any time."""

from __future__ import annotations

import contextlib
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, overload

from anyio import to_thread
from msgspec import Struct

from polyglot_batch.costs import Total, cost
from polyglot_batch.jsonl import Output, encode_line, read_lines, result_line
from polyglot_batch.progress import Progress
from polyglot_batch.results import Job, at_least_one
from polyglot_batch.tasks import AsyncResults
from polyglot_batch.threads import results_of
from polyglot_core import AsyncInference, ConfigError, Inference
from polyglot_core.errors import AuthenticationError, PermissionDenied, QuotaExceeded

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Coroutine, Iterator
    from typing import Any, Self

    from polyglot_batch.prices import Prices
    from polyglot_batch.results import Result

__all__ = ["Summary", "run_batch"]

_SAME_FOR_ALL = (ConfigError, AuthenticationError, PermissionDenied, QuotaExceeded)
"""Errors that every further call would end with."""


class Summary(Struct, frozen=True, kw_only=True):
    """What a run of a batch has done.

    Attributes:
        total: Prompts of the input.
        done: Prompts that have a line in the output, with those of earlier runs.
        errors: Those of them whose line is an error.
        made: Calls that this run has made.
        cost: What these calls cost.
    """

    total: int
    done: int
    errors: int
    made: int
    cost: Total


class _Batch:
    """One run: the jobs that are left, and what becomes of their results."""

    def __init__(self, source: Path, target: Path, prices: Prices | None, *, retry_errors: bool) -> None:
        names = [line.id for line in read_lines(source)]
        if target.exists() and target.samefile(source):
            raise ConfigError(f"{target} is the input; name another file for the output.", phase="configure")
        output = Output(target, retry_errors=retry_errors)
        if strange := output.done.difference(names):
            output.close()
            other = min(map(repr, strange))
            msg = f"{target} is of another batch: it has a line with the id {other}, which {source} does not have."
            raise ConfigError(msg, phase="configure")
        self.total = len(names)
        self.made = 0
        self.cost = Total()
        self._source = source
        self._output = output
        self._prices = prices
        self._names: dict[int, str | int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._output.close()

    def jobs(self) -> Iterator[Job]:
        """Yield the jobs that have no line yet."""
        for index, line in enumerate(read_lines(self._source)):
            if line.id not in self._output.done:
                self._names[index] = line.id
                yield Job(index, line.prompt, line.arguments)

    def progress(self, shown: bool | None) -> Progress:  # noqa: FBT001 (an option of the run)
        """Return the progress of this run, which begins where the one before has ended."""
        return Progress(self.total, shown=shown, done=len(self._output.done), prices=self._prices)

    def take(self, result: Result) -> None:
        """Write the line of a result.

        Raises:
            PolyglotError: The error of the result, if every further call would end with it.
        """
        if isinstance(result.error, _SAME_FOR_ALL):
            raise result.error
        name, received = self._names.pop(result.index), result.received
        spent = None if received is None else cost(received, request=result.request, prices=self._prices)
        shown = spent and {"amount": f"{spent.amount:f}", "currency": spent.currency, "estimated": spent.estimated}
        self._output.write(encode_line(result_line(name, result, shown)))
        self._output.done.add(name)
        self._output.errors += result.error is not None
        self.made += 1
        self.cost += Total() if received is None else spent

    def summary(self) -> Summary:
        """Return what has been done."""
        return Summary(
            total=self.total,
            done=len(self._output.done),
            errors=self._output.errors,
            made=self.made,
            cost=self.cost,
        )


@overload
def run_batch(
    inference: Inference,
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    concurrency: int = 8,
    retry_errors: bool = False,
    progress: bool | None = None,
    prices: Prices | None = None,
) -> Summary: ...


@overload
def run_batch(
    inference: AsyncInference,
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    concurrency: int = 8,
    retry_errors: bool = False,
    progress: bool | None = None,
    prices: Prices | None = None,
) -> Coroutine[Any, Any, Summary]: ...


def run_batch(
    inference: Inference | AsyncInference,
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    concurrency: int = 8,
    retry_errors: bool = False,
    progress: bool | None = None,
    prices: Prices | None = None,
) -> Summary | Coroutine[Any, Any, Summary]:
    """Make the calls of a file of prompts, and write their results to another, each as soon as it is there.

    Prompts that have a line in the output are not sent again. So a batch that was interrupted, or killed, is resumed by
    the same call. Errors are lines too. An error that every further call would end with, such as a wrong key, is raised
    instead, and the batch can be resumed when its cause is removed.

    Args:
        inference: Where requests are sent. With an `AsyncInference` the result is awaited.
        source: The prompts, one JSON value a line: a text, or an object with ``prompt`` or ``messages``, arguments of
            `create` such as ``model`` and ``options``, and an ``id``, which is else the number of the line.
        target: The results, one JSON object a line, in the order in which the calls end: ``id``; ``content`` and
            ``response``, or ``error``; and ``cost`` if it is known.
        concurrency: How many calls are in progress at the same time.
        retry_errors: Make the calls again whose line is an error.
        progress: Show the progress on standard error; None where that is a terminal. False shows nothing.
        prices: The table of prices, instead of the one that the package ships.

    Raises:
        ConfigError: A file cannot be read or written, a line is invalid, or the output is of another batch or in use.
        PolyglotError: Every further call would end with this error.
    """
    number = at_least_one("concurrency", concurrency)
    begin = partial(_Batch, Path(source), Path(target), prices, retry_errors=retry_errors)
    if isinstance(inference, AsyncInference):
        return _run_async(inference, begin, number, progress)
    with begin() as batch:
        shown, silent = batch.progress(progress), Progress(None, shown=False)
        results = results_of(inference, batch.jobs(), number, silent, ordered=False, unread=batch.take)
        with contextlib.closing(shown), contextlib.closing(results):
            for result in results:
                batch.take(result)
                shown.add(result)  # only what is written counts as done
        return batch.summary()


async def _run_async(
    inference: AsyncInference,
    begin: Callable[[], _Batch],
    concurrency: int,
    progress: bool | None,  # noqa: FBT001 (an option of the run)
) -> Summary:
    with await to_thread.run_sync(begin) as batch:
        shown, silent = batch.progress(progress), Progress(None, shown=False)
        calls = AsyncResults(inference, batch.jobs(), concurrency, silent, ordered=False, unread=batch.take)
        with contextlib.closing(shown):
            async with calls as results:
                async for result in results:
                    await to_thread.run_sync(batch.take, result)  # it waits for the disk
                    shown.add(result)  # only what is written counts as done
        return batch.summary()
