"""Steps of a response body: what is written to the socket, and when. Faults and the pace work on these."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Send", "Step", "Wait", "size", "split_after_bytes", "split_after_events"]


class Send(Struct, frozen=True, gc=False):
    """Bytes of the body, written at once.

    Attributes:
        data: The bytes.
        event: Whether an event of the stream ends with them.
        token: Whether they carry a token, so that the pace counts them.
    """

    data: bytes
    event: bool = True
    token: bool = False


class Wait(Struct, frozen=True, gc=False):
    """Silence for so many seconds; an infinite wait lasts until one side closes."""

    seconds: float


Step = Send | Wait


def split_after_events(steps: tuple[Step, ...], count: int) -> tuple[list[Step], list[Step]]:
    """Return the first `count` events with their waits, and the rest; a negative `count` counts from the end."""
    ends = [0, *(index for index, step in enumerate(steps, start=1) if isinstance(step, Send) and step.event)]
    wanted = len(ends) - 1 + count if count < 0 else count
    index = ends[max(wanted, 0)] if wanted < len(ends) else len(steps)
    return list(steps[:index]), list(steps[index:])


def split_after_bytes(steps: tuple[Step, ...], count: int) -> tuple[list[Step], list[Step]]:
    """Return the first `count` bytes of the body, and the rest; a step across the border is split in two."""
    left = count if count >= 0 else max(0, size(steps) + count)
    for index, step in enumerate(steps):
        if isinstance(step, Wait):
            continue
        if left < len(step.data):
            before: list[Step] = [Send(step.data[:left], event=False)] if left else []
            return [*steps[:index], *before], [replace(step, data=step.data[left:]), *steps[index + 1 :]]
        left -= len(step.data)
    return list(steps), []


def size(steps: Iterable[Step]) -> int:
    """Return the number of bytes that `steps` write."""
    return sum(len(step.data) for step in steps if isinstance(step, Send))
