"""Views of a response while it is received: as text, or as one JSON object per line."""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING, Any, Protocol

from polyglot_cli.control_sequences import Cleaner
from polyglot_cli.styles import dimmed
from polyglot_core import ToolResult
from polyglot_core.events import Seam

if TYPE_CHECKING:
    from collections.abc import Mapping

    from polyglot_cli.output import Output
    from polyglot_core import PartialInferenceResponse
    from polyglot_core.events import Event

__all__ = ["EventView", "ExtractView", "StepView", "TextView", "View", "as_json"]

# Characters that JSON may contain unescaped, but that control terminals or end lines for some readers.
_ESCAPED = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


class View(Protocol):
    """Shows the steps of a response."""

    def show(self, item: Any) -> None:  # noqa: ANN401 (partials or events, whichever the view is for)
        """Show the next step."""

    def prints(self, item: Any) -> bool:  # noqa: ANN401 (as above)
        """Return True if the view prints something for the step."""

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
        self._dim = dimmed() if reasoning and output.is_terminal else None
        self._thought = False

    def prints(self, item: PartialInferenceResponse | ToolResult) -> bool:
        """Return True for a partial with text, or with thinking that is shown."""
        if isinstance(item, ToolResult) or item.choice:
            return False
        return bool(item.content_delta or (item.reasoning_delta and self._dim is not None))

    def show(self, item: PartialInferenceResponse) -> None:
        """Write the text that the partial adds."""
        if item.choice:
            return
        if item.reasoning_delta and self._dim is not None:
            self._think(_cleaned(self._thinking, item.reasoning_delta))
        if item.content_delta:
            self._end_thinking()
            self.write(item.content_delta)

    def write(self, text: str) -> None:
        """Write text, cleaned on a terminal."""
        self._output.write(_cleaned(self._text, text))

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


class ExtractView:
    """Nothing while the response is received; then the code or JSON in it.

    Args:
        output: The output to write to.
    """

    def __init__(self, output: Output) -> None:
        self._output = output
        self._text = TextView(output)  # it cleans what is for a terminal

    def prints(self, _: object) -> bool:
        """Return False: nothing is printed before the end."""
        return False

    def show(self, item: object) -> None:
        """Print nothing."""

    def end(self) -> None:
        """Print nothing; `write` does."""

    def write(self, text: str) -> None:
        """Write what was extracted."""
        self._text.write(text)
        self._text.end()


class StepView:
    """Each step of the response as a JSON object with a ``type``; none repeats what was in another.

    ``partial`` has what is new, without the fields that are empty. ``tool_call`` is one that is complete, and
    ``tool_result`` what its function returned. ``seam`` states why another request is sent. ``end`` is the last line.
    """

    def __init__(self, output: Output) -> None:
        self._output = output
        self._calls: dict[int, int] = {}  # of each choice: how many tool calls are printed

    def prints(self, _: object) -> bool:
        """Return True: every step has a line."""
        return True

    def show(self, item: PartialInferenceResponse | ToolResult | Seam) -> None:
        """Write the step."""
        if isinstance(item, ToolResult):
            self.write("tool_result", {"id": item.id, "name": item.name, "content": item.text})
        elif isinstance(item, Seam):
            self.write("seam", {name: getattr(item, name) for name in item.__struct_fields__})
        else:
            self._show_partial(item)

    def write(self, kind: str, fields: Mapping[str, object]) -> None:
        """Write a line of this type."""
        self._output.write(as_json({"type": kind, **fields}) + "\n")

    def end(self) -> None:
        """End a line that was interrupted."""
        self._output.end_line()

    def _show_partial(self, item: PartialInferenceResponse) -> None:
        added = {name: value for name in _DELTAS if (value := getattr(item, name))}
        if added:
            self.write("partial", {"choice": item.choice, **added})
        shown = self._calls.get(item.choice, 0)
        for call in item.tool_calls[shown:]:
            if not call.complete:
                break
            shown += 1
            fields = {"id": call.id, "name": call.name, "arguments": call.arguments_raw}
            self.write("tool_call", {"choice": item.choice, **fields})
        self._calls[item.choice] = shown


_DELTAS = ("content_delta", "reasoning_delta", "refusal_delta", "finish_reason")


class EventView:
    """Each event as a JSON object: its name as ``event``, and its fields."""

    def __init__(self, output: Output) -> None:
        self._output = output

    def prints(self, _: object) -> bool:
        """Return True: every event has a line."""
        return True

    def end(self) -> None:
        """End a line that was interrupted."""
        self._output.end_line()

    def show(self, item: Event) -> None:
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
