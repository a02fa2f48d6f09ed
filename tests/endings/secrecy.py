"""All texts in which a failure could expose a key."""

from __future__ import annotations

import gc
import pickle
import traceback
from types import CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from polyglot_core.plugin import Secret

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from polyglot_core import PolyglotError

_NOT_FOLLOWED = (
    CodeType,
    FunctionType,
    ModuleType,
    Secret,
    type,
)  # objects that lead to the whole program, or hide their text


def texts_of(error: PolyglotError) -> Iterator[str]:
    """Yield each text in which an error could expose a key."""
    yield str(error)
    yield repr(error)
    yield repr(error.__dict__)
    yield repr(error.partial and error.partial.to_dict())
    yield pickle.dumps(error).decode("latin-1")
    yield pickle.dumps(error, 0).decode("latin-1")
    shown = traceback.TracebackException.from_exception(error, capture_locals=True)
    yield from shown.format()
    for cause in causes_of(error):
        yield repr(cause) + repr(vars(cause))
        yield from texts_held_by([frame.f_locals for frame, _ in traceback.walk_tb(cause.__traceback__)])


def causes_of(error: BaseException) -> list[BaseException]:
    """Return all exceptions behind an error."""
    found: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        link = waiting.pop()
        if link is not None and link not in found:
            found.append(link)
            waiting += [link.__cause__, link.__context__]
    return found[1:]


def texts_held_by(roots: Iterable[Any]) -> Iterator[str]:
    """Yield every text reachable from the frames of an exception, except through a `Secret`, which may hold a key."""
    waiting, seen = list(roots), set()
    while waiting:
        held = waiting.pop()
        if id(held) in seen or isinstance(held, _NOT_FOLLOWED):
            continue
        seen.add(id(held))
        if isinstance(held, (str, bytes, bytearray)):
            yield held if isinstance(held, str) else held.decode("latin-1")
        waiting += gc.get_referents(held)
