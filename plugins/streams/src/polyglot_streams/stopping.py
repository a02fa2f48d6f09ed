"""Rules that end a stream: a regular expression, a predicate, a complete JSON value, a phrase that is repeated."""

from __future__ import annotations

import re
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

from polyglot_streams.checks import count
from polyglot_streams.pieces import piece_of
from polyglot_streams.stages import FunctionStage, PartialStage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from polyglot_core import PartialInferenceResponse

    Partial = PartialInferenceResponse[Any]

__all__ = ["StopAfter", "StopRule", "StopWhen", "json_complete", "matches", "repeated_ngram"]


class StopRule(Protocol):
    """Decides from the text of choice 0 where a stream ends. A rule belongs to one stream."""

    def feed(self, text: str) -> int | None:
        """Take the next piece of text. Return how many characters of it are emitted before the end, None for no end."""
        ...

    def __str__(self) -> str:
        """Return what ended the stream, to complete the sentence "A rule ended the stream: …"."""
        ...


class matches:  # noqa: N801 (a rule reads as a word)
    """A rule that is met by the first match of a regular expression.

    Each piece of text is searched together with the end of the text before it, so that the work is linear.

    Args:
        pattern: The regular expression.
        window: Number of characters before a piece that are searched again. A longer match may be missed.
    """

    def __init__(self, pattern: re.Pattern[str], window: int = 1000) -> None:
        self._pattern = pattern
        self._window = window
        self._before = ""

    def feed(self, text: str) -> int | None:
        """Take the next piece of text."""
        before = self._before
        known = len(before)
        searched = before + text
        for match in self._pattern.finditer(searched):
            if match.end() > known:
                return match.end() - known
        self._before = searched[-self._window :]
        return None

    def __str__(self) -> str:
        return f"the text matched {self._pattern.pattern!r:.100}"


_JSON_MARK = re.compile(r'["\\{}\[\]]')
_IN_STRING = re.compile(r'["\\]')


class json_complete:  # noqa: N801 (a rule reads as a word)
    """A rule that is met when the first JSON object or list in the text is complete; prose around it is ignored."""

    def __init__(self) -> None:
        self._depth = 0
        self._in_string = False
        self._escaped = False

    def feed(self, text: str) -> int | None:
        """Take the next piece of text."""
        position = 0
        if self._escaped and text:
            self._escaped, position = False, 1
        while True:
            match = (_IN_STRING if self._in_string else _JSON_MARK).search(text, position)
            if match is None:
                return None
            position = match.end()
            if self._take(match[0]):
                return position
            if self._escaped and position < len(text):
                self._escaped, position = False, position + 1

    def _take(self, mark: str) -> bool:
        """Take a character that matters. Return whether it completes the value."""
        if self._in_string:
            self._escaped = mark == "\\"
            self._in_string = mark != '"'
        elif mark in "{[":
            self._depth += 1
        elif self._depth:
            self._in_string = mark == '"'
            self._depth -= mark in "}]"
            return self._depth == 0
        return False

    def __str__(self) -> str:
        return "the JSON value is complete"


_WORDS = re.compile(r"\S+")


class repeated_ngram:  # noqa: N801 (a rule reads as a word)
    """A rule that is met when the model repeats a phrase over and over: an n-gram of words, again and again in a row.

    The work for each word is proportional to `longest`, and nothing but the last `longest` words is kept.

    Args:
        times: How often the phrase is received in a row.
        longest: Number of words of the longest phrase that is noticed.
        least: Number of words that the repetition has at least, so that "ha ha ha" is none.
    """

    def __init__(self, times: int = 4, longest: int = 24, least: int = 16) -> None:
        self._times = count("times", times, 2)
        self._least = count("least", least, 1)
        self._recent: deque[str] = deque(maxlen=count("longest", longest, 1))
        self._equal = [0] * longest  # for each period: how many of the last words equal the word one period before
        self._word = ""
        self._found = ""

    def feed(self, text: str) -> int | None:
        """Take the next piece of text."""
        for match in _WORDS.finditer(text):
            word = match[0]
            if match.start() == 0:
                word = (self._word + word)[:_LONGEST_WORD]
            elif self._word and self._take(self._word):
                return match.start()
            self._word = word
        if self._word and text[-1:].isspace():
            word, self._word = self._word, ""
            if self._take(word):
                return len(text)
        return None

    def _take(self, word: str) -> bool:
        """Take a whole word. Return whether it completes a repetition."""
        recent = self._recent
        found = False
        for index, before in enumerate(reversed(recent)):
            period = index + 1
            self._equal[index] = equal = self._equal[index] + 1 if before == word else 0
            if equal >= max(period * (self._times - 1), self._least - period):
                self._found = " ".join((*list(recent)[len(recent) - index :], word))
                found = True
                break
        recent.append(word)
        return found

    def __str__(self) -> str:
        return f"the model repeated {self._found!r:.100}"


_LONGEST_WORD = 200
"""Number of characters of a word that are compared. More would be held without a bound in a text without spaces."""


class StopWhen(PartialStage):
    """Ends a stream by a rule about its text."""

    def __init__(self, rule: StopRule) -> None:
        self._rule = rule

    def take_partial(self, partial: Partial, now: float) -> Iterable[Partial]:  # noqa: ARG002 (a rule knows no time)
        """Take a partial."""
        text = partial.content_delta
        if not text or partial.choice != 0 or (end := self._rule.feed(text)) is None:
            return (partial,)
        self.stopped = f"stop_when ended the stream: {self._rule}."
        return (piece_of(partial, text[:end], held=len(text) - end),) if end < len(text) else (partial,)


class StopAfter(FunctionStage["Partial", "Partial"]):
    """Ends a stream after a partial for which the caller's function returns true."""

    def __init__(self, function: Callable[[Partial], Any]) -> None:
        super().__init__(function)

    def take(self, item: Partial, result: Any) -> Iterable[Partial]:  # noqa: ANN401 (what the function returns)
        """Take a partial."""
        if result:
            name = getattr(self.function, "__qualname__", type(self.function).__name__)
            self.stopped = f"stop_when ended the stream: {name} returned true."
        return (item,)
