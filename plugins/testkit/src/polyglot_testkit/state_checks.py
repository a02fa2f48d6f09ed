"""Checks that a driver keeps its state in `state` alone, and leaves what it is given unchanged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from polyglot_testkit.check import ExamFailed, expect, nothing_to_check
from polyglot_testkit.hook_calls import chunks_of, question
from polyglot_testkit.probes import probes_for
from polyglot_testkit.recording import replay, response_fields

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from polyglot_core.plugin import Chunk
    from polyglot_testkit.check import Exam
    from polyglot_testkit.recording import Recording

__all__ = [
    "abandoned_streams_leave_no_trace",
    "arguments_stay_unchanged",
    "chunks_of_two_streams_alternate",
    "unreadable_chunks_change_no_state",
]

_NO_STREAM = "no recording is a stream"


def chunks_of_two_streams_alternate(exam: Exam) -> bool:
    """Check that two streams are decoded to the same events when their chunks alternate, as in two calls at once.

    A request is encoded before each chunk too. One recording is enough: it is decoded twice, one chunk apart.
    """
    streams = [(recording, chunks) for recording in exam.streams() if len(chunks := chunks_of(exam, recording)) > 1]
    if not streams:
        nothing_to_check(_NO_STREAM)
    for number, (recording, chunks) in enumerate(streams):
        alone = _decode_all(exam, chunks)
        for other, others in (streams[number], streams[number - 1]):
            for lead in (1, 2):
                mixed = _decode_alternating(exam, chunks, others, lead)
                why = f"{recording.name}: other events while {other.name} is decoded too; keep state in `state` only"
                expect(alone == mixed, why)
    return True


def _decode_all(exam: Exam, chunks: Sequence[Chunk]) -> list[object]:
    decode = exam.driver.decoder({})
    return [_decoded(decode, chunk) for chunk in chunks]


def _decode_alternating(exam: Exam, chunks: Sequence[Chunk], others: Sequence[Chunk], lead: int) -> list[object]:
    """Return the events of `chunks`, each decoded after one of `others`, of which `lead` are decoded first."""
    decode, decode_other = exam.driver.decoder({}), exam.driver.decoder({})
    rest = iter(others)
    for chunk in [each for each, _ in zip(rest, range(lead), strict=False)]:
        _decoded(decode_other, chunk)
    found = []
    for number, chunk in enumerate(chunks):
        exam.driver.encode(question(exam, stream=bool(number % 2)))
        found.append(_decoded(decode, chunk))
        if (other := next(rest, None)) is not None:
            _decoded(decode_other, other)
    return found


def _decoded(decode: Callable[[Chunk], Any], chunk: Chunk) -> object:
    """Return the events of a chunk, or the exception as text."""
    try:
        return list(decode(chunk))
    except Exception as error:  # noqa: BLE001 (compared with the one that is raised alone)
        return f"{type(error).__name__}: {error}"


def unreadable_chunks_change_no_state(exam: Exam) -> bool:
    """Check that a chunk that cannot be parsed leaves `state` as it was: core may repair it and decode it once more."""
    streams = exam.streams()
    if not streams:
        nothing_to_check(_NO_STREAM)
    for recording in streams:
        chunks = chunks_of(exam, recording)
        decode, found = exam.driver.decoder({}), []
        for chunk in chunks:
            half = chunk.data[: len(chunk.data) // 2]
            if not _can_decode(exam, half, chunk):
                _decoded(decode, msgspec.structs.replace(chunk, data=half))
            found.append(_decoded(decode, chunk))
        why = f"{recording.name}: an unreadable chunk changes what follows; parse the chunk before you change `state`"
        expect(found == _decode_all(exam, chunks), why)
    return True


def _can_decode(exam: Exam, data: bytes, chunk: Chunk) -> bool:
    try:
        exam.driver.decoder({})(msgspec.structs.replace(chunk, data=data))
    except msgspec.DecodeError:
        return False
    except Exception:  # noqa: BLE001 (judged by other checks)
        return True
    return True


def abandoned_streams_leave_no_trace(exam: Exam) -> bool:
    """Check that a response is the same after another stream was abandoned at any of its chunks."""
    streams = exam.streams()
    if not streams:
        nothing_to_check(_NO_STREAM)
    for recording in streams:
        before = exam.first.get(recording.name)
        for other in streams:
            _abandon(exam, other)
            why = f"{recording.name}: another response after {other.name} was abandoned; keep state in `state` only"
            expect(before in {None, response_fields(exam.driver, recording)}, why)
    return True


_MOST_ABANDONED = 6


def _abandon(exam: Exam, recording: Recording) -> None:
    chunks = chunks_of(exam, recording)
    for length in range(1, min(len(chunks), _MOST_ABANDONED)):
        _decode_all(exam, chunks[:length])


def arguments_stay_unchanged(exam: Exam) -> bool:
    """Check that encoding changes nothing in the request, whose options and messages belong to the caller."""
    requests = [*exam.requests, *(probe.request for probe in probes_for(exam.model))]
    for request in requests:
        before = repr(request)
        try:
            exam.driver.encode(request)
        except Exception:  # noqa: BLE001, S112 (judged by other checks)
            continue
        expect(repr(request) == before, "encode_request changes the request that it receives")
    for recording in exam.healthy():
        for event in replay(exam.driver, recording).events:
            if (payload := getattr(event, "payload", None)) is not None and type(event).__name__ == "UsageReport":
                _usage_stays(exam, recording, payload)
    return True


def _usage_stays(exam: Exam, recording: Recording, payload: Any) -> None:  # noqa: ANN401 (the provider's object)
    before = msgspec.json.encode(dict(payload))
    exam.driver.extract_usage(payload)
    if msgspec.json.encode(dict(payload)) != before:
        msg = f"{recording.name}: extract_usage changes the provider's object"
        raise ExamFailed(msg)
