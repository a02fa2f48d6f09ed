"""Rows 24 to 32: redirects, a 200 with an unusable body, and responses beyond the size limits."""

from __future__ import annotations

import importlib
from typing import Any

from polyglot_core import Outcome, ProviderError, Truncated
from polyglot_core._values.limits import Limits
from polyglot_core.errors import (
    LimitExceeded,
    UnexpectedContentType,
)
from polyglot_simulator import ContentType, RawReply, Status

from .bodies import JSON, PAGE, STORY, streamed
from .playing import all_of, answers, refusal, scripted, simulated, told
from .scripted import CHUNKED, chunk, head, plain
from .stage import Ends, Scenario, Stage, same

__all__ = ["SCENARIOS"]

# Redirects


def redirected(row: int, part: str, status: int, *, elsewhere: bool = True) -> Scenario:
    """Play a redirect, to another server or to another path."""

    @told(row, part, "It is an error that names the target; nothing is sent there, the key least of all.")
    def play(stage: Stage) -> None:
        there = stage.simulate()
        target = f"{there.base_url}/chat/completions" if elsewhere else "/v1/other?key=none"
        here = stage.simulate(fault=Status(status, "", headers={"location": target}))
        ends = refusal(ProviderError, 1, target, "base_url", status=status, retryable=False)
        stage.keeps(ends, stage.call(stage.connection(here, again=2)), here)
        same("requests to the target", there.requests, [])

    return play


redirects = [
    *[redirected(24, str(status), status) for status in (301, 302, 303)],
    *[redirected(25, f"{status}, same origin", status, elsewhere=False) for status in (307, 308)],
    *[redirected(26, f"{status}, other origin", status) for status in (307, 308)],
]


@told(26, "a loop", "A server that redirects to itself for ever is asked once.")
def redirect_loop(stage: Stage) -> None:
    redirected(26, "", 307, elsewhere=False).play(stage)


@told(27, "https to http", "It is an error, as any other redirect.")
def redirected_to_plain(stage: Stage) -> None:
    certificates = importlib.import_module(".certificates", __package__)
    there = stage.simulate()
    target = f"{there.base_url}/chat/completions"
    here = stage.serve((plain(b"", 307, location=target),), tls=certificates.serving())
    connection = stage.connection(here, again=2, ca=certificates.authority().file)
    stage.keeps(refusal(ProviderError, 1, target, status=307), stage.call(connection), here)
    same("requests to the target", there.requests, [])


# Status 200 with an unusable body


def no_answer(
    part: str, error: type, *says: str, kind: str = "text/html", body: object = PAGE, **more: Any
) -> Scenario:
    """Define a scenario of a 200 with an unusable body."""
    promise = "It is said to be what it is, with how it begins, and is never an empty success."
    ends = Ends(error=error, says=says, never_says=("\x1b",), facts={"attempts": 1, "retryable": False})
    return simulated(28, part, promise, ends, ContentType(kind, body), again=2, **more)  # type: ignore[arg-type]


others = [
    no_answer("page", UnexpectedContentType, "text/html", "Sorry"),
    no_answer("page, plain", UnexpectedContentType, "text/html", "Sorry", stream=False),
    no_answer("text", UnexpectedContentType, "text/plain", kind="text/plain", body="Sorry"),
    no_answer("JSON", UnexpectedContentType, "application/json", kind="application/json", body={"choices": []}),
    no_answer("JSON, plain", ProviderError, "Forbidden", kind="application/json", body={"message": "Forbidden"},
              stream=False),
    no_answer("no choices, plain", UnexpectedContentType, '"choices"', kind="application/json", body={"choices": []},
              stream=False),
    no_answer("JSON error", ProviderError, "Sorry, no.", kind="application/json", body=JSON),
    simulated(
        28, "no content type", "Its absence is let pass.", answers(), ContentType(None)
    ),
    simulated(
        28, "no content type, plain", "Its absence is let pass.", answers(), ContentType(None), stream=False
    ),
]  # fmt: skip
NOTHING = RawReply(end="length")
empties = [
    simulated(
        29,
        "for good",
        "An answer that ends before it begins is `Truncated`, after it was asked for three times.",
        Ends(error=Truncated, requests=3, facts={"retryable": True, "attempts": 3}),
        reply=NOTHING,
        again=2,
    ),
    simulated(
        29,
        "then an answer",
        "It is asked again, and the caller sees the answer alone.",
        answers(requests=2),
        reply=[NOTHING, "One two three"],
        again=2,
    ),
    simulated(
        29,
        "plain",
        "The same where no stream was asked for.",
        Ends(error=Truncated, requests=2),
        reply=RawReply(end="length", headers=[("content-type", "application/json")]),
        again=1,
        stream=False,
    ),
    simulated(
        30, "204", "It is an answer that ended before it began.", Ends(error=Truncated), reply=RawReply(status=204)
    ),
    scripted(
        30,
        "103 three times",
        "What comes ahead of the answer is passed over.",
        answers(),
        (b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" * 3, *streamed(*STORY)),
    ),
]


# Beyond the size limits


@told(31, "body", "What is larger than `limits.response` is refused, what came is kept, and the socket is closed.")
def large_body(stage: Stage) -> None:
    server = stage.simulate("One two three " * 5000)
    connection = stage.connection(server, again=2, limits=Limits(response=20_000))
    call = stage.call(connection)
    ending = stage.end(call)
    same("error", type(ending.error), LimitExceeded)
    same("says which limit", "limits.response" in str(ending.error), True)
    same("keeps the beginning", ending.response.content.startswith("One two three One"), True)
    same("requests, outcome", (len(server.requests), ending.response.outcome), (1, Outcome.FAILED))
    same("closed", server.requests[0].wait_closed(1.0) is not None, True)


heads = [
    scripted(
        31,
        "head of 60 KB",
        "A head that is larger than `limits.headers` is refused.",
        Ends(error=LimitExceeded, says=("limits.headers",), facts={"attempts": 1, "retryable": False}),
        (head(x_long="x" * 60_000, **CHUNKED), *map(chunk, STORY), b"0\r\n\r\n"),
        limits=Limits(headers=50_000),
        again=2,
    ),
    scripted(
        31,
        "head of 300 KB",
        "A head that the HTTP client does not take is refused at once.",
        Ends(error=LimitExceeded, facts={"attempts": 1, "retryable": False}),
        (head(x_long="x" * 300_000, **CHUNKED), *map(chunk, STORY), b"0\r\n\r\n"),
        again=2,
    ),
]


@told(32, "the body", "A request is bytes before it is sent, so a repetition says the same.")
def same_again(stage: Stage) -> None:
    server = stage.simulate(fault=Status(503, times=2))
    stage.keeps(answers(requests=3), stage.call(stage.connection(server, again=2)), server)
    first, *others = (request.body for request in server.requests)
    same("bodies", others, [first, first])
    same("the question", first["messages"][-1]["content"], "Hello")


SCENARIOS = all_of(globals())
