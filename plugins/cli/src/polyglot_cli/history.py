"""The history of calls, in an SQLite file that only its owner can read. It is kept once the user has chosen that.

A call is stored with the turns that it added to its conversation, so that the conversation can be continued with any
connection. Keys are no part of that: neither headers nor connections are stored, only names.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from polyglot_cli.folders import own_folder, required_folder
from polyglot_cli.output import is_terminal, write_line
from polyglot_core import Message, Outcome

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

    from polyglot_cli.call_options import CallOptions
    from polyglot_core import Connection, InferenceResponse

__all__ = ["Kept", "continued", "delete", "found", "is_kept", "keep", "path", "set_kept", "shown"]

_FILE = "history.db"
_PRIVATE = 0o600
_OTHERS = 0o077
_PATIENCE = 10.0  # seconds that another process may write for

_TABLES = """
create table if not exists settings (name text primary key, value text not null);
create table if not exists calls (
    id integer primary key,
    conversation integer not null,
    created text not null,
    connection text not null,
    driver text not null,
    model text,
    system text,
    prompt text not null,
    response text not null,
    reasoning text not null,
    outcome text not null,
    finish_reason text,
    input_tokens integer,
    output_tokens integer,
    first_event real,
    duration real,
    options text not null,
    turns text not null
);
create index if not exists by_conversation on calls (conversation, id);
"""


class Kept(NamedTuple):
    """A call of the history.

    Attributes:
        id: Its number.
        conversation: Number of the first call of its conversation.
        created: When it ended, in UTC.
        connection: Name of the connection.
        driver: Name of the driver.
        model: The model, by the provider's name.
        system: The system message, or None.
        prompt: Text of the prompt.
        response: Text of the response.
        reasoning: Text of the reasoning.
        outcome: How it ended.
        finish_reason: Why the model stopped.
        input_tokens: Tokens of the prompt.
        output_tokens: Tokens of the response.
        first_event: Seconds to the first content.
        duration: Seconds to the end.
        options: Options of the call.
    """

    id: int
    conversation: int
    created: str
    connection: str
    driver: str
    model: str | None
    system: str | None
    prompt: str
    response: str
    reasoning: str
    outcome: str
    finish_reason: str | None
    input_tokens: int | None
    output_tokens: int | None
    first_event: float | None
    duration: float | None
    options: dict[str, Any]


def path() -> Path:
    """Return the path of the file, which need not exist.

    Raises:
        click.ClickException: There is no home folder.
    """
    return required_folder() / _FILE


def is_kept() -> bool | None:
    """Return whether calls are kept; None if the user has not chosen."""
    if not _exists():
        return None
    with _opened() as database:
        chosen = _setting(database, "kept")
    return None if chosen is None else chosen == "yes"


def set_kept(kept: bool) -> None:  # noqa: FBT001 (the only argument)
    """Choose whether calls are kept from now on."""
    with _opened() as database:
        _set(database, "kept", "yes" if kept else "no")


def keep(options: CallOptions, turns: Sequence[Message], response: InferenceResponse, connection: Connection) -> None:
    """Store a call, if calls are kept. If the user has not chosen, mention once on a terminal that they can be.

    Args:
        options: The options of the call.
        turns: The turns that it added to the conversation.
        response: The response, or what was received of it.
        connection: The connection of the call.

    Raises:
        click.ClickException: The file cannot be written.
    """
    if options.logged is None:
        chosen = is_kept()
        if chosen is None and response.outcome is Outcome.FINISHED:
            with contextlib.suppress(click.ClickException):  # a folder that cannot be written matters to no one here
                _mention_once()
        if not chosen:
            return
    with _opened() as database:
        _insert(database, _row(options, turns, response, connection))


def continued(options: CallOptions) -> tuple[CallOptions, list[Message]]:
    """Return the options with the connection and model of the conversation to continue, and its turns so far.

    Raises:
        click.ClickException: There is no such conversation.
    """
    with _read(options.conversation) as database:
        conversation = _conversation(database, options.conversation)
        rows = database.execute(
            "select connection, model, turns from calls where conversation = ? order by id", (conversation,)
        ).fetchall()
    connection, model, _ = rows[-1]
    if options.connection is None:
        options = replace(options, connection=connection, model=options.model or model)
    turns = [Message.from_dict(turn) for *_, text in rows for turn in json.loads(text)]
    return replace(options, conversation=str(conversation)), turns


def found(text: str | None, limit: int) -> list[Kept]:
    """Return the last calls, the newest first; only those with a text in prompt or response, if one is given."""
    if not _exists():
        return []
    words = "%" + text.translate({ord(sign): f"\\{sign}" for sign in "\\%_"}) + "%" if text else "%"
    fields = ", ".join(Kept._fields)
    query = (
        f"select {fields} from calls where prompt like ?1 escape '\\' or response like ?1 escape '\\'"  # noqa: S608 (names)
        " order by id desc limit ?2"
    )
    with _opened() as database:
        return [_kept(row) for row in database.execute(query, (words, limit))]


def shown(number: str | None) -> list[Kept]:
    """Return the calls of the conversation of a call, in order; of the last call, if none is given.

    Raises:
        click.ClickException: There is no call of this number.
    """
    with _read(number) as database:
        conversation = _conversation(database, number)
        fields = ", ".join(Kept._fields)
        rows = database.execute(f"select {fields} from calls where conversation = ? order by id", (conversation,))  # noqa: S608
        return [_kept(row) for row in rows]


def delete(number: str | None) -> int:
    """Delete the conversation of a call, or all; return how many calls were deleted.

    Raises:
        click.ClickException: There is no call of this number.
    """
    if not _exists():
        return 0
    with _opened() as database:
        database.execute("pragma secure_delete = on")
        if number is None:
            return database.execute("delete from calls").rowcount
        conversation = _conversation(database, number)
        return database.execute("delete from calls where conversation = ?", (conversation,)).rowcount


# The file


def _exists() -> bool:
    folder = own_folder()
    return folder is not None and (folder / _FILE).is_file()


@contextlib.contextmanager
def _opened() -> Generator[sqlite3.Connection]:
    """Open the file, create it if needed, and commit at the end.

    Raises:
        click.ClickException: It cannot be read or written.
    """
    file = path()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        if not file.exists():
            os.close(os.open(file, os.O_CREAT | os.O_WRONLY, _PRIVATE))
        elif os.name == "posix" and file.stat().st_mode & _OTHERS:
            file.chmod(_PRIVATE)
        with contextlib.closing(sqlite3.connect(file, timeout=_PATIENCE)) as database, database:
            database.executescript(_TABLES)
            yield database
    except (OSError, sqlite3.Error) as error:
        raise click.ClickException(f"The history {file} cannot be used: {error}.") from error


def _read(number: str | None) -> contextlib.AbstractContextManager[sqlite3.Connection]:
    """Open the file, to find a conversation. None is created to find nothing.

    Raises:
        click.ClickException: There is no file or no home folder, or the file cannot be read.
    """
    if not path().is_file():
        raise _no_conversation(number)
    return _opened()


def _setting(database: sqlite3.Connection, name: str) -> str | None:
    row = database.execute("select value from settings where name = ?", (name,)).fetchone()
    return None if row is None else str(row[0])


def _set(database: sqlite3.Connection, name: str, value: str) -> None:
    database.execute("insert or replace into settings values (?, ?)", (name, value))


def _mention_once() -> None:
    if not (is_terminal(sys.stdout) and is_terminal(sys.stderr)) or own_folder() is None:
        return
    with _opened() as database:
        if _setting(database, "mentioned") is not None:
            return
        _set(database, "mentioned", "yes")
    write_line("`polyglot logs on` keeps conversations, on this machine alone, to continue them.")


def _conversation(database: sqlite3.Connection, number: str | None) -> int:
    """Return the conversation of a call, or of the last one."""
    if number is None:
        row = database.execute("select conversation from calls order by id desc limit 1").fetchone()
    else:
        row = database.execute("select conversation from calls where id = ?", (number,)).fetchone()
    if row is None:
        raise _no_conversation(number)
    return int(row[0])


def _no_conversation(number: str | None) -> click.ClickException:
    if number is None:
        return click.ClickException("There is no conversation yet; `polyglot logs on` keeps them from now on.")
    return click.ClickException(f"There is no call {number!r} in the history; `polyglot logs` lists them.")


# A call


def _row(
    options: CallOptions, turns: Sequence[Message], response: InferenceResponse, connection: Connection
) -> dict[str, Any]:
    usage, timing = response.usage, response.timing
    return {
        "conversation": options.conversation,
        "created": datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="seconds"),
        "connection": connection.name,
        "driver": connection.driver,
        "model": options.model or connection.model or response.model,
        "system": next((turn.text for turn in turns if turn.role == "system"), None),
        "prompt": options.prompt,
        "response": response.content,
        "reasoning": response.reasoning_content,
        "outcome": response.outcome.value,
        "finish_reason": response.finish_reason,
        "input_tokens": usage and usage.input_tokens,
        "output_tokens": usage and usage.output_tokens,
        "first_event": timing.first_event,
        "duration": timing.duration,
        "options": json.dumps(dict(options.options), ensure_ascii=False),
        "turns": json.dumps([turn.to_dict() for turn in turns if turn.parts], ensure_ascii=False),
    }


def _insert(database: sqlite3.Connection, row: dict[str, Any]) -> None:
    """Insert a call; without a conversation it is the first of one."""
    next_id = "(select coalesce(max(id), 0) + 1 from calls)"
    row = {**row, "conversation": None if row["conversation"] is None else int(row["conversation"])}
    names = ", ".join(row)
    values = ", ".join(f"coalesce(:{name}, {next_id})" if name == "conversation" else f":{name}" for name in row)
    database.execute(f"insert into calls (id, {names}) values ({next_id}, {values})", row)  # noqa: S608 (names)


def _kept(row: Sequence[Any]) -> Kept:
    *fields, options = row
    return Kept._make([*fields, json.loads(options)])
