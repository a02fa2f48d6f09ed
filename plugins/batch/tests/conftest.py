"""A provider with a rate limit, and three ways to run the same test: sync, asyncio and trio."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Any

import anyio
import pytest

from polyglot_batch import admission
from polyglot_core import AsyncInference, Inference
from polyglot_simulator import RawReply, Simulator

TOO_MANY = b'{"error": {"message": "Rate limit reached", "type": "rate_limit_error"}}'


class Limited:
    """A provider that accepts `number` requests in a sliding window of `seconds`, and rejects others with a wait."""

    def __init__(self, number=5, seconds=1.0, *, stated=True, reply="pong"):
        self.number, self.seconds, self.stated, self.reply = number, seconds, stated, reply
        self.accepted, self.rejected = [], []
        self._window = deque()
        self._lock = threading.Lock()

    def __call__(self, request):
        """Return the reply to a request."""
        now = time.monotonic()
        with self._lock:
            while self._window and self._window[0] <= now - self.seconds:
                self._window.popleft()
            if len(self._window) >= self.number:
                self.rejected.append(now)
                wait = [("retry-after", f"{self._window[0] + self.seconds - now:.3f}")] if self.stated else []
                headers = [("content-type", "application/json"), *wait]
                return RawReply(status=429, headers=headers, writes=[TOO_MANY], end="length")
            self._window.append(now)
            self.accepted.append(now)
        return self.reply(request) if callable(self.reply) else self.reply


@pytest.fixture
def limited():
    """Start a simulator whose replies a `Limited` decides on; return both."""
    running = []

    def start(*args, **options):
        provider = Limited(*args, **options)
        running.append(simulator := Simulator(provider))
        return provider, simulator.__enter__()

    yield start
    for simulator in running:
        simulator.__exit__(None, None, None)


@pytest.fixture(autouse=True)
def _own_accounts():
    """Let no test know the accounts of another."""
    admission._accounts.clear()
    yield
    admission._accounts.clear()
    admission._store.clear()


class Flavour:
    """Runs a test's coroutine with threads or in an event loop."""

    def __init__(self, name):
        self.name = name
        self.Inference: Any = Inference if name == "sync" else AsyncInference

    def run(self, main):
        """Run a coroutine function."""
        return anyio.run(main, backend="asyncio" if self.name == "sync" else self.name)

    async def wait(self, result):
        """Return a result, which async code has to await."""
        return result if self.name == "sync" else await result

    async def texts(self, inference, prompts):
        """Return the texts of calls that are made together, each in a thread or a task of its own."""
        texts = {}

        async def ask(prompt):
            pending = inference.create(prompt)
            if self.name == "sync":
                texts[prompt] = await anyio.to_thread.run_sync(pending.text, limiter=anyio.CapacityLimiter(1))
            else:
                texts[prompt] = await pending.text()

        async with anyio.create_task_group() as tasks:
            for prompt in prompts:
                tasks.start_soon(ask, prompt)
                await anyio.sleep(0)
        return texts


@pytest.fixture(params=["sync", "asyncio", "trio"])
def flavour(request):
    """Run a test sync, in asyncio and in trio."""
    return Flavour(request.param)
