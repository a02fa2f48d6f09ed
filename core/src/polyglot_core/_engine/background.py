"""Operations that are performed elsewhere while the caller waits for them in parts: in a thread, or in a task.

A read of the HTTP client cannot be repeated after a timeout, because the client closes the connection then. So a read
that may take longer than the caller waits is left to a thread (async: to a task of the event loop) and continues
between two waits. It refers to the connection and not to the stream, so that a stream can be collected meanwhile, which
ends the operation.
"""

from __future__ import annotations

import contextlib
import contextvars
import sys
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from queue import Empty, SimpleQueue
from time import perf_counter
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, NoReturn, TypeVar

from polyglot_core._http.pools import LONGEST_WAIT
from polyglot_core._http.translate import TwoReadersError, timed_out
from polyglot_core._http.watchdog import on_collect

if TYPE_CHECKING:
    import asyncio

    from polyglot_core._http.watchdog import CollectHook

__all__ = ["AsyncBackground", "AsyncOperation", "Background", "Operation", "outcome_of"]

_T = TypeVar("_T")


class Operation(NamedTuple, Generic[_T]):
    """An operation that waits, sync.

    Attributes:
        run: Performs it.
        end: Makes `run` return soon; called from another thread.
        release: Releases the connection of an abandoned operation. Called with its result, or None if it has none.
    """

    run: Callable[[], _T]
    end: Callable[[], object]
    release: Callable[[_T | None], object]


class AsyncOperation(NamedTuple, Generic[_T]):
    """An operation that waits, async. It is ended by a cancellation of its task.

    Attributes:
        run: Performs it.
        release: Releases the connection of an abandoned operation. Called with its result, or None if it has none.
    """

    run: Callable[[], Awaitable[_T]]
    release: Callable[[_T | None], Awaitable[object]]


def outcome_of(run: Callable[[], _T]) -> Callable[[], _T]:
    """Call `run`, and return a function that returns its result or raises its exception."""
    try:
        return partial(_return, run())
    except BaseException as error:  # noqa: BLE001 (raised in the thread that waits)
        return partial(_raise, error)


def _return(result: _T) -> _T:
    return result


def _raise(error: BaseException) -> NoReturn:
    raise error


def _closed() -> NoReturn:
    """Raise the outcome of an operation that was ended by `close`. The pump drops it: the call is cancelled."""
    raise timed_out("total")


def _seconds_until(until: float | None) -> float | None:
    """Return the seconds from now to a moment of `perf_counter`, as a timeout; None for no limit."""
    return None if until is None else min(LONGEST_WAIT, max(0.0, until - perf_counter()))


class _Work(Generic[_T]):
    """What the thread of a `Background` holds: the operation, and not who waits for it.

    Attributes:
        outcomes: The outcome is put here.
        hook: Calls `abandon` when the `Background` is collected; None once the operation is over.
    """

    def __init__(self, operation: Operation[_T]) -> None:
        self.outcomes = SimpleQueue[Callable[[], _T]]()
        self.hook: CollectHook | None = None
        self._operation = operation
        self._result: _T | None = None
        self._over = self._abandoned = False
        self._lock = threading.Lock()

    def run(self) -> None:
        """Perform the operation, and release its connection if it was abandoned meanwhile."""
        outcome = outcome_of(self._run)
        with self._lock:
            self._over = True
            abandoned = self._abandoned
        self.hook = None
        self.outcomes.put(outcome)
        if abandoned:
            self._operation.release(self._result)

    def _run(self) -> _T:
        self._result = result = self._operation.run()
        return result

    def abandon(self) -> None:
        """End the operation, and the wait for it. The connection is released by whichever of both is over last."""
        with self._lock:
            first, self._abandoned = not self._abandoned, True
            over = self._over
        self.outcomes.put(_closed)
        if first and over:
            self._operation.release(self._result)
        elif first:
            self._operation.end()


class Background(Generic[_T]):
    """An operation in a thread of its own. It ends when this object is collected.

    Args:
        operation: The operation.
        name: Name of the thread.

    Attributes:
        survives: Whether the operation continues after an interruption of a wait for it.
    """

    survives = False

    def __init__(self, operation: Operation[_T], name: str = "polyglot-read") -> None:
        self._work = _Work(operation)
        self._name = name
        self._outcome: Callable[[], _T] | None = None
        self._waiting = threading.Lock()
        self._started = False

    def wait(self, until: float | None) -> bool:
        """Start the operation if it has not been started. Return whether it is over by `until`; None waits for it.

        Raises:
            TwoReadersError: Another thread waits for it.
        """
        if not self._waiting.acquire(blocking=False):
            raise TwoReadersError
        try:
            self._start()
            if self._outcome is None:
                self._outcome = self._work.outcomes.get(timeout=_seconds_until(until))
        except Empty:
            return False
        finally:
            self._waiting.release()
        return True

    def result(self) -> _T:
        """Return the result of an operation that is over, or raise its exception."""
        return (self._outcome or _closed)()

    def abandon(self) -> None:
        """End the operation. Its thread then releases the connection. Any thread may call it, any number of times."""
        self._work.abandon()

    def _start(self) -> None:
        work = self._work
        if not self._started:
            self._started = True
            work.hook = on_collect(self, work.abandon)
            run = contextvars.copy_context().run
            threading.Thread(target=run, args=(work.run,), name=self._name, daemon=True).start()


_tasks: set[asyncio.Task[Any]] = set()  # a loop keeps only weak references to its tasks


class AsyncBackground(Generic[_T]):
    """An operation in an asyncio task of its own. It ends when this object is collected.

    Attributes:
        survives: Whether the operation continues after an interruption of a wait for it.
    """

    survives = True

    def __init__(self, operation: AsyncOperation[_T]) -> None:
        self._operation = operation
        self._task: asyncio.Task[Callable[[], _T]] | None = None
        self._waiting = False

    async def wait(self, until: float | None) -> bool:
        """Start the operation if it has not been started. Return whether it is over by `until`; None waits for it.

        Raises:
            TwoReadersError: Another task waits for it.
        """
        if self._waiting:
            raise TwoReadersError
        asyncio = sys.modules["asyncio"]
        if (task := self._task) is None:
            self._task = task = asyncio.create_task(_performed(self._operation))
            _tasks.add(task)
            task.add_done_callback(_tasks.discard)
        self._waiting = True
        try:
            await asyncio.wait({task}, timeout=_seconds_until(until))
        finally:
            self._waiting = False
        return task.done()

    def result(self) -> _T:
        """Return the result of an operation that is over, or raise its exception."""
        task = self._task
        return (_closed if task is None or task.cancelled() else task.result())()

    async def abandon(self) -> None:
        """End the operation and release its connection. Any task of the loop may call it, any number of times."""
        result = None
        if (task := self._task) is not None:
            task.cancel()
            await sys.modules["asyncio"].wait({task})
            with contextlib.suppress(BaseException):  # it failed, and its error is not needed any more
                result = self.result()
        await self._operation.release(result)

    def __del__(self) -> None:
        task = getattr(self, "_task", None)
        if task is not None and not task.done() and not (loop := task.get_loop()).is_closed():
            loop.call_soon_threadsafe(task.cancel)


async def _performed(operation: AsyncOperation[_T]) -> Callable[[], _T]:
    """Perform an operation. Return a function that returns its result or raises its exception."""
    try:
        return partial(_return, await operation.run())
    except sys.modules["asyncio"].CancelledError:  # by `abandon`, by the collector, or because the loop is ending
        await operation.release(None)
        return _closed
    except BaseException as error:  # noqa: BLE001 (raised in the task that waits)
        return partial(_raise, error)
