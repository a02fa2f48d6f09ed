"""One call over all its attempts, without I/O: what is sent next, to whom, and what an error means for the call."""

from __future__ import annotations

from collections import deque
from time import perf_counter
from typing import TYPE_CHECKING, Literal, NamedTuple
from urllib.parse import urlsplit

from msgspec.structs import replace

from polyglot_core._attempt.attempt import Attempt
from polyglot_core._attempt.clocks import Clocks
from polyglot_core._attempt.lifecycle import Signal
from polyglot_core._engine import retry_policy
from polyglot_core._values.events import Seam
from polyglot_core._values.response import FailedAttempt, InferenceResponse, Outcome
from polyglot_core._values.secret import Secret
from polyglot_core.errors import AuthenticationError, PolyglotError, TimedOut

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from polyglot_core._drivers.bound import BoundDriver
    from polyglot_core._values.connection import Connection
    from polyglot_core._values.events import Event
    from polyglot_core._values.limits import Timeouts
    from polyglot_core._values.partial import PartialInferenceResponse
    from polyglot_core._values.request import InferenceRequest
    from polyglot_core._wire.messages import WireRequest

__all__ = ["Call", "OnTruncated", "Target"]

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


class _Next(NamedTuple):
    """What the next attempt is: how it is asked, and the session whose answer it goes on with."""

    how: str = "retry"
    kept: Attempt | None = None


_budgets: dict[str, retry_policy.Budget] = {}


def _budget(url: str) -> retry_policy.Budget:
    """What repetitions to the place of this URL are paid from, in this process."""
    parts = urlsplit(url)
    return _budgets.setdefault(f"{parts.scheme}://{parts.netloc}", retry_policy.Budget(perf_counter()))


class Call:
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
        resume: retry_policy.ResumeMode | None = None,
    ) -> None:
        (self.connection, self.driver, self.request), *others = targets
        self.timeouts = timeouts
        self.clocks = Clocks(timeouts, perf_counter())
        self.attempt: Attempt | None = None
        self.events: deque[Event] | None = None
        self.on_seam: Callable[[Seam], object] | None = None
        self.error: PolyglotError | None = None
        self.cancelled = False
        self._others = deque(others)
        self._on_truncated = on_truncated
        self._resume: retry_policy.ResumeMode | None = resume
        self._attempts = self._attempts_here = 0  # in all, and at this connection
        self._sent = 0  # requests
        self._secrets: list[Secret] = []  # what was sent last that is nobody's business
        self._budget: retry_policy.Budget | None = None
        self._unpaid = False  # whether the last error's repetition was not made because the budget was used up
        self._failed: list[FailedAttempt] = []
        self._before: Attempt | None = None  # the last attempt of which something had come, and which broke off
        self._next = _Next()
        self._seam: Seam | None = None

    # What is sent

    def encode(self) -> WireRequest:
        """The request for the next attempt, with the connection's headers; the key too, if the driver leaves it.

        The attempt counts from here on: what `authorize` does with it is part of it.
        """
        if self._attempts == 0:
            self.clocks = Clocks(self.timeouts, perf_counter())  # the call begins when it is made, not when prepared
            self._check()
        self._attempts += 1
        self._attempts_here += 1
        self.clocks.start_attempt(perf_counter())
        wire = self._encode()
        self._budget = _budget(wire.url)
        headers = {**wire.headers, **self.connection.headers}
        if self.driver.authorize is None:
            headers.update(self.connection.auth_headers())
        return replace(wire, headers=headers)

    def _check(self) -> None:
        """Find out now what could not be said later: to another connection, or to go on as the caller wants."""
        for connection, driver, request in self._others:
            try:
                driver.encode(_without_warnings(request))
            except PolyglotError as error:
                error.add_facts(connection=connection.name, provider=driver.name, model=request.model)
                raise
        if self._resume == "prefill":
            self.driver.encode_prefill(_without_warnings(self.request), "")
        elif self._resume == "provider":
            self.driver.encode_resume(_without_warnings(self.request), {})

    def _encode(self) -> WireRequest:
        wire = None
        if self._next.kept is not None:
            kept = self._next.kept
            if self._next.how == "prefill":
                wire = self.driver.encode_prefill(self.request, (kept.resumable_text() or "").rstrip())
            else:
                wire = self.driver.encode_resume(self.request, kept.decoder_state)
        return wire or self.driver.encode(self.request)

    def start(self, wire: WireRequest) -> Attempt:
        """A session for the next attempt, whose request is ready to be sent."""
        self._sent += 1
        self._secrets = [value for value in wire.headers.values() if isinstance(value, Secret)]
        self.attempt = Attempt(
            wire,
            self.driver,
            self.clocks,
            self.connection.name,
            limits=self.connection.limits,
            seam=self._seam if self._before else None,
            before=self._next.kept,
            choices=_choices(self.request),
        )
        if self.events is not None:
            self.attempt.watch_events(self.events)
        return self.attempt

    # Where the call stands

    @property
    def ended(self) -> bool:
        """Whether there is nothing more to come."""
        return self.cancelled or self.error is not None or (self.attempt is not None and self.attempt.ended)

    @property
    def interruptible(self) -> bool:
        """Whether an attempt is under way that has no outcome yet."""
        return self.attempt is not None and not self.attempt.ended

    @property
    def response(self) -> InferenceResponse:
        """The response as far as it has come."""
        return self._with_failures(self._came())

    def _came(self) -> InferenceResponse:
        """What has come, of the attempt that is being made, or of the one before it that broke off."""
        attempt, before = self.attempt, self._before
        if before is not None and (attempt is None or not attempt.committed):
            outcome = (attempt and attempt.outcome) or Outcome.CANCELLED  # without one the caller left in between
            return replace(before.response, outcome=outcome)
        if attempt is None:
            return InferenceResponse(outcome=Outcome.CANCELLED, connection=self.connection.name)
        return attempt.response

    def _with_failures(self, came: InferenceResponse) -> InferenceResponse:
        return replace(came, failed_attempts=tuple(self._failed)) if self._failed else came

    def watch_events(self) -> deque[Event]:
        """Begin to collect events, and return where."""
        if self.events is None:
            self.events = deque()
            if self.attempt is not None:
                self.attempt.watch_events(self.events)
        return self.events

    # What has happened

    def interrupted(self, error: PolyglotError) -> Iterator[PartialInferenceResponse]:
        """The transport has failed: closing partials if the model was done, else `error` comes out of the iterator."""
        if self.attempt is None:
            raise error
        signal = Signal.CLOCK if isinstance(error, TimedOut) else Signal.BROKEN
        return self.attempt.interrupt(signal, error, perf_counter())

    def finish(self) -> Iterator[PartialInferenceResponse]:
        """The body is over: closing partials if the model was done, else an error comes out of the iterator."""
        return iter(()) if self.attempt is None else self.attempt.finish(self.clocks.waited)

    def cancel(self) -> None:
        """The caller wants no more. It may be another thread that says so, at any moment."""
        if self.error is None:
            self.cancelled = True
            attempt = self.attempt  # which the call's own thread may let go of meanwhile
            if attempt is not None:
                attempt.cancel(perf_counter())

    def leave(self) -> bool:
        """The answer is let go. Whether it was read to its end, so that its connection may serve again."""
        finished = self.attempt is not None and self.attempt.outcome is Outcome.FINISHED
        if finished and self._budget is not None:
            self._budget.earn()
        return finished

    def decide(self, error: PolyglotError) -> retry_policy.Decision:
        """What to do about an error that ended the attempt. It is carried out here, but for telling and waiting."""
        self._redact(error)
        self._unpaid = False
        decision = retry_policy.decide(error, self._tried(), self.connection.retries, pay=self._pay)
        if isinstance(decision, retry_policy.Raise):
            self._complete(error)
            self.error = error
        elif not isinstance(decision, retry_policy.AcceptTruncated):
            self._prepare(decision, error)
        return decision

    def tell(self) -> None:
        """Say to whoever wants to know that another request follows."""
        if self._seam is not None and self.on_seam is not None:
            self.on_seam(self._seam)

    def _pay(self, cost: int) -> bool:
        self._unpaid = self._budget is None or not self._budget.pay(cost, perf_counter())
        return not self._unpaid

    def _tried(self) -> retry_policy.RetryState:
        committed = self._before is not None or (self.attempt is not None and self.attempt.committed)
        return retry_policy.RetryState(
            attempts=self._attempts_here,
            committed=committed,
            resume=self._way_to_go_on() if committed else None,
            time_left=self.clocks.total_due() - perf_counter(),
            others=bool(self._others),
            mark_truncated=self._on_truncated == "mark",
        )

    def _way_to_go_on(self) -> retry_policy.ResumeMode | None:
        """The way that the caller chose, if this answer can go on in it; else its error is to be raised."""
        attempt = self._before if self.attempt is None or not self.attempt.committed else self.attempt
        if self._resume == "restart" or attempt is None:
            return self._resume
        if self.request.options.get("n", 1) != 1:
            return None
        try:
            if self._resume == "prefill":
                text = attempt.resumable_text() or ""
                self.driver.encode_prefill(_without_warnings(self.request), text.rstrip())
                return "prefill" if text.strip() else None
            known = self.driver.encode_resume(_without_warnings(self.request), attempt.decoder_state)
        except PolyglotError:  # another connection has answered, whose driver cannot
            return None
        return None if known is None else self._resume

    def _prepare(
        self, decision: retry_policy.Retry | retry_policy.Resume | retry_policy.Fallback, error: PolyglotError
    ) -> None:
        """Make ready for the next attempt, and keep what is to be said of this one."""
        self._failed.append(self._failed_attempt(error, decision.wait))
        if isinstance(decision, retry_policy.Fallback):
            self.connection, self.driver, self.request = self._others.popleft()
            self._attempts_here = 0
        how = decision.how if isinstance(decision, retry_policy.Resume) else _HOW[type(decision)]
        if self.attempt is not None and self.attempt.committed:
            self._before = self.attempt
        self._next = _Next(how, self._before if how in _KEEPING else None)
        self._seam = Seam(
            how=how,
            error=type(error).__name__,
            message=error.message,
            wait=decision.wait,
            connection=self.connection.name,
            keeps=how in _KEEPING,
        )
        self.attempt = None  # with it goes what the attempt said of itself
        if self.events is not None:
            self.events.append(self._seam)

    def _failed_attempt(self, error: PolyglotError, wait: float) -> FailedAttempt:
        committed = self.attempt is not None and self.attempt.committed
        return FailedAttempt(
            connection=self.connection.name,
            error=type(error).__name__,
            message=error.message,
            status=error.status,
            code=error.code,
            wait=wait,
            partial=error.partial if committed else None,
        )

    def _redact(self, error: PolyglotError) -> None:
        """Take out of an error what the provider has repeated of the secrets that were sent to it."""
        own = [self.connection.secret] if self.connection.secret is not None else []
        for secret in sorted([*own, *self._secrets], key=lambda secret: -len(secret.reveal())):  # one may hold another
            error.redact(secret)
            if self.attempt is not None and self.attempt.request_id is not None:
                self.attempt.request_id = secret.redacted(self.attempt.request_id)
        partial, attempt = error.partial, self.attempt
        if partial is not None and attempt is not None and partial.request_id != attempt.request_id:
            error.partial = replace(partial, request_id=attempt.request_id)

    def _about_the_key(self) -> str:
        """Where the key came from that was refused; that none was sent, if so."""
        secret = self.connection.secret
        if secret is not None:
            return f"The key is that of {secret.source}." if secret.source else ""
        if self._secrets:  # the driver has credentials of its own
            return ""
        return "No key was sent: the connection has none. A key stays behind where base_url is of another origin."

    def _complete(self, error: PolyglotError) -> None:
        """Fill in what the call knows of an error that is to be raised."""
        if isinstance(error, AuthenticationError) and (said := self._about_the_key()):
            error.explain(said)
        if self._unpaid:
            error.add_note(_UNPAID)
        error.add_facts(
            connection=self.connection.name,
            provider=self.driver.name,
            model=self.request.model,
            phase="encode" if self.attempt is None else "headers",
            attempts=self._sent,
            elapsed=self.clocks.elapsed(perf_counter()),
        )
        timed_out = isinstance(error, TimedOut)
        if self._before is not None or timed_out or (self._failed and error.partial is not None):
            error.partial = self.response
            if self.attempt is None:  # it failed before it was an attempt: while the driver looked for credentials, say
                error.partial = replace(error.partial, outcome=Outcome.TIMED_OUT if timed_out else Outcome.FAILED)
        if self._failed:
            error.add_note(_history(self._failed))


_UNPAID = (
    "Not sent again: the budget that all calls to this place pay repetitions from is used up; it fills within a minute."
)
_KEEPING = frozenset({"prefill", "provider"})  # ways to go on in which what had come is kept
_HOW = {retry_policy.Retry: "retry", retry_policy.Fallback: "fallback"}


def _choices(request: InferenceRequest) -> int:
    """How many answers were asked for, as far as is known: what a driver cannot express it may have left out."""
    number = request.options.get("n")
    return max(1, number) if isinstance(number, int) and request.unsupported == "raise" else 1


def _without_warnings(request: InferenceRequest) -> InferenceRequest:
    """The request as it is encoded to try it out: what it warns of is said when it is sent."""
    return replace(request, unsupported="drop") if request.unsupported == "warn" else request


def _history(failed: Sequence[FailedAttempt]) -> str:
    """What came before the last attempt, for a person."""
    each = [f"{attempt.connection}: {attempt.error}, then {attempt.wait:.1f} s of waiting" for attempt in failed]
    return f"Asked before: {'; '.join(each)}."
