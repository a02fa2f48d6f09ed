"""The contract of packages that decide when a request may be sent, in the entry-point group ``polyglot.admission``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, cast

from msgspec import Struct

from polyglot_core._values.connection import Connection
from polyglot_core._values.entry_points import modules
from polyglot_core._values.request import InferenceRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from polyglot_core._values.response import Usage
    from polyglot_core.errors import PolyglotError

__all__ = ["ADMISSION", "AdmissionPackage", "AdmissionRequest", "Permit", "find_admission"]

ADMISSION = "polyglot.admission"
"""Entry-point group: name → module with the functions of `AdmissionPackage`."""


class AdmissionRequest(Struct, frozen=True):
    """A request that is ready to be sent over a connection that has a `rate`.

    Attributes:
        connection: The connection.
        origin: Origin of the request's URL.
        request: The request, from which its tokens are estimated.
        attempt: Number of the attempt at this connection, from 1; a retry has a higher one.
    """

    connection: Connection
    origin: str
    request: InferenceRequest
    attempt: int = 1


class Permit(Protocol):
    """The place of one request in the queue, and its permission to be sent. No method waits; any thread may call it.

    Attributes:
        guard: Core's own, which releases the permit if its call is collected. It is kept until the permit is released.
    """

    guard: object

    def wait(self) -> float:
        """Return 0 once the request may be sent, else the seconds after which to call again, unless woken before."""
        ...

    def responded(self, status: int, headers: Mapping[str, str]) -> None:
        """Take the head of the response. The names of headers are in lower case."""
        ...

    def release(self, error: PolyglotError | None = None, usage: Usage | None = None) -> None:
        """End the request, or the wait for it; called more than once.

        Args:
            error: The error that it ended with, such as `RateLimited` with its `retry_after`.
            usage: The tokens that the provider has counted, as far as they are known.
        """
        ...


class AdmissionPackage(Protocol):
    """The function of a module in the group ``polyglot.admission``."""

    def enter(self, request: AdmissionRequest, wake: Callable[[], object]) -> Permit:
        """Queue a request. Does not wait.

        Args:
            request: The request.
            wake: To be called, in any thread, when `Permit.wait` is to be called again. It raises a RuntimeError where
                the event loop of the request has ended.
        """
        ...


def find_admission(connection: Connection) -> AdmissionPackage:
    """Return the first package that decides when requests are sent.

    Raises:
        ConfigError: None is installed, or none may be imported.
    """
    found: list[Any] = modules(ADMISSION, f"rate of connection {connection.name!r}", "polyglot-batch")
    return cast("AdmissionPackage", found[0])
