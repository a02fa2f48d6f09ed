"""Sockets: a listener on loopback in a thread of its own, and one task for each connection that it accepts."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from typing import TYPE_CHECKING, NoReturn

from polyglot_simulator.recorded_request import BadRequestError, RequestParser
from polyglot_simulator.steps import Wait

if TYPE_CHECKING:
    from collections.abc import Callable

    from polyglot_simulator.recorded_request import RecordedRequest
    from polyglot_simulator.response import SimulatedResponse

__all__ = ["Server"]

_BACKLOG = 4096  # connections that may wait to be accepted; the system may allow fewer
_READ_SIZE = 64 * 1024
_UNREAD_PIECES = 100  # pieces that are buffered while a response is being sent
_SECONDS_TO_STOP = 5.0
_SECONDS_WITHOUT_FILES = 0.05
_SECONDS_TO_CATCH_UP = 0.05
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER: on, for 0 seconds


class Server:
    """Accepts connections and sends responses to their requests until `stop`.

    Args:
        address: Loopback address and port to bind; port 0 takes a free one.
        respond: Called in the server's thread with each request; returns the response to it.
        refuse: Called there with the reason why the received bytes are not a request; returns the response.
    """

    def __init__(
        self,
        address: tuple[str, int],
        respond: Callable[[RecordedRequest], SimulatedResponse],
        refuse: Callable[[str], SimulatedResponse],
    ) -> None:
        self.respond = respond
        self.refuse = refuse
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._listener = socket.create_server(address, family=family, backlog=_BACKLOG)
        self._listener.setblocking(False)  # noqa: FBT003 (the argument has no name)
        self.port: int = self._listener.getsockname()[1]
        self._conversations: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="polyglot-simulator", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Close every socket and wait for the thread.

        Raises:
            TimeoutError: The thread did not end, because a reply function does not return.
        """
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(_SECONDS_TO_STOP)
        if self._thread.is_alive():
            raise TimeoutError(
                f"The simulator did not stop within {_SECONDS_TO_STOP:g} seconds: a reply function does not return."
            )

    def _run(self) -> None:
        # The runner cancels all tasks when it ends, and each conversation closes its socket.
        with self._listener, asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        accepting = self._loop.create_task(self._accept())
        await self._stopping.wait()
        accepting.cancel()

    async def _accept(self) -> None:
        while True:
            try:
                connection, _ = await self._loop.sock_accept(self._listener)
            except OSError:  # the client has disconnected, or the process has no file descriptors left at the moment
                await asyncio.sleep(_SECONDS_WITHOUT_FILES)
                continue
            task = self._loop.create_task(_Conversation(connection, self).run())
            self._conversations.add(task)
            task.add_done_callback(self._conversations.discard)


class _Conversation:
    """Requests and responses on one connection. One task writes; one reads, so that a close is noticed at any time."""

    def __init__(self, connection: socket.socket, server: Server) -> None:
        self._connection = connection
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._inbox: asyncio.Queue[bytes] = asyncio.Queue(_UNREAD_PIECES)
        self._requests: list[RecordedRequest] = []

    async def run(self) -> None:
        """Serve the connection until one side closes it."""
        with self._connection:
            tasks = [self._loop.create_task(self._read()), self._loop.create_task(self._write())]
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                if any(task.result() for task in done):
                    self._mark_closed()
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    def _mark_closed(self) -> None:
        for request in self._requests:
            request.mark_closed()

    async def _read(self) -> bool:
        """Read until the client closes the connection; always return True."""
        try:
            while data := await self._loop.sock_recv(self._connection, _READ_SIZE):
                await self._inbox.put(data)
        except OSError:
            return True
        return True

    async def _write(self) -> bool:
        """Send responses to requests; return True if the client closed the connection."""
        rest = b""
        try:
            self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while True:
                request, rest = await self._next_request(rest)
                self._requests.append(request)
                response = self._server.respond(request)
                await self._send(response, request)
                if response.end == "reset":
                    self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
                    return False
                if response.end == "open":
                    await self._linger()
                if not response.keeps_connection or request.headers.get("connection", "").lower() == "close":
                    await self._part()
        except BadRequestError as error:
            await self._send(self._server.refuse(str(error)), None)
            await self._part()
        except OSError:  # a write noticed the closed connection before the read did
            return True

    async def _next_request(self, rest: bytes) -> tuple[RecordedRequest, bytes]:
        parser = RequestParser(rest)
        while (request := parser.request()) is None:
            if parser.is_expected_to_agree:
                await self._loop.sock_sendall(self._connection, b"HTTP/1.1 100 Continue\r\n\r\n")
            parser.feed(await self._inbox.get())
        return request, parser.rest

    async def _send(self, response: SimulatedResponse, request: RecordedRequest | None) -> None:
        due = self._loop.time()
        for step in response.steps():
            if isinstance(step, Wait):
                # Each wait starts when the last one was due to end, so that small delays do not add up.
                due = max(due, self._loop.time() - _SECONDS_TO_CATCH_UP) + step.seconds
                await asyncio.sleep(due - self._loop.time())
                continue
            await self._loop.sock_sendall(self._connection, step.data)
            if request is not None:
                request.sent_bytes += len(step.data)
            await asyncio.sleep(0)  # writes that do not block would not let other tasks run

    async def _part(self) -> NoReturn:
        """Close the sending side, and wait until the client closes its own."""
        self._connection.shutdown(socket.SHUT_WR)
        await self._linger()

    async def _linger(self) -> NoReturn:
        """Read and discard, so that the client's close is noticed."""
        while True:
            await self._inbox.get()
