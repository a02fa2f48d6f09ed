"""The server: recording, closing, keep-alive, refusals, and its own life."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
import threading
import time
from pathlib import Path

import pytest

from polyglot_core import Inference
from polyglot_core.errors import ConfigError, RateLimited
from polyglot_simulator import LeaveOpen, Pace, Reply, Reset, Simulator, Stall
from polyglot_simulator.routes import supported_drivers

ENDLESS = "word " * 100_000


def test_requests_are_recorded_as_received(call):
    """Method, path, query, headers in lower case, the parsed body, and the order of arrival."""
    with Simulator() as simulator:
        caller = call(simulator)
        caller.send("GET", "/v1/models?limit=2", headers="X-Mark: A\r\n").response()
        caller.ask(temperature=0.5).response()
        first, second = simulator.requests
    assert (first.number, first.method, first.path, first.query) == (1, "GET", "/v1/models", "limit=2")
    assert first.headers["x-mark"] == "A"
    assert first.body == b""
    assert (second.number, second.method, second.path) == (2, "POST", "/v1/chat/completions")
    assert second.body["temperature"] == 0.5
    assert second.received_at >= first.received_at


def test_sent_bytes_count_the_whole_response(call):
    """Head and framing are part of what was sent."""
    with Simulator("hi") as simulator:
        heard = call(simulator).ask(last=True).hear()
        assert simulator.requests[0].sent_bytes == len(heard.data)


def test_repr_of_a_request_shows_no_headers(call):
    """Keys and prompts stay out of test reports."""
    with Simulator() as simulator:
        call(simulator).send("GET", "/v1/models", headers="Authorization: Bearer test-key\r\n").response()
        assert "test-key" not in repr(simulator.requests)
        assert "test-key" not in repr(Simulator(api_key="test-key"))


def test_wait_for_request_returns_it_or_times_out(call):
    """A test can wait for what its client does in another thread."""
    with Simulator() as simulator:
        caller = call(simulator)
        paths: list[str] = []
        waiter = threading.Thread(target=lambda: paths.append(simulator.wait_for_request(1, timeout=20).path))
        waiter.start()
        caller.ask()
        waiter.join(5)
        assert paths == ["/v1/chat/completions"]
        with pytest.raises(TimeoutError, match="Request 2 was not received"):
            simulator.wait_for_request(2, timeout=0.01)


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"fault": Stall(before_headers=True)}, id="stalled before the head"),
        pytest.param({"fault": Stall(after_events=1)}, id="stalled in the body"),
        pytest.param({"fault": LeaveOpen()}, id="left open"),
        pytest.param({"pace": Pace(tokens_per_second=1)}, id="between two tokens"),
        pytest.param({"reply": ENDLESS}, id="writing"),
        pytest.param({}, id="idle after the answer"),
    ],
)
def test_close_by_the_client_is_seen_in_every_phase(call, settings):
    """`closed_at` is set while the simulator still has something to do, and `wait_closed` returns it."""
    with Simulator(**settings) as simulator:
        caller = call(simulator).ask()
        request = simulator.wait_for_request(1)
        caller.socket.settimeout(0.05)
        with contextlib.suppress(TimeoutError):
            caller.socket.recv(100)
        assert request.closed_at is None
        caller.close()
        assert request.wait_closed(5) == request.closed_at
        assert request.closed_at > request.received_at


def test_reset_by_the_client_is_seen(call):
    """An RST is a close as well."""
    with Simulator(fault=Stall(after_events=1)) as simulator:
        caller = call(simulator).ask()
        request = simulator.wait_for_request(1)
        caller.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        caller.close()
        assert request.wait_closed(5) is not None


def test_close_stops_the_writing(call):
    """After the client has gone nothing more is sent."""
    with Simulator(ENDLESS) as simulator:
        caller = call(simulator).ask()
        caller.socket.recv(1000)
        caller.close()
        request = simulator.requests[0]
        request.wait_closed(5)
        sent = request.sent_bytes
        assert 0 < sent < len(ENDLESS)
        call(simulator).send("GET", "/v1/models").response()
        assert request.sent_bytes == sent


def test_reset_by_the_simulator_is_no_close_by_the_client(call):
    """`closed_at` stays None where the simulator was first."""
    with Simulator(fault=Reset(after_events=1)) as simulator:
        assert call(simulator).ask().hear().ending == "reset"
        assert simulator.requests[0].wait_closed(0.05) is None


def test_keep_limits_recorded_requests(call):
    """The latest requests keep their numbers; an earlier one raises an error."""
    with Simulator("Hi", keep=2) as simulator:
        caller = call(simulator)
        for _ in range(3):
            caller.ask().response()
        assert [request.number for request in simulator.requests] == [2, 3]
        assert simulator.wait_for_request(3).number == 3
        with pytest.raises(LookupError, match="Request 1 is no longer kept; the latest 2 are"):
            simulator.wait_for_request(1)
        assert "3 requests" in repr(simulator)


def test_one_connection_takes_several_requests(call):
    """Keep-alive: streams, plain responses and errors follow each other on one socket."""
    with Simulator(["one", "two"]) as simulator:
        caller = call(simulator)
        assert caller.ask().response()[1].endswith(b"[DONE]\n\n")
        assert caller.send("GET", "/nowhere").response()[0] == 404
        assert caller.ask(stream=False).response()[1]["choices"][0]["message"]["content"] == "two"
        caller.close()
        assert all(request.wait_closed(5) for request in simulator.requests)


def test_pipelined_requests_are_served_in_order(call):
    """Pipelined requests wait for their turn."""
    with Simulator(["one", "two"]) as simulator:
        caller = call(simulator).ask(stream=False).ask(stream=False, last=True)
        heard = caller.hear()
    assert heard.data.index(b'"one"') < heard.data.index(b'"two"')
    assert heard.ending == "fin"


def test_request_may_arrive_byte_by_byte(call):
    """The parser waits for the whole request."""
    with Simulator("hi") as simulator:
        caller = call(simulator)
        for byte in b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n":
            caller.socket.sendall(bytes((byte,)))
        assert caller.response()[0] == 200


def test_expect_100_continue_is_supported(call):
    """`Expect: 100-continue` receives its interim response before the body is sent."""
    with Simulator() as simulator:
        caller = call(simulator)
        body = json.dumps({"messages": [{"role": "user", "content": "hi"}]}).encode()
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nContent-Length: {len(body)}\r\n"
        caller.socket.sendall(f"{head}Expect: 100-continue\r\n\r\n".encode())
        assert caller.socket.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        caller.socket.sendall(body)
        assert caller.response()[0] == 200


def test_what_is_no_http_is_refused_and_closed(call):
    """The reason is in the response; nothing is recorded."""
    with Simulator() as simulator:
        caller = call(simulator)
        caller.socket.sendall(b"\x16\x03\x01 hello\r\n\r\n")
        heard = caller.hear()
        assert heard.head.startswith("HTTP/1.1 400")
        assert heard.ending == "fin"
        assert simulator.requests == []


def test_body_over_the_limit_is_refused(call):
    """It is read to its end, so that the client gets to hear why, but not kept in memory."""
    with Simulator() as simulator:
        caller = call(simulator)
        caller.socket.sendall(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999\r\n\r\n" + b"x" * 40_000_000)
        assert "larger than" in caller.response()[1]["error"]["message"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("POST", "/v1/chat/completions", b"{no json", 400, None),
        ("POST", "/v1/chat/completions", b"[]", 400, None),
        ("POST", "/v1/chat/completions", b"{}", 400, "missing_required_parameter"),
        ("POST", "/v1/chat/completions", b'{"messages": "hi"}', 400, "invalid_type"),
        ("POST", "/v1/chat/completions", b'{"messages": []}', 400, "invalid_type"),
        ("POST", "/v1/chat/completions", b'{"messages": [{}], "n": 1000}', 400, "invalid_value"),
        ("GET", "/v1/chat/completions", b"", 405, "method_not_allowed"),
        ("POST", "/v1/audio/speech", b"{}", 404, "unknown_url"),
    ],
)
def test_invalid_request_gets_an_error_with_the_reason(call, method, path, body, status, code):
    """Refusals have a provider's shape, and use up neither a reply nor a fault."""
    with Simulator(["first", "second"], faults=[Stall(before_headers=True, seconds=0)]) as simulator:
        caller = call(simulator)
        answer = caller.send(method, path, body).response()
        assert answer[0] == status
        assert answer[1]["error"]["code"] == code
        assert set(answer[1]["error"]) == {"message", "type", "param", "code"}
        assert caller.ask(stream=False).response()[1]["choices"][0]["message"]["content"] == "first"


def test_only_the_right_key_is_let_in(call):
    """With an api_key, another one or none gets 401."""
    with Simulator(api_key="test-key") as simulator:
        caller = call(simulator)
        answers = [
            caller.send("GET", "/v1/models", headers=header).response()
            for header in ("", "Authorization: Bearer other\r\n", "Authorization: Bearer test-key\r\n")
        ]
        assert simulator.connection.auth_headers()["authorization"].reveal() == "Bearer test-key"
    assert [status for status, _ in answers] == [401, 401, 200]
    assert answers[0][1]["error"]["code"] == "invalid_api_key"


def test_models_are_listed(call):
    """The list holds the one model."""
    with Simulator(model="tiny") as simulator:
        _, body = call(simulator).send("GET", "/v1/models").response()
    assert body["object"] == "list"
    assert [model["id"] for model in body["data"]] == ["tiny"]


def test_replies_are_sent_in_turn_and_the_last_repeats(call):
    """A list is a conversation."""
    with Simulator(["one", Reply("two")]) as simulator:
        caller = call(simulator)
        answers = [caller.ask(stream=False).response()[1] for _ in range(3)]
    assert [answer["choices"][0]["message"]["content"] for answer in answers] == ["one", "two", "two"]
    assert [answer["id"][-1] for answer in answers] == ["1", "2", "3"]


def test_reply_may_be_a_function_of_the_request(call):
    """An echo is one line."""
    with Simulator(lambda request: request.body["messages"][-1]["content"].upper()) as simulator:
        body = call(simulator).ask(stream=False).response()[1]
    assert body["choices"][0]["message"]["content"] == "HELLO THERE"


def test_error_of_a_reply_function_reaches_the_client(call):
    """A script that fails is a response with status 500 and the reason."""
    with Simulator(lambda request: request.body["prompt"]) as simulator:
        status, body = call(simulator).ask().response()
    assert status == 500
    assert body["error"]["message"] == "The simulator's script failed: KeyError: 'prompt'"


@pytest.mark.parametrize("reply", [[], 7, [None]])
def test_reply_that_is_none_is_refused(reply):
    """Wrong scripts are found when the simulator is made."""
    with pytest.raises(ConfigError, match="reply"):
        Simulator(reply)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "localhost"])  # noqa: S104 (it is refused)
def test_only_loopback_is_bound(host):
    """The simulator cannot be reached from another machine."""
    with pytest.raises(ConfigError, match="loopback"):
        Simulator(host=host)


def test_connection_leads_to_the_simulator():
    """The connection is complete: driver, model, URL and key."""
    with Simulator(model="tiny") as simulator:
        connection = simulator.connection
        assert simulator.base_url == f"http://127.0.0.1:{simulator.port}/v1"
        assert (connection.name, connection.driver, connection.model) == ("simulator", "openai", "tiny")
        assert connection.base_url == simulator.base_url
        assert connection.secret


def test_stopped_simulator_raises():
    """Before the start and after the end there is no port."""
    simulator = Simulator()
    with pytest.raises(ConfigError, match="not running"):
        _ = simulator.base_url
    simulator.start()
    with pytest.raises(ConfigError, match="already running"):
        simulator.start()
    simulator.close()
    simulator.close()
    with pytest.raises(ConfigError, match="not running"):
        _ = simulator.connection


def test_close_ends_thread_and_sockets(call):
    """Nothing is left: a stalled client sees the end, the port is free, and the thread is gone."""
    before = threading.active_count()
    simulator = Simulator(fault=Stall(after_events=1)).start()
    port = simulator.port
    caller = call(simulator).ask()
    simulator.wait_for_request(1)
    simulator.close()
    assert caller.hear().ending in {"fin", "reset"}
    assert threading.active_count() == before
    assert simulator.requests[0].closed_at is None
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=1)


def test_port_can_be_chosen_and_taken_again(call):
    """A second simulator may follow on the port of the first; two at once may not."""
    with Simulator("first") as first:
        port = first.port
        with pytest.raises(OSError, match="in use"), Simulator(port=port):
            pass
    with Simulator("second", port=port) as second:
        assert call(second).ask(stream=False).response()[1]["choices"][0]["message"]["content"] == "second"


def test_async_code_may_use_it_in_its_own_loop():
    """The simulator responds while the loop of its user is the one that waits."""

    async def main() -> bytes:
        with Simulator("hi") as simulator:
            reader, writer = await asyncio.open_connection("127.0.0.1", simulator.port)
            writer.write(b"GET /v1/models HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
            answer = await reader.read()
            writer.close()
            await writer.wait_closed()
            return answer

    assert b'"simulator"' in asyncio.run(main())


def test_every_dialect_is_in_the_readme():
    """The table there names each driver that `connection_for` takes, and no other."""
    text = (Path(__file__).parents[1] / "README.md").read_text("utf-8")
    rows = re.search(r"^\| driver \|.*\n\|[-|]+\n((?:\|.*\n)+)", text, re.MULTILINE)[1].splitlines()
    assert {name for row in rows for name in re.findall(r"`([\w-]+)`", row.split("|")[1])} == set(supported_drivers())


def test_many_streams_run_at_once(call):
    """A stalled connection holds up no other."""
    with Simulator("hi", faults=[Stall(after_events=1)]) as simulator:
        stalled = call(simulator).ask()
        simulator.wait_for_request(1)
        others = [call(simulator).ask() for _ in range(20)]
        assert all(other.response()[1].endswith(b"[DONE]\n\n") for other in others)
        assert simulator.requests[0].closed_at is None
        stalled.close()


def test_a_limit_rejects_what_exceeds_it():
    """Requests beyond those of a second get a 429 with the seconds to wait in every dialect; lists of models do not."""
    with Simulator("hi", requests_per_second=2) as simulator:
        inference = Inference.from_connection(simulator.connection)
        assert [inference.text("Hello") for _ in range(2)] == ["hi", "hi"]
        for connection in map(simulator.connection_for, supported_drivers()):
            with pytest.raises(RateLimited) as caught:
                Inference.from_connection(connection).text("Hello")
            assert caught.value.retry_after == 1.0
        assert inference.models()
        time.sleep(1.0)
        assert inference.text("Hello") == "hi"


@pytest.mark.parametrize("limit", [0, -1, 1.5, True, "2"])
def test_a_limit_is_a_whole_number(limit):
    """From 1."""
    with pytest.raises(ConfigError, match="requests_per_second"):
        Simulator(requests_per_second=limit)
