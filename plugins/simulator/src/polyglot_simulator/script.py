"""The reply and the faults of each request, by the order in which requests arrive."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from polyglot_core.errors import ConfigError
from polyglot_simulator.faults import Fault
from polyglot_simulator.reply import RawReply, Reply

if TYPE_CHECKING:
    from polyglot_simulator.recorded_request import RecordedRequest

__all__ = ["AnyReply", "FaultScript", "Faults", "Replies", "ReplyScript"]

AnyReply = str | Reply | RawReply
Replies = AnyReply | Sequence[AnyReply] | Callable[["RecordedRequest"], AnyReply]
Faults = Fault | Sequence[Fault] | None


class ReplyScript:
    """The replies in turn; the last one is repeated.

    Args:
        replies: One reply, a list of them, or a function that returns one for each request.

    Raises:
        ConfigError: There is no reply, or an object of another type.
    """

    def __init__(self, replies: Replies) -> None:
        self._function = replies if callable(replies) else None
        self._turns = [_as_reply(reply) for reply in _listed(replies)]
        self.taken = 0
        if not self._turns and self._function is None:
            raise ConfigError(
                "The list of replies is empty; add a reply, or leave `reply` out for the default.",
                phase="configure",
            )

    @property
    def next_is_raw(self) -> bool:
        """Return True if the next reply is raw or may be: the reply of a function is not known before it is called."""
        if self._function is not None:
            return True
        return isinstance(self._turns[min(self.taken, len(self._turns) - 1)], RawReply)

    def take(self, request: RecordedRequest) -> Reply | RawReply:
        """Return the reply to `request`."""
        self.taken += 1
        if self._function is not None:
            return _as_reply(self._function(request))
        return self._turns[min(self.taken, len(self._turns)) - 1]


class FaultScript:
    """The faults in turn.

    Args:
        fault: Faults of every request, each for as many requests as its `times`.
        faults: Faults of the first request, of the second, and so on. `times` repeats a fault for that many requests.

    Raises:
        ConfigError: Both are given, or an entry is not a fault.
    """

    def __init__(self, fault: Faults, faults: Sequence[Faults] | None) -> None:
        if fault is not None and faults is not None:
            raise ConfigError(
                "Give either `fault`, for every request, or `faults`, a list with one entry for each; not both.",
                phase="configure",
            )
        self._always = _as_faults(fault)
        self._turns = [entry for item in faults or () for entry in _repeated(_as_faults(item))]
        self._taken = 0

    def take(self) -> tuple[Fault, ...]:
        """Return the faults of the next request."""
        number, self._taken = self._taken, self._taken + 1
        if number < len(self._turns):
            return self._turns[number]
        return tuple(fault for fault in self._always if fault.times is None or number < fault.times)


def _listed(replies: Replies) -> Sequence[AnyReply]:
    """Return the replies of a list, or a single one; none of a function."""
    if callable(replies):
        return ()
    return (replies,) if isinstance(replies, str | bytes) or not isinstance(replies, Sequence) else replies


def _as_reply(reply: object) -> Reply | RawReply:
    if isinstance(reply, str):
        return Reply(reply)
    if isinstance(reply, Reply | RawReply):
        return reply
    raise ConfigError(f"A reply is a str, a Reply or a RawReply, not {type(reply).__name__}.", phase="configure")


def _as_faults(entry: Faults) -> tuple[Fault, ...]:
    faults = () if entry is None else (entry,) if isinstance(entry, Fault) else tuple(entry)
    for fault in faults:
        _check_fault(fault)
    return faults


def _check_fault(fault: object) -> None:
    if not isinstance(fault, Fault):
        raise ConfigError(f"A fault is an object such as Reset(after_events=1), not {fault!r}.", phase="configure")


def _repeated(faults: tuple[Fault, ...]) -> list[tuple[Fault, ...]]:
    return [faults] * max((fault.times or 1 for fault in faults), default=1)
