"""Daft's ``prompt()`` over any connection. Imported only when it is named; needs the extra ``daft``.

The plan of a query, which Daft sends to its workers, holds the name of the connection and never a key. So each worker
needs the configuration, or the variables, that the name stands for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

from polyglot_batch.admission import with_rate
from polyglot_core import AsyncInference, ConfigError, Document, Image, Message, RequestError, Text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from polyglot_core.plugin import Part

__all__ = ["PolyglotPrompter", "PolyglotPrompterDescriptor", "PolyglotProvider"]

try:
    _protocols: Any = import_module("daft.ai.protocols")
    _provider: Any = import_module("daft.ai.provider")
    _metrics: Any = import_module("daft.ai.metrics")
    _native: Any = import_module("daft.daft")
    _files: Any = import_module("daft.file")
except ImportError as missing:
    _NEEDS = "Daft's prompt() requires the extra daft; install it (pip install 'polyglot-batch[daft]')."
    raise ConfigError(_NEEDS, phase="configure") from missing

_OF_DAFT = frozenset({"batch_size", "concurrency", "max_retries", "num_gpus", "on_error"})
"""Options of Daft's user-defined functions, which are not sent."""


class PolyglotProvider(_provider.Provider):  # type: ignore[misc]  # Daft is imported where it is installed
    """A provider for ``prompt(…, provider=PolyglotProvider("work"))``.

    Options of `prompt` are options of the call, such as ``temperature`` and ``max_tokens``, and Daft's own, such as
    ``on_error`` and ``concurrency``. A connection without a rate learns it from the provider's responses, in each
    worker; see `polyglot_batch.shared` for workers that share one.

    Args:
        connection: Name of a connection, a preset or a driver.
    """

    def __init__(self, connection: str) -> None:
        self.connection = connection

    @property
    def name(self) -> str:
        """Return the name of the provider."""
        return f"polyglot/{self.connection}"

    def get_prompter(
        self, model: str | None = None, return_format: Any = None, system_message: str | None = None, **options: Any
    ) -> PolyglotPrompterDescriptor:
        """Return what makes a prompter in each worker."""
        return PolyglotPrompterDescriptor(self.connection, model, return_format, system_message, options)


@dataclass
class PolyglotPrompterDescriptor(_protocols.PrompterDescriptor):  # type: ignore[misc]  # as above
    """What makes a prompter; it is sent to the workers."""

    connection: str
    model: str | None = None
    return_format: Any = None
    system_message: str | None = None
    options: dict[str, Any] = field(default_factory=dict)

    def get_provider(self) -> str:
        """Return the name of the provider."""
        return "polyglot"

    def get_model(self) -> str:
        """Return the model, or the connection whose model is used."""
        return self.model or self.connection

    def get_options(self) -> dict[str, Any]:
        """Return the options."""
        return dict(self.options)

    def get_udf_options(self) -> Any:
        """Return Daft's options. Calls are retried by the connection, and not again by Daft."""
        options = super().get_udf_options()
        options.max_retries = 0
        return options

    def instantiate(self) -> PolyglotPrompter:
        """Return a prompter."""
        return PolyglotPrompter(self)


class PolyglotPrompter(_protocols.Prompter):  # type: ignore[misc]  # as above
    """Makes a call for each row.

    Raises:
        ConfigError: The connection is not configured in this worker.
    """

    def __init__(self, asked: PolyglotPrompterDescriptor) -> None:
        self._asked = asked
        self._options: Any = {name: value for name, value in asked.options.items() if name not in _OF_DAFT}
        connection = AsyncInference.using(asked.connection).connection
        self._inference = AsyncInference.from_connection(with_rate(connection))

    async def prompt(self, messages: tuple[Any, ...]) -> Any:
        """Return the text of the response, or a value of the type that was asked for.

        Raises:
            PolyglotError: The call failed; Daft's ``on_error`` decides what becomes of the row.
        """
        asked, system = self._asked, self._asked.system_message
        turns = [Message(role="system", content=system)] if system else []
        turns.append(Message(role="user", content=parts_of(messages)))
        pending = self._inference.create(
            turns, model=asked.model, response_format=asked.return_format, options=self._options, stream=True
        )
        response = await pending.response()
        usage = response.usage
        if usage is not None:
            _metrics.record_token_metrics(
                protocol="prompt",
                model=response.model or asked.get_model(),
                provider=asked.get_provider(),
                input_tokens=usage.input_tokens,
                output_tokens=usage.output_tokens,
                total_tokens=usage.total_tokens,
            )
        return response.content if asked.return_format is None else response.data


def parts_of(messages: Sequence[Any]) -> list[Part]:
    """Return the parts of a message: text, and the bytes or files of images and documents.

    Raises:
        RequestError: A column holds something else, or a file of another kind.
    """
    return [_part(value, index) for index, value in enumerate(messages)]


def _part(value: Any, index: int) -> Part:
    if isinstance(value, str):
        return Text(value)
    if isinstance(value, _files.File):
        with value.open() as file:
            return _file_part(file.read(), value.mime_type(), index)
    if isinstance(value, (bytes, bytearray)):
        return _file_part(bytes(value), _native.guess_mimetype_from_content(bytes(value)) or "text/plain", index)
    raise RequestError(
        f"Column {index} of the prompt holds {type(value).__name__}, and should hold text, bytes or files.",
        phase="encode",
    )


def _file_part(data: bytes, mime_type: str, index: int) -> Part:
    kind = mime_type.partition(";")[0].strip().lower()
    if kind.startswith("image/"):
        return Image(data=data, mime_type=kind)
    if kind.startswith("text/"):
        return Text(data.decode("utf-8", "replace"))
    if kind == "application/pdf":
        return Document(data=data, mime_type=kind)
    raise RequestError(
        f"Column {index} of the prompt holds a file of type {kind}, which cannot be sent.", phase="encode"
    )
