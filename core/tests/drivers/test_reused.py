"""Drivers whose hooks another driver reuses: signatures, missing hooks, and a driver that is not installed."""

from __future__ import annotations

import inspect

import pytest

from polyglot_core import ConfigError, Connection, PluginError, hookspecs, register
from polyglot_core.errors import RequestError
from polyglot_core.plugin import Chunk, Usage, WireRequest, driver, hookimpl

CONNECTION = Connection(name="here", driver="outer", base_url="http://localhost")
WIRE = WireRequest(url="http://localhost", body=b"")
HOOKS = [name for name, hook in vars(hookspecs).items() if hasattr(hook, "polyglot_spec")]


class Base:
    """A driver whose hooks declare few arguments, in an order of their own."""

    @hookimpl
    def encode_request(self, request):
        return (request,)

    @hookimpl
    def decode_chunk(self, state, chunk):
        state["seen"] = chunk.data
        return ["event"]

    @hookimpl
    def extract_usage(self):
        return Usage(input_tokens=1)


@pytest.fixture
def base():
    with register(Base(), "base"):
        yield driver("base")


def test_hooks_take_all_arguments(base):
    """All arguments of the contract are accepted, by position and by name, whatever the driver declares."""
    state = {}
    assert base.encode_request(CONNECTION, "request") == ("request",)
    assert base.encode_request(request="request", connection=CONNECTION) == ("request",)
    assert base.decode_chunk(CONNECTION, Chunk(b"a", b"a"), state=state) == ["event"]
    assert state == {"seen": b"a"}
    assert base.extract_usage(CONNECTION, {}) == Usage(input_tokens=1)
    assert set(base.hooks) == {"encode_request", "decode_chunk", "extract_usage"}


@pytest.mark.parametrize("hook", HOOKS)
def test_signatures_and_documentation_are_those_of_the_contract(hook):
    """Each hook of the contract is there. Nothing is imported for it."""
    reused = getattr(driver("not installed"), hook)
    assert inspect.signature(reused) == inspect.signature(getattr(hookspecs, hook))
    assert reused.__doc__ == getattr(hookspecs, hook).__doc__


def test_hooks_that_the_driver_does_not_have(base):
    """An optional hook that is missing raises an error that names it."""
    with pytest.raises(RequestError, match="driver 'base' has no hook encode_prefill"):
        base.encode_prefill(CONNECTION, "request", "")
    with pytest.raises(RequestError, match="driver 'base' has no hook authorize"):
        base.authorize(CONNECTION, WIRE)


def test_driver_that_is_not_installed():
    """The error names the distribution to install: the one that the author gave, or the one with the usual name."""
    with pytest.raises(ConfigError, match=r"driver 'nowhere'.* install polyglot-nowhere"):
        driver("nowhere").encode_request(CONNECTION, "request")
    with pytest.raises(ConfigError, match="install acme-drivers"):
        driver("nowhere", "acme-drivers").decode_chunk(CONNECTION, Chunk(b"", b""), {})


def test_exceptions_pass_through():
    """What a reused hook raises is not wrapped: the driver that reuses it is asked for the reason."""

    class Broken(Base):
        @hookimpl
        def decode_chunk(self):
            raise KeyError("a")

    with register(Broken(), "broken-base"), pytest.raises(KeyError):
        driver("broken-base").decode_chunk(CONNECTION, Chunk(b"", b""), {})
    with pytest.raises(PluginError), register(object(), "no driver"):
        pass
