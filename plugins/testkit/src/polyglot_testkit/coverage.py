"""The features that no recording of an exam has: what the exam could therefore not see."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from polyglot_testkit.recording import replay

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from polyglot_core import InferenceResponse
    from polyglot_testkit.check import Exam
    from polyglot_testkit.recording import Recording

__all__ = ["FEATURES", "features_of", "missing_features", "unrecorded_problem"]

FEATURES = {
    "a streamed text": "a stream with text",
    "a plain response": "the same response without streaming, named in same_as",
    "reasoning": "a response with reasoning, if the provider has it",
    "a tool call": "a response with a tool call, streamed and plain",
    "token counts": "a response with usage",
    "an error status": "an error response, with its status and code",
    "an error in a stream": "a stream that ends with an error of the provider",
    "stated values": "Recording(expect={…}): values that were compared by a person",
    "the body that was sent": "Recording(sent={…}): the request of a recording, as the provider documents it",
}
"""What recordings can have, and which recording has it."""


def missing_features(exam: Exam) -> dict[str, str]:
    """Return the features that no recording has, each with the recording to add."""
    found = {feature for recording in exam.recordings for feature in features_of(exam, recording)}
    return {feature: how for feature, how in FEATURES.items() if feature not in found}


def unrecorded_problem(exam: Exam, unrecorded: Mapping[str, str]) -> str | None:
    """Return what is wrong with the features that an author states to be unrecorded; None if nothing is.

    Args:
        exam: The exam.
        unrecorded: Feature → why no recording has it.
    """
    for feature in unrecorded:
        if feature not in FEATURES:
            near = get_close_matches(feature, FEATURES, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"the features are {', '.join(FEATURES)}"
            return f"unrecorded knows no {feature!r}; {hint}"
    recorded = [feature for feature in unrecorded if feature not in missing_features(exam)]
    return f"{', '.join(recorded)}: recorded; remove it from unrecorded" if recorded else None


def features_of(exam: Exam, recording: Recording) -> set[str]:
    """Return the features of a recording; none of one that the driver cannot decode, which the checks report."""
    try:
        return {feature for feature, has in _found(exam, recording) if has}
    except (Exception, SystemExit):  # noqa: BLE001 (the driver's)
        return set()


def _found(exam: Exam, recording: Recording) -> Iterator[tuple[str, bool]]:
    response = replay(exam.driver, recording).response
    yield "a streamed text", recording.streamed and bool(response.content)
    yield "a plain response", not recording.streamed and not recording.fails
    yield "reasoning", bool(response.reasoning_content)
    yield "a tool call", _has_tool_call(response)
    yield "token counts", response.usage is not None
    yield "an error status", recording.fails and recording.status >= 400
    yield "an error in a stream", recording.fails and recording.streamed and recording.status < 400
    yield "stated values", bool(recording.expect or recording.turn is not None or recording.details)
    yield "the body that was sent", recording.sent is not None


def _has_tool_call(response: InferenceResponse) -> bool:
    return any(choice.tool_calls for choice in response.choices)
