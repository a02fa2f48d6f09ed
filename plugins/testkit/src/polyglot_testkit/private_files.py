"""Files that only their owner can read, and that are whole or not there."""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["make_folder", "remove_leftovers", "write_private"]

_MARK = ".part"
_OLD = 3600.0  # seconds after which what a killed process left is removed


def write_private(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Write a file with mode 0600, whole: another process sees the former content or the new one.

    It is written beside the path, flushed to the disk if it is to be `durable`, and renamed.

    Raises:
        OSError: It cannot be written.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}{_MARK}")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink()
        raise


def make_folder(folder: Path) -> None:
    """Create a folder, with mode 0700, unless it exists. Remove what a killed process has left in it.

    Raises:
        OSError: It cannot be created.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    remove_leftovers(folder)


def remove_leftovers(folder: Path) -> None:
    """Remove files that were being written by processes that were killed, an hour ago or more."""
    for part in folder.glob(f".*{_MARK}"):
        with contextlib.suppress(OSError):
            if time.time() - part.stat().st_mtime > _OLD:
                part.unlink()
