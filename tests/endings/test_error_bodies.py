"""What an error's body tells, wherever the error stands: as an error response, first in a stream, or within one."""

from __future__ import annotations

import base64
import copy
import json
import pickle
import socket
import threading
import traceback
from contextlib import ExitStack, suppress

import pytest

from polyglot_core import Limits, Retries
from polyglot_core.errors import (
    AuthenticationError,
    ContextLengthExceeded,
    NotFound,
    Overloaded,
    ProviderError,
    QuotaExceeded,
    RateLimited,
    ServerError,
    TransportError,
)
from polyglot_simulator import RawReply, Status

pytestmark = pytest.mark.http

KEY = "key-that-nobody-may-see"
ERRORS = {
    "reason in metadata": (
        {"message": "Failed", "code": 400, "metadata": {"raw": '{"error": {"message": "Too wide", "code": "rate_limited"}}'}},
        RateLimited, "Failed: Too wide", None,
    ),
    "reason in the text": (
        {"message": "proxy.BadRequestError: Rose - {'error': {'message': 'Too wide', 'code': 'context_length_exceeded'}}"},
        ContextLengthExceeded, "Too wide", None,
    ),
    "failed_generation": ({"message": "No call", "code": 400, "failed_generation": "<call>"}, ProviderError, "<call>", None),
    "quota": ({"message": "Insufficient balance.", "code": 429}, QuotaExceeded, "balance", None),
    "quota type": ({"message": "Suspended", "type": "exceeded_current_quota_error"}, QuotaExceeded, "Suspended", None),
    "overflow": ({"message": "The maximum context length is 8.", "code": 400}, ContextLengthExceeded, "is 8", None),
    "overloaded": ({"message": "No", "code": "server_is_overloaded"}, Overloaded, "No", None),
    "timeout": ({"message": "No", "type": "timeout_error"}, ServerError, "No", None),
    "model": ({"message": "The model `rose` does not exist", "code": 400}, NotFound, "rose", None),
    "key": ({"message": "Incorrect API key provided", "code": 400}, AuthenticationError, "Incorrect", None),
    "wait in the text": ({"message": "Please try again in 1m30s.", "code": 429}, RateLimited, "again", 90.0),
    "wait in a field": ({"message": "No", "code": 429, "retry_after": 7}, RateLimited, "No", 7.0),
    "wait in the details": ({"message": "No", "code": 429, "details": [{"retryDelay": "34s"}]}, RateLimited, "No", 34.0),
}  # fmt: skip
PIECE = {"id": "c", "model": "m", "choices": [{"index": 0, "delta": {"content": "One"}}]}


def events(*payloads):
    """Return server-sent events."""
    return b"".join(b"data: " + json.dumps(payload).encode() + b"\n\n" for payload in payloads)


def whole(error, status):
    """Return a reply with a JSON body."""
    body = json.dumps({"error": error}).encode()
    return RawReply(writes=[body], headers=[("content-type", "application/json")], status=status, end="length")


PLACES = {
    "status": (lambda error: whole(error, status=error["code"] if isinstance(error.get("code"), int) else 400), True),
    "status, plain": (lambda error: whole(error, status=error["code"] if isinstance(error.get("code"), int) else 400), False),
    "first": (lambda error: RawReply(writes=[events({"error": error})]), True),
    "middle": (lambda error: RawReply(writes=[events(PIECE, {"error": error})]), True),
    "200, plain": (lambda error: whole(error, status=200), False),
    "200, streamed": (lambda error: whole(error, status=200), True),
}  # fmt: skip


@pytest.mark.parametrize(("reply", "streamed"), PLACES.values(), ids=PLACES)
@pytest.mark.parametrize(("error", "kind", "said", "wait"), ERRORS.values(), ids=ERRORS)
def test_error_body(simulate, call_to, error, kind, said, wait, reply, streamed):
    """Check class, message, wait and body of an error, which do not depend on its place."""
    simulator = simulate(reply(error))
    failed = call_to(simulator.connection, stream=streamed).failure()
    assert isinstance(failed, kind)
    assert said in failed.message
    assert failed.retry_after == wait
    assert failed.retryable is (kind in {RateLimited, Overloaded, ServerError})
    assert json.loads(failed.body)["error"] == error


def test_body_survives_copy_and_pickle_without_keys(simulate, call_to):
    """Check that the body is kept by copy and pickle, and that a key in it is not kept at all."""
    connection = simulate(fault=Status(401, {"message": "No", "sent": f"Bearer {KEY}"})).connection
    error = call_to(connection.with_changes(api_key=KEY)).failure()
    assert json.loads(error.body) == {"message": "No", "sent": "***"}
    assert "sent" not in str(error)
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):  # noqa: S301 (our own)
        assert twin.body == error.body


def test_body_is_bounded(simulate, call_to):
    """Check that a body ends at the limit, and that a key that the limit cuts is not kept."""
    made = simulate(fault=Status(401, ("x" * 90 + KEY).encode() * 2000, content_type="text/plain")).connection
    for limit, most in ((100, 100), (64 * 1024, 64 * 1024), (256 * 1024, 64 * 1024)):
        connection = made.with_changes(api_key=KEY, limits=Limits(error_body=limit))
        body = call_to(connection).failure().body
        assert len(body.encode()) <= most
        assert KEY[:6] not in body
        assert body.endswith("…")


@pytest.mark.parametrize(
    "reply", [RawReply(writes=[b"data: {"]), RawReply(writes=[b"<p>"], headers=[("content-type", "text/html")])]
)
def test_errors_of_others_have_no_body(simulate, call_to, reply):
    """Check that an error that is not the provider's has no body."""
    assert call_to(simulate(reply).connection).failure().body is None


HEADERS = {
    "own": ({"x-request-id": "r-1", "x-litellm-call-id": "g-1"}, "r-1"),
    "of a gateway": ({"x-litellm-call-id": "g-1", "cf-ray": "c-1"}, "g-1"),
    "of another gateway": ({"x-portkey-trace-id": "g-2"}, "g-2"),
    "empty": ({"x-request-id": "", "x-trace-id": "t-1"}, "t-1"),
}


@pytest.mark.parametrize(("headers", "request_id"), HEADERS.values(), ids=HEADERS)
def test_request_id(simulate, call_to, headers, request_id):
    """Check that the provider's own id comes before that of a gateway."""
    reply = RawReply(writes=[b"No"], status=500, headers=list(headers.items()), end="length")
    assert call_to(simulate(reply).connection).failure().request_id == request_id


def test_wait_of_a_gateway(simulate, call_to):
    """Check that a gateway's copy of the header counts, and takes precedence over the body."""
    fault = Status(429, {"message": "try again in 9s"}, headers={"gateway-retry-after": "70"})
    assert (
        call_to(simulate(fault=fault).connection.with_changes(retries=Retries(max_retries=2))).failure().retry_after
        == 70
    )


# Addresses

ADDRESSES = {
    "without a version": ("", "/chat/completions", "base_url usually ends with /v1"),
    "of a gateway": ("/api", "/api/chat/completions", "base_url usually ends with /v1"),
    "with a version": ("/v1", "/v1/chat/completions", ""),
    "with another version": ("/v1beta/openai", "/v1beta/openai/chat/completions", ""),
    "with the version twice": ("/v1/v1", "/v1/v1/chat/completions", "/v1 twice"),
    "with the endpoint": ("/v1/chat/completions", "/v1/chat/completions/chat/completions", "/chat/completions twice"),
}


@pytest.mark.parametrize("status", [404, 405])
@pytest.mark.parametrize(
    "body", [b"<h1>Not Found</h1>", b'{"detail": "Not Found"}', b""], ids=["page", "JSON", "empty"]
)
@pytest.mark.parametrize(("base", "path", "advice"), ADDRESSES.values(), ids=ADDRESSES)
def test_wrong_address(simulate, call_to, base, path, advice, body, status):
    """Check that a 404 or 405 names the URL, and that a base URL that is unusual is pointed out."""
    simulator = simulate(RawReply(writes=[body], status=status, headers=[("content-type", "text/html")], end="length"))
    root = f"http://127.0.0.1:{simulator.port}"
    error = call_to(simulator.connection.with_changes(base_url=root + base)).failure()
    assert error.status == status
    assert f"The request was sent to {root}{path}." in error.message
    assert advice in error.message
    assert ("base_url" in error.message) is bool(advice)


def test_unknown_model_is_no_wrong_address(simulate, call_to):
    """Check that a 404 about the model does not blame the base URL."""
    simulator = simulate(whole({"message": "The model `rose` does not exist"}, status=404))
    error = call_to(simulator.connection.with_changes(base_url=f"http://127.0.0.1:{simulator.port}")).failure()
    assert "base_url" not in error.message


# Proxies

PASSWORD = "pass/word@1"
WRITTEN = "pass%2Fword%401"
REPEATED = {
    "decoded": PASSWORD,
    "as written": WRITTEN,
    "in lower case": WRITTEN.lower(),
    "in JSON": PASSWORD.replace("/", "\\/"),
    "Basic": base64.b64encode(f"rose:{PASSWORD}".encode()).decode(),
    "URL": f"http://rose:{WRITTEN}@127.0.0.1:1",
}


def shown(error):
    """Return every text that an error and its causes show."""
    return "".join(traceback.format_exception(error)) + repr(error) + repr(vars(error)) + str(error.body)


@pytest.mark.parametrize("place", ["connection", "environment", "header"])
@pytest.mark.parametrize("text", REPEATED.values(), ids=REPEATED)
def test_password_of_a_proxy_in_a_response(simulate, call_to, monkeypatch, text, place):
    """Check that user and password of a proxy that repeats them in a response are in no text of the error."""
    headers = [("content-type", "text/plain"), ("x-request-id", text)]
    simulator = simulate(RawReply(writes=[f"Rejected: {text}!".encode()], status=407, headers=headers, end="length"))
    proxy = f"http://rose:{WRITTEN}@127.0.0.1:{simulator.port}"
    connection = simulator.connection.with_changes(api_key=KEY)
    if place == "connection":
        connection = connection.with_changes(proxy=proxy)
    elif place == "environment":
        monkeypatch.setenv("HTTPS_PROXY", proxy)
    else:
        header = base64.b64encode(f"rose:{PASSWORD}".encode()).decode()
        connection = connection.with_changes(headers={"proxy-authorization": f"Basic {header}"})
    error = call_to(connection).failure()
    assert "Rejected: " in error.message
    assert "***" in error.message
    assert text not in shown(error)


@pytest.fixture
def rejecting_proxy():
    """Start proxies that reject every tunnel with a given reason; return their ports."""
    with ExitStack() as scope:

        def start(reason):
            server = scope.enter_context(socket.create_server(("127.0.0.1", 0)))

            def serve():
                with suppress(OSError):
                    while True:
                        peer, _ = server.accept()
                        peer.recv(65536)
                        peer.sendall(f"HTTP/1.1 407 {reason}\r\ncontent-length: 0\r\n\r\n".encode())
                        peer.close()

            threading.Thread(target=serve, daemon=True).start()
            return server.getsockname()[1]

        yield start


@pytest.mark.parametrize("place", ["connection", "environment"])
@pytest.mark.parametrize("text", REPEATED.values(), ids=REPEATED)
def test_password_of_a_proxy_that_rejects_a_tunnel(rejecting_proxy, simulate, call_to, monkeypatch, text, place):
    """Check that they are in no text of the error, nor of its causes, if the tunnel is rejected."""
    proxy = f"http://rose:{WRITTEN}@127.0.0.1:{rejecting_proxy(f'Rejected {text}')}"
    connection = simulate().connection.with_changes(api_key=KEY, base_url="https://rose.invalid/v1")
    if place == "connection":
        connection = connection.with_changes(proxy=proxy)
    else:
        monkeypatch.setenv("HTTPS_PROXY", proxy)
    error = call_to(connection).failure()
    assert isinstance(error, TransportError)
    assert "Rejected ***" in error.message.replace("http://***@127.0.0.1:1", "***")
    assert text not in shown(error)
