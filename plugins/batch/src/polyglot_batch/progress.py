"""Progress of many calls: how many are done, how fast, what they cost; on a terminal, as one line that is rewritten."""

from __future__ import annotations

import contextlib
import os
import sys
from time import monotonic
from typing import TYPE_CHECKING

from polyglot_batch.costs import Total, cost
from polyglot_core import Usage

if TYPE_CHECKING:
    from typing import TextIO

    from polyglot_batch.prices import Prices
    from polyglot_batch.results import Result

__all__ = ["Progress", "Tally"]

_EVERY = 0.1  # seconds between two lines
_BAR = 24  # characters


class Tally:
    """What has been done so far.

    Attributes:
        done: Calls that have ended.
        errors: Those of them that ended with an error.
        input_tokens: Tokens of their prompts, as far as they are known.
        output_tokens: Tokens of their responses.
        cost: What they cost, with errors that were paid for.
    """

    def __init__(self, prices: Prices | None = None) -> None:
        self._prices = prices
        self.done = self.errors = self.input_tokens = self.output_tokens = 0
        self.cost = Total()

    def add(self, result: Result) -> None:
        """Count a result."""
        self.done += 1
        self.errors += result.error is not None
        if (response := result.received) is not None:
            usage = response.usage or Usage()
            self.input_tokens += usage.input_tokens or 0
            self.output_tokens += usage.output_tokens or 0
            self.cost += cost(response, request=result.request, prices=self._prices)


class Progress:
    """Counts results, and shows the progress on a terminal.

    Attributes:
        tally: What has been done so far.
    """

    def __init__(
        self, total: int | None, *, shown: bool | None = None, done: int = 0, prices: Prices | None = None
    ) -> None:
        stream: TextIO | None = sys.stderr
        terminal = stream is not None and stream.isatty()
        self.tally = Tally(prices)
        self._total = total
        self._before = done
        self._stream = stream if terminal and shown is not False else None
        self._begun, self._written = monotonic(), 0.0

    def add(self, result: Result) -> None:
        """Count a result."""
        self.tally.add(result)
        if self._stream is not None and monotonic() - self._written > _EVERY:
            self._write(self._stream)

    def close(self) -> None:
        """Show the last line, once."""
        stream, self._stream = self._stream, None
        if stream is not None and self.tally.done:
            self._write(stream)
            stream.write("\n")

    def line(self, columns: int | None = None) -> str:
        """Return the progress as a line of at most so many columns, with a shorter bar if need be."""
        line = self._line(_BAR)
        if columns is None or len(line) <= columns:
            return line
        return self._line(max(_BAR - len(line) + columns, 0)).strip()[:columns]

    def _line(self, bar: int) -> str:
        tally, seconds = self.tally, max(monotonic() - self._begun, 1e-6)
        done, rate = self._before + tally.done, tally.done / seconds
        parts = [f"{done}" if self._total is None else f"{_bar(done, self._total, bar)} {done}/{self._total}"]
        parts.append(f"{rate:.1f}/s")
        parts.append(f"{_short(tally.input_tokens)} + {_short(tally.output_tokens)} tokens")
        if tally.cost.known:
            parts.append(str(tally.cost))
        parts.append(f"{tally.errors} error{'' if tally.errors == 1 else 's'}")
        if self._total is not None and rate and done < self._total:
            minutes, left = divmod(round((self._total - done) / rate), 60)
            parts.append(f"{minutes}:{left:02} left")
        return " · ".join(parts)

    def _write(self, stream: TextIO) -> None:
        self._written = monotonic()
        with contextlib.suppress(OSError, ValueError):  # a terminal that was closed, or that has no such characters
            stream.write(f"\r\x1b[2K{self.line(_columns(stream))}")
            stream.flush()


def _columns(stream: TextIO) -> int | None:
    """Return the columns for a line that does not wrap, because only its last part would be rewritten.

    Some terminals wrap after the last one, and Ctrl-C is shown as two characters.
    """
    try:
        return (os.get_terminal_size(stream.fileno()).columns or 83) - 3
    except (AttributeError, OSError, ValueError):  # an object that stands in for a terminal
        return None


def _bar(done: int, total: int, width: int) -> str:
    filled = width * done // max(total, 1)
    return "█" * filled + "░" * (width - filled)


def _short(count: int) -> str:
    for unit, size in (("M", 1_000_000), ("k", 1_000)):
        if count >= size:
            return f"{count / size:.1f}{unit}"
    return str(count)
