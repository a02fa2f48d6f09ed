"""Drivers registered in process: checks of the contract, and calls of the hooks."""

from __future__ import annotations

import errno
import inspect
import itertools
from types import SimpleNamespace

import msgspec
import pytest

from polyglot_core import ConfigError, Connection, PluginError, hookspecs, register
from polyglot_core._client.arguments import as_messages
from polyglot_core._drivers import discovery
from polyglot_core._drivers.bound import Driver
from polyglot_core._values.request import InferenceRequest
from polyglot_core.errors import RequestError, TransportError
from polyglot_core.plugin import (
    CONTRACT_VERSION,
    Chunk,
    EmbeddingRequest,
    Embeddings,
    Failure,
    Usage,
    WireRequest,
    WireResponse,
    hookimpl,
)

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
MODELS = []
MODEL = "m"
BATCH = EmbeddingRequest(model=MODEL, messages=as_messages("a"))
VECTORS = Embeddings(vectors=[[1.0]])

# hook → its arguments, its return value, and a call of the bound hook
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
    "encode_cancel": (
        {"connection": CONNECTION, "request": REQUEST, "state": STATE},
        WIRE,
        lambda bound: bound.encode_cancel(REQUEST, STATE),
    ),
    "list_models": (
        {"connection": CONNECTION, "data": None, "models": MODELS},
        WIRE,
        lambda bound: msgspec.structs.replace(bound._list_models(None, MODELS), framing="sse", complete_on="finish"),
    ),
    "encode_embeddings": (
        {"connection": CONNECTION, "request": BATCH},
        WIRE,
        lambda bound: bound.encode(BATCH),
    ),
    "decode_embeddings": (
        {"connection": CONNECTION, "request": BATCH, "data": CHUNK.data},
        VECTORS,
        lambda bound: (bound.for_batch(BATCH).decoder({})(CHUNK), BATCH.received.pop())[-1],
    ),
    "embedding_limits": (
        {"connection": CONNECTION, "model": MODEL},
        (5, None),
        lambda bound: bound.embedding_limits(MODEL, None),
    ),
    "decode_error": (
        {"connection": CONNECTION, "response": RESPONSE},
        FAILURE,
        lambda bound: bound.decode_error(RESPONSE),
    ),
}


def taking(hook, names, seen, returned):
    """Return a hook that takes arguments of these names, in this order, and records them in `seen`."""
    space = {"seen": seen, "returned": returned}
    exec(f"def {hook}({', '.join(names)}):\n    seen.update(locals())\n    return returned\n", space)  # noqa: S102
    return hookimpl(space[hook])


def driver(**hooks):
    """Return a driver with the required hooks; `hooks` replaces, adds or (with None) removes some."""
    usual = {
        hook: taking(hook, (), {}, returned)
        for hook, (_, returned, _) in HOOKS.items()
        if hook in {"encode_request", "decode_chunk", "extract_usage"}
    }
    return SimpleNamespace(**{name: hook for name, hook in {**usual, **hooks}.items() if hook is not None})


def subsets():
    for hook, (arguments, _, _) in HOOKS.items():
        for size in range(len(arguments) + 1):
            for names in itertools.permutations(arguments, size):
                yield pytest.param(hook, names, id=f"{hook}({', '.join(names)})")


@pytest.mark.parametrize(("hook", "names"), list(subsets()))
def test_arguments_are_passed_by_name(hook, names):
    """Check that a hook receives exactly the arguments that it names, in any order."""
    arguments, returned, call = HOOKS[hook]
    seen = {}
    bound = Driver("mine", driver(**{hook: taking(hook, names, seen, returned)})).bind(CONNECTION)
    assert call(bound) == returned
    assert set(seen) == set(names)
    assert all(seen[name] is arguments[name] for name in names)


def test_table_of_hooks_matches_the_contract():
    """Compare hooks and arguments of the table above with `hookspecs`."""
    contract = {
        name: list(inspect.signature(hook).parameters)
        for name, hook in vars(hookspecs).items()
        if hasattr(hook, "polyglot_spec")
    }
    assert contract == {hook: list(arguments) for hook, (arguments, _, _) in HOOKS.items()}


def test_every_hook_is_documented():
    """Check that each hook has a docstring."""
    for hook in HOOKS:
        assert len(inspect.getdoc(getattr(hookspecs, hook))) > 40


def test_argument_with_a_default_is_not_passed():
    """Check that an argument with a default keeps it."""

    @hookimpl
    def decode_chunk(chunk, state=None):
        return [(chunk, state)]

    bound = Driver("mine", driver(decode_chunk=decode_chunk)).bind(CONNECTION)
    assert bound.decoder(STATE)(CHUNK) == [(CHUNK, None)]


def test_decoder_uses_the_state_of_its_attempt():
    """Check that each decoder passes the state that it was created with."""
    seen = {}
    bound = Driver("mine", driver(decode_chunk=taking("decode_chunk", ("state",), seen, ()))).bind(CONNECTION)
    one, other = {}, {}
    bound.decoder(one)(CHUNK)
    assert seen["state"] is one
    bound.decoder(other)(CHUNK)
    assert seen["state"] is other


def test_driver_is_bound_to_several_connections():
    """Check that a second binding does not change the first."""
    seen = {}
    made = Driver("mine", driver(encode_request=taking("encode_request", ("connection",), seen, WIRE)))
    other = Connection(name="other", driver="mine")
    first, second = made.bind(CONNECTION), made.bind(other)
    second.encode(REQUEST)
    assert seen["connection"] is other
    first.encode(REQUEST)
    assert seen["connection"] is CONNECTION


def test_optional_hooks_may_be_missing():
    """Check that a driver with the three required hooks is complete."""
    bound = Driver("mine", driver()).bind(CONNECTION)
    assert bound.authorize is None
    assert bound.decode_error(RESPONSE) is None


def test_object_as_driver(toy):
    """Check that methods of an object are hooks, like functions of a module."""
    bound = toy.bound()
    assert bound.encode(REQUEST).url.endswith("/answer")


def test_hook_with_specname():
    """Check that a function of another name is a hook if `specname` names one."""

    @hookimpl(specname="decode_chunk")
    def read(chunk):
        return [chunk]

    bound = Driver("mine", driver(decode_chunk=None, read=read)).bind(CONNECTION)
    assert bound.decoder({})(CHUNK) == [CHUNK]


# Violations of the contract


@hookimpl(wrapper=True)
def wrapping():
    return (yield)


@hookimpl(hookwrapper=True)
def old_wrapping():
    yield


def unmarked(chunk):
    """Return nothing; this function is not marked as a hook."""


@hookimpl
def misspelt(chunk):
    """Return nothing; the contract has no hook of this name."""


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (driver(decode_chunk=None), "lacks decode_chunk"),
        (driver(decode_chunk=None, extract_usage=None), "lacks decode_chunk, extract_usage"),
        (SimpleNamespace(), "lacks encode_request, decode_chunk, extract_usage"),
        (driver(decode_chunk=unmarked), "lacks decode_chunk; mark the functions with polyglot_core.plugin.hookimpl"),
        (
            driver(decode_chunks=misspelt),
            "implements decode_chunks, which is not a hook (did you mean 'decode_chunk'?)",
        ),
        (driver(zebra=misspelt), "implements zebra, which is not a hook. Report"),
        (
            driver(decode_chunk=taking("decode_chunk", ("chunk", "stat"), {}, ())),
            "has an argument 'stat' of decode_chunk, which does not exist (did you mean 'state'?); there are connection, chunk, state",
        ),
        (driver(extract_usage=taking("extract_usage", ("usage",), {}, USAGE)), "an argument 'usage' of extract_usage"),
        (driver(decode_chunk=wrapping), "wraps decode_chunk, but wrappers are not supported"),
        (driver(encode_request=old_wrapping), "wraps encode_request"),
        (driver(authorize=wrapping), "wraps authorize"),
        (driver(REQUIRES_CONTRACT=CONTRACT_VERSION + 1), "install a newer polyglot-core"),
    ],
)
def test_contract_violations_are_reported(module, message):
    """Check that a driver that violates the contract is rejected at registration, with its name and the reason."""
    with pytest.raises(PluginError) as caught:
        register(module, "mine")
    assert message in str(caught.value)
    assert "river 'mine'" in caught.value.message
    assert caught.value.provider == "mine"
    assert "mine" not in discovery.registered_drivers()


def test_unmarked_optional_hook_is_logged(caplog):
    """Check that a function with the name of an optional hook, but without the mark, is not ignored silently."""
    bound = Driver("mine", driver(authorize=unmarked), "polyglot-mine", "1.2").bind(CONNECTION)
    assert bound.authorize is None
    (text,) = [record.getMessage() for record in caplog.records]
    assert text.startswith("The driver 'mine' of polyglot-mine 1.2 has authorize, which is not called: mark it with ")


def test_hook_of_a_newer_contract_may_be_optional():
    """Check that a driver for a newer core can mark a hook so that this core ignores it."""

    @hookimpl(optionalhook=True)
    def encode_dreams(dream):
        raise AssertionError

    assert "encode_dreams" not in Driver("mine", driver(encode_dreams=encode_dreams)).hooks


def test_qualified_name_is_hidden_from_hooks():
    """Check that hooks see the driver's own name, which is also that of the turns that it writes."""
    seen = {}
    made = Driver("mine", driver(encode_request=taking("encode_request", ("connection",), seen, WIRE)), "polyglot-mine")
    bound = made.bind(Connection(name="here", driver="polyglot-mine:mine", api_key="test-key"))
    bound.encode(REQUEST)
    assert (bound.name, seen["connection"].driver) == ("mine", "mine")
    assert seen["connection"].secret.reveal() == "test-key"


def test_current_and_older_contracts_are_accepted():
    """Check that a driver that requires this contract version or an older one is accepted."""
    Driver("mine", driver(REQUIRES_CONTRACT=CONTRACT_VERSION))
    Driver("mine", driver(REQUIRES_CONTRACT=0))


def test_error_names_the_distribution():
    """Check that errors of an installed driver name its distribution and version."""
    with pytest.raises(PluginError, match=r"'mine' of polyglot-mine 1\.2.*Report this to polyglot-mine"):
        Driver("mine", SimpleNamespace(), "polyglot-mine", "1.2")


# Exceptions and return values of hooks


@pytest.mark.parametrize("hook", [hook for hook in HOOKS if hook != "decode_chunk"])
def test_exceptions_of_hooks(hook):
    """Check that an exception of a hook becomes a PluginError naming hook and driver; Polyglot's errors pass."""

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
def test_wrong_return_value_names_the_hook(hook, returned):
    """Check that a return value of a wrong type is a PluginError that names the hook."""
    bound = Driver("mine", driver(**{hook: taking(hook, (), {}, returned)})).bind(CONNECTION)
    if hook == "decode_error" and returned is None:  # core parses the response
        assert bound.decode_error(RESPONSE) is None
        return
    with pytest.raises(PluginError, match=hook):
        HOOKS[hook][2](bound)


def test_unknown_framing_is_a_plugin_error():
    """Check that the error for an unknown framing lists the valid ones."""
    wire = WireRequest(url="http://localhost", body=b"", framing="smoke-signals")
    bound = Driver("mine", driver(encode_request=taking("encode_request", (), {}, wire))).bind(CONNECTION)
    with pytest.raises(PluginError, match="smoke-signals.*sse"):
        bound.encode(REQUEST)


# Registration


def test_driver_is_registered_within_its_context():
    """Check that a driver is registered until the end of its ``with`` block."""
    with register(driver(), "mine"):
        assert discovery.registered_drivers() == ("mine",)
        assert discovery.load_driver("mine").name == "mine"
    assert discovery.registered_drivers() == ()
    assert discovery.load_driver("mine") is None


def test_exception_unregisters_the_driver():
    """Check that an exception ends the context like a normal exit."""
    with pytest.raises(ZeroDivisionError), register(driver(), "mine"):
        raise ZeroDivisionError
    assert discovery.registered_drivers() == ()


def test_driver_stays_registered_without_a_context():
    """Check that a driver is registered until `close` if there is no ``with`` block."""
    registration = register(driver(), "mine")
    try:
        assert discovery.registered_drivers() == ("mine",)
    finally:
        registration.close()
    assert discovery.registered_drivers() == ()


def test_second_driver_of_a_name_is_rejected():
    """Check that registering a name twice raises, and that the first driver is kept."""
    with register(driver(), "mine"):
        first = discovery.load_driver("mine")
        with pytest.raises(ConfigError, match="already registered as 'mine'"):
            register(driver(), "mine")
        assert discovery.load_driver("mine") is first


def test_second_close_keeps_a_later_driver():
    """Check that closing an old registration twice does not unregister a later driver."""
    old = register(driver(), "mine")
    old.close()
    with register(driver(), "mine"):
        old.close()
        assert discovery.registered_drivers() == ("mine",)


def test_registered_driver_overrides_an_installed_one(monkeypatch):
    """Check that a driver registered in process takes precedence, and needs no allow list."""
    monkeypatch.setenv("POLYGLOT_DRIVERS", "")
    with register(driver(), "openai"):
        assert discovery.load_driver("openai").distribution == ""


# What is not the driver's fault


def mine(encode):
    """Return a bound driver with this function as `encode_request`."""
    hooks = {"encode_request": encode, "decode_chunk": lambda chunk: (), "extract_usage": lambda payload: USAGE}
    module = SimpleNamespace(**{name: hookimpl(renamed(function, name)) for name, function in hooks.items()})
    return Driver("mine", module, "polyglot-mine", "1.2").bind(CONNECTION)


def renamed(function, name):
    function.__name__ = name
    return function


def test_text_that_cannot_be_encoded_is_the_users_mistake():
    """A driver that encodes a lone surrogate by itself is not blamed for it."""

    def encode(request):
        return "a\ud800".encode()

    with pytest.raises(RequestError, match="has text that cannot be sent") as caught:
        mine(encode).encode(REQUEST)
    assert "Report this" not in caught.value.message


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
def test_lack_of_file_descriptors_is_not_the_drivers_fault(number):
    """It is a `TransportError` that states the cause; another error of the system is the driver's."""

    def encode(request):
        raise OSError(number, "Too many open files")

    def other(request):
        raise OSError(errno.ENOENT, "No such file")

    with pytest.raises(TransportError, match=r"No file descriptor is left .*Too many open files.*ulimit"):
        mine(encode).encode(REQUEST)
    with pytest.raises(PluginError, match="Report this to polyglot-mine"):
        mine(other).encode(REQUEST)
