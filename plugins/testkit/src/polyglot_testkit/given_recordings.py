"""Recordings for the exam from a folder of files, or from a Python module."""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from polyglot_testkit.check import ExamArguments
from polyglot_testkit.recording import Recording

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

__all__ = ["Given", "given_recordings"]

_STREAMS = {".sse", ".ndjson"}
_ERROR = 400


class Given(NamedTuple):
    """What a folder or a module gives for the exam.

    Attributes:
        recordings: The recordings.
        arguments: Further arguments of `check_driver`, by name.
    """

    recordings: tuple[Recording, ...]
    arguments: ExamArguments


def given_recordings(source: str) -> Given:
    """Return the recordings of a folder, a Python file, or a module.

    In a folder, ``NAME.sse`` and ``NAME.ndjson`` are streams, ``NAME.json`` is a plain response; two of one name are
    the same response. ``NAME.STATUS.json`` is an error with that status, ``NAME.sent.json`` the body that was sent for
    the stream, ``NAME.expect.json`` what is expected of the responses of that name, and ``models.1.json`` and so on are
    the pages of the list of models.

    A module has ``RECORDINGS``, and may have ``CONNECTION``, ``REQUESTS``, ``SWITCH``, ``LEFT_OUT`` and ``MODELS``, the
    arguments of `check_driver`.

    Raises:
        ValueError: There are no recordings there.
        ImportError: The module cannot be imported.
    """
    path = Path(source)
    if path.is_dir():
        return _of_folder(path)
    module = _of_file(path) if path.suffix == ".py" else importlib.import_module(source)
    recordings = getattr(module, "RECORDINGS", None)
    if recordings is None:
        msg = f"{source} has no RECORDINGS, the list of recordings."
        raise ValueError(msg)
    names = ExamArguments.__optional_keys__
    found: Any = {name: getattr(module, name.upper()) for name in names if hasattr(module, name.upper())}
    return Given(tuple(recordings), found)


def _of_file(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.exists():
        msg = f"There is no Python file {path}."
        raise ValueError(msg)
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(path.stem, module)
    spec.loader.exec_module(module)
    return module


def _of_folder(folder: Path) -> Given:
    files = sorted(file for file in folder.iterdir() if file.is_file())
    named = {file.name: file for file in files}
    recordings = [
        _recording(file, named)
        for file in files
        if file.suffix in {*_STREAMS, ".json"} and _kind(file) in {"", "status"}
    ]
    pages = [file.read_bytes() for file in files if _kind(file) == "models"]
    if not recordings:
        msg = f"The folder {folder} has no recordings: files named NAME.sse, NAME.ndjson or NAME.json."
        raise ValueError(msg)
    return Given(tuple(recordings), {"models": pages} if pages else {})


def _kind(file: Path) -> str:
    """Return what a file is beside a response: ``sent``, ``expect``, ``models``, ``status``, or nothing."""
    stem, _, last = file.stem.rpartition(".")
    if last.isdecimal():
        return "models" if stem == "models" else "status"
    return last if stem and last in {"sent", "expect"} else ""


def _recording(file: Path, named: Mapping[str, Path]) -> Recording:
    streamed, kind = file.suffix in _STREAMS, _kind(file)
    name = file.stem.rpartition(".")[0] if kind else file.stem
    status = int(file.stem.rpartition(".")[2]) if kind else 200
    plain, sent, expected = f"{name}.json", f"{name}.sent.json", f"{name}.expect.json"
    return Recording(
        name=file.name,
        body=file.read_bytes(),
        streamed=streamed,
        status=status,
        fails=status >= _ERROR,
        same_as=plain if streamed and plain in named else None,
        sent=json.loads(named[sent].read_bytes()) if streamed and sent in named else None,
        expect=json.loads(named[expected].read_bytes()) if expected in named else {},
    )
