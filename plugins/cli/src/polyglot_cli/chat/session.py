"""A chat from its first prompt to its end: reads messages and commands, and carries them out."""

from __future__ import annotations

import contextlib
import shutil
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from polyglot_cli import error_report
from polyglot_cli.attachments import parts_of
from polyglot_cli.chat import slash
from polyglot_cli.chat.prompts import open_prompts
from polyglot_cli.chat.state import Chat, outcome_note, read_chat, write_chat
from polyglot_cli.chat.turn import take_turn
from polyglot_cli.fallback import is_simulator, simulator
from polyglot_cli.output import is_closed_pipe, is_terminal, write_line
from polyglot_cli.unread_config import mention_unread_file
from polyglot_cli.wording import as_command, counted
from polyglot_core import ConfigError, Inference, PolyglotError, connections
from polyglot_core.errors import NoDefault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from polyglot_core import Message

__all__ = ["Session", "Start"]


@dataclass(frozen=True, kw_only=True)
class Start:
    """The options of the command line; each field is the option of that name."""

    connection: str | None = None
    model: str | None = None
    system: str | None = None
    options: tuple[tuple[str, Any], ...] = ()
    attachments: tuple[str, ...] = ()
    no_history: bool = False
    config: str | None = None


class Session:
    """A chat.

    Args:
        start: What it begins with.
    """

    def __init__(self, start: Start) -> None:
        self._start = start
        self._chat = Chat(start.connection, start.model, start.system, dict(start.options))
        self._opened = contextlib.ExitStack()
        self._inference: Inference | None = None
        self._file: str | None = None
        self._code = 0
        self._commands: dict[str, Callable[[str], object]] = {
            "model": self._use_model,
            "connection": self._use_connection,
            "system": self._set_system,
            "save": self._save,
            "load": self._load,
            "retry": self._retry,
            "attach": self._attach,
            "tokens": self._show_tokens,
            "clear": self._clear,
            "help": self._show_help,
        }

    def run(self) -> int:
        """Read and carry out messages and commands to the end; return the exit code.

        That of a chat at a terminal is 0. If standard input is piped, it is that of the first turn that failed.

        Raises:
            PolyglotError: The first connection cannot be opened.
            click.ClickException: Nothing can be read from standard input, or a file cannot be attached.
            OSError: Standard output was closed.
        """
        mention_unread_file(self._start.config)
        with self._opened:
            prompts = open_prompts(keep_history=not self._start.no_history, connections=self._names)
            self._chat.attached = parts_of(self._start.attachments)
            self._open(self._chat.connection)
            at_terminal = is_terminal(sys.stdin)
            if at_terminal:
                write_line(f"Chat with {self._model_name()}. /help lists the commands, Ctrl-D ends the chat.")
            while (text := prompts.read()) is not None:
                if not self._carry_out(text):
                    break
            return 0 if at_terminal else self._code

    def _carry_out(self, text: str) -> bool:
        """Send a message, or run a command; return False if it ends the chat."""
        command = slash.parse(text)
        if command is None:
            self._send(self._chat.message(text.removeprefix("/") if text.startswith("//") else text))
            return True
        name, argument = command
        if name == "exit":
            return False
        if name not in self._commands:
            self._fail(slash.unknown(name), code=2)
            return True
        try:
            self._commands[name](argument)
        except PolyglotError as error:
            self._report(error)
        except click.ClickException as error:
            self._fail(error.message)
        except OSError as error:
            if is_closed_pipe(error):
                raise
            self._fail(f"{error.strerror}: {error.filename!r}.")
        return True

    # Turns

    def _send(self, message: Message) -> None:
        inference, chat = self._inference, self._chat
        if inference is None:
            self._fail("There is no connection; choose one with /connection.")
            return
        given: Any = chat.options  # core checks the names and the values
        try:
            if not chat.model and not inference.connection.model:
                name = inference.connection.name
                raise ConfigError("This connection names no model; choose one with /model NAME.", connection=name)
            pending = inference.create(chat.request(message), model=chat.model, options=given, stream=True)
        except PolyglotError as error:
            chat.pending = message
            self._report(error)
            return
        ended = take_turn(pending, inference.connection.name)
        chat.add(message, ended.response)
        if ended.error is not None:
            self._report(ended.error)
        if ended.response is not None and (note := outcome_note(ended.response)):
            write_line(note)
        elif chat.pending is not None:
            write_line("There is no response, so the message is not part of the conversation; /retry sends it again.")

    def _retry(self, _: str) -> None:
        message = self._chat.taken_back()
        if message is None:
            self._fail("There is no message to send again.")
        else:
            self._send(message)

    # Connections

    def _open(self, name: str | None) -> None:
        """Open a connection and close the one before: a simulator, if it is named, or if there is none."""
        try:
            inference = Inference.using(name, config=self._start.config)
        except ConfigError as error:
            chosen = is_simulator(name, self._start.config)
            if not (chosen or (name is None and isinstance(error, NoDefault))):
                raise
            variables = error.variables if isinstance(error, NoDefault) else ()
            made = simulator(self._start.config, variables, chosen=chosen)
            inference = Inference.from_connection(self._opened.enter_context(made).connection)
        if self._inference is not None:
            self._inference.close()
        self._inference = self._opened.enter_context(inference)
        self._chat.connection = name

    def _use_connection(self, name: str) -> None:
        if not name:
            write_line(f"The connection is {self._model_name()}. Known: {', '.join(self._names())}.")
            return
        self._open(name)
        self._chat.model = None
        write_line(f"Now with {self._model_name()}.")

    def _use_model(self, name: str) -> None:
        self._chat.model = name or None
        write_line(f"Now with {self._model_name()}.")

    def _model_name(self) -> str:
        if self._inference is None:
            return "no connection"
        connection = self._inference.connection
        return f"{connection.name} ({self._chat.model or connection.model or 'no model; choose one with /model'})"

    def _names(self) -> Iterable[str]:
        try:
            return [info.name for info in connections(self._start.config) if info.usable]
        except PolyglotError:
            return []

    # Other commands

    def _set_system(self, text: str) -> None:
        self._chat.system = text or None
        write_line("The system message is set." if text else "There is no system message any more.")

    def _save(self, named: str) -> None:
        path = str(Path(named).expanduser()) if named else self._file
        if not path:
            self._fail("Name the file: /save FILE.")
            return
        write_chat(self._chat, path)
        self._file = path
        write_line(f"Saved {counted(len(self._chat.turns), 'turn')} in {path}.")

    def _load(self, path: str) -> None:
        if not path:
            self._fail("Name the file: /load FILE.")
            return
        path = str(Path(path).expanduser())
        loaded = read_chat(path)
        if loaded.connection is not None and loaded.connection != self._chat.connection:
            self._open(loaded.connection)
        loaded.connection = self._chat.connection
        loaded.attached = self._chat.attached
        self._chat, self._file = loaded, path
        write_line(f"Loaded {counted(len(loaded.turns), 'turn')} from {path}, with {self._model_name()}.")

    def _attach(self, path: str) -> None:
        if not path:
            self._fail("Name the file: /attach FILE.")
            return
        self._chat.attached += parts_of([str(Path(path).expanduser())])
        write_line(f"{path} is sent with the next message.")

    def _show_tokens(self, _: str) -> None:
        usage = self._chat.usage
        sent = "?" if usage.input_tokens is None else usage.input_tokens
        received = "?" if usage.output_tokens is None else usage.output_tokens
        write_line(f"{counted(len(self._chat.turns), 'turn')}, {sent} tokens in, {received} out.")

    def _clear(self, _: str) -> None:
        self._chat.clear()
        write_line("The conversation is empty.")

    def _show_help(self, _: str) -> None:
        columns = shutil.get_terminal_size().columns - 1
        width = max(len(f"/{name} {command.argument}") for name, command in slash.COMMANDS.items())
        for name, command in slash.COMMANDS.items():
            usage = f"/{name} {command.argument}".ljust(width)
            lines = textwrap.wrap(f"{usage}  {command.help}", columns, subsequent_indent=" " * (width + 2))
            sys.stderr.write("\n".join(lines) + "\n")

    # Errors

    def _report(self, error: PolyglotError) -> None:
        """Print an error without the usual hint, which is for commands that end with it."""
        write_line(as_command(str(error)), label="Error:", style="bold red")
        self._code = self._code or error_report.exit_code(error)

    def _fail(self, text: str, *, code: int = 1) -> None:
        write_line(text, label="Error:", style="bold red")
        self._code = self._code or code
