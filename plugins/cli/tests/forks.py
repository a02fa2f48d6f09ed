"""Processes of the command that are forked from one in which its modules are imported already.

A start of the command takes a third of a second of CPU time, nearly all of it for imports, and the tests start it some
hundred times. Run as a program, with the descriptor of a socket as its argument, this module imports what the command
imports and then forks once for each request: JSON with the fields ``args``, ``env`` and ``cwd``, together with the
three descriptors of the standard streams. It sends back the exit code as a line. The child runs ``python -m
polyglot_cli`` to the end of the interpreter, as any process does.

What a start itself does is tested by processes that are started: those that are interrupted, those at a terminal, and
those whose environment the interpreter reads when it starts.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import re
import runpy
import signal
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_MODULES = (
    "polyglot_cli.call_report",
    "polyglot_cli.commands",
    "polyglot_cli.interrupts",
    "polyglot_cli.stream",
    "polyglot_core.plugin",
    "polyglot_openai.chat.driver",
    "polyglot_simulator",
    "httpcore",
    "httpx",
    "importlib_metadata",
    "urllib.request",
)
_READ_AT_START = re.compile(r"PYTHON.*|LANG|LC_.*")


class Forks:
    """The process that forks, as the tests use it. It is started by the first run, and by one after a run that hung.

    Args:
        env: Its environment. Of that, a run may change all but what the interpreter reads when it starts.
    """

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = dict(env)
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None

    def close(self) -> None:
        """End the process, and whatever it has forked."""
        if self._process is not None and self._socket is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None
            self._socket.close()

    def run(
        self, args: list[str], *, given: bytes, env: Mapping[str, str], cwd: Path, timeout: float
    ) -> tuple[int, bytes, bytes] | None:
        """Run the command to its end with `given` piped in; return its exit code and what it wrote.

        Returns None if a process with these variables would start in another way.
        """
        if _read_at_start(env) != _read_at_start(self._env):
            return None
        if self._process is None:
            self._start()
        try:
            return _run_in(self._socket, {"args": args, "env": dict(env), "cwd": str(cwd)}, given, timeout)
        except BaseException:
            self.close()
            raise

    def _start(self) -> None:
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(theirs.fileno())],
                env=self._env,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )


def _run_in(channel: socket.socket, request: dict[str, Any], given: bytes, timeout: float) -> tuple[int, bytes, bytes]:
    (read_given, write_given), (read_out, write_out), (read_err, write_err) = (os.pipe() for _ in range(3))
    writing, *reading = _Transfer(write_given, given), _Transfer(read_out), _Transfer(read_err)
    channel.settimeout(timeout)
    try:
        socket.send_fds(channel, [b"+"], [read_given, write_out, write_err])
        channel.sendall(json.dumps(request).encode() + b"\n")
    finally:
        for descriptor in (read_given, write_out, write_err):
            os.close(descriptor)
    code = int(channel.recv(100))
    for each in (writing, *reading):
        each.join(timeout)
    out, err = (each.data for each in reading)
    return code, out, err


class _Transfer(threading.Thread):
    """Writes data to a pipe, or reads all that comes from it, and closes it."""

    def __init__(self, descriptor: int, data: bytes | None = None) -> None:
        super().__init__(daemon=True)
        self.data = b"" if data is None else data
        self._file = os.fdopen(descriptor, "rb" if data is None else "wb")
        self._reads = data is None
        self.start()

    def run(self) -> None:
        with contextlib.suppress(BrokenPipeError), self._file:
            if self._reads:
                self.data = self._file.read()
            else:
                self._file.write(self.data)


def _read_at_start(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if _READ_AT_START.fullmatch(name)}


# The process that forks


def main() -> None:
    """Fork for each request until the tests close the socket."""
    for module in _MODULES:
        __import__(module)
    gc.collect()
    gc.freeze()  # so that no child touches these pages, each of which it would have to copy
    with socket.socket(fileno=int(sys.argv[1])) as channel:
        while request := _next(channel):
            if child := os.fork():
                for descriptor in request["streams"]:
                    os.close(descriptor)
                channel.send(b"%d\n" % os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
            else:
                break
    if request:
        _run(request)


def _next(channel: socket.socket) -> dict[str, Any] | None:
    started, streams, _, _ = socket.recv_fds(channel, 1, 3)
    if not started:
        return None
    data = b""
    while not data.endswith(b"\n"):
        data += channel.recv(65536)
    return {**json.loads(data), "streams": streams}


def _run(request: dict[str, Any]) -> None:
    """Become the command: the interpreter ends when this returns, with the exit code that the command raises."""
    for descriptor, stream in enumerate(request["streams"]):
        os.dup2(stream, descriptor)
        os.close(stream)
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    sys.argv = ["polyglot", *request["args"]]
    sys.path[0] = request["cwd"]
    runpy.run_module("polyglot_cli", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
