"""One client in either style, so that what must be the same, sync or async, is written once."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, ExitStack
from typing import TYPE_CHECKING, Any

from polyglot_core import AsyncInference, Inference

if TYPE_CHECKING:
    from polyglot_core import (
        AsyncInferenceStream,
        InferenceResponse,
        InferenceStream,
        PartialInferenceResponse,
    )

PATIENCE = {"connect": 10.0, "first": 60.0, "idle": 30.0, "silence": 30.0, "total": 90.0}
"""Clocks that let a test that hangs end, and no other."""


class SyncClient:
    """An `Inference` with its own connections, closed with `scope`."""

    def __init__(self, scope: ExitStack, name: str, **settings: Any) -> None:
        self._inference = scope.enter_context(Inference.using(name, timeouts=PATIENCE, **settings))

    def stream(self, prompt: str, extra: dict[str, Any] | None = None, **options: Any) -> SyncStream:
        """Request a stream, with options, and the server's own fields in `extra`."""
        return SyncStream(self._inference.stream(prompt, options=options, extra=extra))

    def response(self, prompt: str, extra: dict[str, Any] | None = None, **options: Any) -> InferenceResponse:
        """Return the plain response to the same request."""
        return self._inference.create(prompt, options=options, extra=extra).response()


class SyncStream:
    """A stream, and all partials received."""

    def __init__(self, stream: InferenceStream) -> None:
        self.partials: list[PartialInferenceResponse] = []
        self._stream = stream

    def read(self, count: int | None = None) -> list[PartialInferenceResponse]:
        """Read `count` partials, or all, and return all that have been read."""
        wanted = None if count is None else len(self.partials) + count
        for partial in self._stream:
            self.partials.append(partial)
            if len(self.partials) == wanted:
                break
        return self.partials

    def leave_after(self, count: int) -> None:
        """Exit the stream's own block after `count` partials."""
        with self._stream:
            self.read(count)

    def close(self) -> None:
        """Close the stream."""
        self._stream.close()

    def response(self) -> InferenceResponse:
        """Return the complete or partial response."""
        return self._stream.response()


class AsyncClient:
    """An `AsyncInference` with connections of its own; the event loop runs while it is waited for, and no longer."""

    def __init__(self, runner: asyncio.Runner, scope: AsyncExitStack, name: str, **settings: Any) -> None:
        self._runner = runner
        inference = AsyncInference.using(name, timeouts=PATIENCE, **settings)
        self._inference = runner.run(scope.enter_async_context(inference))

    def stream(self, prompt: str, extra: dict[str, Any] | None = None, **options: Any) -> AsyncStream:
        return AsyncStream(self._runner, self._inference.stream(prompt, options=options, extra=extra))

    def response(self, prompt: str, extra: dict[str, Any] | None = None, **options: Any) -> InferenceResponse:
        return self._runner.run(self._inference.create(prompt, options=options, extra=extra).response())


class AsyncStream:
    """A stream, and all partials received."""

    def __init__(self, runner: asyncio.Runner, stream: AsyncInferenceStream) -> None:
        self.partials: list[PartialInferenceResponse] = []
        self._runner = runner
        self._stream = stream

    def read(self, count: int | None = None) -> list[PartialInferenceResponse]:
        self._runner.run(self._read(count))
        return self.partials

    async def _read(self, count: int | None) -> None:
        wanted = None if count is None else len(self.partials) + count
        async for partial in self._stream:
            self.partials.append(partial)
            if len(self.partials) == wanted:
                break

    def leave_after(self, count: int) -> None:
        self._runner.run(self._leave_after(count))

    async def _leave_after(self, count: int) -> None:
        async with self._stream:
            await self._read(count)

    def close(self) -> None:
        self._runner.run(self._stream.close())

    def response(self) -> InferenceResponse:
        return self._runner.run(self._stream.response())
