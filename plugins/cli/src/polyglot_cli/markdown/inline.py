"""Parses blocks that are complete, and styles the text within them."""

from __future__ import annotations

import functools
import itertools
import re
from typing import TYPE_CHECKING, NamedTuple

from markdown_it import MarkdownIt

from polyglot_cli.markdown.spans import Span, styled

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from markdown_it.token import Token

__all__ = ["Block", "inline_spans", "is_settled", "is_table", "parse_blocks"]

_BOLD, _DIM, _ITALIC, _UNDERLINED, _STRUCK, _CYAN = "1", "2", "3", "4", "9", "36"
_OPENING: Mapping[str, str] = {"strong_open": _BOLD, "em_open": _ITALIC, "s_open": _STRUCK, "link_open": _UNDERLINED}
_DELIMITER = re.compile(r"[*_`\[]|~~")
"""What may begin something that ends after the next space of a paragraph."""


_LINE_BREAK = re.compile(r"<br ?/?>")
"""How models break lines within the cells of a table."""


class Block(NamedTuple):
    """A block of a leaf of the document.

    Attributes:
        kind: ``flow``, ``code``, ``rule`` or ``table``.
        lines: The text of a paragraph or a heading, one item; or the lines of code.
        header: The cells of a table's header.
        alignments: The alignment of each column.
        rows: The cells of its other rows.
    """

    kind: str
    lines: Sequence[Sequence[Span]] = ()
    header: Sequence[Sequence[Span]] = ()
    alignments: Sequence[str] = ()
    rows: Sequence[Sequence[Sequence[Span]]] = ()


@functools.cache
def _parser() -> MarkdownIt:
    """Return the parser. Lists, quotations and fences are cut before; definitions of links stay as they are written."""
    parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    return parser.disable(["list", "blockquote", "fence", "reference", "html_block"])


def parse_blocks(text: str, base: str = "") -> list[Block]:
    """Return the blocks of a text that contains no list, no quotation and no fence.

    Args:
        text: The text.
        base: Style of everything in it.
    """
    blocks: list[Block] = []
    tokens = _parser().parse(text)
    at = 0
    while at < len(tokens):
        token = tokens[at]
        if token.type == "table_open":
            end = next(index for index in range(at, len(tokens)) if tokens[index].type == "table_close")
            blocks.append(_table(tokens[at:end], base))
            at = end
        elif token.type == "inline":
            before = tokens[at - 1]
            spans: list[Span] = []
            style = ""
            if before.type == "heading_open":
                style = _BOLD
                spans.append(styled("#" * int(before.tag[1]) + " ", base, _DIM))
            blocks.append(Block("flow", [[*spans, *_styled_children(token.children or [], (base, style))]]))
        elif token.type == "hr":
            blocks.append(Block("rule"))
        elif token.type == "code_block":
            lines = token.content.removesuffix("\n").split("\n")
            blocks.append(Block("code", [[styled(f"    {line}", base, _CYAN)] for line in lines]))
        at += 1
    return blocks


def inline_spans(text: str, base: str = "") -> list[Span]:
    """Return the spans of text within a paragraph."""
    tokens = _parser().parseInline(text)
    return list(_styled_children(tokens[0].children or [], (base,))) if tokens else []


def is_table(header: str, delimiters: str) -> bool:
    """Return True if two lines are the header of a table."""
    return any(token.type == "table_open" for token in _parser().parse(f"{header}\n{delimiters}"))


def is_settled(text: str) -> bool:
    """Return True if nothing in a text of a paragraph has begun that may end in the text after it."""
    tokens = _parser().parseInline(text)
    children = tokens[0].children or [] if tokens else []
    return not any(token.type == "text" and _DELIMITER.search(token.content) for token in children)


def _table(tokens: Sequence[Token], base: str) -> Block:
    header: list[Sequence[Span]] = []
    alignments: list[str] = []
    rows: list[list[Sequence[Span]]] = []
    in_head = True
    for before, token in itertools.pairwise(tokens):
        if token.type == "tbody_open":
            in_head = False
        elif token.type == "tr_open" and not in_head:
            rows.append([])
        elif token.type == "inline":
            spans = _styled_children(token.children or [], (base, _BOLD if in_head else ""))
            cell = [Span(_LINE_BREAK.sub("\n", text), style) for text, style in spans]
            if in_head:
                header.append(cell)
                alignments.append(str(before.attrs.get("style", "text-align:left")).partition(":")[2])
            else:
                rows[-1].append(cell)
    return Block("table", (), header, alignments, rows)


def _styled_children(children: Sequence[Token], base: tuple[str, ...]) -> Iterator[Span]:
    """Yield the spans of the tokens within a block. The target of a link follows its text, unless it is the text."""
    styles = list(base)
    targets: list[tuple[str, int]] = []
    texts: list[str] = []
    for token in children:
        if token.type == "link_open":
            targets.append((str(token.attrs.get("href", "")), len(texts)))
        if token.type in _OPENING:
            styles.append(_OPENING[token.type])
        elif token.type == "link_close":
            styles.pop()
            target, start = targets.pop()
            if target.removeprefix("mailto:") != "".join(texts[start:]):
                yield styled(f" ({target})", *base, _DIM)
        elif token.type.endswith("_close"):
            styles.pop()
        elif token.type == "code_inline":
            texts.append(token.content)
            yield styled(token.content, *styles, _CYAN)
        elif token.type == "image":
            texts.append(token.content)
            yield styled(f"[image: {token.content}]", *styles)
            yield styled(f" ({token.attrs.get('src', '')})", *base, _DIM)
        elif token.type in {"softbreak", "hardbreak"}:
            yield Span(" " if token.type == "softbreak" else "\n", ";".join(filter(None, styles)))
        else:
            texts.append(token.content)
            yield styled(token.content, *styles)
