"""Cuts Markdown into pieces that later text cannot change, while it is received.

The cuts depend on the text alone and not on how it is split, so a stream is shown as the whole text would be. All that
is kept is the open block, and of that only as much as can still change: a line of code is final when it ends, an item
when the next one begins, a row of a table when the widths of its columns are set, and the beginning of a long paragraph
when no emphasis or link is open. So each character is parsed a fixed number of times.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from polyglot_cli.markdown import lines
from polyglot_cli.markdown.code import Highlighter
from polyglot_cli.markdown.inline import inline_spans, is_settled, is_table, parse_blocks
from polyglot_cli.markdown.pieces import Blank, Code, Flow, Piece, Prefix, Rule, TablePart
from polyglot_cli.markdown.spans import UNICODE, Glyphs, Span, styled

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

__all__ = ["Blocks"]

_PART = 1024
"""Characters after which a line is processed before it ends, and a paragraph may be cut."""
_LONGEST = 4 * _PART
"""Characters after which a paragraph is cut wherever a word ends."""
_ROWS = 24
"""Rows of a table from which the widths of its columns are set."""
_DIM, _BULLET = "2", "36"


@dataclass(frozen=True)
class _Container:
    """A quotation, or an item of a list.

    Attributes:
        marker: The marker of an item; None for a quotation.
        number: The number that is shown for the item.
        shown: Whether the marker has been drawn.
    """

    marker: lines.Marker | None = None
    number: int | None = None
    shown: bool = False


@dataclass
class _Leaf:
    """An open paragraph, table or heading, as lines; or an open fence.

    Attributes:
        text: The lines that are not final.
        continues: Whether the beginning of the paragraph, or of the table, is final.
        head: The header and the delimiters, if it is a table.
        fence: The fence, if it is code.
        highlighter: Styles the code.
    """

    text: list[str] = field(default_factory=list)
    continues: bool = False
    head: tuple[str, str] | None = None
    fence: lines.Fence | None = None
    highlighter: Highlighter | None = None


class Blocks:
    """Takes cleaned text and returns pieces.

    Args:
        base: Style of everything.
        glyphs: The characters to draw beside the text.
    """

    def __init__(self, base: str = "", glyphs: Glyphs = UNICODE) -> None:
        self._base = base
        self._glyphs = glyphs
        self._pieces: list[Piece] = []
        self._containers: list[_Container] = []
        self._leaf: _Leaf | None = None
        self._line = ""
        self._within_line = False
        self._blank: int | None = None  # how many containers were open at the last empty line
        self._begun = False
        self._last_item: tuple[int, _Container] | None = None

    def feed(self, text: str) -> None:
        """Process the next piece of the text."""
        at = 0
        while at < len(text):
            end = text.find("\n", at, at + _PART - len(self._line))
            if end >= 0:
                self._line += text[at:end]
                self._process(ends=True)
                at = end + 1
                continue
            part = text[at : at + _PART - len(self._line)]
            self._line += part
            at += len(part)
            if len(self._line) == _PART:
                self._process(ends=False)

    def finish(self) -> None:
        """Close all that is open, at the end of the text."""
        if self._line or self._within_line:
            self._process(ends=True)
        self._close(0)

    def take(self) -> list[Piece]:
        """Return the pieces that became final since the last call."""
        taken, self._pieces = self._pieces, []
        return taken

    def open(self) -> list[Piece]:
        """Return the pieces of the open block, as though the text ended here."""
        copied = copy(self)
        copied.finish()
        return copied.take()

    def __copy__(self) -> Self:
        """Return blocks in the same state, without finished pieces."""
        copied = type(self)(self._base, self._glyphs)
        copied.__dict__.update(self.__dict__, _pieces=[], _containers=[*self._containers])
        if leaf := self._leaf:
            styles = leaf.highlighter and leaf.highlighter.copy()
            copied._leaf = replace(leaf, text=[*leaf.text], highlighter=styles)  # noqa: SLF001 (of the same class)
        return copied

    # Lines

    def _process(self, *, ends: bool) -> None:
        """Process the line received so far, or its next part."""
        line, self._line = self._line.expandtabs(4), ""
        if self._within_line:
            self._continue(line, ends=ends)
        else:
            self._begin(line, ends=ends)
        self._within_line = not ends

    def _continue(self, part: str, *, ends: bool) -> None:
        if (leaf := self._leaf) is None:
            leaf = self._open_leaf()
        if leaf.fence is not None:
            self._add_code(leaf, part, ends=ends)
            return
        if not leaf.text:
            leaf.text.append("")
        leaf.text[-1] += part
        self._settle(leaf, ends=ends)

    def _begin(self, line: str, *, ends: bool) -> None:
        kept, rest = self._matched(line)
        leaf = self._leaf
        if leaf is not None and leaf.fence is not None and kept == len(self._containers):
            self._fenced(leaf, leaf.fence, rest, ends=ends)
            return
        blank = not rest.strip()
        if kept < len(self._containers):
            if leaf is not None and leaf.fence is None and leaf.head is None and not blank and not _begins_block(rest):
                self._add_text(rest.strip(), ends=ends)  # a paragraph that continues without its marks
                return
            self._close(kept)
        if blank:
            self._close_leaf()
            self._blank = len(self._containers)
            return
        self._begin_leaf(self._open_containers(rest), ends=ends)

    def _matched(self, line: str) -> tuple[int, str]:
        """Return how many of the open containers a line continues, and the rest of the line."""
        rest = line
        for index, container in enumerate(self._containers):
            if container.marker is None:
                if not lines.is_quotation(rest):
                    return index, rest
                rest = rest.lstrip(" ")[1:].removeprefix(" ")
            elif not rest.strip():
                rest = ""
            elif lines.indent_of(rest) >= container.marker.width:
                rest = rest[container.marker.width :]
            else:
                return index, rest
        return len(self._containers), rest

    def _open_containers(self, rest: str) -> str:
        """Open the quotations and items that a line begins, and return the rest of the line."""
        while True:
            if lines.is_quotation(rest):
                self._close_leaf()
                self._containers.append(_Container())
                rest = rest.lstrip(" ")[1:].removeprefix(" ")
            elif (marker := lines.marker_of(rest)) and not (self._leaf and not _interrupts(marker)):
                self._close_leaf()
                self._containers.append(_Container(marker, self._number(marker)))
                rest = marker.rest
            else:
                return rest

    def _number(self, marker: lines.Marker) -> int | None:
        """Return the number of an item: one more than that of the item before it in the same list."""
        if self._last_item is None or marker.number is None:
            return marker.number
        depth, last = self._last_item
        if depth != len(self._containers) or last.marker is None or last.marker.sign != marker.sign:
            return marker.number
        return None if last.number is None else last.number + 1

    def _begin_leaf(self, rest: str, *, ends: bool) -> None:
        leaf = self._leaf
        if not rest.strip():
            return  # an item that begins with an empty line
        if leaf is not None and lines.is_underline(rest) and leaf.head is None:
            leaf.text.append(rest)
            self._close_leaf()
        elif ends and (fence := lines.fence_of(rest)) is not None:
            self._close_leaf()
            leaf = self._open_leaf()
            leaf.fence, leaf.highlighter = fence, Highlighter(fence.language, self._base)
            self._emit(Code(self._prefix(), [styled(fence.mark + fence.info, self._base, _DIM)]))
        elif lines.is_break(rest):
            self._close_leaf()
            self._open_leaf()
            self._leaf = None
            self._emit(Rule(self._prefix()))
        elif lines.is_heading(rest):
            self._close_leaf()
            self._add_text(rest, ends=ends)
            if ends:
                self._close_leaf()
        else:
            self._add_text(rest, ends=ends)

    # Leaves

    def _open_leaf(self) -> _Leaf:
        self._leaf = leaf = _Leaf()
        if self._blank is not None and self._begun:
            self._emit(Blank(Prefix(rest=self._drawn(markers=False)[: self._blank])))
        self._blank, self._begun = None, True
        if self._last_item is not None and self._last_item[0] >= len(self._containers):
            self._last_item = None
        return leaf

    def _add_text(self, line: str, *, ends: bool) -> None:
        leaf = self._leaf or self._open_leaf()
        if leaf.continues and not leaf.text and leaf.head is None:
            leaf.text.append("")  # the line break before this line
        leaf.text.append(line)
        self._settle(leaf, ends=ends)

    def _fenced(self, leaf: _Leaf, fence: lines.Fence, line: str, *, ends: bool) -> None:
        if ends and fence.is_closed_by(line):
            self._emit(Code(self._prefix(), [styled(fence.mark, self._base, _DIM)]))
            self._leaf = None
        else:
            self._add_code(leaf, line[min(fence.indent, lines.indent_of(line)) :], ends=ends)

    def _add_code(self, leaf: _Leaf, text: str, *, ends: bool) -> None:
        spans = leaf.highlighter.line(text) if leaf.highlighter else [styled(text, self._base)]
        self._emit(Code(self._prefix(), spans, ends=ends))

    def _settle(self, leaf: _Leaf, *, ends: bool) -> None:
        """Emit the part of the leaf that can no longer change."""
        text = leaf.text
        if leaf.head is None and not leaf.continues and ends and len(text) > 1 and _heads_table(*text[-2:]):
            if text[:-2]:
                self._emit_blocks(text[:-2])
            leaf.text, leaf.head = [], (text[-2], text[-1])
        elif leaf.head is not None:
            if ends and (leaf.continues or len(text) >= _ROWS):
                self._emit_rows(leaf)
            elif sum(map(len, text)) >= 4 * _LONGEST:
                self._close_leaf()  # a row without an end: the rest is a paragraph
        elif sum(map(len, text)) >= _PART:
            self._cut(leaf)

    def _cut(self, leaf: _Leaf) -> None:
        """Emit the beginning of a long paragraph, up to the end of a word."""
        text = "\n".join(leaf.text)
        if not leaf.continues and [block.kind for block in parse_blocks(text, self._base)] != ["flow"]:
            if len(text) >= 4 * _LONGEST:
                self._close_leaf()
            return
        limit = len(text) - len(text) % _PART
        at = text.rfind(" ", 0, limit)
        forced = len(text) >= _LONGEST
        if at > 0 and (forced or is_settled(text[:at])):
            head, rest = text[:at], text[at:]
        elif forced:
            head, rest = text, ""
        else:
            return
        spans = self._spans(head) if leaf.continues else parse_blocks(head, self._base)[0].lines[0]
        self._emit(Flow(self._prefix(), spans, ends=False))
        leaf.continues = True
        leaf.text = rest.split("\n") if rest else []

    def _close_leaf(self) -> None:
        leaf, self._leaf = self._leaf, None
        if leaf is None or leaf.fence is not None:
            return
        if leaf.head is not None:
            if leaf.text or not leaf.continues:
                self._emit_rows(leaf)
        elif leaf.continues:
            self._emit(Flow(self._prefix(), self._spans("\n".join(leaf.text))))
        else:
            self._emit_blocks(leaf.text)

    def _spans(self, text: str) -> list[Span]:
        """Return the spans of text that continues a paragraph."""
        space = [Span(" ", self._base)] if text[:1].isspace() else []
        return space + inline_spans(text.lstrip(), self._base)

    def _emit_rows(self, leaf: _Leaf) -> None:
        """Emit the rows of a table, and what follows them without an empty line but is no row."""
        self._emit_blocks([*(leaf.head or ()), *leaf.text], first=not leaf.continues)
        leaf.text, leaf.continues = [], True

    def _emit_blocks(self, text: Sequence[str], *, first: bool = True) -> None:
        for block in parse_blocks("\n".join(text), self._base):
            if block.kind == "table":
                self._emit(TablePart(self._prefix(), block.header, block.alignments, block.rows, first=first))
            elif block.kind == "rule":
                self._emit(Rule(self._prefix()))
            else:
                kind = Flow if block.kind == "flow" else Code
                for spans in block.lines:
                    self._emit(kind(self._prefix(), spans))

    # Containers

    def _close(self, kept: int) -> None:
        """Close the leaf and all containers but the first ones."""
        self._close_leaf()
        if self._blank is not None:
            self._blank = min(self._blank, kept)
        while len(self._containers) > kept:
            container = self._containers[-1]
            if container.marker is not None and not container.shown:
                self._open_leaf()
                self._leaf = None
                self._emit(Flow(self._prefix(), []))
                container = self._containers[-1]
            self._containers.pop()
            self._last_item = (len(self._containers), container) if container.marker is not None else None

    def _prefix(self) -> Prefix:
        """Return what is drawn beside the next piece. A marker is drawn once."""
        prefix = Prefix(self._drawn(markers=True), self._drawn(markers=False))
        self._containers = [replace(each, shown=True) for each in self._containers]
        return prefix

    def _drawn(self, *, markers: bool) -> tuple[Span, ...]:
        spans: list[Span] = []
        bullets = 0
        for each in self._containers:
            if each.marker is None:
                spans.append(styled(f"{self._glyphs.bar} ", self._base, _DIM))
                continue
            bullet = self._glyphs.bullets[bullets % len(self._glyphs.bullets)]
            bullets += each.number is None
            mark = f"{bullet} " if each.number is None else f"{each.number}{each.marker.sign} "
            shown = mark if markers and not each.shown else " " * len(mark)
            spans.append(styled(shown, self._base, _BULLET))
        return tuple(spans)

    def _emit(self, piece: Piece) -> None:
        self._pieces.append(piece)


def _begins_block(line: str) -> bool:
    """Return True if a line cannot continue a paragraph."""
    return (
        lines.is_quotation(line)
        or lines.marker_of(line) is not None
        or lines.fence_of(line) is not None
        or lines.is_break(line)
        or lines.is_heading(line)
    )


def _interrupts(marker: lines.Marker) -> bool:
    """Return True if an item may follow a paragraph without an empty line."""
    return bool(marker.rest.strip()) and marker.number in {None, 1}


def _heads_table(header: str, delimiters: str) -> bool:
    likely = "|" in header + delimiters and lines.DELIMITERS.match(delimiters) is not None
    return likely and is_table(header, delimiters)
