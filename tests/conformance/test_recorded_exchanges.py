"""Recorded exchanges with many providers, sent again over a socket, give what an ideal client would report."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from polyglot_core import PolyglotError
from polyglot_core._drivers import discovery

from .asking import Way
from .places import DRIVERS, PRESETS, is_spoken

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
    """Each dialect with each way but the standard."""
    return [(dialect, way) for dialect in DRIVERS for way in OTHER_WAYS.get(dialect, [IN_PROCESS])]


def every_way():
    """Each dialect with each way."""
    return [*((dialect, STANDARD) for dialect in DRIVERS), *others()]


def test_every_exchange_with_openai_is_right_in_every_field(answers):
    """What OpenAI sent is read without a single mistake."""
    verdict = answers.verdict("openai-chat")
    assert [mismatch for mismatch in verdict.mismatches if mismatch[0].startswith("openai/")] == []
    assert verdict.scores["openai"].whole == verdict.scores["openai"].judged >= 90


@pytest.mark.parametrize("dialect", DRIVERS)
def test_nearly_every_exchange_of_a_dialect_is_right_in_every_field(answers, dialect):
    """Of a thousand exchanges, at least 995 are read without a single mistake, in each dialect."""
    verdict = answers.verdict(dialect)
    wrong = {path: (field, why) for path, field, why in verdict.mismatches if (path, field) not in SOUND}
    assert verdict.total.judged == len(answers.exchanges(dialect)) > 0
    assert 1 - len(wrong) / verdict.total.judged >= LEAST_RIGHT, wrong


@pytest.mark.parametrize(
    ("dialect", "provider"), [(dialect, provider) for dialect in BASELINE for provider in BASELINE[dialect]]
)
def test_a_provider_is_read_no_worse_than_before(answers, dialect, provider):
    """At least as many of a provider's exchanges are right in every field as when the baseline was measured."""
    assert answers.verdict(dialect).scores[provider].whole >= BASELINE[dialect][provider]


@pytest.mark.parametrize(("dialect", "way"), every_way(), ids=str)
def test_nothing_but_our_own_errors_gets_out(answers, dialect, way):
    """No recorded answer, of whatever provider, makes anything come out but a response or a `PolyglotError`."""
    errors = {path: answer.error for path, answer in answers.of(dialect, way).items() if answer.error is not None}
    assert {path: error for path, error in errors.items() if not isinstance(error, PolyglotError)} == {}


@pytest.mark.parametrize(("dialect", "way"), every_way(), ids=str)
def test_partials_add_up_to_the_response(answers, dialect, way):
    """The new text of all partials, joined, is the text of the response, also where the exchange failed."""
    found = answers.of(dialect, way).items()
    assert [path for path, answer in found if answer.response and answer.said != answer.response.content] == []


def differing(one, other):
    """The fields that two answers to the same exchange do not agree in, with both values."""
    ours, theirs = one.comparable(), other.comparable()
    return {name: (ours[name], theirs[name]) for name in ours if ours[name] != theirs.get(name)}


@pytest.mark.parametrize(("dialect", "way"), others(), ids=str)
def test_no_answer_depends_on_the_way_it_is_asked_for(answers, dialect, way):
    """Sync and async, and bodies cut anywhere, give the same response and the same error for the same exchange."""
    standard, found = answers.standard(dialect), answers.of(dialect, way)
    differences = {path: differing(answer, standard[path]) for path, answer in found.items()}
    assert {path: fields for path, fields in differences.items() if fields} == {}
    assert len(found) >= min(len(standard), 20)


@pytest.mark.parametrize("dialect", DRIVERS)
def test_every_body_is_sent_in_full(answers, dialect):
    """The pieces in which a body is sent are the body, so that a wrong cut cannot make a wrong result look right."""
    assert [each.path for each in answers.exchanges(dialect) if b"".join(each.pieces()) != each.body] == []


@pytest.mark.parametrize("dialect", DRIVERS)
def test_every_preset_speaks_the_dialect_it_is_named_for(dialect):
    """The facts of a preset are read by the driver that they were written for."""
    if not is_spoken(dialect):
        pytest.skip(f"the driver {DRIVERS[dialect]!r} is not installed")
    rows = {name: discovery.load_preset(name) for name in PRESETS.get(dialect, {}).values()}
    assert {name: row and row.driver for name, row in rows.items()} == dict.fromkeys(rows, DRIVERS[dialect])
