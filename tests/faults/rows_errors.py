"""Rows 58 to 64: errors in a 200, and malformed frames."""

from __future__ import annotations

import json
from typing import Any

from polyglot_core import ProviderError, Truncated
from polyglot_core.errors import Malformed, Overloaded, QuotaExceeded, RateLimited, ServerError
from polyglot_simulator import ErrorEvent, RawReply

from . import frames
from .bodies import GOOGLE, reply
from .playing import all_of, answers, simulated
from .stage import Ends, Scenario

__all__ = ["SCENARIOS"]

# Errors in a 200

OVERLOADED = {"message": "Oh no.", "type": "overloaded_error"}
LASTING = {"message": "Oh no.", "type": "insufficient_quota", "code": "insufficient_quota"}
FIRST = "Before anything came it counts as an error status would, and is asked again if that helps."
MIDDLE = "It is the error that a status would be, and what came is kept; nothing is sent again."


def inside(row: int, driver: str, error: dict[str, Any], kind: type[ProviderError], after: int = 3) -> list[Scenario]:
    """Define scenarios of an error event: first once, first in every attempt, and in the middle."""
    passes = [
        simulated(row, f"{driver}: first", FIRST, answers(requests=2), ErrorEvent(error=error, times=1), driver=driver, again=2),
        simulated(row, f"{driver}: first, for good", FIRST, Ends(error=kind, requests=3, facts={"attempts": 3, "retryable": True}),
                  ErrorEvent(error=error), driver=driver, again=2),
    ]  # fmt: skip
    facts = {"attempts": 1, "phase": "stream", "retryable": True}
    ends = Ends(error=kind, content="One two", facts=facts, says=("Oh no.",))
    return [
        *passes,
        simulated(row, f"{driver}: in the middle", MIDDLE, ends, ErrorEvent(after_events=after, error=error), driver=driver, again=2),
    ]  # fmt: skip


error_events = [
    *inside(58, "openai", OVERLOADED, Overloaded),
    *inside(58, "openai-responses", {"message": "Oh no.", "type": "server_error", "code": "server_error"}, ServerError, 6),
    simulated(58, "openai: quota first", "What waiting does not help against is not asked again.",
              Ends(error=QuotaExceeded, facts={"attempts": 1, "retryable": False}), ErrorEvent(error=LASTING), again=2),
    *inside(59, "anthropic", OVERLOADED, Overloaded, 5),
    *inside(60, "gemini", {"code": 503, "message": "Oh no.", "status": "UNAVAILABLE"}, Overloaded, 2),
    *inside(60, "vertex", {"code": 503, "message": "Oh no.", "status": "UNAVAILABLE"}, Overloaded, 2),
    simulated(61, "ollama: first", "Its errors are texts that do not say whether they pass, so it is not asked again.",
              Ends(error=ProviderError, says=("Oh no.",), facts={"attempts": 1}), ErrorEvent(error=OVERLOADED), driver="ollama", again=2),
    simulated(61, "ollama: in the middle", MIDDLE, Ends(error=ProviderError, content="One two", facts={"attempts": 1}, says=("Oh no.",)),
              ErrorEvent(after_events=2, error=OVERLOADED), driver="ollama", again=2),
    *inside(62, "cohere", {"message": "Oh no.", "type": "overloaded"}, Overloaded, 4),
    *inside(63, "bedrock", {"message": "Oh no.", "type": "ThrottlingException"}, RateLimited),
]  # fmt: skip

OLLAMA = [
    {"model": "m", "message": {"role": "assistant", "content": text}, "done": False}
    for text in ("One", " two", " three")
]
NDJSON = (
    b"\n\n".join(json.dumps(line).encode() for line in [*OLLAMA, {"done": True, "done_reason": "stop"}]) + b"\n\n \n"
)
COHERE_END = b'data: {"type":"message-end","delta":{"finish_reason":"%b"}}\n\n'
COHERE = b'data: {"type":"content-delta","index":0,"delta":{"message":{"content":{"text":"One two"}}}}\n\n'
framings = [
    simulated(60, "gemini: an array of JSON", "Where a gateway made an array of the stream, it is read as one.", answers(),
              reply=RawReply(writes=[json.dumps(GOOGLE).encode()], headers=[("content-type", "application/json")]), driver="gemini"),
    simulated(61, "ollama: blank lines", "They are passed over.", answers(),
              reply=RawReply(writes=[NDJSON], headers=[("content-type", "application/x-ndjson")]), driver="ollama"),
    *[simulated(62, f"cohere: {word.decode()}", "An end that is a failure is no success; what came is kept.",
                Ends(error=ProviderError if error is None else error, content="One two", facts={"code": word.decode()}),
                reply=reply(COHERE, COHERE_END % word), driver="cohere")
      for word, error in [(b"ERROR", ServerError), (b"ERROR_TOXIC", None)]],
]  # fmt: skip

# Binary frames

FLIPPED = bytearray(frames.STORY[2])
FLIPPED[-9] ^= 1
ODD_HEADER = b"\x05:oddy\x63"
HUGE = frames.frame(b"{}", b"")[:3] + b"\xff" + frames.frame(b"{}", b"")[4:]


def frame_error(part: str, odd: bytes, error: type = Malformed, *, row: int = 64) -> Scenario:
    """Define a scenario of a malformed frame after the first piece of text."""
    promise = "It is an error of ours that keeps what came, found before its length is believed."
    return simulated(row, part, promise, Ends(error=error, content="One", facts={"attempts": 1}), driver="bedrock", again=2,
                     reply=RawReply(writes=[*frames.STORY[:2], odd, *frames.STORY[3:]], headers=frames.HEADERS))  # fmt: skip


frame_errors = [
    frame_error("bad checksum of the frame", bytes(FLIPPED), row=63),
    frame_error("bad checksum of the lengths", frames.STORY[2][:8] + b"\0\0\0\0" + frames.STORY[2][12:]),
    frame_error("length of 4 GB", b"\xff\xff\xff\xff" + frames.STORY[2][4:]),
    frame_error("unknown type of header", frames.frame(b"{}", ODD_HEADER)),
    frame_error("headers longer than they are", frames.frame(b"{}", b"\x20:name")),
    frame_error("headers without a name", frames.frame(b"{}", b"\x00\x07\x00\x01x")),
    simulated(64, "cut frame", "A body that ends within a frame is a cut stream.", Ends(error=Truncated, content="One", facts={"attempts": 1}),
              driver="bedrock", again=2, reply=RawReply(writes=[*frames.STORY[:2], frames.STORY[2][:-5]], headers=frames.HEADERS)),
    simulated(64, "whole", "The same frames, undamaged, are an answer.", answers(), driver="bedrock",
              reply=RawReply(writes=frames.STORY, headers=frames.HEADERS)),
]  # fmt: skip


SCENARIOS = all_of(globals())
