"""The packages of the workspace are alike, and every place that lists them lists all of them."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
PLUGINS = sorted(project.parent for project in CHECKOUT.glob("plugins/*/pyproject.toml"))
PACKAGES = [CHECKOUT / "core", *PLUGINS]
SHARED_FACTS = ("version", "license", "license-files", "requires-python", "authors", "readme")


def read(path):
    return tomllib.loads(path.read_text("utf-8"))


def named(package):
    """The import name that a folder stands for."""
    return f"polyglot_{package.name}"


IMPORTED_AS = {"markdown_it_py": "markdown_it", "opentelemetry_api": "opentelemetry"}
"""Import names of distributions that have another name."""


def name_of(requirement):
    """The import name of a requirement's distribution."""
    name = re.match(r"[\w-]+", requirement)[0].replace("-", "_")
    return IMPORTED_AS.get(name, name)


def imports(package):
    """The top-level names of the foreign modules that a package's code names in import statements."""
    trees = [ast.parse(file.read_bytes()) for file in (package / "src").rglob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module and not node.level}
    return {name.partition(".")[0] for name in names} - sys.stdlib_module_names - {named(package)}


each_package = pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)


@each_package
def test_a_folder_a_distribution_and_an_import_have_one_name(package):
    """Folder ``x`` is distribution ``polyglot-x`` and import ``polyglot_x``, and holds no other package."""
    assert read(package / "pyproject.toml")["project"]["name"] == f"polyglot-{package.name}"
    sources = [entry.name for entry in (package / "src").iterdir() if entry.name != "__pycache__"]
    assert sources == [named(package)]


@each_package
def test_packages_share_version_licence_and_python(package):
    """Every package states the same version, licence, authors and Python as the core."""
    facts, core = (read(folder / "pyproject.toml")["project"] for folder in (package, CHECKOUT / "core"))
    assert {fact: facts[fact] for fact in SHARED_FACTS} == {fact: core[fact] for fact in SHARED_FACTS}
    assert facts["version"] == "1.0.0.dev0"


@each_package
def test_a_package_could_leave_the_repository(package):
    """Every package has its own README, licence, tests and type marker."""
    for file in ("README.md", "LICENSE", "tests", f"src/{named(package)}/py.typed"):
        assert (package / file).exists(), file
    assert (package / "LICENSE").read_bytes() == (CHECKOUT / "LICENSE").read_bytes()


@each_package
def test_a_package_needs_what_it_imports(package):
    """Every foreign module that a package imports is a requirement of its own, not one that happens to be there."""
    project = read(package / "pyproject.toml")["project"]
    requirements = [project["dependencies"], *project.get("optional-dependencies", {}).values()]
    required = {name_of(requirement) for group in requirements for requirement in group}
    assert imports(package) - {"typing_extensions"} <= required  # for type checkers alone, which bring it


@each_package
def test_a_package_imports_what_it_needs(package):
    """No package asks for something that it never uses; a driver found by its entry point is used without an import."""
    project = read(package / "pyproject.toml")["project"]
    text = "".join(file.read_text("utf-8") for file in (package / "src").rglob("*.py"))
    unused = {name for name in map(name_of, project["dependencies"]) if not re.search(rf"\b{name}\b", text)}
    assert unused <= {named(plugin) for plugin in PLUGINS}


@each_package
def test_a_sibling_is_required_in_a_version_that_no_stranger_has(package):
    """Siblings are required from 1.0.0.dev0 on: a namesake with a lower version on an index is then no candidate."""
    requirements = read(package / "pyproject.toml")["project"]["dependencies"]
    siblings = [requirement for requirement in requirements if requirement.startswith("polyglot-")]
    assert all(requirement.endswith(">=1.0.0.dev0,<2") for requirement in siblings)
    assert bool(siblings) == (package.name != "core")


@each_package
def test_entry_points_name_modules_of_their_own_package(package):
    """Every entry point names a module that exists in the same package."""
    project = read(package / "pyproject.toml")["project"]
    groups = [*project.get("entry-points", {}).values(), project.get("scripts", {})]
    targets = [target.partition(":")[0] for group in groups for target in group.values()]
    files = [package / "src" / Path(*target.split(".")) for target in targets]
    assert all(file.with_suffix(".py").exists() or (file / "__init__.py").exists() for file in files), targets
    assert all(target.partition(".")[0] == named(package) for target in targets)


def test_every_plugin_is_in_every_list():
    """The import rules, the type checkers, coverage and tox know every plugin; a forgotten one would go unchecked."""
    tools = read(CHECKOUT / "pyproject.toml")["tool"]
    imports_of = {named(package) for package in PACKAGES}
    assert set(tools["importlinter"]["root_packages"]) == imports_of
    assert set(tools["coverage"]["run"]["source_pkgs"]) == imports_of
    assert set(tools["uv"]["sources"]) == {name.replace("_", "-") for name in imports_of}
    folders = {package.relative_to(CHECKOUT).as_posix() for package in PACKAGES}
    assert set(tools["pyright"]["extraPaths"]) == {f"{folder}/src" for folder in folders}
    assert set(tools["mypy"]["mypy_path"].replace("$MYPY_CONFIG_FILE_DIR/", "").split(":")) == {
        f"{folder}/src" for folder in folders
    }
    tox = (CHECKOUT / "tox.ini").read_text("utf-8")
    assert set(re.findall(r"-e \./([\w/]+)", tox)) == folders
    tested = tuple(re.findall(r"pytest -o testpaths=([\w/]+) ", tox))
    assert [folder for folder in folders if not f"{folder}/tests".startswith(tested)] == []


def test_every_plugin_is_held_to_the_import_rules_of_its_kind():
    """Check that each plugin has an import rule for the public modules of core that it may use."""
    contracts = read(CHECKOUT / "pyproject.toml")["tool"]["importlinter"]["contracts"]
    by_id = {contract["id"]: contract for contract in contracts}
    kinds = ("doors", "command", "testkit", "answers", "batch", "streams", "otel")
    bound = {module for kind in kinds for module in by_id[kind]["source_modules"]}
    assert bound == {named(plugin) for plugin in PLUGINS}
    assert by_id["apart"]["modules"] == by_id["doors"]["source_modules"]
    assert set(by_id["core-alone"]["forbidden_modules"]) == bound
