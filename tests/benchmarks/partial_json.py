"""How long it takes to read a JSON response of growing length at every delta, beside the ways of other clients.

From the checkout's folder, in an environment with core, the openai driver, polyglot-answers, jiter and pydantic::

    python tests/benchmarks/partial_json.py [--rounds N]

A list of cities arrives in deltas of four characters, and the data so far is read at each. Ours is the whole way from
bytes to `partial.data`, without a socket, and `stream.elements()` beside it. The others are given each delta as text, at
no cost, and do what their client does with it: the openai client parses the text so far with jiter, pydantic-ai parses
it with pydantic-core and validates the result, and instructor parses it with jiter and validates a model of it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from statistics import median
from time import process_time
from types import SimpleNamespace
from typing import Any

import msgspec
from in_process import _CONNECTION, _REQUEST, _Bytes, _driver
from measuring import arguments, print_facts

from polyglot_answers.formats import format_of
from polyglot_core import InferenceStream
from polyglot_core._engine.call import Call, Target
from polyglot_core._engine.pump import pump
from polyglot_core._values.formats import FormatUse
from polyglot_core.plugin import DataFormat, Timeouts

SIZES = (25, 50, 100, 200)  # kB
_DELTA = 4  # characters


class City(msgspec.Struct):
    """A city."""

    name: str
    people: int


def text_of(size: int) -> str:
    """Return the JSON text of a list of cities of about `size` kB."""
    cities = [{"name": f"City number {number}", "people": number} for number in range(size * 1000 // 45)]
    return json.dumps({"items": cities})


def deltas(text: str) -> Iterator[str]:
    """Yield the text in pieces."""
    return (text[start : start + _DELTA] for start in range(0, len(text), _DELTA))


def events_of(text: str) -> list[bytes]:
    """Return the response as an OpenAI-compatible server sends it."""
    chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    choices = [
        {"index": 0, "delta": {"content": piece}, "logprobs": None, "finish_reason": None} for piece in deltas(text)
    ]
    choices.append({"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"})
    bodies = [json.dumps({**chunk, "choices": [choice]}) for choice in choices]
    return [*(f"data: {body}\n\n".encode() for body in bodies), b"data: [DONE]\n\n"]


def _format() -> DataFormat[Any]:
    found = format_of(list[City])
    if found is None:
        raise SystemExit("polyglot-answers is not installed in this environment.")
    return found


def stream_of(events: list[bytes]) -> InferenceStream[Any]:
    """Return a stream whose socket is a list of bytes."""
    use = FormatUse(_format(), "native")
    call = Call([Target(_CONNECTION, _driver(), _REQUEST, use)], Timeouts())
    pool = SimpleNamespace(send=lambda _wire, _timeouts, clocks, *_: _Bytes(events, clocks))
    pools: Any = SimpleNamespace(prepare=lambda: None, pool=lambda *_: pool)
    return InferenceStream(pump(call, pools))


def ours(text: str) -> Callable[[], int]:
    """Read `partial.data` of each partial."""
    events = events_of(text)

    def work() -> int:
        seen = 0
        for each in stream_of(events):
            seen = len(each.data or ())
        return seen

    return work


def our_elements(text: str) -> Callable[[], int]:
    """Read the validated elements."""
    events = events_of(text)
    return lambda: sum(1 for _ in stream_of(events).elements())


def openai_way(text: str) -> Callable[[], int]:
    """Parse the text so far with jiter, at each delta."""
    from jiter import from_json

    def work() -> int:
        so_far, value = "", {}
        for piece in deltas(text):
            so_far += piece
            value = from_json(so_far.encode(), partial_mode=True)
        return len(value["items"])

    return work


def pydantic_ai_way(text: str) -> Callable[[], int]:
    """Parse the text so far with pydantic-core and validate the result, at each delta."""
    from pydantic import BaseModel, TypeAdapter
    from pydantic_core import from_json

    model: Any = type("City", (BaseModel,), {"__annotations__": {"name": str, "people": int}})
    listed: Any = type("Cities", (BaseModel,), {"__annotations__": {"items": list[model]}})
    adapter = TypeAdapter(listed)

    def work() -> int:
        so_far, seen = "", 0
        for piece in deltas(text):
            so_far += piece
            try:
                value = from_json(so_far, allow_partial="trailing-strings")
                seen = len(adapter.validate_python(value, experimental_allow_partial=True).items)
            except ValueError:  # the last element lacks a member
                continue
        return seen

    return work


def instructor_way(text: str) -> Callable[[], int]:
    """Parse the text so far with jiter and validate a model whose members are optional, at each delta."""
    from jiter import from_json
    from pydantic import BaseModel

    optional = {"__annotations__": {"name": str | None, "people": int | None}, "name": None, "people": None}
    model: Any = type("City", (BaseModel,), optional)
    listed: Any = type("Cities", (BaseModel,), {"__annotations__": {"items": list[model] | None}, "items": None})

    def work() -> int:
        so_far, seen = "", 0
        for piece in deltas(text):
            so_far += piece
            value = listed.model_validate(from_json(so_far.encode(), partial_mode="trailing-strings"))
            seen = len(value.items or ())
        return seen

    return work


WAYS = {
    "polyglot, partial.data": ours,
    "polyglot, elements()": our_elements,
    "openai's way": openai_way,
    "pydantic-ai's way": pydantic_ai_way,
    "instructor's way": instructor_way,
}


def seconds(work: Callable[[], int], wanted: int) -> float:
    """Return the CPU seconds of a work, and check its result."""
    begun = process_time()
    seen = work()
    taken = process_time() - begun
    if seen != wanted:
        raise AssertionError(f"{seen} elements, not {wanted}")
    return taken


def main() -> None:
    """Measure and print."""
    asked = arguments(__doc__.partition("\n")[0], rounds=3)
    print_facts(asked, f"CPU seconds, median; deltas of {_DELTA} characters")
    print(f"\n  {'CPU seconds for kB of JSON':<28}" + "".join(f"{size:>9}" for size in SIZES))
    for name, way in WAYS.items():
        cells = []
        for size in SIZES:
            text = text_of(size)
            run = partial(seconds, way(text), len(json.loads(text)["items"]))
            cells.append(median(run() for _ in range(asked.rounds)))
        print(f"  {name:<28}" + "".join(f"{cell:>9.2f}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
