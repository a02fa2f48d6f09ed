"""Responses that are kept for a while, for readers that lost their connection or reloaded the page."""

# Theory of operation
# -------------------
#
# A kept response has one log of events and any number of followers, each with a position in the log. A follower that is
# at the end of the log reads the stream, one event, under a lock; the others find it in the log. If no follower asks,
# because none is connected or all are slow, nothing is read, and the provider waits. So a kept response needs no more
# memory than its log.
#
# A read must not depend on its follower, because followers are cancelled when they disconnect, and a cancelled read
# ends the stream. So reads are left to a reader apart (see `sources`). A read that a follower leaves behind stays
# pending, and the next follower continues to wait for it.
#
# What is idle (without followers) is closed and removed `seconds` after its last follower left. One timer thread per
# registry serves all of them, so that sync and async expire alike; it is started when something becomes idle, and ends
# when nothing is. An async stream is closed in its event loop.
#
# The bytes of all logs together are bounded. Beyond the bound, idle responses are removed first, those that are
# complete before those that are not, each from the one that was left longest ago; then the growing log drops its oldest
# events. A follower that asks for an event that was dropped is told so, and nothing is skipped silently.
#
# `Replays.lock` guards the registry and all logs. It is held for short steps that do not wait.

from __future__ import annotations

import contextlib
import logging
import re
import sys
import threading
from collections import OrderedDict, deque
from itertools import islice
from math import inf
from time import monotonic, perf_counter
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import anyio

from polyglot_streams.checks import count
from polyglot_streams.checks import seconds as checked_seconds
from polyglot_streams.event_loops import running_loop
from polyglot_streams.frames import PING, AsyncFeed, Feed
from polyglot_streams.shapes import NotKept

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator
    from typing import Any

    from polyglot_streams.frames import Writer
    from polyglot_streams.shapes import Item
    from polyglot_streams.sources import AsyncSource, Source

__all__ = ["AsyncKept", "EventId", "Kept", "Replays"]

_LOG = logging.getLogger("polyglot")
_ID = re.compile(r"([\w-]{1,64})\.(?:(\d{1,12})|end)", re.ASCII)
_OVERHEAD = sys.getsizeof(b"") + 8  # bytes of memory of an event besides its text


class EventId(NamedTuple):
    """The id of the last event that a reader has received.

    Attributes:
        key: Key of the response.
        number: Number of the event; None for the last one of the response.
    """

    key: str
    number: int | None

    @classmethod
    def read(cls, text: str) -> EventId:
        """Return the id that a text is. One that is malformed belongs to no response."""
        if (found := _ID.fullmatch(text)) is None:
            return cls("", 0)
        return cls(found[1], None if found[2] is None else int(found[2]))


class _Log:
    """The events of a response, numbered from 1, without the oldest ones if these were dropped.

    Attributes:
        last: Number of the newest event.
        size: Bytes of memory.
        over: True if nothing will follow.
    """

    def __init__(self) -> None:
        self._events: deque[bytes] = deque()
        self.last = self.size = 0
        self.over = False

    def append(self, frame: bytes) -> None:
        """Append the events of a frame."""
        for text in frame.split(b"\n\n")[:-1]:
            self._events.append(event := text + b"\n\n")
            self.size += len(event) + _OVERHEAD
            self.last += 1

    def after(self, number: int) -> bytes:
        """Return the events after number `number`.

        Raises:
            NotKept: Some of them were dropped, or `number` is larger than that of the newest event.
        """
        missing = self.last - number
        if not 0 <= missing <= len(self._events):
            raise NotKept
        newest_first = list(islice(reversed(self._events), missing))
        return b"".join(reversed(newest_first))

    def drop_oldest(self) -> bool:
        """Drop the oldest event. Return False if there is only one left."""
        if len(self._events) < 2:
            return False
        self.size -= len(self._events.popleft()) + _OVERHEAD
        return True


class _Kept:
    """A response with its log and its followers.

    Attributes:
        key: Key of the response.
        log: Its events.
        followers: Number of its readers.
        deadline: When it is removed, by `monotonic`, while it has no followers.
    """

    def __init__(self, replays: Replays, writer: Writer) -> None:
        self.key = writer.key
        self.log = _Log()
        self.followers = 0
        self.deadline = 0.0
        self._replays = replays
        self._writer = writer

    def cancel(self) -> None:
        """Close the stream. Any thread may call it."""
        raise NotImplementedError

    def _after(self, number: int) -> tuple[bytes, int, bool]:
        """Return the events after number `number`, the number of the newest one, and whether it is the last one.

        Raises:
            NotKept: They are not kept.
        """
        with self._replays.lock:
            return self.log.after(number), self.log.last, self.log.over

    def _take(self, frame: bytes | None, error: Exception | None) -> None:
        """Append a frame to the log, within the registry's bounds."""
        if frame:
            with self._replays.changing(self):
                self.log.append(frame)
                self.log.over = self._writer.outcome is not None
        if error is not None:
            _LOG.error("An exception of the application ended a response that was being sent.", exc_info=error)


class Kept(_Kept):
    """A kept response, sync."""

    def __init__(self, replays: Replays, stream: Source[Item, Any], writer: Writer) -> None:
        super().__init__(replays, writer)
        self._feed = Feed(stream, writer)
        self._reading = threading.Lock()

    def follow(self, number: int, ping: float | None) -> Generator[bytes]:
        """Yield the events after number `number`, and then those that follow, as they are received.

        Args:
            number: Number of the last event that the reader has.
            ping: Seconds without an event after which a ping is yielded; None for no pings.

        Raises:
            NotKept: They are not kept.
        """
        with self._replays.following(self):
            while True:
                data, number, over = self._after(number)
                if data:
                    yield data
                elif over:
                    return
                elif not self._more(number, ping):
                    yield PING

    def cancel(self) -> None:
        """Close the stream, which ends a read of another thread."""
        self._feed.close()

    def _more(self, number: int, ping: float | None) -> bool:
        """Read what follows, unless another follower has. Return False if nothing is received within `ping` seconds."""
        until = inf if ping is None else perf_counter() + ping  # a deadline leaves the read to a reader apart
        if not self._acquired(ping):
            return False
        try:
            if self.log.last > number or self.log.over:
                return True
            frame = self._feed.read(until)
            self._take(frame, self._feed.error)
            return frame is not None
        finally:
            self._reading.release()

    def _acquired(self, ping: float | None) -> bool:
        """Acquire the lock of the read, and return True; False if another follower reads for `ping` seconds."""
        return self._reading.acquire(timeout=-1 if ping is None else ping)


class AsyncKept(_Kept):
    """A kept response, async."""

    def __init__(self, replays: Replays, stream: AsyncSource[Item, Any], writer: Writer) -> None:
        super().__init__(replays, writer)
        self._feed = AsyncFeed(stream, writer)
        self._reading = anyio.Lock()
        self._loop = running_loop()

    async def follow(self, number: int, ping: float | None) -> AsyncGenerator[bytes]:
        """Yield the events after number `number`, and then those that follow, as they are received.

        Args:
            number: Number of the last event that the reader has.
            ping: Seconds without an event after which a ping is yielded; None for no pings.

        Raises:
            NotKept: They are not kept.
        """
        with self._replays.following(self):
            while True:
                data, number, over = self._after(number)
                if data:
                    yield data
                elif over:
                    return
                elif not await self._more(number, ping):
                    yield PING

    def cancel(self) -> None:
        """Close the stream, in its event loop."""
        self._loop.start_soon(self._feed.close)

    async def _more(self, number: int, ping: float | None) -> bool:
        """Read what follows, unless another follower has. Return False if nothing is received within `ping` seconds."""
        until = inf if ping is None else perf_counter() + ping  # a deadline leaves the read to a reader apart
        if not await self._acquired(ping):
            return False
        try:
            if self.log.last > number or self.log.over:
                return True
            frame = await self._feed.read(until)
            self._take(frame, self._feed.error)
            return frame is not None
        finally:
            self._reading.release()

    async def _acquired(self, ping: float | None) -> bool:
        """Acquire the lock of the read, and return True; False if another follower reads for `ping` seconds."""
        try:
            self._reading.acquire_nowait()  # without a checkpoint
        except anyio.WouldBlock:
            with anyio.move_on_after(ping) as scope:
                await self._reading.acquire()
            return not scope.cancelled_caught
        return True


_KeptT = TypeVar("_KeptT", bound=_Kept)


class Replays:
    """Keeps responses for a while, so that a reader that lost its connection or was reloaded continues where it was.

    An object of the application: create one, and pass it to each `StreamResponse` or `as_sse`. It is in the memory of
    one process, and all its methods may be called in any thread. A response is kept until `seconds` after its last
    reader left. If it is not complete by then, its request is closed.

    Attributes:
        lock: Guards the registry and the logs of what it keeps.

    Args:
        max_streams: Number of responses that are kept. If all are being read, a further one is sent, but not kept.
        max_bytes: Bytes of memory of their events together. Beyond it, responses without readers are removed first, and
            then the oldest events of the response that grows.
        seconds: Seconds that a response is kept without a reader.

    Raises:
        RequestError: A number is of a wrong type, or too small.
    """

    def __init__(self, *, max_streams: int = 1000, max_bytes: int = 64 * 2**20, seconds: float = 60.0) -> None:
        self._max_streams = count("max_streams", max_streams, 1)
        self._max_bytes = count("max_bytes", max_bytes, 1)
        self._seconds = checked_seconds("seconds", seconds)
        self._kept: dict[str, _Kept] = {}
        self._idle: OrderedDict[str, _Kept] = OrderedDict()  # those without followers, in the order of their deadlines
        self._size = 0
        self._removed: deque[_Kept] = deque()  # those that are to be closed, outside the lock
        self._timer: threading.Timer | None = None
        self.lock = threading.RLock()

    def __len__(self) -> int:
        return len(self._kept)

    def __repr__(self) -> str:
        return f"Replays({len(self._kept)} streams, {self._size} bytes)"

    @property
    def size(self) -> int:
        """Return the bytes of memory of all events that are kept."""
        return self._size

    def stop(self, event_id: str) -> bool:
        """End a response for all its readers, and close its request. Its outcome is ``cancelled``.

        Args:
            event_id: The id of any of its events, or its key, which is the part before the dot.

        Returns:
            False if there is no such response, or it has ended.
        """
        with self.lock:
            kept = self._kept.get(event_id.partition(".")[0])
            if kept is None or kept.log.over:
                return False
        kept.cancel()
        return True

    def find(self, key: str) -> _Kept:
        """Return a kept response.

        Raises:
            NotKept: There is none with this key.
        """
        with self.lock:
            if (kept := self._kept.get(key)) is None:
                raise NotKept
            return kept

    def keep(self, make: Callable[[], _KeptT]) -> _KeptT | None:
        """Make a kept response and return it; None if there are `max_streams` that are being read."""
        with self._closing(), self.lock:
            if len(self._kept) >= self._max_streams and not self._remove_idle():
                return None
            kept = make()
            self._kept[kept.key] = kept
            self._set_idle(kept)  # until it is followed
            return kept

    @contextlib.contextmanager
    def following(self, kept: _Kept) -> Generator[None]:
        """Count a follower of a response. When the last one leaves, the response becomes idle."""
        with self.lock:
            kept.followers += 1
            self._idle.pop(kept.key, None)
        try:
            yield
        finally:
            self._leave(kept)

    @contextlib.contextmanager
    def changing(self, kept: _Kept) -> Generator[None]:
        """Change a log under the lock. What is too much afterwards is removed."""
        with self._closing(), self.lock:
            before = kept.log.size
            yield
            if kept.key in self._kept:  # and was not removed
                self._size += kept.log.size - before
            while self._size > self._max_bytes and (self._remove_idle(but=kept) or self._shorten(kept)):
                pass

    def _shorten(self, kept: _Kept) -> bool:
        before = kept.log.size
        shorter = kept.key in self._kept and kept.log.drop_oldest()
        self._size += kept.log.size - before
        return shorter

    def _leave(self, kept: _Kept) -> None:
        with self.lock:
            kept.followers -= 1
            if not kept.followers and kept.key in self._kept:
                self._set_idle(kept)

    def _set_idle(self, kept: _Kept) -> None:
        kept.deadline = monotonic() + self._seconds
        self._idle[kept.key] = kept
        self._set_timer()

    def _remove_idle(self, but: _Kept | None = None) -> bool:
        """Remove an idle response, a complete one if there is one. Return False if there is none."""
        idle = [kept for kept in self._idle.values() if kept is not but]
        victim = next((kept for kept in idle if kept.log.over), next(iter(idle), None))
        if victim is None:
            return False
        self._remove(victim)
        return True

    def _remove(self, kept: _Kept) -> None:
        del self._kept[kept.key], self._idle[kept.key]
        self._size -= kept.log.size
        if not kept.log.over:
            self._removed.append(kept)

    @contextlib.contextmanager
    def _closing(self) -> Generator[None]:
        """Close what was removed, after the lock is released: a close may wait."""
        try:
            yield
        finally:
            self._close_removed()

    def _close_removed(self) -> None:
        while True:
            try:
                kept = self._removed.popleft()
            except IndexError:  # there is none left
                return
            try:
                kept.cancel()
            except Exception:  # noqa: BLE001 (it is logged, and is not that of the reader whose turn it is)
                _LOG.exception("A response that is no longer kept could not be closed.")

    def _set_timer(self) -> None:
        """Start the timer, if something is idle and it does not run."""
        if self._timer is None and self._idle:
            first = next(iter(self._idle.values()))
            self._timer = threading.Timer(max(0.0, first.deadline - monotonic()), self._expire)
            self._timer.daemon = True
            self._timer.start()

    def _expire(self) -> None:
        with self._closing(), self.lock:
            self._timer = None
            now = monotonic()
            for kept in [kept for kept in self._idle.values() if kept.deadline <= now]:
                self._remove(kept)
            self._set_timer()
