"""A stage that writes a stream to a file while it is received."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from msgspec import to_builtins
from msgspec.json import encode

from polyglot_core.errors import StreamError
from polyglot_streams.checks import one_of
from polyglot_streams.stages import PartialStage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from polyglot_core import PartialInferenceResponse

    Partial = PartialInferenceResponse[Any]

__all__ = ["SavedAs", "Saving"]

SavedAs = Literal["text", "events"]


class Saving(PartialStage):
    """Writes each partial to ``<path>.partial``, which gets the name `path` when the stream has ended well.

    Every write is handed to the operating system at once, so that also a process that is killed leaves what was
    received. The file reaches the disk before it gets its name.
    """

    def __init__(self, path: str | os.PathLike[str], as_: SavedAs) -> None:
        one_of("as_", as_, ("text", "events"))
        self._path = Path(os.path.abspath(path))  # noqa: PTH100 (resolve() would follow a link that is to be replaced)
        if self._path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        self._partial_path = self._path.with_name(self._path.name + ".partial")
        self._encode = _text_of if as_ == "text" else _line_of
        self._text = as_ == "text"
        self._unfinished: dict[int, Partial] = {}  # the last partial of each choice without a finish reason
        self._partial_path.unlink(missing_ok=True)
        self._file = self._partial_path.open("xb", buffering=0)

    @property
    def blocks(self) -> bool:
        """Return True: `finish` waits for the disk."""
        return True

    def take_partial(self, partial: Partial, now: float) -> Iterable[Partial]:  # noqa: ARG002 (written at any time)
        """Write a partial."""
        if self._text and partial.seam is not None and not partial.seam.keeps and partial.choice == 0:
            self._file.seek(0)
            self._file.truncate()  # the response starts anew
        if data := self._encode(partial):
            _write_all(self._file, data)
        if not self._text:
            self._unfinished[partial.choice] = partial
            if partial.finish_reason is not None:
                del self._unfinished[partial.choice]
        return (partial,)

    def finish(self, *, complete: bool) -> None:
        """Close the file, and give it its name if the stream has ended well.

        Raises:
            StreamError: Another stream was saved to the same path meanwhile.
        """
        with self._file as file:
            for partial in self._unfinished.values():
                _write_all(file, _line_of(partial, cut=True))
            if not complete:
                return
            os.fsync(file.fileno())
            own = _is_at(file.fileno(), self._partial_path)
        if not own:
            msg = f"Another stream was saved to {self._path} at the same time; the response is in response()."
            raise StreamError(msg)
        self._partial_path.replace(self._path)
        _sync_folder(self._path.parent)

    def __del__(self) -> None:
        if (file := getattr(self, "_file", None)) is not None:
            file.close()  # of a stream that was dropped


def _text_of(partial: Partial) -> bytes:
    """Return the text of choice 0. A lone surrogate is kept in UTF-8 as it is, rather than lost."""
    return partial.content_delta.encode("utf-8", "surrogatepass") if partial.choice == 0 else b""


def _line_of(partial: Partial, *, cut: bool = False) -> bytes:
    """Return a partial as a line of JSON: its deltas, and with the finish reason the tool calls and the usage.

    What all partials repeat is left out, because a file of n partials would grow as n². `cut` returns the last line of
    a choice that was cut: what the line of its finish reason would have had, without a finish reason.
    """
    fields: dict[str, Any] = {"choice": partial.choice}
    if not cut:
        for name in ("content_delta", "reasoning_delta", "refusal_delta"):
            if value := getattr(partial, name):
                fields[name] = value
    if cut or partial.finish_reason is not None:
        fields["finish_reason"] = partial.finish_reason
        fields["tool_calls"] = to_builtins(partial.tool_calls)
        fields["usage"] = to_builtins(partial.usage)
    if partial.seam is not None and not cut:
        fields["seam"] = to_builtins(partial.seam)
    return encode(fields) + b"\n" if len(fields) > 1 else b""


def _write_all(file: Any, data: bytes) -> None:  # noqa: ANN401 (a raw file)
    """Write all bytes to a file without a buffer, which may take a part of them."""
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


def _is_at(descriptor: int, path: Path) -> bool:
    """Return whether an open file is the one at a path."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _sync_folder(folder: Path) -> None:
    """Write the new name of a file to the disk, where folders can be opened."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
