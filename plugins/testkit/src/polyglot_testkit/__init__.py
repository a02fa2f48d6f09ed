"""The exam for drivers: what every driver owes its users, checked against recordings of its own provider."""

from __future__ import annotations

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
