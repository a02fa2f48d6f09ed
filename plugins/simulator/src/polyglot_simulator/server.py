"""Sockets: a listener on loopback in a thread of its own, and a conversation on each connection that it accepts."""

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

    from polyglot_simulator.answer import Answer
    from polyglot_simulator.recorded_request import RecordedRequest

__all__ = ["Server"]

_BACKLOG = 4096  # clients that may come at the same moment; where the system allows fewer, that many
_READ_SIZE = 64 * 1024
_UNREAD_PIECES = 100  # what a client may send ahead while it is being answered
_SECONDS_TO_STOP = 5.0
_SECONDS_WITHOUT_FILES = 0.05
_SECONDS_TO_CATCH_UP = 0.05
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER: on, for 0 seconds


class Server:
    """Accepts connections and answers their requests until `stop`.

    Args:
        address: Loopback address and port to bind; port 0 takes a free one.
        answer: Called in the server's thread with each request; returns what is done for it.
        refuse: Called there with the reason why what came is no request; returns what is done about it.
    """

    def __init__(
        self,
        address: tuple[str, int],
        answer: Callable[[RecordedRequest], Answer],
        refuse: Callable[[str], Answer],
    ) -> None:
        self.answer = answer
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
                f"The simulator did not stop in {_SECONDS_TO_STOP:g} seconds: a reply function does not return."
            )

    def _run(self) -> None:
        # At its end the runner cancels all tasks, and each conversation closes its socket.
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
            except OSError:  # that client has gone again, or the process has no file descriptor left for now
                await asyncio.sleep(_SECONDS_WITHOUT_FILES)
                continue
            task = self._loop.create_task(_Conversation(connection, self).run())
            self._conversations.add(task)
            task.add_done_callback(self._conversations.discard)


class _Conversation:
    """Requests and answers on one connection. One task talks; one listens, so that a close is seen at any moment."""

    def __init__(self, connection: socket.socket, server: Server) -> None:
        self._connection = connection
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._inbox: asyncio.Queue[bytes] = asyncio.Queue(_UNREAD_PIECES)
        self._requests: list[RecordedRequest] = []

    async def run(self) -> None:
        """Talk until one side closes."""
        with self._connection:
            tasks = [self._loop.create_task(self._listen()), self._loop.create_task(self._talk())]
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

    async def _listen(self) -> bool:
        """Read until the client has closed; returns that it has."""
        try:
            while data := await self._loop.sock_recv(self._connection, _READ_SIZE):
                await self._inbox.put(data)
        except OSError:
            return True
        return True

    async def _talk(self) -> bool:
        """Answer requests; returns whether it was the client that ended the conversation."""
        rest = b""
        try:
            self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while True:
                request, rest = await self._next_request(rest)
                self._requests.append(request)
                answer = self._server.answer(request)
                await self._send(answer, request)
                if answer.end == "reset":
                    self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
                    return False
                if answer.end == "open":
                    await self._linger()
                if not answer.keeps_connection or request.headers.get("connection", "").lower() == "close":
                    await self._part()
        except BadRequestError as error:
            await self._send(self._server.refuse(str(error)), None)
            await self._part()
        except OSError:  # a write found the connection closed before the read did
            return True

    async def _next_request(self, rest: bytes) -> tuple[RecordedRequest, bytes]:
        parser = RequestParser(rest)
        while (request := parser.request()) is None:
            if parser.is_expected_to_agree:
                await self._loop.sock_sendall(self._connection, b"HTTP/1.1 100 Continue\r\n\r\n")
            parser.feed(await self._inbox.get())
        return request, parser.rest

    async def _send(self, answer: Answer, request: RecordedRequest | None) -> None:
        due = self._loop.time()
        for step in answer.steps():
            if isinstance(step, Wait):
                # Waits are counted from when the last one should have ended, or small delays would add up.
                due = max(due, self._loop.time() - _SECONDS_TO_CATCH_UP) + step.seconds
                await asyncio.sleep(due - self._loop.time())
                continue
            await self._loop.sock_sendall(self._connection, step.data)
            if request is not None:
                request.sent_bytes += len(step.data)
            await asyncio.sleep(0)  # while writes do not block, nobody else would get a turn

    async def _part(self) -> NoReturn:
        """Close this side and leave it to the client to close the other."""
        self._connection.shutdown(socket.SHUT_WR)
        await self._linger()

    async def _linger(self) -> NoReturn:
        """Read on, so that the client's close is seen, and heed nothing of it."""
        while True:
            await self._inbox.get()
