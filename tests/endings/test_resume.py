"""Resuming interrupted responses, by every driver that supports it, against a provider on real sockets."""

from __future__ import annotations

import pytest

from polyglot_core import Inference, RequestError, Retries
from polyglot_simulator import Drop, Simulator

pytestmark = pytest.mark.http

BEGUN = "Once upon a time"
SOON = Retries(initial_backoff=0.01)


def asked(simulator, driver, **facts):
    connection = simulator.connection_for(driver).with_changes(retries=SOON, facts=facts)
    return Inference.from_connection(connection).create("A story, please.", resume="prefill")


@pytest.mark.parametrize(
    ("driver", "facts", "marks"),
    [
        ("anthropic", {}, {}),
        ("mistral", {}, {"prefix": True}),
        ("ollama", {}, {}),
        ("bedrock", {}, {}),
        ("openai", {"prefill": {"message": {"partial": True}}}, {"partial": True}),
    ],
)
def test_resume_continues_partial_text(driver, facts, marks):
    """Resume with the partial text as a turn of the assistant, and join both parts in the response."""
    replies = iter([f"{BEGUN} there was a fox.", " there was an owl."])
    with Simulator(lambda _: next(replies), fault=Drop(after_events=8, times=1)) as simulator:
        pending = asked(simulator, driver, **facts)
        partials = list(pending.stream())
        first, second = simulator.requests
    (seam,) = [place for place, partial in enumerate(partials) if partial.seam]
    begun = partials[seam].content
    assert begun
    assert pending.response().content == f"{begun.rstrip()} there was an owl."
    turn = second.body["messages"][-1]
    text = turn["content"] if isinstance(turn["content"], str) else turn["content"][0]["text"]
    assert (turn["role"], text) == ("assistant", begun.rstrip())
    assert marks.items() <= turn.items()
    assert second.body["messages"][:-1] == first.body["messages"]


@pytest.mark.parametrize("driver", ["cohere", "gemini", "openai", "openai-responses"])
def test_unsupported_resume_is_reported(driver):
    """Raise before sending if a driver does not support resuming."""
    with Simulator("Never said.") as simulator:
        with pytest.raises(RequestError, match="prefill"):
            asked(simulator, driver).response()
        assert simulator.requests == []
