"""What a process has open, as the operating system sees it."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path


def open_descriptors() -> int:
    """How many file descriptors this process has open."""
    return len(_open())


def open_sockets() -> int:
    """How many of them are sockets."""
    return sum(stat.S_ISSOCK(mode) for mode in _open().values())


def _open() -> dict[int, int]:
    """The mode of each open descriptor, by number; the one that the listing itself needs is gone by then."""
    found = {}
    for file in list(Path("/dev/fd").iterdir()):
        with suppress(OSError):
            found[int(file.name)] = os.fstat(int(file.name)).st_mode
    return found


def resident_kib() -> int:
    """Memory of this process that is in use, in KiB; its peak where the system tells nothing else."""
    with suppress(OSError):
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
        return pages * os.sysconf("SC_PAGESIZE") // 1024
    import resource  # which is not everywhere

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
