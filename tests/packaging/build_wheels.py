"""Build a wheel of every package in this checkout, and fetch the wheels that they need: ``build_wheels.py FOLDER``.

With FOLDER as the only source, environments can then be made without a network and without the checkout.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]


def packages() -> list[Path]:
    """The folders of all packages: ours, and those that the tests play third parties with."""
    ours = [CHECKOUT / "core", *sorted(CHECKOUT.glob("plugins/*/"))]
    third_parties = sorted(CHECKOUT.glob("tests/third_party/*/"))
    return [folder for folder in (*ours, *third_parties) if (folder / "pyproject.toml").exists()]


def build(wheelhouse: Path) -> None:
    """Fill the folder `wheelhouse` in one resolver call, with the build backend of the running environment."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "wheel", "--no-build-isolation", "--wheel-dir", wheelhouse, *packages()], check=True)


if __name__ == "__main__":
    build(Path(sys.argv[1]))
