"""Compares results with the expectations of the corpus, by its own ``check.py``."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from polyglot_core import FinishReason, InferenceResponse, Outcome, PolyglotError, Refusal

from .replaying import Answer

_NO_CANDIDATE = "a blocked prompt has no candidate, so the corpus counts none; a response here has one choice at least"
_ALL = "1000000"
_ROW = re.compile(r"^(\S+) +(\S+) +(\d+) of (\d+) ", re.MULTILINE)
_MISMATCH = re.compile(r"^- (\S+) (\S+)\n    (.*)$", re.MULTILINE)
_COUNTS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")

NOT_COMPARED = {
    "gemini-generate": {"choices": _NO_CANDIDATE},
    "vertex": {"choices": _NO_CANDIDATE},
}
"""Fields in which an answer may soundly differ from what is expected, and why: by dialect."""


class Score(NamedTuple):
    """How many exchanges match in every field, of how many."""

    whole: int
    judged: int

    @classmethod
    def sum(cls, scores: Iterable[Score]) -> Score:
        """Return the score of all exchanges of `scores` together."""
        counted = list(scores)
        return cls(sum(score.whole for score in counted), sum(score.judged for score in counted))

    @property
    def share(self) -> float:
        """Return the share of matches, from 0 to 1."""
        return self.whole / self.judged if self.judged else 0.0


class Verdict(NamedTuple):
    """The verdict of ``check.py``.

    Attributes:
        text: All of it.
        scores: Whole matches, by provider.
        mismatches: Path, field and reason of each field that is wrong.
    """

    text: str
    scores: dict[str, Score]
    mismatches: list[tuple[str, str, str]]

    @property
    def total(self) -> Score:
        """Return the score of all providers together."""
        return Score.sum(self.scores.values())


def judge(
    corpus: Path, dialect: str, answers: Mapping[str, Answer], provider: str | None = None, listed: str = _ALL
) -> Verdict:
    """Compare `answers` with the expectations by ``check.py``; `listed` is how many mismatches it lists."""
    options = ["--only", dialect, "--by", "provider", "--list", listed]
    options += [] if provider is None else ["--provider", provider]
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder, "results.jsonl")
        lines = (json.dumps(_compared(dialect, result(path, answer))) for path, answer in answers.items())
        results.write_text("".join(f"{line}\n" for line in lines), "utf-8")
        command = [sys.executable, str(corpus / "check.py"), str(results), str(corpus / "expected.jsonl"), *options]
        done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=60, check=True)
    text = done.stdout
    scores = {provider: Score(int(whole), int(of)) for provider, _, whole, of in _ROW.findall(text)}
    return Verdict(text, scores, [(path, field, why) for field, path, why in _MISMATCH.findall(text)])


def _compared(dialect: str, fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a result that can be compared in `dialect`."""
    return {name: value for name, value in fields.items() if name not in NOT_COMPARED.get(dialect, {})}


def result(path: str, answer: Answer) -> dict[str, Any]:
    """Return a result in the format of ``check.py``."""
    response, error = answer.response, answer.error
    if response is None:
        return {"path": path, "outcome": "crashed", "error": {"message": repr(error)}}
    return {
        "path": path,
        "outcome": "error" if response.outcome is Outcome.FAILED else response.outcome.value,
        "content": response.content,
        "reasoning": response.reasoning_content,
        "refusal": _refusal(response),
        "tool_calls": _calls(response),
        "finish": None if response.finish_reason is FinishReason.UNKNOWN else response.finish_reason,
        "usage": response.usage and {name: getattr(response.usage, name) for name in _COUNTS},
        "error": _error(error),
        "response_id": response.id,
        "response_model": response.model,
        "choices": len(response.choices),
    }


def _refusal(response: InferenceResponse) -> str | None:
    """Return the refusal that the model wrote: the corpus does not count a provider's explanation of one."""
    return "".join(part.text for part in response.message.parts if isinstance(part, Refusal)) or None


def _calls(response: InferenceResponse) -> list[dict[str, Any]]:
    return [
        {"id": call.id, "name": call.name, "arguments": call.arguments, "arguments_raw": call.arguments_raw}
        for call in response.tool_calls
    ]


def _error(error: Exception | None) -> dict[str, Any] | None:
    if not isinstance(error, PolyglotError):
        return None
    return {"type": type(error).__name__, "status": error.status, "code": error.code, "message": error.message}
