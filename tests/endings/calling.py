"""One call in either style, so that a scenario with the same outcome, sync or async, is written once."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, ExitStack
from itertools import islice
from typing import TYPE_CHECKING, Any

from polyglot_core import AsyncInference, Inference, PolyglotError

if TYPE_CHECKING:
    from polyglot_core import Connection, InferenceResponse, PartialInferenceResponse

PATIENCE = {"connect": 5.0, "first": 5.0, "idle": 5.0, "silence": 5.0, "grace": 5.0, "total": 10.0}
"""Clocks that let a test that hangs end, and no other."""


class Call:
    """A call, its stream, and every partial received so far.

    Attributes:
        partials: What was read.
        style: ``sync`` or ``async``.
    """

    style: str

    def __init__(self) -> None:
        self.partials: list[PartialInferenceResponse] = []

    def read(self, count: int | None = None) -> list[PartialInferenceResponse]:
        """Read the next `count` partials, or all remaining ones."""
        raise NotImplementedError

    def response(self) -> InferenceResponse:
        """Return the complete response."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the stream."""
        raise NotImplementedError

    def failure(self) -> PolyglotError:
        """Return the error raised by reading to the end, or by `response()` for a call without streaming."""
        try:
            self.read()
        except PolyglotError as error:
            return error
        raise AssertionError(f"the call did not fail: {self.response()}")

    @property
    def said(self) -> str:
        """Return the text of the partials so far."""
        return "".join(partial.content_delta for partial in self.partials)


class SyncCall(Call):
    """A call with the sync API."""

    style = "sync"

    def __init__(self, scope: ExitStack, connection: Connection, **asked: Any) -> None:
        super().__init__()
        inference = scope.enter_context(Inference.from_connection(connection))
        self.pending = inference.create("Hello", **asked)
        self.streamed = self.pending.request.stream

    def read(self, count: int | None = None) -> list[PartialInferenceResponse]:
        if not self.streamed:
            self.pending.response()
        before = len(self.partials)
        for partial in islice(self.pending.stream(), count):
            self.partials.append(partial)
        return self.partials[before:]

    def response(self) -> InferenceResponse:
        return self.pending.response()

    def close(self) -> None:
        self.pending.stream().close()


class AsyncCall(Call):
    """A call with the async API; the event loop runs while it is waited for, and no longer."""

    style = "async"

    def __init__(self, runner: asyncio.Runner, scope: AsyncExitStack, connection: Connection, **asked: Any) -> None:
        super().__init__()
        self._runner = runner
        inference = runner.run(scope.enter_async_context(AsyncInference.from_connection(connection)))
        self.pending = inference.create("Hello", **asked)
        self.streamed = self.pending.request.stream

    def read(self, count: int | None = None) -> list[PartialInferenceResponse]:
        before = len(self.partials)
        self._runner.run(self._read(count))
        return self.partials[before:]

    async def _read(self, count: int | None) -> None:
        if not self.streamed:
            await self.pending.response()
        wanted = None if count is None else len(self.partials) + count
        async for partial in self.pending.stream():
            self.partials.append(partial)
            if len(self.partials) == wanted:
                break

    def response(self) -> InferenceResponse:
        return self._runner.run(_awaited(self.pending.response()))

    def close(self) -> None:
        self._runner.run(_awaited(self.pending.stream().close()))


async def _awaited(awaitable: Any) -> Any:
    return await awaitable
