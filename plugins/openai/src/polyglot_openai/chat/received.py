"""What a choice has received so far, as far as the meaning of later chunks depends on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from polyglot_core.plugin import Details

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["EMPTY", "Received"]

_JSONObject = dict[str, Any]

EMPTY: tuple[object, ...] = (None, "", [], {})
"""Values of fields that stand for nothing."""

_LABELS = frozenset({"channel", "name", "token_id", "object", "type", "id"})
"""Unknown fields whose values describe a chunk; the texts in others are pieces of one text."""
_NO_FACTS = frozenset({"role", "padding", "obfuscation"})


class Received:
    """What a choice has received so far.

    Attributes:
        names: Fields of which a delta had a value.
        listed: Whether the content was a list of parts once.
        text_block: Block of the latest text.
        images: How many images were received.
        calls: Whether there was a tool call in the field ``tool_calls``.
        sound_id: Id of the sound; empty if there is none.
        sound_type: Media type of the sound, by its first bytes.
    """

    __slots__ = (
        "_block", "_fields", "_kind", "_pieces", "_sealed", "_so_far", "_thinking",
        "calls", "images", "listed", "names", "sound_id", "sound_type", "text_block",
    )  # fmt: skip

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.listed = False
        self.text_block = 0
        self.images = 0
        self.calls = False
        self.sound_id = ""
        self.sound_type = ""
        self._block = -1
        self._kind = ""
        self._thinking = 0
        self._sealed = False
        self._fields: dict[str, list[Any]] = {}
        self._so_far: dict[str, Any] = {}
        self._pieces: set[str] = set()

    # The blocks of the content

    def in_block(self, kind: str, *, fresh: bool = False) -> int:
        """Return the block of the next part of the content: the current one, if it is of the same kind."""
        if fresh or kind != self._kind:
            self._block += 1
            self._kind = "" if fresh else kind
        if kind == "text":
            self.text_block = self._block
        return self._block

    def end_block(self) -> None:
        """Let the next part of the content begin a block."""
        self._kind = ""

    def thinking_block(self, *, sealed: bool) -> int:
        """Return the block of the next piece of thinking that has no number: a signature is the last piece of one."""
        if self._sealed:
            self._thinking += 1
        self._sealed = sealed
        return self._thinking

    # Several ways to send the same

    def new_in_delta(self, delta: _JSONObject) -> _JSONObject:
        """Return a delta, after noting which fields it has."""
        self.names.update(name for name, value in delta.items() if value not in EMPTY)
        return delta

    def new_in_message(self, message: _JSONObject) -> _JSONObject:
        """Return what a message within a stream adds.

        Fields that deltas have sent are repeated in it. A message may also be sent instead of deltas: once, as pieces,
        or as all content so far.
        """
        return {
            name: added
            for name, value in message.items()
            if value not in EMPTY and name not in self.names and (added := self._added(name, value)) not in EMPTY
        }

    def _added(self, name: str, value: Any) -> Any:  # noqa: ANN401 (any JSON value)
        before = self._so_far.get(name)
        if before is None or name in self._pieces or type(value) is not type(before):
            self._so_far[name] = value
            return value
        if isinstance(value, (str, list)) and value[: len(before)] == before:
            self._so_far[name] = value
            return value[len(before) :]
        if value == before:
            return None
        self._pieces.add(name)
        return value

    # Fields that are not read

    def keep(self, message: _JSONObject, read: Iterable[str]) -> None:
        """Keep the fields of a delta or message that are not among those `read`."""
        for name, value in message.items():
            if value not in EMPTY and name not in _NO_FACTS and name not in read:
                kept = self._fields.setdefault(name, [])
                if isinstance(value, str) and name not in _LABELS and all(isinstance(each, str) for each in kept[:1]):
                    kept.append(value)
                else:
                    kept[:] = [value]

    def keep_audio(self, audio: _JSONObject) -> None:
        """Keep the facts of a sound, whose transcript may be sent in pieces."""
        for name, value in audio.items():
            if name != "data" and value not in EMPTY:
                kept = self._fields.setdefault(f"audio.{name}", [])
                if name == "transcript":
                    kept.append(value)
                else:
                    kept[:] = [value]

    def details(self, choice: int) -> Details | None:
        """Return the fields kept so far, once."""
        if not self._fields:
            return None
        found: _JSONObject = {}
        for name, values in self._fields.items():
            value = "".join(values) if all(isinstance(each, str) for each in values) else values[-1]
            outer, _, inner = name.partition(".") if name.startswith("audio.") else (name, "", "")
            if inner:
                found.setdefault(outer, {})[inner] = value
            else:
                found[name] = value
        self._fields = {}
        audio = {"audio": found.pop("audio")} if "audio" in found else {}
        return Details({**audio, **({"message": found} if found else {})}, choice)
