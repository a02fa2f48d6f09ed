"""Who answers where no connection is configured: a simulator in this process."""

from __future__ import annotations

import os
import textwrap

from polyglot_cli.output import say
from polyglot_core import connections
from polyglot_simulator import Pace, Simulator

__all__ = ["simulator"]

_REPLY = """\
Hello! I am the simulator, which stands in for a model until you choose one. \
You wrote “{prompt}”, about which I cannot think, but this is how an answer comes in: word by word.
"""
_PACE = 40.0  # tokens a second: as fast as one reads along
_ECHOED = 200  # characters of the prompt; a long one would be spoken for minutes


def simulator(prompt: str, config: str | None, variables: tuple[str, ...]) -> Simulator:
    """A simulator that answers `prompt`, after saying on standard error that it does.

    Args:
        prompt: What was asked.
        config: What ``--config`` names.
        variables: Environment variables, each with the key that would make a default.
    """
    configured = [info.name for info in connections(config) if info.source == "file"]
    if configured:
        names = ", ".join(configured)
        say(f"No connection is chosen, so a simulator on this machine answers; choose one with -c: {names}.")
    else:
        ways = [*(f"set {variable}" for variable in variables), "see `polyglot connections`"]
        say(f"No connection is configured, so a simulator on this machine answers; {' or '.join(ways)}.")
    os.environ["no_proxy"] = "*"  # the only host that this process asks is itself
    echoed = textwrap.shorten(prompt, _ECHOED, placeholder=" …")
    return Simulator(_REPLY.format(prompt=echoed), pace=Pace(tokens_per_second=_PACE))
