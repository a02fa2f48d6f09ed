"""The two kinds of package that can be written, and the values that their templates contain."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from polyglot_testkit.scaffold.names import check_name, driver_requirement
from polyglot_testkit.scaffold.templates import files_of
from polyglot_testkit.scaffold.writing import write_folder

if TYPE_CHECKING:
    from os import PathLike

__all__ = ["new_driver", "new_preset"]


def new_driver(name: str, directory: str | PathLike[str] = ".") -> Path:
    """Write the package of a driver, and return its folder, ``polyglot-NAME`` in `directory`.

    The package has a driver and a simulated version of an example dialect, recordings, tests with the exam, and the
    settings of mypy and ruff, all of which pass. Either the whole folder is written or nothing.

    Args:
        name: Name of the driver: lower-case letters, digits and single hyphens.
        directory: An existing folder.

    Raises:
        ConfigError: The name is invalid or taken, the folder exists, or it cannot be written.
    """
    check_name(name)
    return _write("driver", name, Path(directory))


def new_preset(name: str, directory: str | PathLike[str] = ".", *, driver: str = "openai") -> Path:
    """Write the package of a preset, which is a row of data for an installed driver, and return its folder.

    Args:
        name: Name of the preset: lower-case letters, digits and single hyphens.
        directory: An existing folder.
        driver: Name of the installed driver that speaks the dialect of the endpoint.

    Raises:
        ConfigError: The name is invalid or taken, there is no such driver, the folder exists, or it cannot be written.
    """
    check_name(name)
    return _write("row", name, Path(directory), driver=driver, driver_requirement=driver_requirement(driver))


def _write(template: str, name: str, directory: Path, **values: str) -> Path:
    values |= _values_of(name)
    return write_folder(directory, values["distribution"], files_of(template, values))


def _values_of(name: str) -> dict[str, str]:
    """Return the values that all templates may contain."""
    words = name.split("-")
    return {
        "name": name,
        "distribution": f"polyglot-{name}",
        "package": f"polyglot_{'_'.join(words)}",
        "title": " ".join(word.capitalize() for word in words),
        "class_name": f"{''.join(word.capitalize() for word in words)}Chat",
        "key_variable": f"{'_'.join(words).upper()}_API_KEY",
        "year": str(datetime.now(tz=UTC).year),
    }
