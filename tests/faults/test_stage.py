"""The stage detects every kind of difference from a promise."""

from __future__ import annotations

import logging

import pytest

from polyglot_core import TransportError, Truncated
from polyglot_simulator import Cut, Reset, Stall

from .playing import answers, simulated, told
from .stage import KEY, STYLES, Ends, differences

CUT = Ends(error=Truncated, content="One two")
WRONG = {
    "another error": (Ends(error=TransportError, content="One two"), "error: 'Truncated' instead of 'TransportError'"),
    "no error": (answers(), "error: 'Truncated' instead of 'none'"),
    "other content": (Ends(error=Truncated, content="One"), "content: 'One two' instead of 'One'"),
    "more requests": (Ends(error=Truncated, content="One two", requests=2), "requests: 1 instead of 2"),
    "another fact": (Ends(error=Truncated, content="One two", facts={"attempts": 9}), "attempts: 1 instead of 9"),
    "other words": (Ends(error=Truncated, content="One two", says=("fish",)), "it does not say 'fish'"),
    "too slow": (Ends(error=Truncated, content="One two", within=0.0), "it took"),
    "left open": (Ends(error=Truncated, content="One two", closed=True), "the socket was still open"),
}


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize(("ends", "said"), WRONG.values(), ids=WRONG)
def test_broken_promise_is_reported(ends, said, style):
    """Check that each part of a promise is compared, and that a difference has both values."""
    assert said in differences(simulated(0, "", "", ends, Cut(after_events=3)), style)
    assert differences(simulated(0, "", "", CUT, Cut(after_events=3)), style) == ""


@pytest.mark.parametrize("style", STYLES)
def test_missing_error_is_reported(style):
    """Report a call that succeeds although an error is promised."""
    assert "error: 'none' instead of 'Truncated'" in differences(simulated(0, "", "", CUT), style)


@pytest.mark.parametrize("style", STYLES)
def test_exposed_key_is_reported(style):
    """Find a key in an error, in a partial's text and in a log of any level."""

    @told(0, "", "")
    def logged(stage):
        stage.keeps(answers(), stage.call(stage.connection(stage.simulate())))
        logging.getLogger("of.somebody").debug("sent %s", {"authorization": KEY})

    assert "texts of the log that hold the key" in differences(logged, style)
    shown = simulated(0, "", "", answers(f"It is {KEY}"), reply=f"It is {KEY}")
    assert "places that show the key" in differences(shown, style)
    cut = simulated(0, "", "", Ends(error=TransportError, content=KEY), Reset(after_events=-3), reply=KEY)
    assert "places that show the key" in differences(cut, style)


@pytest.mark.parametrize("style", STYLES)
def test_foreign_exception_is_reported(style):
    """Report an exception that is not a `PolyglotError`."""

    @told(0, "", "")
    def raising(stage):
        call = stage.call(stage.connection(stage.simulate(fault=Stall(after_events=3))))
        call.pending.stream().on_partial(lambda _: 1 / 0)
        stage.keeps(answers(), call)

    assert differences(raising, style).startswith("ZeroDivisionError got out")
