"""llama-cpp-python's own server as a process of its own on loopback, for as long as somebody needs it."""

from __future__ import annotations

import http.client
import os
import re
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

Found = TypeVar("Found")

CONTEXT = 2048
"""Tokens that a prompt and its answer have together."""

KEY = "test-key"

_START = 60.0  # seconds; it takes one or two
_MOMENT = 10.0  # seconds; the server has one core at most, and others may use it
_STOP = 10.0  # seconds for a polite end, before a rude one
_LISTENING = re.compile(r"running on http://127\.0\.0\.1:(\d+)")  # what uvicorn says once it has its port
_CALLER = re.compile(r"INFO: +(\S+) - \"POST /v1/chat/completions ")


@dataclass(frozen=True)
class Server:
    """A running server.

    Attributes:
        base_url: Where the dialect's paths begin.
        log: File with everything that it has printed so far.
    """

    base_url: str
    log: Path

    def said(self, text: str) -> int:
        """Return how many times it has printed `text` so far."""
        return _text(self.log).count(text)

    def says(self, text: str, times: int) -> bool:
        """Return whether it has printed `text` so many times, now or after a moment."""
        return _soon(lambda: self.said(text) >= times, _MOMENT) is not None

    def callers(self) -> list[str]:
        """Return address and port of the client of each chat request, the oldest first."""
        return _CALLER.findall(_text(self.log))


@contextmanager
def serve(model: Path, log: Path, *, interrupt_requests: bool = False) -> Iterator[Server]:
    """Start a server with this model and stop it at the end, whatever happens in between.

    Args:
        model: A GGUF file.
        log: New file for what it prints.
        interrupt_requests: Whether a newcomer ends the stream that it is at, instead of waiting for its turn.

    Raises:
        AssertionError: It ended at once or did not answer in time; the message has what it printed.
    """
    with log.open("wb") as printed:
        process = subprocess.Popen(
            _command(model, interrupt_requests), stdout=printed, stderr=subprocess.STDOUT, env=_environment()
        )
    try:
        yield Server(f"http://127.0.0.1:{_port(process, log)}/v1", log)
    finally:
        _end(process)


def _command(model: Path, interrupt_requests: bool) -> list[str]:
    settings = {
        "model": model,
        "model_alias": "tiny",
        "host": "127.0.0.1",
        "port": 0,  # a free one, which it prints
        "api_key": KEY,
        "n_ctx": CONTEXT,
        "n_gpu_layers": 0,
        "n_threads": 1,
        "n_threads_batch": 1,
        "interrupt_requests": interrupt_requests,
    }
    arguments = [word for name, value in settings.items() for word in (f"--{name}", str(value))]
    return [sys.executable, "-m", "llama_cpp.server", *arguments]


def _environment() -> dict[str, str]:
    """Little: each of the server's settings can be a variable as well, and `PORT` beats what is asked for."""
    kept = ("PATH", "SYSTEMROOT", "TEMP", "TMPDIR", "LD_LIBRARY_PATH")
    return {name: os.environ[name] for name in kept if name in os.environ} | {"PYTHONUNBUFFERED": "1"}


def _port(process: subprocess.Popen[bytes], log: Path) -> int:
    def answering() -> int | None:
        assert process.poll() is None, f"the server ended with status {process.returncode}:\n{_text(log)}"
        listening = _LISTENING.search(_text(log))
        return int(listening[1]) if listening and _answers(int(listening[1])) else None

    port = _soon(answering, _START)
    assert port, f"the server did not answer within {_START} s:\n{_text(log)}"
    return port


def _text(log: Path) -> str:
    return log.read_text("utf-8", "replace")


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/v1/models", headers={"Authorization": f"Bearer {KEY}"})
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_STOP)
    finally:
        process.kill()  # which does nothing to one that has ended
        process.wait()


def _soon(look: Callable[[], Found], within: float) -> Found | None:
    """Return what `look` finds, as soon as it is not empty; None after the time limit."""
    end = time.monotonic() + within
    while time.monotonic() < end:
        if found := look():
            return found
        time.sleep(0.02)
    return None
