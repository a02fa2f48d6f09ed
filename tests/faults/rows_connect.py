"""Rows 1 to 9: no connection, or one to the wrong server."""

from __future__ import annotations

import importlib
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from polyglot_core import AsyncInference, Inference, TimedOut, TransportError
from polyglot_core.errors import ConfigError

from .bodies import STORY, streamed
from .playing import all_of, answers, told
from .scripted import plain
from .stage import KEY, Ends, Stage, same

__all__ = ["SCENARIOS"]

NOWHERE = "http://model.invalid/v1"
"""An address that is never looked up: the scenario sees to it."""


def unreached(kind: str, requests: int = 0, *, says: tuple[str, ...] = (), **facts: object) -> Ends:
    """Return the end of a call without a connection."""
    known = {"kind": kind, "phase": "connect", "retryable": True, **facts}
    return Ends(error=TransportError, requests=requests, facts=known, says=says, never_says=("verify=",))


# No server


@told(1, "refused", "Nobody listens: three attempts are made, and the error names host and port.")
def refused(stage: Stage) -> None:
    simulator = stage.simulate()
    connection, port = stage.connection(simulator, again=2), simulator.port
    simulator.close()
    stage.keeps(unreached("connect", says=(f"127.0.0.1:{port}",), attempts=3), stage.call(connection), simulator)


@told(2, "unknown name", "A name that does not resolve is looked up once more and no oftener.")
def unknown_name(stage: Stage) -> None:
    looked_up = []

    def fail(host: str, *_: object, **__: object) -> None:
        looked_up.append(host)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    connection = stage.connection(stage.simulate(), again=5, base_url=NOWHERE, allow_http=True)
    stage.enter(without_proxies())
    with mock.patch("socket.getaddrinfo", fail):
        stage.keeps(unreached("dns", says=("model.invalid", "base_url"), attempts=2), stage.call(connection))
    same("looked up", {name if isinstance(name, str) else name.decode() for name in looked_up}, {"model.invalid"})


@contextmanager
def without_proxies(**variables: str) -> Iterator[None]:
    """Set these proxies in the environment, and no others."""
    names = {name: text for name, text in os.environ.items() if not name.lower().endswith("_proxy")}
    with mock.patch.dict(os.environ, {**names, **variables}, clear=True):
        yield


# TLS


def certificates() -> Any:
    """Import the module that makes certificates, which alone needs trustme."""
    return importlib.import_module(".certificates", __package__)


def refused_certificate(stage: Stage, *, trusted: bool = True, **certificate: Any) -> None:
    """Make a call to a server with an invalid certificate."""
    server = stage.serve(streamed(*STORY), tls=certificates().serving(**certificate))
    ca = certificates().authority().file if trusted else None
    connection = stage.connection(server, again=2, ca=ca)
    ends = unreached("tls", says=("SSL_CERT_FILE", "127.0.0.1"), retryable=False, attempts=1)
    stage.keeps(ends, stage.call(connection), server)


@told(
    3, "unknown authority", "A certificate that nobody vouches for is an error at once, with where to name one's own."
)
def unknown_authority(stage: Stage) -> None:
    refused_certificate(stage, trusted=False)


@told(3, "wrong host", "A certificate of another host is refused, and no request is sent.")
def wrong_host(stage: Stage) -> None:
    refused_certificate(stage, host="other.invalid")


@told(3, "expired", "A certificate that has run out is refused, and no request is sent.")
def expired(stage: Stage) -> None:
    refused_certificate(stage, expired=True)


@told(3, "trusted", "With `ca` the same server is trusted and answers.")
def trusted_authority(stage: Stage) -> None:
    server = stage.serve(streamed(*STORY), tls=certificates().serving())
    connection = stage.connection(server, ca=certificates().authority().file)
    stage.keeps(answers(), stage.call(connection), server)


@told(4, "TLS to a plain port", "A plain server that answers TLS in clear text is an error of TLS.")
def tls_to_plain(stage: Stage) -> None:
    simulator = stage.simulate()
    connection = stage.connection(simulator, base_url=simulator.base_url.replace("http:", "https:"))
    stage.keeps(unreached("tls", retryable=False), stage.call(connection), simulator)


@told(4, "TLS to a silent port", "A plain server that says nothing to TLS is given up when `connect` runs out.")
def tls_to_silence(stage: Stage) -> None:
    listener = stage.enter(socket.create_server(("127.0.0.1", 0)))
    url = f"https://127.0.0.1:{listener.getsockname()[1]}/v1"
    connection = stage.connection(stage.simulate(), base_url=url)
    ends = Ends(error=TimedOut, facts={"clock": "connect", "phase": "connect"}, within=2.0)
    stage.keeps(ends, stage.call(connection, clocks={"connect": 0.2}))


@told(4, "plain to a TLS port", "A TLS server that is spoken to in clear text is a `TransportError`.")
def plain_to_tls(stage: Stage) -> None:
    server = stage.serve(streamed(*STORY), tls=certificates().serving())
    connection = stage.connection(server, base_url=server.base_url.replace("https:", "http:"))
    stage.keeps(Ends(error=TransportError, requests=0, within=2.0), stage.call(connection), server)


# No reply to the connection attempt


@told(5, "no answer to SYN", "A server whose queue is full is tried three times, each as long as `connect` allows.")
def full_queue(stage: Stage) -> None:
    listener = stage.enter(socket.socket())
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    for _ in range(3):  # these fill the backlog: later connections get no reply
        waiting = stage.enter(socket.socket())
        waiting.setblocking(False)
        waiting.connect_ex(listener.getsockname())
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    connection = stage.connection(stage.simulate(), base_url=url, again=2)
    facts = {"clock": "connect", "attempts": 3, "retryable": True}
    ends = Ends(error=TimedOut, facts=facts, says=("connect",), within=3.0)
    stage.keeps(ends, stage.call(connection, clocks={"connect": 0.1}))


@told(
    6, "own client's pool", "A client of the user's without a free connection is an error that speaks of open streams."
)
def full_pool(stage: Stage) -> None:
    httpx = importlib.import_module("httpx")
    simulator = stage.simulate("One two three " * 2000)
    limits = httpx.Limits(max_connections=1)
    client = (httpx.Client if stage.runner is None else httpx.AsyncClient)(limits=limits)
    connection = stage.connection(simulator, again=2)
    inference = (Inference if stage.runner is None else AsyncInference)(connection, client)
    held = inference.create("Hello", stream=True).stream()
    second = inference.create("Hello", stream=True, timeouts={"connect": 0.3})
    error = None
    try:
        stage.next(held)
        stage.wait(second.response())
    except TransportError as raised:
        error = raised
    finally:
        stage.wait(held.close())
        stage.wait(client.close() if stage.runner is None else client.aclose())
    assert error is not None, "no error"
    same("kind, attempts, retryable", (error.kind, error.attempts, error.retryable), ("pool", 1, False))
    same("hint", "open stream" in str(error), True)
    same("requests", len(simulator.requests), 1)


# Proxies

WORD = "word-that-nobody-may-see"


def through_proxy(stage: Stage, answer: bytes | None, ends: Ends, *, again: int = 2, counted: bool = True) -> None:
    """Make a call to a TLS address through a proxy with a password, which replies to the CONNECT with `answer`."""
    proxy = stage.serve((answer, "close") if answer else ("close",))
    url = proxy.base_url.removesuffix("/v1").replace("http://", f"http://user:{WORD}@")
    if answer is None:
        proxy.close()
    connection = stage.connection(proxy, base_url="https://model.invalid/v1", again=again, proxy=url)
    ending = stage.keeps(ends, stage.call(connection), *([proxy] if counted else []))
    texts = [str(ending.error), repr(ending.error.__dict__), repr(connection)]
    same("texts with the proxy's password", [text for text in texts if WORD in text], [])
    same("methods", {request.method for request in proxy.requests} <= {"CONNECT"}, True)
    same("the key went to the proxy", any(KEY in repr(request.headers) for request in proxy.requests), False)


@told(7, "refused", "A proxy that is not there is tried again, and its password is not shown.")
def proxy_refused(stage: Stage) -> None:
    through_proxy(stage, None, unreached("connect", attempts=3), counted=False)


@told(7, "407", "A proxy that wants another password is not asked again.")
def proxy_password(stage: Stage) -> None:
    answer = plain(status=407, proxy_authenticate="Basic")
    through_proxy(stage, answer, unreached("proxy", 1, retryable=False, attempts=1, says=("407",)))


@told(7, "CONNECT fails", "A proxy that does not get through is asked again.")
def proxy_failed(stage: Stage) -> None:
    through_proxy(stage, plain(status=502), unreached("proxy", 3, attempts=3, says=("502",)))


@told(8, "named by the environment", "HTTP_PROXY is used for other machines.")
def proxy_of_environment(stage: Stage) -> None:
    proxy = stage.serve(streamed(*STORY))
    stage.enter(without_proxies(HTTP_PROXY=proxy.base_url.removesuffix("/v1")))
    stage.keeps(answers(), stage.call(stage.connection(proxy, base_url=NOWHERE, allow_http=True)), proxy)
    same("asked for", proxy.requests[0].target, f"{NOWHERE}/chat/completions")


@told(8, "ALL_PROXY", "ALL_PROXY is used where no other is named.")
def proxy_of_all(stage: Stage) -> None:
    proxy = stage.serve(streamed(*STORY))
    stage.enter(without_proxies(all_proxy=proxy.base_url.removesuffix("/v1")))
    stage.keeps(answers(), stage.call(stage.connection(proxy, base_url=NOWHERE, allow_http=True)), proxy)


@told(8, "NO_PROXY", "NO_PROXY is honoured, and this machine is never asked by way of another.")
def no_proxy(stage: Stage) -> None:
    proxy, server = stage.serve(streamed(*STORY)), stage.serve(streamed(*STORY))
    named = {"HTTP_PROXY": proxy.base_url.removesuffix("/v1"), "NO_PROXY": "localhost"}
    stage.enter(without_proxies(**named))
    for base_url in (server.base_url, server.base_url.replace("127.0.0.1", "localhost")):
        stage.keeps(answers(), stage.call(stage.connection(server, base_url=base_url)))
    same("requests to the proxy", len(proxy.requests), 0)


@told(
    8,
    "SOCKS without its extra",
    "A SOCKS proxy that the HTTP library cannot speak is a `ConfigError` before anything is sent.",
)
def socks(stage: Stage) -> None:
    server = stage.serve(streamed(*STORY))
    connection = stage.connection(server, again=2, proxy="socks5://127.0.0.1:1")
    with mock.patch.dict("sys.modules", {"socksio": None}):
        ends = Ends(error=ConfigError, requests=0, facts={"retryable": False}, says=("socks",))
        stage.keeps(ends, stage.call(connection), server)


# A reused connection


@told(
    9,
    "reset on reuse",
    "A request on a kept connection that the server closes unanswered is sent once more at once, as a retry.",
)
def stale_connection(stage: Stage) -> None:
    whole = plain(b'{"choices":[{"message":{"content":"One two three"},"finish_reason":"stop"}]}', content_type=None)
    server = stage.serve((whole,), ("reset",), streamed(*STORY))
    connection = stage.connection(server, again=1)
    inference = stage.own(connection)
    first = stage.wait(inference.create("Hello", stream=False).response())
    second = stage.wait(inference.create("Hello", stream=True).response())
    same("answers", (first.content, second.content), ("One two three", "One two three"))
    same("failed attempts", second.failed_attempts, ())
    same("connections", [request.connection for request in server.requests], [0, 0, 1])


SCENARIOS = all_of(globals())
