"""Prompts and results as lines of JSON, in files that a process which is killed leaves in a usable state."""

# Theory of operation
# -------------------
#
# The output is the only state. A line is written with one system call and then synchronized with the disk. So a process
# that is killed leaves whole lines and at most one part of a line, at the end. That part is removed when the file is
# opened again, because its call has no result, and the call is made once more. Calls whose responses were received but
# not yet written count as in progress.
#
# Each line has the id of its prompt. A prompt whose id has a line is done. The file is locked while it is written, so
# that two processes do not make the same calls.

from __future__ import annotations

import contextlib
import os
import stat
from typing import TYPE_CHECKING, Any, BinaryIO

import msgspec

from polyglot_core import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from typing import Self

    from polyglot_batch.results import Result

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ["Line", "Output", "encode_line", "read_lines", "result_line"]

_PROMPTS = ("prompt", "messages")
_ARGUMENTS = frozenset(
    {
        *("model", "options", "tools", "tool_choice", "parallel_tool_calls", "response_format", "data_mode", "extra"),
        *("unsupported", "stream"),
    }
)


class Line(msgspec.Struct, frozen=True):
    """A line of the input.

    Attributes:
        id: Its id: the member ``id``, else the number of the line, from 1.
        prompt: The prompt, as `create` takes it.
        arguments: Further arguments of `create`.
    """

    id: str | int
    prompt: Any
    arguments: dict[str, Any]


def read_lines(path: Path) -> Iterator[Line]:
    """Yield the lines of an input; blank ones are left out.

    Raises:
        ConfigError: The file cannot be read, a line is no JSON or has no prompt, or an id occurs twice.
    """
    seen: set[str | int] = set()
    try:
        with path.open("rb") as file:
            for number, text in enumerate(file, 1):
                if not text.strip():
                    continue
                line = _line(text, number, path)
                if line.id in seen:
                    raise _wrong(path, number, f"the id {line.id!r} occurs twice")
                seen.add(line.id)
                yield line
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.", phase="configure") from error


def _line(text: bytes, number: int, path: Path) -> Line:
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _wrong(path, number, f"it is no JSON ({error})") from None
    if isinstance(value, str):
        return Line(number, value, {})
    if not isinstance(value, dict):
        raise _wrong(path, number, 'a line is a text, or an object such as {"id": 1, "prompt": "Hello"}')
    fields = dict(value)
    name = fields.pop("id", number)
    if not isinstance(name, (str, int)) or isinstance(name, bool):
        raise _wrong(path, number, "the id is a text or a whole number")
    given = [fields.pop(key) for key in _PROMPTS if key in fields]
    if len(given) != 1:
        raise _wrong(
            path, number, f"it has {'both' if given else 'neither'} prompt {'and' if given else 'nor'} messages"
        )
    if unknown := fields.keys() - _ARGUMENTS:
        known = ", ".join(sorted({"id", *_PROMPTS, *_ARGUMENTS}))
        raise _wrong(path, number, f"{min(unknown)!r} is not known; known are {known}")
    return Line(name, given[0], fields)


def _wrong(path: Path, number: int, problem: str) -> ConfigError:
    return ConfigError(f"{path}, line {number}: {problem}.", phase="configure")


# The output


def result_line(name: str | int, result: Result, cost: object) -> dict[str, Any]:
    """Return the line of a result: its id, and its response with the text and the cost, or its error."""
    line: dict[str, Any] = {"id": name}
    if result.response is not None:
        line |= {"content": result.response.content, "response": result.response.to_dict()}
    elif (error := result.error) is not None:
        fields = ("message", "status", "code", "request_id", "retryable", "attempts")
        line["error"] = {"type": type(error).__name__, **{field: getattr(error, field) for field in fields}}
        if error.partial is not None:
            line["partial"] = error.partial.to_dict()
    if cost is not None:
        line["cost"] = cost
    return line


def encode_line(line: Mapping[str, Any]) -> bytes:
    """Return a line as bytes, with its end."""
    return msgspec.json.encode(line) + b"\n"


class Output:
    """The file of results.

    Attributes:
        done: The ids that have a line.
        errors: How many of these lines are errors.
    """

    def __init__(self, path: Path, *, retry_errors: bool = False) -> None:
        self.done: set[str | int] = set()
        self.errors = 0
        self._path = path
        self._file = self._opened()
        try:
            self._repair()
            self._read()
            if retry_errors and self.errors:
                self._leave_out_errors()
        except BaseException:
            self._file.close()
            raise

    def write(self, line: bytes) -> None:
        """Write a line, and wait until the disk has it.

        Raises:
            ConfigError: It cannot be written.
        """
        try:
            self._file.write(line)
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise self._failed(error) from error

    def close(self) -> None:
        """Close the file. Raise nothing: `write` has raised what could not be written."""
        with contextlib.suppress(OSError):
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _opened(self) -> BinaryIO:
        try:
            file = self._path.open("ab+")
        except OSError as error:
            raise self._failed(error) from error
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            file.close()
            what = "is no regular file; name one, because a batch is resumed from its output"
            raise ConfigError(f"{self._path} {what}.", phase="configure")
        _lock(file, self._path)
        return file

    def _failed(self, error: OSError) -> ConfigError:
        return ConfigError(f"{self._path} cannot be written: {error.strerror or error}.", phase="configure")

    def _repair(self) -> None:
        """Remove what follows the last end of a line: a process was killed while it wrote."""
        end = position = self._file.seek(0, os.SEEK_END)
        while position > 0:
            start = max(0, position - 65536)
            self._file.seek(start)
            found = self._file.read(position - start).rfind(b"\n")
            if found >= 0:
                position = start + found + 1
                break
            position = start
        if position < end:
            self._file.truncate(position)

    def _read(self) -> None:
        for number, line in self._lines():
            name = line.get("id")
            if not isinstance(name, (str, int)) or not ("response" in line or "error" in line):
                raise _wrong(self._path, number, "it is no line of results")
            if name in self.done:
                raise _wrong(self._path, number, f"the id {name!r} occurs twice")
            self.done.add(name)
            self.errors += "error" in line

    def _lines(self) -> Iterator[tuple[int, dict[str, Any]]]:
        self._file.seek(0)
        for number, text in enumerate(self._file, 1):
            try:
                value = msgspec.json.decode(text)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                value = None
            if not isinstance(value, dict):
                raise _wrong(self._path, number, "it is no line of results")
            yield number, value

    def _leave_out_errors(self) -> None:
        """Replace the file by one without the lines of errors, at once, so that their calls are made again."""
        new = self._path.with_name(self._path.name + ".new")
        file = new.open("wb+")
        _lock(file, new)
        for _, line in self._lines():
            if "error" in line:
                self.done.discard(line["id"])
            else:
                file.write(encode_line(line))
        file.flush()
        os.fsync(file.fileno())
        new.replace(self._path)
        self._file.close()
        self._file, self.errors = file, 0


def _lock(file: BinaryIO, path: Path) -> None:
    """Lock a file for this process, where the platform can; a process that is killed leaves no lock.

    Raises:
        ConfigError: Another process has locked it.
    """
    if fcntl is None:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise ConfigError(f"{path} is being written by another process.", phase="configure") from None
    except OSError:  # a file system without locks
        return
