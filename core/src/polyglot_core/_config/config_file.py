"""The configuration file, ``polyglot.toml``: finding it, and parsing it strictly.

The file is the one given, else the one that ``POLYGLOT_CONFIG`` names, else ``polyglot.toml`` in the user's
configuration folder. The working directory is never searched: a file in it, written by others, could send a key to
their host.
"""

from __future__ import annotations

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
from polyglot_core._values.limits import NUMBERS, as_retries
from polyglot_core._values.secret import Secret
from polyglot_core._values.suggest import config_error, suggestion
from polyglot_core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CONFIG_VARIABLE", "FILE_NAME", "Entry", "Settings", "read_settings", "user_config_file"]

CONFIG_VARIABLE = "POLYGLOT_CONFIG"
FILE_NAME = "polyglot.toml"

_KEY_SOURCES = ("api_key", "api_key_env", "api_key_command")


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A ``[connections.NAME]`` table of the file.

    The annotated types are those of the file. After parsing, a key, or text that may contain one, is a `Secret`.

    Attributes:
        driver: Driver for the provider's dialect, as ``NAME`` or ``DISTRIBUTION:NAME``. Set this or `preset`.
        preset: Preset that the entry is based on, named in the same way; the other fields override it.
        model: Model of calls that name none.
        base_url: URL that paths are added to.
        api_key_env: Environment variable that holds the key.
        api_key_command: Command that prints the key, as a list of words or one line. It is run without a shell.
        api_key: The key itself; better kept out of the file.
        options: Options for every call.
        headers: Headers for every request.
        timeouts: The clocks, in seconds; a number is the limit of each single wait.
        retries: Maximum number of retries, or a table with it and the backoff in seconds.
        limits: Maximum sizes of a response.
        rate: What the account allows: requests and tokens per minute, and concurrent requests; {} to learn it.
        fallbacks: Names of the connections to use, in order, if this one fails.
        facts: Facts for the driver, merged into the preset's.
        proxy: URL of a proxy, instead of the one from the environment.
        ca: File of trusted certificates, in PEM.
        transport: Name of the transport that sends the requests.
        allow_http: Whether `base_url` may use plain HTTP to another host.
        data_mode: How data is asked for: native, tool, json or markdown.
        observers: Names of installed observers, or ``module:function``, to call with the events of its calls.
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
    timeouts: dict[str, float] | float = {}
    retries: dict[str, int | float] | int = {}
    limits: dict[str, int] = {}
    rate: dict[str, int] | None = None
    fallbacks: list[str] = []
    facts: dict[str, Any] = {}
    proxy: str | None = None
    ca: str | None = None
    transport: str | None = None
    allow_http: bool = False
    data_mode: str | None = None
    observers: list[str] = []

    def __post_init__(self) -> None:
        fields = {field: getattr(self, field) for field in ("proxy", "headers")}
        guard(fields)
        if self.api_key is not None:
            fields["api_key"] = Secret(self.api_key, "the configuration file")
        if (command := self.api_key_command) is not None:
            fields["api_key_command"] = Secret(command if isinstance(command, str) else shlex.join(command))
        fields["retries"] = as_retries(self.retries)
        for field, value in fields.items():
            force_setattr(self, field, value)


_VARIABLE = re.compile("[A-Za-z_][A-Za-z0-9_]*")
_NO_VARIABLE = "api_key_env is not the name of an environment variable. The key itself would be api_key."


class Settings(NamedTuple):
    """The content of a configuration file.

    Attributes:
        path: The file; None if there is none.
        default: Name of the connection to use if none is named.
        entries: The connections, by name.
        packages: The distribution that serves a name of drivers and presets, by that name.
    """

    path: Path | None = None
    default: str | None = None
    entries: Mapping[str, Entry] = {}
    packages: Mapping[str, str] = {}

    def qualified(self, name: str) -> str:
        """Return the name of a driver or preset with the distribution that the file chooses for it, if it does."""
        return f"{self.packages[name]}:{name}" if name in self.packages else name


_FOLDERS = {"win32": ("APPDATA", "AppData/Roaming"), "darwin": ("", "Library/Application Support")}
"""Of a platform: the variable that names the folder of configuration files, and the folder below the home."""


def user_config_file() -> Path | None:
    """Return the path of the user's own configuration file, which need not exist; None if there is no home folder."""
    variable, below = _FOLDERS.get(sys.platform, ("XDG_CONFIG_HOME", ".config"))
    try:
        folder = Path(os.environ.get(variable) or Path.home() / below)
    except RuntimeError:  # no variable and no account names a home, as in some containers
        return None
    return folder / "polyglot" / FILE_NAME


def _exists(file: Path | None) -> bool:
    """Return whether there is a configuration file; a folder that cannot be read has none."""
    try:
        return file is not None and file.is_file()
    except OSError:
        return False


def read_settings(path: str | os.PathLike[str] | None = None) -> Settings:
    """Read the configuration file; return empty settings if there is none.

    Args:
        path: The file, instead of the default one.

    Raises:
        ConfigError: The file cannot be read or parsed, or has an unknown key; names file, line and nearest known key.
    """
    named = path or os.environ.get(CONFIG_VARIABLE)
    if not isinstance(named, (str, os.PathLike, type(None))):
        raise config_error(f"The configuration file is given as a path, not as {type(named).__name__}.")
    file = Path(named) if named else user_config_file()
    if file is None or not (named or _exists(file)):
        return Settings()
    read = _settings_of(file)
    if isinstance(read, str):
        raise config_error(read)
    _warn_if_readable(file, read.entries)
    return read


def _settings_of(file: Path) -> Settings | str:
    """Return the content of a file, or the error message. Do not raise: the frames of an error show the file's keys."""
    try:
        return _parse(_text_of(file), file)
    except ConfigError as error:
        return error.message


def _text_of(file: Path) -> str:
    try:
        return file.read_text("utf-8-sig")  # some editors on Windows write a byte order mark
    except (OSError, ValueError) as error:  # ValueError: not UTF-8, or a path with a null byte
        raise config_error(f"The configuration file {file} cannot be read: {error}.") from error


def _parse(text: str, file: Path) -> Settings:
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # RecursionError: nesting; plain ValueError: digits
        raise config_error(f"{file} is not TOML: {error}.") from error
    _check_keys(table, ("default", "connections", "packages"), text, file, ())
    entries = table.get("connections", {})
    default, packages = table.get("default"), table.get("packages", {})
    if not isinstance(entries, dict) or not isinstance(default, (str, type(None))):
        raise config_error(f"{file}: default is a text, and connections are tables such as [connections.NAME].")
    if not isinstance(packages, dict) or not all(isinstance(each, str) for each in packages.values()):
        raise config_error(f'{file}: [packages] names a distribution for each name, as in openai = "polyglot-openai".')
    read = {name: _entry(name, entry, text, file) for name, entry in entries.items()}
    return Settings(file, default, read, packages)


def _entry(name: str, table: object, text: str, file: Path) -> Entry:
    where = ("connections", name)
    if not isinstance(table, dict):
        raise config_error(f"{_location(text, file, (), name)}: connection {name!r} is a table, [connections.{name}].")
    _check_keys(table, Entry.__struct_fields__, text, file, where)
    for field, row in NUMBERS.items():
        if isinstance(inner := table.get(field, {}), dict):
            _check_keys(inner, row.__struct_fields__, text, file, (*where, field))
    try:
        entry = msgspec.convert(table, Entry)
    except msgspec.ValidationError as error:
        key = str(error).rpartition("$.")[2].rstrip("`")
        raise config_error(
            f"{_location(text, file, where, key.partition('.')[0].partition('[')[0])}: {key}: {error}."
        ) from None
    _check_entry(entry, name, text, file)
    return entry


def _check_entry(entry: Entry, name: str, text: str, file: Path) -> None:
    """Raise if fields of an entry contradict each other."""
    where = ("connections", name)
    if (entry.driver is None) == (entry.preset is None):
        problem = "needs either driver or preset" if entry.driver is None else "has both driver and preset; set one"
        raise config_error(f"{_location(text, file, where)}: connection {name!r} {problem}.")
    if entry.api_key_env is not None and not _VARIABLE.fullmatch(entry.api_key_env):  # not quoted: it may be the key
        raise config_error(f"{_location(text, file, where, 'api_key_env')}: {_NO_VARIABLE}")
    sources = [field for field in _KEY_SOURCES if getattr(entry, field) is not None]
    if len(sources) > 1:
        raise config_error(f"{_location(text, file, where)}: connection {name!r} has both {' and '.join(sources)}.")


def _warn_if_readable(file: Path, entries: Mapping[str, Entry]) -> None:
    """Warn if a file with a key in it is readable by others than its owner."""
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
            location = _location(text, file, where, key)
            raise config_error(
                f"{location}: unknown key {key!r}{suggestion(key, known)}. Known are {', '.join(known)}."
            )


def _location(text: str, file: Path, table: tuple[str, ...], key: str | None = None) -> str:
    """Return file and line of a table or a key; only the file if the line is not found."""
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
