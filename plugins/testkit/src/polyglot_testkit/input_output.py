"""Detection of I/O on files, sockets, processes and the terminal, and of sleeping, within one thread.

Files, sockets and processes are noticed by the interpreter's audit events, however they are reached. Sleeping and
printing raise no such event in every version of Python; a profile function notices the calls, whatever name the
functions are imported by.
"""

from __future__ import annotations

import _thread
import builtins
import contextlib
import datetime as dt
import functools
import gc
import inspect
import os
import random
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping
    from types import FrameType

__all__ = ["clocks_read", "no_input_or_output", "no_network"]

_TOUCHING = (
    "_thread.",
    "builtins.input", "fcntl.", "ftplib.", "glob.glob", "http.client.", "msvcrt.", "open", "os.exec", "os.fork",
    "os.forkpty", "os.listdir", "os.mkdir", "os.posix_spawn", "os.putenv", "os.remove", "os.rename", "os.scandir",
    "os.spawn", "os.startfile", "os.system", "shutil.", "smtplib.", "socket.", "sqlite3.", "subprocess.Popen",
    "tempfile.", "time.sleep", "urllib.Request", "webbrowser.",
)  # fmt: skip
_CALLS = {
    time.sleep: "time.sleep",
    builtins.print: "print",
    builtins.input: "input",
    _thread.start_new_thread: "threading.Thread",
}
_CLOCKS = {
    time.time: "time.time",
    time.time_ns: "time.time_ns",
    time.monotonic: "time.monotonic",
    time.perf_counter: "time.perf_counter",
    time.gmtime: "time.gmtime",
    time.localtime: "time.localtime",
    dt.datetime.now: "datetime.now",
    dt.datetime.utcnow: "datetime.utcnow",  # pyright: ignore[reportDeprecated]  # which is why it is still called
    dt.date.today: "date.today",
    os.urandom: "os.urandom",
    random.random: "random.random",
    random.getrandbits: "random.getrandbits",
}
"""Functions whose result differs from call to call."""
_IMPORTING = "<frozen importlib"
_NETWORK = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto")
_watched = threading.local()


@functools.cache
def _listen() -> None:
    """Add the audit hook once: it cannot be removed. It does nothing unless the thread is watched."""
    sys.addaudithook(_note)


def _note(event: str, _arguments: tuple[object, ...]) -> None:
    if getattr(_watched, "offline", False) and event.startswith(_NETWORK):
        msg = f"The exam allows no network ({event})."
        raise ConnectionRefusedError(msg)
    touched: list[str] | None = getattr(_watched, "touched", None)
    if touched is not None and event.startswith(_TOUCHING) and event not in touched and not _is_import():
        touched.append(event)


def _is_import() -> bool:
    """Return True within an import: a module that a hook imports when it is first called is read from a file."""
    frame: FrameType | None = inspect.currentframe()
    while frame is not None:
        if frame.f_code.co_filename.startswith(_IMPORTING):
            return True
        frame = frame.f_back
    return False


@contextlib.contextmanager
def no_input_or_output(*, calls: bool = False) -> Generator[list[str]]:
    """Watch this thread and yield a list that receives the names of the events, each once.

    Args:
        calls: Whether calls of `time.sleep`, `print` and `input` are noticed too, which takes longer.
    """
    _listen()
    touched: list[str] = []
    before = getattr(_watched, "touched", None)
    _watched.touched = touched
    try:
        with _calls_of(_CALLS, touched) if calls else contextlib.nullcontext():
            yield touched
    finally:
        _watched.touched = before


@contextlib.contextmanager
def clocks_read() -> Generator[list[str]]:
    """Watch this thread and yield a list that receives the names of clocks and random numbers that are read."""
    found: list[str] = []
    with _calls_of(_CLOCKS, found):
        yield found


@contextlib.contextmanager
def _calls_of(names: Mapping[Any, str], found: list[str]) -> Generator[None]:
    """Add the names of the functions that are called to a list, each once."""

    def profile(_frame: FrameType, event: str, called: object) -> None:
        if event != "c_call":
            return
        try:
            name = names.get(called)
        except TypeError:  # some objects have no hash
            return
        if name is not None and name not in found:
            found.append(name)

    profiler, collects = sys.getprofile(), gc.isenabled()
    gc.disable()  # what a collection calls is not the driver's: finalizers, and callbacks such as hypothesis' own
    sys.setprofile(profile)
    try:
        yield
    finally:
        sys.setprofile(profiler)
        if collects:
            gc.enable()


@contextlib.contextmanager
def no_network() -> Generator[None]:
    """Refuse every connection of this thread, as a machine without a network does."""
    _listen()
    _watched.offline = True
    try:
        yield
    finally:
        _watched.offline = False
