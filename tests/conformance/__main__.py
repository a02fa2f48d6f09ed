"""Prints how the responses of the recorded exchanges compare with the expected ones.

From the checkout's folder::

    POLYGLOT_CORPUS=FOLDER python -m tests.conformance --by provider

``--dialect NAME`` takes one dialect, ``--provider NAME`` one provider, ``--list N`` the first N mismatches, ``--style`` and ``--cut`` another way to ask,
and ``--write-baseline`` stores the counts by dialect and provider as the least that the tests expect.
"""

from __future__ import annotations

import argparse
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from .corpus import VARIABLE, folder, judged
from .endpoints import DRIVERS, is_spoken
from .judging import Score, judge
from .replaying import Cut, Style, Way, replay_all

if TYPE_CHECKING:
    from collections.abc import Callable

    Scores = dict[str, Score]

BASELINE = Path(__file__).with_name("baseline.toml")


def main() -> None:
    """Read the arguments, replay, and print."""
    arguments = _arguments()
    corpus = folder()
    if corpus is None:
        sys.exit(f"Set {VARIABLE} to the folder of recorded exchanges, the one that holds expected.jsonl.")
    scores = {}
    for dialect in [arguments.dialect] if arguments.dialect else DRIVERS:
        if is_spoken(dialect):
            scores[dialect] = _shown(corpus, dialect, arguments)
        else:
            print(f"\n{dialect}: left out, because the driver {DRIVERS[dialect]!r} is not installed")
    print("\n" + _totals(scores))
    if arguments.write_baseline:
        BASELINE.write_text(_baseline(scores), "utf-8")


def _shown(corpus: Path, dialect: str, arguments: argparse.Namespace) -> Scores:
    """Replay all exchanges of `dialect`, print the verdict of ``check.py``, and count."""
    exchanges = [each for each in judged(corpus, dialect) if arguments.provider in {None, each.provider}]
    if not exchanges:
        return {}
    way = Way(arguments.style, arguments.cut)
    answers = replay_all(exchanges, way, _progress(len(exchanges), way))
    text, scores, _ = judge(corpus, dialect, answers, arguments.provider, str(arguments.list))
    text = text if arguments.by else text.partition("\nwhole matches")[0] + "\n" + "\n".join(text.splitlines()[-2:])
    print(f"\n{dialect}\n\n{text}")
    return scores


def _totals(scores: dict[str, Scores]) -> str:
    """Print a line for each dialect: exchanges that match in every field, of those judged."""
    counts = {dialect: Score.sum(by_provider.values()) for dialect, by_provider in scores.items() if by_provider}
    counts["all"] = Score.sum(counts.values())
    rows = [f"{name:24}{score.whole:6} of {score.judged:<6}{score.share:8.2%}" for name, score in counts.items()]
    return "\n".join(["exchanges that are right in every field", *rows])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m tests.conformance", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--by", choices=["provider"], help="also the whole matches by provider")
    parser.add_argument("--dialect", choices=DRIVERS, help="only the exchanges in this dialect")
    parser.add_argument("--provider", help="only the exchanges with this provider")
    parser.add_argument("--list", type=int, default=0, metavar="N", help="the first N mismatches")
    parser.add_argument("--style", choices=get_args(Style), default="sync", help="default: %(default)s")
    parser.add_argument("--cut", choices=get_args(Cut), default="as it came", help="default: %(default)s")
    parser.add_argument("--write-baseline", action="store_true", help="store the counts as the least expected")
    return parser.parse_args()


def _progress(total: int, way: Way) -> Callable[[int], object]:
    """Print a line that grows in place on a terminal, and nothing elsewhere."""
    if not sys.stderr.isatty():
        return lambda _done: None

    def show(done: int) -> None:
        end = "\r\033[K" if done == total else ""
        print(f"\r{way}: {done} of {total}{end}", end="", file=sys.stderr, flush=True)

    return show


def _baseline(scores: dict[str, Scores]) -> str:
    """Return the baseline with the counts of `scores`; what was not replayed is unchanged."""
    stored = tomllib.loads(BASELINE.read_text("utf-8")) if BASELINE.exists() else {}
    lines = ["# Exchanges of each provider that are right in every field, by dialect; written by `--write-baseline`."]
    for dialect in DRIVERS:
        counted = {provider: score.whole for provider, score in scores.get(dialect, {}).items()}
        least = sorted({**stored.get(dialect, {}), **counted}.items())
        lines += ["", f"[{dialect}]", *(f"{provider} = {whole}" for provider, whole in least)] if least else []
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
