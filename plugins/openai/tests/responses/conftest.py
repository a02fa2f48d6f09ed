"""Fixtures that decode and encode OpenAI Responses."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from polyglot_core._client.arguments import as_messages
from polyglot_core.plugin import Connection, InferenceRequest, Message
from polyglot_core.testing import bind
from polyglot_openai.responses import driver
from polyglot_testkit import Recording, replay


def _bound(facts=None):
    fields = {"base_url": "http://127.0.0.1/v1", "api_key": "test-key", "facts": facts or {}}
    return bind(driver, Connection(name="t", driver="openai-responses", **fields))


def _object(*items, status="completed", **fields):
    """Return a response object with these items."""
    return {"id": "resp_1", "model": "m-1", "status": status, "output": list(items)} | fields


def _event(kind, **fields):
    return {"type": f"response.{kind}", **fields}


def _begun(item):
    empty = {"content": [], "summary": [], "arguments": "", "input": "", "result": None}
    return {name: empty.get(name, value) for name, value in item.items()} | {"status": "in_progress"}


def _deltas(index, item):
    """Yield the events between the beginning and the end of an item."""
    place = {"output_index": index, "item_id": item.get("id")}
    for number, part in enumerate(item.get("summary") or []):
        yield from _pieces("reasoning_summary_text", part["text"], **place, summary_index=number)
    parts = item.get("content") if isinstance(item.get("content"), list) else []
    for number, part in enumerate(parts):
        yield _event("content_part.added", part=part, **place, content_index=number)
        if part["type"] in {"output_text", "refusal", "reasoning_text"}:
            text = part["refusal" if part["type"] == "refusal" else "text"]
            yield from _pieces(part["type"], text, **place, content_index=number)
    for name, kind in (("arguments", "function_call_arguments"), ("input", "custom_tool_call_input")):
        if item.get("type") in {"function_call", "custom_tool_call"} and isinstance(item.get(name), str):
            yield from _pieces(kind, item[name], **place)


def _pieces(kind, text, **place):
    for piece in (text[:3], text[3:]):
        if piece:
            yield _event(f"{kind}.delta", delta=piece, **place)


def _events(*items, last=None, **fields):
    """Return the events of a stream of these items, as OpenAI sends them."""
    events = [_event("created", response=_object(status="in_progress"))]
    for index, item in enumerate(items):
        events += [_event("output_item.added", output_index=index, item=_begun(item)), *_deltas(index, item)]
        events.append(_event("output_item.done", output_index=index, item=item))
    final = _object(*items, **fields) if last is None else last
    return [*events, _event(final["status"], response=final)]


def _sse(*events):
    blocks = (each if isinstance(each, bytes) else f"data: {json.dumps(each)}\n\n".encode() for each in events)
    return b"".join(blocks)


def _streamed(*events, facts=None):
    """Decode events; return what was seen."""
    return replay(_bound(facts), Recording(name="stream", body=_sse(*events)))


def _plain(body, facts=None):
    """Decode a plain response; return what was seen."""
    return replay(_bound(facts), Recording(name="plain", body=json.dumps(body).encode(), streamed=False))


def _received(mode, *items, **fields):
    """Return the response of these items, ``streamed``, or ``plain``, or one that only the last event contains."""
    if mode == "plain":
        seen = _plain(_object(*items, **fields))
    elif mode == "last":
        seen = _streamed(_event("completed", response=_object(*items, **fields)))
    else:
        seen = _streamed(*_events(*items, **fields))
    assert seen.error is None
    return seen.response


def _body(*turns, facts=None, **fields):
    """Return the body of a request with these turns."""
    messages = [turn if isinstance(turn, Message) else as_messages([turn])[0] for turn in turns]
    request = InferenceRequest(model="m", messages=tuple(messages), **fields)
    return json.loads(_bound(facts).encode(request).body)


def _sent(*turns, **fields):
    """Return the input items of a request with these turns."""
    return _body(*turns, **fields)["input"]


@pytest.fixture(scope="session")
def responses():
    """Return the functions that decode and encode with the driver."""
    return SimpleNamespace(
        body=_body,
        event=_event,
        events=_events,
        object=_object,
        plain=_plain,
        received=_received,
        sent=_sent,
        sse=_sse,
        streamed=_streamed,
    )
