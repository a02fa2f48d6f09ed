"""The simulator as its users hold it."""

from __future__ import annotations

import ipaddress
import threading
from collections import deque
from typing import TYPE_CHECKING

from polyglot_core.errors import ConfigError
from polyglot_core.plugin import Connection, Retries, Secret
from polyglot_simulator.pace import Pace
from polyglot_simulator.routes import access_of
from polyglot_simulator.script import FaultScript, ReplyScript
from polyglot_simulator.scripted_provider import ScriptedProvider
from polyglot_simulator.server import Server

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self

    from polyglot_core.plugin import Usage
    from polyglot_simulator.answer import Answer
    from polyglot_simulator.recorded_request import RecordedRequest
    from polyglot_simulator.script import Faults, Replies

__all__ = ["Simulator"]

_DEFAULT_REPLY = (
    "Hello! I am the simulator, a provider that runs inside this process. "
    "I say the same to everyone, word by word, so that you can watch a stream without a key or a network."
)


class Simulator:
    """A provider on loopback, from entering the context to leaving it; `start` and `close` do the same.

    It runs in a thread of its own, so synchronous and asynchronous clients may use it alike.

    Args:
        reply: What it says: a text, a `Reply` or a `RawReply`; a list of them, one for each request, of which the last
            is repeated; or a function that makes one of each recorded request. The function is called in the
            simulator's thread and has to return at once.
        model: Model that it claims to be where a request names none.
        usage: Token counts of replies that have none of their own.
        pace: How fast it speaks; by default without any wait.
        fault: A fault, or several in the order in which they are applied, for every request.
        faults: Instead of `fault`, one entry for each request; None is a healthy one, as are those after the last.
        host: Loopback address to bind.
        port: Port to bind; 0 takes a free one.
        api_key: The only key that it lets in; None lets everyone in.
        keep: How many of the last requests it keeps on record; None keeps all.

    Raises:
        ConfigError: `host` is no loopback address, or the script of replies and faults makes no sense.
    """

    def __init__(  # noqa: PLR0913 (each is one setting of a test double, and all but the first have names)
        self,
        reply: Replies = _DEFAULT_REPLY,
        *,
        model: str = "simulator",
        usage: Usage | None = None,
        pace: Pace | None = None,
        fault: Faults = None,
        faults: Sequence[Faults] | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        api_key: str | None = None,
        keep: int | None = None,
    ) -> None:
        _check_loopback(host)
        self._provider = ScriptedProvider(
            model=model,
            usage=usage,
            pace=pace or Pace(),
            replies=ReplyScript(reply),
            faults=FaultScript(fault, faults),
            api_key=None if api_key is None else Secret(api_key),
        )
        self._address = host, port
        self._server: Server | None = None
        self._requests: deque[RecordedRequest] = deque(maxlen=keep)
        self._arrived = 0
        self._news = threading.Condition()

    def start(self) -> Self:
        """Bind the port and begin to answer.

        Raises:
            ConfigError: It has been started already.
            OSError: The port is taken.
        """
        if self._server is not None:
            raise ConfigError(
                "The simulator is running already; close() it first, or use a second one.", phase="configure"
            )
        self._server = Server(self._address, self._answer, self._provider.refuse)
        return self

    def close(self) -> None:
        """Close all sockets and end the thread. The recorded requests stay. May be called again.

        Raises:
            TimeoutError: A reply function does not return.
        """
        server, self._server = self._server, None
        if server is not None:
            server.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def port(self) -> int:
        """The port that it listens on.

        Raises:
            ConfigError: It is not running.
        """
        if self._server is None:
            raise ConfigError(
                "The simulator is not running; use it as `with Simulator() as simulator:`, or call start().",
                phase="configure",
            )
        return self._server.port

    @property
    def base_url(self) -> str:
        """URL that a client adds its paths to."""
        host = self._address[0]
        return f"http://[{host}]:{self.port}/v1" if ":" in host else f"http://{host}:{self.port}/v1"

    @property
    def connection(self) -> Connection:
        """A connection to it, for Polyglot, in OpenAI's dialect."""
        return self.connection_for("openai")

    def connection_for(self, driver: str) -> Connection:
        """A connection to it in the dialect of `driver`, such as ``openai-responses``.

        A request is sent once, so that a test sees each fault; ``with_changes(retries=Retries())`` sends it again.

        Raises:
            ConfigError: It does not speak the dialect of that driver, or it is not running.
        """
        access = access_of(driver)
        return Connection(
            name="simulator",
            driver=driver,
            model=self._provider.model,
            base_url=self.base_url.removesuffix("/v1") + access.base,
            api_key=self._provider.api_key or Secret("simulator-key"),
            auth_header=access.auth_header,
            auth_scheme=access.auth_scheme,
            retries=Retries(max_retries=0),
        )

    @property
    def requests(self) -> list[RecordedRequest]:
        """The requests that are on record, in the order of arrival."""
        with self._news:
            return list(self._requests)

    def wait_for_request(self, number: int = 1, timeout: float = 5.0) -> RecordedRequest:
        """Wait up to `timeout` seconds for request `number`, counted from 1, and return it.

        Raises:
            TimeoutError: It did not arrive.
            LookupError: It did, and is no longer on record.
        """
        with self._news:
            if not self._news.wait_for(lambda: self._arrived >= number, timeout):
                raise TimeoutError(
                    f"Request {number} did not arrive in {timeout:g} seconds; there were {self._arrived}."
                )
            place = number - 1 - (self._arrived - len(self._requests))
            if place < 0:
                raise LookupError(f"Request {number} is no longer on record; the last {len(self._requests)} are.")
            return self._requests[place]

    def __repr__(self) -> str:
        where = self.base_url if self._server is not None else "not running"
        return f"<Simulator {where}, {self._arrived} requests>"

    def _answer(self, request: RecordedRequest) -> Answer:
        """Record `request` and answer it; called in the server's thread, for one request after the other."""
        with self._news:
            self._requests.append(request)
            self._arrived += 1
            request.number = self._arrived
            self._news.notify_all()
        return self._provider.answer(request)


def _check_loopback(host: str) -> None:
    try:
        is_loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback:
        raise ConfigError(
            f"The simulator binds loopback addresses only, such as 127.0.0.1 or ::1, not {host!r}.", phase="configure"
        )
