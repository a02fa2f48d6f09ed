"""Prints what Polyglot does about every fault of the matrix, sync and async, beside what is promised.

From the checkout's folder::

    python -m tests.faults

``--row N`` plays one row (more than once for several), ``--dialects`` the commonest faults in every dialect, ``--peers`` the scenarios that seven
providers' own libraries were tried with, and ``--promises`` prints what is promised and plays nothing. The exit code is 1
if anything differs.
"""

from __future__ import annotations

import argparse
import gc
import sys
import warnings
from collections.abc import Callable

from . import dialects, peers, spellings
from .matrix import ROWS, SCENARIOS, dialect_table, listed, matrix_table, play
from .stage import Scenario


def main() -> int:
    """Read the arguments, play the scenarios, print the table, and return the exit code."""
    arguments = _arguments()
    warnings.simplefilter("error")
    warnings.filterwarnings(
        "ignore", "Async generator 'http", ResourceWarning
    )  # on trio, as the settings of pytest say
    gc.collect()
    gc.freeze()  # freeze existing objects, so that the garbage collection after each scenario stays fast
    complaints: list[str] = []
    sys.unraisablehook = lambda told: complaints.append(repr(told.exc_value))
    differ = _shown(arguments)
    gc.collect()  # unclosed objects warn now
    if complaints:
        print(f"\nException ignored: {complaints}")
    return int(differ or bool(complaints))


def _shown(arguments: argparse.Namespace) -> bool:
    """Print the selected table and return whether anything differs."""
    if arguments.promises:
        print(listed([*SCENARIOS, *dialects.SCENARIOS]))
        return False
    if arguments.spellings:
        print(table := spellings.draw_spellings())
        if arguments.write:
            spellings.PAGE.write_text(spellings.page_with(table), "utf-8")
        return False
    if arguments.peers:
        lines = peers.compare(_progress())
        print(peers.peer_table(lines))
        return any(line.differs for line in lines)
    if arguments.dialects:
        found = play(dialects.SCENARIOS, _progress())
        print(dialect_table(found))
    else:
        rows = [row for row in ROWS.values() if not arguments.row or row.number in arguments.row]
        numbers = {row.number for row in rows}
        found = play([each for each in SCENARIOS if each.row in numbers], _progress())
        print(matrix_table(found, rows))
    played, wrong = (
        sum(sum(row.played.values()) for row in found.values()),
        sum(len(row.differences) for row in found.values()),
    )
    print(f"\n{played} scenarios played, {wrong} not as promised.")
    return bool(wrong)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m tests.faults", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--row", type=int, action="append", choices=ROWS, metavar="N", help="only this row")
    parser.add_argument("--dialects", action="store_true", help="the commonest faults in every dialect")
    parser.add_argument("--peers", action="store_true", help="beside the providers' own libraries")
    parser.add_argument("--spellings", action="store_true", help="errors within a stream, in every spelling")
    parser.add_argument("--write", action="store_true", help="write the table of spellings into its page")
    parser.add_argument("--promises", action="store_true", help="only print what is promised")
    return parser.parse_args()


def _progress() -> Callable[[Scenario], object]:
    """Print a line that changes in place on a terminal, and nothing elsewhere."""
    if not sys.stderr.isatty():
        return lambda _scenario: None
    return lambda scenario: print(f"\r\033[K{scenario}\r", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
