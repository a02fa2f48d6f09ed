"""The streams that transforms return: two drivers, sync and async, for one stage each.

A test compares the two, which are equal but for ``async`` and ``await``.
"""

# Theory of operation
# -------------------
#
# A chain such as ``smooth(coalesce(stream, 0.1))`` is a list of streams, each with a stage and with the stream that it
# reads from, down to a `Reading` of core's stream. A stage decides (`stages`), a stream waits and reads. Each pulls: it
# asks the next one for an item only when its consumer asks, so a slow consumer slows the provider, and nothing is held
# but what a stage holds by its nature.
#
# Deadlines. A stage may have a moment at which it emits without an item: a heartbeat, the end of a window. `read` takes
# a moment too, `until`, and hands the earlier of both down the chain. At the bottom `Reading` leaves a read with a
# deadline to one thread or task, where it stays pending. So a deadline costs a wait and nothing else.
#
# The end. The upstream ends with StopIteration or with a PolyglotError. In both cases the stage is flushed and what it
# held is emitted before the stream ends in the same way, also with its delays. A stage that stops the stream closes the
# upstream, and the response of core has the outcome ``cancelled`` then; a note says which rule it was.
#
# Who closes. `close` may run in any thread (async: in any task of the loop) while another one reads. It marks the flow,
# ends a sleep, and closes the upstream, which wakes a read. The stage is not touched while a reader may be within it:
# the reader finishes it when it leaves. An exception of the caller's function and an interruption close the upstream
# and pass through; a later read raises a StreamError, because an iteration that ended quietly would seem complete.

from __future__ import annotations

import threading
from inspect import isawaitable, iscoroutine
from time import perf_counter
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

import anyio

from polyglot_core.errors import PolyglotError, RequestError, StreamError
from polyglot_streams.checks import seconds
from polyglot_streams.sources import NOT_YET, DataT, NotYet, seconds_until
from polyglot_streams.stages import Flow, FunctionStage, PartialStage, Stage, earliest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Self

    from polyglot_core import InferenceResponse, PartialInferenceResponse
    from polyglot_streams.sources import AsyncUpstream, Upstream

__all__ = ["AsyncStream", "Stream"]

ItemT_co = TypeVar("ItemT_co", covariant=True)


class _Base(Generic[ItemT_co]):
    """What both streams do without waiting."""

    _flow: Flow[Any, ItemT_co]

    @property
    def stopped(self) -> str | None:
        """Return why a transform ended the stream, as a sentence; None if none did."""
        return self._flow.stage.stopped

    def __repr__(self) -> str:
        state = "closed" if self._flow.closed else "over" if self._flow.drained else "open"
        return f"{type(self).__name__}({type(self._flow.stage).__name__}, {state})"

    def __reduce__(self) -> NoReturn:
        msg = f"{type(self).__name__} holds a connection and cannot be pickled or copied."
        raise TypeError(msg)

    def _check_not_ended(self) -> None:
        """Raise if the stream was read to its end. One that was closed ends without an error, as in core.

        Raises:
            StreamError: It was.
        """
        if self._flow.drained and self._flow.error is None and not self._flow.closed:
            raise StreamError("The stream has ended and is not replayed; the complete response is in response().")

    def _check_not_interrupted(self) -> None:
        """Raise if a read was interrupted: the stream must not end as if it were complete.

        Raises:
            StreamError: It was.
        """
        if self._flow.interrupted:
            msg = "A read of this stream was interrupted, which closed it; what was received is in response()."
            raise StreamError(msg)

    def _with_note(self, response: InferenceResponse[DataT]) -> InferenceResponse[DataT]:
        """Return the response with a note if this stage has ended the stream."""
        if (stopped := self._flow.stage.stopped) is None:
            return response
        return response.with_changes(notes=(*response.notes, stopped))


class Stream(_Base[ItemT_co], Generic[ItemT_co, DataT]):
    """A transformed stream, sync. Iterate it for its items.

    One thread reads a stream; any thread may `close` it. A loop resumes where the last one stopped. A stream that is
    dropped closes its connection, and ``with`` does so however the block is left.

    Attributes:
        stopped: Why a transform ended the stream, as a sentence; None if none did.
    """

    def __init__(self, upstream: Upstream[Any, DataT], stage: Stage[Any, ItemT_co]) -> None:
        self._upstream = upstream
        self._flow = Flow(stage)
        self._reading = threading.Lock()
        self._woken = threading.Event()

    def __iter__(self) -> Self:
        """Return the stream.

        Raises:
            StreamError: It has ended. Iteration raises the errors of the call.
        """
        self._check_not_ended()
        return self

    def __next__(self) -> ItemT_co:
        item = self.read(None)
        assert item is not NOT_YET  # noqa: S101 (there is no deadline)
        return item

    def next(self, timeout: float | None = None) -> ItemT_co | None:
        """Return the next item, or None if there was none within `timeout` seconds, by which nothing is lost.

        Raises:
            StopIteration: The stream has ended or was closed.
            RequestError: The timeout is not a number of seconds.
            PolyglotError: As iteration of the stream does.
        """
        item = self.read(None if timeout is None else perf_counter() + seconds("timeout", timeout))
        return None if item is NOT_YET else item

    def read(self, until: float | None) -> ItemT_co | NotYet:
        """Return the next item, or NOT_YET if there is none by `until`, a moment of `perf_counter`. Transforms call it.

        Raises:
            StopIteration: The stream has ended or was closed.
            StreamError: Another thread reads the stream, or a read of it was interrupted.
            PolyglotError: The call failed. Repeated calls raise the same error.
        """
        if not self._reading.acquire(blocking=False):
            raise StreamError("Another thread reads this stream, or a function that it calls does.")
        try:
            return self._read(until)
        except BaseException as interruption:
            if not isinstance(interruption, StopIteration) and interruption is not self._flow.error:
                self._abandon()
            raise
        finally:
            self._reading.release()
            if self._flow.closed:  # by a thread that could not finish the stage
                self._finish()

    def _read(self, until: float | None) -> ItemT_co | NotYet:
        flow, stage = self._flow, self._flow.stage
        self._check_not_interrupted()
        while flow.closed or not flow.ready:
            if flow.drained:
                self._finish()
                if flow.error is not None and not flow.closed:
                    raise flow.error.with_traceback(None)
                raise StopIteration
            flow.wake()
            if flow.ready:
                continue
            limit = earliest(stage.deadline, until)
            if stage.full:
                self._sleep(limit)
            else:
                self._take(limit)
            if not flow.ready and until is not None and perf_counter() >= until:
                flow.wake()
                if not flow.ready and not flow.drained:
                    return NOT_YET
        return flow.ready.popleft()

    def _sleep(self, until: float | None) -> None:
        """Wait until a moment, or until the stream is closed."""
        self._woken.wait(None if until is None else seconds_until(until))

    def _take(self, until: float | None) -> None:
        """Read an item, and give it to the stage."""
        flow, stage = self._flow, self._flow.stage
        try:
            item = self._upstream.read(until)
        except StopIteration:
            return flow.end()
        except PolyglotError as error:
            return flow.end(error)
        if item is NOT_YET or flow.closed:
            return None
        if isinstance(stage, FunctionStage):
            stops = flow.take(item, self._result(stage.function, item))
        else:
            stops = flow.feed(item)
        if stops:
            self._upstream.close()
            flow.end()
        return None

    def _result(self, function: Callable[[Any], Any], item: object) -> object:
        """Call the caller's function.

        Raises:
            RequestError: It returned a coroutine.
            RuntimeError: It raised StopIteration, which would end a loop as if the stream were complete.
        """
        try:
            result = function(item)
        except (StopIteration, StopAsyncIteration) as error:
            raise RuntimeError(f"A function of a transform raised {type(error).__name__}.") from error
        if iscoroutine(result):
            result.close()
            msg = "A transform of a sync stream takes a plain function; a coroutine function needs an async stream."
            raise RequestError(msg, phase="configure")
        return result

    def text(self: Stream[Any, DataT]) -> Stream[str, DataT]:
        """Return a stream of the non-empty pieces of choice 0's text."""
        return Stream(self, TextStage())

    def response(self) -> InferenceResponse[DataT]:
        """Read the rest of the stream and return the complete response, as the stream of core does.

        After `close`, and after a transform ended the stream, it is what was received, with ``outcome == "cancelled"``.

        Raises:
            PolyglotError: The call failed or the response is incomplete. Repeated calls raise the same error.
        """
        if not self._flow.closed:
            try:
                while True:
                    self.read(None)
            except StopIteration:
                pass
        return self._with_note(self._upstream.response())

    def close(self) -> None:
        """End the stream and close its connection. What was received stays readable in `response()`."""
        self._flow.close()
        self._woken.set()
        self._upstream.close()
        if self._reading.acquire(blocking=False):
            try:
                self._finish()
            finally:
                self._reading.release()

    def _abandon(self) -> None:
        """Close the upstream because of an interruption, or of an exception of the caller's function."""
        self._flow.interrupted = True
        self._flow.close()
        self._upstream.close()

    def _finish(self) -> None:
        """Finish the stage, once."""
        if self._flow.to_finish():
            self._flow.stage.finish(complete=self._flow.complete)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncStream(_Base[ItemT_co], Generic[ItemT_co, DataT]):
    """A transformed stream, async. Iterate it for its items.

    One task reads a stream; any task may `close` it. A loop resumes where the last one stopped. A stream that is
    dropped closes its connection soon after, and ``async with`` does so however the block is left.

    Attributes:
        stopped: Why a transform ended the stream, as a sentence; None if none did.
    """

    def __init__(self, upstream: AsyncUpstream[Any, DataT], stage: Stage[Any, ItemT_co]) -> None:
        self._upstream = upstream
        self._flow = Flow(stage)
        self._reading = threading.Lock()
        self._woken: anyio.Event | None = None

    def __aiter__(self) -> Self:
        """Return the stream.

        Raises:
            StreamError: It has ended. Iteration raises the errors of the call.
        """
        self._check_not_ended()
        return self

    async def __anext__(self) -> ItemT_co:
        item = await self.read(None)
        assert item is not NOT_YET  # noqa: S101 (there is no deadline)
        return item

    async def next(self, timeout: float | None = None) -> ItemT_co | None:  # noqa: ASYNC109 (a cancellation would close the stream)
        """Return the next item, or None if there was none within `timeout` seconds, by which nothing is lost.

        Raises:
            StopAsyncIteration: The stream has ended or was closed.
            RequestError: The timeout is not a number of seconds.
            PolyglotError: As iteration of the stream does.
        """
        item = await self.read(None if timeout is None else perf_counter() + seconds("timeout", timeout))
        return None if item is NOT_YET else item

    async def read(self, until: float | None) -> ItemT_co | NotYet:
        """Return the next item, or NOT_YET if there is none by `until`, a moment of `perf_counter`. Transforms call it.

        Raises:
            StopAsyncIteration: The stream has ended or was closed.
            StreamError: Another task reads the stream, or a read of it was interrupted.
            PolyglotError: The call failed. Repeated calls raise the same error.
        """
        if not self._reading.acquire(blocking=False):
            raise StreamError("Another task reads this stream, or a function that it calls does.")
        try:
            return await self._read(until)
        except BaseException as interruption:
            if not isinstance(interruption, StopAsyncIteration) and interruption is not self._flow.error:
                await self._abandon()
            raise
        finally:
            self._reading.release()
            if self._flow.closed:  # by a task that could not finish the stage
                await self._finish()

    async def _read(self, until: float | None) -> ItemT_co | NotYet:
        flow, stage = self._flow, self._flow.stage
        self._check_not_interrupted()
        while flow.closed or not flow.ready:
            if flow.drained:
                await self._finish()
                if flow.error is not None and not flow.closed:
                    raise flow.error.with_traceback(None)
                raise StopAsyncIteration
            flow.wake()
            if flow.ready:
                continue
            limit = earliest(stage.deadline, until)
            if stage.full:
                await self._sleep(limit)
            else:
                await self._take(limit)
            if not flow.ready and until is not None and perf_counter() >= until:
                flow.wake()
                if not flow.ready and not flow.drained:
                    return NOT_YET
        return flow.ready.popleft()

    async def _sleep(self, until: float | None) -> None:
        """Wait until a moment, or until the stream is closed."""
        self._woken = woken = anyio.Event()
        with anyio.move_on_after(None if until is None else seconds_until(until)):
            await woken.wait()

    async def _take(self, until: float | None) -> None:
        """Read an item, and give it to the stage."""
        flow, stage = self._flow, self._flow.stage
        try:
            item = await self._upstream.read(until)
        except StopAsyncIteration:
            return flow.end()
        except PolyglotError as error:
            return flow.end(error)
        if item is NOT_YET or flow.closed:
            return None
        if isinstance(stage, FunctionStage):
            stops = flow.take(item, await self._result(stage.function, item))
        else:
            stops = flow.feed(item)
        if stops:
            await self._upstream.close()
            flow.end()
        return None

    async def _result(self, function: Callable[[Any], Any], item: object) -> object:
        """Call the caller's function, and await what it returns.

        Raises:
            RuntimeError: It raised StopIteration, which would end a loop as if the stream were complete.
        """
        try:
            result = function(item)
            return await result if isawaitable(result) else result
        except (StopIteration, StopAsyncIteration) as error:
            raise RuntimeError(f"A function of a transform raised {type(error).__name__}.") from error

    def text(self: AsyncStream[Any, DataT]) -> AsyncStream[str, DataT]:
        """Return a stream of the non-empty pieces of choice 0's text."""
        return AsyncStream(self, TextStage())

    async def response(self) -> InferenceResponse[DataT]:
        """Read the rest of the stream and return the complete response, as the stream of core does.

        After `close`, and after a transform ended the stream, it is what was received, with ``outcome == "cancelled"``.

        Raises:
            PolyglotError: The call failed or the response is incomplete. Repeated calls raise the same error.
        """
        if not self._flow.closed:
            try:
                while True:
                    await self.read(None)
            except StopAsyncIteration:
                pass
        return self._with_note(await self._upstream.response())

    async def close(self) -> None:
        """End the stream and close its connection. What was received stays readable in `response()`."""
        self._flow.close()
        if self._woken is not None:
            self._woken.set()
        await self._upstream.close()
        if self._reading.acquire(blocking=False):
            try:
                await self._finish()
            finally:
                self._reading.release()

    async def aclose(self) -> None:
        """Close the stream; the name that `contextlib.aclosing` uses."""
        await self.close()

    async def _abandon(self) -> None:
        """Close the upstream because of a cancellation, or of an exception of the caller's function."""
        self._flow.interrupted = True
        self._flow.close()
        with anyio.CancelScope(shield=True):
            await self._upstream.close()

    async def _finish(self) -> None:
        """Finish the stage, once, also in a task that is cancelled."""
        if self._flow.to_finish():
            finish = self._flow.stage.finish
            if not self._flow.stage.blocks:
                return finish(complete=self._flow.complete)
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(lambda: finish(complete=self._flow.complete))
        return None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class TextStage(PartialStage):
    """Emits the text of choice 0, and nothing of what is no partial."""

    def take_partial(self, partial: PartialInferenceResponse[Any], now: float) -> Iterable[Any]:  # noqa: ARG002 (emitted at any time)
        """Take a partial."""
        return (partial.content_delta,) if partial.content_delta and partial.choice == 0 else ()

    def pass_on(self, item: object, now: float) -> Iterable[Any]:  # noqa: ARG002 (the same)
        """Take another item."""
        return ()
