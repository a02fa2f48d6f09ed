"""The refusal to pickle or copy objects that hold connections."""

from __future__ import annotations

from typing import NoReturn

__all__ = ["NotCopied"]


class NotCopied:
    """Cannot be pickled or copied: a copy would share sockets with the original, or have none."""

    def __reduce__(self) -> NoReturn:
        msg = f"{type(self).__name__} holds connections and cannot be pickled or copied; create another one."
        raise TypeError(msg)
