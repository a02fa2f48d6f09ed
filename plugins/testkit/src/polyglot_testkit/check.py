"""The input of the checks, and how a check fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from polyglot_core.plugin import InferenceRequest
    from polyglot_core.testing import BoundDriver
    from polyglot_testkit.recording import Recording

__all__ = ["KEY", "Exam", "ExamFailed", "differing", "expect"]

KEY = "exam-key-that-must-not-travel"
"""The key of the connection that a driver is bound to in its exam."""


class ExamFailed(AssertionError):
    """The driver did not pass; the message lists every check that failed, and why."""


class Exam(NamedTuple):
    """The input of the checks.

    Attributes:
        driver: The driver, bound to the connection.
        recordings: Responses of its provider.
        requests: Requests to encode.
        switch: Fields of the body that may differ between a streamed and a plain request.
        left_out: Features that the driver may silently leave out, with the reason.
        models: Bodies of the pages of the provider's list of models, in order.
    """

    driver: BoundDriver
    recordings: tuple[Recording, ...]
    requests: tuple[InferenceRequest, ...]
    switch: frozenset[str]
    left_out: Mapping[str, str]
    models: tuple[bytes, ...] = ()

    def healthy(self) -> list[Recording]:
        """Return the recordings without errors."""
        return [recording for recording in self.recordings if not recording.fails]


def expect(holds: bool, why: str) -> None:  # noqa: FBT001 (it reads like the assert that python -O would drop)
    """Fail the check unless `holds`.

    Raises:
        ExamFailed: It does not hold; `why` is the message.
    """
    if not holds:
        raise ExamFailed(why)


def differing(one: object, other: object) -> list[str]:
    """Return the fields in which two objects differ; for other values, ``the body``."""
    if not isinstance(one, dict) or not isinstance(other, dict):
        return [] if one == other else ["the body"]
    return [name for name in {**one, **other} if name not in one or name not in other or one[name] != other[name]]
