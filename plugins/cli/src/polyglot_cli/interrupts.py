"""Ctrl-C that is not lost: `KeyboardInterrupt` is raised until it has been caught.

The interpreter raises `KeyboardInterrupt` between two bytecodes of the main thread, and only once. Two moments lose it:

- The signal arrives after the last check and before the main thread blocks in a system call. The call is not
  interrupted, and nothing is raised before it returns: a receive from a silent provider ends with its timeout.
- It is raised in a finalizer or in the callback of a weak reference, which the import system calls for each module.
  The interpreter prints such an exception and goes on.

So a thread reads the interpreter's wakeup descriptor and sends the signal to the main thread again until the command
has caught the exception.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator
    from types import FrameType

__all__ = ["caught", "expected", "repeated"]

_REPEAT_AFTER = 0.05  # seconds; far longer than an exception takes to the code that catches it

_caught = threading.Event()
_active: list[_Repeater] = []


def caught() -> None:
    """Note that `KeyboardInterrupt` has been caught, so that it is not raised again. Called where it is handled."""
    _caught.set()


def expected() -> None:
    """Raise the next `KeyboardInterrupt` again too, after one that was caught. Called before what it interrupts.

    An event loop that has run meanwhile, as that of a prompt, has replaced the wakeup descriptor.
    """
    _caught.clear()
    for repeater in _active:
        signal.signal(signal.SIGINT, repeater.handle)
        signal.set_wakeup_fd(repeater.descriptor, warn_on_full_buffer=False)


@contextlib.contextmanager
def repeated() -> Generator[None]:
    """Raise `KeyboardInterrupt` in the main thread at SIGINT, and again until `caught` is called.

    Does nothing where SIGINT is ignored, as in a background job, and on Windows, where no signal can be sent to a
    thread.
    """
    if not hasattr(signal, "pthread_kill") or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    _caught.clear()
    repeater, usual_hook = _Repeater(), sys.unraisablehook
    _active.append(repeater)
    sys.unraisablehook = lambda lost: None if lost.exc_type is KeyboardInterrupt else usual_hook(lost)
    signal.signal(signal.SIGINT, repeater.handle)
    usual_descriptor = signal.set_wakeup_fd(repeater.descriptor, warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(usual_descriptor)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.unraisablehook = usual_hook
        _active.remove(repeater)
        repeater.stop()


class _Repeater:
    """The handler of SIGINT, and the thread that sends the signal again.

    Attributes:
        descriptor: File descriptor to which the interpreter writes a byte at each signal.
    """

    def __init__(self) -> None:
        self._read, self.descriptor = os.pipe()
        os.set_blocking(self.descriptor, False)  # as the interpreter demands
        self._main = threading.get_ident()
        self._sent_again = False
        threading.Thread(target=self._repeat, name="polyglot-interrupts", daemon=True).start()

    def handle(self, _: int, __: FrameType | None) -> None:
        """Raise `KeyboardInterrupt`, unless the signal is a repetition and the first one is being handled."""
        repetition, self._sent_again = self._sent_again, False
        if not (repetition and (_caught.is_set() or _is_being_handled())):
            raise KeyboardInterrupt

    def stop(self) -> None:
        """End the thread."""
        caught()
        os.close(self.descriptor)

    def _repeat(self) -> None:
        while os.read(self._read, 1):
            while not _caught.wait(_REPEAT_AFTER):
                self._sent_again = True
                signal.pthread_kill(self._main, signal.SIGINT)
        os.close(self._read)


def _is_being_handled() -> bool:
    """Return True if the main thread runs a clause or a context manager that an interrupt passes through."""
    error = sys.exc_info()[1]
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error is not None
