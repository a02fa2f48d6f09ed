"""Folding of layers: precedence, credentials of another origin, and the key that is read last."""

from __future__ import annotations

import subprocess
import sys

import pytest

from polyglot_core import AsyncInference, ConfigError, Connection, Inference, register
from polyglot_core._config import resolve
from polyglot_core._config.layers import KeyVariable, fold
from polyglot_core._drivers import discovery
from polyglot_core._values.limits import Limits, Retries, Timeouts, folded_numbers
from polyglot_core._values.secret import Secret
from polyglot_core.plugin import Preset

HERE, ELSEWHERE = "https://api.acme.example/v1", "https://evil.example/v1"
ACCOUNT = Preset(driver="toy", base_url=None, api_key_env="ACME_KEY", model="small")


@pytest.fixture(autouse=True)
def _toy(toy, monkeypatch):
    """Register a driver ``toy`` and install a preset ``account`` without a base URL."""
    monkeypatch.setattr(discovery, "load_preset", lambda name: ACCOUNT if name == "account" else None)
    with register(toy.Driver(), "toy"):
        yield


@pytest.fixture
def config(tmp_path, monkeypatch):
    """Return a function that writes the configuration file."""
    file = tmp_path / "polyglot.toml"
    monkeypatch.setenv("POLYGLOT_CONFIG", str(file))

    def write(text):
        file.write_text(text, "utf-8")
        file.chmod(0o600)

    return write


# Folding


def test_later_layers_override_earlier_ones():
    """Fields are replaced, and mappings and numbers are merged, over any number of layers."""
    made = fold(
        "c",
        {"driver": "toy", "model": "a", "options": {"x": 1, "y": 1}, "timeouts": {"idle": 1}},
        {"model": "b", "options": {"y": 2}, "timeouts": {"total": 2}, "limits": {"choices": 3}},
        {"model": "c", "options": {"z": 3}, "retries": {"max_retries": 0}},
    )
    assert made == {
        "name": "c",
        "driver": "toy",
        "model": "c",
        "options": {"x": 1, "y": 2, "z": 3},
        "timeouts": Timeouts(idle=1, total=2),
        "limits": Limits(choices=3),
        "retries": Retries(max_retries=0),
    }


def test_fold_leaves_its_layers_unchanged():
    """Layers can be folded more than once."""
    layer = {"driver": "toy", "base_url": HERE, "api_key": Secret("a"), "headers": {"x-a": "1"}, "facts": {"a": 1}}
    before = {field: dict(value) if isinstance(value, dict) else value for field, value in layer.items()}
    fold("c", layer, {"base_url": ELSEWHERE, "headers": {"x-b": "2"}, "facts": {"b": 2}})
    assert layer == before


def test_key_is_dropped_at_the_first_move_and_stays_dropped():
    """A later layer that moves back to the first origin does not restore the key."""
    key = KeyVariable("ACME_KEY")
    lowest = {"driver": "toy", "base_url": HERE, "api_key": key}
    assert fold("c", lowest, {"base_url": HERE + "/more"})["api_key"] is key
    assert fold("c", lowest, {"base_url": ELSEWHERE})["api_key"] is None
    assert fold("c", lowest, {"base_url": ELSEWHERE}, {"base_url": HERE})["api_key"] is None
    assert fold("c", lowest, {"base_url": None})["api_key"] is None


@pytest.mark.parametrize("base_url", [5, b"https://api.acme.example/v1", ["x"]])
def test_base_url_of_a_wrong_type_is_reported(config, base_url):
    """A base URL that is not text is an error in the configuration, also over a configured one."""
    config(f"[connections.mine]\ndriver = 'toy'\nbase_url = '{HERE}'")
    with pytest.raises(ConfigError, match="base_url of connection 'mine' is"):
        resolve.resolve("mine", base_url=base_url)


# The key


def test_dropped_key_is_not_read(config, tmp_path):
    """Neither a missing variable nor a key command matters if the key is not sent or is given in code."""
    config(f"[connections.mine]\ndriver = 'toy'\nbase_url = '{HERE}'\napi_key_env = 'NO_SUCH_KEY'")
    assert resolve.resolve("mine", base_url=ELSEWHERE).secret is None
    assert resolve.resolve("mine", api_key="given").secret == Secret("given")
    mark = tmp_path / "was run"
    command = [sys.executable, "-c", f"open({str(mark)!r}, 'w')"]
    config(f"[connections.mine]\ndriver = 'toy'\nbase_url = '{HERE}'\napi_key_command = {command}")
    assert resolve.resolve("mine", base_url=ELSEWHERE).secret is None
    with pytest.raises(ConfigError, match="no field 'modle'"):
        resolve.resolve("mine", modle="x")
    assert not mark.exists()


def test_base_url_of_the_account_may_be_in_any_layer(config, monkeypatch):
    """A preset without a base URL takes it from the file, the environment or the code, and keeps its key."""
    monkeypatch.setenv("ACME_KEY", "test-key")
    config("[connections.mine]\npreset = 'account'")
    for name in ("account", "mine"):
        with pytest.raises(ConfigError, match=f"'{name}' has no base URL"):
            resolve.resolve(name)
        made = resolve.resolve(name, base_url=HERE)
        assert (made.base_url, made.secret) == (HERE, Secret("test-key"))
    monkeypatch.setenv("POLYGLOT_MINE_BASE_URL", HERE)
    assert resolve.resolve("mine").base_url == HERE
    config(f"[connections.mine]\npreset = 'account'\nbase_url = '{HERE}'")
    monkeypatch.setenv("POLYGLOT_MINE_BASE_URL", ELSEWHERE)
    assert resolve.resolve("mine").secret is None


def test_import_of_core_does_not_import_subprocess():
    """Few connections have a key command; the others do not pay for the import."""
    code = "import sys, polyglot_core; print(sorted({'subprocess', 'difflib'} & set(sys.modules)))"
    shown = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


# A number of retries


@pytest.mark.parametrize("number", [0, 3])
def test_number_stands_for_retries(config, number):
    """Wherever retries are given, a number n means ``Retries(max_retries=n)``."""
    config("")
    expected = Retries(max_retries=number)
    made = Connection(name="c", driver="toy", model="m", retries=number)
    assert made.retries == expected
    assert made.with_changes(retries=number + 1).retries == Retries(max_retries=number + 1)
    assert resolve.resolve("toy", retries=number).retries == expected
    assert folded_numbers(Retries(max_retries=9, initial_backoff=1), "retries", "toy", number) == expected
    config(f"[connections.mine]\ndriver = 'toy'\nretries = {number}")
    assert resolve.resolve("mine").retries == expected
    config(f"[connections.mine]\ndriver = 'toy'\nretries = {{ max_retries = {number}, max_backoff = 1 }}")
    assert resolve.resolve("mine").retries == Retries(max_retries=number, max_backoff=1)
    for cls in (Inference, AsyncInference):
        assert cls.from_dsn(f"driver=toy,retries={number}").connection.retries == expected
        assert cls.using("toy", retries=number).connection.retries == expected


def test_number_of_retries_of_a_call_is_checked():
    """A call takes a number of retries as well, and rejects one that cannot be used."""
    inference = Inference.using("toy", model="m")
    inference.create("Hi", retries=3)
    with pytest.raises(ConfigError, match="'max_retries' in retries of connection 'toy' is negative"):
        inference.create("Hi", retries=-1)


@pytest.mark.parametrize("given", [True, False, 1.0, "3"])
def test_only_an_integer_is_a_number_of_retries(given):
    """A boolean, a float and text are rejected."""
    for make in (
        lambda: Connection(name="toy", driver="toy", retries=given),
        lambda: resolve.resolve("toy", retries=given),
    ):
        with pytest.raises(ConfigError, match="retries of connection 'toy' is"):
            make()


@pytest.mark.parametrize("value", ["true", "'3'", "1.5", "[1]"])
def test_only_an_integer_is_a_number_of_retries_in_the_file(config, value):
    """The error names file, line and field."""
    config(f"[connections.a]\ndriver = 'toy'\nretries = {value}")
    with pytest.raises(ConfigError, match=r"polyglot\.toml, line 3: retries"):
        resolve.resolve("a")


@pytest.mark.parametrize("line", ["retries=3,retries.max_backoff=1", "retries.max_backoff=1,retries=3"])
def test_number_and_single_numbers_of_retries_in_a_line(line):
    """In a connection line a number of retries is an item of the mapping."""
    assert Inference.from_dsn(f"driver=toy,{line}").connection.retries == Retries(max_retries=3, max_backoff=1)


# One line


def test_inference_of_a_line_uses_the_given_client():
    """`from_dsn` takes a client as `from_connection` does, in both classes."""
    import httpx

    made = Inference.from_dsn("driver=toy,model=m,name=mine", client=httpx.Client())
    assert (type(made), made.connection.name, made.connection.model) == (Inference, "mine", "m")
    other = AsyncInference.from_dsn("driver=toy,model=m", client=httpx.AsyncClient())
    assert (type(other), other.connection.name) == (AsyncInference, "toy")


@pytest.mark.parametrize("line", [None, 5, b"driver=toy", ["driver=toy"]], ids=repr)
def test_line_that_is_no_text(line):
    """Is a `ConfigError` without the line, which may hold a key."""
    with pytest.raises(ConfigError, match=f"A DSN is text .*, not {type(line).__name__}"):
        Inference.from_dsn(line)
