"""``--attach``: files and URLs as parts of a message. The media type is the one that the first bytes show."""

from __future__ import annotations

import mimetypes
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from polyglot_core import Audio, Document, Image, PolyglotError, Text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["parts_of"]

_Part = Image | Audio | Document | Text


def parts_of(files: Sequence[str], typed: Sequence[tuple[str, str]] = ()) -> list[_Part]:
    """Return the parts for files, URLs and ``-``, which is standard input.

    A file of text becomes text with its name before it, which every model can read.

    Args:
        files: Those whose type is recognized.
        typed: Others, each with its media type.

    Raises:
        click.ClickException: One cannot be read, or its type is not recognized.
    """
    return [*(_recognized(file) for file in files), *(_of_type(file, kind) for file, kind in typed)]


def _recognized(file: str) -> _Part:
    if _is_url(file):
        return _linked(file, mimetypes.guess_type(urlsplit(file).path)[0] or "")
    data, name = _read(file), "" if file == "-" else Path(file).name
    for part in _candidates(data, file):
        if part.mime_type.startswith("text/"):
            return _text(part, name)
        if part.mime_type:
            return _with_name(part, name) if isinstance(part, Document) else part
    raise click.ClickException(f"{_shown(file)} is of no type that its first bytes show; give it with --at FILE TYPE.")


def _candidates(data: bytes, file: str) -> Iterator[Image | Audio | Document]:
    """Yield the data as each class of parts. Those that it is not have no media type."""
    yield Image(data=data)
    yield Audio(data=data)
    if file != "-":
        try:
            yield Document.from_path(file)  # the name states what kind of text a text is
        except PolyglotError:
            return
    else:
        yield Document(data=data)


def _text(part: Image | Audio | Document, name: str) -> Text:
    text = (part.data or b"").decode("utf-8", "replace")
    return Text(f"{name}:\n\n{text}\n\n" if name else f"{text}\n\n")


def _with_name(part: Document, name: str) -> Document:
    return Document(data=part.data, mime_type=part.mime_type, name=name or None)


def _of_type(file: str, kind: str) -> _Part:
    if "/" not in kind:
        raise click.UsageError(f"--at: {kind!r} is not a media type, as in image/png.")
    if _is_url(file):
        return _linked(file, kind)
    data, name = _read(file), "" if file == "-" else Path(file).name
    if kind.startswith("image/"):
        return Image(data=data, mime_type=kind)
    if kind.startswith("audio/"):
        return Audio(data=data, mime_type=kind)
    return Document(data=data, mime_type=kind, name=name or None)


def _linked(url: str, kind: str) -> Image | Document:
    """Return a part whose URL the provider fetches."""
    if kind.startswith("image/"):
        return Image(url=url, mime_type=kind)
    if kind.startswith(("audio/", "video/")):
        raise click.UsageError(f"Sound is sent as a file; download {url} and attach the file.")
    if not kind:
        raise click.UsageError(f"The URL {url} does not state a type; give it with --at URL TYPE, as in image/png.")
    return Document(url=url, mime_type=kind)


def _is_url(file: str) -> bool:
    return file.startswith(("https://", "http://"))


def _read(file: str) -> bytes:
    """Return the bytes of a file, or of standard input; never none."""
    try:
        data = _standard_input() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise click.ClickException(f"The attachment {file} cannot be read: {error.strerror}.") from error
    if not data:
        raise click.ClickException(f"{_shown(file)} is empty; attach a file that has content.")
    return data


def _standard_input() -> bytes:
    if sys.stdin is None or sys.stdin.isatty():
        raise click.UsageError("-a - attaches what is piped in, and nothing is.")
    return sys.stdin.buffer.read()


def _shown(file: str) -> str:
    return "Standard input" if file == "-" else f"The attachment {file}"
