"""The exam for drivers, which every driver owes its users; and recordings: to record, to replay, and as a cache."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from polyglot_testkit.cache import cached
    from polyglot_testkit.check import ExamFailed
    from polyglot_testkit.embeddings import Embedded, check_embeddings, embed_texts
    from polyglot_testkit.exam import CHECKS, Check, ExamWarning, Report, Result, check_driver
    from polyglot_testkit.exchanges import Exchange, RecordingError
    from polyglot_testkit.harness import Decoded, DriverHarness
    from polyglot_testkit.model_lists import Listed, list_models
    from polyglot_testkit.preset_exam import PRESET_CHECKS, check_preset
    from polyglot_testkit.pytest_form import exam_tests, preset_tests
    from polyglot_testkit.recorder import Recorder, recorded
    from polyglot_testkit.recording import Recording, recordings, replay
    from polyglot_testkit.replaying import Replay, ReplayMismatch
    from polyglot_testkit.sources import exchanges_in

__all__ = [
    "CHECKS",
    "PRESET_CHECKS",
    "Check",
    "Decoded",
    "DriverHarness",
    "Embedded",
    "ExamFailed",
    "ExamWarning",
    "Exchange",
    "Listed",
    "Recorder",
    "Recording",
    "RecordingError",
    "Replay",
    "ReplayMismatch",
    "Report",
    "Result",
    "cached",
    "check_driver",
    "check_embeddings",
    "check_preset",
    "embed_texts",
    "exam_tests",
    "exchanges_in",
    "list_models",
    "preset_tests",
    "recorded",
    "recordings",
    "replay",
]

_MODULES = {
    "ExamFailed": "check",
    "cached": "cache",
    "exchanges_in": "sources",
    **dict.fromkeys(("CHECKS", "Check", "ExamWarning", "Report", "Result", "check_driver"), "exam"),
    **dict.fromkeys(("Embedded", "check_embeddings", "embed_texts"), "embeddings"),
    **dict.fromkeys(("Decoded", "DriverHarness"), "harness"),
    **dict.fromkeys(("Exchange", "RecordingError"), "exchanges"),
    **dict.fromkeys(("Listed", "list_models"), "model_lists"),
    **dict.fromkeys(("PRESET_CHECKS", "check_preset"), "preset_exam"),
    **dict.fromkeys(("exam_tests", "preset_tests"), "pytest_form"),
    **dict.fromkeys(("Recorder", "recorded"), "recorder"),
    **dict.fromkeys(("Recording", "recordings", "replay"), "recording"),
    **dict.fromkeys(("Replay", "ReplayMismatch"), "replaying"),
}
"""Module of each public name. It is imported when the name is used, so that the help of the commands needs none."""


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, *(name for name in globals() if name.startswith("__"))]
