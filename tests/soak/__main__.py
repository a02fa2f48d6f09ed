"""Soaks the library: thousands of streams with faults among them, and then a look at what is left of them.

From the checkout's folder::

    python -m tests.soak --streams 10000 --at-once 1000 --style all

Each style runs in a process of its own, in Python's development mode and with every warning an error. The exit status
is 1 if a stream ended other than promised, if something was left open or memory grew, or if a process had anything to
say on its standard error, also while it exited.
"""

from __future__ import annotations

import argparse
import faulthandler
import os
import subprocess
import sys
import warnings
from collections.abc import Callable

from .report import report
from .serving import ROOT, serving
from .soaking import Plan, leave_open, soak
from .styles import STYLES

_GROUPS = {"both": ["sync", "async"], "all": list(STYLES)}
_WARM_SHARE, _LEAST_WARM = 20, 100  # one stream in twenty, and a hundred at least, is run before all that is looked at
_SECONDS_TO_GIVE_UP = 120.0  # for what had begun when time was up


def main() -> int:
    """Soak as the arguments say, and return the exit status."""
    arguments = _arguments()
    if arguments.inside:
        return _inside(arguments)
    clean = [_in_a_process(style, arguments) for style in _GROUPS.get(arguments.style, [arguments.style])]
    return 0 if all(clean) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m tests.soak", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--streams", type=int, default=10_000, help="one after the other; default: %(default)s")
    parser.add_argument("--at-once", type=int, default=1_000, help="at the same time; default: %(default)s")
    parser.add_argument("--style", choices=[*STYLES, *_GROUPS], default="both", help="default: %(default)s")
    parser.add_argument(
        "--seconds", type=float, default=1800.0, help="for each style; then no stream is begun; default: %(default)s"
    )
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


# The process that is looked at from outside


def _in_a_process(style: str, arguments: argparse.Namespace) -> bool:
    """Soak in a separate process, and return whether it found no problem."""
    wanted = [f"--streams={arguments.streams}", f"--at-once={arguments.at_once}", f"--seconds={arguments.seconds}"]
    strict = ["-X", "dev", "-W", "error"]
    done = subprocess.run(
        [sys.executable, *strict, "-m", __package__ or "tests.soak", "--inside", f"--style={style}", *wanted],
        cwd=ROOT,
        env={**os.environ, "PYTHONMALLOC": "default"},  # development mode's own allocator gives nothing back
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=arguments.seconds + 2 * _SECONDS_TO_GIVE_UP,
    )
    print(f"standard error, also at exit: {done.stderr.strip() or 'nothing'}\n", flush=True)
    return done.returncode == 0 and not done.stderr


# That process


def _inside(arguments: argparse.Namespace) -> int:
    faulthandler.dump_traceback_later(arguments.seconds + _SECONDS_TO_GIVE_UP, exit=True)
    style = STYLES[arguments.style]
    if style.name == "trio":  # where httpx leaves generators of its own unfinished when a stream is closed early
        warnings.filterwarnings("ignore", r"Async generator 'http(x|core)2?\.", ResourceWarning)
    warm = max(arguments.streams // _WARM_SHARE, _LEAST_WARM)
    plan = Plan(arguments.streams, arguments.at_once, warm, arguments.seconds)
    with serving() as provider:
        figures = soak(plan, style, provider, _progress(style.name))
        leave_open(style, provider)
    print(report(figures), flush=True)
    faulthandler.cancel_dump_traceback_later()
    return 1 if figures.problems() else 0


def _progress(style: str) -> Callable[[int], object]:
    """Print a line that grows in place on a terminal; elsewhere a line now and then."""
    if sys.stdout.isatty():
        return lambda done: print(f"\r\033[K{style}: {done:,} streams", end="\r", flush=True)
    return lambda done: None if done % 1000 else print(f"{style}: {done:,} streams", flush=True)


if __name__ == "__main__":
    sys.exit(main())
