"""Ctrl-C during a read: the socket closes at once, the partial response is kept, and nothing warns."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time

import pytest

from polyglot_core import Outcome
from polyglot_simulator import Stall

pytestmark = [
    pytest.mark.http,
    pytest.mark.skipif(sys.platform == "win32", reason="a child is not interrupted by a signal there"),
]

AT_ONCE = 1.0  # seconds; one of three tries is enough, because a busy machine may delay one
PROGRAM = """
import asyncio, sys
from polyglot_core import AsyncInference, Connection, Inference

connection = Connection(name="simulator", driver="openai", model="m", base_url=sys.argv[1], api_key="test-key")

def wait_for_parent(stream, response):
    print("interrupted", response.outcome.value, response.content, flush=True)
    sys.stdin.read()  # the process goes on, so that its end is not what closes the socket

def main():
    stream = Inference.from_connection(connection).create("Hello", stream=True).stream()
    try:
        for partial in stream:
            print(partial.content, flush=True)
    except KeyboardInterrupt:
        wait_for_parent(stream, stream.response())

def main_async():
    async def read(held):
        held.append(AsyncInference.from_connection(connection).create("Hello", stream=True).stream())
        try:
            async for partial in held[0]:
                print(partial.content, flush=True)
        finally:
            response = await held[0].response()
            print("interrupted", response.outcome.value, response.content, flush=True)
            sys.stdin.read()
    held = []
    try:
        asyncio.run(read(held))
    except KeyboardInterrupt:
        pass

{"sync": main, "async": main_async}[sys.argv[2]]()
"""


@pytest.mark.parametrize("phase", [{"after_events": 2}, {"after_events": 1}, {"before_headers": True}], ids=str)
def test_interrupt_closes_socket_at_once(simulate, style, phase):
    """Raise ``KeyboardInterrupt`` to the caller and close the socket at once, although the program continues."""
    simulator = simulate(fault=Stall(**phase))
    assert any(interrupted(simulator, style, number) < AT_ONCE for number in (1, 2, 3))


@contextlib.contextmanager
def interruptible():
    """Start child processes with the default action for SIGINT, which background jobs ignore."""
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)


def interrupted(simulator, style, number):
    command = [sys.executable, "-W", "error", "-c", PROGRAM, simulator.base_url, style]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with interruptible():
        child = subprocess.Popen(command, **pipes, text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"})
    with child:
        try:
            request = simulator.wait_for_request(number, timeout=20)
            time.sleep(0.1)  # by then it waits for the next event, which is never sent
            moment = time.monotonic()
            child.send_signal(signal.SIGINT)
            closed = request.wait_closed(5.0)
            output, complaints = child.communicate(timeout=10)  # which closes its standard input, so that it ends
        finally:
            child.kill()
    assert closed is not None, (output, complaints)
    assert complaints == ""
    assert f"interrupted {Outcome.CANCELLED}" in output
    return closed - moment
