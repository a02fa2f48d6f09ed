"""Partial responses, and the transcripts from which they read the content so far.

A partial stores only its delta and how much of the transcript existed when it was emitted. The text so far is joined
when it is read, so that iterating a stream of n bytes costs O(n) and not O(n²).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Generic, NamedTuple

import msgspec
from msgspec import Struct, field

from polyglot_core._values.events import Seam
from polyglot_core._values.formats import DataReader, DataT, FormatUse, find_format
from polyglot_core._values.parts import ToolCall
from polyglot_core._values.response import FinishReason, Usage
from polyglot_core.errors import StreamError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "DataReading",
    "GrowingText",
    "Mark",
    "PartialInferenceResponse",
    "ToolCallLog",
    "ToolCallPiece",
    "Transcript",
    "UsageReading",
]


class GrowingText(Struct):
    """A text to which parts are appended. `upto` returns it as it was after any number of parts.

    It may be read by several threads while parts are appended: what is known is replaced at once.
    """

    parts: list[str] = []
    _known: tuple[int, str] = (0, "")  # how many parts are joined, and their text

    def upto(self, count: int) -> str:
        """Return the first `count` parts as one text. With growing counts only new parts are joined."""
        known, text = self._known
        if count < known:
            return "".join(self.parts[:count])
        if count > known:
            text += "".join(self.parts[known:count])
            self._known = (count, text)
        return text


class ToolCallPiece(NamedTuple):
    """A piece of a tool call, after the assembler has determined to which tool call it belongs.

    Attributes:
        slot: Index of the tool call in order of first appearance, from 0.
        id: Id of the tool call, if this piece sets it.
        name: Name of the tool, or its next characters, if this piece has them.
        arguments: The next characters of the arguments.
        complete: True if this piece completes the tool call.
        signature: The provider's signature of the tool call, if this piece has it.
        extra: Further fields of the tool call, if this piece has some.
    """

    slot: int
    id: str | None
    name: str | None
    arguments: str
    complete: bool
    signature: str | None = None
    extra: Mapping[str, Any] | None = None


class ToolCallLog(Struct):
    """The pieces of a choice's tool calls, in order. `upto` returns the tool calls after any number of pieces.

    It may be read by several threads while pieces are appended: what is known is replaced at once.
    """

    pieces: list[ToolCallPiece] = []
    _known: tuple[int, tuple[ToolCall, ...]] = (0, ())  # how many pieces are read, and their tool calls

    def upto(self, count: int) -> tuple[ToolCall, ...]:
        """Return the tool calls that the first `count` pieces make up."""
        known, calls = self._known
        if count < known:
            known, calls = 0, ()
        if count > known:
            calls = _appended(calls, self.pieces[known:count])
        self._known = (count, calls)
        return calls


def _appended(before: tuple[ToolCall, ...], pieces: list[ToolCallPiece]) -> tuple[ToolCall, ...]:
    """Return the tool calls with more pieces. All pieces of one call are joined at once, so that the cost is linear."""
    calls = list(before)
    by_slot: dict[int, list[ToolCallPiece]] = {}
    for piece in pieces:
        by_slot.setdefault(piece.slot, []).append(piece)
    for slot, new in sorted(by_slot.items()):
        known = calls[slot] if slot < len(calls) else ToolCall(name="")
        extras = [piece.extra for piece in reversed(new) if piece.extra]  # of each field the first value counts
        call = ToolCall(
            name=known.name + "".join(piece.name or "" for piece in new),
            id=next((piece.id for piece in reversed(new) if piece.id), known.id),
            arguments_raw=known.arguments_raw + "".join(piece.arguments for piece in new),
            complete=known.complete or any(piece.complete for piece in new),
            signature=next((piece.signature for piece in reversed(new) if piece.signature), known.signature),
            extra={name: value for extra in (*extras, known.extra) for name, value in extra.items()},
        )
        calls[slot : slot + 1] = [call]
    return tuple(calls)


class Transcript(Struct, eq=False):
    """The content of one choice so far. All its partials share it, each with its own counts of parts.

    Attributes:
        text: The visible text.
        reasoning: The reasoning.
        tool_calls: The tool calls.
        use: The response format, if it is read as data.
        data: What is read of it; None until it is first read.
        arguments: What is read of the arguments of tool calls, by their index.
    """

    use: FormatUse | None = None
    text: GrowingText = field(default_factory=GrowingText)
    reasoning: GrowingText = field(default_factory=GrowingText)
    tool_calls: ToolCallLog = field(default_factory=ToolCallLog)
    data: DataReading | None = None
    arguments: dict[int, DataReading] = {}


class DataReading:
    """Feeds the content of a choice to a reader of data, each character once.

    Args:
        transcript: The content of the choice.
        use: How the data is read. In the mode ``tool`` it is the arguments of the first tool call, else the text.
        path: Path of the list of elements.
        slot: Index of another tool call to read.
    """

    __slots__ = ("_fed", "_slot", "reader", "transcript")

    def __init__(
        self, transcript: Transcript, use: FormatUse, path: Sequence[str] | None = None, slot: int | None = None
    ) -> None:
        self.reader: DataReader = use.format.reader(use.mode, path)
        self.transcript = transcript
        self._slot = 0 if slot is None and use.mode == "tool" else slot
        self._fed = 0

    def advance(self, texts: int, pieces: int) -> None:
        """Read the parts of the text, or the pieces of the tool call, that are not read yet."""
        fed = self._fed
        if self._slot is not None:
            self._fed = max(fed, pieces)
            received = self.transcript.tool_calls.pieces[fed:pieces]
            new = [piece.arguments for piece in received if piece.slot == self._slot]
        else:
            self._fed = max(fed, texts)
            new = self.transcript.text.parts[fed:texts]
        if new:
            self.reader.feed("".join(new))

    def finish(self) -> None:
        """Read what the choice has by now, be it that another iterator took the partials."""
        self.advance(len(self.transcript.text.parts), len(self.transcript.tool_calls.pieces))


class UsageReading(Struct, eq=False, gc=False):
    """A usage report that is decoded when it is first read, and only once.

    Attributes:
        payload: The provider's object.
        extract: The driver's reader of usage objects; None once it was called.
        usage: What it returned.
    """

    payload: Mapping[str, Any]
    extract: Callable[[Mapping[str, Any]], Usage] | None
    usage: Usage | None = None

    def read(self) -> Usage | None:
        """Return the usage that the driver decodes from the report. Exceptions of the driver pass at the first read."""
        extract = self.extract  # read once: another thread may read the report at the same time
        if extract is not None:
            self.usage = extract(dict(self.payload))
            self.extract = None
        return self.usage


class Mark(Struct, eq=False, gc=False):
    """The counts that consecutive partials of a choice share, until an event other than text is received.

    Attributes:
        choice: Index of the choice.
        transcript: The content of the choice.
        reasonings: Number of pieces of reasoning received.
        pieces: Number of pieces of tool calls received.
    """

    choice: int
    transcript: Transcript
    reasonings: int = 0
    pieces: int = 0


class PartialInferenceResponse(Struct, Generic[DataT], eq=False, gc=False):
    """A step of a stream: the new content, and all content received so far.

    The deltas are stored. The content so far is assembled when it is read, so that iterating costs only the new bytes.

    Attributes:
        content_delta: New visible text; empty if this step has other content.
        raw: Bytes of the chunk from which the partial was decoded, for debugging; empty on the last partial of a
            choice.
        reasoning_delta: New reasoning text.
        refusal_delta: New text of a refusal that the provider sends separately.
        finish_reason: Why the model stopped, on the last partial of each choice; None on all others.
        seam: On the first partial after an interrupted response was resumed, how it was resumed; None on all others.
    """

    content_delta: str
    raw: bytes
    _texts: int
    _mark: Mark
    _usage: UsageReading | None = None
    reasoning_delta: str = ""
    refusal_delta: str = ""
    finish_reason: FinishReason | None = None
    seam: Seam | None = None

    @property
    def choice(self) -> int:
        """Return the index of the choice that the partial belongs to."""
        return self._mark.choice

    @property
    def content(self) -> str:
        """Return the visible text so far."""
        return self._mark.transcript.text.upto(self._texts)

    @property
    def reasoning_content(self) -> str:
        """Return the reasoning text so far."""
        return self._mark.transcript.reasoning.upto(self._mark.reasonings)

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """Return the tool calls so far. One that is still being streamed is not `complete`."""
        return self._mark.transcript.tool_calls.upto(self._mark.pieces)

    @property
    def data(self) -> Any:  # noqa: ANN401 (a JSON value: the type of the format is that of the complete response)
        """Return the data of the choice so far as a JSON value; None before it begins, or without a `response_format`.

        It is one value that grows in place, which all partials share: copy it to keep it. Each character is read once,
        when the data is read. It is not validated; the data of the complete response is. For type checkers it is `Any`,
        as the value of `json.loads` is: with a type of all JSON values, each step into it would need a check.
        """
        transcript = self._mark.transcript
        if transcript.use is None:
            return None
        transcript.data = reading = self.read_data(transcript.data)
        return reading.reader.value

    def read_data(self, reading: DataReading | None, path: Sequence[str] | None = None) -> DataReading:
        """Return a reading of the choice's data up to here; a new one unless `reading` is of the same transcript."""
        transcript = self._mark.transcript
        if reading is None or reading.transcript is not transcript:
            if transcript.use is None:
                raise StreamError("The call had no response_format, so its response is not read as data.")
            reading = DataReading(transcript, transcript.use, path)
        reading.advance(self._texts, self._mark.pieces)
        return reading

    def arguments(self, index: int = 0) -> Any:  # noqa: ANN401 (a JSON value)
        """Return the arguments of a tool call so far as a JSON value; None before they begin.

        As `data`, they are one value that grows in place, of which each character is read once.

        Args:
            index: Index of the tool call in `tool_calls`.

        Raises:
            ConfigError: The package that reads them is not installed.
        """
        transcript = self._mark.transcript
        if (reading := transcript.arguments.get(index)) is None:
            found = find_format("json")
            if found is None:
                return None
            reading = DataReading(transcript, FormatUse(found, "native"), slot=index)
            transcript.arguments[index] = reading
        reading.advance(self._texts, self._mark.pieces)
        return reading.reader.value

    @property
    def usage(self) -> Usage | None:
        """Return the token counts, or None if the provider has not reported any yet."""
        reading = self._usage
        return None if reading is None else reading.read()

    def to_dict(self) -> dict[str, Any]:
        """Return the partial as a dict of JSON values, without `raw`."""
        fields = {name: getattr(self, name) for name in _SHOWN}
        made: dict[str, Any] = msgspec.to_builtins({**fields, "tool_calls": list(self.tool_calls)})
        return made

    def __repr__(self) -> str:
        shown = [
            f"{name}={value!r}"
            for name in ("choice", "content_delta", "reasoning_delta", "refusal_delta", "finish_reason")
            if (value := getattr(self, name))
        ]
        return f"PartialInferenceResponse({', '.join(shown)})"


_SHOWN = (
    *("choice", "content_delta", "content", "reasoning_delta", "reasoning_content", "refusal_delta"),
    *("tool_calls", "finish_reason", "usage", "seam"),
)
"""The fields of `to_dict`."""
