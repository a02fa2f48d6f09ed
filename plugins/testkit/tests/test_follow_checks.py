"""The exam of a driver with follow-up requests and cancellation: a sound one passes, and each mistake is named."""

from __future__ import annotations

import types

import msgspec
import pytest
from msgspec.structs import replace

from polyglot_core.plugin import (
    Connection,
    End,
    Finish,
    Follow,
    InferenceRequest,
    Message,
    TextDelta,
    Usage,
    hookimpl,
    json_request,
    url_of,
)
from polyglot_core.testing import bind
from polyglot_testkit import Recording
from polyglot_testkit.check import KEY, Exam, ExamFailed
from polyglot_testkit.follow_checks import (
    checks_for,
    follow_up_requests_receive_the_response,
    work_is_cancelled_by_what_identifies_it,
)

CREATED = b'{"task": "t1"}'
OUTPUT = b'data: {"say": "Hel"}\n\ndata: {"say": "lo", "over": true}\n\n'
FOLLOWED = Recording(name="followed", body=CREATED, further=(OUTPUT,))


@hookimpl
def encode_request(connection, request):
    body = {"model": request.model, "text": request.messages[0].text, "live": request.stream}
    return json_request(url_of(connection, "tasks"), body, stream=False)


@hookimpl
def decode_chunk(connection, chunk, state):
    said = msgspec.json.decode(chunk.data)
    if "task" in said:
        state["task"] = said["task"]
        return [Follow(json_request(url_of(connection, f"tasks/{said['task']}"), None, stream=True))]
    events = [TextDelta(said["say"])]
    return [*events, Finish("stop", "over"), End()] if "over" in said else events


@hookimpl
def encode_cancel(connection, state):
    return json_request(url_of(connection, f"tasks/{state['task']}/cancel"), {}, stream=False) if state else None


@hookimpl
def extract_usage(payload):
    return Usage(raw=payload)


HOOKS = {each.__name__: each for each in (encode_request, decode_chunk, encode_cancel, extract_usage)}


def exam(*recordings, **hooks):
    module = types.SimpleNamespace(**{name: hook for name, hook in {**HOOKS, **hooks}.items() if hook})
    made = Connection(name="exam", driver="exam", base_url="http://127.0.0.1", api_key=KEY)
    question = InferenceRequest(model="exam", messages=(Message(role="user", content="Hello"),))
    return Exam(bind(module, made), recordings or (FOLLOWED,), (question,), frozenset({"live"}), {})


def test_sound_driver():
    """Both checks apply to it, and it passes them."""
    sound = exam()
    assert list(checks_for(sound)) == [
        "follow up requests receive the response",
        "work is cancelled by what identifies it",
    ]
    assert all(check(sound) for check in checks_for(sound).values())
    assert checks_for(exam(Recording(name="plain", body=b"{}"), encode_cancel=None)) == {}


def followed_with(change):
    """Return a hook whose follow-up requests are changed."""

    @hookimpl
    def decode_chunk(connection, chunk, state):
        events = HOOKS["decode_chunk"](connection, chunk, state)
        return [Follow(change(each.request)) if isinstance(each, Follow) else each for each in events]

    return decode_chunk


counter = iter(range(100))


@pytest.mark.parametrize(
    ("hook", "why"),
    [
        (followed_with(lambda wire: replace(wire, url=f"{wire.url}?key={KEY}")), "key is in the clear"),
        (followed_with(lambda wire: replace(wire, headers={"x": f"Bearer {KEY}"})), "key is in the clear"),
        (followed_with(lambda wire: replace(wire, url=f"{wire.url}?{next(counter)}")), "other follow-up requests"),
        (followed_with(lambda wire: replace(wire, framing="ndjson")), "cut after"),
    ],
)
def test_mistakes_of_follow_up_requests(hook, why):
    """Each mistake fails the check, which names it."""
    with pytest.raises(ExamFailed, match=why):
        follow_up_requests_receive_the_response(exam(decode_chunk=hook))


def test_number_of_recorded_responses():
    """A recording needs as many responses as there are follow-up requests."""
    with pytest.raises(ExamFailed, match="1 follow-up requests for 2 recorded responses"):
        follow_up_requests_receive_the_response(exam(replace(FOLLOWED, further=(OUTPUT, OUTPUT))))
    with pytest.raises(ExamFailed, match="2 follow-up requests for 1 recorded responses"):
        follow_up_requests_receive_the_response(exam(replace(FOLLOWED, further=(b"data: " + CREATED + b"\n\n",))))


@hookimpl
def cancel_unknown(connection):
    return json_request(url_of(connection, "cancel"), {}, stream=False)


@hookimpl
def cancel_never():
    return None


@hookimpl
def cancel_with_key(connection, state):
    return json_request(url_of(connection, f"cancel/{KEY}"), {}, stream=False) if state else None


@hookimpl
def cancel_with_a_read(connection, state):
    if not state:
        return None
    with open(__file__, "rb"):  # noqa: PTH123 (I/O of the simplest kind)
        return json_request(url_of(connection, "cancel"), {}, stream=False)


@pytest.mark.parametrize(
    ("hook", "why"),
    [
        (cancel_unknown, "work that is not known"),
        (cancel_never, "encodes no request"),
        (cancel_with_key, "key is in the clear"),
        (cancel_with_a_read, "does I/O"),
    ],
)
def test_mistakes_of_cancellation(hook, why):
    """Each mistake fails the check, which names it."""
    hooks = {"encode_cancel": hookimpl(hook)}
    hook.__name__ = "encode_cancel"
    with pytest.raises(ExamFailed, match=why):
        work_is_cancelled_by_what_identifies_it(exam(**hooks))
