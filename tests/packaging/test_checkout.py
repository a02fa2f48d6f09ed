"""The packages that the tests run on are those of this checkout.

On the public index ``polyglot-core`` is the name of a stranger's package. A test run that has fetched it, or an old
wheel, would test something else.
"""

from __future__ import annotations

import json
import tomllib
from importlib import metadata
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
PACKAGES = [CHECKOUT / "core", *sorted(project.parent for project in CHECKOUT.glob("plugins/*/pyproject.toml"))]


def installed() -> dict[str, metadata.Distribution]:
    """Every ``polyglot-*`` distribution of the running environment, by name."""
    found = metadata.distributions()
    return {dist.name: dist for dist in found if dist.name.lower().replace("_", "-").startswith("polyglot-")}


def source(dist: metadata.Distribution) -> str:
    """The folder that a distribution was installed from, or "an index"."""
    direct = dist.read_text("direct_url.json")
    return str(Path(url2pathname(urlsplit(json.loads(direct)["url"]).path)).resolve()) if direct else "an index"


def distribution_name(package: Path) -> str:
    """The name that a package gives itself."""
    return tomllib.loads((package / "pyproject.toml").read_text("utf-8"))["project"]["name"]


@pytest.mark.skipif("polyglot-core" not in installed(), reason="the packages are not installed; tox installs them")
def test_every_installed_package_comes_from_this_checkout():
    """What is installed as polyglot-something is this checkout's folder of that name, and all of them are installed."""
    sources = {name: source(dist) for name, dist in installed().items()}
    assert sources == {distribution_name(package): str(package) for package in PACKAGES}
