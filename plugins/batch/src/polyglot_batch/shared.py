"""Rates that many processes share, in Redis. Imported only when it is named; needs the extra ``redis``."""

# Theory of operation
# -------------------
#
# The generic cell rate algorithm keeps one number for each limit: the moment at which the next request would be on
# time. throttled-py has it as a script that Redis runs, so two processes never count at once, and the clock is that of
# Redis. A pause after a 429 is a key that expires.
#
# *A thread of its own.* The queue of an account does not wait, in an event loop least of all. So one thread for each
# store talks to Redis and reports each answer. It asks for one request at a time for each account and process: the
# first in the queue.
#
# *Two limits.* A request may be granted by the limit of requests and be too early for that of tokens. What was granted
# is then kept for the next question about the same account, which is about the same place in the queue.
#
# *Without Redis* requests are sent as if this process were alone (``open``), or wait until Redis is back (``closed``).
# Either is logged once for each outage.

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from importlib import import_module
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Literal

from polyglot_batch import admission
from polyglot_core import ConfigError
from polyglot_core.plugin import Secret

if TYPE_CHECKING:
    from collections.abc import Sequence

    from polyglot_batch.allowance import Charge

__all__ = ["RedisStore", "share_rates"]

_log = logging.getLogger("polyglot_batch")

_TIMEOUT = 1.0  # seconds for each command of Redis, and between two attempts while it is away
_MISSING = "Shared rates require the extra redis; install it (pip install 'polyglot-batch[redis]')."

Fail = Literal["open", "closed"]


def share_rates(url: str | Secret | None, *, fail: Fail = "open") -> None:
    """Share the rates of all accounts with the other processes that use the same Redis.

    Requests and tokens a minute are shared, and pauses after a 429. `concurrency` counts in each process. Call it
    before the first request: requests that wait keep to the old rates.

    Args:
        url: URL of the server, such as ``redis://localhost:6379/0``; None to end it.
        fail: What happens while the server is away: ``open`` sends requests within the rate of this process alone,
            ``closed`` lets them wait until it is back.

    Raises:
        ConfigError: The extra ``redis`` is not installed, or an argument is wrong.
    """
    admission.use_store(None if url is None else RedisStore(url, fail=fail))


class RedisStore:
    """An allowance in Redis; see `polyglot_batch.account.Store`. Its URL, which may hold a password, is not kept."""

    def __init__(self, url: str | Secret, *, fail: Fail = "open", prefix: str = "polyglot") -> None:
        if fail not in {"open", "closed"}:
            raise ConfigError(f"fail is 'open' or 'closed', not {fail!r:.40}.", phase="configure")
        try:
            self._throttled: Any = import_module("throttled")
            self._redis: Any = import_module("redis")
        except ImportError as missing:
            raise ConfigError(_MISSING, phase="configure") from missing
        self._fail = fail
        self._prefix = prefix
        self._away = False
        self._granted: dict[str, set[str]] = {}
        self._questions = SimpleQueue[Callable[[], object]]()
        self._starting = threading.Lock()
        self._process = 0
        self._client, self._cells = self._connected(Secret(url) if isinstance(url, str) else url)

    def ask(self, account: str, charges: Sequence[Charge], answer: Callable[[float], object]) -> None:
        """Ask for permission to send a request. The answer is given in a thread of the store."""
        self._put(lambda: answer(self._wait(account, charges)))

    def pause(self, account: str, seconds: float) -> None:
        """Tell the other processes that nothing may be sent for some time."""
        self._put(lambda: self._tried(lambda: self._set_pause(account, seconds)))

    def _connected(self, url: Secret) -> tuple[Any, Any]:
        options = {"socket_timeout": _TIMEOUT, "socket_connect_timeout": _TIMEOUT}
        try:
            client = self._redis.Redis.from_url(url.reveal(), **options)
            cells = self._throttled.RedisStore(server=url.reveal(), options={"CONNECTION_POOL_KWARGS": options})
        except ValueError:
            client = None  # the error would quote the URL
        if client is None:
            raise ConfigError(
                "The URL of the shared rates is not one of Redis, such as redis://localhost:6379/0.", phase="configure"
            )
        return client, cells

    def _put(self, question: Callable[[], object]) -> None:
        self._questions.put(question)
        with self._starting:
            if self._process != os.getpid():  # the child of a fork has no threads
                self._process = os.getpid()
                threading.Thread(target=self._run, name="polyglot-rates", daemon=True).start()

    def _run(self) -> None:
        while True:
            self._questions.get()()

    def _wait(self, account: str, charges: Sequence[Charge]) -> float:
        """Return the seconds until a request may be sent; 0 if it may be sent now."""
        wait = self._tried(lambda: self._asked(account, charges))
        if wait is None:
            return 0.0 if self._fail == "open" else _TIMEOUT
        return wait

    def _asked(self, account: str, charges: Sequence[Charge]) -> float:
        left = self._client.pttl(self._key(account, "pause"))
        if left > 0:
            return float(left) / 1000
        granted = self._granted.setdefault(account, set())
        for charge in charges:
            if charge.cost and charge.name not in granted:
                quota = self._throttled.per_min(charge.per_minute, burst=charge.burst)
                cell = self._throttled.Throttled(using="gcra", quota=quota, store=self._cells)
                result = cell.limit(self._key(account, charge.name), cost=charge.cost)
                if result.limited:
                    return max(0.001, float(result.state.retry_after))
                granted.add(charge.name)
        granted.clear()
        return 0.0

    def _set_pause(self, account: str, seconds: float) -> float:
        self._client.set(self._key(account, "pause"), 1, px=max(1, round(seconds * 1000)))
        return 0.0

    def _key(self, account: str, name: str) -> str:
        return f"{self._prefix}:{name}:{account}"

    def _tried(self, question: Callable[[], float]) -> float | None:
        """Return the answer to a question; None while Redis is away."""
        try:
            answer = question()
        except Exception as error:  # noqa: BLE001 (of two libraries; the thread must go on)
            if not self._away:
                self._away = True
                meanwhile = "calls go on within the rate of this process" if self._fail == "open" else "calls wait"
                _log.warning("Shared rates: Redis is away (%s); %s.", type(error).__name__, meanwhile)
            return None
        if self._away:
            self._away = False
            _log.warning("Shared rates: Redis is back.")
        return answer
