"""The hooks of an installed driver, for a driver of another package that reuses them."""

from __future__ import annotations

import inspect
from functools import cached_property, wraps
from typing import TYPE_CHECKING, Any, TypeVar

from polyglot_core import hookspecs
from polyglot_core._drivers.discovery import load_driver
from polyglot_core.errors import ConfigError, RequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from polyglot_core._drivers.bound import Implementation

__all__ = ["ReusedDriver", "driver"]

_HookT = TypeVar("_HookT", bound="Callable[..., Any]")


class ReusedDriver:
    """The hooks of another driver with the arguments and results of the contract, whichever of them it declares.

    The driver is imported by the first call of a hook. Declare its distribution as a dependency of yours.

    What a hook raises passes through. An optional hook that the driver does not have raises `RequestError`; `hooks` has
    the names of those that it has.

    Args:
        name: Name of the driver.
        package: The distribution that an error names if the driver is not installed; None for ``polyglot-`` and `name`.

    Attributes:
        name: Name of the driver.

    Raises:
        ConfigError: From each hook: the driver is not installed. The message names the distribution to install.
        PluginError: From each hook: the driver cannot be imported, or violates the contract.
    """

    def __init__(self, name: str, package: str | None = None) -> None:
        self.name, self._package = name, package or f"polyglot-{name}"
        self.encode_request = self._reused(hookspecs.encode_request)
        self.decode_chunk = self._reused(hookspecs.decode_chunk)
        self.extract_usage = self._reused(hookspecs.extract_usage)
        self.authorize = self._reused(hookspecs.authorize)
        self.decode_error = self._reused(hookspecs.decode_error)
        self.encode_prefill = self._reused(hookspecs.encode_prefill)
        self.encode_resume = self._reused(hookspecs.encode_resume)
        self.encode_cancel = self._reused(hookspecs.encode_cancel)
        self.list_models = self._reused(hookspecs.list_models)
        self.encode_embeddings = self._reused(hookspecs.encode_embeddings)
        self.decode_embeddings = self._reused(hookspecs.decode_embeddings)
        self.embedding_limits = self._reused(hookspecs.embedding_limits)

    @cached_property
    def hooks(self) -> Mapping[str, Implementation]:
        """The functions that the driver has, and the names of their arguments, by the name of the hook."""
        if (found := load_driver(self.name)) is None:
            what = f"The driver {self.name!r}, which another driver reuses, is not installed or excluded"
            raise ConfigError(f"{what}; install {self._package}, or see POLYGLOT_DRIVERS.", phase="configure")
        return found.hooks

    def _reused(self, hook: _HookT) -> _HookT:
        """Return a function with the signature of a hook that calls the driver's, with the arguments that it names."""
        name, declared = hook.__name__, tuple(inspect.signature(hook).parameters)

        @wraps(hook)
        def call(*values: object, **named: object) -> Any:  # noqa: ANN401 (the hook's result)
            if (found := self.hooks.get(name)) is None:
                raise RequestError(f"The driver {self.name!r} has no hook {name}.", provider=self.name, phase="encode")
            arguments = dict(zip(declared, values, strict=False), **named)
            return found[0](*[arguments[each] for each in found[1]])

        return call  # type: ignore[return-value]  # of that signature


driver = ReusedDriver
