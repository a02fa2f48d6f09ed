"""Three ways to run the same test: sync, asyncio and trio."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from polyglot_core import AsyncInference, Inference


class Flavour:
    """One style of calls; each method returns when the call has ended."""

    def __init__(self, backend: str | None) -> None:
        self.backend = backend
        self.Inference: Any = Inference if backend is None else AsyncInference

    def inference(self, connection, **arguments):
        """Return an inference over a connection."""
        return self.Inference.from_connection(connection, **arguments)

    def response(self, inference, prompt="Hello", **arguments):
        """Return the response to a prompt."""
        pending = inference.create(prompt, **arguments)
        return pending.response() if self.backend is None else anyio.run(pending.response, backend=self.backend)

    def partials(self, inference, prompt="Hello", count=None, **arguments):
        """Return the partials of a stream; only the first ones, after which it is closed, if there is a count."""
        pending = inference.create(prompt, stream=True, **arguments)
        if self.backend is None:
            return _read(pending.stream(), count)
        return anyio.run(_read_async, pending, count, backend=self.backend)


def _read(stream, count):
    found = []
    with stream:
        for partial in stream:
            found.append(partial)
            if len(found) == count:
                break
    return found


async def _read_async(pending, count):
    found = []
    async with pending.stream() as stream:
        async for partial in stream:
            found.append(partial)
            if len(found) == count:
                break
    return found


@pytest.fixture(params=[None, "asyncio", "trio"], ids=["sync", "asyncio", "trio"])
def flavour(request):
    """Return one of the styles."""
    return Flavour(request.param)
