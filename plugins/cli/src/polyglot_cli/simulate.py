"""``polyglot simulate``: a provider on this machine, until Ctrl-C."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from polyglot_cli.control_sequences import one_line
from polyglot_cli.output import Output
from polyglot_cli.script import Script, read_script
from polyglot_core import ConfigError
from polyglot_simulator import Pace, Simulator

if TYPE_CHECKING:
    from polyglot_simulator import RecordedRequest

__all__ = ["run"]

_LOOK = 0.5  # seconds; how often a wait for a request is interrupted to check for Ctrl-C
_KEPT = 1000  # requests; the command may run for days

_GREETING = """\
The simulator listens at {base_url} until Ctrl-C.

To use it as `polyglot stream -c simulator`, add this to the configuration:

[connections.simulator]
driver = "openai"
base_url = "{base_url}"
model = "simulator"
"""


def run(port: int, reply: str | None, pace: float | None, script: str | None) -> None:
    """Respond to requests and list them, until interrupted.

    Args:
        port: Port on this machine; 0 takes a free one.
        reply: Text of the response.
        pace: Tokens per second; overrides the pace of the script.
        script: Path of a script.

    Raises:
        ConfigError: The script is invalid, or the port is in use.
        KeyboardInterrupt: It was interrupted.
    """
    plan = Script() if script is None else read_script(script)
    if reply is not None:
        plan = Script(replies=(reply,))
    if pace is not None:
        plan = plan.with_pace(Pace(tokens_per_second=pace))
    with contextlib.closing(_started(_simulator(plan, port), port)) as simulator:
        output = Output()
        output.write(_GREETING.format(base_url=simulator.base_url) + "\n")
        _watch(simulator, output)


def _simulator(plan: Script, port: int) -> Simulator:
    given: dict[str, Any] = {
        "fault": plan.always or None,
        "faults": plan.faults or None,
        "pace": plan.pace,
        "port": port,
        "keep": _KEPT,
    }
    return Simulator(list(plan.replies), **given) if plan.replies else Simulator(**given)


def _started(simulator: Simulator, port: int) -> Simulator:
    try:
        return simulator.start()
    except OSError as error:
        raise ConfigError(f"Port {port} cannot be used: {error.strerror}. Choose another one with --port.") from error


def _watch(simulator: Simulator, output: Output) -> None:
    number = 1
    while True:
        try:
            request = simulator.wait_for_request(number, _LOOK)
        except TimeoutError:
            continue
        except LookupError:  # so many arrived at once that this one is no longer kept
            number += 1
        else:
            output.write(_described(request) + "\n")
            number += 1


def _described(request: RecordedRequest) -> str:
    """Return a request as one line, without prompts or keys."""
    line = f"{request.number}: {request.method} {request.path}"
    if isinstance(request.body, dict):
        kind = "stream" if request.body.get("stream") else "plain"
        line += f", model {request.body.get('model')}, {kind}"
    return one_line(line)
