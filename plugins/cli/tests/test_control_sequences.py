"""A model's text cannot steer the terminal that it is shown on."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from polyglot_cli.control_sequences import Cleaner, clean, one_line

STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
PARTS = [
    "\x1b",
    "[",
    "]",
    "52;",
    "P",
    "\\",
    "\x07",
    "\x9b",
    "\x9c",
    "\x9d",
    "\x90",
    "\x18",
    "31m",
    "(",
    "B",
    "\u202e",
    "\n",
]

patiently = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
NOT_SHOWN = ("Cs", "Cf", "Cn", "Zl", "Zp", "Mn")  # categories with invisible characters
plain = st.text(
    st.characters(exclude_categories=NOT_SHOWN, exclude_characters="\u115f\u1160\u2800\u3164\uffa0").filter(
        lambda character: not STEERING.match(character)
    )
)
hostile = st.lists(st.sampled_from(PARTS) | st.text(max_size=3), max_size=30).map("".join)
csi = st.from_regex(r"(\x1b\[|\x9b)[0-?]{0,6}[ -/]{0,2}[@-~]", fullmatch=True)
osc = st.from_regex(r"(\x1b\]|\x9d)[ -~]{0,12}(\x07|\x1b\\|\x9c)", fullmatch=True)
string = st.from_regex(r"(\x1b[PX^_]|[\x90\x98\x9e\x9f])[\n -~]{0,12}(\x1b\\|\x9c)", fullmatch=True)
short = st.from_regex(r"\x1b[ -/]{0,2}[0-?`-~]", fullmatch=True)


def cleaned(pieces):
    cleaner = Cleaner()
    return "".join([*map(cleaner.feed, pieces), cleaner.finish()])


@patiently
@given(hostile | st.text(), st.lists(st.integers(0, 60)))
def test_result_does_not_depend_on_the_cuts(text, cuts):
    """However a text is cut into pieces, its cleaned form is the same."""
    borders = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    pieces = [text[start:stop] for start, stop in itertools.pairwise(borders)]
    assert cleaned(pieces) == clean(text) == cleaned(text)


@patiently
@given(hostile | st.text())
def test_control_characters_are_removed(text):
    """No control character but tab and newline is left, and none that turns the direction of writing."""
    assert not STEERING.search(clean(text))


@patiently
@given(plain)
def test_a_text_that_steers_nothing_stays_as_it_is(text):
    """Letters, signs, tabs and newlines of every script pass untouched."""
    assert clean(text) == text


@patiently
@given(st.lists(st.tuples(plain, csi | osc | string | short)))
def test_a_sequence_goes_with_all_that_belongs_to_it(parts):
    """Of a text with well-formed sequences in it the text stays, and of the sequences not a character."""
    assert clean("".join(text + sequence for text, sequence in parts)) == "".join(text for text, _ in parts)


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        (["a\x1b", "]52;", "c;aGVsbG8=\x07b"], "ab"),
        (["a\x1b[3", "1mred\x1b", "[0mb"], "aredb"),
        (["a\x9d0;title", "\x1b", "\\b"], "ab"),
        (["a\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\b"], "alinkb"),
        (["a\x1b]0;x\x1b[31mb"], "ab"),
        (["a\x1b[31\x18b"], "ab"),
        (["a\x1b[3\u00e9b"], "a\u00e9b"),
        (["a\x1b\x1b[1mb"], "ab"),
        (["one\r\ntwo\tthree\bfour\x7f"], "one\ntwo\tthreefour"),
    ],
)
def test_a_sequence_may_be_cut_anywhere(pieces, expected):
    """A sequence that is split across pieces, or cancelled by another one, is removed."""
    assert cleaned(pieces) == expected


def test_a_change_of_direction_is_shown():
    """What would turn the text around is written out, so that it can be seen and does nothing."""
    assert clean("safe\u202egnp.exe\u2066 \u200f\u061c") == "safe<U+202E>gnp.exe<U+2066> <U+200F><U+061C>"


INVISIBLE = {
    "zero-width space": "\u200b",
    "word joiner": "\u2060",
    "byte order mark": "\ufeff",
    "soft hyphen": "\u00ad",
    "invisible times": "\u2062",
    "Hangul filler": "\u3164",
    "half-width filler": "\uffa0",
    "choseong filler": "\u115f",
    "blank of Braille": "\u2800",
    "grapheme joiner": "\u034f",
    "vowel separator": "\u180e",
    "annotation": "\ufff9",
    "line separator": "\u2028",
    "tag": "\U000e0041",
    "variation selector": "\U000e0101",
    "first variation selector": "\ufe00",
    "musical": "\U0001d173",
    "half of a pair": "\ud800",
}


@pytest.mark.parametrize("character", INVISIBLE.values(), ids=INVISIBLE)
def test_an_invisible_character_is_shown(character):
    """What shows nothing is written out, be it alone, in a word, or in a string sequence that does not end."""
    number = f"<U+{ord(character):04X}>"
    assert clean(character) == number
    assert clean(f"pass{character}word") == f"pass{number}word"
    assert clean(f"\x1b]0;a{character}b") == f"0;a{number}b"
    cleaner = Cleaner()
    assert "".join(map(cleaner.feed, ("pass", character, "word"))) == f"pass{number}word"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\u2764\ufe0f", "\u2764\ufe0f"),
        ("1\ufe0f\u20e3", "1\ufe0f\u20e3"),
        ("\U0001f469\u200d\U0001f680", "\U0001f469\u200d\U0001f680"),
        ("\U0001f3f3\ufe0f\u200d\U0001f308", "\U0001f3f3\ufe0f\u200d\U0001f308"),
        ("\u0645\u06cc\u200c\u0631\u0648\u0645", "\u0645\u06cc\u200c\u0631\u0648\u0645"),
        ("a\u200db", "a<U+200D>b"),
        ("\u200c", "<U+200C>"),
        ("a\ufe0f", "a<U+FE0F>"),
        ("\u2764\ufe0f\ufe0f\ufe0e", "\u2764\ufe0f<U+FE0F><U+FE0E>"),
        ("\u2764\u200d\u200d\u200c", "\u2764\u200d<U+200D><U+200C>"),
    ],
)
def test_joiners_are_kept_where_they_join(text, expected):
    """A joiner stays in an emoji and in a script that needs it, in one piece or several; elsewhere it is shown."""
    assert clean(text) == expected
    cleaner = Cleaner()
    assert "".join(map(cleaner.feed, text)) == expected


def test_unterminated_string_does_not_swallow_the_text():
    """The content of an unterminated string sequence is returned at the end, cleaned."""
    cleaner = Cleaner()
    assert cleaner.feed("before \x1b]0;and \x9ball\u202e the rest\n") == "before "
    assert cleaner.finish() == "0;and all<U+202E> the rest\n"
    assert cleaner.feed("anew\x1b]0;x") == "anew"
    assert cleaner.finish() == "0;x"


def test_a_line_is_one_line():
    """A message is folded into one line."""
    assert one_line("first\n\tsecond \x1b[2J third\n") == "first second third"
