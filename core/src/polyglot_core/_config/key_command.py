"""Keys printed by a command, such as that of a password manager."""

from __future__ import annotations

import shlex

from polyglot_core._values.secret import Secret
from polyglot_core._values.suggest import config_error

__all__ = ["key_printed_by"]

_COMMAND_SECONDS = 30.0  # a password manager may prompt its user first


def key_printed_by(command: Secret, name: str) -> Secret:
    """Run a command and return the key that it prints.

    Args:
        command: The command line, split into words as a shell does; no shell runs it.
        name: Name of the connection that needs the key.

    Raises:
        ConfigError: The command cannot be run, fails, takes longer than 30 seconds, or prints nothing.
    """
    found = _run(command, f"The key command of connection {name!r}")
    if isinstance(found, Secret):
        return found
    raise config_error(found, name)


def _run(command: Secret, label: str) -> Secret | str:
    """Return the key, or the error message. Do not raise: the frame holds the key, and a traceback shows frames."""
    import subprocess  # noqa: PLC0415 (slow to import, and few connections need it)

    words: list[str] = []
    try:
        words = shlex.split(command.reveal())
        label = f"{label} ({words[0] if words else 'empty'})"
        done = subprocess.run(  # noqa: S603 (the user's own file names it, and no shell reads it)
            words, capture_output=True, text=True, timeout=_COMMAND_SECONDS, check=True, stdin=subprocess.DEVNULL
        )
    except subprocess.CalledProcessError as error:
        return f"{label} failed with exit status {error.returncode}. Run it by hand to see why."
    except (OSError, ValueError, IndexError, subprocess.TimeoutExpired) as error:
        return f"{label} could not be run: {type(error).__name__}."
    key = done.stdout.strip()
    return Secret(key, f"the command {words[0]}") if key else f"{label} printed nothing."
