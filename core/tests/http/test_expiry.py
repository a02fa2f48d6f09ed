"""Idle connections are closed in time, without a further request."""

from __future__ import annotations

import time

import anyio
import pytest

from polyglot_core._http import httpx_options, pools
from polyglot_core._http.watchdog import Timer

pytestmark = pytest.mark.http

PATIENCE = 20.0  # seconds
SOON = 0.2  # seconds after which a connection is idle for too long in these tests


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    monkeypatch.setattr(httpx_options, "KEEPALIVE_SECONDS", SOON)
    monkeypatch.setattr(pools, "KEEPALIVE_SECONDS", SOON)
    monkeypatch.setattr(pools, "_expiry", Timer(SOON, pools._close_all_expired))


def test_idle_connections_are_closed(flavour, loopback, http, toy):
    """Each of several servers sees its idle connection closed, though no other request is sent."""
    answer = http.streamed(*toy.story, toy.done)
    servers = [loopback((*answer, "hang")) for _ in range(3)]

    async def main():
        for server in servers:
            response = await flavour.wait(flavour.Inference(server.connection()).create("Hi", stream=True).response())
            assert response.outcome == "finished"
        deadline = time.monotonic() + PATIENCE
        while not all(server.gone.is_set() for server in servers) and time.monotonic() < deadline:
            if flavour.name == "sync":
                time.sleep(0.02)
            else:
                await anyio.sleep(0.02)
        assert all(server.gone.is_set() for server in servers)

    flavour.run(main)


def test_empty_pools_are_dropped(loopback, http, toy):
    """A pool whose connections have expired leaves no entry."""
    answer = http.streamed(*toy.story, toy.done)
    own = pools.Pools()
    connection = loopback(answer).connection()
    own.pool(str(connection.base_url), connection.route, connection.account)
    deadline = time.monotonic() + PATIENCE
    while own._pools and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not own._pools


def test_timer_stops_when_there_is_nothing_left():
    """The timer is called again as long as it asks for it, and can be started anew."""
    calls = []
    timer = Timer(0.05, lambda: calls.append(1) or len(calls) % 2 == 1)
    for expected in (2, 4):
        timer.start()
        timer.start()
        deadline = time.monotonic() + PATIENCE
        while (len(calls) < expected or not timer.over) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert len(calls) == expected
