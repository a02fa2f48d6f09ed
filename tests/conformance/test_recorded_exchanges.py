"""Recorded exchanges with many providers, replayed over a socket, give the results of an ideal client."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from polyglot_core import PolyglotError
from polyglot_core._drivers import discovery

from .endpoints import DRIVERS, PRESETS, is_spoken
from .replaying import Way

BASELINE = tomllib.loads(Path(__file__).with_name("baseline.toml").read_text("utf-8"))
LEAST_RIGHT = 0.995

SOUND = {
    (
        "github-copilot/openai-responses/copilot-reasoning-roundtrip-streaming-ef57518f.json",
        "response_id",
    ): "each event has another id; the first one is reported, because a caller may have seen it already",
}
"""Differences from what is expected that are right as they are: path and field, and the reason.

Fields that are not compared in a whole dialect are in `judging.NOT_COMPARED`.
"""

STANDARD = Way("sync", "as it came")
IN_PROCESS = Way("in-process", "bytes")
OTHER_WAYS = {
    "openai-chat": [
        Way("async", "as it came"),
        Way("sync", "whole"),
        Way("async", "whole"),
        Way("sync", "bytes"),
        Way("async", "bytes"),
        IN_PROCESS,
    ]
}
"""What else each dialect is asked by: all there is where it takes the least time to say, one in process elsewhere."""


def others():
    """List each dialect with each way but the standard."""
    return [(dialect, way) for dialect in DRIVERS for way in OTHER_WAYS.get(dialect, [IN_PROCESS])]


def every_way():
    """List each dialect with each way."""
    return [*((dialect, STANDARD) for dialect in DRIVERS), *others()]


def test_openai_exchanges_match(answers):
    """Check that every exchange with OpenAI matches."""
    verdict = answers.verdict("openai-chat")
    assert [mismatch for mismatch in verdict.mismatches if mismatch[0].startswith("openai/")] == []
    assert verdict.scores["openai"].whole == verdict.scores["openai"].judged >= 90


@pytest.mark.parametrize("dialect", DRIVERS)
def test_exchanges_of_dialect_match(answers, dialect):
    """Check that at least 99.5 % of the exchanges of each dialect match in every field."""
    verdict = answers.verdict(dialect)
    wrong = {path: (field, why) for path, field, why in verdict.mismatches if (path, field) not in SOUND}
    assert verdict.total.judged == len(answers.exchanges(dialect)) > 0
    assert 1 - len(wrong) / verdict.total.judged >= LEAST_RIGHT, wrong


@pytest.mark.parametrize(
    ("dialect", "provider"), [(dialect, provider) for dialect in BASELINE for provider in BASELINE[dialect]]
)
def test_matches_do_not_fall_below_baseline(answers, dialect, provider):
    """Check that no fewer of a provider's exchanges match than in the baseline."""
    assert answers.verdict(dialect).scores[provider].whole >= BASELINE[dialect][provider]


@pytest.mark.parametrize(("dialect", "way"), every_way(), ids=str)
def test_only_polyglot_errors_are_raised(answers, dialect, way):
    """Check that every recorded exchange gives a response or a `PolyglotError`."""
    errors = {path: answer.error for path, answer in answers.of(dialect, way).items() if answer.error is not None}
    assert {path: error for path, error in errors.items() if not isinstance(error, PolyglotError)} == {}


@pytest.mark.parametrize(("dialect", "way"), every_way(), ids=str)
def test_partials_add_up_to_response(answers, dialect, way):
    """Check that the joined text of all partials is the text of the response, also of failed exchanges."""
    found = answers.of(dialect, way).items()
    assert [path for path, answer in found if answer.response and answer.said != answer.response.content] == []


def differing(one, other):
    """Return the fields in which two results of an exchange differ, with both values."""
    ours, theirs = one.comparable(), other.comparable()
    return {name: (ours[name], theirs[name]) for name in ours if ours[name] != theirs.get(name)}


@pytest.mark.parametrize(("dialect", "way"), others(), ids=str)
def test_result_is_equal_in_every_way(answers, dialect, way):
    """Check that sync, async and every split of a body give the same response and the same error."""
    standard, found = answers.standard(dialect), answers.of(dialect, way)
    differences = {path: differing(answer, standard[path]) for path, answer in found.items()}
    assert {path: fields for path, fields in differences.items() if fields} == {}
    assert len(found) >= min(len(standard), 20)


@pytest.mark.parametrize("dialect", DRIVERS)
def test_pieces_add_up_to_body(answers, dialect):
    """Check that the pieces of a body add up to it, so that a wrong split cannot hide a wrong result."""
    assert [each.path for each in answers.exchanges(dialect) if b"".join(each.pieces()) != each.body] == []


@pytest.mark.parametrize("dialect", DRIVERS)
def test_preset_matches_its_dialect(dialect):
    """Check that the facts of a preset are accepted by its driver."""
    if not is_spoken(dialect):
        pytest.skip(f"the driver {DRIVERS[dialect]!r} is not installed")
    rows = {name: discovery.load_preset(name) for name in PRESETS.get(dialect, {}).values()}
    assert {name: row and row.driver for name, row in rows.items()} == dict.fromkeys(rows, DRIVERS[dialect])
