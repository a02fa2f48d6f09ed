"""Output of the command: the response to standard output as it is received, all else to standard error."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import warnings
from typing import TYPE_CHECKING, Any

import click

from polyglot_cli.control_sequences import one_line
from polyglot_cli.styles import console
from polyglot_cli.wording import as_command

if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import BinaryIO, TextIO

__all__ = [
    "Output",
    "WriteError",
    "is_closed_pipe",
    "is_terminal",
    "plain_warnings",
    "silence_standard_streams",
    "write_line",
]


class WriteError(click.ClickException):
    """The response cannot be written, for example because a disk is full."""

    exit_code = 1


class Output:
    """Standard output, flushed after each write.

    Attributes:
        is_terminal: Whether standard output is a terminal.
        at_line_start: Whether the last character was a line break, or nothing has been written yet.
        is_empty: Whether nothing has been written yet.
    """

    def __init__(self) -> None:
        self.is_terminal = is_terminal(sys.stdout)
        self.at_line_start = True
        self.is_empty = True
        stdout: TextIO | None = sys.stdout
        self._buffer: BinaryIO | None = None if stdout is None else stdout.buffer
        # A pipe receives the text as the provider sent it; a terminal receives what it can show.
        self._encoding = stdout.encoding if stdout is not None and self.is_terminal else "utf-8"

    def write(self, text: str) -> None:
        """Write `text` and flush.

        Raises:
            BrokenPipeError: The reader has closed the pipe.
            WriteError: `text` cannot be written.
        """
        if not text:
            return
        self.at_line_start = text.endswith("\n")
        self.is_empty = False
        if self._buffer is None:
            return
        try:
            self._buffer.write(text.encode(self._encoding, "replace"))
            self._buffer.flush()
        except OSError as error:
            if is_closed_pipe(error):
                raise
            silence_standard_streams()
            raise WriteError(f"The response cannot be written: {error.strerror}.") from error

    def end_line(self) -> None:
        """End the current line, unless it is empty."""
        if not self.at_line_start:
            self.write("\n")


def is_terminal(stream: TextIO | None) -> bool:
    """Return True if a standard stream is a terminal; a closed one is not."""
    return stream is not None and stream.isatty()


def is_closed_pipe(error: OSError) -> bool:
    """Return True if a write failed because the reader has closed the pipe."""
    return error.errno == errno.EPIPE or (sys.platform == "win32" and error.errno == errno.EINVAL)


def silence_standard_streams() -> None:
    """Discard buffered output, so that the interpreter reports no error about it at exit."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            os.dup2(devnull, stream.fileno())
        except AttributeError:  # closed from the start
            continue
    os.close(devnull)


@contextlib.contextmanager
def plain_warnings() -> Generator[None]:
    """Write the library's warnings as lines of the command, without the position in the code that raised them."""
    usual = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *position: Any, **more: Any) -> None:  # noqa: ANN401
        if category is UserWarning:
            write_line(as_command(str(message)), label="Warning:", style="bold")
        else:
            usual(message, category, *position, **more)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


def write_line(text: str, label: str = "", style: str = "") -> None:
    """Write a line to standard error, cleaned; on a terminal, wrapped between words and with a styled label.

    Args:
        text: The line.
        label: Text before the line.
        style: Style of the label, as rich names it.
    """
    line, label = one_line(text), f"{label} " if label else ""
    if not is_terminal(sys.stderr):
        click.echo(label + line, err=True)
        return
    # Imported here: a pipe does not need it, and the import takes longer than the command itself.
    from rich.text import Text  # noqa: PLC0415

    console(stderr=True).print(Text.assemble((label, style), line))
