"""The state that a call keeps over its attempts."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct, field

from polyglot_core._attempt.attempt import Attempt, Job
from polyglot_core._engine.retry_policy import Budget
from polyglot_core._values.events import Seam
from polyglot_core._values.response import FailedAttempt, InferenceResponse, Outcome
from polyglot_core._values.secret import Secret

if TYPE_CHECKING:
    from polyglot_core._drivers.bound import BoundDriver
    from polyglot_core._values.connection import Connection
    from polyglot_core._values.formats import FormatUse
    from polyglot_core._values.request import InferenceRequest

__all__ = ["History", "Requests", "Target"]


class Target(NamedTuple):
    """One connection that a call may use.

    Attributes:
        connection: The connection.
        driver: Its driver, bound to it.
        request: The request with the model and the options of this connection.
        use: The response format, if it is read as data, and the mode in which this connection is asked for it.
    """

    connection: Connection
    driver: BoundDriver
    request: InferenceRequest
    use: FormatUse | None = None


class Requests(Struct):
    """The requests of a call so far.

    Attributes:
        attempts: Attempts in total, including one that failed before its request was sent.
        attempts_here: Attempts at the current connection.
        sent: Requests that were handed to the HTTP client.
        secrets: Secrets in the headers of the requests.
        budget: The retry budget of the origin that the latest request was encoded for; None for no limit.
        origin: Origin of the latest request that was no follow-up request.
        process: Process that sent it; 0 once a request to cancel its work was encoded.
        over_budget: True if the latest error was not retried because the budget was exhausted.
    """

    attempts: int = 0
    attempts_here: int = 0
    sent: int = 0
    secrets: list[Secret] = field(default_factory=list)
    budget: Budget | None = None
    origin: str = ""
    process: int = 0
    over_budget: bool = False

    def pay(self, now: float) -> bool:
        """Take a retry from the budget, if there is one. Return False if it is exhausted."""
        self.over_budget = self.budget is not None and not self.budget.pay(now)
        return not self.over_budget


class History(Struct):
    """What is kept of the attempts that failed.

    Attributes:
        failed: A record of each.
        interrupted: The latest attempt that failed after content had been received.
        seam: Why and how the next, or the current, attempt follows the one before; None for the first attempt.
        continued: How often a response that reached its limit of tokens was continued.
        job: What the next attempt receives instead of a new response; None if it sends a new request.
    """

    failed: list[FailedAttempt] = field(default_factory=list)
    interrupted: Attempt | None = None
    seam: Seam | None = None
    continued: int = 0
    job: Job | None = None

    @property
    def resumed(self) -> Attempt | None:
        """The attempt whose response the next one continues; None if the next response starts anew."""
        return self.interrupted if self.seam is not None and self.seam.keeps else None

    def latest_committed(self, current: Attempt | None) -> Attempt | None:
        """Return the latest attempt that received content: the current one or an earlier one; None if there is none."""
        return current if current is not None and current.committed else self.interrupted

    def response(self, current: Attempt | None, connection: str | None) -> InferenceResponse:
        """Return the response as far as it was received, with the attempts that failed."""
        response = self._received(current, connection)
        return response.with_changes(failed_attempts=tuple(self.failed)) if self.failed else response

    def _received(self, current: Attempt | None, connection: str | None) -> InferenceResponse:
        latest = self.latest_committed(current) or current
        if latest is None:
            return InferenceResponse(outcome=Outcome.CANCELLED, connection=connection)
        if latest is current:
            return latest.response
        outcome = (current and current.outcome) or Outcome.CANCELLED  # none: the call was closed between two attempts
        return latest.response.with_changes(outcome=outcome)
