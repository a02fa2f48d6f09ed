"""Type checkers know what each function returns, sync and async."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.types

CHECKOUT = Path(__file__).resolve().parents[2]
PROGRAM = """
from typing import Any, assert_type

import polyglot_streams as streams
from polyglot_core import AsyncInferenceStream, InferenceStream, PartialInferenceResponse
from polyglot_streams import AsyncBranch, AsyncShared, AsyncStream, Branch, Shared, Stream


class City: ...


Partial = PartialInferenceResponse[City]


def length(partial: Partial) -> int:
    return len(partial.content)


async def length_async(partial: Partial) -> int:
    return len(partial.content)


def sync(stream: InferenceStream[City]) -> None:
    assert_type(streams.map(stream, length), Stream[int, City])
    assert_type(streams.filter(stream, length), Stream[Partial, City])
    assert_type(streams.smooth(stream), Stream[Partial, City])
    assert_type(streams.coalesce(streams.smooth(stream), 1), Stream[Partial, City])
    assert_type(streams.stop_when(stream, length), Stream[Partial, City])
    assert_type(streams.save(stream, "a"), Stream[Partial, City])
    assert_type(streams.with_heartbeat(stream, 1), Stream[Partial | PartialInferenceResponse[Any], City])
    assert_type(streams.tee(stream), tuple[Branch[Partial, City], ...])
    assert_type(streams.share(stream), Shared[City])
    assert_type(streams.reduce(stream, lambda count, partial: count + length(partial), 0), int)
    assert_type(streams.collect(stream), list[Partial])
    assert_type(streams.last(stream), Partial | None)
    assert_type(streams.smooth(stream).response().data, City)
    assert_type(streams.smooth(stream).text(), Stream[str, City])


async def asynchronous(stream: AsyncInferenceStream[City]) -> None:
    assert_type(streams.map(stream, length), AsyncStream[int, City])
    assert_type(streams.map(stream, length_async), AsyncStream[int, City])
    assert_type(streams.filter(stream, length_async), AsyncStream[Partial, City])
    assert_type(streams.smooth(stream), AsyncStream[Partial, City])
    assert_type(streams.tee(stream), tuple[AsyncBranch[Partial, City], ...])
    assert_type(streams.share(stream), AsyncShared[City])
    assert_type(await streams.collect(stream), list[Partial])
    assert_type(await streams.last(stream), Partial | None)
"""


@pytest.mark.parametrize(
    "checker", [["mypy", "--config-file", "pyproject.toml"], ["pyright", "--pythonpath", sys.executable]]
)
def test_what_functions_return_is_known(checker, tmp_path):
    """Check the types that mypy and pyright infer."""
    file = tmp_path / "program.py"
    file.write_text(PROGRAM, "utf-8")
    command = [sys.executable, "-m", *checker, str(file)]
    run = subprocess.run(command, cwd=CHECKOUT, capture_output=True, encoding="utf-8", timeout=300, check=False)
    assert run.returncode == 0, run.stdout
