"""Wrong drivers: each is the reference driver with one small change of a hook, under a name that states the change.

python -m plugins.testkit.tests.mutants        prints which check names which mutant
"""

from __future__ import annotations

import base64
import html
import json
import random
import threading
import time
import types
import unicodedata
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from polyglot_core.plugin import (
    Connection,
    End,
    Failure,
    Finish,
    Message,
    Model,
    ReasoningDelta,
    ResponseStarted,
    Secret,
    TextDelta,
    ToolCallDelta,
    Usage,
    UsageReport,
    hookimpl,
    json_request,
)
from polyglot_testkit import reference
from polyglot_testkit.exam import Report, examine, prepare

from .reference_recordings import PAGES, RECORDINGS, REQUEST, SINGLE

HOOKS = reference.__all__
CONNECTION = Connection(name="reference", driver="reference", base_url="https://api.example.com/v1", model="m-1")


def driver(**hooks):
    """Return a module with the reference driver's hooks, some of them replaced. ``unmarked`` names one without mark."""
    unmarked = hooks.get("unmarked")
    module = types.ModuleType("mutant")
    for name in HOOKS:
        hook = hooks.get(name, getattr(reference, name))
        setattr(module, name, (lambda *_: None) if name == unmarked else hookimpl(hook))
    return module


def run(hooks, recordings, pages=()) -> Report:
    """Return the report of the exam on a mutant."""
    exam = prepare(driver(**hooks), recordings, connection=CONNECTION, requests=[REQUEST], models=pages)
    return examine(exam)


# Encoding


def body(change):
    """Return hooks whose JSON body is changed."""

    def encode_request(connection, request):
        wire = reference.encode_request(connection, request)
        return replace(wire, body=json.dumps(change(json.loads(wire.body), connection, request)).encode())

    return {"encode_request": encode_request, "encode_prefill": prefilling(encode_request)}


def wire(change):
    """Return hooks whose request is changed."""

    def encode_request(connection, request):
        return change(reference.encode_request(connection, request), connection, request)

    return {"encode_request": encode_request, "encode_prefill": prefilling(encode_request)}


def prefilling(encode_request):
    return lambda connection, request, text: encode_request(connection, request.with_prefill(text))


def asking(change):
    """Return hooks that encode a changed request."""
    hook = {"encode_request": lambda connection, request: reference.encode_request(connection, change(request))}
    return {**hook, "encode_prefill": prefilling(hook["encode_request"])}


def with_url(url):
    """Return hooks whose URL is made of the connection and the request."""
    return wire(lambda sent, connection, request: replace(sent, url=url(connection, request)))


def messages(change):
    return body(lambda sent, *_: {**sent, "messages": change(sent["messages"])})


def each_message(change):
    return messages(lambda all_: [change(message) for message in all_])


def ascii_only(value):
    """Return a JSON value without the characters that are not ASCII."""
    if isinstance(value, str):
        return value.encode("ascii", "ignore").decode()
    if isinstance(value, dict):
        return {name: ascii_only(each) for name, each in value.items()}
    return [ascii_only(each) for each in value] if isinstance(value, list) else value


def stripped(message):
    text = message.get("content")
    return {**message, "content": text[:-1]} if isinstance(text, str) and text else message


def as_user(message):
    return {**message, "role": "user"} if message["role"] == "assistant" else message


def without_ids(message):
    return {**message, "tool_call_id": "call"} if "tool_call_id" in message else message


def without_arguments(message):
    calls = [{**each, "function": {**each["function"], "arguments": "{}"}} for each in message.get("tool_calls", ())]
    return {**message, "tool_calls": calls} if calls else message


def known_options(request):
    known = ("max_tokens", "temperature", "stop", "seed", "top_p", "top_k")
    return replace(request, options={name: value for name, value in request.options.items() if name in known})


def always_raising(connection, request):
    return reference.encode_request(connection, replace(request, unsupported="raise"))


def silently_dropping(connection, request):
    return reference.encode_request(connection, replace(request, unsupported="drop"))


def reading_a_file(connection, request):
    Path(__file__).read_bytes()
    return reference.encode_request(connection, request)


def changing_the_request(connection, request):
    request.options.pop("temperature", None)
    return reference.encode_request(connection, request)


_numbers = iter(range(1_000_000))


def numbered(sent, *_):
    return replace(sent, headers={**sent.headers, "x-request": str(next(_numbers))})


def keyed_header(sent, connection, _):
    return replace(sent, headers={**sent.headers, "x-key": connection.secret.reveal()})


def basic_header(sent, connection, _):
    encoded = base64.b64encode(b"user:" + connection.secret.reveal().encode()).decode()
    return replace(sent, headers={**sent.headers, "x-login": f"Basic {encoded}"})


def keyed_body(sent, connection, _):
    return {**sent, "user": base64.b64encode(connection.secret.reveal().encode()).decode()}


def zero_is_nothing(request):
    return replace(request, options={name: value for name, value in request.options.items() if value})


def halved(sent, *_):
    return {**sent, "limit": sent["limit"] // 2} if "limit" in sent else sent


def whole_temperature(sent, *_):
    return {**sent, "temperature": int(sent["temperature"])} if "temperature" in sent else sent


ENCODING = {
    "a slash of the base URL is doubled": with_url(lambda c, _: f"{c.base_url}/chat"),
    "the base URL's path is lost": with_url(
        lambda c, _: "/".join((c.base_url or "https://a.b").split("/")[:3]) + "/chat"
    ),
    "the base URL is ignored": with_url(lambda *_: "https://api.example.com/v1/chat"),
    "the model is not escaped in the URL": with_url(lambda c, r: f"{reference.url_of(c, r.model)}"),
    "the key is in the URL": with_url(lambda c, _: f"{reference.url_of(c, 'chat')}?key={c.secret.reveal()}"),
    "the key is in a plain header": wire(keyed_header),
    "the key is in a plain header, in base64": wire(basic_header),
    "the key is in the body, in base64": body(keyed_body),
    "encoding reads a file": {"encode_request": reading_a_file},
    "encoding numbers its requests": wire(numbered),
    "encoding changes the request": {"encode_request": changing_the_request},
    "encode_request returns None": {"encode_request": lambda connection, request: None},
    "text that is not ASCII is lost in requests": body(lambda sent, *_: ascii_only(sent)),
    "the last character of each message is lost": each_message(stripped),
    "the system message is lost": messages(lambda all_: [each for each in all_ if each["role"] != "system"]),
    "only the last message is sent": messages(lambda all_: all_[-1:]),
    "messages are sent in reverse": messages(lambda all_: all_[::-1]),
    "the assistant's turns are sent as the user's": each_message(as_user),
    "ids of tool results are lost": each_message(without_ids),
    "arguments of tool calls are not sent back": each_message(without_arguments),
    "descriptions of tools are lost": asking(
        lambda r: replace(r, tools=tuple(replace(each, description=None) for each in r.tools))
    ),
    "parameters of tools are lost": asking(
        lambda r: replace(r, tools=tuple(replace(each, parameters={}) for each in r.tools))
    ),
    "misspelt options are swallowed": asking(known_options),
    "unsupported='drop' raises": {"encode_request": always_raising},
    "what is unsupported is dropped silently": {"encode_request": silently_dropping},
    "0 is taken for no value": asking(zero_is_nothing),
    "max_tokens is halved": body(halved),
    "temperature becomes a whole number": body(whole_temperature),
    "header names are in upper case": wire(
        lambda sent, *_: replace(sent, headers={"Content-Type": "application/json"})
    ),
    "a plain response is read as a stream": wire(lambda sent, *_: replace(sent, framing="sse")),
    "extra loses against the driver's fields": body(lambda sent, _, r: {**sent, "model": r.model}),
    "the model is written in small letters": body(lambda sent, *_: {**sent, "model": sent["model"].lower()}),
    "the connection's model is sent": body(lambda sent, c, _: {**sent, "model": c.model}),
    "messages that are repeated are sent once": messages(
        lambda all_: list({str(each): each for each in all_}.values())
    ),
    "long messages are truncated": each_message(
        lambda message: {**message, "content": message["content"][:4096]} if "content" in message else message
    ),
    "extra is lost": asking(lambda r: replace(r, extra={})),
    "stream is always sent": body(lambda sent, *_: {**sent, "stream": True}),
    "streaming changes another field": body(lambda sent, _, r: {**sent, "fast": r.stream}),
}


# Continuations and credentials


def signing(change):
    def authorize(connection, wire):
        return change(reference.authorize(connection, wire), connection)

    return {"authorize": authorize}


def remembering():
    memory = []

    def authorize(connection, wire):
        memory.append(connection.secret)
        return replace(wire, headers={**wire.headers, "authorization": memory[0]})

    return {"authorize": authorize}


def url_signed(sent, connection):
    return replace(sent, url=f"{sent.url}?key={connection.secret.reveal()}")


def header_in_base64(sent, connection):
    encoded = base64.b64encode(f"me:{connection.secret.reveal()}".encode()).decode()
    return replace(sent, headers={**sent.headers, "authorization": f"Basic {encoded}"})


def stamped(sent, _):
    return replace(sent, body=sent.body.replace(b"{", b'{"signed": true, ', 1))


def crashing(*_):
    raise KeyError("account")


def prefill_without_text(connection, request, text):
    return reference.encode_request(connection, request)


def prefill_first(connection, request, text):
    turn = Message(role="assistant", content=text)
    return reference.encode_request(connection, replace(request, messages=(turn, *request.messages)))


def prefill_alone(connection, request, text):
    turn = Message(role="user", content=text)
    return reference.encode_request(connection, replace(request, messages=(turn,)))


def prefill_plain(connection, request, text):
    return reference.encode_request(connection, replace(request.with_prefill(text), stream=False))


def resume_at_once(connection, request, state):
    return json_request(reference.url_of(connection, f"responses/{state.get('id')}"), None, stream=True)


def resume_without_id(connection, request, state):
    return json_request(reference.url_of(connection, "responses/last"), None, stream=True) if state else None


def resume_by_key(connection, request, state):
    return json_request(reference.url_of(connection, f"responses/{state['id']}"), None, stream=True)


CONTINUATIONS = {
    "authorize puts the key into the URL": signing(url_signed),
    "authorize writes the key in base64": signing(header_in_base64),
    "authorize changes the body after it is signed": signing(stamped),
    "authorize loses the headers": signing(lambda sent, _: replace(sent, headers={"x-signature": Secret("s")})),
    "authorize adds nothing": {"authorize": lambda connection, wire: wire},
    "authorize remembers the first key": remembering(),
    "authorize crashes": {"authorize": lambda connection, wire: crashing()},
    "authorize returns None": {"authorize": lambda connection, wire: None},
    "authorize sends the key to another host": signing(lambda sent, _: replace(sent, url="https://other.example/chat")),
    "prefill has not the text": {"encode_prefill": prefill_without_text},
    "prefill has the text first": {"encode_prefill": prefill_first},
    "prefill has the text alone": {"encode_prefill": prefill_alone},
    "prefill is not streamed": {"encode_prefill": prefill_plain},
    "prefill crashes": {"encode_prefill": lambda connection, request, text: crashing()},
    "resume does not wait for the id": {"encode_resume": resume_at_once},
    "resume does not name the response": {"encode_resume": resume_without_id},
    "resume crashes without an id": {"encode_resume": resume_by_key},
}


# Decoding


def events(change):
    """Return hooks whose events of each chunk are changed."""

    def decode_chunk(chunk, state):
        return change(list(reference.decode_chunk(chunk, state)))

    return {"decode_chunk": decode_chunk}


def each_event(change):
    return events(lambda all_: [new for each in all_ if (new := change(each)) is not None])


def on(kind, **fields):
    """Return hooks that change fields of one kind of event, each by a function of its value."""

    def change(event):
        if not isinstance(event, kind):
            return event
        return replace(event, **{name: new(getattr(event, name)) for name, new in fields.items()})

    return each_event(change)


def chunks(change):
    """Return hooks that decode a changed chunk."""
    return {"decode_chunk": lambda chunk, state: reference.decode_chunk(change(chunk), state)}


def without(kind):
    return each_event(lambda event: None if isinstance(event, kind) else event)


def module_memory(*, cleared):
    """Return hooks that keep the state in the module, and clear it at the end of a response or never."""
    memory = {}

    def decode_chunk(chunk, state):
        found = list(reference.decode_chunk(chunk, memory))
        if cleared and any(isinstance(each, (End, Failure)) or chunk.kind == "whole" for each in found):
            memory.clear()
        return found

    return {"decode_chunk": decode_chunk}


def counting_memory():
    """Return hooks that give each text a block by a number in the module, which begins anew with each response."""
    memory = {"block": 0}

    def decode_chunk(chunk, state):
        memory["block"] = 0 if b'"id"' in chunk.data else memory["block"] + 1
        found = reference.decode_chunk(chunk, state)
        return [replace(each, block=memory["block"]) if isinstance(each, TextDelta) else each for each in found]

    return {"decode_chunk": decode_chunk}


def last_request():
    """Return hooks that read a response as the last request was sent."""
    memory = {}

    def encode_request(connection, request):
        memory["stream"] = request.stream
        return reference.encode_request(connection, request)

    def decode_chunk(chunk, state):
        found = list(reference.decode_chunk(chunk, state))
        return found if memory["stream"] or chunk.kind == "whole" else found[:-1]

    return {"encode_request": encode_request, "decode_chunk": decode_chunk}


def sleeping(chunk, state):
    time.sleep(0)
    return reference.decode_chunk(chunk, state)


def logging_to_file(chunk, state):
    with Path("/dev/null").open("ab") as file:
        file.write(chunk.data)
    return reference.decode_chunk(chunk, state)


def printing(chunk, state):
    print(end="")
    return reference.decode_chunk(chunk, state)


def generating(chunk, state):
    yield from reference.decode_chunk(chunk, state)


def nothing_for_the_end(chunk, state):
    return None if chunk.data == b"[DONE]" else reference.decode_chunk(chunk, state)


def random_blocks(chunk, state):
    found = reference.decode_chunk(chunk, state)
    return [replace(each, block=random.randrange(9)) if isinstance(each, TextDelta) else each for each in found]


def finish_beside_the_end(found):
    """Lose a finish that is beside an end: here, in the chunk with the usage."""
    if any(isinstance(each, UsageReport) for each in found):
        return [each for each in found if not isinstance(each, Finish)]
    return found


def done_within(chunk, state):
    return (End(),) if b"[DONE]" in chunk.data else reference.decode_chunk(chunk, state)


def swallowing(chunk, state):
    try:
        return reference.decode_chunk(chunk, state)
    except msgspec.DecodeError:
        return []


def starting_a_thread(chunk, state):
    threading.Thread(target=lambda: None).start()
    return reference.decode_chunk(chunk, state)


def by_subscript(chunk, state):
    """Decode by subscripts, which fail where a field has another type."""
    if chunk.data != b"[DONE]":
        piece = msgspec.json.decode(chunk.data)
        len(piece.get("text") or "")
        (piece.get("usage") or {}).get("input")
    return reference.decode_chunk(chunk, state)


def strict_fields(chunk, state):
    if chunk.data != b"[DONE]":
        known = {"id", "model", "reasoning", "text", "call", "calls", "finish_reason", "usage", "error"}
        assert set(msgspec.json.decode(chunk.data)) <= known
    return reference.decode_chunk(chunk, state)


def every_second(chunk, state):
    found = list(reference.decode_chunk(chunk, state))
    state["texts"] = state.get("texts", 0) + any(isinstance(each, TextDelta) for each in found)
    return [each for each in found if not isinstance(each, TextDelta) or state["texts"] % 2]


def by_the_clock(chunk, state):
    found = reference.decode_chunk(chunk, state)
    return [replace(each, id=f"{time.time():.0f}") if isinstance(each, ResponseStarted) else each for each in found]


def errors_as_text(found):
    return [TextDelta(each.message) if isinstance(each, Failure) else each for each in found]


def doubled_on(kind):
    return events(lambda all_: [new for each in all_ for new in ([each, each] if isinstance(each, kind) else [each])])


def doubled_arguments(event):
    return replace(event, arguments=event.arguments * 2) if isinstance(event, ToolCallDelta) else event


def ended_with(reason):
    return each_event(lambda each: Finish(reason, each.raw) if isinstance(each, Finish) else each)


def whole_only(change):
    """Return hooks that change the events of a plain response only."""

    def decode_chunk(chunk, state):
        found = list(reference.decode_chunk(chunk, state))
        return [new for each in found if (new := change(each)) is not None] if chunk.kind == "whole" else found

    return {"decode_chunk": decode_chunk}


def usage_halved(event):
    return UsageReport({**event.payload, "output": 6}) if isinstance(event, UsageReport) else event


def eager_state(chunk, state):
    """Change the state before the chunk is parsed, which may happen twice for one chunk."""
    state["seen"] = state.get("seen", 0) + 1
    found = reference.decode_chunk(chunk, state)
    return [replace(each, block=state["seen"]) if isinstance(each, TextDelta) else each for each in found]


DECODING = {
    "a finish beside other events is lost": events(finish_beside_the_end),
    "every response ends with stop": ended_with("stop"),
    "every response ends with stop, also in the provider's words": each_event(
        lambda each: Finish("stop", "stop") if isinstance(each, Finish) else each
    ),
    "a finish reason is not of FinishReason": ended_with("end_turn"),
    "no finish is decoded": without(Finish),
    "the end mark finishes nothing": without(End),
    "state is kept in the module": module_memory(cleared=False),
    "state is kept in the module and cleared at the end": module_memory(cleared=True),
    "blocks are counted in the module": counting_memory(),
    "a response is read as the last request was sent": last_request(),
    "decoding sleeps": {"decode_chunk": sleeping},
    "decoding writes a file": {"decode_chunk": logging_to_file},
    "decoding prints": {"decode_chunk": printing},
    "decode_chunk is a generator": {"decode_chunk": generating},
    "decode_chunk returns None for an end": {"decode_chunk": nothing_for_the_end},
    "blocks are random": {"decode_chunk": random_blocks},
    "decode_chunk returns text": events(lambda all_: [getattr(each, "text", each) for each in all_]),
    "text that is not ASCII is lost in responses": on(TextDelta, text=ascii_only),
    "white space of texts is removed": on(TextDelta, text=str.strip),
    "a text that contains the end mark ends the response": {"decode_chunk": done_within},
    "texts are normalized": on(TextDelta, text=lambda text: unicodedata.normalize("NFKC", text)),
    "entities in texts are unescaped": on(TextDelta, text=html.unescape),
    "long texts are truncated": on(TextDelta, text=lambda text: text[:256]),
    "a chunk that cannot be parsed is swallowed": {"decode_chunk": swallowing},
    "decoding starts a thread": {"decode_chunk": starting_a_thread},
    "the first text is doubled": doubled_on(TextDelta),
    "a text that is null is lost": each_event(
        lambda each: None if isinstance(each, TextDelta) and each.text == "null" else each
    ),
    "a field of another type raises": {"decode_chunk": by_subscript},
    "an unknown field raises": {"decode_chunk": strict_fields},
    "an error in a stream is text": events(errors_as_text),
    "reasoning is lost": without(ReasoningDelta),
    "reasoning is text": each_event(
        lambda each: TextDelta(each.text, block=1) if isinstance(each, ReasoningDelta) else each
    ),
    "reasoning of a plain response is lost": whole_only(
        lambda each: None if isinstance(each, ReasoningDelta) else each
    ),
    "arguments are doubled": each_event(doubled_arguments),
    "the name of a tool call is lost": on(ToolCallDelta, name=lambda _: ""),
    "tool calls are lost": without(ToolCallDelta),
    "every text finishes the response": events(
        lambda all_: [*all_, *[Finish("stop", "stop") for each in all_ if isinstance(each, TextDelta)]]
    ),
    "the first text ends the response": events(
        lambda all_: [*all_, *[End() for each in all_ if isinstance(each, TextDelta)]]
    ),
    "every second text is lost": {"decode_chunk": every_second},
    "the id of the response is lost": without(ResponseStarted),
    "the id of the response is the clock's": {"decode_chunk": by_the_clock},
    "arguments of tool calls are lost": on(ToolCallDelta, arguments=lambda _: ""),
    "ids of tool calls are lost and made equal": on(ToolCallDelta, id=lambda value: value and "call"),
    "usage is not reported": without(UsageReport),
    "usage of a plain response is another": whole_only(usage_halved),
    "the state changes before the chunk is parsed": {"decode_chunk": eager_state},
}


# Usage and errors


def counted(**changes):
    return {"extract_usage": lambda payload: replace(reference.extract_usage(payload), **changes)}


def usage_of(function):
    return {"extract_usage": function}


def swapped(payload):
    usage = reference.extract_usage(payload)
    return replace(usage, input_tokens=usage.output_tokens, output_tokens=usage.input_tokens)


def zeros(payload):
    names = ("input", "output", "cached", "reasoning")
    return Usage(**dict(zip(_COUNTS, (payload.get(name) or 0 for name in names), strict=True)), raw=payload)


_COUNTS = ("input_tokens", "output_tokens", "cache_read_tokens", "reasoning_tokens")


def by_key(payload):
    return Usage(input_tokens=payload["input"], output_tokens=payload["output"], raw=payload)


def estimated(payload):
    usage = reference.extract_usage(payload)
    return replace(usage, output_tokens=None if usage.output_tokens is None else usage.output_tokens * 7)


def cached_zero(payload):
    usage = reference.extract_usage(payload)
    return replace(usage, cache_read_tokens=usage.cache_read_tokens or 0)


def sleeping_usage(payload):
    time.sleep(0)
    return reference.extract_usage(payload)


def failing(**changes):
    def decode_error(response):
        found = reference.decode_error(response)
        return found and replace(found, **changes)

    return {"decode_error": decode_error}


def error_by_key(response):
    error = json.loads(response.body)["error"]
    return Failure(error["message"], code=error["code"], status=response.status)


def any_error(response):
    return Failure("The request failed.", status=response.status, raw=response.body)


def server_error(response):
    return Failure("Busy.", code="server_error", status=500, raw=response.body)


OTHERS = {
    "unknown counts are 0": usage_of(zeros),
    "an unknown count of the cache is 0": usage_of(cached_zero),
    "usage is read by subscripts": usage_of(by_key),
    "input and output are exchanged": usage_of(swapped),
    "the output's count is lost": counted(output_tokens=None),
    "the prompt's count is lost": counted(input_tokens=None),
    "output is estimated": usage_of(estimated),
    "the provider's usage object is lost": counted(raw={}),
    "extract_usage returns the object": usage_of(lambda payload: payload),
    "extract_usage sleeps": usage_of(sleeping_usage),
    "an error has another status": failing(status=500),
    "an error has another class": failing(code="server_error", type="server_error", status=500),
    "the message of an error is lost": {"decode_error": any_error},
    "the code of an error is lost": failing(code=None, type=None),
    "errors are read by subscripts": {"decode_error": error_by_key},
    "every error is a server error": {"decode_error": server_error},
    "decode_error is not marked as a hook": {"unmarked": "decode_error"},
    "decode_error returns text": {"decode_error": lambda response: "no"},
    "the list of models has no end": {
        "list_models": lambda connection, data, models: reference.list_models(connection, None, [])
    },
    "a list of models is read from anything": {
        "list_models": lambda connection, data, models: (
            models.append(Model(id="m", raw={"x": 1})) if data else reference.list_models(connection, data, models)
        )
    },
    "models are requested with a doubled slash": {
        "list_models": lambda connection, data, models: (
            json_request(f"{connection.base_url or 'https://a.b'}/models", None, stream=False)
            if data is None
            else reference.list_models(connection, data, models)
        )
    },
}

MUTANTS = {**ENCODING, **CONTINUATIONS, **DECODING, **OTHERS}
"""Name → the hooks that are replaced."""


class Caught(NamedTuple):
    """The checks that name a mutant: with the single recording, or else with all; and whether the single one did."""

    checks: tuple[str, ...]
    single: bool


def caught(name: str) -> Caught:
    """Return which checks name a mutant. What the single recording shows, all recordings show: it is one of them."""
    checks = run(MUTANTS[name], SINGLE).failed
    return Caught(checks, single=True) if checks else Caught(run(MUTANTS[name], RECORDINGS, PAGES).failed, single=False)


def main() -> None:
    """Print the table as Markdown."""
    rows = {name: caught(name) for name in MUTANTS}
    print("| mutant | named by | with one recording |\n|---|---|---|")
    for name, (checks, single) in rows.items():
        print(f"| {name} | {', '.join(checks) or '**none**'} | {'yes' if single else 'no'} |")
    found, single = (sum(bool(row[number]) for row in rows.values()) for number in (0, 1))
    print(f"\n{len(rows)} mutants; {found} are named with all recordings, {single} with a single one.")


if __name__ == "__main__":
    main()
