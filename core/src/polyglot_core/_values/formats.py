"""What a response format is to core: it changes the request, reads the response as it is received, and gives its value.

Core has no format of its own for types. A package offers them in the entry-point group ``polyglot.formats``; its module
has the functions of `FormatPackage`. It is imported when a format, or JSON out of a response, is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, get_args

from polyglot_core._values.entry_points import modules

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from typing_extensions import TypeVar

    from polyglot_core._values.request import InferenceRequest, Tool
    from polyglot_core._values.response import InferenceResponse

    DataT = TypeVar("DataT", default=Any)  # the type checker's alone: a TypeVar with a default is Python 3.13's
    ValueT_co = TypeVar("ValueT_co", covariant=True)
else:
    from typing import TypeVar

    DataT = TypeVar("DataT")
    ValueT_co = TypeVar("ValueT_co", covariant=True)

__all__ = [
    "FORMATS",
    "MODES",
    "DataFormat",
    "DataReader",
    "DataT",
    "FormatPackage",
    "FormatUse",
    "Mode",
    "find_format",
    "format_package",
]

FORMATS = "polyglot.formats"
"""Entry-point group: name → module with the functions of `FormatPackage`."""

Mode = Literal["native", "tool", "json", "markdown"]
"""How a model is asked for data: ``native``, by the provider's schema; ``tool``, as the arguments of a tool that it
must call; ``json``, by the JSON mode of the provider and the prompt; ``markdown``, by the prompt, as a fenced block."""

MODES: tuple[str, ...] = get_args(Mode)


class DataReader(Protocol):
    """Reads the data of one response while it is received, each character once."""

    @property
    def value(self) -> Any:  # noqa: ANN401 (any JSON value)
        """Return the JSON value received so far, which grows in place; None before its first character."""
        ...

    def feed(self, text: str) -> None:
        """Read the next characters. What is no JSON ends the reading; `close` raises it."""
        ...

    def elements(self) -> Sequence[Any]:
        """Return the elements of the list that have been completed since the last call, as validated values.

        Raises:
            ResponseFormatError: An element does not fit the type.
        """
        ...

    def close(self) -> None:
        """End the text.

        Raises:
            ResponseFormatError: The text is no JSON, or has no such list.
        """
        ...


class DataFormat(Protocol[ValueT_co]):
    """A response format whose text is read as a value."""

    def prepare(self, request: InferenceRequest, mode: Mode) -> InferenceRequest:
        """Return the request that asks for the format in a mode.

        Raises:
            RequestError: The request cannot be combined with the format.
        """
        ...

    def reader(self, mode: Mode, path: Sequence[str] | None = None) -> DataReader:
        """Return a reader for one response. `path` leads to the list of `DataReader.elements`, by names of members."""
        ...

    def read(self, response: InferenceResponse, mode: Mode) -> ValueT_co:
        """Return the value of a complete response.

        Raises:
            ResponseFormatError: The response has no such value: it is no JSON, does not fit, is a refusal, or was cut.
        """
        ...


class FormatPackage(Protocol):
    """The functions of a module in the group ``polyglot.formats``."""

    def format_of(self, kind: object) -> DataFormat[Any] | None:
        """Return the format for a type or a `JSONSchema`; None if the package has none for it.

        Raises:
            RequestError: The type has no JSON Schema.
        """
        ...

    def json_in(self, text: str) -> Any:  # noqa: ANN401 (any JSON value)
        """Return the JSON value in a text.

        Raises:
            ResponseFormatError: There is none.
        """
        ...

    def tool_of(self, function: Callable[..., Any]) -> Tool:
        """Return a tool that describes a function.

        Raises:
            RequestError: The function cannot be described.
        """
        ...


class FormatUse(NamedTuple):
    """A format in the mode in which a connection was asked for it."""

    format: DataFormat[Any]
    mode: Mode


def find_format(kind: object) -> DataFormat[Any] | None:
    """Return the format for a type from the first package that has one; None if no package has one.

    Raises:
        ConfigError: No package with formats is installed, or none may be imported.
    """
    found = (package.format_of(kind) for package in _packages(f"response_format={kind!r:.60}"))
    return next((each for each in found if each is not None), None)


def format_package(purpose: str) -> FormatPackage:
    """Return the first package with formats.

    Args:
        purpose: What requires it, for the error.

    Raises:
        ConfigError: No package with formats is installed, or none may be imported.
    """
    return _packages(purpose)[0]


def _packages(purpose: str) -> list[FormatPackage]:
    return modules(FORMATS, purpose, "polyglot-answers")
