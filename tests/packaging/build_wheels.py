"""Build a wheel of every package in this checkout, and fetch the wheels that they need: ``build_wheels.py FOLDER``.

With FOLDER as the only source, environments can then be made without a network and without the checkout.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]


def packages() -> list[Path]:
    """The folders of all packages: ours, and those that the tests play third parties with."""
    ours = [CHECKOUT / "core", *sorted(CHECKOUT.glob("plugins/*/"))]
    third_parties = sorted(CHECKOUT.glob("tests/third_party/*/"))
    return [folder for folder in (*ours, *third_parties) if (folder / "pyproject.toml").exists()]


TOOLS = ("hatchling", "mypy", "pip", "pytest", "ruff")
"""Tools that the author of a package uses. They are installed in the versions that the groups of the workspace name."""


def tools() -> list[str]:
    """The requirements of the tools, and that of editable installations with hatchling."""
    groups = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))["dependency-groups"]
    named = {row for name in ("lint", "types", "wheels") for row in groups[name] if isinstance(row, str)}
    return [*sorted(row for row in named if re.split(r"[\[=<>]", row)[0] in TOOLS), "editables"]


def build(wheelhouse: Path) -> None:
    """Fill the folder `wheelhouse` in one resolver call, with the build backend of the running environment."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    wanted = [*packages(), *tools()]
    subprocess.run([*pip, "wheel", "--no-build-isolation", "--wheel-dir", wheelhouse, *wanted], check=True)


if __name__ == "__main__":
    build(Path(sys.argv[1]))
