"""The public class of the simulator."""

from __future__ import annotations

import ipaddress
import threading
from collections import deque
from typing import TYPE_CHECKING

from polyglot_core.errors import ConfigError
from polyglot_core.plugin import Connection, Retries, Secret
from polyglot_simulator.pace import Pace
from polyglot_simulator.request_limit import RequestLimit
from polyglot_simulator.routes import access_of
from polyglot_simulator.script import FaultScript, ReplyScript
from polyglot_simulator.scripted_provider import ScriptedProvider
from polyglot_simulator.server import Server

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self

    from polyglot_core.plugin import Usage
    from polyglot_simulator.recorded_request import RecordedRequest
    from polyglot_simulator.response import SimulatedResponse
    from polyglot_simulator.script import Faults, Replies

__all__ = ["Simulator"]

_DEFAULT_REPLY = (
    "Hello! I am the simulator, a provider that runs inside this process. "
    "I send the same reply to every request, word by word, so that you can watch a stream without a key or a network."
)


class Simulator:
    """A provider on loopback, running inside its context; `start` and `close` do the same.

    It runs in a thread of its own, so that both synchronous and asynchronous clients can use it.

    Args:
        reply: A text, a `Reply` or a `RawReply`; a list of them, one for each request, of which the last is repeated;
            or a function that returns one for each recorded request. The function is called in the
            simulator's thread and must not block.
        model: Model of the response if the request names none.
        models: Names in the list of models; None for `model` alone. Where a dialect has pages, each has two at most.
        usage: Token counts of replies without counts of their own.
        pace: Speed of the replies; by default without any wait.
        fault: A fault, or several in the order in which they are applied, for every request.
        faults: Instead of `fault`, one entry for each request. None is no fault; there is none after the last entry.
        host: Loopback address to bind.
        port: Port to bind; 0 takes a free one.
        api_key: The only key that is accepted; None accepts every request.
        requests_per_second: Most requests in any second; others get a 429 with ``retry-after``. None for no limit.
        keep: Number of the latest requests that are kept; None keeps all.

    Raises:
        ConfigError: `host` is not a loopback address, or the replies, the faults or the limit are invalid.
    """

    def __init__(  # noqa: PLR0913 (each is one setting of a test double, and all but the first have names)
        self,
        reply: Replies = _DEFAULT_REPLY,
        *,
        model: str = "simulator",
        models: Sequence[str] | None = None,
        usage: Usage | None = None,
        pace: Pace | None = None,
        fault: Faults = None,
        faults: Sequence[Faults] | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        api_key: str | None = None,
        requests_per_second: int | None = None,
        keep: int | None = None,
    ) -> None:
        _check_loopback(host)
        self._provider = ScriptedProvider(
            model=model,
            models=(model,) if models is None else tuple(models),
            usage=usage,
            pace=pace or Pace(),
            replies=ReplyScript(reply),
            faults=FaultScript(fault, faults),
            api_key=None if api_key is None else Secret(api_key),
            limit=None if requests_per_second is None else RequestLimit(requests_per_second),
        )
        self._address = host, port
        self._server: Server | None = None
        self._requests: deque[RecordedRequest] = deque(maxlen=keep)
        self._arrived = 0
        self._news = threading.Condition()

    def start(self) -> Self:
        """Bind the port and serve requests.

        Raises:
            ConfigError: It is already running.
            OSError: The port is taken.
        """
        if self._server is not None:
            raise ConfigError(
                "The simulator is already running; call close() first, or create a second one.", phase="configure"
            )
        self._server = Server(self._address, self._respond, self._provider.refuse)
        return self

    def close(self) -> None:
        """Close all sockets and end the thread. The recorded requests remain available. May be called again.

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
        """Return the port that it listens on.

        Raises:
            ConfigError: The simulator is not running.
        """
        if self._server is None:
            raise ConfigError(
                "The simulator is not running; use it as `with Simulator() as simulator:`, or call start().",
                phase="configure",
            )
        return self._server.port

    @property
    def base_url(self) -> str:
        """Return the URL that clients append their paths to."""
        host = self._address[0]
        return f"http://[{host}]:{self.port}/v1" if ":" in host else f"http://{host}:{self.port}/v1"

    @property
    def connection(self) -> Connection:
        """Return a Polyglot connection to it in OpenAI's dialect."""
        return self.connection_for("openai")

    def connection_for(self, driver: str) -> Connection:
        """Return a connection to it in the dialect of `driver`, such as ``openai-responses``.

        Requests are not retried, so that a test sees each fault; ``with_changes(retries=Retries())`` enables retries.

        Raises:
            ConfigError: There is no dialect for that driver, or the simulator is not running.
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
        """Return the recorded requests, in the order of arrival."""
        with self._news:
            return list(self._requests)

    def wait_for_request(self, number: int = 1, timeout: float = 5.0) -> RecordedRequest:
        """Wait up to `timeout` seconds for request `number`, counted from 1, and return it.

        Raises:
            TimeoutError: It was not received in time.
            LookupError: It was received, and is no longer kept.
        """
        with self._news:
            if not self._news.wait_for(lambda: self._arrived >= number, timeout):
                raise TimeoutError(
                    f"Request {number} was not received within {timeout:g} seconds; {self._arrived} were received."
                )
            index = number - 1 - (self._arrived - len(self._requests))
            if index < 0:
                raise LookupError(f"Request {number} is no longer kept; the latest {len(self._requests)} are.")
            return self._requests[index]

    def __repr__(self) -> str:
        where = self.base_url if self._server is not None else "not running"
        return f"<Simulator {where}, {self._arrived} requests>"

    def _respond(self, request: RecordedRequest) -> SimulatedResponse:
        """Record `request` and return the response; called in the server's thread, for one request at a time."""
        with self._news:
            self._requests.append(request)
            self._arrived += 1
            request.number = self._arrived
            self._news.notify_all()
        return self._provider.respond(request)


def _check_loopback(host: str) -> None:
    try:
        is_loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback:
        raise ConfigError(
            f"The simulator binds loopback addresses only, such as 127.0.0.1 or ::1, not {host!r}.", phase="configure"
        )
