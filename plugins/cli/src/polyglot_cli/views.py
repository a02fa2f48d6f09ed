"""Views of a response while it is received: as text, or as one JSON object per line."""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING, Any, Protocol

from polyglot_cli.control_sequences import Cleaner

if TYPE_CHECKING:
    from polyglot_cli.output import Output
    from polyglot_core import PartialInferenceResponse
    from polyglot_core.events import Event

__all__ = ["EventView", "PartialView", "TextView", "View", "as_json"]

# Characters that JSON may contain unescaped, but that control terminals or end lines for some readers.
_ESCAPED = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


class View(Protocol):
    """Shows the steps of a response."""

    def show(self, item: Any) -> None:  # noqa: ANN401 (partials or events, whichever the view is for)
        """Show the next step."""

    def end(self) -> None:
        """Flush held-back text at the end of the response, whether or not it is complete."""


class TextView:
    """The visible text of choice 0. On a terminal it is cleaned, and the thinking may precede it.

    Args:
        output: The output to write to.
        reasoning: Whether to show the thinking.
        raw: Whether to write the text unchanged.
    """

    def __init__(self, output: Output, *, reasoning: bool = False, raw: bool = False) -> None:
        self._output = output
        cleaned = output.is_terminal and not raw
        self._text = Cleaner() if cleaned else None
        self._thinking = Cleaner() if cleaned else None
        self._dim = _dim_codes() if reasoning and output.is_terminal else None
        self._thought = False

    def show(self, item: PartialInferenceResponse) -> None:
        """Write the text that the partial adds."""
        if item.choice:
            return
        if item.reasoning_delta and self._dim is not None:
            self._think(_cleaned(self._thinking, item.reasoning_delta))
        if item.content_delta:
            self._end_thinking()
            self._output.write(_cleaned(self._text, item.content_delta))

    def end(self) -> None:
        """Flush the cleaner, and end the line."""
        self._end_thinking()
        if self._text is not None:
            self._output.write(self._text.finish())
        self._output.end_line()

    def _think(self, text: str) -> None:
        if text and self._dim is not None:
            self._thought = True
            before, after = self._dim
            self._output.write(f"{before}{text}{after}")
            self._output.at_line_start = text.endswith("\n")

    def _end_thinking(self) -> None:
        """Write an empty line between the thinking and the text of the response."""
        if self._thinking is not None:
            self._think(self._thinking.finish())
        if self._thought:
            self._output.end_line()
            self._output.write("\n")
            self._thought = False


class PartialView:
    """Each partial as a JSON object."""

    def __init__(self, output: Output) -> None:
        self._output = output

    def show(self, item: PartialInferenceResponse) -> None:
        """Write the partial."""
        self._output.write(as_json(item.to_dict()) + "\n")

    def end(self) -> None:
        """End a line that was interrupted."""
        self._output.end_line()


class EventView(PartialView):
    """Each event as a JSON object: its name as ``event``, and its fields."""

    def show(self, item: Event) -> None:  # type: ignore[override]  # it receives events
        """Write the event."""
        fields = {name: getattr(item, name) for name in item.__struct_fields__}
        self._output.write(as_json({"event": type(item).__name__, **fields}) + "\n")


def as_json(value: object, *, indent: int | None = None) -> str:
    """Return JSON that keeps every script readable and is safe on terminals; bytes are encoded as base64."""
    text = json.dumps(value, ensure_ascii=False, indent=indent, default=_as_base64)
    return _ESCAPED.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def _as_base64(value: object) -> str:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    raise TypeError(type(value).__name__)


def _cleaned(cleaner: Cleaner | None, text: str) -> str:
    return text if cleaner is None else cleaner.feed(text)


def _dim_codes() -> tuple[str, str]:
    """Return the codes before and after a dimmed text on this terminal; empty if it does not support them."""
    from rich.console import Console  # noqa: PLC0415 (most responses do not need it)
    from rich.text import Text  # noqa: PLC0415

    console = Console()
    with console.capture() as captured:
        console.print(Text("x", "dim"), end="")
    before, _, after = captured.get().partition("x")
    return before, after
