"""The simulator of the page: its models show what a call can be, from plain text to a response that is cut."""

from __future__ import annotations

import json
import textwrap
from typing import TYPE_CHECKING, Any

from polyglot_cli.simulated_replies import prompt_of
from polyglot_simulator import Pace, RawReply, Reply, Simulator, ToolCall

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from polyglot_simulator import RecordedRequest

__all__ = ["NAME", "new_simulator"]

NAME = "simulator"
"""Name of the connection, and of the model of plain text."""

_PACE = 30.0  # tokens per second: about the speed of reading
_KEPT = 100  # requests; the page may be open for days
_ECHOED = 200  # characters of the prompt

_TEXT = """\
Hello! I am the simulator, a provider on this machine. You wrote “{prompt}”, which I cannot respond to, but this is \
how a response is received: piece by piece, each at its own time. The plot above shows when.

Choose another of my models to see reasoning, tool calls, a response that is cut, or an error.\
"""
_THOUGHTS = (
    "The user wants to see reasoning. It is received before the text, and is not a part of it. "
    "So I think aloud for a moment, and then respond."
)
_THOUGHT = "Reasoning is shown dimmed, and the text follows as usual. Your prompt was “{prompt}”."
_CUT = "This response is cut: its body ends before the model is done, in the middle of a sen"
_FAILED = "This response fails: after some text, the provider reports an error of its own."


def new_simulator() -> Simulator:
    """Return a simulator with the models of this page, which is not started."""
    return Simulator(_reply, models=list(_REPLIES), pace=Pace(tokens_per_second=_PACE, jitter=0.5), keep=_KEPT)


def _reply(request: RecordedRequest) -> Reply | RawReply:
    body: Mapping[str, Any] = request.body if isinstance(request.body, dict) else {}
    prompt = textwrap.shorten(prompt_of(body), _ECHOED, placeholder=" …")
    return _REPLIES.get(str(body.get("model")), _plain)(prompt)


def _plain(prompt: str) -> Reply:
    return Reply(_TEXT.format(prompt=prompt))


def _thinking(prompt: str) -> Reply:
    return Reply(_THOUGHT.format(prompt=prompt), reasoning=_THOUGHTS)


def _calling(prompt: str) -> Reply:
    return Reply(
        "I need two facts for that.",
        tool_calls=[
            ToolCall("weather", {"city": "Oslo", "days": 3}),
            ToolCall("search", {"query": prompt, "limit": 5}),
        ],
    )


def _cut(_: str) -> RawReply:
    return _raw(_CUT, end="chunked")


def _failing(_: str) -> RawReply:
    error = {"message": "The server had an error while it processed the request.", "type": "server_error"}
    return _raw(_FAILED, {"error": error}, end="close")


def _silent(_: str) -> RawReply:
    return _raw("This response stalls, and the connection stays open. Press Stop.", end="open")


def _busy(_: str) -> RawReply:
    error = {"message": "Rate limit reached for requests.", "type": "requests", "code": "rate_limit_exceeded"}
    headers = {"content-type": "application/json", "retry-after": "20"}
    return RawReply(writes=[json.dumps({"error": error}).encode()], status=429, headers=headers, end="length")


def _raw(text: str, *more: Mapping[str, object], end: Any) -> RawReply:  # noqa: ANN401 (one of the ends of RawReply)
    """Return a response in OpenAI's dialect that has no regular end."""
    words = text.split(" ")
    pieces = [word + " " for word in words[:-1]] + words[-1:]
    chunks: Sequence[Mapping[str, object]] = [
        *({"choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": None}]} for piece in pieces),
        *more,
    ]
    return RawReply(writes=[f"data: {json.dumps(chunk)}\n\n".encode() for chunk in chunks], delay=1 / _PACE, end=end)


_REPLIES: Mapping[str, Callable[[str], Reply | RawReply]] = {
    NAME: _plain,
    "simulator-reasoning": _thinking,
    "simulator-tools": _calling,
    "simulator-cut": _cut,
    "simulator-error": _failing,
    "simulator-stall": _silent,
    "simulator-busy": _busy,
}
