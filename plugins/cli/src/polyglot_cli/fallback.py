"""The simulator that replaces a connection: if it is chosen, or if none is configured."""

from __future__ import annotations

import json
import os
import textwrap
from typing import TYPE_CHECKING

from polyglot_cli.output import write_line
from polyglot_core import connections

if TYPE_CHECKING:
    from polyglot_simulator import RecordedRequest, Simulator

__all__ = ["SIMULATOR", "is_simulator", "simulator"]

SIMULATOR = "simulator"
"""Name of the connection to the simulator on this machine, unless the configuration has one of this name."""

_REPLY = """\
Hello! I am the simulator, which replaces a model until you choose one. \
You wrote “{prompt}”, which I cannot respond to, but this is how a response is received: word by word.
"""
_PACE = 40.0  # tokens per second: about the speed of reading
_ECHOED = 200  # characters of the prompt; a long one would be echoed for minutes


def is_simulator(name: str | None, config: str | None) -> bool:
    """Return whether a name that the user has chosen stands for the simulator."""
    return name == SIMULATOR and all(info.name != SIMULATOR for info in connections(config))


def simulator(config: str | None, variables: tuple[str, ...], *, chosen: bool = False) -> Simulator:
    """Return a simulator that quotes the prompt, or sends what fits a schema; and print a notice on standard error.

    Args:
        config: The file that ``--config`` names.
        variables: Environment variables with keys, each of which would make a default connection.
        chosen: Whether the user has chosen the simulator, so that no notice is needed.
    """
    if not chosen:
        _print_notice(config, variables)
    from polyglot_simulator import Pace, Simulator  # noqa: PLC0415 (rarely needed)

    os.environ["no_proxy"] = "*"  # this process sends requests to itself only
    return Simulator(_reply, pace=Pace(tokens_per_second=_PACE))


def _reply(request: RecordedRequest) -> str:
    from polyglot_cli.simulated_replies import prompt_of, sample_for, schema_of  # noqa: PLC0415 (as above)

    if (schema := schema_of(request.body)) is not None:
        return json.dumps(sample_for(schema))
    return _REPLY.format(prompt=textwrap.shorten(prompt_of(request.body), _ECHOED, placeholder=" …"))


def _print_notice(config: str | None, variables: tuple[str, ...]) -> None:
    configured = [info.name for info in connections(config) if info.source == "file"]
    if configured:
        names = ", ".join(configured)
        write_line(f"No connection is chosen, so a simulator on this machine replies; choose one with -c: {names}.")
    else:
        ways = [*(f"set {variable}" for variable in variables), "see `polyglot connections`"]
        write_line(f"No connection is configured, so a simulator on this machine replies; {' or '.join(ways)}.")
