"""One call over all its attempts, without I/O: what is sent next, to whom, and what an error means for the call."""

from __future__ import annotations

from collections import deque
from time import perf_counter
from typing import TYPE_CHECKING, Literal, NamedTuple
from urllib.parse import urlsplit

from msgspec.structs import replace

from polyglot_core import policy
from polyglot_core.clocks import Clocks
from polyglot_core.errors import AuthenticationError, PolyglotError, TimedOut
from polyglot_core.events import Seam
from polyglot_core.response import FailedAttempt, InferenceResponse, Outcome
from polyglot_core.session import Session, Signal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from polyglot_core.connection import Connection, Timeouts
    from polyglot_core.events import Event
    from polyglot_core.plugins import BoundDriver
    from polyglot_core.request import InferenceRequest
    from polyglot_core.response import PartialInferenceResponse
    from polyglot_core.wire import WireRequest

__all__ = ["OnTruncated", "Run", "Target"]

OnTruncated = Literal["raise", "mark"]
"""What a stream that was cut is: an error, or a response whose outcome says so."""


class Target(NamedTuple):
    """Whom to ask, and what.

    Attributes:
        connection: Where.
        driver: Through whom.
        request: What, as this connection understands it.
    """

    connection: Connection
    driver: BoundDriver
    request: InferenceRequest


_budgets: dict[str, policy.Budget] = {}


def _budget(url: str) -> policy.Budget:
    """What repetitions to the place of this URL are paid from, in this process."""
    parts = urlsplit(url)
    return _budgets.setdefault(f"{parts.scheme}://{parts.netloc}", policy.Budget(perf_counter()))


class Run:
    """One call.

    Attributes:
        connection: Where to ask now.
        driver: Whom to ask through.
        request: What to ask.
        timeouts: The clocks of this call.
        clocks: When they were set.
        session: The attempt that is being made; None before the first, and between two.
        events: Where events go when somebody wants to see them.
        on_seam: Called with each further request when it is decided on.
        error: What the call ended in, if it failed.
        cancelled: Whether the caller wants no more.
    """

    def __init__(
        self,
        targets: Sequence[Target],
        timeouts: Timeouts,
        *,
        on_truncated: OnTruncated = "raise",
        resume: policy.Resume | None = None,
    ) -> None:
        (self.connection, self.driver, self.request), *others = targets
        self.timeouts = timeouts
        self.clocks = Clocks(timeouts, perf_counter())
        self.session: Session | None = None
        self.events: deque[Event] | None = None
        self.on_seam: Callable[[Seam], object] | None = None
        self.error: PolyglotError | None = None
        self.cancelled = False
        self._others = deque(others)
        self._on_truncated = on_truncated
        self._resume: policy.Resume | None = resume
        self._attempts = 0  # requests sent
        self._attempts_here = 0  # those of them that went to this connection
        self._budget = policy.Budget(self.clocks.waited)
        self._failed: list[FailedAttempt] = []
        self._before: Session | None = None  # an attempt that broke off after something had come
        self._seam: Seam | None = None

    # What is sent

    def encode(self) -> WireRequest:
        """The request for the next attempt, with the connection's headers; the key too, if the driver leaves it."""
        if self._attempts == 0:
            self.clocks = Clocks(self.timeouts, perf_counter())  # the call begins when it is made, not when prepared
            self._check()
        wire = self._encode()
        headers = {**wire.headers, **self.connection.headers}
        if self.driver.authorize is None:
            headers.update(self.connection.auth_headers())
        return replace(wire, headers=headers)

    def _check(self) -> None:
        """Find out now what could not be said later: to another connection, or to go on as the caller wants."""
        for other in self._others:
            other.driver.encode(other.request)
        if self._resume == "prefill":
            self.driver.encode_prefill(self.request, "")
        elif self._resume == "provider":
            self.driver.encode_resume(self.request, {})

    def _encode(self) -> WireRequest:
        wire = None
        if self._before is not None and self._seam is not None:
            if self._seam.how == "prefill":
                wire = self.driver.encode_prefill(self.request, (self._before.text_to_go_on_from() or "").rstrip())
            elif self._seam.how == "provider":
                wire = self.driver.encode_resume(self.request, self._before.decoder_state)
        return wire or self.driver.encode(self.request)

    def start(self, wire: WireRequest) -> Session:
        """A session for the next attempt."""
        self._attempts += 1
        self._attempts_here += 1
        self._budget = _budget(wire.url)
        self.clocks.start_attempt(perf_counter())
        self.session = Session(
            wire,
            self.driver,
            self.clocks,
            self.connection.name,
            limits=self.connection.limits,
            seam=self._seam if self._before else None,
            before=self._before if self._seam and self._seam.keeps else None,
        )
        if self.events is not None:
            self.session.watch_events(self.events)
        return self.session

    # Where the call stands

    @property
    def ended(self) -> bool:
        """Whether there is nothing more to come."""
        return self.cancelled or self.error is not None or (self.session is not None and self.session.ended)

    @property
    def interruptible(self) -> bool:
        """Whether an attempt is under way that has no outcome yet."""
        return self.session is not None and not self.session.ended

    @property
    def response(self) -> InferenceResponse:
        """The response as far as it has come."""
        session = self.session or self._before
        if session is None:
            came = InferenceResponse(outcome=Outcome.CANCELLED, connection=self.connection.name)
        else:
            came = session.response
            if self.session is None:  # the caller left between two attempts
                came = replace(came, outcome=Outcome.CANCELLED)
        return replace(came, failed_attempts=tuple(self._failed)) if self._failed else came

    def watch_events(self) -> deque[Event]:
        """Begin to collect events, and return where."""
        if self.events is None:
            self.events = deque()
            if self.session is not None:
                self.session.watch_events(self.events)
        return self.events

    # What has happened

    def interrupted(self, error: PolyglotError) -> Iterator[PartialInferenceResponse]:
        """The transport has failed: closing partials if the model was done, else `error` comes out of the iterator."""
        if self.session is None:
            raise error
        signal = Signal.CLOCK if isinstance(error, TimedOut) else Signal.BROKEN
        return self.session.interrupt(signal, error, perf_counter())

    def finish(self) -> Iterator[PartialInferenceResponse]:
        """The body is over: closing partials if the model was done, else an error comes out of the iterator."""
        return iter(()) if self.session is None else self.session.finish(self.clocks.waited)

    def cancel(self) -> None:
        """The caller wants no more."""
        if not self.ended:
            self.cancelled = True
            if self.session is not None:
                self.session.cancel(perf_counter())

    def leave(self) -> bool:
        """The answer is let go. Whether it was read to its end, so that its connection may serve again."""
        finished = self.session is not None and self.session.outcome is Outcome.FINISHED
        if finished:
            self._budget.earn()
        return finished

    def decide(self, error: PolyglotError) -> policy.Decision:
        """What to do about an error that ended the attempt. It is carried out here, but for the waiting."""
        decision = policy.decide(error, self._tried(), self.connection.retries, pay=self._pay)
        if isinstance(decision, (policy.Surface, policy.Settle)):
            self._complete(error)
            self.error = error if isinstance(decision, policy.Surface) else None
        else:
            self._prepare(decision, error)
        return decision

    def _pay(self, cost: int) -> bool:
        return self._budget.pay(cost, perf_counter())

    def _tried(self) -> policy.Tried:
        committed = self._before is not None or (self.session is not None and self.session.committed)
        return policy.Tried(
            attempts=self._attempts_here,
            committed=committed,
            resume=self._way_to_go_on() if committed else None,
            time_left=self.clocks.total_due() - perf_counter(),
            others=bool(self._others),
            mark_truncated=self._on_truncated == "mark",
        )

    def _way_to_go_on(self) -> policy.Resume | None:
        """How this answer can go on, of the ways that the caller chose."""
        session = self.session or self._before
        if self._resume == "prefill" and (session is None or not session.text_to_go_on_from()):
            return None
        if self._resume == "provider" and (
            session is None or self.driver.encode_resume(self.request, session.decoder_state) is None
        ):
            return None
        return self._resume

    def _prepare(self, decision: policy.Again | policy.GoOn | policy.Elsewhere, error: PolyglotError) -> None:
        """Make ready for the next attempt, and keep what is to be said of this one."""
        self._failed.append(self._failed_attempt(error, decision.wait))
        if isinstance(decision, policy.Elsewhere):
            self.connection, self.driver, self.request = self._others.popleft()
            self._attempts_here = 0
        how = decision.how if isinstance(decision, policy.GoOn) else "again"
        if isinstance(decision, policy.GoOn) and self.session is not None and self.session.committed:
            self._before = self.session
        self._seam = Seam(
            how="elsewhere" if isinstance(decision, policy.Elsewhere) else how,
            error=type(error).__name__,
            message=error.message,
            wait=decision.wait,
            connection=self.connection.name,
            keeps=how in {"prefill", "provider"},
        )
        self.session = None  # with it goes what the attempt said of itself
        if self.events is not None:
            self.events.append(self._seam)
        if self.on_seam is not None:
            self.on_seam(self._seam)

    def _failed_attempt(self, error: PolyglotError, wait: float) -> FailedAttempt:
        self._redact(error)
        partial = error.partial if error.partial is not None and error.partial.choices else None
        return FailedAttempt(
            connection=self.connection.name,
            error=type(error).__name__,
            message=error.message,
            status=error.status,
            code=error.code,
            wait=wait,
            partial=partial,
        )

    def _redact(self, error: PolyglotError) -> None:
        if self.connection.secret is not None:
            error.redact(self.connection.secret)

    def _complete(self, error: PolyglotError) -> None:
        """Fill in what the call knows of an error that is to be raised."""
        self._redact(error)
        if isinstance(error, AuthenticationError) and self.connection.secret and self.connection.secret.source:
            error.explain(f"The key is that of {self.connection.secret.source}.")
        error.add_facts(
            connection=self.connection.name,
            provider=self.driver.name,
            model=self.request.model,
            phase="encode" if self._attempts == 0 else "headers",
            attempts=self._attempts,
            elapsed=self.clocks.elapsed(perf_counter()),
        )
        if self._failed:
            came = error.partial
            if self._before is not None and (came is None or not came.choices):
                came = replace(self._before.response, outcome=Outcome.FAILED if came is None else came.outcome)
            error.partial = came and replace(came, failed_attempts=tuple(self._failed))
            error.add_note(_history(self._failed))


def _history(failed: Sequence[FailedAttempt]) -> str:
    """What came before the last attempt, for a person."""
    each = [f"{attempt.connection}: {attempt.error}, then {attempt.wait:.1f} s of waiting" for attempt in failed]
    return f"Asked before: {'; '.join(each)}."
