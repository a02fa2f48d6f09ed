"""The tutorial for authors, step by step, in new environments: every command runs, and prints what the page shows."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from ..docs.pages import CHECKOUT
from ..docs.steps import File, steps

pytestmark = [
    pytest.mark.wheels,
    pytest.mark.skipif(sys.platform == "win32", reason="the commands are written for a POSIX shell"),
]

_PATIENCE = 300  # seconds for a command; pip and mypy take a while on a busy machine
_SHELL = "/bin/sh"
_PORT = re.compile(r"\b832\d\b")


class Author:
    """The shell of an author: each command runs where the one before has ended, with its variables."""

    def __init__(self, folder, wheelhouse):
        self.home = folder
        self.folder = folder
        self._state = folder / ".state"
        self._running = []
        self._ports = {}
        self._variables = {
            "HOME": str(folder),
            "LC_ALL": "C.UTF-8",
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_FIND_LINKS": str(wheelhouse),
            "PIP_NO_CACHE_DIR": "1",
            "PIP_NO_INDEX": "1",
            "POLYGLOT": str(CHECKOUT),
            "LANTERN_API_KEY": "",
        }

    def write(self, file):
        """Write a file in the folder of the package, with ports that are free here."""
        file._replace(text=self._with_ports(file.text)).write(self.folder)

    def run(self, command):
        """Run a command, and return what it printed on standard output and its error."""
        line = self._with_ports(command.line)
        if command.background:
            self._start(line.removesuffix(" &"), line)
            return ""
        script = f'{line}\ncode=$?\npwd > "{self._state}"\nprintf %s "$PATH" >> "{self._state}"\nexit $code\n'
        run = subprocess.run(
            [_SHELL, "-c", script], cwd=self.folder, env=self._variables, stdin=subprocess.DEVNULL,
            capture_output=True, encoding="utf-8", timeout=_PATIENCE, check=False,
        )  # fmt: skip
        assert run.returncode == 0, (command, run.stdout, run.stderr)
        where, path = self._state.read_text("utf-8").split("\n", 1)
        self.folder, self._variables["PATH"] = Path(where), path
        return run.stdout

    def _with_ports(self, text):
        return _PORT.sub(lambda port: str(self._ports.setdefault(port[0], _free_port())), text)

    def _start(self, line, shown):
        """Start a simulator, and wait until it listens."""
        process = subprocess.Popen(
            [_SHELL, "-c", f"exec {line}"], cwd=self.folder, env=self._variables, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip
        self._running.append(process)
        port = int(re.search(r"--port (\d+)", line)[1])
        end = time.monotonic() + _PATIENCE
        while process.poll() is None and time.monotonic() < end:
            with socket.socket() as client:
                if client.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.05)
        process.kill()
        pytest.fail(f"{shown}: {process.communicate()[1].decode()}")

    def close(self):
        """End the simulators."""
        for process in self._running:
            process.send_signal(signal.SIGINT)
            try:
                process.communicate(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()


@contextmanager
def author(folder, wheelhouse):
    """Return the shell of an author in a folder, and end what it has started."""
    shell = Author(folder, wheelhouse)
    try:
        yield shell
    finally:
        shell.close()


def _free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def test_every_step_of_the_tutorial_works(tmp_path, wheelhouse):
    """Files are written and commands are run in the order of the page; the output is what the page shows."""
    with author(tmp_path, wheelhouse) as shell:
        for step in steps():
            if isinstance(step, File):
                shell.write(step)
                continue
            printed = shell.run(step)
            wanted = "\n".join(step.output)
            assert step.prints(printed), f"line {step.number}: {step.line}\nwanted:\n{wanted}\nprinted:\n{printed}"
