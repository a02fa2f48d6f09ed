"""Fuzzes, guided by what the bytes reach, and prints a table: target, runs, seconds, crashes, edges, features.

From the checkout's folder, with the group ``fuzz`` installed::

    python -m tests.fuzz sse.stream --seconds 60

Names are those of ``--list``, or the beginning of several; without one, all are fuzzed. ``POLYGLOT_CORPUS`` adds recorded
bodies to the seeds. What breaks a rule is kept in ``--keep FOLDER``, and ``--replay FILE`` tries it again.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

_INSTRUMENTED = (
    "polyglot_core",
    "polyglot_anthropic",
    "polyglot_bedrock",
    "polyglot_cohere",
    "polyglot_google",
    "polyglot_mistral",
    "polyglot_ollama",
    "polyglot_openai",
)
_LONGEST = 8192  # bytes of an input
_MEMORY = 1024  # MiB that a target may take
_PATIENCE = 20  # seconds that one input may take
_WORD = re.compile(rb"[\w.:!-]{3,24}")
_STATUS = re.compile(r"cov: (\d+) ft: (\d+)")
_RUNS = re.compile(r"stat::number_of_executed_units:\s*(\d+)")
_CHILD = "POLYGLOT_FUZZ_TARGET"


class Row(NamedTuple):
    """The result of a target."""

    target: str
    runs: int
    seconds: float
    crashes: int
    edges: int
    features: int


def main() -> None:
    """Read the arguments and fuzz, or run as the child process for one target."""
    if name := os.environ.get(_CHILD):
        _fuzz(name)
    arguments = _arguments()
    if arguments.list:
        print("\n".join(_names()))
    elif arguments.replay:
        _replay(arguments.targets, arguments.replay)
    else:
        rows = [_run(name, arguments.seconds, arguments.keep) for name in _chosen(arguments.targets)]
        print(_table(rows))
        sys.exit(any(row.crashes for row in rows))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m tests.fuzz", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="a target, or the beginning of several; all")
    parser.add_argument("--seconds", type=int, default=60, help="how long each is fuzzed; default: %(default)s")
    parser.add_argument("--keep", type=Path, help="folder for inputs that break a rule; they are told of in any case")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="try this input again, without the fuzzer")
    parser.add_argument("--list", action="store_true", help="name the targets")
    return parser.parse_args()


def _names() -> list[str]:
    from .targets import TARGETS  # not for the child, which imports it instrumented

    return list(TARGETS)


def _chosen(beginnings: list[str]) -> list[str]:
    chosen = [name for name in _names() if not beginnings or name.startswith(tuple(beginnings))]
    return chosen or sys.exit(f"No target begins with {beginnings}; there are {', '.join(_names())}.")


def _replay(beginnings: list[str], file: Path) -> None:
    from .targets import TARGETS  # as above

    for name in _chosen(beginnings):
        TARGETS[name].check(file.read_bytes())
        print(f"{name}: all rules hold")


# The parent


def _run(name: str, seconds: int, keep: Path | None) -> Row:
    """Fuzz one target in a separate process, because a fuzzer ends its process."""
    with tempfile.TemporaryDirectory(prefix="polyglot-fuzz-") as scratch:
        kept = keep or Path(scratch) / "crashes"
        kept.mkdir(parents=True, exist_ok=True)
        options = [
            f"-max_total_time={seconds}",
            f"-max_len={_LONGEST}",
            f"-rss_limit_mb={_MEMORY}",
            f"-timeout={_PATIENCE}",
            f"-artifact_prefix={kept}/{name}.",
            "-print_final_stats=1",
        ]
        started = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "tests.fuzz", scratch, *options],
            env={**os.environ, _CHILD: name},
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        took = time.monotonic() - started
    crashed = done.returncode != 0
    if crashed:
        print(f"--- {name}\n{_told(done.stdout + done.stderr)}\n", flush=True)
    edges, features = map(int, (_STATUS.findall(done.stderr) or [(0, 0)])[-1])
    runs = int((_RUNS.findall(done.stderr) or [0])[-1])
    print(f"{name}: {runs} runs", file=sys.stderr, flush=True)
    return Row(name, runs, took, int(crashed), edges, features)


def _told(output: str) -> str:
    """Return the output of a crashed child, without the fuzzer's progress log."""
    lines = [line for line in output.splitlines() if not line.startswith(("#", "INFO:", "stat::", "\tNEW_FUNC"))]
    return "\n".join(line[:2000] for line in lines[-60:])


def _table(rows: list[Row]) -> str:
    width = max(len(row.target) for row in rows)
    head = f"{'target':{width}} {'runs':>9} {'seconds':>8} {'crashes':>8} {'edges':>7} {'features':>9}"
    lines = [
        f"{row.target:{width}} {row.runs:9} {row.seconds:8.1f} {row.crashes:8} {row.edges:7} {row.features:9}"
        for row in rows
    ]
    return "\n".join(["", head, *lines])


# The child


def _fuzz(name: str) -> None:
    import atheris  # only a process that fuzzes needs it

    with atheris.instrument_imports(include=_INSTRUMENTED):
        from .targets import TARGETS

    target = TARGETS[name]
    _, scratch, *options = sys.argv
    seeds = list(target.seeds())
    corpus = Path(scratch) / "corpus"
    corpus.mkdir()
    for number, seed in enumerate(seeds):
        (corpus / str(number)).write_bytes(seed)
    words = Path(scratch) / "words"
    words.write_text(
        "\n".join(sorted({f'"{word.decode()}"' for seed in seeds for word in _WORD.findall(seed) if word.isascii()}))
    )
    atheris.Setup(["fuzz", *options, f"-dict={words}", str(corpus)], target.check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
