"""The list of models of a driver, read from the bodies of its pages, without a socket."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from polyglot_core import testing
from polyglot_core.plugin import InferenceRequest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from polyglot_core.errors import PolyglotError
    from polyglot_core.plugin import Model, WireRequest
    from polyglot_core.testing import BoundDriver

__all__ = ["Listed", "list_models"]


class Listed(NamedTuple):
    """The result of reading a list of models.

    Attributes:
        models: The models of all pages, in order.
        requests: The requests for the pages. There is one more than pages were given if the driver requests another.
        error: The error that a page ended with, or None.
    """

    models: list[Model]
    requests: list[WireRequest]
    error: PolyglotError | None = None


def list_models(driver: BoundDriver, pages: Iterable[bytes]) -> Listed:
    """Read a list of models, as core does. Each body is received byte by byte.

    Args:
        driver: The driver, bound to a connection.
        pages: The bodies of the responses, in order.

    Raises:
        PolyglotError: The driver cannot encode a request for the models.
    """
    listed, bodies = Listed([], []), iter(pages)
    for page in driver.pages_of_models(listed.models):
        listed.requests.append(wire := page.encode(InferenceRequest(model="", messages=())))
        if (body := next(bodies, None)) is None:
            break
        pieces = [body[place : place + 1] for place in range(len(body))]
        replayed = testing.replay(page, wire, pieces, headers={"content-type": "application/json"})
        if replayed.error is not None:
            return listed._replace(error=replayed.error)
    return listed
