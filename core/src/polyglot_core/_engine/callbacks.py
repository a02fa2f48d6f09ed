"""Callbacks of the caller: `on_partial` and `on_seam`."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, TypeVar

from polyglot_core.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["call_each", "check_callback"]

_T = TypeVar("_T")


def check_callback(method: str, callback: object) -> None:
    """Check an argument of `on_partial` or `on_seam`.

    Raises:
        RequestError: It cannot be called, or is a coroutine function, which nothing would await.
    """
    if not callable(callback):
        msg = f"{method} takes a function, not {type(callback).__name__}."
        raise RequestError(msg, phase="configure")
    if inspect.iscoroutinefunction(callback) or inspect.iscoroutinefunction(type(callback).__call__):
        raise _not_awaited(method)


def call_each(method: str, callbacks: Sequence[Callable[[_T], object]], value: _T) -> None:
    """Call every callback with `value`, in the order of their registration.

    Raises:
        RequestError: A callback returned a coroutine.
        RuntimeError: A callback raised StopIteration, which would end a loop as if the response were complete. What
            else a callback raises passes through.
    """
    for callback in callbacks:
        try:
            returned = callback(value)
        except (StopIteration, StopAsyncIteration) as error:
            msg = f"A callback of {method} raised {type(error).__name__}."
            raise RuntimeError(msg) from error
        if returned is not None and inspect.iscoroutine(returned):
            returned.close()
            raise _not_awaited(method)


def _not_awaited(method: str) -> RequestError:
    return RequestError(
        f"{method} takes a plain function, and a coroutine would not be awaited. Await in a loop over the stream: "
        "`async for partial in stream: await …`; or let the callback start a task.",
        phase="configure",
    )
