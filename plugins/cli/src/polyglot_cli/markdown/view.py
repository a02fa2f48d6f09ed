"""Shows a response on a terminal as Markdown, while it is received."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections import deque
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from polyglot_cli.control_sequences import one_line
from polyglot_cli.markdown.document import Document
from polyglot_cli.markdown.painter import Painter, Size
from polyglot_cli.markdown.spans import ASCII, UNICODE, Glyphs, styled
from polyglot_cli.styles import is_dumb
from polyglot_cli.views import TextView
from polyglot_core import ToolResult

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from polyglot_cli.markdown.layout import Row
    from polyglot_cli.output import Output
    from polyglot_cli.views import View
    from polyglot_core import PartialInferenceResponse

__all__ = ["Drawing", "MarkdownView", "draws", "known_glyphs", "response_view", "terminal_size", "without_echo"]

_INTERVAL = 1 / 12  # seconds between two redraws, at least
_PATIENCE = 1.0  # seconds without any content, after which a wait is shown
_USUAL = Size(80, 24)
_CHANGE, _END = False, True
"""Messages to the thread that draws."""


def draws(output: Output) -> bool:
    """Return True if rows on the output can be drawn again: it is a terminal, and not a dumb one."""
    return output.is_terminal and not is_dumb()


def response_view(output: Output, name: str = "", *, reasoning: bool = True, raw: bool = False) -> View:
    """Return a view of one response: Markdown on a terminal, else the text as it is received.

    Args:
        output: The output to write to.
        name: Name of the connection, which is shown on a terminal while nothing is received.
        reasoning: Whether to show the thinking, dimmed, on a terminal.
        raw: Whether to write the text unchanged.
    """
    if raw or not draws(output):
        return TextView(output, reasoning=reasoning, raw=raw)
    return MarkdownView(output, name, reasoning=reasoning)


def terminal_size() -> Size:
    """Return the size of the terminal of standard output; 80 columns and 24 rows if it has none."""
    try:
        size = os.get_terminal_size(sys.stdout.fileno())
    except (AttributeError, OSError, ValueError):
        return _USUAL
    return Size(size.columns or _USUAL.columns, size.lines or _USUAL.rows)


def known_glyphs() -> Glyphs:
    """Return the characters that the encoding of standard output has."""
    try:
        "".join(UNICODE).encode(sys.stdout.encoding)
    except (AttributeError, LookupError, UnicodeEncodeError):
        return ASCII
    return UNICODE


@contextlib.contextmanager
def without_echo() -> Generator[None]:
    """Let keys that are pressed meanwhile not appear between the rows. Does nothing without a terminal of POSIX."""
    try:
        import termios  # noqa: PLC0415 (of POSIX alone)
    except ImportError:
        yield
        return
    try:
        descriptor = sys.stdin.fileno()
        before = termios.tcgetattr(descriptor)
    except (AttributeError, OSError, ValueError, termios.error):
        yield
        return
    silent = [*before]
    silent[3] &= ~termios.ECHO
    termios.tcsetattr(descriptor, termios.TCSADRAIN, silent)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


class Drawing:
    """A thread that draws rows, at most twelve times a second.

    Only this thread writes, so Ctrl-C, which interrupts the main thread, never interrupts a write.

    Args:
        output: The terminal.
        frame: Returns the finished rows since its last call, and those below them, for the columns and rows of the
            terminal. Called in the thread; True is passed for the last frame.
        always: Whether to draw as often as possible, so that nothing has to report changes.
    """

    def __init__(
        self,
        output: Output,
        frame: Callable[[int, int, bool], tuple[Sequence[Row], Sequence[Row]]],
        *,
        always: bool = False,
    ) -> None:
        self._always = always
        self._output = output
        self._frame = frame
        self._painter = Painter(colour=not os.environ.get("NO_COLOR"))
        # A signal may interrupt the main thread within a lock of `threading`, which is then never released; not here.
        self._messages: SimpleQueue[bool] = SimpleQueue()
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread, unless it runs."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="polyglot-drawing", daemon=True)
            self._thread.start()

    def change(self) -> None:
        """Draw soon.

        Raises:
            OSError: An earlier write failed, as when the terminal is closed.
            WriteError: The same, for another reason.
        """
        self.start()
        self._messages.put(_CHANGE)
        if self._error is not None:
            raise self._error

    def end(self) -> None:
        """Draw the last frame, and end the thread. It may be started again.

        Raises:
            OSError: A write failed.
            WriteError: The same, for another reason.
        """
        if self._thread is None:
            return
        self._messages.put(_END)
        self._thread.join()
        self._thread = None
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            changed = ended = False
            while not ended:
                if not changed:
                    changed, ended = self._wait(_INTERVAL if self._always else _PATIENCE, at_once=True)
                if not ended:
                    self._draw(last=False)
                    changed, ended = self._wait(_INTERVAL, at_once=False)
            self._draw(last=True)
        except BaseException as error:  # noqa: BLE001 (raised where the drawing is used)
            self._error = error

    def _wait(self, seconds: float, *, at_once: bool) -> tuple[bool, bool]:
        """Wait for the time, or for the first change, or for the end; return whether there was either."""
        changed = False
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not (changed and at_once):
            try:
                if self._messages.get(timeout=left) is _END:
                    return changed, True
            except Empty:
                break
            changed = True
        return changed, False

    def _draw(self, *, last: bool) -> None:
        size = terminal_size()
        # One column is left free: some terminals break a row that is exactly as wide as they are.
        finished, still_open = self._frame(max(1, size.columns - 1), size.rows, last)
        self._output.write(self._painter.paint(finished, still_open, size))


class MarkdownView:
    """The text of choice 0 as Markdown, with the thinking before it and the tool calls after it.

    While nothing is received, a line shows for how many seconds.

    Args:
        output: The terminal.
        name: Name of the connection, which is shown while nothing is received.
        reasoning: Whether to show the thinking.
    """

    def __init__(self, output: Output, name: str = "", *, reasoning: bool = True) -> None:
        self._output = output
        self._reasoning = reasoning
        self._document = Document(known_glyphs())
        self._received: deque[tuple[str, str]] = deque()
        self._name = one_line(name) or "the provider"
        self._waiting = f"waiting for {self._name}"
        self._since = time.monotonic()
        self._drawing = Drawing(output, self._frame)

    def wait(self) -> None:
        """Show what is waited for already before the first content, as soon as a second has passed."""
        self._drawing.start()

    def prints(self, item: PartialInferenceResponse | ToolResult) -> bool:
        """Return True for a partial with text, or with thinking that is shown."""
        if isinstance(item, ToolResult):
            return False
        return not item.choice and bool(item.content_delta or (item.reasoning_delta and self._reasoning))

    def show(self, item: PartialInferenceResponse) -> None:
        """Show what the partial adds.

        Raises:
            OSError: The terminal cannot be written to.
        """
        if item.choice:
            return
        if item.reasoning_delta and not self._reasoning:
            self._waiting = f"{self._name} is thinking"
        if item.reasoning_delta and self._reasoning:
            self._add("reasoning", item.reasoning_delta)
        if item.content_delta:
            self._add("text", item.content_delta)

    def note(self, text: str) -> None:
        """Show a dimmed line below the content received so far."""
        self._add("note", text)

    def end(self) -> None:
        """Show the rest, whether or not the response is complete.

        Raises:
            OSError: The terminal cannot be written to.
        """
        self._drawing.end()
        self._output.at_line_start = True

    def _add(self, kind: str, text: str) -> None:
        self._received.append((kind, text))
        self._waiting = f"waiting for {self._name}" + ("" if kind == "note" else " to continue")
        self._since = time.monotonic()
        self._drawing.change()

    def _frame(self, columns: int, _: int, last: bool) -> tuple[list[Row], list[Row]]:  # noqa: FBT001 (of `Drawing`)
        self._take()
        if last:
            self._document.finish()
        finished = self._document.finished(columns)
        if last:
            return finished, []
        return finished, [*self._document.still_open(columns), *self._wait_row(columns)]

    def _take(self) -> None:
        """Add what was received to the document; deltas of one kind at once."""
        texts: list[str] = []
        kind = ""
        while self._received:
            next_kind, text = self._received.popleft()
            if texts and next_kind != kind:
                self._document.add(kind, "".join(texts))
                texts = []
            if next_kind == "note":
                self._document.note(text)
                continue
            kind = next_kind
            texts.append(text)
        if texts:
            self._document.add(kind, "".join(texts))

    def _wait_row(self, columns: int) -> list[Row]:
        seconds = time.monotonic() - self._since
        if seconds < _PATIENCE:
            return []
        return [[styled(f"{self._waiting}… {seconds:.0f} s"[:columns], "2")]]
