"""How fast a reply is spoken: a text in tokens, and the waits between them. The same input always gives the same."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from msgspec import Struct

from polyglot_core.errors import ConfigError
from polyglot_simulator.steps import Wait

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from polyglot_simulator.steps import Send, Step

__all__ = ["Pace", "paced"]


class Pace(Struct, frozen=True, kw_only=True):
    """The speed of a reply. A response that is not streamed is sent when a streamed one would have ended.

    Attributes:
        tokens_per_second: Speed of the tokens; None sends them without a wait.
        first_delay: Seconds before the first event.
        jitter: How far a wait may be off, as a part of it from 0 to 1.
        seed: Start of the random numbers behind `jitter`; every reply starts with it anew.

    Raises:
        ConfigError: A number is out of its range.
    """

    tokens_per_second: float | None = None
    first_delay: float = 0.0
    jitter: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.tokens_per_second is not None and self.tokens_per_second <= 0:
            raise ConfigError(
                f"tokens_per_second of a Pace must be above 0, not {self.tokens_per_second}; leave it out for no wait.",
                phase="configure",
            )
        if self.first_delay < 0 or not 0 <= self.jitter <= 1:
            raise ConfigError(
                f"A Pace needs first_delay >= 0 and 0 <= jitter <= 1, not {self.first_delay} and {self.jitter}.",
                phase="configure",
            )

    def waits(self) -> Iterator[float]:
        """Yield the seconds before each token but the first, without end."""
        numbers = random.Random(self.seed)  # noqa: S311 (it spreads waits and guards nothing)
        usual = 1 / self.tokens_per_second if self.tokens_per_second else 0.0
        while True:
            yield usual * (1 + self.jitter * numbers.uniform(-1, 1))


def paced(sends: Iterable[Send], pace: Pace) -> Iterator[Step]:
    """Put the waits of `pace` between `sends`."""
    if pace.first_delay:
        yield Wait(pace.first_delay)
    waits = pace.waits()
    spoken = False
    for send in sends:
        if send.token and spoken and pace.tokens_per_second:
            yield Wait(next(waits))
        spoken = spoken or send.token
        yield send
