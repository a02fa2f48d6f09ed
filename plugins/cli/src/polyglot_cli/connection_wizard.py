"""``polyglot connections add``: asks for a connection, tests it with one small request, and writes it."""

from __future__ import annotations

import contextlib
import difflib
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from polyglot_cli import config_writer, keyrings
from polyglot_cli.error_report import hint
from polyglot_cli.folders import config_file
from polyglot_cli.key_prompt import ask_for_key
from polyglot_cli.known_packages import known, missing_package
from polyglot_cli.output import is_terminal, write_line
from polyglot_cli.wording import as_command
from polyglot_core import ConfigError, Inference, PolyglotError, connections

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Given", "add_connection"]

_PATIENCE = 30.0  # seconds for the test
_TOKENS = 16  # of the test's response
_SHOWN = 20  # models that are listed to choose from


@dataclass(frozen=True, kw_only=True)
class Given:
    """The options of the command line; what is None is asked for.

    Attributes:
        name: Name of the new connection.
        preset: Preset or driver that it starts from.
        model: Model of calls that name none.
        base_url: URL of the server.
        env: Variable with the key.
        command: Command that prints the key.
        keyring: Whether the key is kept in the keyring.
        default: Whether it becomes the default.
        tested: Whether it is tested.
        yes: Whether nothing is asked.
        config: The configuration file.
    """

    name: str | None = None
    preset: str | None = None
    model: str | None = None
    base_url: str | None = None
    env: str | None = None
    command: str | None = None
    keyring: bool = False
    default: bool | None = None
    tested: bool = True
    yes: bool = False
    config: str | None = None

    def __post_init__(self) -> None:
        if sum(map(bool, (self.env, self.command, self.keyring))) > 1:
            raise click.UsageError("Give one of --env, --command and --keyring: a connection has one key.")
        if not self.yes and self.preset is None and not is_terminal(sys.stdin):
            raise click.UsageError("There is no terminal to ask on; give --preset and --yes.")

    @property
    def asks(self) -> bool:
        """Return True if the user can be asked."""
        return not self.yes and is_terminal(sys.stdin)

    def ask(self, question: str, default: str | None = None) -> str:
        """Return a reply; the default where nothing can be asked."""
        if not self.asks:
            return default or ""
        return str(click.prompt(question, default=default or "", err=True, show_default=bool(default))).strip()

    def confirm(self, question: str, *, default: bool) -> bool:
        """Return whether the user agrees; the default where nothing can be asked."""
        return click.confirm(question, default=default, err=True) if self.asks else default


def add_connection(given: Given) -> None:
    """Ask for what is not given, test the connection, and write it.

    Raises:
        click.ClickException: The connection cannot be used or written.
    """
    file = config_file(given.config)
    taken = {info.name: info for info in connections(given.config)}
    start = _start(given, taken)
    name = given.name or given.ask("Name of the connection", start) or start
    if name in taken and taken[name].source == "file":
        _check_replaced(given, name)
    fields: dict[str, Any] = {_kind(start): start}
    fields["base_url"] = given.base_url or _base_url(given, taken, start)
    fields |= _key(given, start, name)
    fields["model"] = _model(given, taken, start, name, fields)
    if given.tested and not _passes(given, name, fields):
        raise click.ClickException("Nothing was written.")
    is_first = not any(info.source == "file" for info in taken.values())
    default = given.default if given.default is not None else given.confirm("Use it by default?", default=is_first)
    config_writer.add(file, name, fields, default=default)
    write_line(f'Written to {file}. Try it: polyglot -c {name} "Hello"')


# What is asked


def _start(given: Given, taken: Mapping[str, Any]) -> str:
    """Return the preset or driver to start from."""
    if given.preset is not None:
        _check_start(given.preset, taken)
        return given.preset
    while True:
        write_line("Which provider? A name such as openai, anthropic, ollama; `?` lists all.")
        start = given.ask("Provider")
        if start == "?":
            write_line(", ".join(sorted(known())))
        elif start:
            try:
                _check_start(start, taken)
            except click.ClickException as error:
                write_line(error.message)
            else:
                return start


def _check_start(start: str, taken: Mapping[str, Any]) -> None:
    """Raise `click.ClickException` unless a connection can start from this name."""
    if start in taken and taken[start].source != "file":
        return
    if package := missing_package(start):
        raise click.ClickException(f"{start!r} is in the package {package}, which is not installed. Install it first.")
    names = {*known(), *(name for name, info in taken.items() if info.source != "file")}
    close = difflib.get_close_matches(start.lower(), names, n=1)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    raise click.UsageError(f"There is no preset or driver {start!r}{hint}; `polyglot connections --all` lists them.")


def _kind(start: str) -> str:
    """Return whether a name is that of a preset or of a driver alone."""
    names = {info.name for info in connections() if info.source == "driver"}
    return "driver" if start in names else "preset"


def _check_replaced(given: Given, name: str) -> None:
    if not given.confirm(f"There is a connection {name!r}. Replace it?", default=False):
        raise click.ClickException(f"There is a connection {name!r} already; choose another name, or edit the file.")


def _base_url(given: Given, taken: Mapping[str, Any], start: str) -> str | None:
    info = taken[start]
    if info.base_url or "base URL" not in info.reason:
        return None
    url = given.ask("URL of the server, such as https://llm.example.com/v1")
    if not url:
        raise click.UsageError(f"{start!r} has no URL of its own; give --base-url.")
    return url


def _key(given: Given, start: str, name: str) -> dict[str, Any]:
    """Return the field that states where the key is; none if there is no key, or the preset's own variable holds it."""
    usual = known()[start].variable if start in known() else ""
    if given.command:
        return {"api_key_command": given.command}
    if given.keyring:
        return _in_keyring(name)
    if given.env or not given.asks:
        return {} if given.env in {None, usual} else {"api_key_env": given.env}
    ways = {"v": "an environment variable", "c": "a command that prints it", "n": "none is needed"}
    if keyrings.is_available():
        ways["k"] = "the system's keyring"
    listed = ", ".join(f"[{letter}] {way}" for letter, way in ways.items())
    write_line(f"Where is the key? {listed}")
    way = click.prompt("Key", type=click.Choice(list(ways)), default="v" if usual else "n", err=True)
    if way == "c":
        return {"api_key_command": given.ask("Command, such as pass show work/llm")}
    if way == "k":
        return _in_keyring(name)
    variable = given.ask("Name of the variable", usual) if way == "v" else ""
    if variable and not os.environ.get(variable):
        write_line(f"{variable} is not set now; set it before you use the connection.")
    return {} if variable in {"", usual} else {"api_key_env": variable}


def _in_keyring(name: str) -> dict[str, Any]:
    if not keyrings.holds(name):
        keyrings.store(name, ask_for_key(name))
    return {"api_key_command": keyrings.command_for(name)}


def _model(given: Given, taken: Mapping[str, Any], start: str, name: str, fields: Mapping[str, Any]) -> str | None:
    """Return the model: the one given, or chosen from those that the provider lists."""
    usual = taken[start].model
    if given.model or not given.asks:
        return given.model
    with contextlib.suppress(PolyglotError):
        found = _with_connection(name, fields, lambda inference: [model.id for model in inference.models()])
        shown = ", ".join(found[:_SHOWN]) + (f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else "")
        write_line(f"Models: {shown}" if found else "The provider lists no models.")
    chosen = given.ask("Model", usual)
    return chosen if chosen and chosen != usual else None


# The test


def _passes(given: Given, name: str, fields: Mapping[str, Any]) -> bool:
    """Return whether one small request succeeds, or the user wants the connection all the same."""
    try:
        _with_connection(name, fields, _request)
    except ConfigError as error:  # nothing was sent: the key is not set yet, or there is no model
        write_line(f"It is not tested yet: {as_command(error.message.replace(', or give api_key', ''))}")
        return given.confirm("Write it?", default=True)
    except PolyglotError as error:
        write_line(f"The test failed: {as_command(str(error))}")
        if advice := hint(error):
            write_line(advice)
        return given.confirm("Write it all the same?", default=False)
    write_line("The test succeeded.")
    return True


def _request(inference: Inference) -> None:
    """Send a request for a few tokens; a response that is cut at their limit is one."""
    pending = inference.create("Reply with: OK", options={"max_tokens": _TOKENS}, unsupported="drop", stream=True)
    for _ in pending.stream():
        pass


def _with_connection(name: str, fields: Mapping[str, Any], use: Callable[[Inference], Any]) -> Any:  # noqa: ANN401 (what `use` returns)
    """Call a function with an inference for a connection that is not written yet."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "polyglot.toml"
        config_writer.add(file, name, fields, default=False)
        with Inference.using(name, config=file, timeouts={"total": _PATIENCE}, retries=0) as inference:
            return use(inference)
