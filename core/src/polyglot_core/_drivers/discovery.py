"""Drivers and presets: found by metadata alone, imported when named, checked against the contract, bound once.

Hooks are not called through the plugin manager for each chunk; `BoundDriver` is one closure a hook, with the connection
already in it. pluggy checks implementations, and its rule holds here: arguments are passed by name, any subset, any
order.
"""

from __future__ import annotations

import importlib
import os
import sys
import threading
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

import pluggy

from polyglot_core import hookspecs
from polyglot_core._values.connection import Preset
from polyglot_core._values.events import Failure
from polyglot_core._values.response import Usage
from polyglot_core._wire.framings import FRAMERS
from polyglot_core._wire.messages import CompletionSign, WireRequest
from polyglot_core.errors import ConfigError, PluginError, PolyglotError, RequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import ModuleType
    from typing import Self

    from importlib_metadata import EntryPoint

    from polyglot_core._values.connection import Connection
    from polyglot_core._values.events import Event
    from polyglot_core._values.request import InferenceRequest
    from polyglot_core._wire.messages import Chunk, WireResponse

__all__ = [
    "DRIVERS",
    "PRESETS",
    "BoundDriver",
    "Driver",
    "Found",
    "Registration",
    "find_defaults",
    "find_drivers",
    "find_presets",
    "has_driver",
    "is_left_out",
    "load_driver",
    "load_preset",
    "register",
    "registered_drivers",
]

DRIVERS = "polyglot.drivers"
"""Entry-point group: driver name → module with the hooks."""

PRESETS = "polyglot.presets"
"""Entry-point group: preset name → data-only module with a dict ``PRESETS`` of `Preset` rows."""

DEFAULTS = "polyglot.defaults"
"""Entry-point group: names of presets that may be asked without being named, where their key is set. What an entry
leads to does not matter."""

_ALLOW_LIST = "POLYGLOT_DRIVERS"
_REQUIRED = ("encode_request", "decode_chunk", "extract_usage")

Implementation = tuple["Callable[..., Any]", tuple[str, ...]]
"""A hook's function and the names of its arguments, in its own order."""


class Found(NamedTuple):
    """A name in an entry-point group, and who claims it; nothing has been imported.

    Attributes:
        name: Name of the driver or preset.
        target: Module that the entry point names.
        distribution: Distribution that claims the name.
        version: Its version.
        rivals: Other distributions that claim the same name; with any, the name cannot be used.
    """

    name: str
    target: str
    distribution: str
    version: str
    rivals: tuple[str, ...] = ()

    @property
    def origin(self) -> str:
        """The distribution with its version."""
        return f"{self.distribution} {self.version}"


class Driver:
    """A loaded driver: one plugin's hooks, checked against the contract.

    Attributes:
        name: Name that connections use.
        distribution: Distribution that it came from; empty for one registered in process.
        version: Version of the distribution.
    """

    def __init__(self, name: str, module: object, distribution: str = "", version: str = "") -> None:
        self.name = name
        self.distribution = distribution
        self.version = version
        self._hooks = _implementations(self, module)

    def bind(self, connection: Connection) -> BoundDriver:
        """The driver's hooks with `connection` already in them."""
        return BoundDriver(self, connection, self._hooks)

    @property
    def origin(self) -> str:
        """Who the driver is, for messages."""
        source = f" of {self.distribution} {self.version}" if self.distribution else ""
        return f"driver {self.name!r}{source}"

    def error(self, what: str) -> PluginError:
        """The error to raise when this driver is at fault."""
        owner = self.distribution or "whoever registered it"
        return PluginError(
            f"{self.origin[0].upper()}{self.origin[1:]} {what}. Report this to {owner}.", provider=self.name
        )


class BoundDriver:
    """A driver's hooks for one connection. What they raise besides our own errors becomes a `PluginError`.

    Attributes:
        name: Name of the driver.
        authorize: The driver's `authorize`, or None if it has none.
    """

    __slots__ = (
        "_connection", "_decode", "_decode_error", "_driver", "_encode", "_extract", "_prefill", "_resume",
        "authorize", "name",
    )  # fmt: skip

    def __init__(self, driver: Driver, connection: Connection, hooks: Mapping[str, Implementation]) -> None:
        self.name = driver.name
        self._driver = driver
        self._connection = connection
        bound = {"connection": connection}
        self._encode = _passing(hooks["encode_request"], "request", bound)
        self._extract = _passing(hooks["extract_usage"], "payload", bound)
        self._decode = hooks["decode_chunk"]
        self._decode_error = _passing(hooks["decode_error"], "response", bound) if "decode_error" in hooks else None
        self._prefill = hooks.get("encode_prefill")
        self._resume = hooks.get("encode_resume")
        self.authorize: Callable[[WireRequest], WireRequest] | None = None
        if "authorize" in hooks:
            self.authorize = partial(self._authorized, _passing(hooks["authorize"], "wire", bound))

    def encode(self, request: InferenceRequest) -> WireRequest:
        """Encode a request.

        Raises:
            RequestError: The driver cannot express it.
            PluginError: The driver is broken.
        """
        return self._checked("encode_request", self._guarded("encode_request", self._encode, request))

    def encode_prefill(self, request: InferenceRequest, text: str) -> WireRequest:
        """Encode a request for the rest of an answer that begins with `text`.

        Raises:
            RequestError: The driver cannot ask for that.
            PluginError: The driver is broken.
        """
        if self._prefill is None:
            raise self._cannot_go_on("prefill", "let the model continue a text")
        encode = _passing(self._prefill, "text", {"connection": self._connection, "request": request})
        return self._checked("encode_prefill", self._guarded("encode_prefill", encode, text))

    def encode_resume(self, request: InferenceRequest, state: dict[str, Any]) -> WireRequest | None:
        """Encode a request for the rest of an answer that the provider has kept; None if it cannot be named yet.

        Raises:
            RequestError: The driver cannot ask for that.
            PluginError: The driver is broken.
        """
        if self._resume is None:
            raise self._cannot_go_on("provider", "ask for the rest of an answer")
        encode = _passing(self._resume, "state", {"connection": self._connection, "request": request})
        wire = self._guarded("encode_resume", encode, state)
        return None if wire is None else self._checked("encode_resume", wire)

    def _checked(self, hook: str, wire: object) -> WireRequest:
        if not isinstance(wire, WireRequest):
            raise self.at_fault(f"returned {type(wire).__name__} from {hook}, which is to be a WireRequest")
        if isinstance(wire.framing, str) and wire.framing not in FRAMERS:
            raise self.at_fault(f"names the framing {wire.framing!r}; known are {', '.join(FRAMERS)}")
        for field, words in _WORDS.items():
            if (word := getattr(wire, field)) not in words:
                raise self.at_fault(f"says {field}={word!r}; known are {', '.join(words)}")
        return wire

    def _cannot_go_on(self, how: str, what: str) -> RequestError:
        return RequestError(
            f"resume={how!r} cannot be done: the driver {self.name!r} does not {what}. Use resume='restart', or None.",
            provider=self.name,
            phase="encode",
        )

    def decoder(self, state: dict[str, Any]) -> Callable[[Chunk], Sequence[Event]]:
        """The function that decodes an attempt's chunks. What the driver raises comes out of it as it is."""
        return _passing(self._decode, "chunk", {"connection": self._connection, "state": state})

    def extract_usage(self, payload: Mapping[str, Any]) -> Usage:
        """Read a usage object.

        Raises:
            PluginError: The driver is broken.
        """
        usage = self._guarded("extract_usage", self._extract, payload)
        if not isinstance(usage, Usage):
            raise self.at_fault(f"returned {type(usage).__name__} from extract_usage, which is to be a Usage")
        return usage

    def decode_error(self, response: WireResponse) -> Failure | None:
        """Read an error answer in the driver's own way; None if it has none.

        Raises:
            PluginError: The driver is broken.
        """
        if self._decode_error is None:
            return None
        failure = self._guarded("decode_error", self._decode_error, response)
        if not isinstance(failure, (Failure, type(None))):
            raise self.at_fault(
                f"returned {type(failure).__name__} from decode_error, which is to be a Failure or None"
            )
        return failure

    def _authorized(self, authorize: Callable[[Any], Any], wire: WireRequest) -> WireRequest:
        signed = self._guarded("authorize", authorize, wire)
        if not isinstance(signed, WireRequest):
            raise self.at_fault(f"returned {type(signed).__name__} from authorize, which is to be a WireRequest")
        return signed

    def at_fault(self, what: str) -> PluginError:
        """The error for something that the driver did wrong."""
        return self._driver.error(what)

    def broken(self, hook: str, error: Exception) -> PluginError:
        """The error for an exception that came out of `hook`."""
        return self._driver.error(f"raised {type(error).__name__} in {hook}: {error}")

    def _guarded(self, hook: str, call: Callable[..., Any], argument: object) -> Any:  # noqa: ANN401 (each hook's own)
        try:
            return call(argument)
        except PolyglotError:
            raise
        except Exception as error:
            raise self.broken(hook, error) from error


_WORDS = {"complete_on": get_args(CompletionSign), "finish_counts": ("first", "last")}
"""Fields of a `WireRequest` that take one of a few words."""


def _passing(implementation: Implementation, argument: str, bound: Mapping[str, Any]) -> Callable[[Any], Any]:
    """A function of `argument` alone that calls the implementation with what it asks for, in its order."""
    function, names = implementation
    if argument not in names:
        return lambda _: function(*(bound[name] for name in names))
    place = names.index(argument)
    before = [bound[name] for name in names[:place]]
    after = [bound[name] for name in names[place + 1 :]]
    if after:
        return lambda value: function(*before, value, *after)
    return partial(function, *before) if before else function


def _implementations(driver: Driver, module: object) -> dict[str, Implementation]:
    """The module's hooks, by name; pluggy finds and checks them.

    Raises:
        PluginError: A hook is missing, misspelt, has arguments that the contract does not know, or is a wrapper; or the
            driver needs a newer contract.
    """
    needed = getattr(module, "REQUIRES_CONTRACT", hookspecs.CONTRACT_VERSION)
    if not isinstance(needed, int):
        raise driver.error(f"has REQUIRES_CONTRACT = {needed!r}, which is to be a whole number")
    if needed > hookspecs.CONTRACT_VERSION:
        raise driver.error(
            f"needs contract version {needed}, and this polyglot-core has {hookspecs.CONTRACT_VERSION}; "
            "install a newer polyglot-core"
        )
    manager = pluggy.PluginManager("polyglot")
    manager.add_hookspecs(hookspecs)
    try:
        manager.register(module, name=driver.name)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise driver.error(f"does not keep the contract: {' '.join(str(error).split())}") from error
    found: dict[str, Implementation] = {}
    for hook in manager.get_hookcallers(module) or ():
        for implementation in hook.get_hookimpls():
            if implementation.wrapper or implementation.hookwrapper:
                raise driver.error(f"wraps {hook.name}, and wrappers are not called")
            found[hook.name] = (implementation.function, tuple(implementation.argnames))
    if missing := [name for name in _REQUIRED if name not in found]:
        raise driver.error(f"lacks {', '.join(missing)}; mark the functions with polyglot_core.plugin.hookimpl")
    return found


# In process

_registered: dict[str, Driver] = {}
_lock = threading.Lock()


class Registration:
    """A driver known in this process; leaving it as a context, or `close`, undoes that. Letting it go does not."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    def close(self) -> None:
        """Forget the driver; a later one of the same name is left alone."""
        with _lock:
            if _registered.get(self._driver.name) is self._driver:
                del _registered[self._driver.name]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def register(module: object, name: str) -> Registration:
    """Make a driver known in this process without a package; leaving the returned context undoes it.

    Args:
        module: Module or object whose functions are marked with `hookimpl`.
        name: Name that connections use. It goes before an installed driver of the same name.

    Raises:
        PluginError: The module does not keep the contract.
        ConfigError: A driver is already registered under this name.
    """
    driver = Driver(name, module)
    with _lock:
        if name in _registered:
            msg = f"A driver is already registered as {name!r}; leave its context first, or choose another name."
            raise ConfigError(msg, phase="configure")
        _registered[name] = driver
    return Registration(driver)


# Installed


@lru_cache(maxsize=8)
def _entry_points(group: str, _path: tuple[str, ...]) -> dict[str, list[EntryPoint]]:
    # Imported here: reading metadata costs more than importing all of core, and a registered driver needs none of it.
    metadata = importlib.import_module("importlib_metadata")
    by_name: dict[str, list[EntryPoint]] = {}
    for entry in metadata.entry_points(group=group):
        by_name.setdefault(entry.name, []).append(entry)
    return by_name


def _claims(group: str) -> dict[str, list[EntryPoint]]:
    return _entry_points(group, tuple(sys.path))


def _found(name: str, entries: Sequence[EntryPoint]) -> Found:
    owners = sorted({(entry.dist.name, entry.dist.version) if entry.dist else ("?", "?") for entry in entries})
    distribution, version = owners[0]
    rivals = tuple(f"{rival} {its_version}" for rival, its_version in owners[1:])
    return Found(name, entries[0].value, distribution, version, rivals)


def _find(group: str, name: str) -> Found | None:
    """Who claims this one name; reading every distribution's metadata would cost a hundred times as much."""
    entries = _claims(group).get(name)
    return None if entries is None else _found(name, entries)


def _allowed(name: str) -> bool:
    allowed = os.environ.get(_ALLOW_LIST)
    return allowed is None or name in {each.strip() for each in allowed.split(",")}


def find_drivers() -> dict[str, Found]:
    """Installed drivers by name, without importing any; those that ``POLYGLOT_DRIVERS`` leaves out are left out."""
    claims = _claims(DRIVERS)
    return {name: _found(name, claims[name]) for name in sorted(claims) if _allowed(name)}


def find_presets() -> dict[str, Found]:
    """Installed presets by name, without importing any."""
    claims = _claims(PRESETS)
    return {name: _found(name, claims[name]) for name in sorted(claims)}


def find_defaults() -> list[str]:
    """Names of the presets that may be asked without being named."""
    return sorted(_claims(DEFAULTS))


def has_driver(name: str) -> bool:
    """Whether there is a driver of this name, registered or installed; nothing is imported."""
    return name in _registered or (_allowed(name) and _find(DRIVERS, name) is not None)


def is_left_out(name: str) -> bool:
    """Whether there is an installed driver of this name that ``POLYGLOT_DRIVERS`` leaves out."""
    return not _allowed(name) and _find(DRIVERS, name) is not None


def registered_drivers() -> tuple[str, ...]:
    """Names of the drivers that were registered in process."""
    return tuple(sorted(_registered))


_loaded: dict[Found, Driver] = {}


def load_driver(name: str) -> Driver | None:
    """Import the driver of this name and no other; None if there is none.

    Raises:
        PluginError: Its module cannot be imported, or does not keep the contract.
        ConfigError: Several distributions claim the name.
    """
    if name in _registered:
        return _registered[name]
    found = _find(DRIVERS, name) if _allowed(name) else None
    if found is None:
        return None
    if found not in _loaded:
        module = _import(found, "driver")
        _loaded[found] = Driver(name, module, found.distribution, found.version)
    return _loaded[found]


def load_preset(name: str) -> Preset | None:
    """Import the module of the preset of this name and no other; None if there is none.

    Raises:
        PluginError: Its module cannot be imported, or has no such row.
        ConfigError: Several distributions claim the name.
    """
    found = _find(PRESETS, name)
    if found is None:
        return None
    row = getattr(_import(found, "preset"), "PRESETS", {}).get(name)
    if not isinstance(row, Preset):
        msg = (
            f"Preset {name!r} of {found.origin} has no row in PRESETS of {found.target}. "
            f"Report this to {found.distribution}."
        )
        raise PluginError(msg, phase="configure")
    return row


def _import(found: Found, kind: str) -> ModuleType:
    if found.rivals:
        claimed = " and ".join((found.origin, *found.rivals))
        msg = f"The {kind} name {found.name!r} is claimed by {claimed}; uninstall one of them."
        raise ConfigError(msg, phase="configure")
    try:
        return importlib.import_module(found.target.partition(":")[0].strip())
    except Exception as error:
        why = f"{type(error).__name__}: {error}"
        msg = f"{kind.capitalize()} {found.name!r} of {found.origin} could not be imported: {why}"
        raise PluginError(msg, phase="configure") from error
