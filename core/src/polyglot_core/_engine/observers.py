"""Observers of calls: where they are registered, and what reports the events of one call to them."""

# Theory of operation
# -------------------
#
# A call has a `CallRecord`. The call and the pump tell it what happens, and it tells the observers, if there are any.
# It does not refer to the call, which refers to it, so that a call that is over is freed without the garbage collector.
#
# *Where observers run.* In the thread or the task that reads the stream, with one exception: the end of a call that was
# cancelled is reported by a thread of its own. `close` may be called by a finalizer (a generator over the stream that
# is collected) or by a signal handler, and a suspended coroutine that is collected interrupts its read; such code may
# run between any two instructions, in a thread that holds any lock, and an observer that takes the same lock would wait
# for ever. So nothing happens there but handing the record to the watchdog's thread, by means that take no lock. That
# thread starts another one: a slow observer would delay the clocks of all calls, and one that makes a call itself would
# wait for the thread in which it runs.
#
# *Exactly one end.* `_open` has an entry for every call that has started and whose end was not reported. The thread
# that takes the entry out reports the end, and of several only one can. The entry holds a weak reference to the pump,
# by which the watchdog's thread reports the end of a stream that is collected. What is left when the process exits is
# reported then, in the main thread. A child of a fork starts without entries, so calls of its parent report nothing.

from __future__ import annotations

import atexit
import logging
import os
import threading
from functools import lru_cache, partial
from itertools import pairwise
from time import perf_counter
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from msgspec.structs import replace

from polyglot_core._drivers.discovery import find_observers, load_observer
from polyglot_core._engine.callbacks import call_each, check_callback
from polyglot_core._http.watchdog import close_later, on_collect
from polyglot_core._values.addresses import origin_of
from polyglot_core._values.calls import AttemptFailed, AttemptStarted, CallEnded, CallEvent, CallStarted, FirstEvent
from polyglot_core._values.embeddings import EmbeddingRequest
from polyglot_core._values.response import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from polyglot_core._engine.call import Call
    from polyglot_core._engine.call_state import Target
    from polyglot_core._values.events import Seam
    from polyglot_core._wire.messages import Chunk

__all__ = ["CallRecord", "GuardedObserver", "SeamObserver", "guarded", "observe", "record_for"]

_log = logging.getLogger("polyglot_core.engine")


# Where they are registered


class GuardedObserver:
    """Calls an observer, and logs the first exception that it raises. Calls go on as if it had not.

    The text of the exception is left out if the observer is given content, which it may quote.

    Attributes:
        observer: The observer.
        times_chunks: True if it needs to know when each chunk was read.
    """

    times_chunks = True

    def __init__(self, observer: Callable[[CallEvent], object]) -> None:
        check_callback("An observer", observer)
        self.observer = observer
        self._blamed = False

    @property
    def wants_call(self) -> bool:
        """Whether the observer is called for a call that starts now."""
        try:
            return bool(getattr(self.observer, "wants_call", True))
        except Exception:  # noqa: BLE001 (it is called then, and logged if that fails too)
            return True

    def tell(self, event: CallEvent, content: dict[str, object]) -> None:
        """Call the observer with an event, and the content of the event if it wants that."""
        wants_content = bool(getattr(self.observer, "wants_content", False))
        try:
            self.observer(replace(event, **content) if wants_content else event)
        except Exception as error:  # noqa: BLE001 (it must not end the call)
            if not self._blamed:
                self._blamed = True
                _log.warning("An observer raised %s. Logged once.", type(error).__name__, exc_info=not wants_content)


class SeamObserver(GuardedObserver):
    """Calls a function of `on_seam` with the seam before each further attempt. What it raises passes."""

    times_chunks = False

    def __init__(self, callback: Callable[[Seam], object]) -> None:
        super().__init__(partial(_call_with_seam, callback))

    def tell(self, event: CallEvent, content: dict[str, object]) -> None:
        """Call the observer with an event and its content."""
        self.observer(replace(event, **content))


def _call_with_seam(callback: Callable[[Seam], object], event: CallEvent) -> None:
    if isinstance(event, AttemptFailed) and event.seam:
        call_each("on_seam", (callback,), event.seam)


_process: dict[GuardedObserver, None] = {}
"""The observers of the process. A dict, because its single operations need no lock."""


def observe(observer: Callable[[CallEvent], object]) -> Callable[[], None]:
    """Call `observer` with every event of every call of this process that starts from now on.

    It is called by the thread or the task that reads the response, and should return soon. The end of a call that was
    cancelled is reported by a thread of its own. An exception that the observer raises is logged, once, and ignored.

    Returns:
        A function that unregisters the observer.

    Raises:
        RequestError: It cannot be called, or is a coroutine function, which nothing would await.
    """
    _process[registered := GuardedObserver(observer)] = None
    return lambda: _process.pop(registered, None)


def guarded(*observers: Callable[[CallEvent], object] | str) -> list[GuardedObserver]:
    """Return observers, given as themselves or by name, to be called. Load the installed ones, once a process.

    Raises:
        RequestError: One cannot be called, or is a coroutine function.
        PluginError: There is none of this name, or its module cannot be imported.
    """
    _load_installed()
    return [GuardedObserver(load_observer(each) if isinstance(each, str) else each) for each in observers]


@lru_cache(maxsize=1)
def _load_installed() -> None:
    """Register the observers of installed packages. One that cannot be loaded is logged."""
    for name in find_observers():
        try:
            observe(load_observer(name))
        except Exception as error:  # noqa: BLE001 (of a package that the calls do not need)
            _log.warning("The installed observer %r cannot be used: %s", name, error)


# What reports the events of one call

_open: dict[str, tuple[object, Callable[[], None]]] = {}
"""Of each call that has started and not ended, by its id: what reports its end once it is collected, and at exit."""


def record_for(observers: list[GuardedObserver]) -> CallRecord:
    """Return the record of a new call, for these observers and those of the process."""
    everyone = [*observers, *_process, *([_logger] if _log.isEnabledFor(logging.INFO) else ())]
    return CallRecord(list({id(each.observer): each for each in everyone}.values()))


class CallRecord:
    """Reports the events of one call to its observers.

    Attributes:
        observers: They are called in this order.
    """

    def __init__(self, observers: list[GuardedObserver]) -> None:
        self.observers = observers
        self._call_id = ""
        self._attempts = 0
        self._read: list[float] = []  # when each chunk of the latest attempt was read

    def start(self, call: Call, owner: object) -> None:
        """Report the start of a call, once. The end is reported when `owner` is collected, if not before."""
        if self.observers and not self._call_id:
            self.observers[:] = [each for each in self.observers if each.wants_call]
        if self.observers and not self._call_id:
            self._call_id = uuid4().hex
            # Registered anew, so that what was registered since the last call, to stop an exporter, runs after it.
            atexit.unregister(_end_all)
            atexit.register(_end_all)
            _open[self._call_id] = on_collect(owner, partial(self._end_elsewhere, call)), partial(self._end, call)
            origin, request = origin_of(call.target.connection.base_url or ""), call.target.request
            facts = {"origin": origin, "stream": request.stream, "options": request.options}
            facts["operation"] = "embeddings" if isinstance(request, EmbeddingRequest) else "chat"
            self._tell(call.target, CallStarted, facts, request=request)

    def watch(self, observer: GuardedObserver, call: Call, owner: object) -> None:
        """Add an observer to a call, which may have started."""
        self.observers.append(observer)
        if self._attempts:
            self.start(call, owner)

    def report(self, call: Call, kind: type[CallEvent], **facts: object) -> None:
        """Report an event of an attempt, unless the end of the call was: what runs in the background may be late."""
        self._attempts += kind is AttemptStarted
        self._report(call.target, kind, facts)

    def failed(self, target: Target, facts: dict[str, Any], seam: Seam | None) -> None:
        """Report that an attempt at a target failed."""
        self._report(target, AttemptFailed, facts, seam=seam)

    def _report(self, target: Target, kind: type[CallEvent], facts: dict[str, Any], **content: object) -> None:
        if self._attempts and self._call_id in _open:
            self._tell(target, kind, {"attempt": self._attempts, **facts}, **content)

    def timed(self, take: Callable[[Chunk, float], Any]) -> Callable[[Chunk, float], Any]:
        """Return `take` of a new attempt, which also notes when each chunk was read if the call is observed."""
        self._read = read = []

        def timed(chunk: Chunk, now: float) -> Any:  # noqa: ANN401 (what `take` returns)
            read.append(now)
            return take(chunk, now)

        return timed if any(each.times_chunks for each in self.observers) else take

    def end(self, call: Call, *, elsewhere: bool = False) -> None:
        """Report the end of a call that has ended, once; `elsewhere`, or if cancelled, in a thread of its own."""
        if self._call_id in _open and call.ended:
            close_later(partial(self._end_elsewhere, call)) if elsewhere or call.cancelled else self._end(call)

    def _end_elsewhere(self, call: Call) -> None:
        threading.Thread(target=self._end, args=(call,), name="polyglot-observers", daemon=True).start()

    def _end(self, call: Call) -> None:
        if _open.pop(self._call_id, None) is not None:
            response, error = call.response, call.error
            ended, seconds = (error.partial, error.elapsed) if error else (response, response.timing.duration)
            facts = {
                "outcome": ended.outcome if ended else Outcome.FAILED,
                "timing": replace(response.timing, duration=seconds or call.clocks.elapsed(perf_counter())),
                "attempts": self._attempts,
                "usage": response.usage,
                "error": type(error).__name__ if error else None,
                "request_id": error.request_id if error else response.request_id,
                "response_id": response.id,
                "response_model": response.model,
                "finish_reasons": tuple(choice.finish_reason for choice in response.choices if choice.finish_reason),
                "chunk_gaps": tuple(later - earlier for earlier, later in pairwise(self._read)),
            }
            self._tell(call.target, CallEnded, facts, response=response)

    def _tell(self, target: Target, kind: type[CallEvent], facts: dict[str, Any], **content: object) -> None:
        connection, driver, request, _ = target
        event = kind(self._call_id, connection.name, driver.name, request.model, **facts)
        for observer in self.observers:
            observer.tell(event, content)


def _end_all() -> list[None]:
    return [end() for _, end in list(_open.values())]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_open.clear)


# Logging, which is an observer. No line has the text of an error, which may quote a prompt.

_LINES: dict[type, tuple[int, str]] = {
    CallStarted: (logging.DEBUG, "started"),
    AttemptStarted: (logging.DEBUG, "attempt {0.attempt}"),
    FirstEvent: (logging.DEBUG, "first content after {0.seconds:.3f} s"),
    AttemptFailed: (logging.INFO, "attempt {0.attempt}: {0.error}, status {0.status}; then {0.how} in {0.wait:.1f} s"),
    CallEnded: (logging.INFO, "{0.outcome} after {0.timing.duration:.3f} s, attempts {0.attempts}, error {0.error}"),
}


def _log_event(event: CallEvent) -> None:
    level, text = _LINES[type(event)]
    _log.log(level, "Call %s to %s, %s: %s", event.call_id, event.connection, event.model, text.format(event))


_logger = GuardedObserver(_log_event)
