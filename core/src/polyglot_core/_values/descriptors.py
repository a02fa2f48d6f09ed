"""The operating system's lack of file descriptors, as an error of a call."""

from __future__ import annotations

import errno

from polyglot_core.errors import TransportError

__all__ = ["no_descriptor"]


def no_descriptor(error: OSError) -> TransportError | None:
    """Return the error for a process, or a system, that has no file descriptor left; None for any other `OSError`."""
    if error.errno not in {errno.EMFILE, errno.ENFILE}:
        return None
    return TransportError(
        f"No file descriptor is left for the connection ({error.strerror}). Close streams, inferences and files that "
        "are not in use, or raise the limit of open files (ulimit -n).",
        phase="connect",
    )
