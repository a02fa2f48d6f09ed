"""Tasks that belong to no scope of the caller: the reader of a stream, and the close of one that was dropped.

A function that takes a stream cannot open a task group around what its caller does later. asyncio starts such a task
anywhere; trio has system tasks, which end with the event loop.
"""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Any

import anyio

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Coroutine

__all__ = ["EventLoop", "TrioLoop", "running_loop"]

_tasks: set[asyncio.Task[Any]] = set()  # a loop keeps only weak references to its tasks


class EventLoop:
    """The running event loop of asyncio."""

    def __init__(self) -> None:
        self._loop = sys.modules["asyncio"].get_running_loop()

    def start(self, run: Callable[[], Coroutine[Any, Any, object]]) -> Callable[[], object]:
        """Start a task. Return a function that cancels it; any thread may call that, also after the loop has ended."""
        task = self._loop.create_task(run())
        _tasks.add(task)
        task.add_done_callback(_tasks.discard)
        return lambda: self._soon(task.cancel)

    def start_soon(self, run: Callable[[], Coroutine[Any, Any, object]]) -> None:
        """Start a task from any thread, or from a finalizer. Nothing is started once the loop has ended."""
        self._soon(lambda: self.start(run))

    def _soon(self, function: Callable[[], object]) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function)


class TrioLoop(EventLoop):
    """The running event loop of trio."""

    def __init__(self) -> None:
        self._trio: Any = sys.modules["trio"]
        self._token = self._trio.lowlevel.current_trio_token()

    def start(self, run: Callable[[], Coroutine[Any, Any, object]]) -> Callable[[], object]:
        """Start a task, as in asyncio."""
        scope = anyio.CancelScope()

        async def within() -> None:
            with scope:
                await run()

        self._trio.lowlevel.spawn_system_task(within)
        return lambda: self._soon(scope.cancel)

    def _soon(self, function: Callable[[], object]) -> None:
        with contextlib.suppress(self._trio.RunFinishedError):
            self._token.run_sync_soon(function)


def running_loop() -> EventLoop:
    """Return the running event loop."""
    asyncio = sys.modules.get("asyncio")
    runs_asyncio = asyncio is not None and asyncio._get_running_loop() is not None  # noqa: SLF001 (documented, for libraries)
    return EventLoop() if runs_asyncio else TrioLoop()
