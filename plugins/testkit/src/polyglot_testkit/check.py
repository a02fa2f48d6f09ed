"""What a check is held against, and how it fails."""

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
    """What is examined.

    Attributes:
        driver: The driver, bound to the connection.
        recordings: Answers of its provider.
        requests: Requests to encode.
        switch: Fields of the body that may differ between a streamed and a plain request.
        left_out: What the driver may leave out without a word, and why.
    """

    driver: BoundDriver
    recordings: tuple[Recording, ...]
    requests: tuple[InferenceRequest, ...]
    switch: frozenset[str]
    left_out: Mapping[str, str]

    def healthy(self) -> list[Recording]:
        """The recordings that are no errors."""
        return [recording for recording in self.recordings if not recording.fails]


def expect(holds: bool, why: str) -> None:  # noqa: FBT001 (it reads like the assert that python -O would drop)
    """Fail the check unless `holds`.

    Raises:
        ExamFailed: It does not hold; `why` says so in a sentence.
    """
    if not holds:
        raise ExamFailed(why)


def differing(one: object, other: object) -> list[str]:
    """The fields in which two objects differ; of other values, the body as a whole."""
    if not isinstance(one, dict) or not isinstance(other, dict):
        return [] if one == other else ["the body"]
    return [name for name in {**one, **other} if name not in one or name not in other or one[name] != other[name]]
