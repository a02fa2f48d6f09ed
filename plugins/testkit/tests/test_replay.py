"""Replays: the same partials, the same pace, and requests that differ from the recorded ones."""

from __future__ import annotations

import json
import threading
import time

import pytest
from msgspec.structs import replace

from polyglot_core import AsyncInference, ConfigError, Inference, RequestError, TimedOut, Timeouts
from polyglot_simulator import Pace, Reply, Simulator, ToolCall
from polyglot_testkit import Recorder, Replay, ReplayMismatch, exchanges_in, recorded, replaying

pytestmark = pytest.mark.http

FACTS = ("content_delta", "content", "reasoning_delta", "finish_reason", "tool_calls", "usage", "choice")


def shown(partials):
    """Return what is compared of partials."""
    return [[getattr(partial, fact) for fact in FACTS] for partial in partials]


def replayed(flavour, replay, **changes):
    """Return an inference of the style over a replay."""
    inference = replay.inference() if flavour.backend is None else replay.async_inference()
    return inference.with_changes(**changes)


@pytest.fixture
def story(tmp_path):
    """Return a file with one stream: thinking, text and a tool call."""
    reply = Reply(
        "Once upon a time.", reasoning="They want a story.", tool_calls=[ToolCall("weather", {"city": "Oslo"})]
    )
    with Simulator(reply) as simulator, Recorder(tmp_path / "story.jsonl") as recorder:
        inference = recorder.attach(Inference.from_connection(simulator.connection))
        partials = list(inference.create("Tell me a story.", stream=True, options={"temperature": 0}).stream())
    return tmp_path / "story.jsonl", partials


def test_a_replay_gives_the_same_partials(flavour, story):
    """Deltas, tool calls, usage and finish; no server runs."""
    file, partials = story
    replay = Replay(file)
    found = flavour.partials(replayed(flavour, replay), "Tell me a story.", options={"temperature": 0})
    assert shown(found) == shown(partials)
    assert replay.remaining == []


def test_a_plain_response_is_replayed(flavour, tmp_path):
    """The response names the transport."""
    with Simulator("Hello!") as simulator:
        original = flavour.response(recorded(flavour.inference(simulator.connection), tmp_path))
    response = flavour.response(replayed(flavour, Replay(tmp_path)))
    assert (response.content, response.id, response.usage) == (original.content, original.id, original.usage)
    assert response.transport == "replay"


@pytest.mark.parametrize(
    "driver", ["anthropic", "bedrock", "cohere", "gemini", "mistral", "ollama", "openai-responses"]
)
def test_other_drivers_are_replayed(flavour, tmp_path, driver):
    """The file names the driver; the partials are the same."""
    with Simulator("Once upon a time.") as simulator:
        inference = recorded(flavour.inference(simulator.connection_for(driver)), tmp_path)
        partials = flavour.partials(inference)
    assert shown(flavour.partials(replayed(flavour, Replay(tmp_path)))) == shown(partials)


def test_the_pace_is_that_of_the_recording(flavour, tmp_path):
    """Multiplied by a factor: a replay takes at least as long."""
    with Simulator("One two three four five six.", pace=Pace(tokens_per_second=20)) as simulator:
        flavour.partials(recorded(flavour.inference(simulator.connection), tmp_path))
    (exchange,) = exchanges_in(tmp_path)
    for pace in (1.0, 2.0):
        begun = time.perf_counter()
        flavour.partials(replayed(flavour, Replay(tmp_path, pace=pace)))
        assert time.perf_counter() - begun >= exchange.reads[-1].seconds * pace > 0.2 * pace


def test_clocks_and_close_end_a_wait_of_a_replay(flavour, tmp_path):
    """An hour between two reads is not waited for."""
    with Simulator("One two three.") as simulator:
        flavour.partials(recorded(flavour.inference(simulator.connection), tmp_path))
    (file,) = tmp_path.iterdir()
    lines = file.read_text().splitlines()
    end = json.loads(lines[-1]) | {"seconds": 3600.0}
    reads = [json.loads(line) | {"seconds": 3600.0} for line in lines[3:-1]]
    half = json.loads(lines[3])
    cut = half["data"].index("\n\n") + 2
    reads = [
        half | {"data": half["data"][:cut], "seconds": 0.0},
        half | {"data": half["data"][cut:], "seconds": 3600.0},
    ]
    file.write_text("\n".join([*lines[:3], *map(json.dumps, [*reads, end]), ""]))
    quick = replayed(flavour, Replay(file, pace=1), timeouts=Timeouts(first=0.2, idle=0.2), retries=0)
    with pytest.raises(TimedOut):
        flavour.response(quick, stream=True)


def test_close_ends_a_wait_from_another_thread(tmp_path):
    """The stream ends at once."""
    with Simulator("One two three.", pace=Pace(tokens_per_second=50)) as simulator:
        Recorder(tmp_path).attach(Inference.from_connection(simulator.connection)).text("Hello", stream=True)
    stream = Replay(tmp_path, pace=100_000).inference().stream("Hello")
    reader = threading.Thread(target=lambda: list(stream), daemon=True)
    reader.start()
    while not stream_waits(stream):
        time.sleep(0.01)
    stream.close()
    reader.join(60)
    assert not reader.is_alive()


def stream_waits(stream):
    """Return whether a request was sent."""
    return stream._pump.call.attempt is not None


DIFFERENT = {
    "prompt": ({}, "Tell me a joke.", r'body.messages.0.content: recorded "Tell me a story.", sent "Tell me a joke."'),
    "option": ({"options": {"temperature": 1}}, "Tell me a story.", "body.temperature: recorded 0, sent 1"),
    "missing": ({"options": {}}, "Tell me a story.", "body.temperature: recorded 0, sent nothing"),
    "added": ({"extra": {"seed": 5}}, "Tell me a story.", "body.seed: recorded nothing, sent 5"),
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_a_request_that_differs_is_an_error_that_shows_where(flavour, story, name):
    """Nothing of the recording is used up by it."""
    changes, prompt, line = DIFFERENT[name]
    replay = Replay(story[0])
    with pytest.raises(ReplayMismatch) as raised:
        flavour.response(replayed(flavour, replay), prompt, stream=True, **{"options": {"temperature": 0}, **changes})
    assert line in str(raised.value)
    assert isinstance(raised.value, RequestError)
    assert not raised.value.retryable
    assert len(replay.remaining) == 1


def test_the_path_and_the_method_are_compared(flavour, story):
    """The host is not: a simulator has another port each time."""
    replay = Replay(story[0], base_url="http://127.0.0.1:1/v2")
    with pytest.raises(ReplayMismatch, match=r"path: recorded /v1/chat/completions, sent /v2/chat/completions"):
        flavour.response(replayed(flavour, replay), "Tell me a story.", stream=True, options={"temperature": 0})
    other = Replay(story[0], base_url="http://127.0.0.1:1/v1")
    assert flavour.response(
        replayed(flavour, other), "Tell me a story.", stream=True, options={"temperature": 0}
    ).content


@pytest.mark.parametrize(
    "loosely",
    [
        {"match": ()},
        {"match": ("method", "path")},
        {"ignore": ["messages.*.content", "temperature"]},
        {"ignore": ["messages", "temperature"]},
    ],
)
def test_matching_can_be_loose(flavour, story, loosely):
    """By what is compared, or without some fields of the body."""
    replay = Replay(story[0], **loosely)
    assert flavour.response(replayed(flavour, replay), "Something else.", stream=True).content == "Once upon a time."


def test_each_exchange_is_replayed_once(flavour, story):
    """Unless `repeat` is true; the message counts them."""
    arguments = {"stream": True, "options": {"temperature": 0}}
    inference = replayed(flavour, Replay(story[0]))
    flavour.response(inference, "Tell me a story.", **arguments)
    with pytest.raises(ReplayMismatch, match="has 1 exchange, and all were replayed"):
        flavour.response(inference, "Tell me a story.", **arguments)
    again = replayed(flavour, Replay(story[0], repeat=True))
    assert {flavour.response(again, "Tell me a story.", **arguments).content for _ in range(3)} == {"Once upon a time."}


def test_requests_find_their_exchange_in_any_order(flavour, tmp_path):
    """As calls at once are sent in another order than the recorded ones."""
    with Simulator(lambda request: Reply(request.body["messages"][0]["content"])) as simulator:
        inference = recorded(flavour.inference(simulator.connection), tmp_path)
        for word in ("one", "two", "three"):
            flavour.response(inference, word)
    replay = replayed(flavour, Replay(tmp_path))
    assert [flavour.response(replay, word).content for word in ("three", "one", "two")] == ["three", "one", "two"]


def test_an_inference_of_your_own_is_replayed(flavour, story):
    """Its connection, client and observers stay; only the responses are recorded ones."""
    seen = []
    with Simulator("Not this.") as simulator:
        inference = flavour.inference(simulator.connection, observers=[seen.append])
        changed = Replay(story[0]).attach(inference)
        response = flavour.response(changed, "Tell me a story.", stream=True, options={"temperature": 0})
        assert simulator.requests == []
    assert response.content == "Once upon a time."
    assert type(seen[-1]).__name__ == "CallEnded"


def test_a_key_of_the_recorded_prompt_matches_any_text(flavour, tmp_path):
    """It was removed from the file, and is not known to the replay."""
    with Simulator("Hello!") as simulator:
        connection = simulator.connection.with_changes(api_key="sk-garden-1234")
        flavour.response(recorded(flavour.inference(connection), tmp_path), "What is sk-garden-1234?")
    assert flavour.response(replayed(flavour, Replay(tmp_path)), "What is sk-meadow-9876?").content == "Hello!"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"pace": -1}, "pace is -1"), ({"pace": "fast"}, "pace is 'fast'"), ({"match": ["query"]}, "match has 'query'")],
)
def test_wrong_arguments_are_errors(story, arguments, message):
    """They are named."""
    with pytest.raises(ConfigError, match=message):
        Replay(story[0], **arguments)


def test_inferences_of_both_styles(story):
    """A replay makes either; its text has no content."""
    replay = Replay(story[0])
    assert isinstance(replay.inference(), Inference)
    assert isinstance(replay.async_inference(), AsyncInference)
    assert repr(replay) == "Replay(1 exchanges, 1 left)"


def exchange_of(simulator, folder, text):
    """Return the exchange of a request with a text, as it is recorded."""
    recorded(Inference.from_connection(simulator.connection), folder).text(text)
    return exchanges_in(folder)[-1]


def test_requests_in_another_order_are_not_compared_with_all(tmp_path, monkeypatch):
    """An equal request is found by what it is, so that a long recording takes time in proportion to its length."""
    with Simulator(lambda request: Reply(request.body["messages"][0]["content"])) as simulator:
        first = exchange_of(simulator, tmp_path, "0")
    requests = [replace(first.request, body=first.request.body.replace(b'"0"', b'"%d"' % n)) for n in range(200)]
    replay = Replay([replace(first, request=request) for request in requests])
    compared = []
    monkeypatch.setattr(replaying, "differences", lambda *given: compared.append(given) or ["different"])
    inference = replay.inference()
    for number in reversed(range(200)):
        inference.text(str(number))
    assert (replay.remaining, compared) == ([], [])


def test_the_first_that_matches_is_taken(tmp_path):
    """Those without a key's mark and those with one, where any text matches, keep the order of the recording."""
    with Simulator("Hello!") as simulator:
        first = exchange_of(simulator, tmp_path, "my word")
    marked = replace(first.request, body=first.request.body.replace(b"my word", b"my ***"))
    story = [first.request, marked, first.request, marked]
    replay = Replay([replace(first, request=request) for request in story])
    inference = replay.inference()
    left = []
    for text in ("my word", "my other word", "my word", "my word"):
        inference.text(text)
        left.append([exchange.request is marked for exchange in replay.remaining])
    assert left == [[True, False, True], [False, True], [True], []]
    with pytest.raises(ReplayMismatch, match="all were replayed"):
        inference.text("my word")
