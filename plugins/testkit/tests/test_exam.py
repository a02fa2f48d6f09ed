"""The exam is passed by a driver that keeps the contract, and notices each way of not keeping it."""

from __future__ import annotations

import re
import struct
import types
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from polyglot_core.plugin import (
    Details,
    End,
    Failure,
    Finish,
    Model,
    RawTool,
    Text,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    TurnWriter,
    Usage,
    UsageReport,
    cannot_express,
    finish_of,
    hookimpl,
    json_access,
    json_request,
    translate_options,
)
from polyglot_core.testing import OPTIONS
from polyglot_testkit import CHECKS, ExamFailed, Recording, check_driver
from polyglot_testkit.mutation import with_error
from polyglot_testkit.probes import probes_for

STREAM = b"".join(
    b"data: %b\n\n" % each
    for each in (
        b'{"t":"Hel"}',
        b'{"t":"lo","b":0}',
        b'{"t":"Bye","b":1}',
        b'{"c":"rake","a":{"bed":1},"b":2}',
        b'{"f":"all said","tier":"gold"}',
        b'{"end":1}',
    )
)
PLAIN = (
    b'{"all":[{"t":"Hello","b":0},{"t":"Bye","b":1},{"c":"rake","a":{"bed":1},"b":2},{"f":"all said","tier":"gold"}]}'
)
TURN = [{"text": "Hello"}, {"text": "Bye"}, {"call": "rake", "arguments": {"bed": 1}}]
RECORDINGS = [
    Recording(name="a stream", body=STREAM, same_as="a plain answer", turn=TURN, details={"tier": "gold"}),
    Recording(name="a plain answer", body=PLAIN, streamed=False, turn=TURN, details={"tier": "gold"}),
    Recording(name="an error", body=b'data: {"e":"busy"}\n\n', fails=True, code="busy"),
    Recording(name="a status", body=b'{"error":{"code":"nope"}}', status=400, fails=True, code="nope"),
]


class Writer(TurnWriter):
    def write_text(self, part):
        yield {"text": part.text}

    def write_tool_call(self, part):
        yield {"call": part.name, "arguments": self.arguments(part)}

    def write_tool_result(self, part):
        yield {"result": part.content, "of": part.id, "failed": part.error}


def _tools(request):
    for tool in request.tools:
        if isinstance(tool, RawTool) or tool.cache or tool.extra:
            cannot_express(request, "what only other providers have", driver="toy")
    return [tool.fields() for tool in request.tools if not isinstance(tool, RawTool)]


def _encode(connection, request, writer=Writer):
    for field in ("tool_choice", "parallel_tool_calls", "response_format"):
        if getattr(request, field) is not None:
            cannot_express(request, field, driver="toy")
    system, turns = writer(request, "toy").conversation()
    options = translate_options(request, {name: name for name in OPTIONS}, driver="toy")
    body = {"model": request.model, "system": system, "turns": turns, **options, "stream": request.stream}
    body |= {"tools": _tools(request)} if request.tools else {}
    return json_request(_url(connection, "say"), {**body, **request.extra}, stream=request.stream)


def _url(connection, path):
    return f"{(connection.base_url or 'https://toy.example/v1').rstrip('/')}/{path}"


def _pieces(chunk):
    """Return the pieces of a response in a chunk: many in a plain response, else one."""
    said = msgspec.json.decode(chunk.data)
    pieces = said.get("all", [said]) if isinstance(said, dict) else []
    return pieces if isinstance(pieces, list) else []


def _events(said):
    block = said["b"] if type(said.get("b")) is int else 0
    if isinstance(said.get("e"), str):
        yield Failure(message="no", code=said["e"])
    if isinstance(said.get("t"), str):
        yield TextDelta(said["t"], block=block)
    if isinstance(said.get("c"), str):
        arguments = msgspec.json.encode(said.get("a")).decode()
        yield ToolCallDelta(block, "c", said["c"], arguments, complete=True, block=block)
    if isinstance(said.get("tier"), str):
        yield Details({"tier": said["tier"]})
    if (ending := finish_of(said.get("f"), {"all said": "stop"})) is not None:
        yield ending
    if said.get("end"):
        yield End()


def _decode(chunk):
    return [event for said in _pieces(chunk) if isinstance(said, dict) for event in _events(said)]


def driver(**changes):
    """A module of hooks, some of them replaced."""
    hooks = {"encode_request": _encode, "decode_chunk": _decode, "extract_usage": lambda payload: Usage()} | changes
    module = types.ModuleType("driver")
    for name, hook in hooks.items():
        setattr(module, name, hookimpl(hook))
    return module


def _list(connection, data, models):
    after = ""
    if data is not None:
        page = msgspec.json.decode(data)
        models += json_access.models(json_access.get(page, "all"), {"id": ("n",)})
        if not (after := json_access.get(page, "more")):
            return None
    return json_request(_url(connection, f"models?after={after}"), None, stream=False)


NOTHING_TO_CHECK = {
    "follow up requests receive the response",
    "work is cancelled by what identifies it",
    "authorize adds credentials alone",
    "id and model are those of the wire",
    "prefill continues the text",
    "recorded requests are encoded",
    "recordings decode to what they state",
    "resume names the response",
    "the finish reason is that of the wire",
    "usage is that of the wire",
}
"""What this dialect does not have, and the recordings do not state."""

PAGES = [b'{"all":[{"n":"rake-1"}],"more":"rake-1"}', b'{"all":[{"n":"spade-1"}]}']


def test_a_driver_that_keeps_the_contract_passes_every_check():
    """A sound driver passes, and nothing is left unchecked."""
    report = check_driver(driver(list_models=_list), RECORDINGS, models=PAGES)
    assert set(report.passed) == set(CHECKS) - NOTHING_TO_CHECK
    assert set(report.skipped) == NOTHING_TO_CHECK


def test_checks_without_recordings_are_reported_as_skipped():
    """What there is nothing to check for is not called passed."""
    report = check_driver(driver(), [])
    reasons = {result.name: result.why for result in report.results}
    assert reasons["tool calls are whole"] == "no recording has a tool call"
    assert "streamed and plain agree" in report.skipped


def test_a_driver_without_a_list_of_models_passes():
    """The hook is optional."""
    assert set(check_driver(driver(), RECORDINGS).skipped) == NOTHING_TO_CHECK | {"the list of models is read"}


def _list_with_key(connection, data, models):
    wire = _list(connection, data, models)
    return wire and replace(wire, url=wire.url + connection.secret.reveal())


def _list_with_file(connection, data, models):
    Path(__file__).read_bytes()
    return _list(connection, data, models)


def _list_differently(connection, data, models):
    wire = _list(connection, data, models)
    return wire and replace(wire, headers={"x-count": str(next(_count))})


def _list_anything(connection, data, models):
    if data is None:
        return _list(connection, data, models)
    models += [
        Model(id=row["n"], raw=row) for row in json_access.objects(json_access.get(json_access.parse(data), "all"))
    ]
    return None


def _list_by_name(connection, data, models):
    if data is None:
        return _list(connection, data, models)
    models += [Model(id=row["n"], raw=row) for row in msgspec.json.decode(data)["all"]]
    return None


def _list_one_page(connection, data, models):
    wire = _list(connection, data, models)
    return wire if data is None else None


def _list_for_ever(connection, data, models):
    return _list(connection, data, models) or _list(connection, None, [])


def _list_names(connection, data, models):
    wire = _list(connection, data, models)
    models[:] = [model.id for model in models]
    return wire


def _list_without_raw(connection, data, models):
    wire = _list(connection, data, models)
    models[:] = [replace(model, raw={}) for model in models]
    return wire


def _list_nothing(connection, data, models):
    wire = _list(connection, data, models)
    models.clear()
    return wire


@pytest.mark.parametrize(
    ("hook", "why"),
    [
        (_list_with_key, "the key is in the request"),
        (_list_with_file, "does I/O"),
        (_list_differently, "different requests"),
        (_list_anything, "which is no list of models"),
        (_list_by_name, "raised TypeError in list_models"),
        (_list_one_page, "there are 2 pages of models, and list_models requests 1"),
        (_list_for_ever, "requests a further one"),
        (_list_names, "no Model"),
        (_list_without_raw, "no provider's object in raw"),
        (_list_nothing, "no model is read"),
    ],
)
def test_the_exam_notices_how_models_are_listed(hook, why):
    """Each of these breaks the check for models, and no other but a general one for the same fault."""
    with pytest.raises(ExamFailed, match="the list of models is read: ") as caught:
        check_driver(driver(list_models=hook), RECORDINGS, models=PAGES)
    assert why in str(caught.value)
    failed = [line.partition(":")[0] for line in str(caught.value).split("\n- ")[1:]]
    assert set(failed) <= {"the list of models is read", "no request shows the key", "hooks do no io"}


def test_pages_of_models_need_the_hook():
    """Pages that nothing reads are a mistake of the test."""
    with pytest.raises(ExamFailed, match="no hook list_models"):
        check_driver(driver(), RECORDINGS, models=PAGES)


def _encode_with_key(connection, request):
    wire = _encode(connection, request)
    return msgspec.structs.replace(wire, url=wire.url + "?key=" + connection.secret.reveal())


def _encode_with_file(connection, request):
    Path(__file__).read_bytes()
    return _encode(connection, request)


_count = iter(range(10_000))


def _encode_differently(connection, request):
    wire = _encode(connection, request)
    return msgspec.structs.replace(wire, headers={"x-count": str(next(_count))})


def _encode_streams_otherwise(connection, request):
    wire = _encode(connection, request)
    return msgspec.structs.replace(wire, body=wire.body[:-1] + b',"warm":%d}' % request.stream)


def _decode_by_memory():
    seen = []

    def decode_chunk(chunk):
        seen.append(chunk)
        return [*_decode(chunk), *([TextDelta("!")] if len(seen) % 2 else [])]

    return decode_chunk


def _decode_swallowing_errors(chunk):
    return [event for event in _decode(chunk) if not isinstance(event, Failure)]


def _decode_strictly(chunk):
    said = msgspec.json.decode(chunk.data)
    if set(said) - {"t", "b", "c", "a", "tier", "f", "end", "e", "all"}:
        raise ValueError
    return _decode(chunk)


def _decode_plain_otherwise(chunk):
    extra = [TextDelta("?")] if chunk.kind == "whole" else []
    return [*extra, *_decode(chunk)]


@pytest.mark.parametrize(
    ("changes", "check"),
    [
        ({"encode_request": _encode_with_key}, "the key stays out of url and body"),
        ({"encode_request": _encode_with_file}, "encoding is deterministic and touches nothing"),
        ({"encode_request": _encode_differently}, "encoding is deterministic and touches nothing"),
        ({"encode_request": _encode_streams_otherwise}, "stream is only a switch"),
        ({"decode_chunk": _decode_by_memory()}, "any split gives the same response"),
        ({"decode_chunk": _decode_swallowing_errors}, "errors are provider errors"),
        ({"decode_chunk": _decode_strictly}, "unknown fields and events are ignored"),
        ({"decode_chunk": _decode_plain_otherwise}, "streamed and plain agree"),
        ({"decode_chunk": lambda chunk: [End()]}, "errors are provider errors"),
        ({"decode_chunk": lambda chunk: [TextDelta("x")]}, "a whole recording finishes"),
    ],
)
def test_the_exam_notices(changes, check):
    """Each way of breaking the contract fails the check that is named after it."""
    with pytest.raises(ExamFailed, match=check):
        check_driver(driver(**changes), RECORDINGS)


# Nothing lost, nothing false


class _MergingWriter(Writer):
    def blocks(self, message):
        joined = "".join(part.text for part in message.parts if isinstance(part, Text))
        return [
            *([{"text": joined}] if joined else []),
            *(each for each in super().blocks(message) if "text" not in each),
        ]


class _SwappingWriter(Writer):
    def blocks(self, message):
        return super().blocks(message)[::-1]


class _ForgetfulWriter(Writer):
    def write_tool_call(self, part):
        yield {"call": part.name, "arguments": {}}


class _RawWriter(Writer):
    def write_tool_call(self, part):
        yield {"call": part.name, "arguments": part.arguments or part.arguments_raw}


class _RefusingWriter(Writer):
    def write_tool_call(self, part):
        if part.arguments is None:
            self.cannot("a tool call with broken arguments")
        yield from super().write_tool_call(part)


class _DroppingWriter(Writer):
    def blocks(self, message):
        return super().blocks(message)[:1]


def _writing(writer):
    return {"encode_request": lambda connection, request: _encode(connection, request, writer)}


def _changed(change):
    """Return a hook that changes, or removes, the events of the sound driver."""
    return {"decode_chunk": lambda chunk: [new for event in _decode(chunk) if (new := change(event)) is not None]}


def _but(kind):
    return _changed(lambda event: None if isinstance(event, kind) else event)


def _decode_with(words, nothing=("null", "None"), others="other"):
    """Return a hook that reads finish words by a table of its own."""

    def decode_chunk(chunk):
        given = [said.get("f") for said in _pieces(chunk) if isinstance(said, dict)]
        given = [word for word in given if isinstance(word, str) and word not in nothing]
        endings = [Finish(words.get(word, others), word) for word in given]
        rest = [event for event in _decode(chunk) if not isinstance(event, Finish)]
        return [*(event for event in rest if getattr(event, "code", None) not in given), *endings]

    return {"decode_chunk": decode_chunk}


def _as_stop(event):
    return replace(event, reason="stop") if isinstance(event, Finish) else event


def _without_blocks(event):
    return replace(event, block=0) if isinstance(event, (TextDelta, ToolCallDelta)) else event


def _decode_with_module_memory():
    """Return a hook that remembers, in the module, what began: its blocks go on in the next response."""
    memory = {"blocks": 0}

    def decode_chunk(chunk):
        events = _decode(chunk)
        memory["blocks"] += len(events)
        return [replace(each, block=memory["blocks"] // 6) if isinstance(each, TextDelta) else each for each in events]

    return {"decode_chunk": decode_chunk}


def _decode_messages_as_text(chunk):
    """Read what a gateway says as text of the model."""
    messages = [each.get("message") for each in _pieces(chunk) if isinstance(each, dict)]
    return [*(TextDelta(text) for text in messages if isinstance(text, str)), *_decode(chunk)]


def _decode_every_chunk_as_named(chunk):
    """Begin every chunk with an event, which hides that the chunk says nothing else."""
    return [UsageReport({"seen": 1}), *_decode(chunk)]


@pytest.mark.parametrize(
    ("changes", "check", "why"),
    [
        (_writing(_MergingWriter), "a turn goes back", "does not go back as it was received"),
        (_writing(_SwappingWriter), "a turn goes back", "does not go back as it was received"),
        (_writing(_ForgetfulWriter), "a turn goes back", "does not go back as it was received"),
        (_writing(_DroppingWriter), "a turn goes back", "does not go back as it was received"),
        (_changed(_without_blocks), "a turn goes back", "does not go back as it was received"),
        (_but(ToolCallDelta), "a turn goes back", "does not go back as it was received"),
        (_writing(_RawWriter), "broken tool calls", "arguments go back as they are"),
        (_writing(_RefusingWriter), "broken tool calls", "cannot be sent back"),
        (_but(Details), "details can be read", "a stream: the details lack tier"),
        (
            _decode_with({"null": "stop"}, nothing=()),
            "finish words are read",
            "'null' the response has finished for tool_calls",
        ),
        (_decode_with({}, nothing=("null",)), "finish words are read", "'None' the response has finished for other"),
        (_decode_with({}), "finish words are read", "'network_error' the response is finished; use finish_of"),
        (_changed(_as_stop), "finish words are read", "'added_tomorrow' the reason is tool_calls"),
        (_decode_with_module_memory(), "interleaved streams", "keep state in `state` only"),
        ({"decode_chunk": _decode_messages_as_text}, "every spelling", "changes the content received before it"),
        ({"decode_chunk": _decode_every_chunk_as_named}, "every spelling", "an object with error, first is"),
    ],
)
def test_losses_are_noticed(changes, check, why):
    """Each way to lose a part of a response, or to report a false one, fails the check that is named after it."""
    with pytest.raises(ExamFailed, match=f"- {check}.*: .*{re.escape(why)}"):
        check_driver(driver(**changes), RECORDINGS)


@pytest.mark.parametrize(
    ("writer", "why"),
    [
        (_MergingWriter, None),
        (_SwappingWriter, "a text of the turn does not go back, or not in its place"),
        (_ForgetfulWriter, "the arguments of 'rake' do not go back"),
        (_DroppingWriter, "a text of the turn does not go back, or not in its place"),
    ],
)
def test_losses_are_noticed_without_a_stated_turn(writer, why):
    """The texts and the tool calls of a response have to go back, also if no recording states the turn."""
    recordings = [replace(recording, turn=None) for recording in RECORDINGS]
    try:
        check_driver(driver(**_writing(writer)), recordings)
    except ExamFailed as failed:
        assert why
        assert why in str(failed)
    else:
        assert why is None


LINES = STREAM.replace(b"data: ", b"").replace(b"\n\n", b"\n")


def _encode_for_lines(connection, request):
    return replace(_encode(connection, request), framing="ndjson" if request.stream else "whole")


def test_errors_in_streams_of_lines_are_tried():
    """A stream of JSON lines has spellings of an error as well."""
    lines = Recording(name="lines", body=LINES)
    hooks = {"encode_request": _encode_for_lines}
    assert "every spelling of an error fails" in check_driver(driver(**hooks), [lines]).passed
    with pytest.raises(ExamFailed, match="lines: an error as an object with error, first"):
        check_driver(driver(**hooks, decode_chunk=_decode_every_chunk_as_named), [lines])


def test_errors_in_binary_streams_are_tried():
    """A binary event stream is split by the lengths of its frames, and an exception takes the place of the rest."""
    frame = struct.pack(">II", 16, 0) + b"1234" + b"5678"
    recording = Recording(name="frames", body=frame * 5)
    for place, kept in (("first", 0), ("middle", 2), ("last", 2)):
        spellings = dict(with_error(recording, place))
        assert len(spellings) == 3
        assert all(mutant.body.startswith(frame * kept) for mutant in spellings.values())
        assert not any(mutant.body.startswith(frame * (kept + 1)) for mutant in spellings.values())


# What is asked


def _with_object(part):
    """Return a tool call with an object as its arguments, and any other part as it is."""
    if not isinstance(part, ToolCall) or part.arguments:
        return part
    return replace(part, arguments_raw=msgspec.json.encode({"INVALID_JSON": part.arguments_raw}).decode())


def _encode_all(connection, request):
    turns = (replace(turn, content=tuple(map(_with_object, turn.parts))) for turn in request.messages)
    body = {**msgspec.to_builtins(replace(request, messages=tuple(turns))), **request.extra}
    translate_options(request, {name: name for name in OPTIONS}, driver="toy")
    return json_request(_url(connection, "say"), body, stream=request.stream)


def deaf_to(asked):
    """A driver that encodes everything, with one exception: it encodes the request that does not ask for it."""

    def encode_request(connection, request):
        return _encode_all(connection, asked.without if request == asked.request else request)

    return driver(encode_request=encode_request)


@pytest.mark.parametrize("asked", probes_for("exam"), ids=lambda asked: asked.name)
def test_what_is_dropped_is_named(asked):
    """A driver that drops any one thing without a word fails, and the message names that thing alone."""
    with pytest.raises(ExamFailed, match=re.escape(f"sent with and without {asked.name}; encode it, ")):
        check_driver(deaf_to(asked), [])


ALL_BUT_TEXTS = (
    "name of a message, extra of a message, Image by URL, Image as bytes, Audio, Document by URL, Document as bytes, "
    "Document by file_id, RawPart, tools, strict of a tool, tool_choice='required', tool_choice='none', "
    "tool_choice by name, parallel_tool_calls=False, ToolCall, ToolResult, ToolResult with error=True, "
    "ToolResult with an image, response_format='json', response_format with a schema, Reasoning with signature;"
)


def _encode_texts_alone(connection, request):
    turns = [{"role": message.role, "text": message.text} for message in request.messages]
    body = {"turns": turns, "stream": request.stream, **request.options, **request.extra}
    return json_request(f"{connection.base_url}/say", body, stream=request.stream)


def _encode_no_zeros(connection, request):
    options = {option: value for option, value in request.options.items() if value}
    return _encode(connection, replace(request, options=options))


def _encode_half_of_tools(connection, request):
    return _encode(connection, replace(request, parallel_tool_calls=None))


def _encode_no_stream(connection, request):
    wire = _encode(connection, request)
    return replace(wire, body=_encode(connection, replace(request, stream=False)).body)


@pytest.mark.parametrize(
    ("encode", "dropped"),
    [
        (_encode_texts_alone, ALL_BUT_TEXTS),
        (_encode_no_zeros, "option temperature=0, option seed=0, option reasoning_budget=0;"),
        (_encode_half_of_tools, "parallel_tool_calls=False;"),
        (_encode_no_stream, "stream;"),
    ],
)
def test_usual_ways_of_dropping_are_noticed(encode, dropped):
    """Sending the texts alone, taking 0 for nothing, refusing half of what belongs to tools, streaming by a header."""
    with pytest.raises(ExamFailed, match=re.escape(f"sent with and without {dropped}")):
        check_driver(driver(encode_request=encode), [])


def test_what_is_left_out_for_a_reason_is_reported():
    """A driver may declare what it leaves out, and why; the report includes it."""
    (audio,) = (asked for asked in probes_for("exam") if asked.name == "Audio")
    report = check_driver(deaf_to(audio), [], left_out={"Audio": "it is deaf"})
    assert report.left_out == {"Audio": "it is deaf"}
    assert "every feature is encoded or rejected" in report.passed


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("Adio", r"left_out knows no 'Adio'; it knows stream, .*Audio"),
        ("Audio", "'Audio' is encoded or rejected; remove it"),
    ],
)
def test_a_reason_for_nothing_is_noticed(name, why):
    """What a driver claims to leave out has to be something, and has to be left out."""
    with pytest.raises(ExamFailed, match=why):
        check_driver(driver(), [], left_out={name: "it is deaf"})


# What the messages say


def test_fields_that_differ_with_the_stream_are_named():
    """The message names them and the argument that allows them, and they may then differ."""
    unsound = driver(encode_request=_encode_streams_otherwise)
    with pytest.raises(ExamFailed, match=r"plain request differ in warm; .*switch=\["):
        check_driver(unsound, [])
    assert "stream is only a switch" in check_driver(unsound, [], switch=["stream", "warm"]).passed


@pytest.mark.parametrize(("body", "said"), [((b"yes", b"no"), False), ((b"", b""), True)])
def test_a_body_that_is_no_object_is_compared_as_a_whole(body, said):
    """A body that is not JSON, and an empty one, are no reason to break off."""

    def encode_request(connection, request):
        return replace(_encode(connection, request), body=body[not request.stream])

    with pytest.raises(ExamFailed) as caught:
        check_driver(driver(encode_request=encode_request), [])
    assert ("a streamed and a plain request differ in the body" not in str(caught.value)) is said


def _decode_with_usage(chunk):
    reports = [UsageReport(said) for said in _pieces(chunk) if isinstance(said, dict) and "f" in said]
    return [*reports, *_decode(chunk)]


def _decode_with_names(chunk):
    said = msgspec.json.decode(chunk.data)
    return [TextDelta(" ".join(said)), *_decode(chunk)]


def test_the_providers_own_object_of_usage_may_have_more_in_it():
    """A whole chunk as the report of usage is not another response when there is more in the chunk."""
    hooks = {"decode_chunk": _decode_with_usage, "extract_usage": lambda payload: Usage(raw=payload)}
    assert "unknown fields and events are ignored" in check_driver(driver(**hooks), RECORDINGS).passed


def test_what_the_unknown_changes_is_named():
    """The message names the field of the response that differs."""
    with pytest.raises(ExamFailed, match=r"with unknown fields the response has other choices\b"):
        check_driver(driver(decode_chunk=_decode_with_names), RECORDINGS)


@pytest.mark.parametrize(
    ("recording", "raised"),
    [
        (Recording(name="lines", body=b"t Hello\nf stop\n"), "lines: Truncated"),
        (Recording(name="lines", body=b"e busy\n", fails=True), "lines: instead of a ProviderError: Truncated"),
    ],
)
def test_a_wrong_framing_is_named(recording, raised):
    """Where the framing finds nothing in a recording, the message reports it."""
    with pytest.raises(ExamFailed, match=rf"{raised}: .* The framing 'sse' found no chunk in this recording\."):
        check_driver(driver(), [recording])


def test_a_pair_of_one_is_noticed():
    """A recording that is to agree with another one needs that other one."""
    with pytest.raises(ExamFailed, match="no recording of the name that same_as of a stream gives"):
        check_driver(driver(), RECORDINGS[:1])


# Events


@pytest.mark.parametrize(
    ("event", "wrong"),
    [
        (TextDelta(None), "TextDelta .*text is NoneType and not str"),
        (ToolCallDelta(id=7), "ToolCallDelta .*id is int and not str or None"),
        (ToolCallDelta(name="a", arguments={}), "ToolCallDelta .*arguments is dict and not str"),
        (UsageReport(5), "UsageReport .*payload is int and not Mapping"),
        (Finish("stop", None), "Finish .*raw is NoneType and not str"),
    ],
)
def test_values_of_wrong_types_are_named(event, wrong):
    """An event that holds what it must not hold fails the exam, with its name and the name of the field."""
    with pytest.raises(ExamFailed, match=f"a whole recording finishes: .*PluginError.*{wrong}"):
        check_driver(driver(decode_chunk=lambda chunk: [event, *_decode(chunk)]), RECORDINGS)
