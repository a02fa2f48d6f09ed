"""A request between sending and the response headers: how it is ended from outside."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from polyglot_core._values.transports import Abortable

__all__ = ["OpeningState"]


class OpeningState:
    """The state of one call's requests, until their headers are received. Its transport tells how to end the wait.

    Attributes:
        connect: Maximum seconds until the connection is established; None for no limit.
        longest: Maximum seconds until the headers are received; None for no limit.
        resend: Whether a request that was written to a connection which was being closed may be sent once more.
        sends: How often a request was handed to a transport's connection.
        connecting: Whether no request has been handed to a connection since `begin`.
        active: Whether a transport is waiting.
    """

    def __init__(self) -> None:
        self.connect: float | None = None
        self.longest: float | None = None
        self.active = False
        self.resend = self.connecting = True
        self.sends = 0
        self._aborted = self._expired = False
        self._end: Callable[[], object] | None = None
        self._connection: Abortable | None = None

    def begin(self, connect: float | None, longest: float | None, *, resend: bool) -> None:
        """Reset for a request that is about to be sent."""
        self.connect, self.longest, self.resend = connect, longest, resend
        self.active = self.connecting = True
        self._expired = False
        self._end = self._connection = None

    @property
    def ended(self) -> bool:
        """Whether the response is no longer wanted, or a clock ran out."""
        return self._aborted or self._expired

    def on_abort(self, end: Callable[[], object]) -> None:
        """Let `end` end the current wait, from any thread; at once if the call has ended."""
        self._end = end
        if self.ended:
            end()

    def send(self, connection: Abortable) -> None:
        """Count a request that is about to be written to a connection, which `abort` ends from here on."""
        self.sends += 1
        self.connecting, self._connection = False, connection
        self.on_abort(connection.abort)

    def release(self) -> None:
        """Forget the connection, which belongs to the exchange from here on, and later to another call."""
        self.active = False
        self._end = self._connection = None

    def abort(self) -> None:
        """End the wait, now or as soon as there is one, from any thread: the response is no longer wanted."""
        self._aborted = True
        self._shut()

    def expire(self) -> None:
        """End the wait as `abort` does, because a clock ran out for this request."""
        self._expired = True
        self._shut()

    def data_waits(self) -> bool:
        """Return whether bytes of the response wait that the transport has not read."""
        connection = self._connection
        return connection is not None and connection.data_waits()

    def _shut(self) -> None:
        if (end := self._end) is not None:
            end()
