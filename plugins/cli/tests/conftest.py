"""The command as a process of its own: in a folder and an environment where nothing is configured, or at a terminal."""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import sqlite3
import subprocess
import sys
import time
from typing import TYPE_CHECKING, NamedTuple

import pyte
import pytest

from polyglot_simulator import Simulator

from .forks import Forks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PATIENCE = 60.0  # seconds; a start on a busy machine takes long
_KEPT = re.compile(r"PATH|PYTHONPATH|SYSTEMROOT|TMPDIR|COV.*")
_SEQUENCE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Give processes that are started within the default action for SIGINT.

    In a background job SIGINT is ignored, and children inherit that; a handler becomes the default action in them.
    """
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)


class Run(NamedTuple):
    """How a run of the command ended."""

    code: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        """What it wrote to standard output."""
        return self.out.decode()


class Terminal:
    """A command in a terminal of 80 columns, as a person at it would see and use it."""

    def __init__(self, process: subprocess.Popen[bytes], master: int) -> None:
        self.process = process
        self.written = ""
        self._master = master

    def read_until(self, words: str) -> str:
        """All that was written, once `words` are among it."""
        deadline = time.monotonic() + PATIENCE
        while words not in self.written:
            assert time.monotonic() < deadline, f"{words!r} did not come; there was {self.written!r}"
            if not self._read(0.1) and self.process.poll() is not None and not self._read(0.1):
                raise AssertionError(f"it ended without {words!r}; there was {self.written!r}")
        return self.written

    def type(self, text: str) -> None:
        """Type a text, such as a reply to a question."""
        os.write(self._master, text.encode())

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self.process.send_signal(signal.SIGINT)

    def end(self) -> int:
        """Read to the end, and return the exit code."""
        deadline = time.monotonic() + PATIENCE
        while self._read(0.1) or self.process.poll() is None:
            assert time.monotonic() < deadline, f"it did not end; there was {self.written!r}"
        return self.process.wait(PATIENCE)

    @property
    def left(self) -> str:
        """Return the output without the wait indicator, which slow machines show before any response."""
        return self.written.rpartition("\x1b[2K")[2]

    @property
    def rows(self) -> list[str]:
        """Return the rows that are on the screen, up to the last one that is not empty."""
        screen = pyte.Screen(80, 24)
        screen.set_mode(pyte.modes.LNM)
        pyte.Stream(screen).feed(self.written)
        return "\n".join(row.rstrip() for row in screen.display).rstrip("\n").split("\n")

    @property
    def plain(self) -> str:
        """What is left, without what styles it."""
        return _SEQUENCE.sub("", self.left)

    def _read(self, patience: float) -> bool:
        if not select.select([self._master], [], [], patience)[0]:
            return False
        try:
            data = os.read(self._master, 65536)
        except OSError:  # how Linux reports that nobody has the other side open
            return False
        self.written += data.decode("utf-8", "replace").replace("\r\n", "\n")
        return bool(data)


def environment() -> dict[str, str]:
    """The environment of a run, without a home."""
    kept = {name: value for name, value in os.environ.items() if _KEPT.fullmatch(name)}
    return kept | {"LANG": "C.UTF-8", "TERM": "xterm-256color", "PYTHONWARNINGS": "error"}


class Command:
    """Runs ``python -m polyglot_cli``.

    Attributes:
        folder: The working directory.
        home: The user's home.
        env: Environment of the next runs.
        key: The key that the configured connection sends.
        patience: Seconds after which a run that has not ended hangs.
    """

    key = "test-key-12345"
    patience = PATIENCE

    def __init__(self, folder: Path, home: Path, forks: Forks | None = None) -> None:
        self.folder = folder
        self.home = home
        self._forks = forks
        self.env = environment() | {"HOME": str(home)}
        self._choose_no_history()

    @property
    def own(self) -> Path:
        """The folder of the user's own files."""
        return self.home / ".config" / "polyglot"

    def _choose_no_history(self) -> None:
        """Choose that no calls are kept, so that no line mentions that they can be."""
        self.own.mkdir(parents=True)
        with contextlib.closing(sqlite3.connect(self.own / "history.db")) as database, database:
            database.execute("create table settings (name text primary key, value text not null)")
            database.execute("insert into settings values ('kept', 'no')")

    def arguments(self, *args: str) -> list[str]:
        return [sys.executable, "-m", "polyglot_cli", *args]

    def run(self, *args: str, given: bytes = b"", **env: str) -> Run:
        """Run to the end, with `given` piped in."""
        env = self.env | env
        if self._forks and (
            forked := self._forks.run([*args], given=given, env=env, cwd=self.folder, timeout=PATIENCE)
        ):
            code, out, err = forked
            return Run(code, out, err.decode())
        done = subprocess.run(
            self.arguments(*args),
            input=given,
            capture_output=True,
            cwd=self.folder,
            env=env,
            timeout=PATIENCE,
            check=False,
        )
        return Run(done.returncode, done.stdout, done.stderr.decode())

    @contextlib.contextmanager
    def started(self, *args: str, **env: str) -> Iterator[subprocess.Popen[bytes]]:
        """A run that is under way, with pipes; killed if it is left unfinished."""
        with interruptible():
            process = subprocess.Popen(
                self.arguments(*args),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=self.folder,
                env=self.env | env,
            )
        with process:
            try:
                yield process
            finally:
                process.kill()

    @contextlib.contextmanager
    def terminal(
        self, *args: str, stdin: int | None = None, stdout: int | None = None, **env: str
    ) -> Iterator[Terminal]:
        """A run in a terminal, of which standard input and output may be redirected."""
        pty = pytest.importorskip("pty")
        import fcntl
        import struct
        import termios

        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        with interruptible():
            process = subprocess.Popen(
                self.arguments(*args),
                stdin=stdin or slave,
                stdout=stdout or slave,
                stderr=slave,
                cwd=self.folder,
                env=self.env | env,
            )
        os.close(slave)
        try:
            yield Terminal(process, master)
        finally:
            process.kill()
            process.wait()
            os.close(master)

    def configure(self, simulator: Simulator, *, default: bool = True, driver: str = "openai") -> None:
        """Write the user's configuration: the simulator is connection ``test``, and its key is in ``TEST_KEY``.

        Each request is sent once, unless the command line says otherwise.
        """
        lines = [
            'default = "test"' if default else "",
            "[connections.test]",
            f'driver = "{driver}"',
            f'base_url = "{simulator.base_url}"',
            'api_key_env = "TEST_KEY"',
            'model = "test-model"',
            "retries = { max_retries = 0, initial_backoff = 0.01 }",
        ]
        file = self.home / "own.toml"
        file.write_text("\n".join(lines), "utf-8")
        self.env |= {"POLYGLOT_CONFIG": str(file), "TEST_KEY": self.key}

    def install(self, name: str, module: str) -> None:
        """Put a driver into the environment, as distribution ``polyglot-NAME`` with one module."""
        site = self.home / "site"
        facts = site / f"polyglot_{name}-0.1.dist-info"
        facts.mkdir(parents=True)
        (facts / "METADATA").write_text(f"Name: polyglot-{name}\nVersion: 0.1\n", "utf-8")
        (facts / "entry_points.txt").write_text(f"[polyglot.drivers]\n{name} = polyglot_{name}\n", "utf-8")
        (site / f"polyglot_{name}.py").write_text(module, "utf-8")
        self.env["PYTHONPATH"] = os.pathsep.join(filter(None, [str(site), self.env.get("PYTHONPATH")]))


@pytest.fixture(scope="session")
def forks() -> Iterator[Forks | None]:
    """The process from which runs of the command are forked, where the system can fork."""
    if not hasattr(os, "fork"):
        yield None
        return
    with contextlib.closing(Forks(environment())) as forks:
        yield forks


@pytest.fixture
def command(tmp_path, forks) -> Command:
    """The command where nothing is configured."""
    folder, home = tmp_path / "folder", tmp_path / "home"
    folder.mkdir()
    home.mkdir()
    return Command(folder, home, forks)


@pytest.fixture
def provider(command):
    """Starts a simulator with the arguments given and makes it the command's default connection."""
    with contextlib.ExitStack() as opened:

        def start(*args, default=True, driver="openai", **settings) -> Simulator:
            simulator = opened.enter_context(Simulator(*args, **settings))
            command.configure(simulator, default=default, driver=driver)
            return simulator

        yield start
