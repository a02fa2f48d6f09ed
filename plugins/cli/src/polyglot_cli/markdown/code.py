"""Styles code line by line, so that a line is final as soon as it is complete."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

from polyglot_cli.markdown.spans import Span, styled

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pygments.lexer import Lexer

__all__ = ["Highlighter"]

# The sixteen colours of the terminal, without those that are unreadable on a light or on a dark ground.
_STYLES: Mapping[str, str] = {
    "Token.Comment": "2",
    "Token.Keyword": "35",
    "Token.Literal.String": "32",
    "Token.Literal.Number": "36",
    "Token.Name.Function": "1",
    "Token.Name.Class": "1",
    "Token.Name.Decorator": "36",
    "Token.Name.Tag": "35",
    "Token.Generic.Inserted": "32",
    "Token.Generic.Deleted": "31",
    "Token.Generic.Heading": "1",
    "Token.Generic.Subheading": "36",
}
_MAY_CONTINUE = ("Token.Literal.String", "Token.Comment")
"""Kinds of tokens that may continue in the next line."""


class Highlighter:
    """Styles the lines of one block of code.

    A line is read together with the line in which a string or a comment that is still open has begun. So each line
    costs the same, however long the block is.

    Args:
        language: Name of the language, as after the fence; a name that is not known gives unstyled code.
        base: Style of everything.
    """

    def __init__(self, language: str, base: str = "") -> None:
        self._base = base
        self._lexer = _lexer(language)
        self._open = ""

    def copy(self) -> Highlighter:
        """Return a highlighter in the same state."""
        copied = Highlighter("", self._base)
        copied._lexer, copied._open = self._lexer, self._open
        return copied

    def line(self, text: str) -> list[Span]:
        """Return the spans of the next line, which has no line break at its end."""
        if self._lexer is None:
            return [styled(text, self._base)]
        before = len(self._open)
        spans: list[Span] = []
        last = ""
        for start, kind, value in self._lexer.get_tokens_unprocessed(f"{self._open}{text}\n"):
            last = str(kind)
            shown = value[max(0, before - start) :].rstrip("\n")
            if shown:
                spans.append(styled(shown, self._base, _style(last)))
        if not last.startswith(_MAY_CONTINUE):
            self._open = ""
        elif not self._open:
            self._open = f"{text}\n"
        return spans


def _lexer(language: str) -> Lexer | None:
    try:
        return get_lexer_by_name(language, stripnl=False, ensurenl=False) if language else None
    except ClassNotFound:
        return None


def _style(kind: str) -> str:
    """Return the style of a kind of token, or of the nearest kind above it."""
    while kind:
        if kind in _STYLES:
            return _STYLES[kind]
        kind = kind.rpartition(".")[0]
    return ""
