"""Write a folder of files at once: all of them, or none."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from polyglot_core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import PurePosixPath

__all__ = ["write_folder"]


def write_folder(directory: Path, name: str, texts: Mapping[PurePosixPath, str]) -> Path:
    """Write a new folder, and return it. Nothing that exists is changed.

    The files are written to a temporary folder beside it, which is then renamed, so that an interruption leaves no
    folder of that name.

    Args:
        directory: The folder that it is written to.
        name: Its name.
        texts: Texts of its files by path.

    Raises:
        ConfigError: `directory` is no folder, the new folder exists, or it cannot be written.
    """
    target = directory / name
    if not directory.is_dir():
        raise _error(f"There is no folder {str(directory)!r}; create it first, or name another with --directory.")
    if target.exists() or target.is_symlink():
        raise _error(
            f"{str(target)!r} exists, and nothing is overwritten; move it away, choose another name, or name another "
            f"folder with --directory."
        )
    try:
        with tempfile.TemporaryDirectory(dir=directory, prefix=f".{name}-", ignore_cleanup_errors=True) as temporary:
            _write_files(Path(temporary) / name, texts)
            (Path(temporary) / name).rename(target)
    except OSError as error:
        raise _error(f"{str(target)!r} could not be written: {error.strerror or error}.") from error
    return target


def _write_files(folder: Path, texts: Mapping[PurePosixPath, str]) -> None:
    for path, text in texts.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8", newline="\n")


def _error(message: str) -> ConfigError:
    return ConfigError(message, phase="configure")
