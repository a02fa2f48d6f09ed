"""A process without file descriptors: the error of a call states the cause."""

from __future__ import annotations

import errno

import pytest

from polyglot_core import PluginError, TransportError
from polyglot_core._drivers import discovery
from polyglot_core._engine import backends
from polyglot_core._http import httpx_options
from polyglot_core._values import importing
from polyglot_core._values.connection import Connection
from polyglot_core.errors import PolyglotError

pytestmark = [pytest.mark.http, pytest.mark.usefixtures("toy_driver")]

CAUSE = r"No file descriptor is left .*Too many open files"


def without(number=errno.EMFILE):
    """Return a function that finds no descriptor."""

    def fail(*_args, **_options):
        raise OSError(number, "Too many open files")

    return fail


def send(flavour, url):
    async def main():
        connection = Connection(name="here", driver="toy", model="m", base_url=url, api_key="test-key", retries=0)
        await flavour.wait(flavour.Inference(connection).create("Hi").response())

    flavour.run(main)


def test_no_descriptor_for_a_module(flavour, monkeypatch):
    """Such as one that a backend imports when it first sends."""
    for backend in (backends.SyncBackend, backends.AsyncBackend):
        monkeypatch.setattr(backend, "authorize", without())
    with pytest.raises(TransportError, match=CAUSE) as caught:
        send(flavour, "http://127.0.0.1:9")
    assert caught.value.phase == "connect"


@pytest.mark.httpx
def test_no_descriptor_for_certificates(flavour, monkeypatch):
    """The certificates are not to blame."""
    monkeypatch.setattr(httpx_options, "_tls_contexts", {})
    monkeypatch.setattr("ssl.SSLContext.load_verify_locations", without())
    with pytest.raises(TransportError, match=CAUSE):
        send(flavour, "https://127.0.0.1:9")


def test_no_descriptor_to_find_a_driver(monkeypatch):
    """The packages are not to blame either."""
    monkeypatch.setattr(discovery, "entry_points", without(errno.ENFILE))
    with pytest.raises(TransportError, match=CAUSE):
        discovery.load_driver("absent")
    monkeypatch.setattr(discovery, "entry_points", without(errno.ENOENT))
    with pytest.raises(OSError, match="Too many") as caught:
        discovery.load_driver("absent")
    assert not isinstance(caught.value, PolyglotError)


def test_no_descriptor_to_import_a_driver(monkeypatch):
    """It is no fault of the driver."""
    found = discovery.RegisteredName("a", "a.b", "polyglot-a", "1", ())
    monkeypatch.setattr(importing, "import_module", without())
    with pytest.raises(TransportError, match=CAUSE):
        discovery._import(found, "driver")
    monkeypatch.setattr(importing, "import_module", without(errno.EACCES))
    with pytest.raises(PluginError):
        discovery._import(found, "driver")
