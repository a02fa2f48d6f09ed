"""The entry point of the command."""

from __future__ import annotations

import sys

__all__ = ["main"]

_INTERRUPTED = 130


def main() -> None:
    """Run ``polyglot`` with the arguments of this process, and end the process with its exit code."""
    try:
        # Imported here, so that Ctrl-C is handled while modules are still being imported.
        from polyglot_cli import interrupts  # noqa: PLC0415

        with interrupts.repeated():
            from polyglot_cli.commands import polyglot  # noqa: PLC0415 (as above)

            polyglot(prog_name="polyglot")
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
