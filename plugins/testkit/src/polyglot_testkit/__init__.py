"""The exam for drivers: what every driver owes its users, checked against recordings of its own provider."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from polyglot_testkit.check import ExamFailed
    from polyglot_testkit.embeddings import Embedded, check_embeddings, embed_texts
    from polyglot_testkit.exam import CHECKS, Report, check_driver
    from polyglot_testkit.harness import Decoded, DriverHarness
    from polyglot_testkit.model_lists import Listed, list_models
    from polyglot_testkit.recording import Recording, replay

__all__ = [
    "CHECKS",
    "Decoded",
    "DriverHarness",
    "Embedded",
    "ExamFailed",
    "Listed",
    "Recording",
    "Report",
    "check_driver",
    "check_embeddings",
    "embed_texts",
    "list_models",
    "replay",
]

_MODULES = {
    "ExamFailed": "check",
    **dict.fromkeys(("Embedded", "check_embeddings", "embed_texts"), "embeddings"),
    **dict.fromkeys(("CHECKS", "Report", "check_driver"), "exam"),
    **dict.fromkeys(("Decoded", "DriverHarness"), "harness"),
    **dict.fromkeys(("Listed", "list_models"), "model_lists"),
    **dict.fromkeys(("Recording", "replay"), "recording"),
}
"""Module of each public name. It is imported when the name is used, so that the help of the commands needs none."""


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, *(name for name in globals() if name.startswith("__"))]
