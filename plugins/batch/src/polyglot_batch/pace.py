"""The pace of an account that is told to slow down: a pause for all, then requests at intervals. Without I/O."""

# Theory of operation
# -------------------
#
# A response with status 429 says that too much was sent, often how long to wait, and seldom how much is allowed. Three
# things follow from it.
#
# *A pause.* No request of the account is sent until the wait is over.
#
# *A rate.* If everything that waits were sent when the pause ends, most of it would be rejected again. So requests
# follow one another at intervals. Their rate is what was accepted before: requests that were sent since the last pause,
# at most `_LOOKBACK` seconds ago, less those that were rejected, over the time that they took, or over the wait if that
# is longer: after a burst, the wait is the time after which the provider accepts as many again. Requests that were
# in progress when the first 429 was received are often rejected too. They belong to the same *epoch*, so they correct
# its count; they do not slow the next epoch down.
#
# *Growth.* Each accepted request raises the rate by a share, so that the rate grows by a quarter in a second. Near the
# rate that was too fast it grows by a hundredth: a limit that was not raised is exceeded every ten seconds or so,
# whatever it is. Above that rate it grows quickly again, because the limit was raised, or the 429 had another reason. A
# rate that was measured after a burst may be far too low, and there is none yet that was too fast.

from __future__ import annotations

import math
from collections import deque
from typing import Final

from polyglot_batch.buckets import Bucket

__all__ = ["Epoch", "Pace"]

_LOOKBACK: Final = 60.0  # seconds
_REMEMBERED: Final = 4096  # requests
_FIRST_WAIT, _LONGEST_WAIT = 1.0, 30.0  # seconds, where the provider states no wait
_SLOWER: Final = 0.9  # of a rate that was too fast
_GROWTH, _SLOW_GROWTH = 0.25, 0.01  # of the rate, in a second in which requests are accepted at it
_MOST_GROWTH: Final = 0.05  # of the rate, by one request
_BEYOND: Final = 1.05  # of the rate that was too fast; above it, another limit holds


class Epoch:
    """The requests that were sent between two pauses.

    Attributes:
        sent: Moments at which the latest of them were sent.
        rejected: How many of them were rejected.
        ended: Moment of the first rejection, and the wait that it stated; None before it.
    """

    __slots__ = ("ended", "rejected", "sent")

    def __init__(self) -> None:
        self.sent: deque[float] = deque(maxlen=_REMEMBERED)
        self.rejected = 0
        self.ended: tuple[float, float] | None = None

    def rate(self) -> float:
        """Return the requests per second that the provider accepted."""
        moment, wait = self.ended or (0.0, 0.0)
        recent = [sent for sent in self.sent if sent > moment - _LOOKBACK]
        seconds = max(moment - min(recent, default=moment), wait)
        return max(0.5, len(recent) - self.rejected) / max(0.001, seconds)


class Pace:
    """When the next request may be sent, as far as rejected requests tell.

    Attributes:
        paused_until: Moment until which nothing is sent.
    """

    def __init__(self) -> None:
        self.paused_until = 0.0
        self._epoch = Epoch()
        self._ended: Epoch | None = None  # the one before
        self._intervals: Bucket | None = None
        self._too_fast = math.inf  # the rate in force before the latest pause
        self._unheeded = 0  # rejections in a row

    def wait(self, now: float) -> float:
        """Return the seconds until a request may be sent; 0 if it may be sent now."""
        if now < self.paused_until:
            return self.paused_until - now
        return 0.0 if self._intervals is None else self._intervals.wait(1, now)

    def take(self, now: float) -> Epoch:
        """Count a request that is sent now. Return the epoch that it belongs to."""
        if self._intervals is not None:
            self._intervals.take(1, now)
        self._epoch.sent.append(now)
        return self._epoch

    def accepted(self) -> None:
        """Count a request that was not rejected."""
        self._unheeded = 0
        if self._intervals is not None:
            rate = self._intervals.rate
            near = _SLOWER * self._too_fast <= rate <= _BEYOND * self._too_fast
            self._intervals.rate = rate + min(_SLOW_GROWTH if near else _GROWTH, _MOST_GROWTH * rate)

    def rejected(self, epoch: Epoch, wait: float | None, now: float) -> None:
        """Pause, and slow down, because a request of an epoch was rejected.

        Args:
            epoch: The epoch.
            wait: Seconds that the response states; None if it states none.
            now: The moment.
        """
        epoch.rejected += 1
        if wait is None:
            wait = min(_LONGEST_WAIT, _FIRST_WAIT * 2.0**self._unheeded)
        self.paused_until = max(self.paused_until, now + wait)
        if epoch is self._epoch:
            epoch.ended = now, wait
            self._too_fast = math.inf if self._intervals is None else self._intervals.rate
            self._unheeded = min(self._unheeded + 1, 16)
            self._ended, self._epoch = epoch, Epoch()
        if epoch is self._ended:
            self._intervals = Bucket(1.0, min(epoch.rate(), _SLOWER * self._too_fast), self.paused_until)
