"""Stages that change when text is emitted, and in which pieces: smooth, coalesce, with_heartbeat."""

from __future__ import annotations

import re
from collections import deque
from typing import TYPE_CHECKING, Any

from polyglot_core import RequestError
from polyglot_streams.checks import pattern_of
from polyglot_streams.pieces import joined, nothing_new, piece_of
from polyglot_streams.stages import PartialStage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from polyglot_core import PartialInferenceResponse

    Partial = PartialInferenceResponse[Any]
    Boundary = Callable[[str, int], re.Match[str] | None]

__all__ = ["Coalesce", "Heartbeat", "Smooth", "boundary"]

# Scripts without spaces between words: kana, Chinese characters, Thai to Khmer. Each of their characters is a piece.
_UNSPACED = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3001-\u30ff\u3400-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"\s*+(?:[{_UNSPACED}]|[^\s{_UNSPACED}]++(?=[\s{_UNSPACED}]))")
_LINE = re.compile(r"[^\n]*+\n")
_LONGEST = 1000
"""Number of characters that are held while no boundary is received. More are emitted as they are."""


def boundary(by: str | re.Pattern[str]) -> Boundary:
    """Return a function that finds the end of the next piece in a text, from a position on.

    Raises:
        RequestError: `by` is no regular expression; or a plain word, which is most likely a misspelt name.
    """
    if by == "word":
        return _WORD.match  # both match from any position on: a search from the next one would be quadratic
    if by == "line":
        return _LINE.match
    if isinstance(by, str) and by.isalpha():
        msg = f"by is 'word', 'line' or a regular expression, not {by!r}; a plain word is given as re.compile({by!r})."
        raise RequestError(msg, phase="encode")
    return pattern_of("by", by).search


def is_text(partial: Partial) -> bool:
    """Return whether a partial has new text and nothing else."""
    return bool(partial.content_delta) and not (
        partial.reasoning_delta or partial.refusal_delta or partial.finish_reason or partial.seam
    )


class Smooth(PartialStage):
    """Cuts text at boundaries, and emits the pieces with a delay between two of them.

    What follows the last boundary is held, for each choice: its text, and the last partial with a part of it.
    """

    def __init__(self, find: Boundary, delay: float) -> None:
        self._find = find
        self._delay = delay
        self._held: dict[int, tuple[str, Partial]] = {}
        self._queue: deque[Any] = deque()
        self._next = 0.0  # moment at which the next piece may be emitted

    def take_partial(self, partial: Partial, now: float) -> Iterable[Partial]:
        """Take a partial."""
        choice = partial.choice
        if not is_text(partial):
            self._queue.extend((*self._rest(choice), partial))
        else:
            before = self._held.pop(choice, None)
            text = partial.content_delta if before is None else before[0] + partial.content_delta
            self._queue.extend(self._cut(text, partial))
        return self._due(now)

    def pass_on(self, item: object, now: float) -> Iterable[Any]:
        """Take another item."""
        self._release()
        self._queue.append(item)
        return self._due(now)

    def wake(self, now: float) -> Iterable[Any]:
        """Emit the next piece."""
        return self._due(now)

    def flush(self, now: float) -> Iterable[Any]:
        """Emit what is held, as the last pieces."""
        self._release()
        return self._due(now)

    def _release(self) -> None:
        """Hold nothing any more."""
        for choice in tuple(self._held):
            self._queue.extend(self._rest(choice))

    def _cut(self, text: str, partial: Partial) -> Iterator[Partial]:
        """Return the pieces of a text, of which the partial is the last part, and hold what follows them."""
        start = 0
        while (match := self._find(text, start)) is not None and match.end() > start:
            yield piece_of(partial, text[start : match.end()], held=len(text) - match.end())
            start = match.end()
        rest = text[start:]
        if len(rest) > _LONGEST:
            yield piece_of(partial, rest)
        elif rest:
            self._held[partial.choice] = (rest, partial)

    def _rest(self, choice: int) -> Iterator[Partial]:
        if (held := self._held.pop(choice, None)) is not None:
            yield piece_of(held[1], held[0])

    def _due(self, now: float) -> Iterable[Any]:
        """Return the pieces that may be emitted, and set the deadline of the next one.

        What has no text is emitted at once when its turn is.
        """
        emitted: list[Any] = []
        while self._queue:
            waits = bool(self._delay and getattr(self._queue[0], "content_delta", ""))
            if waits and now < self._next:
                break
            emitted.append(self._queue.popleft())
            if waits:
                self._next = now + self._delay
        self.full = bool(self._queue)
        self.deadline = self._next if self.full else None
        return emitted


class Coalesce(PartialStage):
    """Joins partials, so that each choice gets at most one per window.

    A partial is emitted at once if none was in the last window. A finish, a seam and another kind of content are not
    joined with earlier ones.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._held: dict[int, list[Partial]] = {}
        self._next = 0.0  # moment at which the window ends

    def take_partial(self, partial: Partial, now: float) -> Iterable[Partial]:
        """Take a partial."""
        emitted: list[Partial] = []
        held = self._held.get(partial.choice)
        if held is not None and _kind(held[-1]) != _kind(partial):
            emitted.append(joined(self._held.pop(partial.choice)))
        if partial.finish_reason or partial.seam:
            emitted.append(partial)
        else:
            self._held.setdefault(partial.choice, []).append(partial)
        if now >= self._next:
            emitted.extend(self.wake(now))
        else:
            self.deadline = self._next if self._held else None
        return emitted

    def wake(self, now: float) -> Iterable[Partial]:
        """Emit what the window has received."""
        self._next = now + self._seconds
        return self.flush(now)

    def flush(self, now: float) -> Iterable[Partial]:  # noqa: ARG002 (what is held is emitted at any time)
        """Emit what is held."""
        held, self._held = self._held, {}
        self.deadline = None
        return [joined(partials) for partials in held.values()]


def _kind(partial: Partial) -> tuple[bool, ...]:
    """Return which kinds of content a partial has; partials of one kind are joined."""
    fields = partial.content_delta, partial.reasoning_delta, partial.refusal_delta, partial.finish_reason, partial.seam
    return tuple(map(bool, fields))


class Heartbeat(PartialStage):
    """Emits a partial with nothing new when nothing was emitted for some time."""

    def __init__(self, seconds: float, now: float) -> None:
        self._seconds = seconds
        self._last: Partial | None = None
        self.deadline = now + seconds

    def take_partial(self, partial: Partial, now: float) -> Iterable[Partial]:
        """Take a partial."""
        self._last = partial
        self.deadline = now + self._seconds
        return (partial,)

    def pass_on(self, item: object, now: float) -> Iterable[Any]:
        """Take another item."""
        self.deadline = now + self._seconds
        return (item,)

    def wake(self, now: float) -> Iterable[Partial]:
        """Emit a heartbeat."""
        self.deadline = now + self._seconds
        return (nothing_new(self._last),)

    def flush(self, now: float) -> Iterable[Partial]:  # noqa: ARG002 (nothing is held)
        """Emit no more heartbeats."""
        self.deadline = None
        return ()
