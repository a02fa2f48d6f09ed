"""The fixtures that pytest finds by itself."""

from __future__ import annotations

import http.client


def asked(simulator):
    """The status of a plain question to a simulator."""
    connection = http.client.HTTPConnection("127.0.0.1", simulator.port, timeout=5)
    try:
        connection.request(
            "POST", "/v1/chat/completions", '{"model": "m", "messages": [{"role": "user", "content": "a"}]}'
        )
        return connection.getresponse().status
    finally:
        connection.close()


def test_a_simulator_is_there(polyglot_simulator):
    """`polyglot_simulator` runs, and has recorded the request."""
    assert asked(polyglot_simulator) == 200
    assert len(polyglot_simulator.requests) == 1


def test_simulators_are_started_as_they_are_wanted(polyglot_simulators):
    """`polyglot_simulators` starts as many as a test wants, each with arguments of its own."""
    first, second = polyglot_simulators("a"), polyglot_simulators("b", model="n")
    assert (asked(first), asked(second)) == (200, 200)
    assert first.port != second.port
