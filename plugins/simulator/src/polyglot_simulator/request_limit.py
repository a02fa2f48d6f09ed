"""The limit of an account: a number of requests in any second."""

from __future__ import annotations

from collections import deque

from polyglot_core.errors import ConfigError

__all__ = ["RequestLimit"]

_WINDOW = 1.0  # seconds


class RequestLimit:
    """Counts the requests of the last second.

    Args:
        most: How many are accepted.

    Raises:
        ConfigError: It is no whole number from 1.
    """

    def __init__(self, most: int) -> None:
        if type(most) is not int or most < 1:
            msg = f"requests_per_second must be a whole number from 1, not {most!r:.40}."
            raise ConfigError(msg, phase="configure")
        self._accepted: deque[float] = deque(maxlen=most)

    def wait(self, now: float) -> float:
        """Count a request and return 0; or return the seconds after which it is accepted."""
        accepted = self._accepted
        if len(accepted) == accepted.maxlen and (seconds := accepted[0] + _WINDOW - now) > 0:
            return seconds
        accepted.append(now)
        return 0.0
