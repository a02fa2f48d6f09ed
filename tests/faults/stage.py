"""A stage for one scenario in one style: servers, a call with a key, and checks of its end."""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from polyglot_core import AsyncInference, Connection, Inference, Outcome, PolyglotError, Retries, TimedOut, Truncated
from polyglot_core._engine import call
from polyglot_simulator import Simulator

from ..endings.calling import PATIENCE, AsyncCall, Call, SyncCall
from ..endings.secrecy import texts_of
from .bodies import TEXT
from .scripted import ScriptedServer

if TYPE_CHECKING:
    import ssl
    from types import TracebackType

    from .scripted import Script

__all__ = ["KEY", "STYLES", "DifferenceError", "Ending", "Ends", "Scenario", "Stage", "differences", "same"]

KEY = "key-that-nobody-may-see"
STYLES = ("sync", "async")
PROMPTLY = 1.0  # seconds in which a socket is closed, with tolerance for a busy machine

Server = Simulator | ScriptedServer


class DifferenceError(AssertionError):
    """A scenario differs from its promise."""


def same(what: str, found: object, promised: object) -> None:
    """Raise if `found` is not `promised`."""
    if found != promised:
        raise DifferenceError(f"{what}: {found!r} instead of {promised!r}")


@dataclass(frozen=True, kw_only=True)
class Ends:
    """The promised end of a call.

    Attributes:
        error: Class of the error; None is an answer.
        content: Text of the answer, or of what came of it.
        outcome: How it ended, where the class of the error does not say so.
        requests: How many requests the server saw.
        facts: Attributes of the error, or of the response, and their values.
        says: What the error's text holds.
        never_says: What it does not hold.
        closed: Whether the client closes its socket at once, because the answer goes on or its server waits.
        within: Seconds that it takes at most.
    """

    error: type[PolyglotError] | None = None
    content: str = ""
    outcome: Outcome | None = None
    requests: int = 1
    facts: Mapping[str, object] = field(default_factory=dict)
    says: tuple[str, ...] = ()
    never_says: tuple[str, ...] = ()
    closed: bool = False
    within: float = 4.0

    @property
    def promised_outcome(self) -> Outcome:
        """Return the promised outcome."""
        if self.outcome is not None:
            return self.outcome
        if self.error is None:
            return Outcome.FINISHED
        by_class = {Truncated: Outcome.TRUNCATED, TimedOut: Outcome.TIMED_OUT}
        return by_class.get(self.error, Outcome.FAILED)


class Ending(NamedTuple):
    """The actual end of a call.

    Attributes:
        error: The error; None for an answer.
        response: The answer, or what came of it.
        seconds: How long it took.
        moment: When it was over, by `time.monotonic`.
    """

    error: PolyglotError | None
    response: Any
    seconds: float
    moment: float


class Scenario(NamedTuple):
    """A fault and its promised result.

    Attributes:
        row: Row of the fault matrix, or of another table.
        part: What is tried of it.
        promise: What is promised, in a sentence.
        play: Plays it on a stage; raises `DifferenceError` where a promise is not kept.
        styles: In which styles there is something to play.
    """

    row: int | str
    part: str
    promise: str
    play: Callable[[Stage], object]
    styles: tuple[str, ...] = STYLES

    def __str__(self) -> str:
        return f"{self.row}, {self.part}"


class _Log(logging.Handler):
    """Keeps all log records, with all of their attributes."""

    def __init__(self) -> None:
        super().__init__(logging.NOTSET)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(f"{record.getMessage()} {record.__dict__!r}")


class Stage:
    """The servers, connections and calls of one scenario.

    Attributes:
        style: ``sync`` or ``async``.
        runner: The event loop of an async scenario.
    """

    def __init__(self, style: str) -> None:
        self.style = style
        self.runner: asyncio.Runner | None = None
        self.servers: list[Server] = []
        self._stack = ExitStack()
        self._calls: ExitStack | AsyncExitStack = ExitStack()
        self._log = _Log()
        self._root_level = logging.root.level

    def __repr__(self) -> str:
        return f"<Stage {self.style}>"

    def __enter__(self) -> Self:
        call._budgets.clear()  # a port may be reused, and with it the retry budget of an earlier server
        logging.root.addHandler(self._log)
        logging.root.setLevel(1)
        if self.style == "async":
            self.runner = self._stack.enter_context(asyncio.Runner())
            self._calls = AsyncExitStack()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self.leave()
        finally:
            self._stack.close()
            logging.root.removeHandler(self._log)
            logging.root.setLevel(self._root_level)
            gc.collect(1)  # most unclosed objects warn now, the rest when the run ends; a warning is an error
        if kind is None:
            same("texts of the log that hold the key", [text for text in self._log.texts if KEY in text], [])

    def leave(self) -> None:
        """Close every inference and check that nothing is left open."""
        if self.runner is not None and isinstance(self._calls, AsyncExitStack):
            self.runner.run(self._calls.aclose())
        elif isinstance(self._calls, ExitStack):
            self._calls.close()

    # Servers and connections

    def simulate(self, reply: Any = TEXT, **settings: Any) -> Simulator:
        """Start a simulator; the arguments are its own."""
        server = self._stack.enter_context(Simulator(reply, **settings))
        self.servers.append(server)
        return server

    def serve(self, *scripts: Script, tls: ssl.SSLContext | None = None) -> ScriptedServer:
        """Start a scripted server."""
        server = ScriptedServer(*scripts, tls=tls)
        self._stack.callback(server.close)
        self.servers.append(server)
        return server

    def enter(self, context: Any) -> Any:
        """Enter a context manager that is exited after the scenario."""
        return self._stack.enter_context(context)

    # Calls

    def connection(self, server: Server, driver: str = "openai", *, again: int = 0, **changes: Any) -> Connection:
        """Return a connection with the key to a server, with at most `again` retries and a short backoff."""
        if isinstance(server, Simulator):
            made = server.connection_for(driver)
        else:
            made = Connection(name="scripted", driver=driver, model="m", base_url=server.base_url)
        waits = Retries(max_retries=again, initial_backoff=0.01)
        return made.with_changes(**{"api_key": KEY, "retries": waits, **changes})

    def call(self, connection: Connection, *, clocks: Mapping[str, float] | None = None, **asked: Any) -> Call:
        """Make a call over a connection, streamed unless `asked` sets otherwise."""
        terms: dict[str, Any] = {"stream": True, "timeouts": {**PATIENCE, **(clocks or {})}, **asked}
        if self.runner is not None and isinstance(self._calls, AsyncExitStack):
            return AsyncCall(self.runner, self._calls, connection, **terms)
        assert isinstance(self._calls, ExitStack)
        return SyncCall(self._calls, connection, **terms)

    def own(self, connection: Connection) -> Any:
        """Open an inference with its own connections, closed after the scenario."""
        if self.runner is not None and isinstance(self._calls, AsyncExitStack):
            opened = self._calls.enter_async_context(AsyncInference.from_connection(connection))
            return self.runner.run(opened)
        assert isinstance(self._calls, ExitStack)
        return self._calls.enter_context(Inference.from_connection(connection))

    def wait(self, result: Any) -> Any:
        """Return a result, awaited if it is awaitable."""

        async def awaited() -> Any:
            return await result

        return result if self.runner is None else self.runner.run(awaited())

    def next(self, stream: Any) -> Any:
        """Return the next partial."""
        return next(iter(stream)) if self.runner is None else self.wait(anext(aiter(stream)))

    def end(self, call: Call) -> Ending:
        """Read a call to its end, check that no result contains the key, and return its end."""
        begun = time.monotonic()
        error = None
        try:
            call.read()
            response = call.response()
        except PolyglotError as raised:
            error, response = raised, raised.partial
        moment = time.monotonic()
        self._look_for_the_key(call, error, response)
        return Ending(error, response, moment - begun, moment)

    def _look_for_the_key(self, call: Call, error: PolyglotError | None, response: Any) -> None:
        pending = call.pending
        shown = [repr(pending), repr(pending.request), repr(response)]
        shown += [repr(partial) + repr(partial.to_dict()) for partial in call.partials]
        shown += [repr(response.to_dict())] if response is not None else []
        shown += [repr(request) for server in self.servers for request in server.requests]
        shown += texts_of(error) if error is not None else ()
        same("places that show the key", [text[:80] for text in shown if KEY in text], [])

    # Promises

    def keeps(self, ends: Ends, call: Call, *servers: Server) -> Ending:
        """Read a call to its end and check it against its promise; `servers` are those that count its requests."""
        ending = self.end(call)
        found = _compared(ending, ends, call)
        requests = [request for server in servers for request in server.requests]
        found += _unless_equal("requests", len(requests), ends.requests) if servers else []
        if ends.closed and requests:
            closed_at = requests[-1].wait_closed(PROMPTLY)
            found += [] if closed_at is not None else [f"the socket was still open after {PROMPTLY:g} s"]
        if found:
            raise DifferenceError("; ".join(found)) from ending.error
        return ending


def _compared(ending: Ending, ends: Ends, call: Call) -> list[str]:
    error, response = ending.error, ending.response
    subject = response if error is None else error
    found = _unless_equal("error", _name(type(error) if error else None), _name(ends.error))
    if found:
        return [*found, f"it says: {error or response}"]
    text = "" if error is None else f"{error} {' '.join(getattr(error, '__notes__', ()))}"
    found += _unless_equal("content", response and response.content, ends.content)
    found += _unless_equal("outcome", response and str(response.outcome), str(ends.promised_outcome))
    found += [f for name, value in ends.facts.items() for f in _unless_equal(name, getattr(subject, name), value)]
    found += [f"it does not say {word!r} but: {text}" for word in ends.says if word not in text]
    found += [f"it says {word!r}: {text}" for word in ends.never_says if word in text]
    found += [] if ending.seconds < ends.within else [f"it took {ending.seconds:.1f} s of {ends.within:g}"]
    if call.streamed and response and not any(partial.seam for partial in call.partials):
        found += _unless_equal("text of the partials", _said(call), response.content)
    return found


def _said(call: Call) -> str:
    return "".join(partial.content_delta for partial in call.partials if partial.choice == 0)


def _unless_equal(what: str, found: object, promised: object) -> list[str]:
    return [] if found == promised else [f"{what}: {found!r} instead of {promised!r}"]


def _name(kind: type | None) -> str:
    return "none" if kind is None else kind.__name__


def differences(scenario: Scenario, style: str, stage: Stage | None = None) -> str:
    """Play a scenario and return how it differs from its promise; empty if it does not.

    Args:
        scenario: What to play.
        style: ``sync`` or ``async``.
        stage: Where to play it, instead of on a new stage.
    """
    try:
        with stage or Stage(style) as entered:
            scenario.play(entered)
    except AssertionError as difference:
        return str(difference) or "an assertion failed"
    except Exception as error:  # noqa: BLE001 (an exception that is not ours has got out of the library)
        return f"{type(error).__name__} got out: {error}"
    return ""
