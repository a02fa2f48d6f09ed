"""Generate the tables of the exam: its checks, those of presets, the features of recordings, and their fields."""

from __future__ import annotations

from draw_reference import draw_fields

from polyglot_testkit import CHECKS, PRESET_CHECKS, Recording
from polyglot_testkit.coverage import FEATURES

__all__ = ["draw_checks", "draw_features", "draw_preset_checks", "draw_recording"]


def draw_checks() -> str:
    """Return the table of the checks of a driver."""
    rows = [f"| {name} | {_about(check.about)} | {check.since} |" for name, check in CHECKS.items()]
    return "\n".join(["| check | what it does | since |", "|---|---|---|", *rows])


def draw_preset_checks() -> str:
    """Return the table of the checks of a preset."""
    rows = [f"| {name} | {_about(check.about)} |" for name, check in PRESET_CHECKS.items()]
    return "\n".join(["| check | what it does |", "|---|---|", *rows])


def draw_features() -> str:
    """Return the table of the features that recordings may have."""
    return "\n".join(["| feature | which recording has it |", "|---|---|", *_pairs()])


def draw_recording() -> str:
    """Return the table of the fields of a recording."""
    return draw_fields(Recording)


def _pairs() -> list[str]:
    return [f"| {name} | {how} |" for name, how in FEATURES.items()]


def _about(sentence: str) -> str:
    """Return what a check does, without the verb that begins every docstring of a check."""
    text = sentence.removeprefix("Check that ").removeprefix("Check ").rstrip(".")
    text = text.replace(", and that ", ", and ").replace(", that ", ", ")
    return (text[:1].upper() + text[1:]).replace("``", "`").replace("|", "\\|")
