"""One stream for several readers: the buffers of each, and who reads.

The readers of a hub have a buffer each. A reader whose buffer is empty requests the next item for all of them, and
the first one to notice that it was received adds it to every buffer. The read itself is left to one thread or task (see
`sources`), so a reader that is interrupted, cancelled or closed takes nothing from the others.
"""

from __future__ import annotations

import threading
from collections import deque
from time import perf_counter
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

import anyio

from polyglot_core import PartialInferenceResponse
from polyglot_core.errors import PolyglotError, StreamError
from polyglot_streams.checks import count, one_of
from polyglot_streams.pieces import so_far
from polyglot_streams.sources import NOT_YET, AsyncReading, DataT, NotYet, Reading, seconds_until
from polyglot_streams.stages import earliest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from polyglot_core import InferenceResponse
    from polyglot_streams.sources import AsyncSource, Source

__all__ = [
    "AsyncBranchSource",
    "AsyncHub",
    "BranchSource",
    "FellBehind",
    "Hub",
    "HubState",
    "Partial",
    "Policy",
    "Tap",
]

ItemT = TypeVar("ItemT")
Partial = PartialInferenceResponse[Any]
Policy = Literal["wait", "drop", "fail"]

_PATIENCE = 10.0
"""Seconds that a reader waits for a branch that has no reader yet."""


class FellBehind(StreamError):
    """A reader fell behind by more than the buffer holds, and the policy is ``fail``; or none of them can continue."""


class Tap(Generic[ItemT]):
    """The buffer of one reader.

    Attributes:
        items: What the reader has not taken yet.
        dropped: Number of items that it has lost, by the policy ``drop``.
        error: Why it gets no more, by the policy ``fail``.
        reader: Who read last: id of the thread or task.
        closed: True once the reader has left.
    """

    def __init__(self, items: Iterable[ItemT] = ()) -> None:
        self.items: deque[ItemT] = deque(items)
        self.dropped = 0
        self.error: FellBehind | None = None
        self.reader: int | None = None
        self.closed = False


class HubState(Generic[ItemT]):
    """What a hub knows, without waiting.

    Attributes:
        taps: The buffers of the readers that have not left.
        over: True once the source has ended.
        error: The error that it ended with.
        latest: The last partial of each choice and the refusal so far; None if there are no late joiners.
        kept_open: True while the source stays open without a reader.
    """

    def __init__(self, buffer: int, policy: Policy, *, joinable: bool) -> None:
        one_of("policy", policy, ("wait", "drop", "fail"))
        self._buffer = count("buffer", buffer, 1)
        self._policy = policy
        self.taps: list[Tap[ItemT]] = []
        self.over = False
        self.error: PolyglotError | None = None
        self.latest: dict[int, tuple[Partial, list[str]]] | None = {} if joinable else None
        self.kept_open = joinable

    def join(self) -> Tap[ItemT]:
        """Add a reader. It begins with what was received so far, as one partial for each choice."""
        before: Any = [so_far(last, "".join(refusal)) for last, refusal in (self.latest or {}).values()]
        tap = Tap[ItemT](before)
        self.taps.append(tap)
        return tap

    def leave(self, tap: Tap[ItemT]) -> bool:
        """Remove a reader. Return whether the source is to be closed."""
        if not tap.closed:
            tap.closed = True
            tap.items.clear()
            self.taps.remove(tap)
        return not self.taps and not self.kept_open

    def laggard(self) -> Tap[ItemT] | None:
        """Return the reader for which the others wait, or None if the source may be read."""
        if self._policy == "wait":
            for tap in self.taps:
                if len(tap.items) >= self._buffer:
                    return tap
        return None

    def deliver(self, item: ItemT) -> None:
        """Give an item to every reader, by the policy where a buffer is full."""
        if self.latest is not None:
            self._remember(item)
        for tap in tuple(self.taps):  # a finalizer may remove one
            if tap.error is not None:
                continue
            if len(tap.items) >= self._buffer and self._policy == "fail":
                msg = f"This reader fell behind by more than {self._buffer} items; use a larger buffer, or a policy."
                tap.error = FellBehind(msg, phase="stream")
                continue
            if len(tap.items) >= self._buffer:
                tap.items.popleft()
                tap.dropped += 1
            tap.items.append(item)

    def _remember(self, item: object) -> None:
        latest: Any = self.latest
        if not isinstance(item, PartialInferenceResponse):
            return
        refusal = latest[item.choice][1] if item.choice in latest else []
        if item.seam is not None and not item.seam.keeps:
            refusal = []
        if item.refusal_delta:
            refusal.append(item.refusal_delta)
        latest[item.choice] = item, refusal

    def end(self, error: PolyglotError | None) -> None:
        """Record the end of the source."""
        self.over, self.error = True, error

    def check(self, tap: Tap[ItemT], end: type[Exception]) -> None:
        """Raise if a reader with an empty buffer gets no more: its error, that of the source, or `end`.

        Raises:
            FellBehind: It fell behind.
            PolyglotError: The call failed.
        """
        if tap.error is not None:
            raise tap.error
        if tap.closed or (self.over and self.error is None):
            raise end
        if self.error is not None:
            raise self.error.with_traceback(None)

    def patience(self, tap: Tap[ItemT], laggard: Tap[ItemT], since: float) -> float | None:
        """Return until when a reader waits for another one.

        Raises:
            FellBehind: It would wait for ever.
        """
        if laggard.reader is not None and laggard.reader != tap.reader:
            return None
        if laggard.reader is not None or perf_counter() >= since + _PATIENCE:
            why = "it has no reader" if laggard.reader is None else "the same thread or task reads it"
            msg = (
                f"Another reader is {self._buffer} items behind, and {why}, so this one would wait for ever. Read "
                "them side by side, in threads or tasks of their own, or pass a larger buffer or another policy."
            )
            self.leave(tap)
            raise FellBehind(msg, phase="stream")
        return since + _PATIENCE


class Hub(Generic[ItemT, DataT]):
    """Reads one sync stream for several readers, which may be threads."""

    def __init__(self, source: Source[ItemT, DataT], state: HubState[ItemT]) -> None:
        self._changed = changed = threading.Condition()

        def notify() -> None:
            with changed:
                changed.notify_all()

        self._reading = Reading(source, notify)
        self.state = state

    def join(self) -> BranchSource[ItemT, DataT]:
        """Add a reader."""
        with self._changed:
            return BranchSource(self, self.state.join())

    def take(self, tap: Tap[ItemT], until: float | None) -> ItemT | NotYet:
        """Return the next item of a reader, or NOT_YET if there is none by `until`."""
        state, since = self.state, perf_counter()
        with self._changed:
            tap.reader = threading.get_ident()
            while not tap.items:
                state.check(tap, StopIteration)
                limit = until
                if (laggard := state.laggard()) is not None:
                    limit = earliest(until, state.patience(tap, laggard, since))
                elif self._receive():
                    continue
                if until is not None and perf_counter() >= until:
                    return NOT_YET
                self._changed.wait(None if limit is None else seconds_until(limit))
            self._changed.notify_all()  # the source may be read again
            return tap.items.popleft()

    def _receive(self) -> bool:
        """Give the next item to all readers if it was received; else ask for it. Return whether something changed."""
        try:
            item = self._reading.poll()
        except StopIteration:
            self.state.end(None)
        except PolyglotError as error:
            self.state.end(error)
        else:
            if item is NOT_YET:
                return False
            self.state.deliver(item)
        self._changed.notify_all()
        return True

    def leave(self, tap: Tap[ItemT]) -> None:
        """Remove a reader. The source is closed with the last one."""
        with self._changed:
            last = self.state.leave(tap)
            self._changed.notify_all()
        if last:
            self._reading.close()

    def close(self) -> None:
        """Close the source, for all readers."""
        self.state.kept_open = False
        self._reading.close()

    def release(self) -> None:
        """Close the source with the last reader from now on."""
        self.state.kept_open = False
        if not self.state.taps:
            self._reading.close()

    def response(self) -> InferenceResponse[DataT]:
        """Return the response of a source that has ended or was closed."""
        return self._reading.response()


class BranchSource(Generic[ItemT, DataT]):
    """What one reader of a hub reads from. A reader that is dropped has left."""

    def __init__(self, hub: Hub[ItemT, DataT], tap: Tap[ItemT]) -> None:
        self._hub = hub
        self.tap = tap

    def read(self, until: float | None) -> ItemT | NotYet:
        """Return the next item. See `Upstream`."""
        return self._hub.take(self.tap, until)

    def close(self) -> None:
        """Leave the hub."""
        self._hub.leave(self.tap)

    def response(self) -> InferenceResponse[DataT]:
        """Return the response of the source.

        Raises:
            StreamError: This reader has left, and others still read.
        """
        _check_over(self._hub.state)
        return self._hub.response()

    def __del__(self) -> None:
        if hasattr(self, "tap") and not self.tap.closed:
            self.close()


class _Signal:
    """Wakes all tasks that wait for it."""

    def __init__(self) -> None:
        self._event: anyio.Event | None = None

    def notify(self) -> None:
        """Wake them."""
        if self._event is not None:
            self._event.set()

    async def wait(self, until: float | None) -> None:
        """Wait until it is notified, or until a moment."""
        if self._event is None or self._event.is_set():
            self._event = anyio.Event()
        with anyio.move_on_after(None if until is None else seconds_until(until)):
            await self._event.wait()


class AsyncHub(Generic[ItemT, DataT]):
    """Reads one async stream for several readers, which may be tasks of one event loop."""

    def __init__(self, source: AsyncSource[ItemT, DataT], state: HubState[ItemT]) -> None:
        self._changed = _Signal()
        self._reading = AsyncReading(source, self._changed.notify)
        self.state = state

    def join(self) -> AsyncBranchSource[ItemT, DataT]:
        """Add a reader."""
        return AsyncBranchSource(self, self.state.join())

    async def take(self, tap: Tap[ItemT], until: float | None) -> ItemT | NotYet:
        """Return the next item of a reader, or NOT_YET if there is none by `until`."""
        state, since = self.state, perf_counter()
        tap.reader = anyio.get_current_task().id
        while not tap.items:
            state.check(tap, StopAsyncIteration)
            limit = until
            if (laggard := state.laggard()) is not None:
                limit = earliest(until, state.patience(tap, laggard, since))
            elif self._receive():
                continue
            if until is not None and perf_counter() >= until:
                return NOT_YET
            await self._changed.wait(limit)
        self._changed.notify()  # the source may be read again
        return tap.items.popleft()

    def _receive(self) -> bool:
        """Give the next item to all readers if it was received; else ask for it. Return whether something changed."""
        try:
            item = self._reading.poll()
        except StopAsyncIteration:
            self.state.end(None)
        except PolyglotError as error:
            self.state.end(error)
        else:
            if item is NOT_YET:
                return False
            self.state.deliver(item)
        self._changed.notify()
        return True

    async def leave(self, tap: Tap[ItemT]) -> None:
        """Remove a reader. The source is closed with the last one."""
        last = self.state.leave(tap)
        self._changed.notify()
        if last:
            await self._reading.close()

    def drop(self, tap: Tap[ItemT]) -> None:
        """Remove a reader that was dropped. The source is dropped with the last one, which closes it."""
        self.state.leave(tap)

    async def close(self) -> None:
        """Close the source, for all readers."""
        self.state.kept_open = False
        await self._reading.close()

    async def response(self) -> InferenceResponse[DataT]:
        """Return the response of a source that has ended or was closed."""
        return await self._reading.response()


class AsyncBranchSource(Generic[ItemT, DataT]):
    """What one reader of a hub reads from. A reader that is dropped has left."""

    def __init__(self, hub: AsyncHub[ItemT, DataT], tap: Tap[ItemT]) -> None:
        self._hub = hub
        self.tap = tap

    async def read(self, until: float | None) -> ItemT | NotYet:
        """Return the next item. See `AsyncUpstream`."""
        return await self._hub.take(self.tap, until)

    async def close(self) -> None:
        """Leave the hub."""
        await self._hub.leave(self.tap)

    async def response(self) -> InferenceResponse[DataT]:
        """Return the response of the source.

        Raises:
            StreamError: This reader has left, and others still read.
        """
        _check_over(self._hub.state)
        return await self._hub.response()

    def __del__(self) -> None:
        if hasattr(self, "tap") and not self.tap.closed:
            self._hub.drop(self.tap)


def _check_over(state: HubState[Any]) -> None:
    """Check that the response of the source may be requested.

    Raises:
        StreamError: It would read what others have not read.
    """
    if state.taps and not state.over:
        raise StreamError("This reader has left, and others still read the stream; the response is in theirs.")
