"""The open descriptors and the memory of a process, from the operating system."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path


def open_descriptors() -> int:
    """Return how many file descriptors this process has open."""
    return len(_open())


def open_sockets() -> int:
    """Return how many of them are sockets."""
    return sum(stat.S_ISSOCK(mode) for mode in _open().values())


def _open() -> dict[int, int]:
    """Return the mode of each open descriptor, by number, without the one of the listing itself."""
    found = {}
    for file in list(Path("/dev/fd").iterdir()):
        with suppress(OSError):
            found[int(file.name)] = os.fstat(int(file.name)).st_mode
    return found


def resident_kib() -> int:
    """Return the memory of this process in KiB; its peak if the system reports nothing else."""
    with suppress(OSError):
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
        return pages * os.sysconf("SC_PAGESIZE") // 1024
    import resource  # which is not everywhere

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
