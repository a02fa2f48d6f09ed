"""The package's part in the group ``polyglot.admission``: one queue for each account that a process uses.

An account is an origin and the credentials that requests to it carry. Only a hash of these is kept.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from polyglot_batch.account import Account
from polyglot_core import Rate
from polyglot_core.plugin import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from polyglot_batch.account import RatePermit, Store
    from polyglot_core import Connection
    from polyglot_core.plugin import AdmissionRequest

__all__ = ["enter", "use_store", "with_rate"]

_accounts: dict[str, Account] = {}
_store: list[Store] = []  # none or one
_MOST = 1024  # accounts, before those without requests are forgotten

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_accounts.clear)  # no request waits in a child


def enter(request: AdmissionRequest, wake: Callable[[], object]) -> RatePermit:
    """Queue a request with its account; see `polyglot_core.plugin.Permit`."""
    if os.environ.get(_SHARED) and not _store:
        _share_as_the_environment_says()
    key = _account_of(request)
    account = _accounts.get(key) or _new_account(key)
    return account.enter(request, wake)


def _new_account(key: str) -> Account:
    if len(_accounts) >= _MOST:  # of a server that calls with the keys of its users
        for idle in [key for key, account in list(_accounts.items()) if account.idle]:
            _accounts.pop(idle, None)
    return _accounts.setdefault(key, Account(key, _store[0] if _store else None))


def use_store(store: Store | None) -> None:
    """Share the allowances of accounts with other processes; None to end that. Requests that wait start anew."""
    _store[:] = [] if store is None else [store]
    _accounts.clear()


def with_rate(connection: Connection) -> Connection:
    """Return a connection with its rate, or with one that is learnt from responses if it has none."""
    return connection if connection.rate is not None else connection.with_changes(rate=Rate())


_SHARED = "POLYGLOT_RATES"


def _share_as_the_environment_says() -> None:
    from polyglot_batch.shared import RedisStore  # noqa: PLC0415 (an extra)

    url, _, fail = os.environ[_SHARED].partition("#")
    use_store(RedisStore(Secret(url), fail=fail or "open"))  # type: ignore[arg-type]  # checked there


def _account_of(request: AdmissionRequest) -> str:
    """Return what identifies an account in this process and in others, without its credentials."""
    digest = hashlib.blake2b(digest_size=16, person=b"polyglot account")
    for part in _texts(request.connection.account):
        digest.update(len(part).to_bytes(8, "big") + part)
    return f"{request.origin} {digest.hexdigest()}"


def _texts(value: object) -> Iterator[bytes]:
    """Yield what tells values apart, secrets included. It is hashed, and not stored."""
    if isinstance(value, Secret):
        yield value.reveal().encode("utf-8", "surrogatepass")
    elif isinstance(value, Mapping):
        for item in sorted(value.items(), key=repr):
            yield from _texts(item)
    elif isinstance(value, (tuple, list)):
        yield b"("
        for item in value:
            yield from _texts(item)
        yield b")"
    else:
        yield repr(value).encode("utf-8", "surrogatepass")
