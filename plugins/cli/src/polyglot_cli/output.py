"""Where things are written: the answer to standard output as it comes, all else to standard error."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import warnings
from typing import TYPE_CHECKING, Any

import click

from polyglot_cli.control_sequences import one_line

if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import BinaryIO, TextIO

__all__ = [
    "Output",
    "WriteError",
    "is_closed_pipe",
    "is_terminal",
    "say",
    "silence_standard_streams",
    "spoken_warnings",
]


class WriteError(click.ClickException):
    """The answer cannot be written, because a disk is full, say."""

    exit_code = 1


class Output:
    """Standard output, written through at once.

    Attributes:
        is_terminal: Whether somebody is looking.
        at_line_start: Whether the last character was a line break, or there was none yet.
    """

    def __init__(self) -> None:
        self.is_terminal = is_terminal(sys.stdout)
        self.at_line_start = True
        stdout: TextIO | None = sys.stdout
        self._buffer: BinaryIO | None = None if stdout is None else stdout.buffer
        # A pipe gets what the provider sent, byte for byte; a terminal what it can show.
        self._encoding = stdout.encoding if stdout is not None and self.is_terminal else "utf-8"

    def write(self, text: str) -> None:
        """Write `text` and flush.

        Raises:
            BrokenPipeError: Nobody reads any more.
            WriteError: It cannot be written.
        """
        if not text:
            return
        self.at_line_start = text.endswith("\n")
        if self._buffer is None:
            return
        try:
            self._buffer.write(text.encode(self._encoding, "replace"))
            self._buffer.flush()
        except OSError as error:
            if is_closed_pipe(error):
                raise
            silence_standard_streams()
            raise WriteError(f"The answer cannot be written: {error.strerror}.") from error

    def end_line(self) -> None:
        """Begin a new line, unless the last one has ended."""
        if not self.at_line_start:
            self.write("\n")


def is_terminal(stream: TextIO | None) -> bool:
    """Whether a standard stream is a terminal; one that was closed is not."""
    return stream is not None and stream.isatty()


def is_closed_pipe(error: OSError) -> bool:
    """Whether a write failed because its reader has gone."""
    return error.errno == errno.EPIPE or (sys.platform == "win32" and error.errno == errno.EINVAL)


def silence_standard_streams() -> None:
    """Let what is still in the buffers go nowhere, so that the interpreter does not complain of it when it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            os.dup2(nowhere, stream.fileno())
        except AttributeError:  # closed from the start
            continue
    os.close(nowhere)


@contextlib.contextmanager
def spoken_warnings() -> Generator[None]:
    """Let what the library warns its users of be a line of the command, without the place in the code it came from."""
    usual = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:  # noqa: ANN401
        if category is UserWarning:
            say(str(message), label="Warning:", style="bold")
        else:
            usual(message, category, *place, **more)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


def say(text: str, label: str = "", style: str = "") -> None:
    """Write a line to standard error, cleaned; on a terminal broken between words, and with the label in its style.

    Args:
        text: The line.
        label: What it begins with.
        style: Style of the label, in the words of rich.
    """
    line, label = one_line(text), f"{label} " if label else ""
    if not is_terminal(sys.stderr):
        click.echo(label + line, err=True)
        return
    # Imported here: a pipe needs none of it, and it takes longer than the command itself.
    from rich.console import Console  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    Console(stderr=True).print(Text.assemble((label, style), line))
