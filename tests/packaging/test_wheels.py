"""What the wheels of our packages hold."""

from __future__ import annotations

import email
import tomllib
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.wheels

CHECKOUT = Path(__file__).resolve().parents[2]
PACKAGES = [CHECKOUT / "core", *sorted(project.parent for project in CHECKOUT.glob("plugins/*/pyproject.toml"))]


@pytest.fixture(params=PACKAGES, ids=lambda package: package.name)
def package(request):
    return request.param


@pytest.fixture
def project(package):
    return tomllib.loads((package / "pyproject.toml").read_text("utf-8"))["project"]


@pytest.fixture
def wheel(wheelhouse, project):
    (path,) = wheelhouse.glob(f"{project['name'].replace('-', '_')}-*.whl")
    with zipfile.ZipFile(path) as archive:
        yield archive


def test_a_wheel_holds_every_file_of_its_import_package_and_nothing_else(wheel, package, project):
    """A wheel's files are those of ``src``, ``py.typed`` among them, and its own metadata."""
    import_name = project["name"].replace("-", "_")
    files = {name for name in wheel.namelist() if ".dist-info/" not in name}
    sources = [path.relative_to(package / "src") for path in (package / "src").rglob("*") if path.is_file()]
    left_by_tools = {path for path in sources if any(part.startswith((".", "__pycache__")) for part in path.parts)}
    assert files == {path.as_posix() for path in set(sources) - left_by_tools}
    assert f"{import_name}/py.typed" in files
    assert {name.partition("/")[0] for name in files} == {import_name}


def test_a_wheel_says_whose_it_is_and_what_it_needs(wheel, project):
    """A wheel's metadata name version, licence, Python and README, and the licence's text is in the wheel."""
    (metadata,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    said = email.message_from_bytes(wheel.read(metadata))
    assert said["Version"] == "1.0.0.dev0"
    assert said["License-Expression"] == "MIT"
    assert said["Requires-Python"] == ">=3.11"
    assert said.get_payload().startswith(f"# {project['name']}\n")
    (licence,) = (name for name in wheel.namelist() if name.endswith(".dist-info/licenses/LICENSE"))
    assert wheel.read(licence) == (CHECKOUT / "LICENSE").read_bytes()
