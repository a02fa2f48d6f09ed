"""``polyglot.toml``: where it is, and what it says, strictly.

The file is the one given, else the one that ``POLYGLOT_CONFIG`` names, else ``polyglot.toml`` in the user's
configuration folder. The working directory is never searched: a key must not go where a stranger's file points.
"""

from __future__ import annotations

import difflib
import os
import re
import shlex
import stat
import sys
import tomllib
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from msgspec.structs import force_setattr

from polyglot_core._values.connection import guard
from polyglot_core._values.limits import Limits, Retries, Timeouts
from polyglot_core._values.secret import Secret
from polyglot_core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "CONFIG_VARIABLE",
    "FILE_NAME",
    "Entry",
    "Settings",
    "config_error",
    "nearest",
    "read_settings",
    "user_config_file",
]

CONFIG_VARIABLE = "POLYGLOT_CONFIG"
FILE_NAME = "polyglot.toml"

_KEY_SOURCES = ("api_key", "api_key_env", "api_key_command")


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One ``[connections.NAME]`` table of the file.

    The types are those of the file; what is a key in it, or may show one, is a `Secret` once it has been read.

    Attributes:
        driver: Driver that speaks the dialect; give this or `preset`.
        preset: Preset that the entry starts from; what else it says is laid over it.
        model: Model that is asked unless a call names one.
        base_url: URL that paths are added to.
        api_key_env: Environment variable that holds the key.
        api_key_command: Command that prints the key, as a list of words or one line; no shell is asked.
        api_key: The key itself; better kept out of the file.
        options: Options for every call.
        headers: Headers for every request.
        timeouts: The clocks, in seconds.
        retries: How often, and after which waits in seconds, a request is sent again.
        limits: How large an answer may be.
        fallbacks: Names of connections that are asked, in order, when this one has failed.
        facts: Columns that the driver reads, laid over the preset's.
        proxy: URL of a proxy, instead of the one that the environment names.
        ca: File of certificates to trust, in PEM.
        allow_http: Whether `base_url` may be http beyond this machine.
    """

    driver: str | None = None
    preset: str | None = None
    model: str | None = None
    base_url: str | None = None
    api_key_env: str | None = None
    api_key_command: str | list[str] | None = None
    api_key: str | None = None
    options: dict[str, Any] = {}
    headers: dict[str, str] = {}
    timeouts: dict[str, float] = {}
    retries: dict[str, int | float] = {}
    limits: dict[str, int] = {}
    fallbacks: list[str] = []
    facts: dict[str, Any] = {}
    proxy: str | None = None
    ca: str | None = None
    allow_http: bool = False

    def __post_init__(self) -> None:
        fields = {field: getattr(self, field) for field in ("proxy", "headers")}
        guard(fields)
        if self.api_key is not None:
            fields["api_key"] = Secret(self.api_key, "the configuration file")
        if (command := self.api_key_command) is not None:
            fields["api_key_command"] = Secret(command if isinstance(command, str) else shlex.join(command))
        for field, value in fields.items():
            force_setattr(self, field, value)


_VARIABLE = re.compile("[A-Za-z_][A-Za-z0-9_]*")
_NO_VARIABLE = "api_key_env is not the name of an environment variable. The key itself would be api_key."

_ROWS = {"timeouts": Timeouts, "retries": Retries, "limits": Limits}


class Settings(NamedTuple):
    """What a configuration file says.

    Attributes:
        path: The file; None if there is none.
        default: Name of the connection to use when none is named.
        entries: The connections, by name.
    """

    path: Path | None = None
    default: str | None = None
    entries: Mapping[str, Entry] = {}


def user_config_file() -> Path:
    """Where the user's own configuration file is, or would be."""
    if sys.platform == "win32":
        folder = Path(os.environ.get("APPDATA") or Path.home() / "AppData" / "Roaming")
    elif sys.platform == "darwin":
        folder = Path.home() / "Library" / "Application Support"
    else:
        folder = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return folder / "polyglot" / FILE_NAME


def read_settings(path: str | os.PathLike[str] | None = None) -> Settings:
    """Read the configuration file; no file at all is empty settings.

    Args:
        path: The file, instead of the one that would be found.

    Raises:
        ConfigError: The file cannot be read or says something that is not understood; names place and nearest word.
    """
    named = path or os.environ.get(CONFIG_VARIABLE)
    if not isinstance(named, (str, os.PathLike, type(None))):
        raise config_error(f"The configuration file is named by a path, not by {type(named).__name__}.")
    file = Path(named) if named else user_config_file()
    if not named and not file.is_file():
        return Settings()
    read = _settings_of(file)
    if isinstance(read, str):
        raise config_error(read)
    _warn_of_readers(file, read.entries)
    return read


def _settings_of(file: Path) -> Settings | str:
    """What a file says, or the sentence on what is wrong with it: frames that an error leaves show the file's keys."""
    try:
        return _parse(_text_of(file), file)
    except ConfigError as error:
        return error.message


def _text_of(file: Path) -> str:
    try:
        return file.read_text("utf-8-sig")  # some editors of Windows begin a file with a mark
    except (OSError, ValueError) as error:  # the latter for what is no text, or a path that none can have
        raise config_error(f"The configuration file {file} cannot be read: {error}.") from error


def _parse(text: str, file: Path) -> Settings:
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # the latter, and a bare ValueError, for what is out of all measure
        raise config_error(f"{file} is not TOML: {error}.") from error
    _check_keys(table, ("default", "connections"), text, file, ())
    entries = table.get("connections", {})
    default = table.get("default")
    if not isinstance(entries, dict) or not isinstance(default, (str, type(None))):
        raise config_error(f"{file}: default is a text, and connections are tables such as [connections.NAME].")
    read = {name: _entry(name, entry, text, file) for name, entry in entries.items()}
    return Settings(file, default, read)


def _entry(name: str, table: object, text: str, file: Path) -> Entry:
    where = ("connections", name)
    if not isinstance(table, dict):
        raise config_error(f"{_place(text, file, (), name)}: connection {name!r} is a table, [connections.{name}].")
    _check_keys(table, Entry.__struct_fields__, text, file, where)
    for field, row in _ROWS.items():
        if isinstance(inner := table.get(field, {}), dict):
            _check_keys(inner, row.__struct_fields__, text, file, (*where, field))
    try:
        entry = msgspec.convert(table, Entry)
    except msgspec.ValidationError as error:
        key = str(error).rpartition("$.")[2].rstrip("`")
        raise config_error(
            f"{_place(text, file, where, key.partition('.')[0].partition('[')[0])}: {key}: {error}."
        ) from None
    _check_entry(entry, name, text, file)
    return entry


def _check_entry(entry: Entry, name: str, text: str, file: Path) -> None:
    """See that what an entry says goes together."""
    where = ("connections", name)
    if (entry.driver is None) == (entry.preset is None):
        raise config_error(f"{_place(text, file, where)}: connection {name!r} needs either driver or preset.")
    if entry.api_key_env is not None and not _VARIABLE.fullmatch(entry.api_key_env):  # not quoted: it may be the key
        raise config_error(f"{_place(text, file, where, 'api_key_env')}: {_NO_VARIABLE}")
    sources = [field for field in _KEY_SOURCES if getattr(entry, field) is not None]
    if len(sources) > 1:
        raise config_error(f"{_place(text, file, where)}: connection {name!r} has both {' and '.join(sources)}.")


def _warn_of_readers(file: Path, entries: Mapping[str, Entry]) -> None:
    """Say so when a file with a key in it is open to others than its owner."""
    others = stat.S_IRWXG | stat.S_IRWXO
    if os.name == "posix" and any(entry.api_key for entry in entries.values()) and file.stat().st_mode & others:
        warnings.warn(
            f"{file} holds a key and can be read by others; run chmod 600 on it, or use api_key_env instead.",
            stacklevel=2,
        )


def _check_keys(
    table: Mapping[str, Any], known: tuple[str, ...], text: str, file: Path, where: tuple[str, ...]
) -> None:
    for key in table:
        if key not in known:
            place = _place(text, file, where, key)
            raise config_error(f"{place}: unknown key {key!r}{nearest(key, known)}. Known are {', '.join(known)}.")


def _place(text: str, file: Path, table: tuple[str, ...], key: str | None = None) -> str:
    """File and line of a table or a key; the line is left out where it cannot be told."""
    header = re.escape("[" + ".".join(table)) + r"\b" if table else None
    inside = header is None
    for number, line in enumerate(text.splitlines(), 1):
        if header is not None and re.match(r"\s*" + header, line):
            inside = True
            if key is None:
                return f"{file}, line {number}"
        if inside and key is not None and re.match(rf"""\s*\[?[\w.]*["']?{re.escape(key)}["']?\s*[=\].]""", line):
            return f"{file}, line {number}"
    return str(file)


_LIKE = 0.65  # how much two words have in common, from 0 to 1, before one is taken for a misspelling of the other


def nearest(word: str, known: Iterable[str]) -> str:
    """The end of a sentence about an unknown word: the known one that looks most like it, if one does."""
    matches = difflib.get_close_matches(word, list(known), n=1, cutoff=_LIKE)
    return f" (did you mean {matches[0]!r}?)" if matches else ""


def config_error(message: str) -> ConfigError:
    """An error in the configuration."""
    return ConfigError(message, phase="configure")
