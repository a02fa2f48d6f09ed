"""A recorded stream of a server that is not ours, replayed at its pace: the same partials, and no key in the file."""

from __future__ import annotations

from time import perf_counter

import pytest

from polyglot_core import Inference
from polyglot_testkit import Recorder, Replay, exchanges_in

from .asking import PATIENCE
from .serving import KEY

pytestmark = pytest.mark.live

FACTS = (
    "content_delta",
    "content",
    "reasoning_delta",
    "finish_reason",
    "tool_calls",
    "usage",
    "choice",
    "refusal_delta",
)


def shown(partials):
    """Return what is compared of partials."""
    return [[getattr(partial, fact) for fact in FACTS] for partial in partials]


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "plain"])
def test_a_replay_at_its_pace_gives_the_same_partials(server, tmp_path, streamed):
    """Each delta, the usage and the finish reason are equal, and the replay takes as long as the response did."""
    config = tmp_path / "polyglot.toml"
    config.touch()
    usual = {"config": config, "base_url": server.base_url, "model": "tiny", "api_key": KEY, "timeouts": PATIENCE}
    arguments = {"options": {"temperature": 0, "max_tokens": 60}, "stream": streamed}
    file = tmp_path / "live.jsonl"
    with Inference.using("llamacpp", **usual) as inference, Recorder(file) as recorder:
        pending = recorder.attach(inference).create("Where does the river go?", **arguments)
        response = pending.response()
        partials = list(recorder.attach(inference).create("Where does the river go?", **arguments).stream())
    first, second = exchanges_in(file)
    assert (first.end, second.end, first.streamed, second.streamed) == ("complete", "complete", streamed, True)
    replay = Replay([second], pace=1.0)
    begun = perf_counter()
    replayed = list(replay.inference().stream("Where does the river go?", options=arguments["options"]))
    elapsed = perf_counter() - begun
    assert shown(replayed) == shown(partials)
    assert elapsed >= second.reads[-1].seconds
    again = Replay([first]).inference().create("Where does the river go?", **arguments).response()
    assert (again.content, again.usage, again.finish_reason) == (
        response.content,
        response.usage,
        response.finish_reason,
    )
    assert KEY.encode() not in file.read_bytes()
    print(
        f"\n{len(partials)} partials in {len(second.reads)} reads, {len(second.body)} bytes; "
        f"received within {second.ended:.3f} s, replayed in {elapsed:.3f} s; finish {replayed[-1].finish_reason}, "
        f"usage {response.usage}"
    )
