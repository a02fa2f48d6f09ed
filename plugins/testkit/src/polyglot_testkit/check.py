"""The input of the checks, how a check fails, and how it states that there was nothing to check."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, NoReturn, TypedDict

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from polyglot_core.plugin import Connection, InferenceRequest
    from polyglot_core.testing import BoundDriver
    from polyglot_testkit.recording import Recording

__all__ = ["KEY", "Exam", "ExamArguments", "ExamFailed", "NothingToCheck", "differing", "expect", "nothing_to_check"]

KEY = "exam-key-that-must-not-travel"
"""The key of the connection that a driver is bound to in its exam."""


class ExamFailed(AssertionError):
    """The driver did not pass; the message lists every check that failed, and why."""


class NothingToCheck(Exception):
    """The check has nothing to check: the driver has no such hook, or no recording has what it needs."""


class ExamArguments(TypedDict, total=False):
    """The arguments of `check_driver` that describe a driver. It explains each."""

    connection: Connection | None
    requests: Sequence[InferenceRequest]
    switch: Iterable[str]
    left_out: Mapping[str, str] | None
    models: Sequence[bytes]


class Exam(NamedTuple):
    """The input of the checks.

    Attributes:
        driver: The driver, bound to the connection.
        recordings: Responses of its provider.
        requests: Requests to encode.
        switch: Fields of the body that may differ between a streamed and a plain request.
        left_out: Features that the driver may silently leave out, with the reason.
        excused: Checks that do not apply to the driver, with the reason.
        models: Bodies of the pages of the provider's list of models, in order.
        module: The driver's module, or the object with its hooks.
        connection: The connection that the driver is bound to.
        first: Name of a recording → its response when it was decoded first, before all checks, as JSON text.
    """

    driver: BoundDriver
    recordings: tuple[Recording, ...]
    requests: tuple[InferenceRequest, ...]
    switch: frozenset[str]
    left_out: Mapping[str, str]
    models: tuple[bytes, ...]
    module: object
    connection: Connection
    first: Mapping[str, str | None]
    excused: Mapping[str, str] = {}

    def healthy(self) -> list[Recording]:
        """Return the recordings without errors."""
        return [recording for recording in self.recordings if not recording.fails]

    def streams(self) -> list[Recording]:
        """Return the streams without errors that have a body."""
        return [recording for recording in self.healthy() if recording.streamed and recording.body]

    @property
    def model(self) -> str:
        """Return the model of the requests."""
        return self.requests[0].model


def expect(holds: bool, why: str) -> None:  # noqa: FBT001 (it reads like the assert that python -O would drop)
    """Fail the check unless `holds`.

    Raises:
        ExamFailed: It does not hold; `why` is the message.
    """
    if not holds:
        raise ExamFailed(why)


def nothing_to_check(reason: str) -> NoReturn:
    """End the check as not run.

    Raises:
        NothingToCheck: Always; `reason` is the message.
    """
    raise NothingToCheck(reason)


def differing(one: object, other: object) -> list[str]:
    """Return the fields in which two objects differ; for other values, ``the body``."""
    if not isinstance(one, dict) or not isinstance(other, dict):
        return [] if one == other else ["the body"]
    return [name for name in {**one, **other} if name not in one or name not in other or one[name] != other[name]]
