"""The providers' own clients, pointed at the simulator, report what it was told to say."""

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
    """All that a client reported of one answer."""

    text: str
    pieces: int
    thought: str
    calls: list[tuple[str, object]]
    finish: str
    used: Used


def named(client):
    return client.__name__


@pytest.fixture(autouse=True)
def nobodys_settings(monkeypatch, tmp_path):
    """No variable and no file of this machine tells a client anything."""
    for name in [name for name in os.environ if name.startswith(SETTINGS)]:
        monkeypatch.delenv(name)
    for name in ("CONFIG_FILE", "SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(f"AWS_{name}", str(tmp_path / name.lower()))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture(params=CLIENTS, ids=named)
def kind(request):
    """One of the official clients."""
    return request.param


@pytest.fixture
def client_of(kind):
    """Makes clients of a simulator that says what it is told, and closes both after the test."""
    with ExitStack() as scope:

        def client_of(reply, **settings):
            simulator = scope.enter_context(Simulator(reply, usage=USAGE, **{"api_key": kind.key, **settings}))
            return scope.enter_context(closing(kind(simulator.base_url.removesuffix("/v1"))))

        yield client_of


@pytest.fixture
def ask(client_of):
    """Asks a simulator with a client, and sums up what the client reports."""
    return lambda reply, *, streamed, **settings: summed_up(asked(client_of(reply, **settings), streamed))


def asked(client, streamed):
    return client.streamed() if streamed else client.plain()


def summed_up(heard):
    """The pieces joined; there is one finish, and one report of the counts."""
    heard = list(heard)
    (finish,) = [one.word for one in heard if type(one) is Finish]
    (used,) = [one for one in heard if type(one) is Used]
    texts = [one.text for one in heard if type(one) is Text and one.text]
    thought = "".join(one.text for one in heard if type(one) is Thought)
    return Told("".join(texts), len(texts), thought, calls(heard), finish, used)


def calls(heard):
    """Names and arguments, put together by the numbers of the calls."""
    built = {}
    for one in heard:
        if type(one) is Call:
            name, arguments = built.get(one.index, (None, ""))
            built[one.index] = (one.name or name, arguments + one.arguments)
    return [(name, json.loads(arguments)) for name, arguments in built.values()]


@both_ways
def test_a_text_arrives(kind, ask, streamed):
    """It is whole, with the provider's word for an answer that is done; a stream brings it in pieces."""
    told = ask(TEXT, streamed=streamed)
    assert (told.text, told.thought, told.calls, told.finish) == (TEXT, "", [], kind.words[0])
    assert (told.pieces > 4) is streamed


@both_ways
def test_thinking_arrives_beside_the_text(ask, streamed):
    """Neither is in the other."""
    told = ask(Reply(TEXT, reasoning=THOUGHT), streamed=streamed)
    assert (told.thought, told.text) == (THOUGHT, TEXT)


@both_ways
def test_calls_arrive_with_their_arguments(kind, ask, streamed):
    """Two of them, the second without arguments, and the provider's word for an answer that wants them made."""
    told = ask(Reply(tool_calls=CALLS), streamed=streamed)
    assert told.calls == [("weather", {"city": "Tromsø", "days": 3}), ("time", {})]
    assert (told.text, told.finish) == ("", kind.words[1])


@both_ways
def test_all_of_it_arrives_at_once(ask, streamed):
    """Thinking, text and calls in one answer."""
    told = ask(Reply(TEXT, CALLS, reasoning=THOUGHT), streamed=streamed)
    assert (told.thought, told.text, len(told.calls)) == (THOUGHT, TEXT, 2)


@both_ways
def test_the_word_for_an_answer_that_was_cut_arrives(kind, ask, streamed):
    """As the simulator was told to say it."""
    told = ask(Reply(TEXT, finish_reason=kind.words[2]), streamed=streamed)
    assert (told.text, told.finish) == (TEXT, kind.words[2])


@both_ways
def test_the_counts_arrive(kind, ask, streamed):
    """Those of the prompt with what a cache held of it, and of the output with the thinking, where these are told."""
    cached, reasoning = {"Ollama": (None, None), "Bedrock": (2, None)}.get(kind.__name__, (2, 4))
    assert ask(TEXT, streamed=streamed).used == Used(9, 7, cached, reasoning)


@both_ways
@pytest.mark.parametrize("status", [400, 404, 422, 429, 500])
def test_an_error_status_is_the_error_that_the_client_has_for_it(client_of, status, streamed):
    """The error knows its status and what was said."""
    client = client_of(TEXT, fault=Status(status))
    with pytest.raises(client.refusal(status), match="The simulator was configured to return status") as caught:
        list(asked(client, streamed))
    assert client.status(caught.value) == status


@both_ways
@pytest.mark.parametrize("kind", [kind for kind in CLIENTS if kind.key], ids=named)
def test_a_wrong_key_is_a_401(client_of, streamed):
    """Each client brings its key where its provider wants it."""
    client = client_of(TEXT, api_key="another-key")
    with pytest.raises(client.refusal(401)) as caught:
        list(asked(client, streamed))
    assert client.status(caught.value) == 401


def test_an_error_inside_of_a_stream_is_heard(client_of):
    """After the pieces that came before it: by an error, or by a word for such an end."""
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


def test_bytes_one_by_one_make_no_difference(ask):
    """A client reads its events wherever they are cut."""
    reply = Reply(TEXT, CALLS, reasoning=THOUGHT)
    assert ask(reply, streamed=True, fault=ByteAtATime()) == ask(reply, streamed=True)
