"""Installed drivers and presets, found by metadata as an installer writes it."""

from __future__ import annotations

import importlib
import logging
import sys
import textwrap
import threading

import pytest

from polyglot_core import ConfigError, Connection, Inference, PluginError, connections, drivers
from polyglot_core._drivers import discovery
from polyglot_core._http import transports
from polyglot_core._values import entry_points, importing
from polyglot_core._values.connection import Route

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

    def put(distribution, version="1.0", drivers=(), presets=(), offers=(), formats=(), **modules):
        folder = tmp_path / f"{distribution}-{len(made)}"
        info = folder / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        made.append(folder)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        groups = (
            ("polyglot.drivers", drivers),
            ("polyglot.presets", presets),
            ("polyglot.offers", offers),
            ("polyglot.acme", formats),
        )
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
    """Check that the bare name cannot be used, and that the error has the lines that select one of them."""
    install("polyglot-one", "1.0", ["acme = acme_one"], acme_one=DRIVER)
    install("polyglot-two", "2.0", ["acme = acme_two"], acme_two=DRIVER)
    with pytest.raises(ConfigError, match=r"'acme' is registered by polyglot-one 1\.0 and polyglot-two 2\.0") as caught:
        discovery.load_driver("acme")
    for line in (
        'in the connection: driver = "polyglot-one:acme" or driver = "polyglot-two:acme"',
        'in the table [packages] of the configuration file: acme = "polyglot-one" or acme = "polyglot-two".',
    ):
        assert line in caught.value.message
    assert acme_of_both() == {"polyglot-one:acme": ("polyglot-two 2.0",), "polyglot-two:acme": ("polyglot-one 1.0",)}
    assert not {"acme_one", "acme_two"} & set(sys.modules)


def acme_of_both():
    """Return the rivals of each driver whose name begins with a distribution."""
    return {name: found.rivals for name, found in discovery.find_drivers().items() if ":acme" in name}


def install_twins(install, offering=()):
    """Install two distributions that register the driver ``acme``, each with a preset of that and one named ``place``.

    Those in `offering` offer that preset as a default.
    """
    for one in ("one", "two"):
        rows = f"""
            from polyglot_core.plugin import Preset
            PRESETS = {{
                name: Preset(driver="acme", base_url="http://localhost:1/{one}", model="m")
                for name in ("place", "place-{one}")
            }}
        """
        install(
            f"polyglot-{one}",
            drivers=[f"acme = acme_{one}"],
            presets=[f"place = acme_rows_{one}", f"place-{one} = acme_rows_{one}"],
            offers=["place = anything"] if one in offering else (),
            **{f"acme_{one}": DRIVER, f"acme_rows_{one}": rows},
        )


@pytest.fixture
def twins(install):
    """Install two distributions that register the same names."""
    install_twins(install)


@pytest.mark.parametrize("one", ["one", "two"])
@pytest.mark.parametrize("spelling", ["polyglot-{}", "Polyglot_{}"])
def test_name_with_its_distribution(twins, one, spelling):
    """Check that a driver and a preset can be named with their distribution, in any spelling of that."""
    owner = spelling.format(one)
    loaded = discovery.load_driver(f"{owner}:acme")
    assert (loaded.name, loaded.distribution) == ("acme", f"polyglot-{one}")
    assert discovery.load_preset(f"{owner}:place").base_url == f"http://localhost:1/{one}"
    for using in (Inference.using, lambda name: Inference.from_dsn(f"preset={name}")):
        assert using(f"{owner}:place").connection.driver == f"polyglot-{one}:acme"
    assert Inference.using(f"{owner}:place/large").connection.model == "large"
    assert Inference.from_dsn(f"driver={owner}:acme,model=m").connection.driver == f"{owner}:acme"


def test_unknown_distribution_of_a_name(twins):
    """Check that the error names the registration that is meant."""
    with pytest.raises(
        ConfigError, match=r"'polyglot-onne:acme', which is not installed \(did you mean 'polyglot-one:acme'"
    ):
        Inference.from_connection(Connection(name="mine", driver="polyglot-onne:acme"))
    with pytest.raises(ConfigError, match="Nothing is called 'polyglot-six:acme'"):
        Inference.using("polyglot-six:acme")


def test_preset_uses_the_driver_of_its_own_distribution(twins):
    """Check that a package which registers a driver's name does not disable presets of another one."""
    for one in ("one", "two"):
        made = Inference.using(f"place-{one}")
        assert made.connection.driver == f"polyglot-{one}:acme"
        assert made.capabilities().models is False


def test_file_selects_the_distribution_of_a_name(twins, tmp_path, monkeypatch):
    """Check that the table ``packages`` holds for names of drivers and presets, in code and in the file."""
    file = tmp_path / "polyglot.toml"
    monkeypatch.setenv("POLYGLOT_CONFIG", str(file))
    file.write_text(
        '[packages]\nacme = "polyglot-two"\nplace = "polyglot-one"\n'
        '[connections.dialect]\ndriver = "acme"\n[connections.row]\npreset = "place"\n'
        '[connections.other]\npreset = "polyglot-two:place"\n',
        "utf-8",
    )
    found = {name: Inference.using(name).connection for name in ("acme", "place", "dialect", "row", "other")}
    assert {name: made.driver for name, made in found.items()} == {
        "acme": "polyglot-two:acme",
        "place": "polyglot-one:acme",
        "dialect": "polyglot-two:acme",
        "row": "polyglot-one:acme",
        "other": "polyglot-two:acme",
    }
    assert [found[name].base_url for name in ("row", "other")] == ["http://localhost:1/one", "http://localhost:1/two"]
    assert {info.name: info.usable for info in connections()}["dialect"]


def test_file_that_selects_a_distribution_without_the_name(twins, tmp_path, monkeypatch):
    """Check that the error shows what the file has made of the name."""
    file = tmp_path / "polyglot.toml"
    file.write_text('[packages]\nacme = "polyglot-six"\n[connections.mine]\ndriver = "acme"\nmodel = "m"\n', "utf-8")
    monkeypatch.setenv("POLYGLOT_CONFIG", str(file))
    with pytest.raises(ConfigError, match="Nothing is called 'polyglot-six:acme'"):
        Inference.using("acme")
    with pytest.raises(ConfigError, match="names the driver 'polyglot-six:acme', which is not installed"):
        Inference.using("mine")


def test_preset_of_a_third_distribution(install, twins, tmp_path, monkeypatch):
    """Check that the choice of the file also holds for the driver that a preset of yet another package names."""
    install(
        "polyglot-acme", presets=["place-three = acme_presets"], acme_presets=PRESET.replace("place", "place-three")
    )
    file = tmp_path / "polyglot.toml"
    file.write_text('[packages]\nacme = "polyglot-two"\n', "utf-8")
    with pytest.raises(ConfigError, match="'acme' is registered by"):
        Inference.using("place-three")
    monkeypatch.setenv("POLYGLOT_CONFIG", str(file))
    assert Inference.using("place-three").connection.driver == "polyglot-two:acme"


@pytest.mark.parametrize("table", ['packages = "polyglot-one"', "[packages]\nacme = 3"])
def test_wrong_table_of_packages(tmp_path, monkeypatch, table):
    """Check that the error shows the form of the table."""
    file = tmp_path / "polyglot.toml"
    file.write_text(table, "utf-8")
    monkeypatch.setenv("POLYGLOT_CONFIG", str(file))
    with pytest.raises(ConfigError, match=r"\[packages\] names a distribution for each name"):
        Inference.using("acme")


@pytest.mark.parametrize("allowed", ["polyglot-two", "polyglot-two:acme", "others, Polyglot_Two:acme"])
def test_allow_list_selects_the_distribution_of_a_name(twins, monkeypatch, allowed):
    """Check that a name is not contested if the allow list has one of its distributions alone."""
    monkeypatch.setenv("POLYGLOT_DRIVERS", allowed)
    assert discovery.load_driver("acme").distribution == "polyglot-two"
    assert discovery.load_driver("polyglot-one:acme") is None
    assert discovery.is_left_out("polyglot-one:acme")
    assert discovery.load_preset("place").base_url == "http://localhost:1/two"
    assert "acme_one" not in sys.modules
    assert "acme_rows_one" not in sys.modules


@pytest.mark.parametrize("offering", [["one"], ["one", "two"]])
def test_default_with_a_contested_name(install, monkeypatch, offering):
    """Check that another package with the preset's name changes the default only if it offers that as one too."""
    monkeypatch.setattr(discovery, "DEFAULTS", "polyglot.offers")
    install_twins(install, offering)
    assert discovery.find_defaults() == [f"polyglot-{one}:place" for one in offering]
    if offering == ["one"]:
        assert Inference.using().connection.base_url == "http://localhost:1/one"
    else:
        with pytest.raises(ConfigError, match="Keys of polyglot-one:place and polyglot-two:place are set"):
            Inference.using()


# Modules that misbehave when they are imported


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("import sys; sys.exit('bye')", "SystemExit: bye"),
        ("raise GeneratorExit", "GeneratorExit: "),
        ("class Odd(BaseException): pass\nraise Odd(5)", "Odd: 5"),
        ("import asyncio; raise asyncio.CancelledError", "CancelledError: "),
    ],
)
@pytest.mark.parametrize("kind", ["driver", "preset"])
def test_import_that_raises_anything(install, text, why, kind):
    """Check that whatever a module raises is an error that names the distribution, and that others are listed."""
    install("polyglot-rude", "4.0", **{f"{kind}s": ["acme-rude = acme_rude"]}, acme_rude=text)
    load = discovery.load_driver if kind == "driver" else discovery.load_preset
    with pytest.raises(PluginError) as caught:
        load("acme-rude")
    said = f"{kind.capitalize()} 'acme-rude' of polyglot-rude 4.0 could not be imported: {why}"
    assert caught.value.message.strip() == said.strip()
    reasons = {each.name: each.reason for each in (drivers() if kind == "driver" else connections())}
    assert why.strip() in reasons["acme-rude"]


def test_interruption_of_an_import_passes(install):
    """Check that a `KeyboardInterrupt` is not taken for a fault of the module: it may be a Ctrl-C."""
    install("polyglot-slow", drivers=["acme-slow = acme_slow"], acme_slow="raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        discovery.load_driver("acme-slow")


def test_output_of_an_import_is_logged(install, capfd, caplog):
    """Check that nothing is written to standard output, that the package is named, and that other threads may write."""
    text = """
        import sys, threading
        print("I was here")
        other = threading.Thread(target=print, args=("another thread",))
        other.start()
        other.join()
        kept = sys.stdout
    """
    install(
        "polyglot-loud", "1.5", ["acme-loud = acme_loud"], acme_loud=textwrap.dedent(text) + textwrap.dedent(DRIVER)
    )
    usual = sys.stdout
    assert discovery.load_driver("acme-loud") is not None
    assert sys.stdout is usual
    print("later", file=sys.modules["acme_loud"].kept)
    assert capfd.readouterr().out == "another thread\nlater\n"
    (warning,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    said = "Driver 'acme-loud' of polyglot-loud 1.5 wrote to standard output when it was imported: 'I was here"
    assert warning.startswith(said)


def test_standard_output_of_the_module_is_kept(install, monkeypatch):
    """Check that a module which replaces standard output keeps its own."""
    monkeypatch.setattr(sys, "stdout", sys.stdout)
    text = "import io, sys\nsys.stdout = mine = io.StringIO()\n"
    install("polyglot-loud", drivers=["acme-loud = acme_loud"], acme_loud=text + textwrap.dedent(DRIVER))
    discovery.load_driver("acme-loud")
    assert sys.stdout is sys.modules["acme_loud"].mine


def test_slow_import_is_logged(install, monkeypatch):
    """Check that an import which takes long is reported while it goes on, with its package."""
    reported, messages = threading.Event(), []
    monkeypatch.setattr(importing, "_SECONDS", 0.0)
    monkeypatch.setattr(importing, "_acme_reported", reported, raising=False)
    handler = logging.Handler()
    handler.emit = lambda record: (messages.append(record.getMessage()), reported.set())
    handler.setLevel(logging.WARNING)
    log = logging.getLogger("polyglot_core.drivers")
    text = "from polyglot_core._values import importing\nassert importing._acme_reported.wait(60)\n"
    install("polyglot-slow", "0.1", ["acme-slow = acme_slow"], acme_slow=text + textwrap.dedent(DRIVER))
    log.addHandler(handler)
    try:
        discovery.load_driver("acme-slow")
    finally:
        log.removeHandler(handler)
    assert "Driver 'acme-slow' of polyglot-slow 0.1 is being imported for 0 seconds." in messages


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("acme_package.drivr", "names the module 'acme_package.drivr', which does not exist (did you mean 'driver'?)"),
        (
            "acme_package.driver:Driver",
            "'acme_package.driver:Driver', which does not exist (did you mean 'acme_package.driver'?)",
        ),
        ("acme_nothing.driver", "names the module 'acme_nothing.driver', which does not exist"),
    ],
)
def test_wrong_entry_point_of_a_driver(install, tmp_path, monkeypatch, target, message):
    """Check that the error shows the entry point and what may be meant."""
    (tmp_path / "acme_package").mkdir()
    (tmp_path / "acme_package" / "__init__.py").touch()
    (tmp_path / "acme_package" / "driver.py").write_text(textwrap.dedent(DRIVER))
    monkeypatch.syspath_prepend(str(tmp_path))
    install("polyglot-acme", "1.0", drivers=[f"acme-wrong = {target}"])
    with pytest.raises(PluginError, match=r"Driver 'acme-wrong' of polyglot-acme 1\.0 could not be imported") as caught:
        discovery.load_driver("acme-wrong")
    assert message in caught.value.message


def test_missing_module_of_a_driver_is_not_its_entry_point(install):
    """Check that the error for a library that is not installed names the library."""
    install("polyglot-acme", drivers=["acme-needy = acme_needy"], acme_needy="import acme_library")
    with pytest.raises(PluginError, match="No module named 'acme_library'"):
        discovery.load_driver("acme-needy")


def test_row_with_a_similar_name_is_suggested(install):
    """Check that the error for a preset without a row suggests the row that is there."""
    install("polyglot-acme", presets=["plase = acme_presets"], acme_presets=PRESET)
    with pytest.raises(PluginError, match=r"has no row in PRESETS of acme_presets \(did you mean 'place'\?\)"):
        discovery.load_preset("plase")


def test_unknown_name_imports_no_driver(install):
    """Check that the error for a misspelt name suggests a driver without importing any."""
    install("polyglot-acme", drivers=["acme-driver = acme_driver"], acme_driver="raise SystemExit")
    with pytest.raises(ConfigError, match="did you mean 'acme-driver'"):
        Inference.using("acme-drivr")
    assert "acme_driver" not in sys.modules


# Packages for other purposes


def test_broken_package_does_not_disable_others(install, monkeypatch, caplog):
    """Check that a package with response formats that cannot be imported is logged, and the others are used."""
    install("polyglot-bad", "3.0", formats=["acme-bad = acme_bad"], acme_bad="raise SystemExit(3)")
    install("polyglot-good", formats=["acme-good = acme_good"], acme_good="good = True")
    entry_points._modules.cache_clear()
    found = entry_points.modules("polyglot.acme", "this", "polyglot-good")
    assert [module.__name__ for module in found] == ["acme_good"]
    said = "Package 'acme-bad' of polyglot-bad 3.0 could not be imported: SystemExit: 3"
    assert said in caplog.messages


def test_broken_transport_is_left_out_unless_it_is_named(install, monkeypatch, caplog):
    """Check that httpx serves if the only transport cannot be imported, and that a connection can insist on it."""
    monkeypatch.setattr(transports, "TRANSPORTS", "polyglot.acme")
    monkeypatch.delenv("POLYGLOT_TRANSPORT", raising=False)
    install("polyglot-bad", "3.0", formats=["acme-bad = acme_bad:TRANSPORT"], acme_bad="raise SystemExit(3)")
    assert transports._chosen(Route()) is None
    said = "Transport 'acme-bad' of polyglot-bad 3.0 could not be imported: SystemExit: 3"
    assert said in caplog.messages
    with pytest.raises(PluginError, match="Transport 'acme-bad'"):
        transports._chosen(Route(transport="acme-bad"))


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
