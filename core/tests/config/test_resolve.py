"""Resolution of names: file, environment, presets, drivers, and the errors of each."""

from __future__ import annotations

import importlib
import os
import sys
import textwrap
from pathlib import Path

import pytest
from msgspec.structs import replace

from polyglot_core import ConfigError, Connection, Inference, PluginError, connections, drivers, register
from polyglot_core._config import config_file, resolve
from polyglot_core._drivers import discovery
from polyglot_core._values.limits import Limits, Retries, Timeouts
from polyglot_core._values.secret import Secret
from polyglot_core.errors import NoDefault

PRESETS = """
    from polyglot_core.plugin import Preset

    PRESETS = {
        "acme": Preset(
            driver="toy",
            base_url="https://api.acme.example/v1",
            api_key_env="ACME_KEY",
            model="small",
            auth_header="x-acme-key",
            auth_scheme="",
            facts={"complete_on": "end"},
        ),
        "free": Preset(driver="toy", base_url="http://localhost:1/v1"),
        "orphan": Preset(driver="nobody", base_url="http://localhost:1/v1", model="m"),
    }
"""


@pytest.fixture(autouse=True)
def _acme(toy, tmp_path, monkeypatch):
    """Register a driver ``toy`` and install presets ``acme``, ``free`` and ``orphan``."""
    folder = tmp_path / "site"
    info = folder / "polyglot_acme-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: polyglot-acme\nVersion: 1.0\n")
    names = "".join(f"{name} = acme_presets_of_settings\n" for name in ("acme", "free", "orphan"))
    (info / "entry_points.txt").write_text(f"[polyglot.presets]\n{names}")
    (folder / "acme_presets_of_settings.py").write_text(textwrap.dedent(PRESETS))
    monkeypatch.syspath_prepend(str(folder))
    importlib.invalidate_caches()
    monkeypatch.setenv("ACME_KEY", "test-key")
    with register(toy.Driver(), "toy"):
        yield
    sys.modules.pop("acme_presets_of_settings", None)


@pytest.fixture
def install_defaults(tmp_path, monkeypatch):
    """Return a function that installs a package which offers presets as defaults, instead of the installed ones."""

    def install(*names):
        folder = tmp_path / "offers"
        info = folder / "polyglot_offers-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: polyglot-offers\nVersion: 1.0\n")
        lines = "".join(f"{name} = anything\n" for name in names)
        (info / "entry_points.txt").write_text(f"[polyglot.offers]\n{lines}[polyglot.presets]\nbroken = acme_nowhere\n")
        monkeypatch.setattr(discovery, "DEFAULTS", "polyglot.offers")
        monkeypatch.syspath_prepend(str(folder))
        importlib.invalidate_caches()

    return install


@pytest.fixture
def config(tmp_path, monkeypatch):
    """Return a function that writes the configuration file that `POLYGLOT_CONFIG` names."""
    file = tmp_path / "polyglot.toml"
    monkeypatch.setenv("POLYGLOT_CONFIG", str(file))

    def write(text):
        file.write_text(textwrap.dedent(text), "utf-8")
        file.chmod(0o600)
        return file

    return write


def message(call, *args, **kwargs):
    with pytest.raises(ConfigError) as caught:
        call(*args, **kwargs)
    assert caught.value.phase == "configure"
    assert "test-key" not in str(caught.value)
    return str(caught.value)


# Errors in the file

BAD = {
    "not TOML": ("[connections", ["is not TOML"]),
    "a value without quotes": ("default = acme", ["is not TOML"]),
    "the same table twice": ("[connections.a]\ndriver = 'toy'\n[connections.a]\ndriver = 'toy'", ["is not TOML"]),
    "an unknown key at the top": ("defualt = 'a'", ["line 1", "unknown key 'defualt'", "did you mean 'default'?"]),
    "nothing like any key": ("xyzzy = 1", ["line 1", "unknown key 'xyzzy'", "Known are default, connections"]),
    "the word in the singular": ("[connection.a]\ndriver = 'toy'", ["line 1", "did you mean 'connections'?"]),
    "an unknown key of a connection": (
        "[connections.a]\ndriver = 'toy'\nmodle = 'm'",
        ["line 3", "unknown key 'modle'", "did you mean 'model'?"],
    ),
    "the line of the right table": (
        "[connections.a]\ndriver = 'toy'\nmodel = 'm'\n\n[connections.b]\ndriver = 'toy'\napi_kee = 'x'",
        ["line 7", "'api_kee'", "'api_key'"],
    ),
    "an inline table": ("[connections]\na = {driver = 'toy', modle = 'm'}", ["unknown key 'modle'"]),
    "a quoted key": ("[connections.a]\ndriver = 'toy'\n'modle' = 'm'", ["line 3", "'modle'"]),
    "a quoted name": ("[connections.'my own']\ndriver = 'toy'\nmodle = 'm'", ["unknown key 'modle'"]),
    "an unknown clock": (
        "[connections.a]\ndriver = 'toy'\n[connections.a.timeouts]\nidel = 3",
        ["line 4", "unknown key 'idel'", "did you mean 'idle'?"],
    ),
    "an unknown clock inline": ("[connections.a]\ndriver = 'toy'\ntimeouts = {idel = 3}", ["unknown key 'idel'"]),
    "a clock that is a text": (
        "[connections.a]\ndriver = 'toy'\ntimeouts = {idle = 'long'}",
        ["line 3", "timeouts", "Expected `float`, got `str`"],
    ),
    "clocks that are a text": (
        "[connections.a]\ndriver = 'toy'\ntimeouts = '30'",
        ["line 3", "timeouts", "got `str`"],
    ),
    "a driver that is a number": ("[connections.a]\ndriver = 5", ["line 2", "driver", "got `int`"]),
    "a model that is a list": ("[connections.a]\ndriver = 'toy'\nmodel = ['m']", ["line 3", "model", "got `array`"]),
    "a model that is a number": ("[connections.a]\ndriver = 'toy'\nmodel = 4", ["line 3", "model", "got `int`"]),
    "a key that is a number": ("[connections.a]\ndriver = 'toy'\napi_key = 123456", ["line 3", "api_key", "got `int`"]),
    "a variable that is a table": ("[connections.a]\ndriver = 'toy'\napi_key_env = {}", ["line 3", "api_key_env"]),
    "a base URL that is true": (
        "[connections.a]\ndriver = 'toy'\nbase_url = true",
        ["line 3", "base_url", "got `bool`"],
    ),
    "headers that are a text": (
        "[connections.a]\ndriver = 'toy'\nheaders = 'a: b'",
        ["line 3", "headers", "got `str`"],
    ),
    "a header that is a number": (
        "[connections.a]\ndriver = 'toy'\nheaders = {a = 1}",
        ["line 3", "headers", "got `int`"],
    ),
    "options that are a list": ("[connections.a]\ndriver = 'toy'\noptions = []", ["line 3", "options", "got `array`"]),
    "a proxy that is a number": ("[connections.a]\ndriver = 'toy'\nproxy = 8080", ["line 3", "proxy", "got `int`"]),
    "a default that is a number": ("default = 5", ["default is a text"]),
    "connections that are a number": ("connections = 5", ["connections are tables"]),
    "a connection that is a text": (
        "[connections]\na = 'toy'",
        ["line 2", "connection 'a' is a table, [connections.a]"],
    ),
    "neither driver nor preset": ("[connections.a]\nmodel = 'm'", ["line 1", "'a' needs either driver or preset"]),
    "driver and preset": (
        "[connections.a]\ndriver = 'toy'\npreset = 'acme'",
        ["line 1", "has both driver and preset; set one"],
    ),
    "a key in place of the name of its variable": (
        "[connections.a]\ndriver = 'toy'\napi_key_env = 'test-key'",
        ["line 3", "api_key_env is not the name of an environment variable"],
    ),
    "two keys": (
        "[connections.a]\ndriver = 'toy'\napi_key = 'x'\napi_key_env = 'Y'",
        ["line 1", "'a' has both api_key and api_key_env"],
    ),
    "two other keys": (
        "[connections.a]\ndriver = 'toy'\napi_key_command = 'x'\napi_key_env = 'Y'",
        ["has both api_key_env and api_key_command"],
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_error_in_the_file_is_reported(config, name):
    """The message names the file, the line, the mistake and the nearest known word."""
    text, parts = BAD[name]
    file = config(text)
    said = message(resolve.resolve, "a")
    assert str(file) in said
    assert [part for part in parts if part not in said] == []
    assert "test-key" not in said
    assert message(connections) == said


# Unusable connections

UNUSABLE = {
    "an unknown preset": (
        "[connections.a]\npreset = 'acmee'",
        ["Connection 'a'", "preset 'acmee'", "did you mean 'acme'?"],
    ),
    "a missing variable": (
        "[connections.a]\ndriver = 'toy'\napi_key_env = 'NO_KEY'",
        ["'a' needs a key", "variable NO_KEY"],
    ),
    "an empty variable": (
        "[connections.a]\ndriver = 'toy'\napi_key_env = 'EMPTY_KEY'",
        ["'a' needs a key", "EMPTY_KEY"],
    ),
    "a base URL without scheme": (
        "[connections.a]\ndriver = 'toy'\nbase_url = 'localhost:1'",
        ["base_url of connection 'a'", "absolute http or https URL"],
    ),
    "a base URL that is none": (
        "[connections.a]\npreset = 'acme'\nbase_url = 'http://[::1'",
        ["base_url of connection 'a'"],
    ),
    "a port that is none": (
        "[connections.a]\npreset = 'acme'\nbase_url = 'http://host:port'",
        ["base_url of connection 'a'"],
    ),
    "a password in the base URL": (
        "[connections.a]\ndriver = 'toy'\nbase_url = 'http://u:test-key@localhost'",
        ["user name or password", "api_key"],
    ),
    "a header with a line break": (
        "[connections.a]\ndriver = 'toy'\nheaders = {x-a = \"b\\nc\"}",
        ["Header 'x-a' of connection 'a'"],
    ),
    "a key with a line break": (
        "[connections.a]\ndriver = 'toy'\napi_key = \"test-key\\n\"",
        ["The key of connection 'a'"],
    ),
    "a command that is not there": (
        "[connections.a]\ndriver = 'toy'\napi_key_command = ['no-such-command-here', 'test-key']",
        ["key command of connection 'a' (no-such-command-here)", "could not be run"],
    ),
    "a command that fails": (
        f"[connections.a]\ndriver = 'toy'\napi_key_command = ['{sys.executable}', '-c', 'raise SystemExit(3)']",
        ["failed with exit status 3"],
    ),
    "a command that prints nothing": (
        f"[connections.a]\ndriver = 'toy'\napi_key_command = ['{sys.executable}', '-c', '']",
        ["printed nothing"],
    ),
    "an empty command": (
        "[connections.a]\ndriver = 'toy'\napi_key_command = []",
        ["key command of connection 'a' (empty)"],
    ),
    "a command with an open quote": ("[connections.a]\ndriver = 'toy'\napi_key_command = \"a 'b\"", ["key command"]),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_unusable_connection_is_reported(config, monkeypatch, name):
    """The message names what is missing or unusable and what to do about it; it shows no key."""
    monkeypatch.setenv("EMPTY_KEY", "")
    text, parts = UNUSABLE[name]
    config(text)
    said = message(resolve.resolve, "a")
    assert [part for part in parts if part not in said] == []


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("acmee", ["Nothing is called 'acmee'", "did you mean 'acme'?", "presets", "drivers: ", "toy"]),
        ("mien", ["did you mean 'mine'?", "connections: mine"]),
        ("xyzzy/model", ["Nothing is called 'xyzzy'"]),
    ],
)
def test_unknown_name_is_reported(config, name, parts):
    """The message lists the known names and suggests the nearest."""
    config("[connections.mine]\ndriver = 'toy'")
    said = message(resolve.resolve, name)
    assert [part for part in parts if part not in said] == []


def test_unknown_default_is_reported_with_its_source(config, monkeypatch):
    """The caller did not give the name, so the message names the file or variable that sets it."""
    file = config("default = 'nowhere'")
    assert f"'nowhere' (it is the default in {file})" in message(resolve.resolve)
    monkeypatch.setenv("POLYGLOT_DEFAULT", "elsewhere")
    assert "'elsewhere' (the environment variable POLYGLOT_DEFAULT names it)" in message(resolve.resolve)


def test_no_dissimilar_name_is_suggested(config):
    """A suggestion that is not similar would mislead."""
    config("[connections.databricks]\ndriver = 'toy'")
    assert "did you mean" not in message(resolve.resolve, "xyz-broken-like")


def test_driver_outside_the_allow_list_is_reported_as_such(config, tmp_path, monkeypatch):
    """The cause is the allow list, not the installation."""
    config("")
    info = tmp_path / "excluded" / "polyglot_excluded-2.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: polyglot-excluded\nVersion: 2.0\n")
    (info / "entry_points.txt").write_text("[polyglot.drivers]\nacme-driver = acme_nowhere\n")
    monkeypatch.syspath_prepend(str(info.parent))
    monkeypatch.setenv("POLYGLOT_DRIVERS", "others")
    made = resolve.resolve("toy").with_changes(driver="acme-driver")
    assert "is installed, but POLYGLOT_DRIVERS excludes it" in str(resolve.unknown_driver(made))


def test_unknown_default_is_an_error(config):
    """A default that is not found is an error like any other name."""
    config("default = 'nowhere'")
    assert "Nothing is called 'nowhere'" in message(resolve.resolve)


def test_missing_default_is_reported_with_the_path_of_the_file(config):
    """Without a name and a default, the message gives the path where the file is looked for."""
    file = config("")
    said = message(resolve.resolve)
    assert "No connection is named" in said
    assert str(file) in said


@pytest.mark.parametrize(
    ("overrides", "parts"),
    [
        ({"modle": "m"}, ["no field 'modle'", "did you mean 'model'?"]),
        ({"stream": True}, ["no field 'stream'", "Known are"]),
        ({"timeouts": {"idel": 1}}, ["no 'idel' in timeouts", "did you mean 'idle'?"]),
        ({"timeouts": True}, ["timeouts", "bool"]),
        ({"timeouts": -1}, ["'connect' in timeouts", "negative"]),
        ({"timeouts": "30"}, ["timeouts", "str"]),
        ({"timeouts": [30]}, ["timeouts", "list"]),
        ({"base_url": "nowhere"}, ["base_url"]),
        ({"base_url": "http://[::1"}, ["base_url"]),
        ({"base_url": "http://host:port"}, ["base_url"]),
        ({"api_key": "test-key\n"}, ["The key"]),
        ({"headers": {"a": "b\r\n"}}, ["Header 'a'"]),
    ],
)
@pytest.mark.parametrize("name", ["acme", "toy"])
def test_unusable_override_is_reported(name, overrides, parts):
    """The message names the override and suggests the nearest field."""
    said = message(resolve.resolve, name, **overrides)
    assert [part for part in parts if part not in said] == []


@pytest.mark.parametrize(
    "overrides",
    [
        {"options": "x"},
        {"options": 5},
        {"headers": ["a"]},
        {"headers": {"a": 5}},
        {"api_key": 5},
        {"timeouts": {"idle": "x"}},
    ],
)
def test_override_of_a_wrong_type_is_a_config_error(overrides):
    """A wrong type raises a `ConfigError`, not an error from inside the library."""
    with pytest.raises(ConfigError):
        resolve.resolve("toy", **overrides)


def test_unreadable_file_is_reported(tmp_path, monkeypatch):
    """A named file that is missing, a folder or not text raises an error with its path."""
    missing, binary = tmp_path / "missing.toml", tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe")
    for path in (missing, tmp_path, binary):
        assert f"{path} cannot be read" in message(resolve.resolve, "acme", config=path)
        monkeypatch.setenv("POLYGLOT_CONFIG", str(path))
        assert f"{path} cannot be read" in message(resolve.resolve, "acme")


# Which file


def test_precedence_of_files(tmp_path, monkeypatch):
    """A file given in code overrides `POLYGLOT_CONFIG`, which overrides the user's file; the working directory is not searched."""
    files = {}
    for name in ("given", "named", "home/polyglot", "work"):
        files[name] = tmp_path / name / "polyglot.toml"
        files[name].parent.mkdir(parents=True)
        files[name].write_text(f"[connections.a]\ndriver = 'toy'\nmodel = '{name}'")
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "nothing-here"))
    assert "Nothing is called 'a'" in message(resolve.resolve, "a")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    assert resolve.resolve("a").model == "home/polyglot"
    monkeypatch.setenv("POLYGLOT_CONFIG", str(files["named"]))
    assert resolve.resolve("a").model == "named"
    assert resolve.resolve("a", config=files["given"]).model == "given"
    assert resolve.resolve("a", config=str(files["given"])).model == "given"


@pytest.mark.parametrize(
    ("platform", "variables", "expected"),
    [
        ("linux", {"XDG_CONFIG_HOME": "/x"}, "/x/polyglot/polyglot.toml"),
        ("linux", {"XDG_CONFIG_HOME": "", "HOME": "/h"}, "/h/.config/polyglot/polyglot.toml"),
        ("darwin", {"HOME": "/h"}, "/h/Library/Application Support/polyglot/polyglot.toml"),
        ("win32", {"APPDATA": "/a"}, "/a/polyglot/polyglot.toml"),
        ("win32", {"APPDATA": "", "HOME": "/h"}, "/h/AppData/Roaming/polyglot/polyglot.toml"),
    ],
)
def test_path_of_the_users_file(monkeypatch, platform, variables, expected):
    """The user's file is in the configuration folder of the platform."""
    monkeypatch.setattr(sys, "platform", platform)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert config_file.user_config_file() == Path(expected)


@pytest.mark.parametrize("trouble", ["no home", "unreadable home"])
def test_home_is_optional(monkeypatch, trouble):
    """Without a home folder, or with one that cannot be read, there is no file, and the environment configures all."""

    def fail(_path):
        raise RuntimeError if trouble == "no home" else PermissionError(13, "Permission denied")

    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("XDG_CONFIG_HOME", "POLYGLOT_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    if trouble == "no home":
        monkeypatch.setattr(Path, "home", lambda: fail(None))
    else:
        monkeypatch.setattr(Path, "is_file", fail)
    monkeypatch.setenv("POLYGLOT_TOY_MODEL", "m")
    assert resolve.resolve("toy").model == "m"
    assert "Nothing is called 'a'" in message(resolve.resolve, "a")
    with pytest.raises(NoDefault):
        resolve.resolve()


def test_file_is_optional(monkeypatch):
    """Presets and drivers work without a file."""
    assert config_file.read_settings() == config_file.Settings()
    assert resolve.resolve("acme").model == "small"


@pytest.mark.skipif(os.name != "posix", reason="permissions of files are POSIX's")
@pytest.mark.parametrize(("mode", "key", "warned"), [(0o600, True, False), (0o644, True, True), (0o644, False, False)])
def test_readable_file_with_a_key_warns(config, recwarn, mode, key, warned):
    """A file with a key that others can read causes a warning."""
    file = config("[connections.a]\ndriver = 'toy'\n" + ("api_key = 'test-key'" if key else ""))
    file.chmod(mode)
    if warned:
        with pytest.warns(UserWarning, match="chmod 600") as caught:
            resolve.resolve("a")
        assert "test-key" not in str(caught[0].message)
    else:
        resolve.resolve("a")


# Resolution


def test_entry_of_the_file(config):
    """A connection has the fields of its entry in the file."""
    config("""
        [connections.mine]
        driver = "toy"
        model = "m"
        base_url = "http://localhost:1/v1"
        api_key = "test-key"
        options = {temperature = 0.5}
        headers = {x-team = "a"}
        timeouts = {idle = 5, total = 60.5}
        proxy = "http://localhost:3128"
        ca = "/ca.pem"
    """)
    made = resolve.resolve("mine")
    assert made == Connection(
        name="mine",
        driver="toy",
        model="m",
        base_url="http://localhost:1/v1",
        api_key="test-key",
        options={"temperature": 0.5},
        headers={"x-team": "a"},
        timeouts=Timeouts(idle=5.0, total=60.5),
        proxy="http://localhost:3128",
        ca="/ca.pem",
    )


def test_preset():
    """A preset gives its facts, and the key from its variable."""
    made = resolve.resolve("acme")
    assert (made.name, made.driver, made.base_url, made.model) == (
        "acme",
        "toy",
        "https://api.acme.example/v1",
        "small",
    )
    assert (made.secret, made.auth_header, made.auth_scheme) == (Secret("test-key"), "x-acme-key", "")
    assert made.facts == {"complete_on": "end"}


def test_entry_overrides_its_preset(config):
    """The fields of an entry override those of its preset."""
    config("[connections.mine]\npreset = 'acme'\nmodel = 'large'\noptions = {seed = 1}")
    made = resolve.resolve("mine")
    assert (made.name, made.model, made.base_url) == ("mine", "large", "https://api.acme.example/v1")
    assert (made.options, made.secret, made.facts) == ({"seed": 1}, Secret("test-key"), {"complete_on": "end"})


def test_driver_name():
    """The name of a driver is a connection with defaults only."""
    assert resolve.resolve("toy") == Connection(name="toy", driver="toy")


def test_precedence_of_entry_preset_and_driver(config, toy):
    """The same name means the entry first, then the preset, then the driver."""
    config("")
    with register(toy.Driver(), "acme"):
        assert resolve.resolve("acme").base_url == "https://api.acme.example/v1"
        config("[connections.acme]\ndriver = 'toy'\nmodel = 'mine'")
        assert resolve.resolve("acme").model == "mine"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("acme", ("acme", "small")),
        ("acme/large", ("acme", "large")),
        ("acme/org/large", ("acme", "org/large")),
        ("toy/m", ("toy", "m")),
        ("mine/x", ("mine", "x")),
        ("with/slash", ("with/slash", "whole")),
    ],
)
def test_model_after_a_slash(config, name, expected):
    """The text after a slash is the model, unless the whole text is a name."""
    config("[connections.mine]\ndriver = 'toy'\n[connections.'with/slash']\ndriver = 'toy'\nmodel = 'whole'")
    made = resolve.resolve(name)
    assert (made.name, made.model) == expected


def test_model_override_beats_the_model_in_the_name():
    """An explicit override has the highest precedence."""
    assert resolve.resolve("acme/large", model="other").model == "other"


def test_precedence_of_defaults(config, monkeypatch):
    """A name overrides `POLYGLOT_DEFAULT`, which overrides the default of the file."""
    config("default = 'free'\n[connections.mine]\ndriver = 'toy'")
    assert resolve.resolve().name == "free"
    monkeypatch.setenv("POLYGLOT_DEFAULT", "mine")
    assert resolve.resolve().name == "mine"
    assert resolve.resolve("acme").name == "acme"


@pytest.fixture
def offered(config, install_defaults, monkeypatch):
    """Return a function that offers presets as defaults; nothing is configured."""
    config("")
    for variable in ("OPENAI_API_KEY", "ACME_KEY"):
        monkeypatch.delenv(variable, raising=False)
    return install_defaults


def test_offered_preset_with_a_key_is_the_default(offered, monkeypatch):
    """Without a configured default, a preset that its package offers as one is used if its key is set."""
    offered("acme")
    with pytest.raises(NoDefault, match="set ACME_KEY") as caught:
        resolve.resolve()
    assert caught.value.variables == ("ACME_KEY",)
    monkeypatch.setenv("ACME_KEY", "test-key")
    assert resolve.resolve().name == "acme"
    monkeypatch.delenv("ACME_KEY")
    monkeypatch.setenv("POLYGLOT_ACME_API_KEY", "test-key")
    assert resolve.resolve().name == "acme"


def test_preset_that_is_not_offered_is_not_the_default(offered, monkeypatch):
    """A key alone makes no default: the package has to offer the preset."""
    offered()
    monkeypatch.setenv("ACME_KEY", "test-key")
    with pytest.raises(NoDefault) as caught:
        resolve.resolve()
    assert caught.value.variables == ()


def test_two_possible_defaults_are_an_error(offered, monkeypatch):
    """The order of names does not decide which provider receives a key and a prompt."""
    offered("acme", "free")
    monkeypatch.setenv("ACME_KEY", "test-key")
    with pytest.raises(ConfigError, match=r"Keys of acme and free are set") as caught:
        resolve.resolve()
    assert not isinstance(caught.value, NoDefault)


def test_offered_preset_that_fails_to_load_is_skipped(offered, monkeypatch):
    """A broken or missing preset does not affect the others."""
    offered("acme", "nowhere", "broken")
    monkeypatch.setenv("ACME_KEY", "test-key")
    assert resolve.resolve().name == "acme"


@pytest.mark.parametrize("host", ["localhost", "a.localhost", "127.0.0.1", "127.8.8.8", "[::1]", "0.0.0.0"])  # noqa: S104 (asked)
def test_plain_http_to_this_machine_is_accepted(host):
    """Loopback traffic cannot be read by others."""
    assert resolve.resolve("toy", base_url=f"http://{host}:1/v1").base_url == f"http://{host}:1/v1"


@pytest.mark.parametrize("host", ["api.acme.example", "192.168.0.7", "localhost.example", "[fe80::1]", "vllm"])
def test_plain_http_to_another_host_needs_allow_http(config, monkeypatch, host):
    """It exposes the key, so it has to be allowed in code, in the file or in the environment."""
    base_url = f"http://{host}:8000/v1"
    config("")
    said = message(resolve.resolve, "toy", base_url=base_url)
    assert f"uses plain HTTP to a remote host ({host.strip('[]')})" in said
    assert "allow_http" in said
    assert resolve.resolve("toy", base_url=base_url, allow_http=True).base_url == base_url
    config(f"[connections.lan]\ndriver = 'toy'\nbase_url = '{base_url}'")
    assert "plain HTTP" in message(resolve.resolve, "lan")
    monkeypatch.setenv("POLYGLOT_LAN_ALLOW_HTTP", "true")
    assert resolve.resolve("lan").base_url == base_url
    config(f"[connections.lan]\npreset = 'acme'\nbase_url = '{base_url}'")
    assert resolve.resolve("lan").base_url == base_url
    monkeypatch.delenv("POLYGLOT_LAN_ALLOW_HTTP")
    for start in ("driver = 'toy'", "preset = 'acme'"):
        config(f"[connections.lan]\n{start}\nbase_url = '{base_url}'\nallow_http = true")
        assert resolve.resolve("lan").base_url == base_url
    assert Inference.from_dsn(f"driver=toy,allow_http=true,base_url={base_url}").connection.allow_http is True


def test_switch_is_true_or_false(monkeypatch):
    """Other text is rejected, and the message names its source."""
    monkeypatch.setenv("POLYGLOT_TOY_ALLOW_HTTP", "please")
    said = message(resolve.resolve, "toy")
    assert "allow_http is true or false, not 'please'" in said
    assert "POLYGLOT_TOY_ALLOW_HTTP" in said
    assert "the connection line" in message(Inference.from_dsn, "driver=toy,allow_http=please")


def test_overrides_are_merged(config):
    """Fields are replaced; options, headers and clocks are merged."""
    config("""
        [connections.mine]
        driver = "toy"
        options = {a = 1, b = 1}
        headers = {x-a = "1", x-b = "1"}
        timeouts = {idle = 1, total = 1}
    """)
    made = resolve.resolve("mine", options={"b": 2}, headers={"x-b": "2"}, timeouts={"total": 2.0}, model="m")
    assert (made.options, made.headers, made.model) == ({"a": 1, "b": 2}, {"x-a": "1", "x-b": "2"}, "m")
    assert made.timeouts == Timeouts(idle=1.0, total=2.0)
    assert resolve.resolve("mine", timeouts=Timeouts(first=9.0)).timeouts == Timeouts(first=9.0)
    assert resolve.resolve("mine", timeouts={"idle": None}).timeouts.idle is None


def test_environment_overrides_the_file(config, monkeypatch):
    """Model, base URL and key from the environment override the file, and code overrides them."""
    config("[connections.my-own]\ndriver = 'toy'\nmodel = 'file'\nbase_url = 'http://localhost:1'")
    monkeypatch.setenv("POLYGLOT_MY_OWN_MODEL", "env")
    monkeypatch.setenv("POLYGLOT_MY_OWN_API_KEY", "test-key")
    monkeypatch.setenv("POLYGLOT_MY_OWN_BASE_URL", "http://localhost:2")
    made = resolve.resolve("my-own")
    assert (made.model, made.base_url, made.secret) == ("env", "http://localhost:2", Secret("test-key"))
    assert resolve.resolve("my-own", model="code").model == "code"


def test_key_command(config):
    """The output of the command without its line end is the key; the command is one line or a list of words."""
    config(f"[connections.a]\ndriver = 'toy'\napi_key_command = ['{sys.executable}', '-c', 'print(\"test-key\")']")
    assert resolve.resolve("a").secret == Secret("test-key")
    config(f"[connections.a]\ndriver = 'toy'\napi_key_command = \"'{sys.executable}' -c 'print(1234)'\"")
    assert resolve.resolve("a").secret == Secret("1234")


# A key belongs to an origin

ELSEWHERE, SAME = "https://evil.example/v1", "https://api.acme.example/v2"
OWN_KEY = "[connections.mine]\npreset = 'acme'\napi_key = 'own-key'"
NO_KEY = "[connections.mine]\npreset = 'acme'"
MOVED = f"[connections.mine]\npreset = 'acme'\nbase_url = '{ELSEWHERE}'"
DRIVER = "[connections.mine]\ndriver = 'toy'\nbase_url = 'https://api.acme.example/v1'\napi_key = 'own-key'"


@pytest.mark.parametrize(
    ("text", "name", "overrides", "expected"),
    [
        ("", "acme", {}, "test-key"),
        ("", "acme", {"base_url": ELSEWHERE}, None),
        ("", "acme", {"base_url": SAME}, "test-key"),
        ("", "acme", {"base_url": "https://API.acme.example:443/v2"}, "test-key"),
        ("", "acme", {"base_url": "http://api.acme.example/v1", "allow_http": True}, None),
        ("", "acme", {"base_url": "https://api.acme.example:8443/v1"}, None),
        ("", "acme", {"base_url": "https://api.acme.example.evil.example/v1"}, None),
        ("", "acme", {"base_url": ELSEWHERE, "api_key": "given"}, "given"),
        ("", "acme", {"api_key": "given"}, "given"),
        ("", "acme", {"api_key": None}, None),
        (NO_KEY, "mine", {}, "test-key"),
        (NO_KEY, "mine", {"base_url": SAME}, "test-key"),
        (NO_KEY, "mine", {"base_url": ELSEWHERE}, None),
        (NO_KEY, "mine", {"api_key": "given"}, "given"),
        (OWN_KEY, "mine", {}, "own-key"),
        (OWN_KEY, "mine", {"base_url": SAME}, "own-key"),
        (OWN_KEY, "mine", {"base_url": ELSEWHERE}, None),
        (OWN_KEY, "mine", {"base_url": ELSEWHERE, "api_key": "given"}, "given"),
        (MOVED, "mine", {}, None),
        (MOVED + "\napi_key = 'own-key'", "mine", {}, "own-key"),
        (MOVED + "\napi_key = 'own-key'", "mine", {"base_url": ELSEWHERE + "/more"}, "own-key"),
        (MOVED + "\napi_key = 'own-key'", "mine", {"base_url": SAME}, None),
        (DRIVER, "mine", {"base_url": SAME}, "own-key"),
        (DRIVER, "mine", {"base_url": ELSEWHERE}, None),
        (DRIVER, "mine", {"base_url": ELSEWHERE, "headers": {"x-api-key": "given"}}, None),
    ],
)
def test_key_is_not_sent_to_another_origin(config, text, name, overrides, expected):
    """A key is used for the origin that it was configured for, and for no other that an override or a file names."""
    config(text)
    made = resolve.resolve(name, **overrides)
    assert made.secret == (None if expected is None else Secret(expected))


HEADERS = (
    DRIVER + "\nheaders = {x-api-key = 'a', Cookie = 'b', Authorization = 'c', x-corp-token = 'd', x-mine = 'e', "
    "x-team = 'f'}"
)


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ({}, {"x-api-key", "Cookie", "Authorization", "x-corp-token", "x-mine", "x-team"}),
        ({"base_url": SAME}, {"x-api-key", "Cookie", "Authorization", "x-corp-token", "x-mine", "x-team"}),
        ({"base_url": ELSEWHERE}, {"x-mine", "x-team"}),
        ({"base_url": ELSEWHERE, "api_key": "given"}, {"x-mine", "x-team"}),
        ({"base_url": ELSEWHERE, "auth_header": "X-Mine"}, {"x-team"}),
        ({"base_url": ELSEWHERE, "headers": {"cookie": "given"}}, {"cookie", "x-mine", "x-team"}),
    ],
)
@pytest.mark.parametrize("given", ["code", "environment"])
def test_header_with_a_key_is_not_sent_to_another_origin(config, monkeypatch, given, overrides, expected):
    """Headers that carry a key are dropped as the key is, unless they are given together with the new base URL."""
    config(HEADERS)
    if given == "environment" and "base_url" in overrides:
        monkeypatch.setenv("POLYGLOT_MINE_BASE_URL", overrides["base_url"])
        overrides = {field: value for field, value in overrides.items() if field != "base_url"}
    assert set(resolve.resolve("mine", **overrides).headers) == expected


def test_secret_fact_of_a_preset_is_not_sent_to_another_origin(config, monkeypatch):
    """Secrets of a preset are used for its own origin only, also below an entry of the file."""
    own = {"token": Secret("test-key"), "tokens": [{"a": Secret("test-key")}], "path": "/v1"}
    preset = discovery.load_preset("acme")
    monkeypatch.setattr(discovery, "load_preset", lambda name: replace(preset, facts=own) if name == "acme" else None)
    config(
        "[connections.moved]\npreset = 'acme'\nbase_url = 'https://evil.example/v1'\n[connections.at]\npreset = 'acme'"
    )
    assert resolve.resolve("acme").facts == resolve.resolve("at").facts == own
    assert resolve.resolve("moved").facts == {"path": "/v1"}
    assert resolve.resolve("acme", base_url=ELSEWHERE).facts == {"path": "/v1"}
    assert resolve.resolve("at", base_url=ELSEWHERE).facts == {"path": "/v1"}
    assert resolve.resolve("at", base_url=ELSEWHERE, facts={"token": "given"}).facts == {
        "path": "/v1",
        "token": "given",
    }


def test_missing_key_is_an_error_only_if_it_would_be_sent(monkeypatch):
    """Without its variable a preset is unusable, but works with another origin or with a key given in code."""
    monkeypatch.delenv("ACME_KEY")
    assert "set the environment variable ACME_KEY" in message(resolve.resolve, "acme")
    assert resolve.resolve("acme", api_key="given").secret == Secret("given")
    assert resolve.resolve("acme", base_url="http://localhost:1").secret is None


def test_base_url_from_the_environment_drops_the_key_of_the_file(config, monkeypatch):
    """A base URL from the environment with another origin does not receive the configured key."""
    config(OWN_KEY)
    monkeypatch.setenv("POLYGLOT_MINE_BASE_URL", ELSEWHERE)
    assert resolve.resolve("mine").secret is None


# Connection lines


def test_connection_line():
    """A line of fields makes a connection from a driver or a preset."""
    made = Inference.from_dsn(
        "preset=acme, model=large, options.temperature=0.5, options.stop=END, headers.x-a=b"
    ).connection
    assert (made.name, made.model, made.secret) == ("acme", "large", Secret("test-key"))
    assert (made.options, made.headers) == ({"temperature": 0.5, "stop": "END"}, {"x-a": "b"})
    other = Inference.from_dsn("driver=toy,name=mine,base_url=http://localhost:1/v1,timeouts.idle=3").connection
    assert (other.name, other.driver, other.base_url, other.timeouts.idle) == (
        "mine",
        "toy",
        "http://localhost:1/v1",
        3,
    )


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("", "name=value"),
        ("toy", "part 1 is not such a pair"),
        ("driver=toy,api_key=test,-key", "part 3 is not such a pair"),
        ("driver=toy,api_key=test,-key=", "The name in part 3"),
        ("driver=toy,options=1,options.a=2", "options in part 2 of the connection line is a mapping"),
        ("driver=toy,options.=1", "part 2 is not such a pair"),
        ("driver.x=toy", "driver in part 1 of the connection line is given as driver=value"),
        ("driver=toy,fallbacks=acme", "fallbacks of connection 'toy' is str"),
        ("model=m", "either driver= or preset="),
        ("driver=toy,preset=acme", "either driver= or preset="),
        ("preset=acmee", "did you mean 'acme'?"),
        ("driver=toy,modle=m", "did you mean 'model'?"),
        ("driver=toy,timeouts.idel=1", "did you mean 'idle'?"),
        ("driver=toy,base_url=nowhere", "base_url"),
        ("driver=toy,limits=3", "limits"),
        ("driver=toy,timeouts=soon", "'connect' in timeouts"),
        ("driver=toy,=x", "name=value"),
    ],
)
def test_error_in_a_connection_line_is_reported(line, part):
    """The message locates the mistake and quotes nothing that may be a key."""
    said = message(Inference.from_dsn, line)
    assert part in said
    assert "-key" not in said


def test_value_in_a_line_that_is_not_json_is_text():
    """A value nested too deeply for JSON is kept as text; a header is always text."""
    made = Inference.from_dsn(f"driver=toy,options.stop={'[' * 5000},headers.x-a=5").connection
    assert (made.options, made.headers) == ({"stop": "[" * 5000}, {"x-a": "5"})


# Lists


def test_connections_lists_names_and_reasons(config, monkeypatch):
    """Every name is listed once, with its source, and with the reason if it cannot be used."""
    config("""
        [connections.mine]
        driver = "toy"
        model = "m"

        [connections.keyless]
        driver = "toy"
        api_key_env = "NO_KEY"

        [connections.lost]
        driver = "nobody"

        [connections.stray]
        preset = "nowhere"
    """)
    monkeypatch.delenv("ACME_KEY")
    listed = {info.name: info for info in connections()}
    assert [(info.source, info.usable) for info in map(listed.get, ("mine", "free", "toy"))] == [
        ("file", True),
        ("preset", True),
        ("driver", True),
    ]
    assert (listed["mine"].driver, listed["mine"].model) == ("toy", "m")
    for name, reason in {
        "keyless": "NO_KEY",
        "lost": "no driver 'nobody'",
        "stray": "'nowhere', which is not installed",
        "acme": "ACME_KEY",
        "orphan": "no driver 'nobody'",
    }.items():
        assert not listed[name].usable
        assert reason in listed[name].reason
    assert (listed["acme"].driver, listed["acme"].base_url) == ("toy", "https://api.acme.example/v1")
    assert len(listed) == len(connections())


def test_connections_state_where_a_key_is_found(config, monkeypatch):
    """It is the source of the key, never the key; a key command is not run."""
    config("""
        [connections.of-file]
        driver = "toy"
        api_key = "test-key-of-file"

        [connections.of-command]
        driver = "toy"
        api_key_command = "no-such-command --now"
    """)
    monkeypatch.setenv("POLYGLOT_FREE_API_KEY", "test-key-of-environment")
    found = {info.name: info.key for info in connections()}
    assert found["of-file"] == "the configuration file"
    assert found["of-command"] == "a command"
    assert found["acme"] == "the environment variable ACME_KEY"
    assert found["free"] == "the environment variable POLYGLOT_FREE_API_KEY"
    assert found["toy"] == ""
    assert "test-key" not in repr(connections())


def test_drivers_lists_drivers_and_reasons(tmp_path, monkeypatch):
    """Every driver is listed, registered or installed, with the reason if it does not load."""
    info = tmp_path / "broken" / "polyglot_broken-2.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: polyglot-broken\nVersion: 2.0\n")
    (info / "entry_points.txt").write_text("[polyglot.drivers]\nacme-broken = acme_nowhere\n")
    monkeypatch.syspath_prepend(str(info.parent))
    listed = {info.name: info for info in drivers()}
    assert listed["toy"] == ("toy", "", "", True, "", ("decode_chunk", "encode_request", "extract_usage"))
    broken = listed["acme-broken"]
    assert (broken.distribution, broken.version, broken.usable) == ("polyglot-broken", "2.0", False)
    assert "ModuleNotFoundError" in broken.reason
    assert "acme-broken" in message(resolve.resolve, "nothing-of-this-name")


def test_broken_preset_is_reported(tmp_path, monkeypatch):
    """A preset whose module does not load raises a `PluginError`, and is listed with the reason."""
    info = tmp_path / "broken" / "polyglot_broken-2.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: polyglot-broken\nVersion: 2.0\n")
    (info / "entry_points.txt").write_text("[polyglot.presets]\nacme-broken = acme_nowhere\n")
    monkeypatch.syspath_prepend(str(info.parent))
    with pytest.raises(PluginError, match=r"polyglot-broken 2\.0"):
        resolve.resolve("acme-broken")
    (listed,) = [info for info in connections() if info.name == "acme-broken"]
    assert not listed.usable
    assert "polyglot-broken" in listed.reason


# Retries, limits and fallbacks


def test_retries_limits_and_fallbacks_of_the_file(config):
    """Single numbers of the file are merged into the defaults; fallbacks are names, resolved as any name is."""
    config(
        "[connections.mine]\ndriver = 'toy'\nmodel = 'm'\nretries = { max_retries = 0 }\nlimits = { event = 1000 }\n"
        "fallbacks = ['other', 'acme/large']\n[connections.other]\ndriver = 'toy'\nmodel = 'o'\nfallbacks = ['mine']\n"
    )
    made = resolve.resolve("mine")
    assert (made.retries, made.limits) == (Retries(max_retries=0), Limits(event=1000))
    assert [(other.name, other.model) for other in made.fallbacks] == [("other", "o"), ("acme", "large")]
    assert [other.fallbacks for other in made.fallbacks] == [(), ()]


def test_unusable_fallback_is_reported(config, monkeypatch):
    """A connection whose fallback lacks its key is listed as unusable."""
    config(
        "[connections.mine]\ndriver = 'toy'\nmodel = 'm'\nfallbacks = ['other']\n"
        "[connections.other]\ndriver = 'toy'\nmodel = 'o'\napi_key_env = 'NO_SUCH_KEY'\n"
    )
    info = next(each for each in connections() if each.name == "mine")
    assert (info.usable, "NO_SUCH_KEY" in info.reason) == (False, True)
    monkeypatch.setenv("NO_SUCH_KEY", "test-key")
    assert next(each for each in connections() if each.name == "mine").usable


def test_fallbacks_in_code_replace_those_of_the_file(config):
    """An override replaces the list of the file; it may hold names and connections."""
    config("[connections.mine]\ndriver = 'toy'\nfallbacks = ['nowhere']\n")
    other = resolve.resolve("toy", model="x")
    assert resolve.resolve("mine", fallbacks=[]).fallbacks == ()
    assert resolve.resolve("mine", fallbacks=[other]).fallbacks == (other,)
    assert "Nothing is called 'nowhere'" in message(resolve.resolve, "mine")


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"retries": {"max_retrys": 1}}, "did you mean 'max_retries'?"),
        ({"retries": {"max_retries": 1.5}}, "'max_retries' in retries"),
        ({"retries": {"max_retries": -1}}, "'max_retries' in retries"),
        ({"retries": {"max_retries": None}}, "'max_retries' in retries"),
        ({"retries": {"initial_backoff": True}}, "'initial_backoff' in retries"),
        ({"retries": "3"}, "retries of connection 'toy' is a Retries, or a dict"),
        ({"retries": True}, "retries of connection 'toy' is a Retries, or a dict"),
        ({"retries": -1}, "'max_retries' in retries of connection 'toy' is negative"),
        ({"limits": {"event": 0.5}}, "'event' in limits"),
        ({"limits": [1]}, "limits of connection 'toy' is a Limits, or a dict"),
        ({"timeouts": {"idle": -1}}, "'idle' in timeouts of connection 'toy' is negative"),
        ({"timeouts": {1: 1}}, "has no 1 in timeouts"),
        ({"fallbacks": 5}, "fallbacks of connection 'toy' is a list of names or connections"),
        ({"fallbacks": [5]}, "fallbacks of connection 'toy' is a list of names or connections"),
    ],
)
def test_unusable_number_is_reported(overrides, said):
    """A number of the wrong kind is reported by name when the connection is made."""
    assert said in message(resolve.resolve, "toy", **overrides)


@pytest.mark.parametrize(
    ("field", "name", "number", "said"),
    [
        ("timeouts", "idle", "5", "is of type str"),
        ("timeouts", "idle", True, "is of type bool"),
        ("timeouts", "total", float("nan"), "is not a number (nan)"),
        (
            "timeouts",
            "first",
            float("inf"),
            "is infinite, and should be a number of seconds from 0 to 1000000000, or None",
        ),
        ("timeouts", "connect", -0.5, "is negative"),
        ("timeouts", "grace", 10**9 + 1, "is too large"),
        ("timeouts", "silence", 10**400, "is too large"),
        pytest.param("timeouts", "silence", 10**5000, "is too large", id="5001 digits"),
        ("retries", "max_retries", 1.0, "is not a whole number"),
        ("retries", "max_retries", True, "is of type bool"),
        ("retries", "initial_backoff", None, "is None"),
        ("retries", "initial_backoff", float("-inf"), "is infinite"),
        ("retries", "max_retry_after", 1e10, "is too large"),
        ("limits", "event", float("inf"), "is infinite, and should be a whole number from 0"),
        ("limits", "event", None, "is None"),
    ],
)
@pytest.mark.parametrize("given", ["dict", "row", "connection", "call"])
def test_unusable_number_is_rejected_wherever_it_is_given(field, name, number, said, given):
    """A clock, a backoff or a limit that cannot be used is rejected, and the message explains why."""
    row = {"timeouts": Timeouts, "retries": Retries, "limits": Limits}[field]
    value = {name: number} if given == "dict" else row(**{name: number})
    if given == "call" and field != "limits":
        call = Inference.using("toy", model="m").create
        shown = message(call, "Hi", **{field: value})
    elif given == "connection":
        shown = message(Connection, name="toy", driver="toy", **{field: value})
    else:
        shown = message(resolve.resolve, "toy", **{field: value})
    assert f"{name!r} in {field} of connection 'toy' {said}" in shown


@pytest.mark.parametrize(
    ("field", "number"), [("idle", 0), ("idle", 10**9), ("total", 0.001), ("total", 5), ("connect", None)]
)
def test_extreme_clocks_are_accepted(field, number):
    """Zero, a billion seconds, whole seconds and None are valid clocks."""
    assert getattr(resolve.resolve("toy", timeouts={field: number}).timeouts, field) == number
    made = Inference.using("toy", model="m", timeouts=Timeouts(**{field: number}))
    assert getattr(made.connection.timeouts, field) == number


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": 5}, "name of connection 5 is int, and should be text"),
        ({"driver": None}, "driver of connection 'c' is NoneType"),
        ({"model": 5}, "model of connection 'c' is int"),
        ({"ca": 5}, "ca of connection 'c' is int"),
        ({"base_url": b"http://localhost"}, "base_url of connection 'c' is bytes"),
        ({"api_key": b"test-key"}, "api_key of connection 'c' is bytes"),
        ({"proxy": 5}, "proxy of connection 'c' is int"),
        ({"auth_header": None}, "auth_header of connection 'c' is NoneType"),
        ({"auth_scheme": None}, "auth_scheme of connection 'c' is NoneType"),
        ({"facts": None}, "facts of connection 'c' is NoneType"),
        ({"options": []}, "options of connection 'c' is list"),
        ({"headers": None}, "headers of connection 'c' is NoneType"),
        ({"headers": {1: "x"}}, "headers of connection 'c' is dict of int: str, and should be a dict of text"),
        ({"fallbacks": None}, "fallbacks of connection 'c' is NoneType, and should be a list of connections"),
        ({"fallbacks": "acme"}, "fallbacks of connection 'c' is str"),
        ({"fallbacks": ["acme"]}, "fallbacks of connection 'c' is tuple of str"),
        ({"timeouts": {"idel": 5}}, "Connection 'c' has no 'idel' in timeouts (did you mean 'idle'?)"),
        ({"limits": {"events": 5}}, "Connection 'c' has no 'events' in limits (did you mean 'event'?)"),
        ({"limits": 5}, "limits of connection 'c' is a Limits, or a dict such as"),
        (
            {"retries": Timeouts()},
            "retries of connection 'c' is a Retries, or a dict such as {'max_retry_after': 30}, not",
        ),
        ({"allow_http": "yes"}, "allow_http of connection 'c' is str, and should be True or False"),
    ],
)
def test_field_of_a_wrong_type_is_reported(fields, said):
    """A field of any wrong type raises a `ConfigError` with both types."""
    assert said in message(Connection, **{"name": "c", "driver": "d", **fields})


@pytest.mark.parametrize("name", [5, b"acme"])
def test_name_that_is_not_text_is_rejected(name):
    """Names are text; another type is reported."""
    assert f"A connection is named by a text, not by {type(name).__name__}" in message(resolve.resolve, name)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a = " + b"[" * 5000 + b"]" * 5000, "is not TOML"),
        (b"a = 1" + b"0" * 5000, "is not TOML"),
        (b"a = '\xff'", "cannot be read"),
    ],
)
def test_file_that_overflows_the_toml_parser_is_reported(tmp_path, content, said):
    """Nesting or digits beyond the parser's limits raise a `ConfigError` as well."""
    file = tmp_path / "polyglot.toml"
    file.write_bytes(content)
    assert said in message(resolve.resolve, "a", config=file)


@pytest.mark.parametrize("path", [5, b"polyglot.toml", "a\0b"])
def test_invalid_path_of_the_file_is_rejected(path):
    """A value that cannot be the path of a file is reported."""
    assert "The configuration file" in message(resolve.resolve, "a", config=path)


def test_file_may_begin_with_a_byte_order_mark(tmp_path):
    """Some editors write a byte order mark before the text."""
    file = tmp_path / "polyglot.toml"
    file.write_bytes(b"\xef\xbb\xbfdefault = 'mine'\n[connections.mine]\ndriver = 'toy'")
    assert resolve.resolve(config=file).name == "mine"
