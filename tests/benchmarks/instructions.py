"""How many machine instructions a piece of content takes, by dialect, from the bytes of a read to the partial.

From the checkout's folder, in an environment with all packages, on a machine with valgrind::

    python tests/benchmarks/instructions.py [--dialects a,b] [--write]

Unlike a time, the count is the same on a busy machine, so that a change of a few percent shows. It depends on the
interpreter and its libraries: ``instructions.toml`` holds the counts of one, and ``--write`` replaces them. Each event
is a read. The socket is replaced by a list of bytes. The count of a piece is that of a long stream less that of a short
one, so start and end of a stream do not count.
"""

from __future__ import annotations

import argparse
import os
import pickle
import platform
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from bodies import KINDS, Body, body_of
from clients import connection_for
from in_process import pump_partials
from streams import DIALECTS

from polyglot_core._drivers import discovery

_KEPT = Path(__file__).with_name("instructions.toml")
_SHORT, _LONG = 500, 2500  # pieces
_REFS = re.compile(r"I\s+refs:\s+([\d,]+)")
_TOLERATED = 0.05
_VALGRIND = ("valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null")


def main() -> None:
    """Count, print beside the kept counts, and write; exit with 1 if one has changed by more than 5 %."""
    asked = _arguments()
    if asked.child:
        _read_once(*pickle.loads(Path(asked.child).read_bytes()))  # noqa: S301 (written by the process that started this)
        return
    kept = tomllib.loads(_KEPT.read_text("utf-8")) if _KEPT.exists() else {}
    same = kept.get("interpreter") == _interpreter()
    print(f"instructions a piece, {_interpreter()}" + ("" if same else "; the kept counts are of another interpreter"))
    counts: dict[str, int] = {}
    changed = []
    for driver in asked.dialects:
        for kind in KINDS:
            if (count := _count(driver, kind)) is None:
                continue
            name = f"{driver}, {kind}"
            counts[name], before = count, kept.get("counts", {}).get(name)
            shown = f"{count / before - 1:+.1%}" if same and before else ""
            changed += [name] if same and before and abs(count / before - 1) > _TOLERATED else []
            print(f"  {name:<30}{count:>8}  {shown}", flush=True)
    if asked.write:
        counts = {**(kept.get("counts", {}) if same else {}), **counts}
        lines = [
            f'interpreter = "{_interpreter()}"',
            "",
            "[counts]",
            *(f'"{name}" = {counts[name]}' for name in counts),
        ]
        _KEPT.write_text("\n".join(lines) + "\n", "utf-8")
    elif changed:
        sys.exit(f"changed by more than 5 %: {', '.join(changed)}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--dialects", type=lambda names: tuple(names.split(",")), default=DIALECTS, metavar="A,B")
    parser.add_argument("--write", action="store_true", help=f"replace the counts in {_KEPT.name}")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    return parser.parse_args()


def _interpreter() -> str:
    return f"{platform.python_implementation()} {platform.python_version()}, {platform.machine()}"


def _count(driver: str, kind: str) -> int | None:
    """Return the instructions of a piece; None if the dialect sends this kind at once."""
    short, long = (body_of(driver, kind, pieces) for pieces in (_SHORT, _LONG))
    if long.pieces < _LONG // 2:
        return None
    first, second = _instructions(short), _instructions(long)
    return round((second - first) / (long.pieces - short.pieces))


def _instructions(body: Body) -> int:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "stream")
        file.write_bytes(pickle.dumps((body.driver, body.content_type, body.events)))
        ended = subprocess.run(
            [*_VALGRIND, sys.executable, __file__, "--child", str(file)],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": "0"},
        )
    found = _REFS.search(ended.stderr)
    if found is None:
        raise SystemExit(ended.stderr)
    return int(found[1].replace(",", ""))


def _read_once(driver: str, content_type: str, events: tuple[bytes, ...]) -> None:
    connection = connection_for(driver, "http://127.0.0.1:1")
    found = discovery.load_driver(driver)
    if found is None:
        raise SystemExit(f"The driver {driver} is not installed.")
    reads = list(events)
    for _ in pump_partials(
        found.bind(connection), reads, connection=connection, headers={"content-type": content_type}
    ):
        pass


if __name__ == "__main__":
    main()
