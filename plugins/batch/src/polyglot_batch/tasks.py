"""Many calls at once in tasks of the running event loop, asyncio's or trio's."""

# Theory of operation
# -------------------
#
# The results are an async iterator that may be left anywhere: by `break`, by an error, by a cancellation. A task group
# cannot live in such an iterator, because its cancel scope would have to be left by the task that has entered it. So
# the workers are tasks of the event loop itself, each in a cancel scope of its own, and what they share knows nothing
# of the iterator: when that is collected, it cancels them.

from __future__ import annotations

import contextlib
import contextvars
import sys
from collections import deque
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread

from polyglot_batch.results import Result, Sequencer
from polyglot_core import PolyglotError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from typing import Self

    from polyglot_batch.progress import Progress
    from polyglot_batch.results import Job
    from polyglot_core import AsyncInference

__all__ = ["AsyncResults"]

_tasks: set[object] = set()  # asyncio keeps only weak references to its tasks


class AsyncResults:
    """The results of many calls. Iterate it; use ``async with`` to end the calls however the block is left."""

    def __init__(
        self,
        inference: AsyncInference,
        jobs: Iterator[Job],
        concurrency: int,
        progress: Progress,
        *,
        ordered: bool,
        unread: Callable[[Result], object] | None = None,
    ) -> None:
        self._workers = _Workers(inference, jobs, concurrency)
        self._sequence = Sequencer(ordered=ordered)
        self._progress = progress
        self._unread = unread  # called at the end with the complete responses that were not returned; it may block
        self._cancel: Callable[[], object] = self._workers.cancel

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Result:
        """Return the next result.

        Raises:
            StopAsyncIteration: There are no more.
            BaseException: What the iterator of prompts has raised.
        """
        if not self._workers.started:
            self._cancel = self._workers.start()
        try:
            while (ready := self._sequence.pop()) is None:
                self._sequence.put(result := await self._workers.receive())
                self._progress.add(result)
        except Exception:
            await self.aclose()
            raise
        except BaseException:  # a cancellation, which waits for nothing
            self._progress.close()
            self._workers.cancel()
            raise
        self._workers.slots.release()
        return ready

    async def aclose(self) -> None:
        """End the calls that are in progress, and wait for their end."""
        self._progress.close()
        self._workers.cancel()
        with anyio.CancelScope(shield=True):
            await self._workers.ended()
            if (unread := self._unread) is not None:
                for result in self._workers.finished():
                    await anyio.to_thread.run_sync(unread, result)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __del__(self) -> None:
        if cancel := getattr(self, "_cancel", None):
            with contextlib.suppress(RuntimeError):  # the loop has ended, and its tasks with it
                cancel()


class _Workers:
    """Tasks that take jobs one by one.

    Attributes:
        slots: Held by each job from its start until its result is taken.
        started: Whether the tasks have been started.
    """

    slots: anyio.Semaphore
    _changed: anyio.Event

    def __init__(self, inference: AsyncInference, jobs: Iterator[Job], concurrency: int) -> None:
        self.started = False
        self._inference = inference
        self._jobs = jobs
        self._concurrency = concurrency
        self._running = 0
        self._scopes: set[anyio.CancelScope] = set()
        self._cancelled = False
        self._done: deque[Result | BaseException] = deque()

    def start(self) -> Callable[[], object]:
        """Start the tasks. Return a function that cancels them, from any thread."""
        self.started = True
        if self._cancelled:
            return self.cancel
        self._running = self._concurrency
        self.slots, self._changed = anyio.Semaphore(2 * self._concurrency), anyio.Event()
        for _ in range(self._concurrency):
            later = _spawn(self._run)
        return lambda: later(self.cancel)

    def cancel(self) -> None:
        """Take no more jobs, and cancel those in progress."""
        self._cancelled = True
        for scope in list(self._scopes):
            scope.cancel()

    async def receive(self) -> Result:
        """Return a result.

        Raises:
            StopAsyncIteration: There are no more.
            BaseException: What the iterator of jobs has raised, or a call that is no `PolyglotError`.
        """
        while not self._done:
            if not self._running:
                raise StopAsyncIteration
            self._changed = anyio.Event()
            await self._changed.wait()
        done = self._done.popleft()
        if isinstance(done, Result):
            return done
        raise done

    def finished(self) -> Iterator[Result]:
        """Yield the results with a complete response that were not taken; after `ended`."""
        while self._done:
            done = self._done.popleft()
            if isinstance(done, Result) and done.is_complete:
                yield done

    async def ended(self) -> None:
        """Wait until no task runs."""
        while self._running:
            self._changed = anyio.Event()
            await self._changed.wait()

    async def _run(self) -> None:
        try:
            with anyio.CancelScope() as scope:
                self._scopes.add(scope)
                while (job := await self._next_job()) is not None:
                    self._put(await self._result_of(job))
        except Exception as error:  # noqa: BLE001 (raised where the results are taken)
            self._put(error)
        finally:
            self._scopes.discard(scope)
            self._running -= 1
            self._changed.set()

    def _put(self, done: Result | BaseException) -> None:
        self._done.append(done)
        self._changed.set()

    async def _next_job(self) -> Job | None:
        await self.slots.acquire()
        job = None if self._cancelled else next(self._jobs, None)
        if job is None:
            self.slots.release()  # another task that waits ends too
        return job

    async def _result_of(self, job: Job) -> Result:
        request = None
        try:
            pending = self._inference.create(job.prompt, **job.arguments)
            request = pending.request
            if job.arguments.get("stream") is False:
                response = await pending.response()
            else:
                async with pending.stream() as stream:
                    response = await stream.response()
        except PolyglotError as error:
            return Result(job.index, job.prompt, error=error, request=request)
        return Result(job.index, job.prompt, response, request=request)


def _spawn(run: Callable[[], Awaitable[Any]]) -> Callable[..., object]:
    """Start a task of the running event loop. Return what calls a function in that loop, from any thread."""
    asyncio: Any = sys.modules.get("asyncio")
    later: Callable[..., object]
    if asyncio is not None and asyncio._get_running_loop() is not None:  # noqa: SLF001 (documented, for libraries)
        loop = asyncio.get_running_loop()
        task = loop.create_task(run())
        _tasks.add(task)
        task.add_done_callback(_tasks.discard)
        later = loop.call_soon_threadsafe
    else:
        lowlevel: Any = sys.modules["trio"].lowlevel
        lowlevel.spawn_system_task(run, name="polyglot-map", context=contextvars.copy_context())
        later = lowlevel.current_trio_token().run_sync_soon
    return later
