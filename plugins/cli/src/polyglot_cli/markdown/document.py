"""A response as rows of a terminal: its reasoning, its text and its tool calls, one below the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from polyglot_cli.control_sequences import Cleaner
from polyglot_cli.markdown.blocks import Blocks
from polyglot_cli.markdown.layout import Layout
from polyglot_cli.markdown.spans import UNICODE, Glyphs, Span, styled, width_of, wrap

if TYPE_CHECKING:
    from polyglot_cli.markdown.layout import Row

__all__ = ["Document"]

_DIM = "2"


class _Section:
    """One kind of content, from the first piece of it to the last.

    Args:
        kind: ``reasoning`` or ``text``.
        glyphs: The characters to draw.
    """

    def __init__(self, kind: str, glyphs: Glyphs) -> None:
        base = _DIM if kind == "reasoning" else ""
        self.kind = kind
        self.has_rows = False
        self._cleaner = Cleaner()
        self._blocks = Blocks(base, glyphs)
        self._layout = Layout(base, glyphs)
        self._before = [Span(f"{glyphs.thought} ", base)] if base else []

    def feed(self, text: str) -> None:
        self._blocks.feed(self._cleaner.feed(text))

    def finish(self) -> None:
        self._blocks.feed(self._cleaner.finish())
        self._blocks.finish()

    def finished(self, width: int) -> list[Row]:
        rows = self._layout.rows(self._blocks.take(), self._left(width))
        self.has_rows = self.has_rows or bool(rows)
        return [self._before + row for row in rows]

    def still_open(self, width: int) -> list[Row]:
        return [self._before + row for row in self._layout.open_rows(self._blocks.open(), self._left(width))]

    def _left(self, width: int) -> int:
        return max(1, width - sum(width_of(span.text) for span in self._before))


class Document:
    """Takes the deltas of a response, and returns rows.

    Args:
        glyphs: The characters to draw.
    """

    def __init__(self, glyphs: Glyphs = UNICODE) -> None:
        self._glyphs = glyphs
        self._done: list[_Section | str] = []
        self._section: _Section | None = None
        self._above = ""  # the kind of what is above

    def add(self, kind: str, text: str) -> None:
        """Add a delta.

        Args:
            kind: ``reasoning`` or ``text``.
            text: The delta, as it was received.
        """
        if self._section is None or self._section.kind != kind:
            self.finish()
            self._section = _Section(kind, self._glyphs)
        self._section.feed(text)

    def note(self, text: str) -> None:
        """Add a line about the response, which is dimmed."""
        self.finish()
        self._done.append(text)

    def finish(self) -> None:
        """End the content received so far."""
        if self._section is not None:
            self._section.finish()
            self._done.append(self._section)
            self._section = None

    def finished(self, width: int) -> list[Row]:
        """Return the rows that became final since the last call, at most `width` columns wide."""
        rows: list[Row] = []
        for part in self._done:
            if isinstance(part, str):
                rows += self._separated(self._above == "section", wrap([styled(part, _DIM)], width))
                self._above = "note"
            else:
                rows += self._rows_of(part, width)
                self._above = "section" if part.has_rows else self._above
        self._done = []
        if self._section is not None:
            rows += self._rows_of(self._section, width)
        return rows

    def still_open(self, width: int) -> list[Row]:
        """Return the rows below the finished ones that may still change; call `finished` first."""
        if (section := self._section) is None:
            return []
        return self._separated(bool(self._above) and not section.has_rows, section.still_open(width))

    def _rows_of(self, section: _Section, width: int) -> list[Row]:
        is_first = not section.has_rows
        return self._separated(bool(self._above) and is_first, section.finished(width))

    @staticmethod
    def _separated(wanted: bool, rows: list[Row]) -> list[Row]:  # noqa: FBT001 (whether there is something above)
        return [[], *rows] if wanted and rows else rows
