"""One call over all its attempts, without I/O: which request is sent next, to which target, and what an error means.

The pump performs what is decided here; see the comment at the top of `pump`.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from time import perf_counter
from typing import TYPE_CHECKING

from msgspec.structs import asdict, replace

from polyglot_core._attempt.attempt import Attempt, Following, Job
from polyglot_core._attempt.clocks import Clocks
from polyglot_core._attempt.lifecycle import Signal
from polyglot_core._attempt.stream_errors import LengthReached
from polyglot_core._engine import final_error, retry_policy
from polyglot_core._engine import resume as resuming
from polyglot_core._engine.call_options import CallOptions
from polyglot_core._engine.call_state import History, Requests, Target
from polyglot_core._values.addresses import base_url_problem, origin_of
from polyglot_core._values.admission import AdmissionRequest, find_admission
from polyglot_core._values.calls import AttemptStarted, FirstEvent
from polyglot_core._values.events import Seam
from polyglot_core._values.response import FailedAttempt, Outcome
from polyglot_core._values.secret import Secret
from polyglot_core.errors import Malformed, ProviderError, StreamError, TimedOut

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from polyglot_core._engine.observers import CallRecord
    from polyglot_core._values.admission import Permit
    from polyglot_core._values.events import Event
    from polyglot_core._values.partial import PartialInferenceResponse
    from polyglot_core._values.request import InferenceRequest
    from polyglot_core._values.response import InferenceResponse
    from polyglot_core._wire.messages import WireRequest
    from polyglot_core.errors import PolyglotError

__all__ = ["Call", "Target"]

CANCEL_SECONDS = 2.0
"""Seconds that a request which stops abandoned work of the provider's takes at most."""

_budgets: dict[tuple[str, int], retry_policy.Budget] = {}
"""The retry budgets of this process, by origin and capacity."""


def _budget(origin: str, capacity: int | None) -> retry_policy.Budget | None:
    """Return the retry budget that all calls to an origin share; None if there is no limit."""
    if capacity is None:
        return None
    key = origin, capacity
    return _budgets.get(key) or _budgets.setdefault(key, retry_policy.Budget(capacity, perf_counter()))


class Call:
    """One call.

    Attributes:
        target: The connection, driver and request of the current attempt.
        options: What the caller chose.
        clocks: The clocks of the call; set anew when the first request is encoded.
        attempt: The current attempt; None before the first, and between two.
        permit: The permission to send the current attempt, or the place in the queue for it; None if none is needed.
        events: The queue that events are appended to; None if no iterator of events was created.
        error: The error that the call ended with, if it failed.
        cancelled: True once the caller has closed the call.
        record: Reports what happens to the observers of the call.
    """

    def __init__(self, targets: Sequence[Target], options: CallOptions, record: CallRecord) -> None:
        self.target, *fallbacks = targets
        self.options = options
        self.clocks = Clocks(options.timeouts, perf_counter())
        self.attempt: Attempt | None = None
        self.events: deque[Event] | None = None
        self.error: PolyglotError | None = None
        self.cancelled = False
        self.record = record
        self.permit: Permit | None = None
        self._fallbacks = deque(fallbacks)
        self._requests = Requests()
        self._history = History()

    # Requests

    def encode(self) -> WireRequest:
        """Encode the request of the next attempt, or its follow-up request, with the headers of connection and call.

        The key is added too, unless the driver authorizes requests itself. The attempt is counted from here on, so that
        a failed authorization is an attempt as well.

        Raises:
            PolyglotError: The driver cannot express the request, a fallback's, or the mode to resume in.
            Malformed: The address of the follow-up request cannot be used.
        """
        requests, connection = self._requests, self.target.connection
        if (job := self.following) is not None:
            self.clocks.pass_over(perf_counter())
            return self._addressed(job.request, origin_of(job.request.url))
        if requests.attempts == 0:
            self.clocks = Clocks(self.options.timeouts, perf_counter())  # the time since `create` is the caller's
            resuming.check(self.target, self._fallbacks, self.options.resume)
            if self.options.continuations:
                resuming.check_continuing(self.target)
        requests.attempts += 1
        requests.attempts_here += 1
        self.record.report(self, AttemptStarted)
        self.clocks.start_attempt(begun := perf_counter())
        modules = len(sys.modules)
        wire = resuming.encode(self.target, self._history)
        origin = origin_of(wire.url)
        if self._history.job is None:
            requests.origin, requests.process = origin, os.getpid()
        if len(sys.modules) != modules:  # the driver has imported some
            self.clocks.leave_out(perf_counter() - begun)
        requests.budget = _budget(origin, connection.retries.budget)
        return self._addressed(wire, origin)

    def _addressed(self, wire: WireRequest, origin: str) -> WireRequest:
        """Return a request with the headers that it is sent with: as it is, if it leads to another origin.

        Raises:
            Malformed: It leads to an address that cannot be used.
        """
        connection = self.target.connection
        if origin != self._requests.origin:
            if problem := base_url_problem(origin, allow_http=connection.allow_http):
                raise Malformed(f"The response is to be received from {origin}, which {problem}.", retryable=False)
            return wire
        key = connection.key_header if self.target.driver.authorize is None else {}
        return replace(wire, headers={**wire.headers, **connection.own_headers, **key})

    def authorize(self, wire: WireRequest) -> Callable[[WireRequest], WireRequest] | None:
        """Return the driver's hook that authorizes this request; None if there is none, or for another origin."""
        authorize = self.target.driver.authorize
        return authorize if authorize is not None and origin_of(wire.url) == self._requests.origin else None

    def cancellation(self) -> Call | None:
        """Return a call that requests the provider to stop its work, at most once; None if there is nothing to stop.

        Raises:
            PluginError: The driver is broken.
        """
        attempt, job, (connection, driver, request, _) = self.attempt, self._history.job, self.target
        process, self._requests.process = self._requests.process, 0
        over = attempt is not None and (attempt.outcome is Outcome.FINISHED or attempt.assembler.all_finished)
        state = attempt.decoder_state if attempt is not None else job.state if job is not None else {}
        none = process != os.getpid() or over or _is_reported(self.error)
        if none or (wire := driver.encode_cancel(request, state)) is None:
            return None
        target = Target(connection.with_changes(rate=None), driver, request)
        call = Call([target], CallOptions(replace(self.options.timeouts, total=CANCEL_SECONDS)), type(self.record)([]))
        call._requests.origin, call._history.job = self._requests.origin, Job(wire)
        return call

    def enter(self, url: str, wake: Callable[[], object], on_collect: Callable[..., object]) -> None:
        """Queue the request of the next attempt with the package that admits requests.

        Args:
            url: URL of the request.
            wake: To be called when the permit may be given.
            on_collect: Returns what releases the permit once this call is collected, for as long as it is kept.
        """
        connection, _, request, _ = self.target
        asked = AdmissionRequest(connection, origin_of(url), request, self._requests.attempts_here)
        self.permit = find_admission(connection).enter(asked, wake)
        self.permit.guard = on_collect(self, self.permit.release)

    def responded(self, status: int, headers: Mapping[str, str]) -> None:
        """Report the head of the response to the package that has admitted the request."""
        if (permit := self.permit) is not None:
            permit.responded(status, headers)

    def leave(self, error: PolyglotError | None = None) -> None:
        """Release the permit of the attempt, if it has one. Any thread may call it, any number of times."""
        permit, self.permit = self.permit, None
        if permit is not None:
            permit.release(error, attempt.response.usage if (attempt := self.attempt) else None)

    def start(self, wire: WireRequest) -> Attempt:
        """Create and return the attempt for a request that is ready to be sent, or the one that it continues."""
        connection, driver, request, use = self.target
        self._requests.secrets += [value for value in wire.headers.values() if isinstance(value, Secret)]
        if self.attempt is not None:  # which sends a follow-up request
            self.attempt.follow(wire)
            return self.attempt
        self._requests.sent += 1
        self.attempt = Attempt(
            wire,
            driver,
            self.clocks,
            connection.name,
            limits=connection.limits,
            seam=self._history.seam if self._history.interrupted else None,
            before=self._history.resumed,
            choices=_choices(request),
            job=self._history.job,
        )
        self.attempt.assembler.use = use
        if self._history.continued < self.options.continuations:
            self.attempt.continue_at_length()
        if self.events is not None:
            self.attempt.watch_events(self.events)
        if self.record.observers:
            self.attempt.watch_first_event(lambda seconds: self.record.report(self, FirstEvent, seconds=seconds))
        if self.cancelled:  # by another thread, while there was no attempt
            self.attempt.cancel(perf_counter())
        return self.attempt

    @property
    def may_resend(self) -> bool:
        """True if the current request may be sent once more without a decision: a retry is left."""
        return self._requests.attempts_here <= self.target.connection.retries.max_retries

    def count_resent(self, times: int) -> None:
        """Count how often the current request was sent again, because its connection was being closed."""
        self._requests.sent += max(0, times)
        self._requests.attempts_here += max(0, times)

    # The state of the call

    @property
    def following(self) -> Job | None:
        """The follow-up request that the current attempt is to send next; None if there is none."""
        return None if (attempt := self.attempt) is None or attempt.ended else attempt.following

    @property
    def ended(self) -> bool:
        """True if nothing more will be emitted."""
        return self.cancelled or self.error is not None or (self.attempt is not None and self.attempt.ended)

    @property
    def interruptible(self) -> bool:
        """True if there is a current attempt without an outcome."""
        return self.attempt is not None and not self.attempt.ended

    @property
    def response(self) -> InferenceResponse:
        """The response as far as it was received."""
        return self._history.response(self.attempt, self.target.connection.name)

    @property
    def seam(self) -> Seam | None:
        """The seam before the current or the next attempt, if that is not the first."""
        return self._history.seam

    def watch_events(self) -> deque[Event]:
        """Begin to collect events. Return the queue that they are appended to."""
        if self.events is None:
            self.events = deque()
            if self.attempt is not None:
                self.attempt.watch_events(self.events)
        return self.events

    # What the pump reports

    def interrupted(self, error: PolyglotError) -> Iterator[PartialInferenceResponse]:
        """End the attempt because the transport failed. Yield the closing partials if the response was complete.

        Raises:
            PolyglotError: `error`, from the iterator, if the response was not complete.
        """
        if self.attempt is None:
            raise error
        signal = Signal.CLOCK if isinstance(error, TimedOut) else Signal.BROKEN
        return self.attempt.interrupt(signal, error, perf_counter())

    def finish(self) -> Iterator[PartialInferenceResponse]:
        """End the attempt because the body is complete. Yield the closing partials.

        Raises:
            PolyglotError: From the iterator, if the response was not complete.
        """
        return iter(()) if self.attempt is None else self.attempt.finish(self.clocks.waited)

    def cancel(self) -> None:
        """End the call on behalf of the caller. Any thread may call it at any moment."""
        if self.error is None:
            self.cancelled = True
            attempt = self.attempt  # read once: the call's own thread may set it to None meanwhile
            if attempt is not None:
                attempt.cancel(perf_counter())

    def interrupted_read(self) -> StreamError:
        """Return the error for a read after one that was interrupted, with the content received so far."""
        return StreamError(
            "A read of this stream was cancelled or interrupted, which closed its connection; the response is "
            "incomplete. To wait for a limited time, use `await stream.next(timeout=s)`, in sync code without `await`: "
            "it returns None when nothing was received in time, and loses nothing.",
            connection=self.target.connection.name,
            model=self.target.request.model,
            phase="stream",
            partial=self.response,
        )

    def release(self) -> bool:
        """Record that the exchange is released. Return True if the response is complete, so that it is to be drained.

        A complete response refills the retry budget a little. One that a follow-up request continues is none: what a
        cache keeps of it would be received for ever.
        """
        finished = self.attempt is not None and self.attempt.outcome is Outcome.FINISHED
        if finished and self._requests.budget is not None:
            self._requests.budget.earn()
        return finished

    def decide(self, error: PolyglotError) -> retry_policy.Decision:
        """Decide what follows an error that ended the attempt, and change the state of the call accordingly.

        The pump still has to report the failure, to wait, and to raise.
        """
        if isinstance(error, Following):
            job, now = self.following, perf_counter()  # no job if another thread has closed the call
            self._history.job = None if self.attempt is None or self.attempt.committed else job
            return retry_policy.Retry(0.0 if job is None else max(0.0, min(job.after, self.clocks.pause_due() - now)))
        final_error.redact(error, self.target, self.attempt, self._requests)
        self._requests.over_budget = False
        self.leave(error)
        decision = retry_policy.decide(error, self._retry_state(), self.target.connection.retries, pay=self._pay)
        if isinstance(decision, retry_policy.Raise):
            final_error.complete(
                error,
                self.target,
                self.attempt,
                requests=self._requests,
                history=self._history,
                elapsed=self.clocks.elapsed(perf_counter()),
            )
            self.error = error
        elif not isinstance(decision, retry_policy.AcceptTruncated):
            self._prepare(decision, error)
        return decision

    def report_failure(self, target: Target, error: PolyglotError, decision: retry_policy.Decision) -> None:
        """Report to the observers that the attempt at `target` failed, and what was decided."""
        facts = {field: getattr(error, field) for field in ("status", "code", "request_id")}
        facts = {"error": type(error).__name__, **facts, **asdict(decision)}
        self.record.failed(target, facts, self.seam if "how" in facts else None)

    def _pay(self) -> bool:
        return self._requests.pay(perf_counter())

    def _retry_state(self) -> retry_policy.RetryState:
        latest = self._history.latest_committed(self.attempt)
        return retry_policy.RetryState(
            attempts=self._requests.attempts_here,
            committed=latest is not None,
            resume=resuming.possible_mode(self.target, self.options.resume, latest) if latest else None,
            time_left=self.clocks.total_due() - perf_counter(),
            others=bool(self._fallbacks),
            mark_truncated=self.options.on_truncated == "mark",
        )

    def _prepare(
        self, decision: retry_policy.Retry | retry_policy.Resume | retry_policy.Fallback, error: PolyglotError
    ) -> None:
        """Record the attempt that failed, and set the state for the next one."""
        history = self._history
        history.failed.append(self._failed_attempt(error, decision.wait))
        history.continued += isinstance(error, LengthReached)
        if isinstance(decision, retry_policy.Fallback):
            self.target = self._fallbacks.popleft()
            self._requests.attempts_here = 0
        if decision.how not in {"retry", "restart"} or _is_reported(error):
            history.job = None
        history.interrupted = history.latest_committed(self.attempt)
        history.seam = Seam(
            how=decision.how,
            error=type(error).__name__,
            message=error.message,
            wait=decision.wait,
            connection=self.target.connection.name,
            keeps=decision.how in resuming.KEEPS,
        )
        self.attempt = None  # its model, ids and usage are void
        if self.events is not None:
            self.events.append(history.seam)

    def _failed_attempt(self, error: PolyglotError, wait: float) -> FailedAttempt:
        committed = self.attempt is not None and self.attempt.committed
        return FailedAttempt(
            connection=self.target.connection.name,
            error=type(error).__name__,
            message=error.message,
            status=error.status,
            code=error.code,
            wait=wait,
            partial=error.partial if committed else None,
        )


def _is_reported(error: PolyglotError | None) -> bool:
    """Return whether an error is one that the provider has reported as its response, whose work is over then."""
    return isinstance(error, ProviderError) and error.phase == "stream"


def _choices(request: InferenceRequest) -> int:
    """Return how many choices were requested; 1 if the driver may have left out the option."""
    number = request.options.get("n")
    return max(1, number) if isinstance(number, int) and request.unsupported == "raise" else 1
