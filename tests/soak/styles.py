"""The three styles of asking: sync, asyncio and trio. A soak is written once, with ``await``.

Sync, a coroutine is run that never waits: what it awaits is done when it is awaited. So the sync API is put into the
dress of the async one here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Protocol, Self, TypeVar

import anyio

from polyglot_core import AsyncInference, Connection, Inference, InferenceStream, PendingInference

T = TypeVar("T")

_SECONDS_AT_THE_GATE = 60.0
_MOMENT = 0.003  # seconds after which a reader waits
_STACK = 512 * 1024  # bytes; a thousand threads need no more each

Work = Callable[[], Coroutine[Any, Any, object]]


class Gate(Protocol):
    """Holds streams that have begun until all of them have, so that they are open at the same time."""

    async def arrive(self) -> None:
        """Wait until all are here."""
        ...

    def leave(self) -> None:
        """Do not wait for this one any longer."""
        ...


class OpenGate:
    """Holds nobody."""

    async def arrive(self) -> None:
        """Go on."""

    def leave(self) -> None:
        """Go on."""


class Style(Protocol):
    """How a soak asks.

    Attributes:
        name: Its name.
    """

    name: str

    def run(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run `work`, in an event loop of its own if it needs one."""
        ...

    def inference(self, connection: Connection) -> Any:
        """An `AsyncInference`, or what looks like one."""
        ...

    def gate(self, count: int, opening: Callable[[], object]) -> Gate:
        """A gate for `count` streams; `opening` is called when the last one arrives."""
        ...

    async def at_once(self, works: Iterable[Work]) -> None:
        """Do all of `works` at the same time."""
        ...

    async def interrupt(self, stream: Any) -> None:
        """Read on, and end that from outside while it waits."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait, and let others go on."""
        ...

    def tasks(self) -> int:
        """How many tasks there are, those of the event loop itself included."""
        ...


# Sync


class SyncStyle:
    """Threads that stand still."""

    name = "sync"

    def run(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        return run_without_waiting(work())

    def inference(self, connection: Connection) -> Any:
        return _Asking(Inference.from_connection(connection))

    def gate(self, count: int, opening: Callable[[], object]) -> Gate:
        return _ThreadGate(count, opening)

    async def at_once(self, works: Iterable[Work]) -> None:
        before = threading.stack_size(_STACK)
        try:
            threads = [threading.Thread(target=run_without_waiting, args=(work(),)) for work in works]
            for thread in threads:
                thread.start()
        finally:
            threading.stack_size(before)
        for thread in threads:
            thread.join()

    async def interrupt(self, stream: Any) -> None:
        closing = threading.Timer(_MOMENT, stream.stream.close)
        closing.start()
        async for _ in stream:
            pass
        closing.join()

    async def sleep(self, seconds: float) -> None:
        threading.Event().wait(seconds)

    def tasks(self) -> int:
        return 0


def run_without_waiting(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that awaits nothing that waits."""
    try:
        work.send(None)
    except StopIteration as done:
        answer: T = done.value
        return answer
    raise RuntimeError("sync code waited for an event loop")


class _ThreadGate:
    def __init__(self, count: int, opening: Callable[[], object]) -> None:
        self._missing = count
        self._lock = threading.Lock()
        self._opening = opening
        self._open = threading.Event()

    async def arrive(self) -> None:
        self.leave()
        if not self._open.wait(_SECONDS_AT_THE_GATE):
            raise TimeoutError(f"{self._missing} streams did not begin.")

    def leave(self) -> None:
        with self._lock:
            self._missing -= 1
            if self._missing == 0:
                self._opening()
                self._open.set()


class _Asking:
    def __init__(self, inference: Inference) -> None:
        self._inference = inference

    def create(self, *messages: Any, **asked: Any) -> _Pending:
        return _Pending(self._inference.create(*messages, **asked))

    async def __aenter__(self) -> Self:
        self._inference.__enter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._inference.close()


class _Pending:
    def __init__(self, pending: PendingInference) -> None:
        self._pending = pending

    def stream(self) -> _Stream:
        return _Stream(self._pending.stream())

    async def response(self) -> Any:
        return self._pending.response()


class _Stream:
    def __init__(self, stream: InferenceStream) -> None:
        self.stream = stream

    def __aiter__(self) -> _Each:
        return _Each(iter(self.stream))

    def events(self) -> _Each:
        return _Each(self.stream.events())

    def on_partial(self, callback: Callable[[Any], object]) -> _Stream:
        self.stream.on_partial(callback)
        return self

    async def response(self) -> Any:
        return self.stream.response()

    async def close(self) -> None:
        self.stream.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.stream.close()


class _Each:
    def __init__(self, items: Any) -> None:
        self._items = items

    def __aiter__(self) -> _Each:
        return self

    async def __anext__(self) -> Any:
        for item in self._items:
            return item
        raise StopAsyncIteration


# Async


class AsyncStyle:
    """Tasks in an event loop of one of the two kinds."""

    def __init__(self, backend: str) -> None:
        self.name = {"asyncio": "async"}.get(backend, backend)
        self._backend = backend

    def run(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        options = {"debug": False} if self._backend == "asyncio" else {}  # it would hold tasks' stacks
        return anyio.run(work, backend=self._backend, backend_options=options)

    def inference(self, connection: Connection) -> Any:
        return AsyncInference.from_connection(connection)

    def gate(self, count: int, opening: Callable[[], object]) -> Gate:
        return _TaskGate(count, opening)

    async def at_once(self, works: Iterable[Work]) -> None:
        async with anyio.create_task_group() as group:
            for work in works:
                group.start_soon(work)

    async def interrupt(self, stream: Any) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(_read_on, stream)
            await anyio.sleep(_MOMENT)
            group.cancel_scope.cancel()

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds)

    def tasks(self) -> int:
        """Those that wait for the time to close idle connections are none: asyncio has timers for that."""
        return sum(task.name != "polyglot-timer" for task in anyio.get_running_tasks())


async def _read_on(stream: Any) -> None:
    async for _ in stream:
        pass


class _TaskGate:
    def __init__(self, count: int, opening: Callable[[], object]) -> None:
        self._missing = count
        self._opening = opening
        self._open = anyio.Event()

    async def arrive(self) -> None:
        self.leave()
        with anyio.fail_after(_SECONDS_AT_THE_GATE):
            await self._open.wait()

    def leave(self) -> None:
        self._missing -= 1
        if self._missing == 0:
            self._opening()
            self._open.set()


STYLES: dict[str, Style] = {"sync": SyncStyle(), "async": AsyncStyle("asyncio"), "trio": AsyncStyle("trio")}
