"""Checks the language of the project: how often words occur in each kind of prose, against limits.

From the checkout's folder::

    python -m tests.architecture.prose                                  the table; exits with 1 beyond the limits
    python -m tests.architecture.prose --worst 20 --family answer       files and lines of a family of words
    python -m tests.architecture.prose core/src --worst 20              only of a folder or file
    python -m tests.architecture.prose --sample 7 --ref OLD --ref HEAD  messages and docstrings, before and after

The limits are data in `words.py`. They are checked of the whole project only, not of a folder.
"""

from __future__ import annotations

import argparse
import sys
from itertools import islice
from typing import TYPE_CHECKING

from .passages import KINDS, Passage, passages, tree_of
from .sampling import sample, shown
from .words import (
    AT_LEAST,
    AT_MOST,
    FAMILIES,
    FUNCTION_KINDS,
    LIMITED_BELOW,
    OPENING,
    PICTURES,
    REPORTED,
    VERBS_AT_LEAST,
    hits,
    opens_with_verb,
    per_thousand,
    verb_share,
    word_count,
    worst_files,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["beyond_limits", "prose_table"]


def main() -> int:
    """Read the arguments, print, and return the exit code."""
    arguments = _arguments()
    if arguments.sample is not None:
        print(_sampled(arguments.sample, arguments.ref or [None]))
        return 0
    with tree_of(arguments.ref[0] if arguments.ref else None) as root:
        found = [each for each in passages(root) if each.path.startswith(tuple(arguments.paths) or "")]
    if arguments.family:
        print("\n".join(_occurrences(found, arguments.family, arguments.worst or 1000)))
        return 0
    beyond = beyond_limits(found)
    print(prose_table(found))
    print("\n" + ("\n".join(["Beyond the limits:", *beyond]) if beyond else "Within the limits."))
    for family in _families_beyond(found):
        print("\n" + "\n".join(_worst(found, family, arguments.worst or 5)))
    return int(bool(beyond) and not arguments.paths)


def _of(found: Sequence[Passage], kind: str) -> list[Passage]:
    return [passage for passage in found if passage.kind == kind]


def _functions(found: Sequence[Passage], kind: str) -> list[Passage]:
    return [passage for passage in _of(found, kind) if passage.of == "function"]


def prose_table(found: Sequence[Passage]) -> str:
    """Return the occurrences in 1,000 words and the share of verbs, by kind of prose; the pictures are counts."""
    kinds = [(kind, _of(found, kind)) for kind in KINDS]
    rows = [("words", "", *(str(word_count(of)) for _, of in kinds))]
    for family in FAMILIES:
        limit = f"<= {AT_MOST[family]:g}" if family in AT_MOST else ""
        limit = f">= {AT_LEAST[family]:g}" if family in AT_LEAST else limit
        rows.append((family, limit, *(f"{per_thousand(of, family):.2f}" for _, of in kinds)))
    shares = [f"{verb_share(_functions(found, kind)):.0%}" if kind in FUNCTION_KINDS else "-" for kind in KINDS]
    rows.append((OPENING, f">= {VERBS_AT_LEAST:.0%}", *shares))
    for name in (*PICTURES, *REPORTED):
        limit = "0" if name in PICTURES else ""
        rows.append((f"“{name}”", limit, *(str(sum(1 for _ in hits(of, name))) for _, of in kinds)))
    return _aligned([("in 1,000 words", "limit", *KINDS), *rows])


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        first, *others = (
            cell.ljust(width) if not at else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        lines.append("  ".join([first, *others]).rstrip())
    return "\n".join(lines)


def beyond_limits(found: Sequence[Passage]) -> list[str]:
    """Return each limit that is not kept, with what was counted."""
    return [f"    {kind}: {text}" for kind in KINDS for text in _beyond(found, kind)]


def _beyond(found: Sequence[Passage], kind: str) -> Iterator[str]:
    of = _of(found, kind)
    for family, most in AT_MOST.items():
        if (rate := per_thousand(of, family)) > most:
            yield f"{family} {rate:.2f} in 1,000 words; at most {most:g}"
    for family, least in AT_LEAST.items():
        if kind in LIMITED_BELOW and of and (rate := per_thousand(of, family)) < least:
            yield f"{family} {rate:.2f} in 1,000 words; at least {least:g}"
    for name in PICTURES:
        if count := sum(1 for _ in hits(of, name)):
            yield f"“{name}” {count} x; it has no technical meaning"
    functions = _functions(found, kind)
    if kind == "docstrings" and functions and (share := verb_share(functions)) < VERBS_AT_LEAST:
        yield f"{share:.0%} of functions' docstrings open with a verb; at least {VERBS_AT_LEAST:.0%}"


def _families_beyond(found: Sequence[Passage]) -> list[str]:
    """Return the families and pictures of which there is too much in any kind of prose."""
    many = [
        name for name, most in AT_MOST.items() if any(per_thousand(_of(found, kind), name) > most for kind in KINDS)
    ]
    many += [name for name in PICTURES if any(True for _ in hits(found, name))]
    low = verb_share(_functions(found, "docstrings")) < VERBS_AT_LEAST
    return [*many, *([OPENING] if low else [])]


def _worst(found: Sequence[Passage], family: str, count: int) -> Iterator[str]:
    yield f"{family}: the worst files"
    files = (
        worst_files(_without_verb(found))
        if family == OPENING
        else worst_files(each.passage for each in hits(found, family))
    )
    yield from (f"{number:6}  {path}" for path, number in islice(files, count))


def _without_verb(found: Sequence[Passage]) -> list[Passage]:
    return [each for each in _functions(found, "docstrings") if not opens_with_verb(each.text)]


def _occurrences(found: Sequence[Passage], family: str, count: int) -> Iterator[str]:
    """Yield the lines of a family, those of the worst files first."""
    if family == OPENING:
        lines = [(each, each.line, each.text.strip().partition("\n")[0]) for each in _without_verb(found)]
    else:
        lines = [(hit.passage, hit.line, hit.text) for hit in hits(found, family)]
    order = {path: number for number, (path, _) in enumerate(worst_files(each for each, _, _ in lines))}
    for passage, line, text in islice(sorted(lines, key=lambda row: (order[row[0].path], row[1])), count):
        yield f"{passage.path}:{line}: [{passage.kind}] {text}"


def _sampled(seed: int, refs: Sequence[str | None]) -> str:
    """Return drawn messages and docstrings of the first commit, each with its counterpart of the second."""
    trees = []
    for ref in refs:
        with tree_of(ref) as root:
            trees.append(passages(root))
    return "\n\n".join(shown(*pair) for pair in sample(seed, trees[0], trees[1] if len(trees) > 1 else None))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m tests.architecture.prose", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument(
        "paths", nargs="*", metavar="PATH", help="only files below these, from the checkout's folder on"
    )
    parser.add_argument(
        "--worst",
        type=int,
        metavar="N",
        help="list N files of each family that is beyond its limit, or N lines of --family",
    )
    parser.add_argument(
        "--family", choices=[*FAMILIES, *PICTURES, *REPORTED, OPENING], help="list files and lines of this family"
    )
    parser.add_argument(
        "--ref",
        action="append",
        default=[],
        metavar="COMMIT",
        help="read a commit instead of the work tree; twice with --sample",
    )
    parser.add_argument("--sample", type=int, metavar="SEED", help="draw twenty error messages and ten docstrings")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
