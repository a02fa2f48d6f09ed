"""Checks of a driver whose responses are received by several requests, or whose work can be cancelled.

They are part of the exam of a driver for which there is something to check.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from polyglot_core import testing
from polyglot_core.errors import PolyglotError, Truncated
from polyglot_core.plugin import Follow, InferenceRequest, Message
from polyglot_testkit.check import KEY, expect
from polyglot_testkit.input_output import no_input_or_output
from polyglot_testkit.recording import cuts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from polyglot_core.plugin import WireRequest
    from polyglot_testkit.check import Exam
    from polyglot_testkit.recording import Recording

__all__ = ["checks_for", "follow_up_requests_receive_the_response", "work_is_cancelled_by_what_identifies_it"]

_MOST_PREFIXES = 100


def checks_for(exam: Exam) -> dict[str, Callable[[Exam], bool]]:
    """Return the checks of this module that apply to a driver and its recordings, by their names in plain words."""
    applying = []
    if any(recording.further for recording in exam.recordings):
        applying.append(follow_up_requests_receive_the_response)
    if "encode_cancel" in exam.driver.hooks:
        applying.append(work_is_cancelled_by_what_identifies_it)
    return {check.__name__.replace("_", " "): check for check in applying}


def follow_up_requests_receive_the_response(exam: Exam) -> bool:
    """Check the follow-up requests of a driver, and that a cut in the last response is noticed, wherever it is."""
    followed = [recording for recording in exam.recordings if recording.further]
    for recording in followed:
        one, other = (_followed(exam, recording, recording.further) for _ in range(2))
        requests = one[1]
        expect(one[:2] == other[:2], f"{recording.name}: other follow-up requests for the same responses")
        many = f"{recording.name}: {len(requests)} follow-up requests for {len(recording.further)} recorded responses"
        expect(len(requests) == len(recording.further), many)
        for wire in requests:
            _expect_no_key(wire, f"{recording.name}: the key is in the clear in a follow-up request")
        if not recording.fails:
            _check_last_response(exam, recording)
    return bool(followed)


def work_is_cancelled_by_what_identifies_it(exam: Exam) -> bool:
    """Check that work is cancelled after a response that identifies it, and that nothing is sent without one."""
    driver, question = exam.driver, exam.requests[0]
    expect(driver.encode_cancel(question, {}) is None, "encode_cancel encodes a request for work that is not known")
    states = [state for recording in exam.healthy() if (state := _state_after(exam, recording))]
    wires = []
    for state in states:
        with no_input_or_output() as touched:
            wires += [wire for _ in range(2) if (wire := driver.encode_cancel(question, state)) is not None]
        expect(not touched, f"encode_cancel does I/O ({', '.join(touched)})")
    expect(bool(wires), "encode_cancel encodes no request after any of the recordings: keep what identifies the work")
    for wire in wires:
        _expect_no_key(wire, "the key is in the clear in the request that cancels; leave it to core, or use Secret")
    return True


def _followed(
    exam: Exam, recording: Recording, further: Iterable[bytes], size: int | None = None
) -> tuple[dict[str, Any], list[WireRequest], PolyglotError | None]:
    """Return the response of a recording, the follow-up requests, and the error, if there was one."""
    requests: list[WireRequest] = []
    bodies = iter(further)

    def respond(wire: WireRequest) -> list[bytes]:
        requests.append(wire)
        body = next(bodies, b"")
        return [body] if size is None else cuts(body, size)

    wire = exam.driver.encode(_question(recording))
    seen = testing.replay(
        exam.driver, wire, [recording.body], status=recording.status, headers=recording.headers, respond=respond
    )
    fields = {name: value for name, value in seen.response.to_dict().items() if name != "timing"}
    return fields, requests, seen.error


def _check_last_response(exam: Exam, recording: Recording) -> None:
    """Check that the last response may be split anywhere, and that a part of it is truncated or complete."""
    *before, last = recording.further
    whole = _followed(exam, recording, recording.further)[0]
    split = _followed(exam, recording, recording.further, 1)[0]
    expect(whole == split, f"{recording.name}: another response when that of the follow-up request is split")
    if not recording.streamed:
        return
    for length in range(0, len(last), max(1, len(last) // _MOST_PREFIXES)):
        response, _, error = _followed(exam, recording, [*before, last[:length]])
        fair = isinstance(error, Truncated) or (error is None and response["outcome"] == "finished")
        named = f"{type(error).__name__}: {error}" if error else "no error"
        expect(fair, f"{recording.name}: cut after {length} bytes of the last response it raises {named}")


def _state_after(exam: Exam, recording: Recording) -> dict[str, Any]:
    """Return what the driver keeps after the first response of a recording."""
    state: dict[str, Any] = {}
    decode = exam.driver.decoder(state)
    for chunk in testing.chunks(exam.driver.encode(_question(recording)), recording.body):
        if any(isinstance(event, Follow) for event in decode(chunk)):
            break
    return state


def _question(recording: Recording) -> InferenceRequest:
    return InferenceRequest(model="exam", messages=(Message(role="user", content="Hello"),), stream=recording.streamed)


def _expect_no_key(wire: WireRequest, why: str) -> None:
    texts = [wire.url, *(value for value in wire.headers.values() if isinstance(value, str))]
    expect(not any(KEY in text for text in texts) and KEY.encode() not in wire.body, why)
