"""A line on the terminal while nothing is printed: before the response begins, while the model thinks, in a stall.

A terminal without a cursor shows no line that changes. There, each wait of some length is a line of its own, once.
"""

from __future__ import annotations

import contextlib
import math
import shutil
import sys
import threading
import time
from typing import TYPE_CHECKING

from polyglot_cli.control_sequences import one_line
from polyglot_cli.output import write_line
from polyglot_cli.styles import is_dumb

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

    from polyglot_cli.output import Output

__all__ = ["Spinner"]

_PATIENCE = 0.4  # seconds before the line appears; for a quicker response it would only flicker
_STALL = 2.0  # seconds without a piece of a response that has begun
_TICK = 0.1  # seconds between two pictures
_COUNTED = 1.0  # seconds from which on they are shown
_MARGIN = 3  # columns: some terminals wrap after the last one, and Ctrl-C is shown as two characters
_SHORTEST = 10  # columns below which a reason is left out

_HIDE, _SHOW = "\x1b[?25l", "\x1b[?25h"  # the cursor
_CLEAR = "\r\x1b[2K"
# Text may be left of the cursor. Index and reverse index make sure that there is a line below it; then the position
# is saved, so that the line below can be written and the cursor put back.
_SAVE, _BELOW, _BACK = "\x1bD\x1bM\x1b7", "\x1b8\x1b[B", "\x1b8"


class Spinner:
    """Shows on standard error, from entering to `stop`, what the command waits for and for how long.

    The line appears after 0.4 seconds; once text has been printed, after 2 seconds without any. It is removed before
    text is printed, which is to happen within `writing`.

    Args:
        name: Name of the connection.
        output: Standard output, which may be the same terminal.
        shown: Whether standard error is a terminal to show it on.
    """

    def __init__(self, name: str, output: Output, *, shown: bool) -> None:
        self._name = one_line(name)
        self._text = f"waiting for {self._name}…"
        self._output = output
        self._shown = shown
        self._is_plain = is_dumb()
        self._printed = ""  # the latest line on a terminal without a cursor
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._since = time.monotonic()
        self._patience = _PATIENCE
        self._visible = ""  # what removes the line; empty if there is none
        self._ticks = 0
        self._reason = ""  # of the wait, before the text
        self._wait = 0.0  # seconds to count down

    def write_line(self, reason: str, text: str, wait: float | None = None) -> None:
        """Replace the text, at once if the line is visible already; on a terminal without cursor, print it.

        Args:
            reason: What precedes the text, and is shortened if the terminal is narrow.
            text: The text.
            wait: Seconds until the next request, which are counted down; None counts those that have passed.
        """
        if self._shown and self._is_plain:
            write_line(f"{reason} {text}")
            self._printed = one_line(text)
        self._wait_for(one_line(text), f"{one_line(reason)} ", wait or 0.0)

    def think(self) -> None:
        """Note that the model sends reasoning which is not printed."""
        self._wait_for(f"{self._name} is thinking…")

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Remove the line, and show none while the block prints."""
        if not self._shown:
            yield
            return
        with self._lock:
            self._remove()
            yield
            self._since, self._patience = time.monotonic(), _STALL
            self._text = f"waiting for {self._name} to continue…"
            self._reason, self._wait = "", 0.0

    def pause(self) -> None:
        """Remove the line, and show none before the next step or `resume`."""
        if self._shown:
            with self._lock:
                self._remove()
                self._patience = math.inf

    def resume(self) -> None:
        """Wait for the connection again, after `pause`."""
        if self._patience == math.inf:
            self._patience, self._since = _PATIENCE, time.monotonic()
            self._text = f"waiting for {self._name}…"
            self._reason, self._wait = "", 0.0

    def stop(self) -> None:
        """Remove the line for good. Idempotent."""
        self._over.set()
        if self._shown:
            with self._lock:
                self._remove()

    def __enter__(self) -> Self:
        if self._shown:
            threading.Thread(target=self._run, name="polyglot-spinner", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _wait_for(self, text: str, reason: str = "", wait: float = 0.0) -> None:
        if self._shown and text != self._text:
            with self._lock:
                self._text, self._reason, self._wait = text, reason, wait
                self._since, self._patience = time.monotonic(), min(self._patience, _PATIENCE)
                if self._visible:  # never on a terminal without a cursor
                    self._draw(0.0)

    def _run(self) -> None:
        while not self._over.wait(_TICK):
            with self._lock:
                waited = time.monotonic() - self._since
                if self._over.is_set() or waited < self._patience:
                    continue
                if not self._is_plain:
                    self._draw(waited)
                elif waited >= _STALL:
                    self._print()

    def _print(self) -> None:
        """Print what is waited for, unless that is the latest line already, or text is left of the cursor."""
        if self._text != self._printed and (self._output.is_empty or self._output.at_line_start):
            write_line(self._text)
            self._printed = self._text

    def _draw(self, waited: float) -> None:
        # Imported here, in the thread, while the request is being sent.
        from rich.cells import cell_len, set_cell_size  # noqa: PLC0415

        pictures = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏" if (sys.stderr.encoding or "").lower().startswith("utf") else "|/-\\"
        self._ticks += 1
        seconds = _counted(waited, self._wait)
        width = max(shutil.get_terminal_size().columns - _MARGIN, 1)
        picture, text = f"{pictures[self._ticks % len(pictures)]} ", f"{self._text}{seconds}"
        room, reason = width - cell_len(picture + text), self._reason
        if cell_len(reason) > room:
            reason = f"{set_cell_size(reason, room - 2).rstrip()}… " if room > _SHORTEST else ""
        line = set_cell_size(f"{picture}{reason}{text}", width).rstrip()
        if not self._visible:
            in_place = self._output.is_empty or (self._output.is_terminal and self._output.at_line_start)
            sys.stderr.write(_HIDE if in_place else _HIDE + _SAVE)
            self._visible = _CLEAR if in_place else _BELOW + _CLEAR
        sys.stderr.write(self._visible + line)
        sys.stderr.flush()

    def _remove(self) -> None:
        if self._visible:
            sys.stderr.write(_SHOW + self._visible + ("" if self._visible == _CLEAR else _BACK))
            sys.stderr.flush()
            self._visible = ""


def _counted(waited: float, wait: float) -> str:
    """Return the seconds that are left of a wait, or that have passed without one."""
    if wait:
        return f" {wait - waited:.0f} s left" if wait - waited >= _COUNTED else ""
    return f" {waited:.0f} s" if waited >= _COUNTED else ""
