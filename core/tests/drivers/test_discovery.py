"""Installed drivers and presets, found by their metadata in folders as an installer leaves them."""

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
    """Puts distributions where Python looks for them, and forgets their modules at the end."""
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
    """Drivers of the names that the tests install."""
    return {name: found for name, found in discovery.find_drivers().items() if name.startswith("acme")}


def test_an_installed_driver_is_found(install):
    """A driver is found with the distribution that brings it and its version, and loads under its name."""
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


def test_finding_imports_nothing(install):
    """To list drivers and presets, none of their modules is imported."""
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
    """Loading one driver leaves the others alone."""
    install("polyglot-one", drivers=["acme-one = acme_one"], acme_one=DRIVER)
    install("polyglot-two", drivers=["acme-two = acme_two"], acme_two="raise RuntimeError('imported')")
    assert discovery.load_driver("acme-one") is not None
    assert "acme_two" not in sys.modules


def test_a_driver_is_loaded_once(install):
    """A second look gives the same driver."""
    install("polyglot-acme", drivers=["acme = acme_driver"], acme_driver=DRIVER)
    assert discovery.load_driver("acme") is discovery.load_driver("acme")


def test_an_unknown_driver_is_none(install):
    """A name that nobody has is not an error here."""
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
def test_a_driver_that_cannot_be_imported(install, text, message):
    """A driver whose import fails is named with its distribution and version, and breaks nobody else."""
    install("polyglot-broken", "3.1", ["acme-broken = acme_broken"], acme_broken=text)
    install("polyglot-acme", drivers=["acme = acme_driver"], acme_driver=DRIVER)
    with pytest.raises(PluginError, match=r"'acme-broken' of polyglot-broken 3\.1 could not be imported") as caught:
        discovery.load_driver("acme-broken")
    assert message in str(caught.value)
    assert caught.value.__cause__ is not None
    assert discovery.load_driver("acme") is not None


def test_a_module_that_is_not_there(install):
    """An entry point without its module is the distribution's fault."""
    install("polyglot-broken", drivers=["acme-broken = acme_nowhere"])
    with pytest.raises(PluginError, match="polyglot-broken"):
        discovery.load_driver("acme-broken")


def test_a_driver_that_does_not_keep_the_contract(install):
    """An installed driver is checked when it is loaded."""
    install("polyglot-acme", "2.0", ["acme = acme_driver"], acme_driver="x = 1")
    with pytest.raises(PluginError, match=r"'acme' of polyglot-acme 2\.0 lacks encode_request"):
        discovery.load_driver("acme")


def test_two_distributions_of_one_name(install):
    """A name that two distributions claim cannot be used, and both are named."""
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
def test_the_allow_list(install, monkeypatch, allowed, expected):
    """`POLYGLOT_DRIVERS` lists the installed drivers that may be used; empty, it blocks them all."""
    install("polyglot-one", drivers=["acme-one = acme_one"], acme_one=DRIVER)
    install("polyglot-two", drivers=["acme-two = acme_two"], acme_two=DRIVER)
    if allowed is not None:
        monkeypatch.setenv("POLYGLOT_DRIVERS", allowed)
    assert sorted(acme()) == expected
    assert [name for name in ("acme-one", "acme-two") if discovery.load_driver(name)] == expected


def test_an_installed_preset(install):
    """A preset is the row of its name in the module that its distribution names."""
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
def test_a_preset_that_cannot_be_used(install, text, name, message):
    """A preset without its row, or whose module does not load, is its distribution's fault."""
    install("polyglot-acme", "1.0", presets=[f"{name} = acme_presets"], acme_presets=text)
    with pytest.raises(PluginError, match=r"polyglot-acme") as caught:
        discovery.load_preset(name)
    assert message in str(caught.value)


def test_a_distribution_that_comes_later_is_found(install):
    """What is put on the path while the process runs is found at the next look."""
    assert "acme" not in acme()
    install("polyglot-acme", drivers=["acme = acme_driver"], acme_driver=DRIVER)
    assert "acme" in acme()
