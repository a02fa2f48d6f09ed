"""What streaming costs, in every dialect: beside httpx alone, with the least decoding, in the same run.

From the checkout's folder, in an environment with all packages::

    python tests/benchmarks/streams.py [SCENARIO …] [--rounds N] [--dialects a,b] [--tls] [--peers] [--write]

The scenarios are ``chunks``, ``first``, ``parts``, ``steps``, ``lateness``, ``length``, ``concurrency``, ``burst`` and ``import``; all by
default. A server in a process of its own sends prepared streams over loopback; the CPU time of the client's process is
counted, all threads of it. Rounds of the clients take turns. A ratio is the median of the rounds' ratios to httpx alone
of the same round. ``--peers`` adds the providers' own clients that are installed. ``--write`` writes the tables into ``docs/performance.md``, and draws the ratios of ``chunks``.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any

from bodies import KINDS, Body, body_of
from clients import FLOOR, TRANSPORTS, Client, clients_for
from measuring import print_facts, take_turns
from page import PAGE, PICTURE, written
from parts import parts, steps
from peers import peers_for
from picture import draw
from processes import burst, concurrency, growth, lateness
from serving import Plan, serving

DIALECTS = (
    *("openai", "openai-responses", "azure-openai", "anthropic", "gemini", "vertex"),
    *("mistral", "cohere", "ollama", "bedrock"),
)
_WAYS = ("burst", "coalesced", "one a read")
_PACED = 2000.0
"""Events a second at which each is read alone: a client is done with one before the next."""

_Row = dict[str, Any]


def chunks(asked: argparse.Namespace) -> Iterator[_Row]:
    """Yield the CPU time of a piece of content, by dialect, kind of content and way of sending."""
    for driver in asked.dialects:
        for kind in KINDS:
            for way in _WAYS if kind == "text" else _WAYS[:1]:
                pieces = asked.pieces // 20 if way == "one a read" else asked.pieces
                body = body_of(driver, kind, pieces)
                if body.pieces < pieces // 2:  # the dialect sends this kind at once
                    continue
                yield from _chunks_of(asked, body, kind, way)


def _chunks_of(asked: argparse.Namespace, body: Body, kind: str, way: str) -> Iterator[_Row]:
    paced = way == "one a read"
    plan = Plan(body.content_type, body.events, "paced" if paced else way, _PACED if paced else 0.0, asked.certificate)
    with serving(plan) as server, asyncio.Runner() as runner:
        clients = clients_for(body, server, asked.ca) + (
            peers_for(body, server, asked.ca) if asked.peers and kind == "text" else []
        )
        works = {client.name: lambda client=client: client.run(runner) for client in clients}
        times = take_turns(works, body.pieces, max(1, asked.rounds // 2) if paced else asked.rounds)
    for client in clients:
        shown = {"dialect": body.driver, "content": kind, "sent": way, "client": client.name}
        yield {**shown, "µs": round(median(times[client.name]), 2), "ratio": _ratio(times, client)}


def _ratio(times: dict[str, list[float]], client: Client) -> float:
    return round(median(own / base for own, base in zip(times[client.name], times[client.base], strict=True)), 2)


def first(asked: argparse.Namespace) -> Iterator[_Row]:
    """Yield the time from the call to its first piece of content, over kept connections."""
    for driver in asked.dialects:
        body = body_of(driver, "text", 1)
        plan = Plan(body.content_type, body.events, certificate=asked.certificate)
        with serving(plan) as server, asyncio.Runner() as runner:
            clients = clients_for(body, server, asked.ca)
            times: dict[str, list[float]] = {client.name: [] for client in clients}
            used = dict.fromkeys(times, 0.0)
            for number in range(asked.rounds * 40):
                for client in clients:
                    begun = process_time()
                    seconds = _to_first(client, runner)
                    if number >= asked.rounds:  # the first requests connect, and import
                        times[client.name].append(seconds * 1e6)
                        used[client.name] += process_time() - begun
        for client in clients:
            own, base = sorted(times[client.name]), sorted(times[client.base])
            shown = {"dialect": driver, "client": client.name, "p50 µs": round(median(own))}
            shown |= {"p99 µs": round(own[len(own) * 99 // 100]), "ratio": round(median(own) / median(base), 2)}
            yield {**shown, "CPU µs": round(used[client.name] / len(own) * 1e6)}


def _to_first(client: Client, runner: asyncio.Runner) -> float:
    """Read one stream. Return the seconds until its first piece: of the floor, its first read."""
    times: list[float] = []

    def take(_: str) -> None:
        if not times:
            times.append(perf_counter())

    begun = perf_counter()
    if client.is_async:
        runner.run(client.read_async(take))  # type: ignore[arg-type]  # a coroutine
    else:
        client.read(take)
    return times[0] - begun


def imports(asked: argparse.Namespace) -> Iterator[_Row]:
    """Yield the time and the memory of an import, beside an interpreter that imports nothing."""
    modules = (
        "",
        "polyglot_core",
        "polyglot_core, polyglot_openai.chat.driver",
        "httpx",
        "openai",
        "anthropic",
        "litellm",
    )
    for module in modules:
        code = f"import {module}" if module else ""
        code += "\nprint(*[line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')])"
        seconds, memory = [], 0
        for _ in range(asked.rounds):
            begun = perf_counter()
            ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
            seconds.append(perf_counter() - begun)
            memory = int(ended.stdout or 0)
        if memory:
            yield {"import": module or "nothing", "ms": round(median(seconds) * 1e3), "MB": round(memory / 1024, 1)}


SCENARIOS = {
    "chunks": chunks,
    "first": first,
    "parts": parts,
    "steps": steps,
    "lateness": lateness,
    "length": growth,
    "concurrency": concurrency,
    "burst": burst,
    "import": imports,
}


def main() -> None:
    """Measure, print, and write."""
    asked = _arguments()
    results: dict[str, list[_Row]] = {}
    with _certificates(asked):
        print_facts(f"{asked.rounds} rounds, {asked.pieces} pieces, {'TLS' if asked.tls else 'plain TCP'}")
        for name in asked.scenario or SCENARIOS:
            print(f"\n{name}: {(SCENARIOS[name].__doc__ or '').removeprefix('Yield the ')}")
            results[name] = []
            for row in SCENARIOS[name](asked):
                _print_row(row, results[name])
    if asked.json:
        asked.json.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", "utf-8")
    if asked.write:
        named = {f"{name} over TLS" if asked.tls else name: rows for name, rows in results.items()}
        PAGE.write_text(written(PAGE.read_text("utf-8"), named), "utf-8")
        if (rows := results.get("chunks")) and not asked.tls:
            PICTURE.write_text(draw(rows, TRANSPORTS, FLOOR), "utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("scenario", nargs="*", choices=[*SCENARIOS, []], help="default: all")
    parser.add_argument("--rounds", type=int, default=5, help="default: %(default)s")
    parser.add_argument("--pieces", type=int, default=10_000, help="pieces of content; default: %(default)s")
    parser.add_argument("--dialects", type=lambda names: tuple(names.split(",")), default=DIALECTS, metavar="A,B")
    parser.add_argument("--streams", type=int, default=1000, help="streams at a time; default: %(default)s")
    parser.add_argument("--tls", action="store_true", help="with a certificate of the run's own")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures")
    parser.add_argument("--peers", action="store_true", help="measure the providers' own clients too, if installed")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name} and its picture")
    return parser.parse_args()


@contextlib.contextmanager
def _certificates(asked: argparse.Namespace) -> Iterator[None]:
    asked.ca = asked.certificate = None
    with tempfile.TemporaryDirectory() as folder:
        if asked.tls:
            import trustme

            authority = trustme.CA()
            asked.ca, asked.certificate = f"{folder}/ca.pem", f"{folder}/server.pem"
            authority.cert_pem.write_to_path(asked.ca)
            authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(asked.certificate)
        yield


def _print_row(row: _Row, before: list[_Row]) -> None:
    width = [max(len(name), 17 if isinstance(value, str) else 9) for name, value in row.items()]
    if not before:
        print("  " + " ".join(f"{name:<{size}}" for name, size in zip(row, width, strict=True)))
    print("  " + " ".join(_cell(value, size) for value, size in zip(row.values(), width, strict=True)), flush=True)
    before.append(row)


def _cell(value: object, size: int) -> str:
    return f"{value:<{size}}" if isinstance(value, str) else f"{value!s:<{size}}"


if __name__ == "__main__":
    main()
