"""Detection of I/O on files, sockets and processes, by the interpreter's audit events."""

from __future__ import annotations

import contextlib
import functools
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["no_input_or_output"]

_TOUCHING = ("open", "os.system", "socket.", "subprocess.Popen", "urllib.Request")
_watched = threading.local()


@functools.cache
def _listen() -> None:
    """Add the audit hook once: it cannot be removed. It does nothing unless the thread is watched."""
    sys.addaudithook(_note)


def _note(event: str, _arguments: tuple[object, ...]) -> None:
    touched: list[str] | None = getattr(_watched, "touched", None)
    if touched is not None and event.startswith(_TOUCHING):
        touched.append(event)


@contextlib.contextmanager
def no_input_or_output() -> Generator[list[str]]:
    """Watch this thread and yield a list that receives the names of audit events."""
    _listen()
    touched: list[str] = []
    _watched.touched = touched
    try:
        yield touched
    finally:
        _watched.touched = None
