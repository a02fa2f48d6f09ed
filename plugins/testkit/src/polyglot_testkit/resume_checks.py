"""Checks of requests that continue a response: by a prefill, or by the provider that has stored it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from polyglot_core.errors import RequestError
from polyglot_core.plugin import InferenceRequest, Message, json_access
from polyglot_testkit.check import NothingToCheck, expect, nothing_to_check
from polyglot_testkit.hook_calls import state_after
from polyglot_testkit.json_paths import keys_and_texts
from polyglot_testkit.recording import replay

if TYPE_CHECKING:
    from polyglot_core.plugin import WireRequest
    from polyglot_testkit.check import Exam

__all__ = ["prefill_continues_the_text", "resume_names_the_response"]

_BEGUN = "The response begins: grüße 世界 🚀 and"


def prefill_continues_the_text(exam: Exam) -> bool:
    """Check that a prefill has the text that was received, behind the conversation, and is read as the request is."""
    if "encode_prefill" not in exam.driver.hooks:
        nothing_to_check("the driver has no hook encode_prefill")
    asked = "What begins like this?"
    messages = (Message(role="system", content="Be brief."), Message(role="user", content=asked))
    checked = False
    for stream in (True, False):
        request = InferenceRequest(model=exam.model, messages=messages, stream=stream, options={"max_tokens": 517})
        plain = exam.driver.encode(request)
        try:
            exam.driver.encode_prefill(request, "")
            wire = exam.driver.encode_prefill(request, _BEGUN)
        except RequestError as error:
            nothing_to_check(f"encode_prefill rejects the request: {error}")
        checked = True
        _has_all(plain, wire)
        sent = keys_and_texts(json_access.parse(wire.body, otherwise=None))
        places = [number for number, text in enumerate(sent) if _BEGUN in text]
        expect(bool(places), "encode_prefill: the text that was received is not in the body")
        asked_at = [number for number, text in enumerate(sent) if asked in text]
        expect(bool(asked_at) and asked_at[-1] < places[-1], "encode_prefill: the text is not behind the conversation")
    return checked


def _has_all(plain: WireRequest, wire: WireRequest) -> None:
    """Fail if a prefill lacks what the plain request has, or is read in another way."""
    fields: list[Any] = [(each.framing, each.complete_on, each.finish_counts, each.method) for each in (plain, wire)]
    expect(fields[0] == fields[1], "encode_prefill: the response is read in another way than that of encode_request")
    sent = keys_and_texts(json_access.parse(wire.body, otherwise=None))
    lost = [text for text in keys_and_texts(json_access.parse(plain.body, otherwise=None)) if text not in sent]
    expect(not lost, f"encode_prefill: the body lacks {', '.join(map(repr, lost))} of the request")


def _resumable(exam: Exam) -> tuple[InferenceRequest, WireRequest | None]:
    """Return the first request whose response can be resumed, and what the hook returns for an empty state."""
    reasons: list[str] = []
    for each in exam.requests:
        request = replace(each, stream=True)
        try:
            return request, exam.driver.encode_resume(request, {})
        except RequestError as error:
            reasons.append(str(error))
    raise NothingToCheck(f"encode_resume rejects the requests of the exam: {reasons[0]}")


def resume_names_the_response(exam: Exam) -> bool:
    """Check that a stored response is not resumed before its id is known, and that the request has the id then."""
    if "encode_resume" not in exam.driver.hooks:
        nothing_to_check("the driver has no hook encode_resume")
    request, first = _resumable(exam)
    expect(first is None, "encode_resume returns a request for an empty state, in which no response is identified")
    checked = False
    for recording in exam.streams():
        name = replay(exam.driver, recording).response.id
        wire = exam.driver.encode_resume(request, state_after(exam, recording))
        if wire is None or name is None:
            continue
        checked = True
        named = name in wire.url or name.encode() in wire.body
        expect(named, f"encode_resume: the id {name!r} of {recording.name} is neither in the URL nor in the body")
        framed = wire.framing == exam.driver.encode(request).framing
        expect(framed, "encode_resume: the response has another framing than that of encode_request")
    if not checked:
        nothing_to_check("no recorded stream leaves a state from which encode_resume returns a request")
    return True
