"""The requirements, and the tests that pin each."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

__all__ = ["REQUIREMENTS", "Requirement"]


@dataclass(frozen=True, kw_only=True)
class Requirement:
    """A requirement.

    Attributes:
        name: ``R`` and its number.
        keeps: What Polyglot keeps of it.
        tests: Tests that pin it, as ``file::name``, or scenarios, as ``row/part``.
        departs: What is not kept, and why.
        left_out: Why it does not concern Polyglot.
    """

    name: str
    keeps: str | None = None
    tests: tuple[str, ...] = ()
    departs: str | None = None
    left_out: str | None = None


def _requirements() -> list[Requirement]:
    listed = tomllib.loads(Path(__file__).with_name("requirements.toml").read_text("utf-8"))
    return [
        Requirement(name=name, **{**fields, "tests": tuple(fields.get("tests", ()))}) for name, fields in listed.items()
    ]


REQUIREMENTS = _requirements()
