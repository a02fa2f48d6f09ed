"""`map`: many calls at once, over threads or over tasks."""

from __future__ import annotations

from collections.abc import Sized
from typing import TYPE_CHECKING, Any, overload

from polyglot_batch.progress import Progress
from polyglot_batch.results import at_least_one, jobs_of
from polyglot_batch.tasks import AsyncResults
from polyglot_batch.threads import results_of
from polyglot_core import AsyncInference, Inference

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from polyglot_batch.results import Result

__all__ = ["map"]


@overload
def map(  # noqa: A001 (it is what `map` of the standard library is)
    inference: Inference,
    prompts: Iterable[Any],
    *,
    concurrency: int = 8,
    ordered: bool = False,
    progress: bool | None = None,
    **arguments: Any,
) -> Generator[Result]: ...


@overload
def map(  # noqa: A001 (as above)
    inference: AsyncInference,
    prompts: Iterable[Any],
    *,
    concurrency: int = 8,
    ordered: bool = False,
    progress: bool | None = None,
    **arguments: Any,
) -> AsyncResults: ...


def map(  # noqa: A001 (as above)
    inference: Inference | AsyncInference,
    prompts: Iterable[Any],
    *,
    concurrency: int = 8,
    ordered: bool = False,
    progress: bool | None = None,
    **arguments: Any,
) -> Generator[Result] | AsyncResults:
    """Make a call for each prompt, several at once, and return an iterator of the results as they end.

    Errors are values: a call that fails has a `Result` with its error, and the others go on. Prompts are taken as they
    are needed, so their iterable may be long; at most twice as many as run at once are ahead of the results that were
    taken. Nothing is sent before the iterator is. Closing it (`close`; async: `aclose`, or leaving ``async with``) ends
    the calls that are in progress. Every request is streamed unless ``stream=False`` is given, so that it can be ended.

    Args:
        inference: Where requests are sent. With an `AsyncInference` the iterator is async.
        prompts: The prompts, each as `create` takes it.
        concurrency: How many calls are in progress at the same time.
        ordered: Return the results in the order of the prompts.
        progress: Show the progress on standard error; None where that is a terminal. False shows nothing.
        arguments: Further arguments of `create`, for every call.

    Raises:
        RequestError: The prompts are one prompt, or `concurrency` is not a number from 1.
    """
    jobs, number = jobs_of(prompts, arguments), at_least_one("concurrency", concurrency)
    shown = Progress(len(prompts) if isinstance(prompts, Sized) else None, shown=progress)
    if isinstance(inference, AsyncInference):
        return AsyncResults(inference, jobs, number, shown, ordered=ordered)
    return results_of(inference, jobs, number, shown, ordered=ordered)
