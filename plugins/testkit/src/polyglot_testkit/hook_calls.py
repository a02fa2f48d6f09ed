"""Calls of each hook of a driver with the inputs of its exam, for the checks that watch the hooks themselves."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from polyglot_core import testing
from polyglot_core.errors import PolyglotError
from polyglot_core.plugin import EmbeddingRequest, Message, TextDelta, UsageReport, WireResponse
from polyglot_testkit.input_output import no_network
from polyglot_testkit.recording import replay, request_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from polyglot_core.plugin import Chunk, InferenceRequest, WireRequest
    from polyglot_testkit.check import Exam
    from polyglot_testkit.recording import Recording

    _Inputs = Iterator[tuple[str, dict[str, Any]]]

__all__ = [
    "HOOKS",
    "HookCall",
    "calls_of",
    "chunks_of",
    "events_of",
    "outcome_of",
    "payloads_of",
    "question",
    "state_after",
    "texts_of",
    "wire_of",
]

HOOKS = (
    "encode_request",
    "decode_chunk",
    "extract_usage",
    "authorize",
    "decode_error",
    "encode_prefill",
    "encode_resume",
    "encode_cancel",
    "list_models",
    "encode_embeddings",
    "decode_embeddings",
    "embedding_limits",
)
"""The hooks that the exam runs."""


class HookCall(NamedTuple):
    """One call of a hook.

    Attributes:
        hook: Name of the hook.
        what: Its input, in messages.
        run: Calls the implementation itself, and returns what it returns.
    """

    hook: str
    what: str
    run: Callable[[], object]


def question(exam: Exam, *, stream: bool = True) -> InferenceRequest:
    """Return the plain question of the exam."""
    return msgspec.structs.replace(exam.requests[0], stream=stream)


def calls_of(exam: Exam) -> Iterator[HookCall]:
    """Yield a call for each hook of the driver and each input that the exam has for it.

    Inputs that another hook has to make first, and cannot, are left out: the calls of that hook fail.
    """
    for hook, inputs in _INPUTS.items():
        if hook in exam.driver.hooks:
            with contextlib.suppress(Exception, SystemExit):
                for what, values in inputs(exam):
                    yield HookCall(hook, what, _calling(exam, hook, values))


def _calling(exam: Exam, hook: str, values: dict[str, Any]) -> Callable[[], object]:
    function, names = exam.driver.hooks[hook]
    bound = {"connection": exam.connection, **values}
    return lambda: function(*(bound[name] for name in names))


def _requests(exam: Exam) -> _Inputs:
    for number, request in enumerate(exam.requests):
        for stream in (True, False):
            what = f"{'a streamed' if stream else 'a plain'} request{f' {number}' if number else ''}"
            yield what, {"request": msgspec.structs.replace(request, stream=stream)}


def _chunks(exam: Exam) -> _Inputs:
    for recording in exam.recordings:
        if recording.status < 400:
            state: dict[str, Any] = {}
            for chunk in chunks_of(exam, recording):
                yield recording.name, {"chunk": chunk, "state": state}


def _payloads(exam: Exam) -> _Inputs:
    yield "an empty object", {"payload": {}}
    for recording in exam.healthy():
        for payload in payloads_of(exam, recording):
            yield f"the usage of {recording.name}", {"payload": payload}


def _wires(exam: Exam) -> _Inputs:
    for what, values in _requests(exam):
        yield what, {"wire": exam.driver.encode(values["request"])}


def _error_responses(exam: Exam) -> _Inputs:
    yield "an empty body", {"response": WireResponse(status=503, headers={}, body=b"")}
    for recording in exam.recordings:
        if recording.status >= 400:
            response = WireResponse(status=recording.status, headers=recording.headers, body=recording.body)
            yield recording.name, {"response": response}


def _prefills(exam: Exam) -> _Inputs:
    for request in exam.requests:
        for text in ("", "The response begins"):
            yield f"the text {text!r}", {"request": msgspec.structs.replace(request, stream=True), "text": text}


def _resumes(exam: Exam) -> _Inputs:
    for each in exam.requests:
        request = msgspec.structs.replace(each, stream=True)
        yield "an empty state", {"request": request, "state": {}}
        for recording in exam.streams():
            yield f"the state after {recording.name}", {"request": request, "state": state_after(exam, recording)}


def _pages(exam: Exam) -> _Inputs:
    yield "the first request", {"data": None, "models": []}
    for number, page in enumerate(exam.models):
        yield f"page {number + 1}", {"data": page, "models": []}


def _texts(exam: Exam) -> _Inputs:
    messages = tuple(Message(role="user", content=text) for text in ("Hello", "there"))
    yield "two texts", {"request": EmbeddingRequest(model=exam.model, messages=messages)}


def _vectors(exam: Exam) -> _Inputs:
    for what, values in _texts(exam):
        yield f"{what} and an empty object", {**values, "data": b"{}"}


def _models(exam: Exam) -> _Inputs:
    yield f"the model {exam.model}", {"model": exam.model}


_INPUTS: dict[str, Callable[[Exam], _Inputs]] = {
    "encode_request": _requests,
    "decode_chunk": _chunks,
    "extract_usage": _payloads,
    "authorize": _wires,
    "decode_error": _error_responses,
    "encode_prefill": _prefills,
    "encode_resume": _resumes,
    "encode_cancel": _resumes,
    "list_models": _pages,
    "encode_embeddings": _texts,
    "decode_embeddings": _vectors,
    "embedding_limits": _models,
}


def chunks_of(exam: Exam, recording: Recording) -> list[Chunk]:
    """Return the chunks of a recording; none if its framing cannot read it."""
    try:
        return testing.chunks(wire_of(exam, recording), recording.body)
    except PolyglotError:
        return []


def wire_of(exam: Exam, recording: Recording) -> WireRequest:
    """Return the encoded request of a recording."""
    return exam.driver.encode(request_of(recording, exam.model))


def events_of(exam: Exam, recording: Recording) -> list[Any]:
    """Return the events of a recording, in order."""
    return replay(exam.driver, recording).events


def payloads_of(exam: Exam, recording: Recording) -> list[Any]:
    """Return the usage objects in a recording."""
    return [event.payload for event in events_of(exam, recording) if isinstance(event, UsageReport)]


def texts_of(exam: Exam, recording: Recording) -> list[str]:
    """Return the pieces of text in a recording, the longest first."""
    texts = [event.text for event in events_of(exam, recording) if isinstance(event, TextDelta) and event.text.strip()]
    return sorted(texts, key=len, reverse=True)


def state_after(exam: Exam, recording: Recording) -> dict[str, Any]:
    """Return the state that the chunks of a recording leave, without its last two."""
    state: dict[str, Any] = {}
    decode = exam.driver.decoder(state)
    for chunk in chunks_of(exam, recording)[:-2]:
        try:
            decode(chunk)
        except Exception:  # noqa: BLE001 (other checks report it)
            break
    return state


def outcome_of(call: HookCall) -> BaseException | None:
    """Run a call, without a network, and return the exception that it raised, `SystemExit` included."""
    try:
        with no_network():
            call.run()
    except (Exception, SystemExit) as error:  # noqa: BLE001 (whatever the driver raises is judged by the check)
        return error
    return None
