"""The scenarios that seven providers' own libraries were measured with: their results, and Polyglot's now."""

from __future__ import annotations

import gc
import time
import tomllib
from collections.abc import Callable, Sequence
from email.utils import formatdate
from pathlib import Path
from typing import Any, NamedTuple

from polyglot_core import AsyncInference, Inference, TimedOut
from polyglot_simulator import (
    ByteAtATime,
    Comments,
    ContentType,
    Cut,
    Drop,
    ErrorEvent,
    Garbage,
    Gzip,
    LeaveOpen,
    RawReply,
    Reset,
    Stall,
    Status,
)

from .bodies import BODY, DONE, FINISH, STORY, TEXT, event, finish, reply, said, streamed
from .scripted import head
from .stage import STYLES, Ending, Scenario, Stage
from .tables import table

__all__ = ["PEERS", "PLAYS", "Compared", "compare", "listed", "measured", "peer_table"]

PEERS = ("openai", "anthropic", "google", "mistral", "cohere", "groq", "ollama")
PAGE = "<!doctype html><h1>Sorry</h1>"

Play = Callable[[Stage], str]


def simulated(
    *faults: Any, reply: Any = TEXT, text: str = TEXT, again: int = 2, clocks: dict[str, float] | None = None
) -> Play:
    """Make a call to a simulator with these faults and return its end."""

    def play(stage: Stage) -> str:
        server = stage.simulate(reply, fault=faults)
        call = stage.call(stage.connection(server, again=again), clocks=clocks)
        return _shown(stage.end(call), len(server.requests), text)

    return play


def scripted(*scripts: Any) -> Play:
    """Make a call to a scripted server and return its end."""

    def play(stage: Stage) -> str:
        server = stage.serve(*scripts)
        call = stage.call(stage.connection(server, again=2))
        return _shown(stage.end(call), len(server.requests))

    return play


def _shown(ending: Ending, requests: int, text: str = TEXT) -> str:
    if ending.error is None:
        whole = "ok" if ending.response.content == text else f"ok, {ending.response.content!r}"
        return f"{whole} x{requests}"
    clock = f" ({ending.error.clock})" if isinstance(ending.error, TimedOut) else ""
    kept = f", {ending.response.content!r} kept" if ending.response.content else ""
    return f"{type(ending.error).__name__}{clock} x{requests}{kept}"


def redirected(stage: Stage) -> str:
    """Check whether the key is sent to the target of a redirect."""
    there = stage.simulate()
    location = f"{there.base_url}/chat/completions"
    here = stage.simulate(fault=Status(307, "", headers={"location": location}))
    ending = stage.end(stage.call(stage.connection(here, again=2)))
    return f"{'yes' if there.requests else 'no'}, {_shown(ending, len(here.requests))}"


def outlived(stage: Stage) -> str:
    """Read a stream whose inference is no longer referenced."""
    server = stage.simulate(fault=Stall(after_events=2, seconds=0.05))
    make = Inference if stage.runner is None else AsyncInference
    stream = make(stage.connection(server)).create("Hello", stream=True).stream()
    stage.next(stream)
    gc.collect()
    response = stage.wait(stream.response())
    return _shown(Ending(None, response, 0.0, 0.0), len(server.requests))


def dated(stage: Stage) -> str:
    """Measure a 429 with a date a moment away."""
    headers = {"retry-after": formatdate(time.time() + 1.2, usegmt=True)}
    return simulated(Status(429, headers=headers, times=1))(stage)


def waiting(**headers: str) -> Play:
    """Measure a 429 that succeeds after a wait."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return simulated(Status(429, headers=named, times=1))


CUT_IN_CHARACTER = reply(said("One"), event(b'{"choices":[{"delta":{"content":"Gr' + b"\xc3")[:-2])
NAN = event(b'{"choices":[{"index":0,"delta":{"content":" two"},"logprobs":{"x":NaN}}]}')
BIG = "x" * 8_000_000

PLAYS: dict[str, Sequence[Play]] = {
    "500 with JSON, with HTML; 529": [
        simulated(Status(500)), simulated(Status(500, PAGE, content_type="text/html")), simulated(Status(529)),
    ],
    "500, then an answer": [simulated(Status(500, times=1))],
    "400 with an empty body": [simulated(Status(400, ""))],
    "429, wait as seconds, date, ms": [waiting(retry_after="0.1"), dated, waiting(retry_after_ms="100")],
    "429, wait 600 s": [simulated(Status(429, headers={"retry-after": "600"}))],
    "400, x-should-retry: true": [simulated(Status(400, headers={"x-should-retry": "true"}, times=1))],
    "redirect to another host: key sent there?": [redirected],
    "redirect loop": [simulated(Status(307, "", headers={"location": "/v1/chat/completions"}))],
    "200 with a page": [simulated(ContentType("text/html", PAGE))],
    "200 with a JSON error": [simulated(ContentType("application/json", {"error": {"message": "Sorry."}}))],
    "200 with nothing": [simulated(reply=RawReply(end="length"))],
    "reset before the headers": [simulated(Reset(before_headers=True))],
    "reset in the middle": [simulated(Reset(after_events=3))],
    "closed in the middle": [simulated(Drop(after_events=3))],
    "clean end without a finish": [simulated(Cut(after_events=3))],
    "cut within an event": [simulated(Cut(after_bytes=len(BODY) - 160), reply=reply(*STORY))],
    "cut within a character": [simulated(reply=CUT_IN_CHARACTER)],
    "error event in the middle": [simulated(ErrorEvent(after_events=3))],
    "event that is no JSON": [simulated(Garbage(after_events=3))],
    "NaN for a number": [simulated(reply=reply(STORY[0], NAN, *STORY[2:]))],
    "events after the end": [simulated(reply=reply(BODY + said(" four")))],
    "end, and the socket stays open": [simulated(LeaveOpen(), clocks={"grace": 2.0, "idle": 2.0})],
    "byte order mark first": [simulated(reply=reply(b"\xef\xbb\xbf" + BODY))],
    "comments between events": [simulated(Comments(every=0.0, count=5, after_events=3))],
    "silence after two events": [simulated(Stall(after_events=3), clocks={"idle": 0.3})],
    "comments for ever": [simulated(Comments(every=0.05, count=500, after_events=3), clocks={"idle": 0.3})],
    "broken gzip": [simulated(Gzip(), Garbage(after_events=3, data=b"\0" * 40))],
    "Content-Length larger than the body": [
        scripted((head(content_length="9999"), *STORY[:2], 0.02, "close")),
        scripted((head(content_length="9999"), *STORY, 0.02, "close")),
    ],
    "no Content-Type": [simulated(ContentType(None))],
    "stream outlives its client": [outlived],
    "CRLF, CR, byte by byte, gzip, 8 MB, 103, two finishes": [
        simulated(reply=reply(BODY.replace(b"\n", b"\r\n"))),
        simulated(reply=reply(BODY.replace(b"\n", b"\r"))),
        simulated(ByteAtATime()),
        simulated(Gzip()),
        simulated(reply=reply(said(BIG), FINISH, DONE), text=BIG),
        scripted((b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n", *streamed(*STORY))),
        simulated(reply=reply(*STORY[:4], finish(), DONE)),
    ],
}  # fmt: skip


class Compared(NamedTuple):
    """A scenario, the results of seven libraries, the promise, and the results measured now, by style."""

    fault: str
    peers: dict[str, str]
    promised: str
    found: dict[str, str]

    @property
    def differs(self) -> bool:
        """Return whether anything differs from its promise."""
        return any(found != self.promised for found in self.found.values())


def listed() -> list[dict[str, str]]:
    """Read the scenarios from the file."""
    scenarios: list[dict[str, str]] = tomllib.loads(Path(__file__).with_name("peers.toml").read_text("utf-8"))[
        "scenario"
    ]
    return scenarios


def measured(fault: str, style: str) -> str:
    """Measure what Polyglot does, in the terms of the table."""
    said_of_each = []
    for play in PLAYS[fault]:
        with Stage(style) as stage:
            said_of_each.append(play(stage))
    return " / ".join(said_of_each)


def compare(progress: Callable[[Scenario], object]) -> list[Compared]:
    """Measure every scenario in every style."""
    lines = []
    for row in listed():
        progress(Scenario("1c", row["fault"], row["promised"], lambda _stage: None))
        found = {style: measured(row["fault"], style) for style in STYLES}
        lines.append(Compared(row["fault"], {name: row[name] for name in PEERS}, row["promised"], found))
    return lines


def peer_table(lines: Sequence[Compared]) -> str:
    """Return a table of the scenarios and each library's results; `!` marks what a user would call a bug."""
    rows = [(line.fault, *(line.peers[name] for name in PEERS), _found(line)) for line in lines]
    text = table(("fault", *PEERS, "polyglot"), rows, widths=(26, *[15] * len(PEERS), 26))
    differ = sum(line.differs for line in lines)
    bugs = {name: sum(line.peers[name].startswith("!") for line in lines) for name in PEERS}
    counted = ", ".join(f"{name} {count}" for name, count in bugs.items())
    return f"{text}\n\nWhat a user would call a bug (!): {counted}, polyglot {differ} of {len(lines)}."


def _found(line: Compared) -> str:
    said = dict.fromkeys(line.found.values())
    text = " — async: ".join(said)
    return f"! {text}, promised: {line.promised}" if line.differs else text
