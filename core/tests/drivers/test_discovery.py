"""Installed drivers and presets, found by metadata as an installer writes it."""

from __future__ import annotations

import importlib
import sys
import textwrap

import pytest

from polyglot_core import ConfigError, PluginError
from polyglot_core._drivers import discovery

DRIVER = """
    from polyglot_core.plugin import Usage, WireRequest, hookimpl

    @hookimpl
    def encode_request(request):
        return WireRequest(url="http://localhost", body=b"")

    @hookimpl
    def decode_chunk(chunk):
        return []

    @hookimpl
    def extract_usage(payload):
        return Usage(raw=payload)
"""

PRESET = """
    from polyglot_core.plugin import Preset

    PRESETS = {"place": Preset(driver="acme", base_url="http://localhost:1/v1"), "wrong": {"driver": "acme"}}
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Return a function that installs distributions in a folder on `sys.path`; their modules are removed at the end."""
    before = set(sys.modules)
    made = []

    def put(distribution, version="1.0", drivers=(), presets=(), **modules):
        folder = tmp_path / f"{distribution}-{len(made)}"
        info = folder / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        made.append(folder)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        groups = (("polyglot.drivers", drivers), ("polyglot.presets", presets))
        lines = [line for group, names in groups if names for line in (f"[{group}]", *names)]
        (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
        for name, text in modules.items():
            (folder / f"{name}.py").write_text(textwrap.dedent(text))
        monkeypatch.syspath_prepend(str(folder))
        importlib.invalidate_caches()

    yield put
    for name in set(sys.modules) - before:
        if name.startswith("acme_"):
            del sys.modules[name]


def acme():
    """Return the installed drivers with the names of these tests."""
    return {name: found for name, found in discovery.find_drivers().items() if name.startswith("acme")}


def test_installed_driver_is_found(install):
    """Check name, distribution and version of an installed driver, and load it."""
    install("polyglot-acme", "1.2", ["acme = acme_driver"], acme_driver=DRIVER)
    found = acme()["acme"]
    assert (found.name, found.target, found.distribution, found.version) == (
        "acme",
        "acme_driver",
        "polyglot-acme",
        "1.2",
    )
    assert found.origin == "polyglot-acme 1.2"
    loaded = discovery.load_driver("acme")
    assert (loaded.name, loaded.distribution, loaded.version) == ("acme", "polyglot-acme", "1.2")


def test_discovery_imports_nothing(install):
    """List drivers and presets: none of their modules is imported."""
    install(
        "polyglot-acme",
        drivers=["acme = acme_driver"],
        presets=["place = acme_presets"],
        acme_driver=DRIVER,
        acme_presets=PRESET,
    )
    discovery.find_drivers()
    discovery.find_presets()
    assert not {"acme_driver", "acme_presets"} & set(sys.modules)


def test_only_the_named_driver_is_imported(install):
    """Load one driver: no other one is imported."""
    install("polyglot-one", drivers=["acme-one = acme_one"], acme_one=DRIVER)
    install("polyglot-two", drivers=["acme-two = acme_two"], acme_two="raise RuntimeError('imported')")
    assert discovery.load_driver("acme-one") is not None
    assert "acme_two" not in sys.modules


def test_driver_is_loaded_once(install):
    """Check that loading a driver twice returns the same object."""
    install("polyglot-acme", drivers=["acme = acme_driver"], acme_driver=DRIVER)
    assert discovery.load_driver("acme") is discovery.load_driver("acme")


def test_unknown_driver_is_none(install):
    """Check that an unknown name is None, not an error."""
    assert discovery.load_driver("acme") is None
    assert discovery.load_preset("acme") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("raise RuntimeError('no engine')", "RuntimeError: no engine"),
        ("import a_module_that_is_not_there", "ModuleNotFoundError"),
        ("def broken(:", "SyntaxError"),
    ],
)
def test_driver_that_cannot_be_imported(install, text, message):
    """Check that the error names the distribution and version, and that other drivers load."""
    install("polyglot-broken", "3.1", ["acme-broken = acme_broken"], acme_broken=text)
    install("polyglot-acme", drivers=["acme = acme_driver"], acme_driver=DRIVER)
    with pytest.raises(PluginError, match=r"'acme-broken' of polyglot-broken 3\.1 could not be imported") as caught:
        discovery.load_driver("acme-broken")
    assert message in str(caught.value)
    assert caught.value.__cause__ is not None
    assert discovery.load_driver("acme") is not None


def test_entry_point_without_module(install):
    """Check that an entry point of a missing module is a PluginError naming the distribution."""
    install("polyglot-broken", drivers=["acme-broken = acme_nowhere"])
    with pytest.raises(PluginError, match="polyglot-broken"):
        discovery.load_driver("acme-broken")


def test_installed_driver_is_checked_when_loaded(install):
    """Check that an installed driver that violates the contract is a PluginError."""
    install("polyglot-acme", "2.0", ["acme = acme_driver"], acme_driver="x = 1")
    with pytest.raises(PluginError, match=r"'acme' of polyglot-acme 2\.0 lacks encode_request"):
        discovery.load_driver("acme")


def test_name_registered_by_two_distributions(install):
    """Check that the name cannot be used, and that the error names both distributions."""
    install("polyglot-one", "1.0", ["acme = acme_one"], acme_one=DRIVER)
    install("polyglot-two", "2.0", ["acme = acme_two"], acme_two=DRIVER)
    with pytest.raises(
        ConfigError, match=r"'acme' is registered by polyglot-one 1\.0 and polyglot-two 2\.0; uninstall one"
    ):
        discovery.load_driver("acme")
    assert acme()["acme"].rivals == ("polyglot-two 2.0",)
    assert not {"acme_one", "acme_two"} & set(sys.modules)


@pytest.mark.parametrize(
    ("allowed", "expected"),
    [
        (None, ["acme-one", "acme-two"]),
        ("acme-one", ["acme-one"]),
        ("acme-two, acme-one", ["acme-one", "acme-two"]),
        ("acme", []),
        ("", []),
        (" ", []),
        ("*", []),
    ],
)
def test_allow_list(install, monkeypatch, allowed, expected):
    """Check that `POLYGLOT_DRIVERS` lists the installed drivers that may be used; empty, it excludes all."""
    install("polyglot-one", drivers=["acme-one = acme_one"], acme_one=DRIVER)
    install("polyglot-two", drivers=["acme-two = acme_two"], acme_two=DRIVER)
    if allowed is not None:
        monkeypatch.setenv("POLYGLOT_DRIVERS", allowed)
    assert sorted(acme()) == expected
    assert [name for name in ("acme-one", "acme-two") if discovery.load_driver(name)] == expected


@pytest.mark.parametrize(
    ("allowed", "imported"),
    [
        (None, {"one", "two", "rows"}),
        ("acme-one", {"one"}),
        ("polyglot-one", {"one"}),
        ("polyglot-rows", {"rows"}),
        ("acme-one,polyglot-rows", {"one", "rows"}),
        ("", set()),
    ],
)
def test_allow_list_keeps_presets_out(install, monkeypatch, allowed, imported):
    """Check that no module of an excluded package is imported, for a preset or to find a default."""
    row = PRESET.replace("place", "place-NAME")
    for name in ("one", "two"):
        modules = {f"acme_{name}": DRIVER, f"acme_rows_{name}": row.replace("NAME", name)}
        install(
            f"polyglot-{name}",
            drivers=[f"acme-{name} = acme_{name}"],
            presets=[f"place-{name} = acme_rows_{name}"],
            **modules,
        )
    install("polyglot-rows", presets=["place-rows = acme_rows_rows"], acme_rows_rows=row.replace("NAME", "rows"))
    if allowed is not None:
        monkeypatch.setenv("POLYGLOT_DRIVERS", allowed)
    found = {name for name in ("one", "two", "rows") if discovery.load_preset(f"place-{name}")}
    assert found == imported
    assert {name for name in ("one", "two", "rows") if f"acme_rows_{name}" in sys.modules} == imported
    assert {name for name in ("one", "two", "rows") if f"place-{name}" in discovery.find_presets()} == imported
    assert {name for name in ("one", "two", "rows") if discovery.is_left_out(f"place-{name}")} == {
        "one",
        "two",
        "rows",
    } - imported


def test_installed_preset(install):
    """Load a preset from the row of its name."""
    install("polyglot-acme", presets=["place = acme_presets"], acme_presets=PRESET)
    assert discovery.load_preset("place").base_url == "http://localhost:1/v1"


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        (PRESET, "missing", "has no row in PRESETS of acme_presets"),
        (PRESET, "wrong", "has no row in PRESETS of acme_presets"),
        ("", "place", "has no row in PRESETS of acme_presets"),
        ("raise RuntimeError('no')", "place", "could not be imported: RuntimeError"),
    ],
)
def test_unusable_preset_is_a_plugin_error(install, text, name, message):
    """Check that a missing row or a module that cannot be imported is a PluginError."""
    install("polyglot-acme", "1.0", presets=[f"{name} = acme_presets"], acme_presets=text)
    with pytest.raises(PluginError, match=r"polyglot-acme") as caught:
        discovery.load_preset(name)
    assert message in str(caught.value)


def test_later_distribution_is_found(install):
    """Extend `sys.path` while the process runs: new distributions are found."""
    assert "acme" not in acme()
    install("polyglot-acme", drivers=["acme = acme_driver"], acme_driver=DRIVER)
    assert "acme" in acme()
