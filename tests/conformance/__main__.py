"""Prints how the answers to the recorded exchanges compare with what is expected of them.

From the checkout's folder::

    POLYGLOT_CORPUS=FOLDER python -m tests.conformance --by provider

``--provider NAME`` takes one provider, ``--list N`` the first N mismatches, ``--style`` and ``--cut`` another way to ask,
and ``--write-baseline`` stores the counts by provider as the least that the tests expect.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from .asking import Cut, Style, Way, ask_all
from .corpus import VARIABLE, folder, judged
from .judging import judge

if TYPE_CHECKING:
    from collections.abc import Callable

    from .judging import Score

BASELINE = Path(__file__).with_name("baseline.toml")


def main() -> None:
    """Read the arguments, ask, and print."""
    arguments = _arguments()
    corpus = folder()
    if corpus is None:
        sys.exit(f"Set {VARIABLE} to the folder of recorded exchanges, the one that holds expected.jsonl.")
    exchanges = [each for each in judged(corpus) if arguments.provider in {None, each.provider}]
    way = Way(arguments.style, arguments.cut)
    answers = ask_all(exchanges, way, _progress(len(exchanges), way))
    text, scores, _ = judge(corpus, answers, arguments.provider, str(arguments.list))
    print(text if arguments.by else text.partition("\nwhole matches")[0] + "\n" + "\n".join(text.splitlines()[-2:]))
    if arguments.write_baseline:
        BASELINE.write_text(_baseline(scores), "utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m tests.conformance", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--by", choices=["provider"], help="also the whole matches by provider")
    parser.add_argument("--provider", help="only the exchanges with this provider")
    parser.add_argument("--list", type=int, default=0, metavar="N", help="the first N mismatches")
    parser.add_argument("--style", choices=get_args(Style), default="sync", help="default: %(default)s")
    parser.add_argument("--cut", choices=get_args(Cut), default="as it came", help="default: %(default)s")
    parser.add_argument("--write-baseline", action="store_true", help="store the counts as the least expected")
    return parser.parse_args()


def _progress(total: int, way: Way) -> Callable[[int], object]:
    """A line that grows in place on a terminal, and nothing elsewhere."""
    if not sys.stderr.isatty():
        return lambda _done: None

    def show(done: int) -> None:
        end = "\r\033[K" if done == total else ""
        print(f"\r{way}: {done} of {total}{end}", end="", file=sys.stderr, flush=True)

    return show


def _baseline(scores: dict[str, Score]) -> str:
    lines = ["# Exchanges of each provider that are right in every field; written by `--write-baseline`.", ""]
    return "\n".join([*lines, *(f"{provider} = {score.whole}" for provider, score in sorted(scores.items())), ""])


if __name__ == "__main__":
    main()
