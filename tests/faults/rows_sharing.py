"""Row 80: a stream is shared, copied, or outlives its owner."""

from __future__ import annotations

import asyncio
import copy
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

from polyglot_core import AsyncInference, Inference, StreamError
from polyglot_simulator import Simulator, Stall

from ..endings import test_closing_async
from .bodies import TEXT
from .playing import all_of, told
from .stage import Stage, same

__all__ = ["SCENARIOS"]

# Processes, threads, loops

PROGRAM = """
import asyncio, os, sys, time
from polyglot_core import AsyncInference, Connection, Inference
made = {name: Connection(name="here", driver="openai", model="m", base_url=url, api_key="test-key")
        for name, url in [("here", sys.argv[2])]}
style, url = sys.argv[1:3]
"""
FORK = """
inference = Inference.from_connection(made["here"])
ask = lambda: inference.create("Hello", stream=True).response().content
assert ask() == "One two three"
child = os.fork()
ok = ask() == "One two three"
if child == 0:
    os._exit(0 if ok else 1)
assert ok and os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
inference.close()
"""
EXIT = {
    "sync": """
stream = Inference.from_connection(made["here"]).create("Hello").stream()
print(next(iter(stream)).content)
""",
    "async": """
held = []
async def main():
    held.append(AsyncInference.from_connection(made["here"]).create("Hello").stream())
    print((await anext(aiter(held[0]))).content)
asyncio.run(main())
""",
}


def run(simulator: Simulator, style: str, text: str, *flags: str) -> tuple[int, str, str]:
    """Run a program in a separate process and return its exit code, stdout and stderr."""
    command = [sys.executable, *flags, "-c", PROGRAM + text, style, simulator.base_url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    return done.returncode, done.stdout.strip(), done.stderr.strip()


@told(80, "fork", "A child opens a connection of its own; neither reads what is the other's.", styles=("sync",))
def forked(stage: Stage) -> None:
    if hasattr(os, "fork"):
        same("exit code, output, complaints", run(stage.simulate(), "sync", FORK), (0, "", ""))


@told(80, "exit with an open stream", "The interpreter goes without a word, and the socket with it.")
def exited(stage: Stage) -> None:
    simulator = stage.simulate(fault=Stall(after_events=2))
    code, printed, complaints = run(simulator, stage.style, EXIT[stage.style], "-W", "error")
    if os.environ.get("POLYGLOT_HTTP") == "httpx2" and ("httpcore2" in complaints or "ByteStream.__" in complaints):
        complaints = ""  # its generators fail when asyncio closes all of them at once
    same("exit code, output, complaints", (code, printed, complaints), (0, "One", ""))
    same("closed", simulator.requests[0].wait_closed(2.0) is not None, True)


@told(80, "16 threads, one inference", "Threads may share an inference.", styles=("sync",))
def threads(stage: Stage) -> None:
    server, said = stage.simulate(), []
    inference = stage.own(stage.connection(server))
    workers = [
        threading.Thread(target=lambda: said.append(inference.create("Hello", stream=True).response().content))
        for _ in range(16)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(10)
    same("answers", said, [TEXT] * 16)


@told(80, "two readers", "The second one is told that a stream has one reader; the first goes on.")
def two_readers(stage: Stage) -> None:
    server = stage.simulate(fault=Stall(after_events=3, seconds=0.4))
    call = stage.call(stage.connection(server))
    call.read(1)
    read = _read_in_task if stage.runner is not None else _read_in_thread
    same("the second reader's error", read(stage, call.pending.stream()), StreamError)
    same("the answer", call.response().content, TEXT)


def _read_in_thread(_stage: Stage, stream: Any) -> type | None:
    first = threading.Thread(target=lambda: list(stream))
    first.start()
    try:
        threading.Event().wait(0.15)
        list(stream)
    except StreamError as error:
        return StreamError if "reader" in str(error) else type(error)
    finally:
        first.join(5)
    return None


def _read_in_task(stage: Stage, stream: Any) -> type | None:
    async def read() -> None:
        async for _ in stream:
            pass

    async def main() -> type | None:
        first = asyncio.create_task(read())
        await asyncio.sleep(0.15)
        try:
            await read()
        except StreamError as error:
            return StreamError if "reader" in str(error) else type(error)
        finally:
            await first
        return None

    found: type | None = stage.wait(main())
    return found


@told(80, "two event loops", "One inference serves one loop after the other.", styles=("async",))
def two_loops(stage: Stage) -> None:
    server = stage.simulate()
    inference = AsyncInference.from_connection(stage.connection(server))

    async def ask() -> str:
        return (await inference.create("Hello", stream=True).response()).content

    same("answers", [asyncio.run(ask()) for _ in range(3)], [TEXT] * 3)


@told(80, "loop ends with a stream open", "The socket closes, and nothing complains.", styles=("async",))
def loop_ends(stage: Stage) -> None:
    test_closing_async.test_loop_can_end_with_open_stream(stage.simulate)


COPIES: dict[str, Callable[[Any], object]] = {
    "pickled": pickle.dumps,
    "copied": copy.copy,
    "copied deep": copy.deepcopy,
}


@told(80, "pickled or copied", "Neither a call nor what makes calls can be pickled or copied: a TypeError says so.")
def copied(stage: Stage) -> None:
    connection = stage.connection(stage.simulate())
    inference = (Inference if stage.style == "sync" else AsyncInference).from_connection(connection)
    pending = inference.create("Hello")
    found = {}
    for what in (inference, pending, pending.stream()):
        for how, make in COPIES.items():
            try:
                make(what)
            except Exception as error:  # noqa: BLE001 (its class is what is asked)
                found[f"{type(what).__name__} {how}"] = type(error).__name__
            else:
                found[f"{type(what).__name__} {how}"] = "none"
    same("not refused with a TypeError", {what: error for what, error in found.items() if error != "TypeError"}, {})


SCENARIOS = all_of(globals())
