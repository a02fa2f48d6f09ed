"""Recorded exchanges with many providers, sent again over a socket, give what an ideal client would report."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from polyglot_core import PolyglotError

from .asking import Way

BASELINE = tomllib.loads(Path(__file__).with_name("baseline.toml").read_text("utf-8"))
OTHER_WAYS = [
    Way("async", "as it came"),
    Way("sync", "whole"),
    Way("async", "whole"),
    Way("sync", "bytes"),
    Way("async", "bytes"),
    Way("in-process", "bytes"),
]
WAYS = [Way("sync", "as it came"), *OTHER_WAYS]


def test_every_exchange_with_openai_is_right_in_every_field(answers):
    """What OpenAI sent is read without a single mistake."""
    verdict = answers.verdict()
    assert [mismatch for mismatch in verdict.mismatches if mismatch[0].startswith("openai/")] == []
    assert verdict.scores["openai"].whole == verdict.scores["openai"].judged > 0


@pytest.mark.parametrize("provider", BASELINE)
def test_a_provider_is_read_no_worse_than_before(answers, provider):
    """At least as many of a provider's exchanges are right in every field as when the baseline was measured."""
    assert answers.verdict().scores[provider].whole >= BASELINE[provider]


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_nothing_but_our_own_errors_gets_out(answers, way):
    """No recorded answer, of whatever provider, makes anything come out but a response or a `PolyglotError`."""
    errors = {path: answer.error for path, answer in answers.of(way).items() if answer.error is not None}
    assert {path: error for path, error in errors.items() if not isinstance(error, PolyglotError)} == {}


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_partials_add_up_to_the_response(answers, way):
    """The new text of all partials, joined, is the text of the response, also where the exchange failed."""
    found = answers.of(way).items()
    assert [path for path, answer in found if answer.response and answer.said != answer.response.content] == []


def differing(one, other):
    """The fields that two answers to the same exchange do not agree in, with both values."""
    ours, theirs = one.comparable(), other.comparable()
    return {name: (ours[name], theirs[name]) for name in ours if ours[name] != theirs.get(name)}


@pytest.mark.parametrize("way", OTHER_WAYS, ids=str)
def test_no_answer_depends_on_the_way_it_is_asked_for(answers, way):
    """Sync and async, and bodies cut anywhere, give the same response and the same error for the same exchange."""
    standard, found = answers.standard, answers.of(way)
    differences = {path: differing(answer, standard[path]) for path, answer in found.items()}
    assert {path: fields for path, fields in differences.items() if fields} == {}
    assert len(found) >= min(len(standard), 20)


def test_every_body_is_sent_in_full(answers):
    """The pieces in which a body is sent are the body, so that a wrong cut cannot make a wrong result look right."""
    assert [each.path for each in answers.exchanges if b"".join(each.pieces()) != each.body] == []
