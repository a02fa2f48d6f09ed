"""Drivers in process: what a module has to be, and how its hooks are called."""

from __future__ import annotations

import inspect
import itertools
from types import SimpleNamespace

import pytest

from polyglot_core import ConfigError, Connection, PluginError, hookspecs, register
from polyglot_core._client.arguments import as_messages
from polyglot_core._drivers import discovery
from polyglot_core._drivers.bound import Driver
from polyglot_core._values.request import InferenceRequest
from polyglot_core.errors import RequestError
from polyglot_core.plugin import CONTRACT_VERSION, Chunk, Failure, Usage, WireRequest, WireResponse, hookimpl

CONNECTION = Connection(name="here", driver="mine")
REQUEST = InferenceRequest(model="m", messages=as_messages("Hi"))
WIRE = WireRequest(url="http://localhost", body=b"")
CHUNK = Chunk(b"data", b"raw")
STATE = {"a": 1}
PAYLOAD = {"in": 1}
RESPONSE = WireResponse(status=500, headers={}, body=b"")
FAILURE = Failure("No.")
USAGE = Usage(input_tokens=1)
TEXT = "Once upon"

# hook → what each of its arguments is, what it returns, how it is called once it is bound
HOOKS = {
    "encode_request": (
        {"connection": CONNECTION, "request": REQUEST},
        WIRE,
        lambda bound: bound.encode(REQUEST),
    ),
    "decode_chunk": (
        {"connection": CONNECTION, "chunk": CHUNK, "state": STATE},
        ("event",),
        lambda bound: bound.decoder(STATE)(CHUNK),
    ),
    "extract_usage": (
        {"connection": CONNECTION, "payload": PAYLOAD},
        USAGE,
        lambda bound: bound.extract_usage(PAYLOAD),
    ),
    "authorize": (
        {"connection": CONNECTION, "wire": WIRE},
        WIRE,
        lambda bound: bound.authorize(WIRE),
    ),
    "encode_prefill": (
        {"connection": CONNECTION, "request": REQUEST, "text": TEXT},
        WIRE,
        lambda bound: bound.encode_prefill(REQUEST, TEXT),
    ),
    "encode_resume": (
        {"connection": CONNECTION, "request": REQUEST, "state": STATE},
        WIRE,
        lambda bound: bound.encode_resume(REQUEST, STATE),
    ),
    "decode_error": (
        {"connection": CONNECTION, "response": RESPONSE},
        FAILURE,
        lambda bound: bound.decode_error(RESPONSE),
    ),
}


def taking(hook, names, seen, returned):
    """A hook that takes arguments of these names, in this order, and writes down what it gets."""
    space = {"seen": seen, "returned": returned}
    exec(f"def {hook}({', '.join(names)}):\n    seen.update(locals())\n    return returned\n", space)  # noqa: S102
    return hookimpl(space[hook])


def driver(**hooks):
    """A driver of the hooks that are needed, with some of them replaced, added or (None) left out."""
    usual = {
        hook: taking(hook, (), {}, returned)
        for hook, (_, returned, _) in HOOKS.items()
        if hook not in {"authorize", "decode_error", "encode_prefill", "encode_resume"}
    }
    return SimpleNamespace(**{name: hook for name, hook in {**usual, **hooks}.items() if hook is not None})


def subsets():
    for hook, (arguments, _, _) in HOOKS.items():
        for size in range(len(arguments) + 1):
            for names in itertools.permutations(arguments, size):
                yield pytest.param(hook, names, id=f"{hook}({', '.join(names)})")


@pytest.mark.parametrize(("hook", "names"), list(subsets()))
def test_arguments_are_passed_by_name(hook, names):
    """A hook gets exactly the arguments that it names, whichever they are and in whatever order it takes them."""
    arguments, returned, call = HOOKS[hook]
    seen = {}
    bound = Driver("mine", driver(**{hook: taking(hook, names, seen, returned)})).bind(CONNECTION)
    assert call(bound) == returned
    assert set(seen) == set(names)
    assert all(seen[name] is arguments[name] for name in names)


def test_every_hook_of_the_contract_is_tested_here():
    """The table above is the contract: hooks and arguments."""
    contract = {
        name: list(inspect.signature(hook).parameters)
        for name, hook in vars(hookspecs).items()
        if hasattr(hook, "polyglot_spec")
    }
    assert contract == {hook: list(arguments) for hook, (arguments, _, _) in HOOKS.items()}


def test_every_hook_is_documented():
    """Each hook of the contract says what it is for."""
    for hook in HOOKS:
        assert len(inspect.getdoc(getattr(hookspecs, hook))) > 40


def test_arguments_with_defaults_keep_them():
    """An argument with a default is the driver's own business."""

    @hookimpl
    def decode_chunk(chunk, state=None):
        return [(chunk, state)]

    bound = Driver("mine", driver(decode_chunk=decode_chunk)).bind(CONNECTION)
    assert bound.decoder(STATE)(CHUNK) == [(CHUNK, None)]


def test_each_attempt_has_a_state_of_its_own():
    """The state that a decoder gets is the one that it was made with."""
    seen = {}
    bound = Driver("mine", driver(decode_chunk=taking("decode_chunk", ("state",), seen, ()))).bind(CONNECTION)
    one, other = {}, {}
    bound.decoder(one)(CHUNK)
    assert seen["state"] is one
    bound.decoder(other)(CHUNK)
    assert seen["state"] is other


def test_one_driver_serves_several_connections():
    """Binding a driver to a second connection leaves the first as it was."""
    seen = {}
    made = Driver("mine", driver(encode_request=taking("encode_request", ("connection",), seen, WIRE)))
    other = Connection(name="other", driver="mine")
    first, second = made.bind(CONNECTION), made.bind(other)
    second.encode(REQUEST)
    assert seen["connection"] is other
    first.encode(REQUEST)
    assert seen["connection"] is CONNECTION


def test_optional_hooks_may_be_missing():
    """A driver of the three functions is whole."""
    bound = Driver("mine", driver()).bind(CONNECTION)
    assert bound.authorize is None
    assert bound.decode_error(RESPONSE) is None


def test_an_object_may_be_a_driver(toy):
    """Methods of an object are hooks as functions of a module are."""
    bound = toy.bound()
    assert bound.encode(REQUEST).url.endswith("/answer")


def test_a_hook_under_another_name():
    """A function of another name is a hook if it says which."""

    @hookimpl(specname="decode_chunk")
    def read(chunk):
        return [chunk]

    bound = Driver("mine", driver(decode_chunk=None, read=read)).bind(CONNECTION)
    assert bound.decoder({})(CHUNK) == [CHUNK]


# What is refused


@hookimpl(wrapper=True)
def wrapping():
    return (yield)


@hookimpl(hookwrapper=True)
def old_wrapping():
    yield


def unmarked(chunk):
    """A function that does not say that it is a hook."""


@hookimpl
def misspelt(chunk):
    """A hook that the contract does not have."""


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (driver(decode_chunk=None), "lacks decode_chunk"),
        (driver(decode_chunk=None, extract_usage=None), "lacks decode_chunk, extract_usage"),
        (SimpleNamespace(), "lacks encode_request, decode_chunk, extract_usage"),
        (driver(decode_chunk=unmarked), "lacks decode_chunk; mark the functions with polyglot_core.plugin.hookimpl"),
        (driver(decode_chunks=misspelt), "decode_chunks"),
        (driver(decode_chunk=taking("decode_chunk", ("chunk", "stat"), {}, ())), "stat"),
        (driver(extract_usage=taking("extract_usage", ("usage",), {}, USAGE)), "usage"),
        (driver(decode_chunk=wrapping), "wraps decode_chunk, but wrappers are not supported"),
        (driver(encode_request=old_wrapping), "wraps encode_request"),
        (driver(authorize=wrapping), "wraps authorize"),
        (driver(REQUIRES_CONTRACT=CONTRACT_VERSION + 1), "install a newer polyglot-core"),
    ],
)
def test_what_does_not_keep_the_contract(module, message):
    """A driver that does not keep the contract is refused when it is loaded, and the error says how and whose it is."""
    with pytest.raises(PluginError) as caught:
        register(module, "mine")
    assert message in str(caught.value)
    assert "river 'mine'" in caught.value.message
    assert caught.value.provider == "mine"
    assert "mine" not in discovery.registered_drivers()


def test_this_contract_is_good_enough():
    """A driver that needs this version, or an older one, is taken."""
    Driver("mine", driver(REQUIRES_CONTRACT=CONTRACT_VERSION))
    Driver("mine", driver(REQUIRES_CONTRACT=0))


def test_a_drivers_distribution_is_named():
    """Where a driver came from a distribution, its errors say so."""
    with pytest.raises(PluginError, match=r"'mine' of polyglot-mine 1\.2.*Report this to polyglot-mine"):
        Driver("mine", SimpleNamespace(), "polyglot-mine", "1.2")


# What hooks raise and return


@pytest.mark.parametrize("hook", [hook for hook in HOOKS if hook != "decode_chunk"])
def test_what_a_hook_raises(hook):
    """What a hook raises of its own becomes a `PluginError` that names hook and driver; our own errors pass."""

    def run(error):
        def raising():
            raise error

        raising.__name__ = hook
        bound = Driver("mine", driver(**{hook: hookimpl(raising)})).bind(CONNECTION)
        HOOKS[hook][2](bound)

    broken = KeyError("choices")
    with pytest.raises(PluginError, match=rf"'mine' raised KeyError in {hook}") as caught:
        run(broken)
    assert caught.value.__cause__ is broken
    refused = RequestError("no words for this")
    with pytest.raises(RequestError) as passed:
        run(refused)
    assert passed.value is refused


@pytest.mark.parametrize("hook", ["encode_request", "extract_usage", "authorize", "decode_error"])
@pytest.mark.parametrize("returned", [None, 5, b"", {}])
def test_what_a_hook_returns(hook, returned):
    """A hook that returns something else than the contract says is named, not the line that trips over it."""
    bound = Driver("mine", driver(**{hook: taking(hook, (), {}, returned)})).bind(CONNECTION)
    if hook == "decode_error" and returned is None:  # it leaves the reading to core
        assert bound.decode_error(RESPONSE) is None
        return
    with pytest.raises(PluginError, match=hook):
        HOOKS[hook][2](bound)


def test_a_framing_that_there_is_not():
    """A request whose framing nobody knows is the driver's fault, and the error says which there are."""
    wire = WireRequest(url="http://localhost", body=b"", framing="smoke-signals")
    bound = Driver("mine", driver(encode_request=taking("encode_request", (), {}, wire))).bind(CONNECTION)
    with pytest.raises(PluginError, match="smoke-signals.*sse"):
        bound.encode(REQUEST)


# Registering


def test_a_driver_is_known_within_its_context():
    """A registered driver is known until its context is left."""
    with register(driver(), "mine"):
        assert discovery.registered_drivers() == ("mine",)
        assert discovery.load_driver("mine").name == "mine"
    assert discovery.registered_drivers() == ()
    assert discovery.load_driver("mine") is None


def test_a_driver_is_forgotten_when_the_context_breaks():
    """An exception leaves the context as a normal end does."""
    with pytest.raises(ZeroDivisionError), register(driver(), "mine"):
        raise ZeroDivisionError
    assert discovery.registered_drivers() == ()


def test_a_driver_stays_without_a_context():
    """A driver that is registered in passing stays until it is closed."""
    registration = register(driver(), "mine")
    try:
        assert discovery.registered_drivers() == ("mine",)
    finally:
        registration.close()
    assert discovery.registered_drivers() == ()


def test_a_name_is_registered_once():
    """A second driver under one name is refused, and the first stays."""
    with register(driver(), "mine"):
        first = discovery.load_driver("mine")
        with pytest.raises(ConfigError, match="already registered as 'mine'"):
            register(driver(), "mine")
        assert discovery.load_driver("mine") is first


def test_closing_twice_leaves_a_later_driver_alone():
    """An old registration that is closed again does not take a later driver with it."""
    old = register(driver(), "mine")
    old.close()
    with register(driver(), "mine"):
        old.close()
        assert discovery.registered_drivers() == ("mine",)


def test_a_registered_driver_goes_before_an_installed_one(monkeypatch):
    """A driver of the process's own is taken before one of a distribution, and needs no allow list."""
    monkeypatch.setenv("POLYGLOT_DRIVERS", "")
    with register(driver(), "openai"):
        assert discovery.load_driver("openai").distribution == ""
