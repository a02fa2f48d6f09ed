"""Streams in a process, then in it and in a forked child of it at the same time, over the same inferences.

The two take turns on nothing: each is to have connections of its own. Writes what was other than promised, and exits
with 1 if anything was.
"""

from __future__ import annotations

import itertools
import os
import sys
import warnings
from typing import Any

from .kinds import broken_promise, mixed
from .serving import serving
from .soaking import stream
from .styles import STYLES

_STREAMS = 60


def main() -> int:
    """Fork in the middle, and return the exit status."""
    warnings.filterwarnings("ignore", ".*use of fork", DeprecationWarning)  # the watchdog's thread; it is the point
    style = STYLES["sync"]
    with serving() as provider:
        inferences = {place: style.inference(connection) for place, connection in provider.connections.items()}

        async def several(numbers: range) -> bool:
            """Return whether all of these streams ended as promised."""
            drivers = itertools.cycle(provider.drivers)
            wrong = []
            for number, kind in zip(numbers, mixed(len(numbers), numbers.start), strict=True):
                driver: Any = next(driver for driver in drivers if driver not in kind.without)
                ending = await stream(style, inferences[kind.place, driver], kind, number)
                wrong += [f"{kind.name}: {why}" for why in [broken_promise(kind, ending)] if why]
            print(f"process {os.getpid()}: {len(numbers)} streams", *wrong, sep="\n", flush=True)
            return not wrong

        before = style.run(lambda: several(range(_STREAMS)))
        child = os.fork()
        number = _STREAMS * (2 if child else 1)
        right = style.run(lambda: several(range(number, number + _STREAMS)))
        if not child:
            os._exit(0 if right else 1)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return 0 if before and right and status == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
