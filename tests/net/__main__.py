"""Records what Polyglot's callers get, and compares two records: a change of texts and names must show nothing else.

From the checkout's folder::

    POLYGLOT_CORPUS=FOLDER python -m tests.net record FILE
    python -m tests.net compare OLD NEW --rename how:again=retry --rename seam=resumption

``record`` replays every recorded exchange and plays every row of the fault matrix, sync and async; ``--cases FOLDER``
also runs the scripts of a folder. ``compare`` exits with 1 if facts differ, and reports differing texts apart.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..conformance.corpus import VARIABLE, folder
from .cases import case_record, scripts
from .comparing import Renames, compare_records
from .exchanges import STYLES, paths, record_exchanges
from .records import Record, read_records, write_records
from .rows import all_scenarios, prepare_worker, record_scenarios

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

EXCHANGES_A_TASK = 60
SCENARIOS_A_TASK = 12

KINDS = {
    "exchanges": {"exchange"},
    "rows": {"row", "dialect"},
    "cases": {"case"},
    "attack": {"attack"},
}
"""Kinds of records, by the name that ``--only`` takes."""


def main() -> int:
    """Read the arguments and do what they name; returns the exit code."""
    arguments = _arguments()
    return _record(arguments) if arguments.command == "record" else _compare(arguments)


def _record(arguments: argparse.Namespace) -> int:
    corpus = folder()
    if corpus is None and "exchanges" in arguments.only:
        print(f"Set {VARIABLE} to the folder of recorded exchanges, or leave them out by --only rows.", file=sys.stderr)
        return 2
    begun = time.monotonic()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(arguments.processes, context, initializer=prepare_worker) as pool:
        tasks = list(_tasks(pool.submit, corpus, arguments.only))
        with ThreadPoolExecutor(arguments.processes) as threads:
            tasks += _case_tasks(threads.submit, arguments)
            records = list(_gathered(tasks))
    count = write_records(records, arguments.file)
    print(f"{count} records in {time.monotonic() - begun:.0f} s", file=sys.stderr)
    return 0


def _tasks(submit: Callable[..., Future[list[Record]]], corpus: Path | None, only: list[str]) -> Iterator[Future]:
    for style in STYLES:
        if "rows" in only:
            for numbers in _batches(range(len(all_scenarios())), SCENARIOS_A_TASK):
                yield submit(record_scenarios, numbers, style)
        if "exchanges" in only and corpus is not None:
            for named in _batches(paths(corpus), EXCHANGES_A_TASK):
                yield submit(record_exchanges, corpus, named, style)


def _batches(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _case_tasks(submit: Callable[..., Future[Record]], arguments: argparse.Namespace) -> list[Future]:
    if arguments.cases is None or "cases" not in arguments.only:
        return []
    found = scripts(arguments.cases, attack=arguments.attack and "attack" in arguments.only)
    return [submit(lambda script: [case_record(script)], script) for script in found]


def _gathered(tasks: list[Future[list[Record]]]) -> Iterator[Record]:
    """Yield the records of tasks as they end, with the progress on stderr."""
    for done, task in enumerate(as_completed(tasks), start=1):
        yield from task.result()
        end = "\r" if sys.stderr.isatty() and done < len(tasks) else "\n"
        if sys.stderr.isatty() or done % 10 == 0 or done == len(tasks):
            print(f"{done} of {len(tasks)} tasks", end=end, file=sys.stderr, flush=True)


def _compare(arguments: argparse.Namespace) -> int:
    renames = [*arguments.rename]
    for file in arguments.renames:
        renames += file.read_text("utf-8").splitlines()
    kinds = {kind for part in arguments.only for kind in KINDS[part]}
    old, new = (
        [each for each in read_records(file) if each.key.kind in kinds] for file in (arguments.old, arguments.new)
    )
    found = compare_records(old, new, Renames(renames), arguments.ignore)
    print(found.report(arguments.list, arguments.texts))
    return 0 if found.same else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m tests.net", description=(__doc__ or "").partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    record = commands.add_parser("record", help="record into a file")
    record.add_argument("file", type=Path, metavar="FILE")
    record.add_argument("--only", nargs="+", choices=KINDS, default=list(KINDS), help="default: all that is named")
    record.add_argument("--cases", type=Path, metavar="FOLDER", help="also run the scripts of a folder")
    record.add_argument("--attack", action="store_true", help="also those in its folder attack, for exit codes")
    record.add_argument("--processes", type=int, default=min(2, os.cpu_count() or 1), help="default: %(default)s")
    compare = commands.add_parser("compare", help="compare two files")
    compare.add_argument("old", type=Path, metavar="OLD")
    compare.add_argument("new", type=Path, metavar="NEW")
    compare.add_argument("--only", nargs="+", choices=KINDS, default=list(KINDS), help="default: all")
    compare.add_argument("--rename", action="append", default=[], metavar="[FIELD:]OLD=NEW", help="a name that changed")
    compare.add_argument("--renames", action="append", default=[], type=Path, metavar="FILE", help="one rename a line")
    compare.add_argument("--ignore", action="append", default=[], metavar="FIELD", help="leave a field out")
    compare.add_argument("--list", type=int, default=20, metavar="N", help="facts to list (default: %(default)s)")
    compare.add_argument(
        "--texts", type=int, default=0, metavar="N", help="changed texts to list, the most frequent first"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
