"""Binds a driver to a connection: its hooks are called with the arguments that they name.

Hooks are not called through pluggy's plugin manager, which would be too slow for each chunk. pluggy only checks the
implementations; its rule holds here too: arguments are passed by name, in any subset and any order.
"""

from __future__ import annotations

import logging
from copy import deepcopy
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, get_args

import msgspec
import pluggy

from polyglot_core import hookspecs
from polyglot_core._values.descriptors import no_descriptor
from polyglot_core._values.embeddings import EmbeddingRequest, Embeddings, check_vectors
from polyglot_core._values.events import Failure, ResponseStarted, TextDelta, UsageReport
from polyglot_core._values.response import Usage
from polyglot_core._values.suggest import suggestion
from polyglot_core._values.unreadable import UNREADABLE
from polyglot_core._wire.framings import FRAMERS
from polyglot_core._wire.messages import CompletionSign, WireRequest
from polyglot_core.errors import LimitExceeded, PluginError, PolyglotError, RequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from polyglot_core._values.connection import Connection
    from polyglot_core._values.events import Event
    from polyglot_core._values.models import Model
    from polyglot_core._values.request import InferenceRequest
    from polyglot_core._wire.messages import Chunk, Follow, WireResponse

__all__ = ["BoundDriver", "Driver"]

_log = logging.getLogger("polyglot_core.drivers")

_REQUIRED = ("encode_request", "decode_chunk", "extract_usage")

_T = TypeVar("_T")

Implementation = tuple["Callable[..., Any]", tuple[str, ...]]
"""A hook's function and the names of its arguments, in its own order."""

_MOST_PAGES = 100
"""Pages of a list of models that are read. A provider may repeat a page."""


class Driver:
    """A loaded driver, whose hooks are checked against the contract.

    Attributes:
        name: Name by which connections refer to it.
        distribution: Distribution that provides it; empty for a driver registered in process.
        version: Version of the distribution.
        hooks: The hooks that it has, by name.
    """

    def __init__(self, name: str, module: object, distribution: str = "", version: str = "") -> None:
        self.name = name
        self.distribution = distribution
        self.version = version
        self.hooks = _implementations(self, module)
        for hook in _CONTRACT.keys() - self.hooks.keys():
            if callable(getattr(module, hook, None)):
                note = "mark it with polyglot_core.plugin.hookimpl, or rename it"
                _log.warning("The %s has %s, which is not called: %s.", self.origin, hook, note)

    def bind(self, connection: Connection) -> BoundDriver:
        """Return the driver's hooks bound to a connection, which names it without its distribution."""
        if ":" in connection.driver:
            connection = connection.with_changes(driver=self.name)
        return BoundDriver(self, connection, self.hooks)

    @property
    def origin(self) -> str:
        """Return the driver's name, distribution and version, for messages."""
        source = f" of {self.distribution} {self.version}" if self.distribution else ""
        return f"driver {self.name!r}{source}"

    def error(self, what: str) -> PluginError:
        """Return the error for a fault of this driver; `what` continues the sentence that begins with its name."""
        owner = self.distribution or "the code that registered it"
        return PluginError(
            f"{self.origin[0].upper()}{self.origin[1:]} {what}. Report this to {owner}.", provider=self.name
        )


class BoundDriver:
    """A driver's hooks for one connection. An exception that is not a `PolyglotError` is raised as a `PluginError`.

    Attributes:
        name: Name of the driver.
        hooks: The driver's hooks, by name.
        authorize: The driver's `authorize` hook, or None if it has none.
    """

    __slots__ = ("_connection", "_driver", "authorize", "hooks", "name")

    def __init__(self, driver: Driver, connection: Connection, hooks: Mapping[str, Implementation]) -> None:
        self.name = driver.name
        self.hooks = hooks
        self._driver = driver
        self._connection = connection
        self.authorize = self._authorized if "authorize" in hooks else None

    def encode(self, request: InferenceRequest) -> WireRequest:
        """Encode a request.

        Raises:
            RequestError: The driver cannot express it.
            PluginError: The driver is broken.
        """
        hook = "encode_embeddings" if isinstance(request, EmbeddingRequest) else "encode_request"
        return self._checked(hook, self._call(hook, "request", request))

    def encode_prefill(self, request: InferenceRequest, text: str) -> WireRequest:
        """Encode a request for the rest of a response that begins with `text`.

        Raises:
            RequestError: The driver does not support prefill.
            PluginError: The driver is broken.
        """
        if "encode_prefill" not in self.hooks:
            raise self._cannot_resume("prefill", "support continuing a text")
        return self._checked("encode_prefill", self._call("encode_prefill", "text", text, request=request))

    def encode_resume(self, request: InferenceRequest, state: dict[str, Any]) -> WireRequest | None:
        """Encode a request for the rest of a response that the provider has stored; None if its id is not known yet.

        Raises:
            RequestError: The driver does not support it.
            PluginError: The driver is broken.
        """
        if "encode_resume" not in self.hooks:
            raise self._cannot_resume("provider", "support requesting the rest of a response")
        wire = self._call("encode_resume", "state", state, request=request)
        return None if wire is None else self._checked("encode_resume", wire)

    def encode_cancel(self, request: InferenceRequest, state: dict[str, Any]) -> WireRequest | None:
        """Encode a request that stops work of the provider's; None if the driver has no such hook, or knows no work.

        Raises:
            PluginError: The driver is broken.
        """
        wire = self._call("encode_cancel", "state", state, request=request) if "encode_cancel" in self.hooks else None
        return None if wire is None else self._checked("encode_cancel", wire)

    def kept_for(self, follow: Follow, state: dict[str, Any]) -> dict[str, Any]:
        """Return a copy of what the driver has kept before a follow-up request.

        Raises:
            PluginError: The request, or what the driver has kept, cannot be used.
        """
        self._checked("decode_chunk", follow.request)
        try:
            if not 0 <= follow.after <= 3600:  # as `Follow` documents
                raise self.at_fault(f"returned a Follow with after={follow.after}, not from 0 to 3600")
            return deepcopy(state)
        except TypeError as error:  # there are objects that cannot be copied
            raise self.broken("decode_chunk", error) from error

    def pages_of_models(self, models: list[Model]) -> Iterator[BoundDriver]:
        """Yield the driver for one plain call after the other, each of which appends a page of models to `models`.

        In it `list_models` takes the place of the hooks for the request and the response. To the attempt a page is a
        whole response with an empty text.

        Raises:
            LimitExceeded: There are too many pages.
        """
        wires: list[WireRequest | None] = []

        def encode() -> WireRequest | None:
            return wires[-1] if wires else self._list_models(None, [])

        def decode(chunk: Chunk) -> Sequence[Event]:
            page: list[Model] = []
            wires.append(self._list_models(chunk.data, page))
            models.extend(page)
            return [TextDelta("")]

        hooks: dict[str, Implementation] = {"encode_request": (encode, ()), "decode_chunk": (decode, ("chunk",))}
        for _ in range(_MOST_PAGES):
            yield BoundDriver(self._driver, self._connection, {**self.hooks, **hooks})
            if wires[-1] is None:
                return
        raise LimitExceeded(f"The list of models has more than {_MOST_PAGES} pages.", provider=self.name)

    def embedding_limits(self, model: str, most: int | None) -> tuple[int, int | None]:
        """Return how many texts one request for embeddings may have, `most` if given, and how many bytes together."""
        if most is not None or "embedding_limits" not in self.hooks:
            return most or 1, None
        return self._a(tuple, "embedding_limits", self._call("embedding_limits", "model", model))

    def for_batch(self, batch: EmbeddingRequest, start: int = 0) -> BoundDriver:
        """Return the driver for a plain call that embeds a batch of texts. It appends the vectors to `batch.received`.

        To the attempt the response has an empty text. It may be decoded more than once.

        Args:
            batch: The batch.
            start: Index of its first text among those of the call.
        """
        done = len(batch.received)

        def decode(chunk: Chunk) -> Sequence[Event]:
            returned = self._call("decode_embeddings", "data", chunk.data, request=batch)
            check_vectors(found := self._a(Embeddings, "decode_embeddings", returned), batch, start)
            batch.received[done:] = [found]
            return [ResponseStarted(None, found.model), TextDelta(""), *([UsageReport({"": 0})] if found.usage else ())]

        hooks: dict[str, Implementation] = {**self.hooks, "decode_chunk": (decode, ("chunk",))}
        hooks["extract_usage"] = (lambda: batch.received[-1].usage), ()
        return BoundDriver(self._driver, self._connection, hooks)

    def _list_models(self, data: bytes | None, models: list[Model]) -> WireRequest | None:
        if "list_models" not in self.hooks:
            raise RequestError(f"The driver {self.name!r} cannot list models.", provider=self.name, phase="encode")
        wire = self._call("list_models", "data", data, models=models)
        return None if wire is None and data is not None else self._checked("list_models", wire)

    def _a(self, kind: type[_T], hook: str, returned: object, more: str = "") -> _T:
        """Return what a hook returned, or raise if it is not of this kind."""
        if not isinstance(returned, kind):
            what = f"returned {type(returned).__name__} from {hook} instead of a {kind.__name__}{more}"
            raise self.at_fault(what)
        return returned

    def _checked(self, hook: str, returned: object) -> WireRequest:
        wire = self._a(WireRequest, hook, returned, ", which json_request makes")
        if isinstance(wire.framing, str) and wire.framing not in FRAMERS:
            raise self.at_fault(f"set framing={wire.framing!r}; valid values are {', '.join(FRAMERS)}")
        for field, words in _WORDS.items():
            if (word := getattr(wire, field)) not in words:
                raise self.at_fault(f"set {field}={word!r}; valid values are {', '.join(words)}")
        return wire

    def _cannot_resume(self, how: str, what: str) -> RequestError:
        return RequestError(
            f"resume={how!r} is not supported: the driver {self.name!r} does not {what}. Use resume='restart' or None.",
            provider=self.name,
            phase="encode",
        )

    def decoder(self, state: dict[str, Any]) -> Callable[[Chunk], Sequence[Event]]:
        """Return the function that decodes the chunks of one attempt. Exceptions of the driver pass through it."""
        return _passing(self.hooks["decode_chunk"], "chunk", {"connection": self._connection, "state": state})

    def extract_usage(self, payload: Mapping[str, Any]) -> Usage:
        """Return the token counts in a usage object.

        Raises:
            PluginError: The driver is broken.
        """
        return self._a(Usage, "extract_usage", self._call("extract_usage", "payload", payload))

    def decode_error(self, response: WireResponse) -> Failure | None:
        """Parse an error response with the driver's hook; return None if the driver has none or leaves it to core.

        Raises:
            PluginError: The driver is broken.
        """
        failure = self._call("decode_error", "response", response) if "decode_error" in self.hooks else None
        return None if failure is None else self._a(Failure, "decode_error", failure, " or None")

    def _authorized(self, wire: WireRequest) -> WireRequest:
        return self._a(WireRequest, "authorize", self._call("authorize", "wire", wire))

    def at_fault(self, what: str) -> PluginError:
        """Return the error for a violation of the contract; `what` continues a sentence that begins with the name."""
        return self._driver.error(what)

    def broken(self, hook: str, error: Exception) -> PolyglotError:
        """Return the error for an exception that `hook` raised: a `PluginError`, unless the request is the cause."""
        if isinstance(error, OSError) and (ours := no_descriptor(error)):
            return ours
        if hook.startswith("encode") and isinstance(error, UnicodeEncodeError):
            return RequestError(
                f"The request has text that cannot be sent: {error}. Text from os.fsdecode is often such text, "
                "and so is JSON with half of a pair of surrogates.",
                provider=self.name,
                phase="encode",
            )
        return self._driver.error(f"raised {type(error).__name__} in {hook}: {error}")

    def _call(self, hook: str, argument: str, value: object, **bound: object) -> Any:  # noqa: ANN401 (each hook's own)
        function, names = self.hooks[hook]
        passed = {"connection": self._connection, argument: value, **bound}
        try:
            return function(*[passed[name] for name in names])
        except Exception as error:
            if hook == "decode_embeddings" and isinstance(error, UNREADABLE):
                raise msgspec.DecodeError(str(error)) from error  # a wrong type is not repaired: it shortens a vector
            if isinstance(error, PolyglotError) or (hook == "list_models" and isinstance(error, UNREADABLE)):
                raise
            raise self.broken(hook, error) from error


_WORDS = {"complete_on": get_args(CompletionSign), "finish_counts": ("first", "last")}
"""Fields of a `WireRequest` with a fixed set of values."""


def _passing(implementation: Implementation, argument: str, bound: Mapping[str, Any]) -> Callable[[Any], Any]:
    """Return a function of `argument` alone that calls the implementation with the arguments that it names."""
    function, names = implementation
    if argument not in names:
        return lambda _: function(*(bound[name] for name in names))
    index = names.index(argument)
    before = [bound[name] for name in names[:index]]
    after = [bound[name] for name in names[index + 1 :]]
    if after:
        return lambda value: function(*before, value, *after)
    return partial(function, *before) if before else function


def _implementations(driver: Driver, module: object) -> dict[str, Implementation]:
    """Return the module's hooks by name, after pluggy has checked them.

    Raises:
        PluginError: A hook is missing, misspelt, a wrapper, or has an argument that is not in the contract; or the
            driver needs a newer contract.
    """
    needed = getattr(module, "REQUIRES_CONTRACT", hookspecs.CONTRACT_VERSION)
    if not isinstance(needed, int):
        raise driver.error(f"has REQUIRES_CONTRACT = {needed!r}, which must be an int")
    if needed > hookspecs.CONTRACT_VERSION:
        raise driver.error(
            f"needs contract version {needed}, and this polyglot-core has {hookspecs.CONTRACT_VERSION}; "
            "install a newer polyglot-core"
        )
    manager = pluggy.PluginManager("polyglot")
    manager.register(module, name=driver.name)
    found: dict[str, Implementation] = {}
    for hook in manager.get_hookcallers(module) or ():
        for implementation in hook.get_hookimpls():
            if not (implementation.optionalhook and hook.name not in _CONTRACT):
                if problem := _misuse(hook.name, implementation):
                    raise driver.error(problem)
                found[hook.name] = (implementation.function, tuple(implementation.argnames))
    if missing := [name for name in _REQUIRED if name not in found]:
        raise driver.error(f"lacks {', '.join(missing)}; mark the functions with polyglot_core.plugin.hookimpl")
    return found


_CONTRACT: dict[str, tuple[str, ...]] = {
    name: hook.__code__.co_varnames[: hook.__code__.co_argcount]
    for name, hook in vars(hookspecs).items()
    if hasattr(hook, "polyglot_spec")
}
"""The arguments of each hook."""


def _misuse(name: str, implementation: pluggy.HookImpl) -> str:
    """Return what is wrong with a function that is marked as a hook, to follow the driver's name; empty if nothing is.

    pluggy checks the same when it has the specifications, in its own words and without suggestions.
    """
    if name not in _CONTRACT:
        return f"implements {name}, which is not a hook{suggestion(name, _CONTRACT)}"
    if implementation.wrapper or implementation.hookwrapper:
        return f"wraps {name}, but wrappers are not supported"
    known = _CONTRACT[name]
    for argument in set(implementation.argnames).difference(known):
        near = suggestion(argument, known)
        return f"has an argument {argument!r} of {name}, which does not exist{near}; there are {', '.join(known)}"
    return ""
