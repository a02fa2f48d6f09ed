"""A call as the page sends it: JSON, read into the arguments of `create`."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from polyglot_cli.parameters import option
from polyglot_core import Audio, Document, Image, Message, RequestError, Text

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["AttachedFile", "PageCall", "read_call"]


class AttachedFile(NamedTuple):
    """A file that the user attached.

    Attributes:
        name: Its name, without a folder.
        data: Its content.
    """

    name: str
    data: bytes

    @property
    def part(self) -> Image | Audio | Document | Text:
        """Return the file as a part of a message, of the type that its first bytes show. Other files are sent as text.

        Raises:
            RequestError: The type is not recognized, and the file is no text.
        """
        recognized = (Image(data=self.data), Audio(data=self.data), Document(data=self.data, name=self.name))
        found = next((part for part in recognized if part.mime_type and not part.mime_type.startswith("text/")), None)
        if found is not None:
            return found
        try:
            return Text(f"{self.name}:\n\n{self.data.decode()}\n\n")
        except UnicodeDecodeError:
            problem = f"{self.name} is of no type that its first bytes show; attach an image, sound, a PDF or text."
            raise RequestError(problem) from None


@dataclass(frozen=True, kw_only=True)
class PageCall:
    """What the form of the page contains.

    Attributes:
        connection: Name of the connection.
        model: Model; empty for the connection's.
        prompt: The text of the user.
        system: System message; empty for none.
        options: Options of the call.
        files: Attached files.
    """

    connection: str
    model: str
    prompt: str
    system: str
    options: Mapping[str, Any]
    files: tuple[AttachedFile, ...]

    def messages(self) -> list[Message]:
        """Return the messages of the request.

        Raises:
            RequestError: There is neither a text nor a file, or a file is of no known type.
        """
        if not (self.prompt.strip() or self.files):
            raise RequestError("The prompt is empty.")
        text = [Text(self.prompt)] if self.prompt.strip() else []
        content = [*(file.part for file in self.files), *text] if self.files else self.prompt
        user = Message(role="user", content=content)
        return [Message(role="system", content=self.system), user] if self.system.strip() else [user]

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of `create` besides the messages."""
        return {"model": self.model or None, "options": dict(self.options)}


_TEXTS = ("connection", "model", "prompt", "system")


def read_call(body: bytes) -> PageCall:
    """Read the body of a request of the page.

    Raises:
        RequestError: It is not the JSON that the page sends, or an option is not KEY=VALUE.
    """
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RequestError("The body of the request is not JSON.") from error
    if not isinstance(fields, dict):
        raise RequestError("The body of the request is not a JSON object.")
    texts = {name: fields.get(name, "") for name in _TEXTS}
    lists = {name: fields.get(name, []) for name in ("options", "files")}
    for wanted, values in ((str, texts), (list, lists)):
        for name, value in values.items():
            if not isinstance(value, wanted):
                raise RequestError(f"{name} is {type(value).__name__} and not {wanted.__name__}.")
    if not texts["connection"]:
        raise RequestError("No connection is chosen.")
    options, files = (lists[name] for name in ("options", "files"))
    return PageCall(**texts, options=_options(options), files=tuple(map(_file, files)))


def _options(lines: list[Any]) -> dict[str, Any]:
    try:
        return dict(option(str(line).strip()) for line in lines if str(line).strip())
    except click.BadParameter as error:
        raise RequestError(error.message) from error


def _file(fields: Any) -> AttachedFile:  # noqa: ANN401 (any JSON value)
    try:
        return AttachedFile(str(fields["name"]), base64.b64decode(fields["data"], validate=True))
    except (KeyError, TypeError, binascii.Error) as error:
        raise RequestError("A file has no name or no data in base64.") from error
