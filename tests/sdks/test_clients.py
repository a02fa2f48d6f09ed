"""The providers' own clients report what the simulator was configured to send."""

from __future__ import annotations

import json
import os
from contextlib import ExitStack, closing
from typing import NamedTuple

import pytest

from polyglot_core.plugin import Usage
from polyglot_simulator import ByteAtATime, ErrorEvent, Reply, Simulator, Status, ToolCall

from .client import Call, Finish, Text, Thought, Used
from .clients import CLIENTS

pytestmark = pytest.mark.sdks

TEXT = "Grüße aus Oslo: it rains. 🌧"
THOUGHT = "Let me think. Is it north?"
CALLS = (ToolCall("weather", {"city": "Tromsø", "days": 3}), ToolCall("time"))
USAGE = Usage(input_tokens=9, output_tokens=7, cache_read_tokens=2, reasoning_tokens=4)
SETTINGS = ("ANTHROPIC_", "AWS_", "AZURE_", "CO_", "COHERE_", "GEMINI_", "GOOGLE_", "MISTRAL_", "OLLAMA_", "OPENAI_")

both_ways = pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "plain"])


class Told(NamedTuple):
    """All that a client reported of one response."""

    text: str
    pieces: int
    thought: str
    calls: list[tuple[str, object]]
    finish: str
    used: Used


def named(client):
    return client.__name__


@pytest.fixture(autouse=True)
def no_settings(monkeypatch, tmp_path):
    """Remove the variables and files of this machine that a client would read."""
    for name in [name for name in os.environ if name.startswith(SETTINGS)]:
        monkeypatch.delenv(name)
    for name in ("CONFIG_FILE", "SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(f"AWS_{name}", str(tmp_path / name.lower()))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture(params=CLIENTS, ids=named)
def kind(request):
    """Return one of the official clients."""
    return request.param


@pytest.fixture
def client_of(kind):
    """Make clients of a simulator with a configured reply, and close both after the test."""
    with ExitStack() as scope:

        def client_of(reply, **settings):
            simulator = scope.enter_context(Simulator(reply, usage=USAGE, **{"api_key": kind.key, **settings}))
            return scope.enter_context(closing(kind(simulator.base_url.removesuffix("/v1"))))

        yield client_of


@pytest.fixture
def ask(client_of):
    """Send a request to a simulator with a client, and collect what the client reports."""
    return lambda reply, *, streamed, **settings: summed_up(asked(client_of(reply, **settings), streamed))


def asked(client, streamed):
    return client.streamed() if streamed else client.plain()


def summed_up(heard):
    """Join the pieces, and check that there is one finish and one report of the counts."""
    heard = list(heard)
    (finish,) = [one.word for one in heard if type(one) is Finish]
    (used,) = [one for one in heard if type(one) is Used]
    texts = [one.text for one in heard if type(one) is Text and one.text]
    thought = "".join(one.text for one in heard if type(one) is Thought)
    return Told("".join(texts), len(texts), thought, calls(heard), finish, used)


def calls(heard):
    """Assemble names and arguments by the index of the tool calls."""
    built = {}
    for one in heard:
        if type(one) is Call:
            name, arguments = built.get(one.index, (None, ""))
            built[one.index] = (one.name or name, arguments + one.arguments)
    return [(name, json.loads(arguments)) for name, arguments in built.values()]


@both_ways
def test_text_is_received(kind, ask, streamed):
    """Check that the text is complete, with the provider's finish reason; a stream has it in pieces."""
    told = ask(TEXT, streamed=streamed)
    assert (told.text, told.thought, told.calls, told.finish) == (TEXT, "", [], kind.words[0])
    assert (told.pieces > 4) is streamed


@both_ways
def test_thinking_is_separate_from_text(ask, streamed):
    """Check that thinking and text are separate."""
    told = ask(Reply(TEXT, reasoning=THOUGHT), streamed=streamed)
    assert (told.thought, told.text) == (THOUGHT, TEXT)


@both_ways
def test_tool_calls_are_received_with_arguments(kind, ask, streamed):
    """Check two tool calls, the second without arguments, and the provider's finish reason for them."""
    told = ask(Reply(tool_calls=CALLS), streamed=streamed)
    assert told.calls == [("weather", {"city": "Tromsø", "days": 3}), ("time", {})]
    assert (told.text, told.finish) == ("", kind.words[1])


@both_ways
def test_thinking_text_and_tool_calls_are_received(ask, streamed):
    """Check thinking, text and tool calls in one response."""
    told = ask(Reply(TEXT, CALLS, reasoning=THOUGHT), streamed=streamed)
    assert (told.thought, told.text, len(told.calls)) == (THOUGHT, TEXT, 2)


@both_ways
def test_finish_reason_of_truncated_response(kind, ask, streamed):
    """Check the provider's finish reason of a truncated response."""
    told = ask(Reply(TEXT, finish_reason=kind.words[2]), streamed=streamed)
    assert (told.text, told.finish) == (TEXT, kind.words[2])


@both_ways
def test_token_counts_are_received(kind, ask, streamed):
    """Check the tokens of the prompt, cached ones included, and of the output, thinking included, if reported."""
    cached, reasoning = {"Ollama": (None, None), "Bedrock": (2, None)}.get(kind.__name__, (2, 4))
    assert ask(TEXT, streamed=streamed).used == Used(9, 7, cached, reasoning)


@both_ways
@pytest.mark.parametrize("status", [400, 404, 422, 429, 500])
def test_error_status_raises_class_of_client(client_of, status, streamed):
    """Check the error's class, status and message."""
    client = client_of(TEXT, fault=Status(status))
    with pytest.raises(client.refusal(status), match="The simulator was configured to return status") as caught:
        list(asked(client, streamed))
    assert client.status(caught.value) == status


@both_ways
@pytest.mark.parametrize("kind", [kind for kind in CLIENTS if kind.key], ids=named)
def test_wrong_key_is_a_401(client_of, streamed):
    """Check that each client sends its key where its provider expects it."""
    client = client_of(TEXT, api_key="another-key")
    with pytest.raises(client.refusal(401)) as caught:
        list(asked(client, streamed))
    assert client.status(caught.value) == 401


def test_error_in_stream_is_reported(client_of):
    """Check that an error in a stream is reported after the pieces before it, by an error or a finish reason."""
    client = client_of(TEXT, fault=ErrorEvent(after_events=6))
    heard = []
    if client.inside.isupper():
        heard += client.streamed()
        assert heard[-1] == Finish(client.inside)
    else:
        with pytest.raises(client.error_class(client.inside)):
            heard.extend(client.streamed())
    said = "".join(one.text for one in heard if type(one) is Text)
    assert said not in {"", TEXT}
    assert TEXT.startswith(said)


def test_single_bytes_give_same_result(ask):
    """Check that a client parses events split at any byte."""
    reply = Reply(TEXT, CALLS, reasoning=THOUGHT)
    assert ask(reply, streamed=True, fault=ByteAtATime()) == ask(reply, streamed=True)
