"""Flows: what is written once for threads and for tasks, although it waits.

A flow is a generator. It waits by ``yield from backend.wait(operation, …)``, which calls the operation and, on the
async side, awaits what that returns. So the flow of a thread never yields, and an interruption is raised in it where it
would be in a function. The flow of a task yields what its event loop expects.
"""

from __future__ import annotations

import types
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["Flow", "awaiting", "run", "run_async", "waiting"]

_T = TypeVar("_T")

Flow = Generator[Any, Any, _T]
"""A flow that returns a value."""


def run(flow: Flow[_T]) -> _T:
    """Run the flow of a thread, and return its result."""
    (result,) = _delivered(flow)  # faster than the StopIteration that holds it
    return result


def _delivered(flow: Flow[_T]) -> Generator[_T]:
    """Yield the result of a flow, which itself yields nothing."""
    yield (yield from flow)


@types.coroutine
def run_async(flow: Flow[_T]) -> Flow[_T]:
    """Run the flow of a task, and return its result."""
    return (yield from flow)


def waiting(operation: Callable[..., _T], *arguments: Any) -> Flow[_T]:  # noqa: ANN401 (the operation's)
    """Call an operation that has waited when it returns."""
    return operation(*arguments)
    yield  # which makes this a generator


def awaiting(operation: Callable[..., Awaitable[_T]], *arguments: Any) -> Flow[_T]:  # noqa: ANN401 (the operation's)
    """Call an operation whose result is awaited."""
    return (yield from operation(*arguments).__await__())
