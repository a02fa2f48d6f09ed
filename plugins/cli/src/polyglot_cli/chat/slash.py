"""The commands within a chat, as data: their names, their help, and what completes them."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["COMMANDS", "Command", "Offered", "completions", "parse", "unknown"]


class Command(NamedTuple):
    """A command within a chat.

    Attributes:
        argument: How its argument is named in the help; empty if it takes none.
        help: What it does.
    """

    argument: str
    help: str


COMMANDS: dict[str, Command] = {
    "model": Command("[NAME]", "use another model; without a name, the connection's"),
    "connection": Command("NAME", "use another connection, preset or driver"),
    "system": Command("[TEXT]", "set the system message; without text, remove it"),
    "save": Command("[FILE]", "save the conversation; without a name, in the file of the last /save or /load"),
    "load": Command("FILE", "continue a saved conversation"),
    "retry": Command("", "send the last message again, and replace its response"),
    "attach": Command("FILE", "send a file with the next message"),
    "tokens": Command("", "show the tokens used so far"),
    "clear": Command("", "begin a new conversation"),
    "help": Command("", "list the commands"),
    "exit": Command("", "end the chat"),
}
"""The commands, by name."""

_FILES = {"save", "load", "attach"}
_MOST = 50  # completions; more cannot be looked through


class Offered(NamedTuple):
    """A completion.

    Attributes:
        text: The text to insert.
        replaced: How many characters before the cursor it replaces.
        help: What is shown beside it.
    """

    text: str
    replaced: int
    help: str = ""


def parse(text: str) -> tuple[str, str] | None:
    """Return the name and the argument of a command; None for a message.

    A message that begins with a slash is written with two.
    """
    if not text.startswith("/") or text.startswith("//"):
        return None
    name, _, argument = text[1:].strip().partition(" ")
    return {"quit": "exit"}.get(name, name), argument.strip()


def unknown(name: str) -> str:
    """Return the message about a command that does not exist."""
    close = difflib.get_close_matches(name, COMMANDS, n=1)
    hint = f"did you mean /{close[0]}?" if close else "/help lists them."
    return f"There is no command /{name}; {hint} A message that begins with a slash is written with two."


def completions(text: str, connections: Callable[[], Iterable[str]]) -> Iterator[Offered]:
    """Yield what may complete the text before the cursor: names of commands, of connections and of files."""
    if not text.startswith("/") or "\n" in text:
        return
    name, space, argument = text[1:].partition(" ")
    if not space:
        for each, command in COMMANDS.items():
            if each.startswith(name):
                yield Offered(each, len(name), command.help)
    elif name == "connection":
        yield from (Offered(each, len(argument)) for each in connections() if each.startswith(argument))
    elif name in _FILES:
        yield from _files(argument)


def _files(typed: str) -> Iterator[Offered]:
    folder, _, begun = typed.rpartition("/")
    below = Path(f"{folder}/" if typed.startswith("/") or folder else ".").expanduser()
    try:
        found = sorted(path for path in below.iterdir() if path.name.startswith(begun))
    except (OSError, RuntimeError):
        return
    for path in found[:_MOST]:
        yield Offered(f"{path.name}/" if path.is_dir() else path.name, len(begun))
