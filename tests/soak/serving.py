"""A simulator in a process of its own, which does to each request what its prompt asks for.

It writes one line of JSON, where to reach it, and answers each line it reads with the number of its open connections.
When its input ends it ends.
"""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from polyglot_core import Connection, Retries, Timeouts
from polyglot_core.errors import ConfigError
from polyglot_simulator import Fault, RecordedRequest, Reply, Simulator
from polyglot_simulator.response import SimulatedResponse
from polyglot_simulator.routes import supported_drivers

from .descriptors import open_sockets
from .kinds import BY_NAME, PATIENCE

ROOT = Path(__file__).resolve().parents[2]
_PROMPT = re.compile(rb"\[(?P<kind>[^\[\]]+) (?P<call>\d+)\]")
_SECONDS_TO_CLOSE = 5.0


def prompt(kind: str, call: int) -> str:
    """What to say so that the server knows the kind of the call, and which requests are of the same call."""
    return f"Tell a story. [{kind} {call}]"


# The server's side


class Script(Fault, frozen=True):
    """What is done for each request. The simulator asks for the reply first, and applies the fault at once after.

    Attributes:
        taken: By call, how many requests came.
        now: The faults of the request that is being answered.
    """

    taken: dict[bytes, int] = msgspec.field(default_factory=dict)
    now: list[Fault] = msgspec.field(default_factory=list)

    def reply(self, request: RecordedRequest) -> Reply:
        """The reply of the kind that the prompt names."""
        found = _PROMPT.search(json.dumps(request.body).encode())
        if found is None:
            raise ConfigError(f"No prompt of a soak: {request.body!r}.")
        kind = BY_NAME[found["kind"].decode()]
        number = self.taken.pop(found["call"], 0)
        if number < (kind.attempts or 0):
            self.taken[found["call"]] = number + 1
        self.now[:] = kind.faults[number] if number < len(kind.faults) else ()
        return kind.reply

    def change(self, response: SimulatedResponse) -> SimulatedResponse:
        """Return the response with the faults of that kind."""
        for fault in self.now:
            response = fault.change(response)
        return response


def main() -> None:
    """Serve until the input ends."""
    script = Script()
    with socket.socket() as unheard, Simulator(script.reply, fault=script) as simulator:
        unheard.bind(("127.0.0.1", 0))  # nobody listens there, and nobody else gets the port meanwhile
        before = open_sockets()
        reached = {driver: _address(simulator.connection_for(driver)) for driver in supported_drivers()}
        reached["nobody"] = {"base_url": f"http://127.0.0.1:{unheard.getsockname()[1]}/v1"}
        print(json.dumps(reached), flush=True)
        for _ in sys.stdin:
            print(open_sockets() - before, flush=True)


def _address(connection: Connection) -> dict[str, str | None]:
    names = ("base_url", "auth_header", "auth_scheme")
    return {name: getattr(connection, name) for name in names}


# The client's side


class Provider(NamedTuple):
    """The server, as a soak reaches it.

    Attributes:
        connections: By place and driver.
        process: Its process.
    """

    connections: dict[tuple[str, str], Connection]
    process: subprocess.Popen[str]

    @property
    def drivers(self) -> list[str]:
        """The drivers whose dialect it speaks."""
        return [driver for place, driver in self.connections if place == "provider"]

    def open_connections(self) -> int:
        """How many connections it holds; it is given some seconds to notice that the last of them were closed."""
        end = time.monotonic() + _SECONDS_TO_CLOSE
        while (count := self._asked()) and time.monotonic() < end:
            time.sleep(0.05)
        return count

    def _asked(self) -> int:
        assert self.process.stdin
        assert self.process.stdout
        print(file=self.process.stdin, flush=True)
        return int(self.process.stdout.readline())


@contextmanager
def serving() -> Generator[Provider]:
    """Run the server while the context lasts."""
    command = [sys.executable, "-m", f"{__package__}.serving"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield Provider(_connections(json.loads(process.stdout.readline())), process)
        finally:
            process.communicate(timeout=10)  # which closes its input


def _connections(reached: dict[str, dict[str, Any]]) -> dict[tuple[str, str], Connection]:
    nobody = reached.pop("nobody")
    found = {}
    for driver, address in reached.items():
        healthy = Connection(
            name="soak",
            driver=driver,
            model="simulator",
            api_key="test-key",
            timeouts=Timeouts(**PATIENCE),
            retries=Retries(initial_backoff=0.01),
            **address,
        )
        found["provider", driver] = healthy
        found["nobody", driver] = healthy.with_changes(**nobody)
        found["fallback", driver] = healthy.with_changes(retries=Retries(max_retries=0), fallbacks=(healthy,))
    return found


if __name__ == "__main__":
    main()
