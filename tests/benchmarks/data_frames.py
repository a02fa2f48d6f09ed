"""A thousand rows through Ray Data and Daft in local mode, each by its own stage and by polyglot-batch's.

From the checkout's folder, in an environment with core, the openai driver, the simulator, and polyglot-batch with the
extras ``ray`` and ``daft``; for the engines' own stages also aiohttp and pydantic, and openai::

    python tests/benchmarks/data_frames.py [--rows 1000] [--concurrency 64] [--delay 0.05] [ray-own ray daft-own daft]

The simulator waits before each response, and one request in twenty fails: with 500, 502 or 503. A row shows how many rows have the right response, the seconds with and without the start of the
engine, the requests that were sent, and the most that were in flight at once. Each runs in a process of its own.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polyglot_simulator import Pace, Simulator, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

RETRIES = 6
KINDS = (Status(500), Status(502), Status(503))


def echo(request: Any) -> str:
    """Reply with the prompt."""
    content = request.body["messages"][-1]["content"]
    return f"echo {content if isinstance(content, str) else content[0]['text']}"


def ray_rows(number: int) -> Any:
    """Start Ray, and return a dataset of prompts."""
    import ray

    ray.init(num_cpus=2, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
    ray.data.DataContext.get_current().enable_progress_bars = False
    return ray.data.from_items([{"prompt": f"row {index}"} for index in range(number)])


def by_ray(rows: Any, concurrency: int, _: str) -> dict[str, str | None]:
    """Return the answers of polyglot-batch's stage."""
    from polyglot_batch.ray import prompt_stage

    done = prompt_stage(rows, "sim", concurrency=concurrency).take_all()
    return {row["prompt"]: row["response"] for row in done}


def by_rays_own(rows: Any, concurrency: int, base_url: str) -> dict[str, str | None]:
    """Return the answers of Ray's stage of HTTP requests."""
    from ray.data.llm import HttpRequestProcessorConfig, build_processor

    config = HttpRequestProcessorConfig(
        url=f"{base_url}/chat/completions", batch_size=concurrency, concurrency=1, max_retries=RETRIES
    )

    def requested(row: dict[str, Any]) -> dict[str, Any]:
        message = {"role": "user", "content": row["prompt"]}
        return {"payload": {"model": "m", "messages": [message]}, "prompt": row["prompt"]}

    def answered(row: dict[str, Any]) -> dict[str, Any]:
        choices = row["http_response"].get("choices")
        return {"prompt": row["prompt"], "text": None if choices is None else choices[0]["message"]["content"]}

    done = build_processor(config, preprocess=requested, postprocess=answered)(rows).take_all()
    return {row["prompt"]: row["text"] for row in done}


def daft_rows(number: int) -> Any:
    """Return a data frame of prompts."""
    import daft

    return daft.from_pydict({"prompt": [f"row {index}" for index in range(number)]})


def by_daft(rows: Any, concurrency: int, _: str) -> dict[str, str | None]:
    """Return the answers of Daft's `prompt` over a connection."""
    from polyglot_batch.daft import PolyglotProvider

    return prompted(rows, PolyglotProvider("sim"), concurrency=concurrency)


def by_dafts_own(rows: Any, concurrency: int, base_url: str) -> dict[str, str | None]:
    """Return the answers of Daft's `prompt` with its provider for OpenAI."""
    from daft.ai.openai.provider import OpenAIProvider

    provider = OpenAIProvider(base_url=base_url, api_key="test-key")
    return prompted(rows, provider, concurrency=concurrency, max_retries=RETRIES, use_chat_completions=True)


def prompted(rows: Any, provider: Any, **options: Any) -> dict[str, str | None]:
    """Return the answers of Daft's `prompt`."""
    import daft
    from daft.functions.ai import prompt

    answer = prompt(daft.col("prompt"), provider=provider, model="m", on_error="ignore", **options)
    done = rows.with_column("answer", answer).to_pydict()
    return dict(zip(done["prompt"], done["answer"], strict=True))


STAGES: dict[str, tuple[Callable[[int], Any], Callable[[Any, int, str], dict[str, str | None]]]] = {
    "ray-own": (ray_rows, by_rays_own),
    "ray": (ray_rows, by_ray),
    "daft-own": (daft_rows, by_dafts_own),
    "daft": (daft_rows, by_daft),
}


def peak(times: Sequence[float], seconds: float) -> int:
    """Return the most requests at once, each of which is in flight for this time at least."""
    most = first = 0
    for last, begun in enumerate(times):
        while times[first] < begun - seconds:
            first += 1
        most = max(most, last - first + 1)
    return most


def measured(name: str, options: argparse.Namespace) -> str:
    """Run one stage with a simulator of its own, and return its row of the table."""
    start, ask = STAGES[name]
    faults = [KINDS[number // 20 % 3] if number % 20 == 7 else None for number in range(2 * options.rows)]
    begun = time.monotonic()
    with (
        Simulator(echo, pace=Pace(first_delay=options.delay), faults=faults) as simulator,
        tempfile.TemporaryDirectory() as folder,
    ):
        config = Path(folder, "polyglot.toml")
        config.write_text(
            f'[connections.sim]\ndriver = "openai"\nbase_url = "{simulator.base_url}"\nmodel = "m"\nretries = {RETRIES}\n'
        )
        os.environ |= {"POLYGLOT_CONFIG": str(config), "POLYGLOT_SIM_API_KEY": "test-key"}
        rows = start(options.rows)
        started = time.monotonic()
        answers = ask(rows, options.concurrency, simulator.base_url)
        ended = time.monotonic()
        served = [request for request in simulator.requests if faults[request.number - 1] is None]
        times = sorted(request.received_at for request in served)
        sent = len(simulator.requests)
    right = sum(answers.get(f"row {number}") == f"echo row {number}" for number in range(options.rows))
    return f"{name:10}{right:>7}{ended - begun:>9.1f}{ended - started:>9.1f}{sent:>7}{peak(times, options.delay):>7}"


def main() -> None:
    """Run the stages one after the other, and print a row for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stages", nargs="*", choices=[*STAGES, []], help="all by default")
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--delay", type=float, default=0.05)
    parser.add_argument("--here", action="store_true", help="run one stage in this process, and print its row alone")
    options = parser.parse_args()
    if options.here:
        print(measured(options.stages[0], options))
        return
    print(f"{options.rows} rows, concurrency {options.concurrency}, {options.delay:g} s before each response")
    print(f"{'':10}{'right':>7}{'seconds':>9}{'of these':>9}{'sent':>7}{'peak':>7}")
    for name in options.stages or STAGES:
        same = [f"--{key}={getattr(options, key)}" for key in ("rows", "concurrency", "delay")]
        done = subprocess.run(
            [sys.executable, __file__, name, "--here", *same], capture_output=True, text=True, check=False
        )
        lines = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines() or ["nothing was printed"]
        print(lines[-1] if done.returncode == 0 else f"{name:10}{lines[-1]}", flush=True)


if __name__ == "__main__":
    main()
