"""The list of connections: yours, servers on this machine, hosted providers; one a line, each with its state."""

from __future__ import annotations

import re
import shutil
import socket
import sys
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol
from urllib.parse import urlsplit

from polyglot_cli.control_sequences import one_line
from polyglot_cli.isolated import survey
from polyglot_cli.output import Output, is_terminal, write_line
from polyglot_cli.styles import console
from polyglot_cli.unread_config import mention_unread_file
from polyglot_cli.views import as_json as json_text
from polyglot_core import Inference, PolyglotError
from polyglot_core.errors import (
    AuthenticationError,
    NotFound,
    PermissionDenied,
    RequestError,
    TimedOut,
    TransportError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


__all__ = ["CallableConnection", "callable_connections", "list_connections"]

_FAILED = 4
_LOCAL_PATIENCE = 0.3  # seconds to connect to a server on this machine
_CHECK_PATIENCE = 15.0  # seconds for a list of models
_AT_ONCE = 8
_PIPED = 200  # columns of a line that is not for a terminal
_LOOPBACK = re.compile(r"localhost|127\..*|::1|.*\.localhost")
_VARIABLE = re.compile(r"environment variable (\w+)")
_GROUPS = (("file", "Yours"), ("local", "On this machine"), ("hosted", "Hosted"))


class _Listed(Protocol):
    """An entry of the library's list."""

    def _asdict(self) -> dict[str, Any]: ...


class _Info(NamedTuple):
    """A name that the library accepts; the fields are those of `polyglot_core.connections`."""

    name: str
    source: str
    driver: str
    model: str | None
    base_url: str | None
    usable: bool
    reason: str
    fields: Mapping[str, object]
    """All of them, as the library has them."""


class _Row(NamedTuple):
    """A connection of the list.

    Attributes:
        info: What the library knows about it.
        group: ``file``, ``local`` or ``hosted``.
        state: Its state in a word or two.
        good: Whether a call can probably be made; None if that is not known.
    """

    info: _Info
    group: str
    state: str
    good: bool | None


def list_connections(config: str | None, text: str | None, *, show_all: bool, check: bool, as_json: bool) -> int:
    """Print the connections, and return the exit code.

    Args:
        config: Path of the configuration file; None is the default one.
        text: Only connections with this text in name, driver, model or URL.
        show_all: List providers whose key is not set too.
        check: Send each listed connection a request for its models.
        as_json: Print JSON.

    Raises:
        ConfigError: The configuration cannot be read.
    """
    mention_unread_file(config)
    infos = _found([_info(each) for each in survey("connections", config=config).connections_or_raise()], text)
    wanted = [info for info in infos if show_all or text or as_json or info.usable or _group(info) != "hosted"]
    rows = _checked(wanted, config) if check else [_row(info) for info in wanted]
    if as_json:
        fields = [{**row.info.fields, **({"check": row.state} if check else {})} for row in rows]
        Output().write(json_text(fields, indent=2) + "\n")
    else:
        _print(rows, checked=check)
        _print_rest(rows, len(infos), text)
    failed = check and any(row.good is False for row in rows if text or row.group == "file")
    return _FAILED if failed else 0


def _info(listed: _Listed) -> _Info:
    fields = listed._asdict()
    return _Info(**{name: fields[name] for name in _Info._fields if name != "fields"}, fields=fields)


def _found(infos: list[_Info], text: str | None) -> list[_Info]:
    """Return those with the text; the one whose name it is, if there is one."""
    if text is None:
        return infos
    return [info for info in infos if info.name == text] or [info for info in infos if _has(info, text)]


def _has(info: _Info, text: str) -> bool:
    fields = (info.name, info.driver, info.model, info.base_url)
    return any(text.lower() in field.lower() for field in fields if field)


def _group(info: _Info) -> str:
    if info.source == "file":
        return "file"
    return "local" if _LOOPBACK.fullmatch(_host(info)) else "hosted"


def _host(info: _Info) -> str:
    return urlsplit(info.base_url or "").hostname or ""


# The state


def _row(info: _Info) -> _Row:
    """Return the state without any request to another machine."""
    group = _group(info)
    if not info.usable:
        return _Row(info, group, _need(info.reason), good=False)
    if _LOOPBACK.fullmatch(_host(info)):
        running = _is_listening(info)
        return _Row(info, group, "running" if running else "not running", good=running)
    if info.source == "file":
        return _Row(info, group, "configured", good=None)
    keyed = bool(info.fields["key"])
    return _Row(info, group, "key set" if keyed else "not checked", good=True if keyed else None)


def _need(reason: str) -> str:
    if found := _VARIABLE.search(reason):
        return f"needs {found[1]}"
    return "needs a base URL" if "has no base URL" in reason else "cannot be used"


def _is_listening(info: _Info) -> bool:
    url = urlsplit(info.base_url or "")
    port = url.port or (443 if url.scheme == "https" else 80)
    try:
        socket.create_connection((url.hostname, port), _LOCAL_PATIENCE).close()
    except OSError:
        return False
    return True


def _checked(infos: Sequence[_Info], config: str | None) -> list[_Row]:
    """Return the states after a request to each connection that can be used."""
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 (needed for checks alone)

    def row(info: _Info) -> _Row:
        before = _row(info)
        if before.good is False:
            return before
        state, good = _check(info, config)
        return before._replace(state=state, good=good)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(row, infos))


_PROBLEMS: tuple[tuple[type[PolyglotError], str, bool | None], ...] = (
    (AuthenticationError, "key rejected", False),
    (PermissionDenied, "key lacks permission", False),
    (NotFound, "responds, lists no models", None),
    (RequestError, "cannot be checked", None),
    (TimedOut, "timed out", False),
    (TransportError, "not reachable", False),
)


def _check(info: _Info, config: str | None) -> tuple[str, bool | None]:
    try:
        with Inference.using(info.name, config=config, timeouts={"total": _CHECK_PATIENCE}, retries=0) as inference:
            count = len(inference.models())
    except PolyglotError as error:
        known = ((word, good) for kind, word, good in _PROBLEMS if isinstance(error, kind))
        return next(known, (type(error).__name__, False))
    return f"works, {count} {'model' if count == 1 else 'models'}", True


class CallableConnection(NamedTuple):
    """A connection with which a call can probably be made.

    Attributes:
        name: Its name.
        group: ``file``, ``local`` or ``hosted``.
        driver: Name of its driver.
        model: Model of calls that name none.
        state: Its state in a word or two.
    """

    name: str
    group: str
    driver: str
    model: str | None
    state: str


def callable_connections(config: str | None) -> list[CallableConnection]:
    """Return the usable connections of the file, running servers of this machine, and providers whose key is found.

    No request is sent to another machine, and no command is run for a key.

    Args:
        config: Path of the configuration file; None is the default one.

    Raises:
        ConfigError: The configuration cannot be read.
    """
    infos = map(_info, survey("connections", config=config).connections_or_raise())
    rows = [_row(info) for info in infos if info.usable]
    found = [row for group, _ in _GROUPS for row in rows if row.group == group and (group == "file" or row.good)]
    return [CallableConnection(row.info.name, row.group, row.info.driver, row.info.model, row.state) for row in found]


# For people


def _print(rows: Sequence[_Row], *, checked: bool) -> None:
    """Print the rows in groups. If there is only one, its reason follows."""
    if not rows:
        return
    columns = shutil.get_terminal_size().columns if is_terminal(sys.stdout) else _PIPED
    names, states = _width(row.info.name for row in rows), _width(row.state for row in rows)
    models = min(_width(row.info.model or "-" for row in rows), 28)
    lines: list[tuple[str, bool | None]] = []
    for group, heading in _GROUPS:
        members = [row for row in rows if row.group == group]
        lines += [(heading, None)] if members else []
        for row in members:
            host = urlsplit(row.info.base_url or "").netloc
            cells = (one_line(row.info.name), row.state, one_line(row.info.model or "-"), one_line(host))
            padded = zip(cells, (names, states, models, 0), strict=True)
            line = "  " + "  ".join(cell.ljust(width) for cell, width in padded).rstrip()
            lines.append((line if len(line) <= columns else line[: columns - 1] + "…", row.good))
    if len(rows) == 1 and rows[0].info.reason and not checked:
        lines.append((f"  {one_line(rows[0].info.reason)}", None))
    _write(lines, names + 4, states)


def _width(words: Iterable[str]) -> int:
    return max(len(one_line(word)) for word in words)


def _write(lines: Sequence[tuple[str, bool | None]], start: int, width: int) -> None:
    output = Output()
    if not output.is_terminal:
        output.write("".join(f"{line}\n" for line, _ in lines))
        return
    from rich.text import Text  # noqa: PLC0415 (a pipe does not need it)

    terminal = console()
    for line, good in lines:
        text = Text(line)
        if not line.startswith(" "):
            text.stylize("bold")
        elif good is not None:
            text.stylize("green" if good else "yellow", start, start + width)
        terminal.print(text, soft_wrap=True, highlight=False)


def _print_rest(rows: Sequence[_Row], known: int, text: str | None) -> None:
    if not rows and text:
        write_line(f"No connection has the text {text!r}.{_installable(text)}")
    elif not rows:
        write_line("There is nothing to list; `polyglot connections add` adds a connection.")
    elif len(rows) < known:
        write_line(f"Hosted providers whose key is not set: {known - len(rows)} more, with --all or a text to search.")
        if not any(row.group == "file" for row in rows):
            write_line("None is yours yet; `polyglot connections add` adds a connection.")


def _installable(text: str) -> str:
    from polyglot_cli.known_packages import known, missing_package  # noqa: PLC0415 (rarely needed)

    packages = sorted({package for name in known() if text in name and (package := missing_package(name))})
    return f" Install {' or '.join(packages)}." if packages else ""
