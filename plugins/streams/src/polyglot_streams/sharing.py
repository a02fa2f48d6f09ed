"""The streams of several readers: those of `tee`, and those that join a shared stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from polyglot_streams.hub import AsyncBranchSource, AsyncHub, BranchSource, FellBehind, Hub, Partial
from polyglot_streams.sources import DataT
from polyglot_streams.stages import Stage
from polyglot_streams.stream import AsyncStream, Stream

if TYPE_CHECKING:
    from typing import Self

__all__ = ["AsyncBranch", "AsyncShared", "Branch", "FellBehind", "Shared"]

ItemT = TypeVar("ItemT")


class _Pass(Stage[ItemT, ItemT]):
    """Emits what it takes."""

    def feed(self, item: ItemT, now: float) -> tuple[ItemT]:  # noqa: ARG002 (emitted at any time)
        """Take an item."""
        return (item,)


class Branch(Stream[ItemT, DataT], Generic[ItemT, DataT]):
    """One of several readers of a sync stream.

    Attributes:
        stopped: Why a transform ended the stream, as a sentence; None if none did.
    """

    def __init__(self, source: BranchSource[ItemT, DataT]) -> None:
        super().__init__(source, _Pass())
        self._tap = source.tap

    @property
    def dropped(self) -> int:
        """Return the number of items that this reader has lost, by the policy ``drop``."""
        return self._tap.dropped


class AsyncBranch(AsyncStream[ItemT, DataT], Generic[ItemT, DataT]):
    """One of several readers of an async stream.

    Attributes:
        stopped: Why a transform ended the stream, as a sentence; None if none did.
    """

    def __init__(self, source: AsyncBranchSource[ItemT, DataT]) -> None:
        super().__init__(source, _Pass())
        self._tap = source.tap

    @property
    def dropped(self) -> int:
        """Return the number of items that this reader has lost, by the policy ``drop``."""
        return self._tap.dropped


class Shared(Generic[DataT]):
    """A sync stream that readers may join at any time. The source is read when one of them wants an item.

    A reader that leaves closes nothing. `close` does, or ``with``; so does dropping this object and all readers.
    """

    def __init__(self, hub: Hub[Partial, DataT]) -> None:
        self._hub = hub

    def join(self) -> Branch[Partial, DataT]:
        """Return a stream that begins with what was received so far, as one partial for each choice.

        After the end it has nothing else, and ends as the source did.
        """
        return Branch(self._hub.join())

    def close(self) -> None:
        """End the stream for all readers, and close its connection."""
        self._hub.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "_hub"):
            self._hub.release()


class AsyncShared(Generic[DataT]):
    """An async stream that readers may join at any time. The source is read when one of them wants an item.

    A reader that leaves closes nothing. `close` does, or ``async with``; so does dropping this object and all readers.
    """

    def __init__(self, hub: AsyncHub[Partial, DataT]) -> None:
        self._hub = hub

    def join(self) -> AsyncBranch[Partial, DataT]:
        """Return a stream that begins with what was received so far, as one partial for each choice.

        After the end it has nothing else, and ends as the source did.
        """
        return AsyncBranch(self._hub.join())

    async def close(self) -> None:
        """End the stream for all readers, and close its connection."""
        await self._hub.close()

    async def aclose(self) -> None:
        """Close the stream; the name that `contextlib.aclosing` uses."""
        await self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __del__(self) -> None:
        if hasattr(self, "_hub"):
            self._hub.state.kept_open = False
