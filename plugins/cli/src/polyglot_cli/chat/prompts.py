"""Where messages are read from: a terminal with editing and history, or the lines of a pipe."""

from __future__ import annotations

import contextlib
import os
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Protocol

import click

from polyglot_cli.chat.slash import completions
from polyglot_cli.folders import own_folder
from polyglot_cli.output import is_terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from prompt_toolkit import PromptSession
    from prompt_toolkit.completion import CompleteEvent, Completer, Completion
    from prompt_toolkit.document import Document
    from prompt_toolkit.history import History
    from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

__all__ = ["PipedPrompts", "Prompts", "history_file", "open_prompts"]

_MODE = 0o600  # what is typed is for its owner


class Prompts(Protocol):
    """Reads messages and commands."""

    def read(self) -> str | None:
        """Return the next message or command; None at the end of the chat.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed.
        """


class PipedPrompts:
    """The lines of standard input, each a message or a command. A backslash at its end joins a line to the next.

    Args:
        lines: The lines, as bytes.
    """

    def __init__(self, lines: Iterable[bytes]) -> None:
        self._lines = iter(lines)

    def read(self) -> str | None:
        """Return the next message or command; None at the end.

        Raises:
            click.UsageError: A line is not UTF-8 text.
        """
        parts: list[str] = []
        for line in self._lines:
            text = _decoded(line)
            if text.endswith("\\"):
                parts.append(text[:-1])
                continue
            parts.append(text)
            if any(part.strip() for part in parts):
                return "\n".join(parts)
            parts = []
        return "\n".join(parts) if any(part.strip() for part in parts) else None


def _decoded(line: bytes) -> str:
    try:
        return line.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as error:
        raise click.UsageError(f"Standard input is not UTF-8 text: {error.reason}.") from None


def open_prompts(*, keep_history: bool, connections: Callable[[], Iterable[str]]) -> Prompts:
    """Return the prompts of standard input.

    Args:
        keep_history: Whether what is typed is kept for later chats.
        connections: Returns the names that ``/connection`` completes.

    Raises:
        click.UsageError: Standard input is closed, or it is a terminal and prompt_toolkit is not installed.
    """
    if sys.stdin is None:
        raise click.UsageError("Standard input is closed, so there are no messages to read.")
    if not is_terminal(sys.stdin):
        return PipedPrompts(sys.stdin.buffer)
    if find_spec("prompt_toolkit") is None:
        raise click.UsageError(
            "A chat at a terminal needs prompt_toolkit. Install it with:\n\n  pip install 'polyglot-cli[chat]'"
        )
    return _TerminalPrompts(keep_history=keep_history, connections=connections)


def history_file() -> Path | None:
    """Return the path of the file that keeps what was typed; None if there is no home folder."""
    folder = own_folder()
    return None if folder is None else folder / "chat-history"


class _TerminalPrompts:
    def __init__(self, *, keep_history: bool, connections: Callable[[], Iterable[str]]) -> None:
        from prompt_toolkit import PromptSession  # noqa: PLC0415 (as above)
        from prompt_toolkit.output import ColorDepth, create_output  # noqa: PLC0415

        stream = sys.stdout if is_terminal(sys.stdout) else sys.stderr
        self._session: PromptSession[str] = PromptSession(
            "> ",
            multiline=True,
            prompt_continuation="  ",
            history=_history(keep=keep_history),
            completer=_completer(connections),
            complete_while_typing=False,
            key_bindings=_keys(),
            color_depth=ColorDepth.DEPTH_1_BIT if os.environ.get("NO_COLOR") else None,
            output=create_output(stdout=stream),
        )

    def read(self) -> str | None:
        """Return what was typed; None for Ctrl-D, or Ctrl-C at an empty prompt."""
        while True:
            try:
                text = self._session.prompt()
            except EOFError:
                return None
            except KeyboardInterrupt:
                if self._session.default_buffer.text:
                    continue
                return None
            if text.strip():
                return text


def _history(*, keep: bool) -> History:
    """Return the history, in a file of the user's own where one can be written."""
    from prompt_toolkit.history import FileHistory, InMemoryHistory  # noqa: PLC0415 (as above)

    path = history_file() if keep else None
    if path is None:
        return InMemoryHistory()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, _MODE))
        with contextlib.suppress(OSError):
            path.chmod(_MODE)
    except OSError:
        return InMemoryHistory()
    return FileHistory(str(path))


def _keys() -> KeyBindings:
    """Return the keys: Enter sends, except behind a backslash; Alt-Enter begins a line."""
    from prompt_toolkit.key_binding import KeyBindings  # noqa: PLC0415 (as above)

    keys = KeyBindings()

    @keys.add("enter")
    def _(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.complete_state is not None and buffer.complete_state.current_completion is not None:
            buffer.complete_state = None
        elif buffer.document.char_before_cursor == "\\":
            buffer.delete_before_cursor()
            buffer.insert_text("\n")
        else:
            buffer.validate_and_handle()

    @keys.add("escape", "enter")
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    return keys


def _completer(connections: Callable[[], Iterable[str]]) -> Completer:
    from prompt_toolkit.completion import Completer, Completion  # noqa: PLC0415 (as above)

    class Commands(Completer):
        def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:  # noqa: ARG002
            for offered in completions(document.text_before_cursor, connections):
                yield Completion(offered.text, start_position=-offered.replaced, display_meta=offered.help)

    return Commands()
