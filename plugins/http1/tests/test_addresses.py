"""Happy Eyeballs (RFC 8305): which address wins, what becomes of the others, and what is raised if none does."""

import asyncio
import gc
import os
import socket
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from polyglot_http1 import asynchronous, sync
from polyglot_http1.addresses import interleaved

from .conftest import PATIENCE, Opening

STYLES = pytest.mark.parametrize("style", ["sync", "async"])
FD = Path("/proc/self/fd")


def connected(style, addresses, opening=None):
    """Return a socket that is connected to one of the addresses."""
    if style == "sync":
        return sync._connected(addresses, time.perf_counter() + PATIENCE, opening or Opening())

    async def connect():
        sock = await asynchronous._connected(addresses)
        await asyncio.sleep(0)  # the sockets of the others are closed by callbacks
        return sock

    return asyncio.run(connect())


def listener(stack, host="127.0.0.1"):
    return stack.enter_context(socket.create_server((host, 0)))


def silent(stack, host):
    """Return the address of a listener whose queue is full, so that it answers no request."""
    server = stack.enter_context(socket.create_server((host, 0), backlog=0))
    for _ in range(3):
        waiting = stack.enter_context(socket.socket())
        waiting.setblocking(False)
        waiting.connect_ex(server.getsockname())
    return socket.AF_INET, server.getsockname()


def refusing():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return socket.AF_INET, server.getsockname()


def descriptors():
    """Return what is open, by name: other tests' idle connections may be closed at any moment."""
    gc.collect()
    found = set()
    for each in FD.iterdir():
        with suppress(OSError):  # it was closed meanwhile
            found.add(os.readlink(each))  # noqa: PTH115 (no path)
    return found


needs_descriptors = pytest.mark.skipif(not FD.is_dir(), reason="open files cannot be listed here")


def test_families_are_tried_in_turn():
    """The family of the first address comes first, and the order within a family is kept: RFC 8305, section 4."""
    four, six = socket.AF_INET, socket.AF_INET6
    found = [(six, ("a",)), (six, ("b",)), (six, ("c",)), (four, ("d",)), (four, ("e",))]
    assert [place for _, (place,) in interleaved(found)] == ["a", "d", "b", "e", "c"]
    assert interleaved([(four, ("a",))]) == [(four, ("a",))]
    assert interleaved([]) == []


@needs_descriptors
@STYLES
def test_only_the_winner_is_kept(style, monkeypatch):
    """Of attempts that succeed at the same time one is used, and the sockets of all others are closed."""
    monkeypatch.setattr(sync, "CONNECTION_ATTEMPT_DELAY", 0.0)
    monkeypatch.setattr(asynchronous, "CONNECTION_ATTEMPT_DELAY", 0.0)
    with ExitStack() as stack:
        addresses = [(socket.AF_INET, listener(stack).getsockname()) for _ in range(5)]
        before = descriptors()
        sock = connected(style, addresses)
        assert sock.getpeername() in [place for _, place in addresses]
        assert len(descriptors() - before) == 1
        sock.close()


@needs_descriptors
@STYLES
def test_a_silent_address_delays_the_next_by_the_delay_only(style):
    """The next one is tried while the first has not answered, and the first one's socket is closed."""
    with ExitStack() as stack:
        addresses = [silent(stack, "127.0.0.2"), (socket.AF_INET, listener(stack).getsockname())]
        before = descriptors()
        sock = connected(style, addresses)
        assert sock.getpeername() == addresses[1][1]
        assert len(descriptors() - before) == 1
        sock.close()


@needs_descriptors
@STYLES
@pytest.mark.parametrize("count", [1, 3])
def test_none_that_answers_is_the_error_of_the_first(style, count):
    """The kind of the error is kept, and no socket is left."""
    addresses = [refusing() for _ in range(count)]
    before = descriptors()
    with pytest.raises(ConnectionRefusedError):
        connected(style, addresses)
    assert not descriptors() - before


@needs_descriptors
def test_a_cancelled_task_leaves_no_socket():
    """The attempts that were under way are ended too."""

    async def main():
        before = descriptors()
        task = asyncio.create_task(asynchronous._connected(addresses))
        await asyncio.sleep(0.4)  # both attempts are under way
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        for _ in range(3):
            await asyncio.sleep(0)
        return descriptors() - before

    with ExitStack() as stack:
        addresses = [silent(stack, "127.0.0.2"), silent(stack, "127.0.0.3")]
        assert not asyncio.run(main())


@needs_descriptors
def test_an_aborted_thread_leaves_no_socket():
    """`abort` ends the attempts of a thread at once."""
    with ExitStack() as stack:
        addresses = [silent(stack, "127.0.0.2"), silent(stack, "127.0.0.3")]
        before, opening, errors = descriptors(), Opening(), []

        def connect():
            try:
                connected("sync", addresses, opening)
            except OSError as error:
                errors.append(error)

        thread = threading.Thread(target=connect)
        thread.start()
        time.sleep(0.4)
        opening.ended = True
        thread.join(PATIENCE)
        assert not thread.is_alive()
        assert len(errors) == 1
        assert not descriptors() - before
