"""Dialects that other packages bring, found by their entry points."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from polyglot_core.errors import ConfigError
from polyglot_simulator import Reply, Simulator, Status
from polyglot_simulator.routes import access_of, supported_drivers

ACME = """
import json

from polyglot_simulator.dialect import Access, Dialect, Problem, Send, only_reply, tokens


class Acme(Dialect):
    stream_headers = (("content-type", "application/x-ndjson"),)

    def problem(self, body):
        return None if isinstance(body, dict) else Problem(400, "Acme wants an object.")

    def wants_stream(self, body):
        return body.get("live", False)

    def stream(self, turn):
        for token in tokens(only_reply(turn).text):
            yield Send(json.dumps({"say": token}).encode() + b"\\n", token=True)

    def whole(self, turn):
        return json.dumps({"say": turn.reply.text, "engine": turn.body["engine"]}).encode()

    def error(self, problem):
        return json.dumps({"trouble": problem.message}).encode()

    def failure(self, error, *, streamed):
        return json.dumps({"trouble": error}).encode()


ROUTES = {r"/engines/(?P<engine>[^/?]+)/replies\\?.*": Acme()}
ACCESS = {"acme": Access("/engines/small", "x-acme-key", "")}
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Installs a package with one module and entry points of the group, for the duration of a test."""

    def install(module: str, source: str, *drivers: str) -> None:
        (tmp_path / f"{module}.py").write_text(source, "utf-8")
        info = tmp_path / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n", "utf-8")
        points = "".join(f"{driver} = {module}\n" for driver in drivers)
        (info / "entry_points.txt").write_text(f"[polyglot.dialects]\n{points}", "utf-8")

    yield lambda *arguments: (install(*arguments), monkeypatch.syspath_prepend(tmp_path))
    for name in [name for name in sys.modules if name.startswith("acme_")]:
        del sys.modules[name]


def test_installed_package_adds_a_dialect(call, install):
    """Its path, its connection, its errors, and the header of its key."""
    install("acme_simulated", ACME, "acme")
    with Simulator(["One two", "Three", "Four"], api_key="test-key", faults=[None, None, Status(503)]) as simulator:
        connection = simulator.connection_for("acme")
        assert connection.base_url == f"http://127.0.0.1:{simulator.port}/engines/small"
        key = f"{connection.auth_header}: test-key\r\n"

        def send(body: bytes):
            return call(simulator).send("POST", "/engines/small/replies", body, key).response()

        assert send(b'{"live": true}') == (200, b'{"say": "One"}\n{"say": " two"}\n')
        assert send(b"{}") == (200, {"say": "Three", "engine": "small"})
        assert send(b"{}")[0] == 503
        assert send(b"[]") == (400, {"trouble": "Acme wants an object."})
        status, body = call(simulator).send("POST", "/engines/small/replies", b"{}", "x-key: test-key\r\n").response()
    assert (status, set(body)) == (401, {"trouble"})
    assert "acme" in supported_drivers()


@pytest.mark.parametrize(
    ("module", "source", "reason"),
    [
        ("acme_broken", "raise RuntimeError('no luck')", "acme_broken raised RuntimeError: no luck"),
        ("acme_empty", "", "acme_empty raised AttributeError"),
        ("acme_other", "ROUTES = {}\nACCESS = {}", "ACCESS in acme_other has no row for the driver 'acme-bad'"),
    ],
)
def test_unusable_dialect_is_reported_and_hides_no_other(call, install, module, source, reason):
    """The error names the module and the reason; paths of other dialects are still served."""
    install(module, source, "acme-bad")
    with Simulator(Reply("hi")) as simulator:
        with pytest.raises(ConfigError, match=reason):
            simulator.connection_for("acme-bad")
        body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "Hello"}], "stream": False})
        assert call(simulator).send("POST", "/api/chat", body.encode()).response()[0] == 200


@pytest.mark.parametrize(("driver", "package"), [("anthropic", "polyglot-anthropic"), ("vertex", "polyglot-google")])
def test_missing_package_is_named(driver, package, monkeypatch):
    """A dialect of Polyglot's own whose package is not installed."""
    monkeypatch.setattr("polyglot_simulator.routes._modules", dict)
    with pytest.raises(ConfigError, match=f"no dialect for the driver '{driver}'.* pip install {package}"):
        access_of(driver)


def test_dialects_are_imported_on_request():
    """The simulator and its default dialect import no provider's package."""
    program = (
        "import sys, polyglot_simulator as s\n"
        "with s.Simulator() as simulator: simulator.connection\n"
        "assert not [name for name in sys.modules if name.endswith('.simulated')]\n"
        "with s.Simulator() as simulator: simulator.connection_for('ollama')\n"
        "assert [name for name in sys.modules if name.endswith('.simulated')] == ['polyglot_ollama.simulated']\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)
