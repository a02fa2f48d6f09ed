"""Rows 10 to 23: error statuses."""

from __future__ import annotations

import os
import time
from email.utils import formatdate
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

from polyglot_core import AuthenticationError, Inference, ProviderError, RateLimited, Retries
from polyglot_core.errors import (
    InvalidRequest,
    NotFound,
    Overloaded,
    PermissionDenied,
    QuotaExceeded,
    ServerError,
)
from polyglot_simulator import Status

from .bodies import JSON, PAGE
from .playing import all_of, answers, refusal, scripted, simulated, told
from .scripted import CHUNKED, chunk, head
from .stage import KEY, Ends, Scenario, Stage, same

__all__ = ["SCENARIOS"]

ONCE = "An error that the same request would meet again is raised after one request, "


# Errors that are not retried

MISTAKES = {400: InvalidRequest, 404: NotFound, 413: InvalidRequest, 422: InvalidRequest}
mistakes = [
    simulated(
        10,
        str(status),
        ONCE + "with the provider's text, its code and the field at fault.",
        ends,
        Status(status, JSON),
        again=2,
    )
    for status, error in MISTAKES.items()
    for ends in [refusal(error, 1, "Sorry, no.", status=status, code="some_code", param="messages", retryable=False)]
]

BODIES = {
    "HTML": ("text/html", PAGE, "Sorry, no"),
    "empty": ("application/json", "", ""),
    "cut JSON": ("application/json", '{"error": {"message": "Sorry, no.', "Sorry, no."),
    "binary": ("application/octet-stream", b"\0\xff\x1b[31m" * 99, "\N{REPLACEMENT CHARACTER}"),
    "3 MB": ("text/plain", "Sorry, no. " + "x" * 3_000_000, "Sorry, no."),
}
bodies = [
    simulated(
        11,
        f"{style} {what}",
        "Whatever body comes with it, the error is of the status's class, and its text is fit for a terminal.",
        Ends(error=NotFound, facts={"status": 404}, says=(text,), never_says=("\x1b", "\0", "x" * 600)),
        Status(404, body, content_type=content_type),
        again=2,
        stream=style == "streamed",
    )
    for what, (content_type, body, text) in BODIES.items()
    for style in ("streamed", "plain")
]
endless_body = scripted(
    11,
    "endless",
    "Of a body without end 64 KiB are read; then the error comes and the socket is closed.",
    Ends(error=InvalidRequest, says=("Sorry, no.",), closed=True, within=2.0),
    (head(400, **CHUNKED), chunk(b"Sorry, no. "), *[chunk(b"x" * 8192)] * 9, "hang"),
)
keys = [
    simulated(12, str(status), ONCE + "and shows no key.", ends, Status(status, {"error": "No."}), again=2)
    for status, error in {401: AuthenticationError, 403: PermissionDenied}.items()
    for ends in [refusal(error, 1, "connection simulator", status=status, retryable=False)]
]
repeated_key = simulated(
    12,
    "repeats the key",
    "A provider that quotes the key it refuses does not bring it into the error.",
    refusal(AuthenticationError, 1, "***"),
    Status(401, {"error": {"message": "Incorrect API key provided: key-that-nobody-may-see."}}),
)


def key_of(part: str, row: str, source: str) -> Scenario:
    """Play a wrong key from one source of the settings."""

    @told(12, part, "The error says where the key came from, and not what it is.")
    def play(stage: Stage) -> None:
        server = stage.simulate(fault=Status(401, {"error": "No."}))
        file = Path(stage.enter(TemporaryDirectory())) / "polyglot.toml"
        file.touch(0o600)
        file.write_text(f'[connections.here]\ndriver = "openai"\nmodel = "m"\nbase_url = "{server.base_url}"\n{row}\n')
        stage.enter(mock.patch.dict(os.environ, {"SOME_KEY": KEY}))
        connection = Inference.using("here", config=file).connection
        stage.keeps(refusal(AuthenticationError, 1, source, retryable=False), stage.call(connection), server)
        same("the key was sent", server.requests[0].headers["authorization"], f"Bearer {KEY}")

    return play


key_sources = [
    key_of("key of a variable", 'api_key_env = "SOME_KEY"', "the environment variable SOME_KEY"),
    key_of("key of the file", f'api_key = "{KEY}"', "the configuration file"),
]
answer_with_404 = simulated(
    13,
    "404 with an answer",
    "The status says what it is, also where the body looks like an answer.",
    refusal(NotFound, status=404),
    Status(404, {"choices": [{"message": {"content": "One two three"}, "finish_reason": "stop"}]}),
)


# Transient errors


def again(row: int, status: int, body: object = None, error: type[ProviderError] = ServerError) -> list[Scenario]:
    """Define scenarios of a transient and of a permanent error status."""
    stays = refusal(error, 3, status=status, retryable=True)
    return [
        simulated(
            row,
            f"{status}, then an answer",
            "It is asked again, and the caller sees the answer alone.",
            answers(requests=2),
            Status(status, body, times=1),
            again=2,
        ),
        simulated(
            row, f"{status} for good", "After two repetitions the last error is raised.", stays, Status(status), again=2
        ),
    ]


passing = [
    *again(14, 408, error=InvalidRequest),
    *again(14, 409, error=InvalidRequest),
    *again(14, 425, error=InvalidRequest),
    *again(19, 500),
    *again(19, 502),
    *again(19, 503, error=Overloaded),
    *again(19, 504),
    *again(19, 529, error=Overloaded),
]
lasting = [
    simulated(20, str(status), ONCE + "though it is a 5xx.", ends, Status(status), again=2)
    for status in (501, 505)
    for ends in [refusal(ServerError, 1, status=status, retryable=False)]
]
pages_of_proxies = simulated(
    19,
    "500 HTML",
    "A page of something in between is a server error like any other.",
    refusal(ServerError, 3, "Sorry, no", status=500),
    Status(500, PAGE, content_type="text/html"),
    again=2,
)


# Retry-After


def waited(row: int, part: str, headers: dict[str, str], least: float, most: float, promise: str) -> Scenario:
    """Define a scenario of a 429 that succeeds after a wait of between `least` and `most` seconds."""

    @told(row, part, promise)
    def play(stage: Stage) -> None:
        server = stage.simulate(fault=Status(429, headers=headers, times=1))
        stage.keeps(answers(requests=2), stage.call(stage.connection(server, again=1)), server)
        first, second = (request.received_at for request in server.requests)
        same(f"a wait of {second - first:.2f} s is from {least:g} to {most:g}", least <= second - first < most, True)

    return play


def at_once(row: int, part: str, headers: dict[str, str], seconds: object = None, status: int = 429) -> Scenario:
    """Define a scenario of a `Retry-After` that exceeds the limit."""
    facts = {} if seconds is None else {"retry_after": seconds}
    return simulated(
        row,
        part,
        "A wait longer than `max_retry_after` is not begun: the error comes at once and says how long it is.",
        Ends(error=RateLimited if status == 429 else InvalidRequest, facts={**facts, "attempts": 1}, within=2.0),
        Status(status, headers=headers),
        again=2,
    )


def date(seconds: float) -> str:
    """Return the HTTP date so many seconds from now; HTTP dates have no fractions."""
    return formatdate(time.time() + seconds, usegmt=True)


OWN = "What cannot be read, and what is past, is no wait: the client's own is taken."
waits = [
    waited(15, "0.2 s", {"retry-after": "0.2"}, 0.2, 1.5, "The wait that the provider asks for is kept."),
    at_once(15, "600 s", {"retry-after": "600"}, 600.0),
    waited(17, "milliseconds first", {"retry-after-ms": "200", "retry-after": "9"}, 0.2, 1.5, "Milliseconds go first."),
    *[
        waited(17, repr(text), {"retry-after": text}, 0.0, 0.5, OWN)
        for text in ("", "soon", "nan", "inf", "-5", "0", "1 2")
    ],
    at_once(17, "1e400", {"retry-after": "1e400"}, float("inf")),
]


@told(16, "a date", "A date is a wait until then.")
def date_ahead(stage: Stage) -> None:
    play = waited(16, "", {"retry-after": date(1.999)}, 0.3, 2.6, "").play
    play(stage)


@told(16, "a date far off", "A date in ten minutes is a wait that is not begun.")
def date_far_off(stage: Stage) -> None:
    at_once(16, "", {"retry-after": date(600)}).play(stage)


@told(16, "a date that is past", OWN)
def date_past(stage: Stage) -> None:
    waited(16, "", {"retry-after": date(-3600)}, 0.0, 0.5, OWN).play(stage)


@told(15, "no time left", "A wait that the call has no time for is not begun.")
def no_time_left(stage: Stage) -> None:
    server = stage.simulate(fault=Status(429, headers={"retry-after": "3"}))
    call = stage.call(stage.connection(server, again=2), clocks={"total": 1.0})
    stage.keeps(Ends(error=RateLimited, facts={"retry_after": 3.0, "attempts": 1}, within=1.0), call, server)


GONE = {"error": {"message": "No money.", "type": "insufficient_quota", "code": "insufficient_quota"}}
quota = [
    simulated(18, part, ONCE + "because waiting brings no money.", ends, Status(status, body), again=2)
    for part, status, body in [("429", 429, GONE), ("402", 402, None)]
    for ends in [refusal(QuotaExceeded, 1, status=status, retryable=False)]
]

should_retry = [
    simulated(
        21,
        "true on a 400",
        "The provider knows better: it is asked again.",
        answers(requests=2),
        Status(400, JSON, headers={"x-should-retry": "true"}, times=1),
        again=2,
    ),
    simulated(
        21,
        "false on a 503",
        "The provider knows better: it is not asked again.",
        refusal(Overloaded, 1, status=503, retryable=False),
        Status(503, JSON, headers={"x-should-retry": "false"}),
        again=2,
    ),
    at_once(21, "true, and 600 s", {"x-should-retry": "true", "retry-after": "600"}, 600.0),
    at_once(21, "true on a 400, and 600 s", {"x-should-retry": "true", "retry-after": "600"}, 600.0, 400),
]


@told(22, "used up", "The last error is raised, counts the attempts, and a note says what was waited for.")
def used_up(stage: Stage) -> None:
    server = stage.simulate(fault=Status(503, JSON))
    connection = stage.connection(server, again=3)
    ending = stage.keeps(refusal(Overloaded, 4, "Earlier attempts", "then waited"), stage.call(connection), server)
    attempts = ending.response.failed_attempts
    same("failed attempts", [attempt.error for attempt in attempts], ["Overloaded"] * 3)
    same("waits grow", 0 < attempts[0].wait < attempts[1].wait < attempts[2].wait <= 0.04, True)


@told(23, "25 calls", "Repetitions are paid from a budget that all calls to one place share: about 35 of 50 are sent.")
def storm(stage: Stage) -> None:
    server = stage.simulate(fault=Status(503, JSON))
    connection = stage.connection(server, retries=Retries(max_retries=2, initial_backoff=0.001, budget=35))
    begun = time.monotonic()
    for _ in range(25):
        stage.keeps(Ends(error=Overloaded), stage.call(connection))
    least, most = ((35 + seconds * 35 / 60) // 1 for seconds in (0, time.monotonic() - begun))  # time gives back
    sent = len(server.requests) - 25
    same(f"{sent} repetitions are from {least:g} to {most:g}", least <= sent <= most, True)


SCENARIOS = all_of(globals())
