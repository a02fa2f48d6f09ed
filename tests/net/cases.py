"""Runs the scripts of a folder, each in a process of its own, and records exit code and output."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from .records import Key, Record
from .values import neutral

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["ATTACK", "case_record", "scripts"]

ATTACK = "attack"
"""The folder whose scripts are timing-dependent: only their exit codes are recorded, and only on request."""

SECONDS = 120


def scripts(folder: Path, *, attack: bool = False) -> list[Path]:
    """Return the scripts of a folder: every ``*.py`` whose name does not begin with an underscore."""
    found = sorted(folder.glob("*.py")) + (sorted((folder / ATTACK).glob("*.py")) if attack else [])
    return [path for path in found if not path.name.startswith("_")]


def case_record(script: Path) -> Record:
    """Run a script for at most `SECONDS`; its output is a text, and a script that hangs has no exit code."""
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0"}
    try:
        done = subprocess.run(
            [sys.executable, script.name],
            cwd=script.parent,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            encoding="utf-8",
            errors="replace",
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return _record(script, None, "")
    return _record(script, done.returncode, done.stdout)


def _record(script: Path, exit_code: int | None, output: str) -> Record:
    if script.parent.name == ATTACK:
        return Record(Key("attack", "", script.name), {"exit": exit_code}, [])
    return Record(Key("case", "", script.name), {"exit": exit_code}, [neutral(line) for line in output.splitlines()])
