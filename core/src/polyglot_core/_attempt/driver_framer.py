"""Guards a framer that a driver brings: what it does wrong is reported as the driver's fault."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from polyglot_core._wire.framings import framer_for
from polyglot_core._wire.leftovers import Leftovers
from polyglot_core._wire.messages import Chunk
from polyglot_core.errors import PolyglotError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from polyglot_core._drivers.bound import BoundDriver
    from polyglot_core._wire.messages import WireRequest

__all__ = ["DriverFramer"]

_CHUNK = frozenset({Chunk})
_SEQUENCES = (list, tuple)


class DriverFramer:
    """Calls the framer of a driver and checks what it returns.

    Args:
        wire: The request that names the class of the framer.
        limit: Bytes of one event at most.
        driver: The driver, to name in errors.
        fail: Ends the attempt with an error, and returns the error to raise.

    Raises:
        PluginError: The framer could not be created.
    """

    __slots__ = ("_driver", "_fail", "_framer")

    def __init__(
        self, wire: WireRequest, limit: int, driver: BoundDriver, fail: Callable[[PolyglotError], PolyglotError]
    ) -> None:
        self._driver = driver
        self._fail = fail
        try:
            self._framer = framer_for(wire, limit)
        except Exception as error:
            raise driver.broken("its framer", error) from error

    @property
    def leftovers(self) -> Leftovers | None:
        """What the framer keeps beside the chunks, if it has such an attribute."""
        found = getattr(self._framer, "leftovers", None)
        return found if isinstance(found, Leftovers) else None

    def feed(self, data: bytes) -> Sequence[Chunk]:
        """Return the chunks that `data` completes.

        Raises:
            PolyglotError: The framer found something wrong with the data.
            PluginError: The framer raised anything else, or did not return chunks. The attempt has ended.
        """
        return self._checked("feed", self._framer.feed, data)

    def finish(self) -> Sequence[Chunk]:
        """Return the chunks that the end of the body completes. Raises as `feed` does."""
        return self._checked("finish", self._framer.finish)

    def _checked(self, method: str, call: Callable[..., Sequence[Any]], *data: bytes) -> Sequence[Chunk]:
        try:
            chunks = call(*data)
            if type(chunks) not in _SEQUENCES:
                chunks = list(chunks)
        except PolyglotError:
            raise
        except Exception as error:
            raise self._fail(self._driver.broken(f"{method} of its framer", error)) from error
        if not _CHUNK.issuperset(map(type, chunks)):
            other = next(type(chunk) for chunk in chunks if type(chunk) is not Chunk)
            what = f"returned {other.__name__} from {method} of its framer, which is not a Chunk"
            raise self._fail(self._driver.at_fault(what))
        return chunks
