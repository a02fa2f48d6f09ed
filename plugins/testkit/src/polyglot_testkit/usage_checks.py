"""Checks of token counts: read from the wire, never invented, and nothing taken for something else."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Any

import msgspec

from polyglot_core.errors import PolyglotError
from polyglot_core.plugin import Usage, json_access
from polyglot_testkit.check import ExamFailed, expect, nothing_to_check
from polyglot_testkit.hook_calls import payloads_of
from polyglot_testkit.json_paths import Path, leaves, numbers, paths_of, with_value, without
from polyglot_testkit.mutation import payloads
from polyglot_testkit.recording import replay

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from polyglot_testkit.check import Exam
    from polyglot_testkit.recording import Recording

__all__ = ["any_usage_object_is_read", "unknown_counts_stay_unknown", "usage_is_that_of_the_wire"]

_COUNTS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")
_USAGE = re.compile(r"usage", re.IGNORECASE)
_INPUT = re.compile(r"prompt|input", re.IGNORECASE)
_OUTPUT = re.compile(r"output|completion|generated|candidates", re.IGNORECASE)
_MOST_TERMS = 4


def _usage_of(exam: Exam, payload: Any) -> Usage:  # noqa: ANN401 (the provider's object)
    try:
        return exam.driver.extract_usage(payload)
    except PolyglotError as error:
        msg = f"extract_usage cannot read {_short(payload)}: {error}"
        raise ExamFailed(msg) from error


def _short(value: object) -> str:
    return f"{msgspec.json.encode(value).decode():.300}"


def _each_payload(exam: Exam) -> Iterator[tuple[Recording, dict[str, Any]]]:
    """Yield the usage object of each recording that has one."""
    for recording in exam.healthy():
        if payload := _payload(exam, recording):
            yield recording, payload


def _payload(exam: Exam, recording: Recording) -> dict[str, Any]:
    """Return the fields of all usage objects of a recording, of each the last value."""
    return {name: value for payload in payloads_of(exam, recording) for name, value in dict(payload).items()}


def unknown_counts_stay_unknown(exam: Exam) -> bool:
    """Check that a count which the provider does not state is None and not 0."""
    usage = _usage_of(exam, {})
    zeros = [name for name in _COUNTS if getattr(usage, name) is not None]
    why = f"extract_usage reports {', '.join(zeros)} for an object without counts; an unknown count is None"
    expect(not zeros, why)
    for recording, payload in _each_payload(exam):
        whole = _usage_of(exam, payload)
        for path in numbers(payload):
            less = _usage_of(exam, without(payload, path))
            for name in _COUNTS:
                invented = getattr(less, name) == 0 and getattr(whole, name) not in {0, None}
                where = ".".join(map(str, path))
                expect(not invented, f"{recording.name}: without {where}, {name} is 0; an unknown count is None")
    return True


_ODD: tuple[object, ...] = (None, "x", [], {}, 1.5)


def any_usage_object_is_read(exam: Exam) -> bool:
    """Check that a field of the usage object which is null or of another type is no reason to fail a response."""
    _usage_of(exam, {})
    for _, payload in _each_payload(exam):
        for path, _ in paths_of(payload):
            if path:
                for odd in _ODD:
                    _usage_of(exam, with_value(payload, path, odd))
    return True


def usage_is_that_of_the_wire(exam: Exam) -> bool:
    """Check that a usage object of the wire is read, and that its counts are numbers of it, or sums of these."""
    checked = False
    for recording in exam.healthy():
        stated, usage = list(_stated(recording)), replay(exam.driver, recording).response.usage
        if usage is None:
            expect(not stated, f"{recording.name}: the usage in it is not read: {_short(stated[-1:])}")
            continue
        checked = True
        payload = _payload(exam, recording)
        for name in _COUNTS:
            count = getattr(usage, name)
            right = count is None or count in _sums(numbers(payload).values())
            expect(right, f"{recording.name}: {name} is {count}, which is no count of {_short(payload)}, and no sum")
        _named_counts_are_read(recording, usage, stated or [payload])
        expect(bool(usage.raw), f"{recording.name}: raw of the usage is empty; put the provider's object into it")
        _counts_are_in_their_place(exam, recording, payload)
    if not checked:
        nothing_to_check("no recording has token counts")
    return True


def _named_counts_are_read(recording: Recording, usage: Usage, stated: list[Any]) -> None:
    """Fail if the wire names a count of the prompt or of the output, and the usage does not have it."""
    names = {str(path[-1]) for each in stated for path in numbers(each)}
    for field, pattern, other in (("input_tokens", _INPUT, _OUTPUT), ("output_tokens", _OUTPUT, _INPUT)):
        named = [name for name in names if pattern.search(name) and not other.search(name)]
        lost = bool(named) and getattr(usage, field) is None
        expect(not lost, f"{recording.name}: {field} is unknown, and the usage object has {', '.join(sorted(named))}")


def _sums(counts: Any) -> set[int]:  # noqa: ANN401 (whole numbers)
    """Return the numbers and their sums and differences, of a few terms."""
    found = sorted(set(counts), reverse=True)[:12]
    sums = {sum(terms) for size in range(_MOST_TERMS + 1) for terms in itertools.combinations(found, size)}
    return sums | {abs(one - other) for one, other in itertools.combinations(found, 2)} | {2 * each for each in found}


def _counts_are_in_their_place(exam: Exam, recording: Recording, payload: Mapping[str, Any]) -> None:
    """Fail if a count with a name of the prompt is added to the output, or the reverse."""
    before = _usage_of(exam, payload)
    for path, count in numbers(payload).items():
        after = _usage_of(exam, with_value(payload, path, count + _MORE))
        named = str(path[-1])
        for wrong, pattern, other in (("output_tokens", _INPUT, _OUTPUT), ("input_tokens", _OUTPUT, _INPUT)):
            if pattern.search(named) and not other.search(named):
                one, two = getattr(before, wrong), getattr(after, wrong)
                grown = one is not None and two is not None and two - one == _MORE
                expect(not grown, f"{recording.name}: {wrong} counts {_where(path)} of the usage object")


_MORE = 1009


def _where(path: Path) -> str:
    return ".".join(map(str, path))


def _stated(recording: Recording) -> Iterator[object]:
    """Yield the objects of the wire that have counts and a name with "usage" in it."""
    for payload in payloads(recording):
        for path, value in paths_of(json_access.parse(payload, otherwise=None)):
            named = bool(path) and isinstance(path[-1], str) and bool(_USAGE.search(path[-1]))
            if named and isinstance(value, dict) and any(count for _, count in leaves(value) if type(count) is int):
                yield value
