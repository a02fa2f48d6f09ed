"""The sources of a candidate, over all chunks of a stream.

Sources: the page "GroundingMetadata" of the Gemini API reference. "When streaming, this only contains the grounding
chunks that have not been included in the grounding metadata of previous responses"; some models repeat all of them. The
indexes of supports count over the whole stream in both cases.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from polyglot_core.plugin import Citation, json_access
from polyglot_google.text_offsets import NOWHERE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from polyglot_google.shapes import JSONObject
    from polyglot_google.text_offsets import Place, TextOffsets

__all__ = ["Sources"]


class Sources:
    """The sources of one candidate so far, and which of them support which text.

    Args:
        index: Index of the candidate.
        text: The text of the candidate.
    """

    __slots__ = ("_index", "_seen", "_sources", "_text", "_waiting")

    def __init__(self, index: int, text: TextOffsets) -> None:
        self._index = index
        self._text = text
        self._sources: list[JSONObject] = []
        self._seen: set[tuple[int | None, bytes]] = set()  # index of a source, and JSON of what it supports
        self._waiting: dict[int, list[JSONObject]] = {}  # supports by index of a source that was not received yet

    def grounding(self, metadata: JSONObject) -> Iterator[Citation]:
        """Yield each new source with each text segment that it supports, and known sources with new segments."""
        known = len(self._sources)
        self._add(json_access.objects(metadata.get("groundingChunks")))
        found = {number: self._waiting.pop(number, []) for number in range(known, len(self._sources))}
        alone: list[JSONObject] = []
        for support in json_access.objects(metadata.get("groundingSupports")):
            self._match(support, found, alone)
        for number in sorted(found):
            for support in found[number]:
                yield self._citation({**self._sources[number], "groundingSupports": [support]}, support)
            if not found[number]:
                yield Citation({**self._sources[number], "groundingSupports": []}, self._index, NOWHERE.block)
        for support in alone:
            yield self._citation({"groundingSupports": [support]}, support)

    def recitations(self, metadata: JSONObject) -> Iterator[Citation]:
        """Yield each new source of recited text."""
        for source in json_access.objects(
            metadata.get("citations") or metadata.get("citationSources")
        ):  # the older name
            if self._is_new(None, source):
                yield self._at(self._text.place(source.get("startIndex"), source.get("endIndex")), source)

    def _add(self, sources: list[JSONObject]) -> None:
        """Append the new ones of these sources: all of them, or those after a repetition of the known ones."""
        shared = min(len(sources), len(self._sources))
        repeated = shared if sources[:shared] == self._sources[:shared] else 0
        self._sources += sources[repeated:]

    def _match(self, support: JSONObject, found: dict[int, list[JSONObject]], alone: list[JSONObject]) -> None:
        """Append a support to those of each of its sources; to `alone` if none of these was received."""
        given = support.get("groundingChunkIndices")
        numbers = [number for number in given if isinstance(number, int)] if isinstance(given, list) else []
        segment, matched = support.get("segment") or support, False
        for number in numbers:
            if 0 <= number < len(self._sources):
                matched = True
                if self._is_new(number, segment):
                    found.setdefault(number, []).append(support)
            elif self._is_new(number, segment):
                self._waiting.setdefault(number, []).append(support)
        if not matched and self._is_new(None, segment):
            alone.append(support)

    def _is_new(self, number: int | None, value: object) -> bool:
        key = number, msgspec.json.encode(value)
        if key in self._seen:
            return False
        self._seen.add(key)
        return True

    def _citation(self, payload: JSONObject, support: JSONObject) -> Citation:
        segment: Any = support.get("segment")
        if not isinstance(segment, dict):
            return self._at(NOWHERE, payload)
        place = self._text.place(
            segment.get("startIndex"), segment.get("endIndex"), text=segment.get("text"), part=segment.get("partIndex")
        )
        return self._at(place, payload)

    def _at(self, place: Place, payload: JSONObject) -> Citation:
        return Citation(payload, self._index, place.block, place.start, place.end)
