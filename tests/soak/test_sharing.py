"""One client is shared: by many threads, by event loops one after the other, and by a process and its forked child."""

from __future__ import annotations

import subprocess
import sys
from contextlib import AsyncExitStack
from functools import partial

import pytest

from polyglot_core import AsyncInference

from .descriptors import open_sockets
from .figures import watches
from .kinds import broken_promise, mixed
from .serving import ROOT
from .soaking import stream
from .styles import STYLES

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="counts open files, and forks")]

THREADS = 64
DRIVER = "openai"


async def several(style, inferences, count, first, wrong):
    """Streams one after the other; what is other than promised is added to `wrong`."""
    for number, kind in enumerate(mixed(count, first), first):
        ending = await stream(style, inferences[kind.place], kind, number)
        if problem := broken_promise(kind, ending):
            wrong.append(f"{kind.name}: {problem}")


def test_64_threads_share_a_client(provider):
    """Streams of every kind, from 64 threads over one client, end as promised, and nothing is left."""
    style = STYLES["sync"]
    sockets, wrong = open_sockets(), []

    async def main():
        async with AsyncExitStack() as scope:
            inferences = await entered(scope, style, provider)
            await style.at_once(partial(several, style, inferences, 6, 6 * number, wrong) for number in range(THREADS))
            assert watches() == 0

    style.run(main)
    assert wrong == []
    assert open_sockets() == sockets


def test_event_loops_share_an_inference_one_after_the_other(provider):
    """The same inferences serve asyncio, trio and asyncio again; each loop ends without a socket left."""
    inferences = {place: AsyncInference.from_connection(each) for place, each in connections(provider).items()}
    sockets, wrong = open_sockets(), []
    for first, name in enumerate(["async", "trio", "async"]):
        style = STYLES[name]
        style.run(partial(several, style, inferences, 40, 40 * first, wrong))
        assert open_sockets() == sockets
    assert wrong == []
    assert watches() == 0


def test_a_process_and_its_child_stream_at_the_same_time():
    """After a fork both go on with the inferences of before, and neither disturbs the other's streams."""
    # The child lets its parent's sockets go; Python would remark that nobody closed them.
    strict = ["-W", "error", "-W", "ignore::ResourceWarning"]
    command = [sys.executable, *strict, "-m", "tests.soak.forked"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert done.stdout.count("60 streams") == 3


def connections(provider):
    """The connections of one driver, by place."""
    return {place: each for (place, driver), each in provider.connections.items() if driver == DRIVER}


async def entered(scope, style, provider):
    """Inferences over them, which own their HTTP connections."""
    entering = {place: style.inference(each) for place, each in connections(provider).items()}
    return {place: await scope.enter_async_context(inference) for place, inference in entering.items()}
