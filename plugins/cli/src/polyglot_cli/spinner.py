"""A line on the terminal until the first content is received."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from polyglot_cli.control_sequences import one_line

if TYPE_CHECKING:
    from typing import Self

    from rich.status import Status
    from rich.text import Text

__all__ = ["Spinner"]

_PATIENCE = 0.4  # seconds; for a quicker response the line would only flicker


class Spinner:
    """Shows on standard error, from entering to `stop`, which connection the command waits for.

    The line appears after 0.4 seconds. It is removed before `stop` returns, so that no output is written beside it.

    Args:
        name: Name of the connection.
        shown: Whether there is a terminal to show it on.
    """

    def __init__(self, name: str, *, shown: bool) -> None:
        self._text = f"waiting for {one_line(name)}…"
        self._lock = threading.Lock()
        self._status: Status | None = None
        self._over = not shown
        self._timer = threading.Timer(_PATIENCE, self._show)
        self._timer.daemon = True

    def write_line(self, text: str) -> None:
        """Replace the text, at once if the line is visible already."""
        with self._lock:
            self._text = one_line(text)
            if self._status is not None and not self._over:
                self._status.update(self._shown())

    def stop(self) -> None:
        """Remove the line for good. Idempotent."""
        if self._over:
            return
        self._timer.cancel()
        with self._lock:
            self._over = True
            if self._status is not None:
                self._status.stop()

    def __enter__(self) -> Self:
        if not self._over:
            self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _show(self) -> None:
        # Imported here, in the timer's thread, while the request is being sent.
        from rich.console import Console  # noqa: PLC0415

        console = Console(stderr=True)
        with self._lock:
            if not self._over and not console.is_dumb_terminal:
                spinner = "line" if console.options.ascii_only else "dots"
                self._status = status = console.status(self._shown(), spinner=spinner, spinner_style="none")
                status.start()

    def _shown(self) -> Text:
        from rich.text import Text  # noqa: PLC0415 (as above)

        return Text(self._text)
