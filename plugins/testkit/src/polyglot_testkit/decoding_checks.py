"""Checks of how a driver decodes responses."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import msgspec

from polyglot_core.errors import PolyglotError, ProviderError, Truncated
from polyglot_testkit.check import ExamFailed, differing, expect
from polyglot_testkit.hook_calls import wire_of
from polyglot_testkit.mutation import broken_bodies, with_unknown_event, with_unknown_fields
from polyglot_testkit.recording import chunks, cuts, replay

if TYPE_CHECKING:
    from polyglot_core import InferenceResponse
    from polyglot_testkit.check import Exam
    from polyglot_testkit.recording import Recording

__all__ = [
    "a_prefix_is_truncated_or_finished",
    "a_whole_recording_finishes",
    "any_split_gives_the_same_response",
    "errors_are_provider_errors",
    "only_polyglot_errors_are_raised",
    "streamed_and_plain_agree",
    "unknown_fields_and_events_are_ignored",
]

_RANDOM_CUTS = 5
_MOST_PREFIXES = 400


def any_split_gives_the_same_response(exam: Exam) -> bool:
    """Check that the partials and the response do not depend on how the network splits the body."""
    dice = random.Random(0)  # noqa: S311 (the same cuts each time)
    for recording in exam.recordings:
        whole = replay(exam.driver, recording)
        for pieces in (cuts(recording.body, 1), *(_random_cuts(recording.body, dice) for _ in range(_RANDOM_CUTS))):
            split = replay(exam.driver, recording, pieces=pieces)
            expect(
                _fields_of(whole.response) == _fields_of(split.response),
                f"{recording.name}: another response when it is split",
            )
            shown = [[partial.to_dict() for partial in seen.partials] for seen in (whole, split)]
            expect(shown[0] == shown[1], f"{recording.name}: other partials when it is split")
    return bool(exam.recordings)


def _random_cuts(body: bytes, dice: random.Random) -> list[bytes]:
    places = sorted(dice.randrange(len(body) + 1) for _ in range(10))
    return [body[start:end] for start, end in zip([0, *places], [*places, len(body)], strict=True)]


def a_prefix_is_truncated_or_finished(exam: Exam) -> bool:
    """Check that a truncated body raises `Truncated`, unless the end of the response was received before."""
    streams = [recording for recording in exam.healthy() if recording.streamed]
    for recording in streams:
        whole = _meaning(replay(exam.driver, recording).response)
        one_finish = wire_of(exam, recording).finish_counts == "first"
        step = max(1, len(recording.body) // _MOST_PREFIXES)
        for length in range(0, len(recording.body), step):
            part = replay(exam.driver, msgspec.structs.replace(recording, body=recording.body[:length]))
            fair = part.error is None or isinstance(part.error, Truncated)
            expect(fair, f"{recording.name}: cut after {length} bytes it raises {_named(part.error)}")
            finished = part.error is not None or part.response.outcome == "finished"
            expect(finished, f"{recording.name}: cut after {length} bytes it has no outcome")
            lost = one_finish and part.error is None and _meaning(part.response) != whole
            expect(not lost, f"{recording.name}: cut after {length} bytes it is finished, and content is missing")
    return bool(streams)


def a_whole_recording_finishes(exam: Exam) -> bool:
    """Check that a healthy recording is decoded to its end without an error."""
    for recording in exam.healthy():
        error = replay(exam.driver, recording).error
        expect(error is None, f"{recording.name}: {_named(error)}{_unframed(exam, recording, error)}")
    return bool(exam.healthy())


def _named(error: PolyglotError | None) -> str:
    return f"{type(error).__name__}: {error}" if error else "no error"


def _unframed(exam: Exam, recording: Recording, error: PolyglotError | None) -> str:
    """Return an addition to an error if the framing that the driver names finds no chunk in a recording."""
    framing, found = chunks(exam.driver, recording) if isinstance(error, Truncated) else ("", 1)
    return "" if found else f" The framing {framing!r} found no chunk in this recording."


def streamed_and_plain_agree(exam: Exam) -> bool:
    """Check that a streamed response and its plain counterpart decode to the same content."""
    by_name = {recording.name: recording for recording in exam.recordings}
    named = [recording for recording in exam.recordings if recording.same_as]
    missing = [one.name for one in named if one.same_as not in by_name]
    expect(not missing, f"there is no recording of the name that same_as of {', '.join(missing)} gives")
    pairs = [(one, by_name[one.same_as]) for one in named if one.same_as]
    for one, other in pairs:
        told = [_meaning(replay(exam.driver, recording).response) for recording in (one, other)]
        expect(told[0] == told[1], f"{one.name} and {other.name} differ: {told[0]} / {told[1]}")
        _same_usage(exam, one, other)
    return bool(pairs)


def _same_usage(exam: Exam, one: Recording, other: Recording) -> None:
    """Fail if two recordings have the same usage object, or one has another count where both state it."""
    counts = [_counts(replay(exam.driver, recording).response) for recording in (one, other)]
    names = [name for name in counts[0] if name in counts[1] and counts[0][name] != counts[1][name]]
    stated = ", ".join(f"{name} {counts[0][name]} / {counts[1][name]}" for name in names)
    expect(not names, f"{one.name} and {other.name} have other token counts: {stated}")


def _counts(response: InferenceResponse) -> dict[str, int]:
    """Return the counts that are known."""
    usage = {} if response.usage is None else msgspec.to_builtins(response.usage)
    return {name: count for name, count in usage.items() if type(count) is int}


def errors_are_provider_errors(exam: Exam) -> bool:
    """Check that an error, by status or inside a 200, becomes a `ProviderError` with the provider's code."""
    failures = [recording for recording in exam.recordings if recording.fails]
    for recording in failures:
        error = replay(exam.driver, recording).error
        if not isinstance(error, ProviderError):
            unframed = _unframed(exam, recording, error)
            raise ExamFailed(f"{recording.name}: instead of a ProviderError: {_named(error)}{unframed}")
        expect(recording.code in {None, error.code}, f"{recording.name}: its code is {error.code!r}")
    return bool(failures)


def unknown_fields_and_events_are_ignored(exam: Exam) -> bool:
    """Check that fields and events that a provider may add in the future change nothing."""
    changed = 0
    for recording in exam.healthy():
        before = _fields_of(replay(exam.driver, recording).response, raw=False)
        for what, mutate in (("fields", with_unknown_fields), ("an event", with_unknown_event)):
            mutated = mutate(recording)
            if mutated is None:
                continue
            changed += 1
            after = replay(exam.driver, mutated)
            expect(after.error is None, f"{recording.name}: with unknown {what}: {_named(after.error)}")
            changes = ", ".join(differing(before, _fields_of(after.response, raw=False)))
            expect(not changes, f"{recording.name}: with unknown {what} the response has other {changes}")
    return changed > 0


def only_polyglot_errors_are_raised(exam: Exam) -> bool:
    """Check that any body results in a response or a `PolyglotError`."""
    for recording in exam.recordings:
        for body in broken_bodies(recording.body):
            try:
                replay(exam.driver, msgspec.structs.replace(recording, body=body))
            except Exception as error:
                what = f"{recording.name}: a broken body raises {type(error).__name__}: {error}"
                raise ExamFailed(what) from error
    return bool(exam.recordings)


def _fields_of(response: InferenceResponse, *, raw: bool = True) -> dict[str, Any]:
    """Return the fields of a response without times; `raw` includes what is in the provider's words."""
    said = {name: value for name, value in response.to_dict().items() if name not in {"timing", "request_id"}}
    if not raw:
        said["choices"] = [{**choice, "details": {}} for choice in said["choices"]]
        said["details"] = {}
    if not raw and said["usage"]:
        said["usage"] = {name: value for name, value in said["usage"].items() if name != "raw"}
    return said


def _meaning(response: InferenceResponse) -> object:
    """Return the content of a response, which is the same streamed and plain."""
    calls = [(call.name, call.arguments) for call in response.tool_calls]
    return response.content, response.reasoning_content, response.refusal, calls, response.finish_reason
