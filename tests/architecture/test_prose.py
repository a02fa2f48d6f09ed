"""Prose is read by kind, words are counted by family, and limits that are not kept are listed."""

from __future__ import annotations

import pytest

from .passages import Passage, comment_text, doc_passages, python_passages
from .prose import beyond_limits, prose_table
from .sampling import DRAWN, sample, shown
from .words import VERBS, hits, opens_with_verb, per_thousand, word_count

MODULE = '''"""Of the module."""

LIMIT = 3  # noqa: X100 (why it is allowed)
"""Of the constant."""
HINTS = {"dns": "The name does not resolve; check it.", "pattern": r"^one two (?:three|four) five$"}

# fmt: off
# Alone.


class Reader:
    """Of the class."""

    def read(self, n):
        """Read up to `n` bytes."""
        if n < 0:
            raise ValueError(f"Cannot read {self.answer} bytes.", "code")
        msg = "Two words"
        try:
            return 1  # behind
        except OSError as error:
            error.add_note("A note.")
            raise Malformed("Not readable.") from error

    async def close(self):
        def inner():
            """Of an inner function."""
'''


def read(kind):
    """Return owner, line and text of the passages of a kind in `MODULE`."""
    return [(each.owner, each.line, each.text) for each in python_passages(MODULE, "a.py") if each.kind == kind]


def test_comments_are_read_without_pragmas():
    """A comment of a tool is left out, and the reason behind it is kept."""
    assert read("comments") == [("", 3, "(why it is allowed)"), ("", 8, "Alone."), ("Reader.read", 20, "behind")]
    assert comment_text("# type: ignore[attr-defined]  # refused below") == "refused below"


def test_docstrings_are_read_with_what_they_are_of():
    """Modules, classes, functions and constants have docstrings, and an inner function too."""
    found = [each for each in python_passages(MODULE, "a.py") if each.kind == "docstrings"]
    assert [(each.of, each.owner, each.text) for each in sorted(found, key=lambda each: each.line)] == [
        ("module", "", "Of the module."),
        ("attribute", "", "Of the constant."),
        ("class", "Reader", "Of the class."),
        ("function", "Reader.read", "Read up to `n` bytes."),
        ("function", "Reader.close.inner", "Of an inner function."),
    ]


def test_error_strings_are_read_where_errors_are_made():
    """Strings of ``raise``, of ``msg`` and of notes are read once each, and single words are no prose."""
    assert read("error strings") == [
        ("Reader.read", 17, "Cannot read {self.answer} bytes."),
        ("Reader.read", 18, "Two words"),
        ("Reader.read", 22, "A note."),
        ("Reader.read", 23, "Not readable."),
    ]
    assert read("other strings") == [("", 5, "The name does not resolve; check it.")]


def test_docs_are_read_without_code():
    """Code blocks and targets of links are left out, and lines are those of the page."""
    page = "# Head\n\n```python\nanswer = 1\n```\n\nSee [the page](https://answer.example) or\nanother.\n"
    assert [(each.line, each.text.split()) for each in doc_passages(page, "a.md")] == [
        (1, ["#", "Head"]),
        (7, ["See", "[the", "page", "or", "another."]),
    ]


def passage(text, kind="comments", of="", **more):
    """Return a passage."""
    return Passage(
        **{"kind": kind, "path": "core/src/a.py", "line": 1, "owner": "f", "ordinal": 0, "text": text, "of": of, **more}
    )


def test_words_are_counted_by_family():
    """A family is counted in all its forms, with the lines; values within a string are not prose."""
    found = [passage("It came,\nand answers come.")]
    assert word_count(found) == 5
    assert per_thousand(found, "come/came") == 400
    assert [(hit.line, hit.text) for hit in hits(found, "come/came")] == [(1, "It came,"), (2, "and answers come.")]
    assert per_thousand([passage("of {self.answer} bytes", kind="error strings")], "answer") == 0
    assert [hit.text for hit in hits([passage("They let it go. Bedrooms")], "let go")] == ["They let it go. Bedrooms"]
    assert not list(hits([passage("Bedrooms, outdoors")], "room"))


@pytest.mark.parametrize(
    ("docstring", "opens"),
    [
        ("Return it.", True),
        ("\n    Read it.", True),
        ("Number of tokens.", False),
        ("The name.", False),
        ("Whether it is.", False),
        ("`read` of it.", False),
        ("Returns it.", False),
        ("", False),
    ],
)
def test_a_docstring_opens_with_a_verb(docstring, opens):
    """The first word is an imperative of the list, and not a noun of the same spelling."""
    assert opens_with_verb(docstring) is opens


def test_verbs_do_not_hold_words_to_avoid():
    """The words that are limited are no openings either."""
    assert not VERBS & {"answer", "ask", "come", "let", "say", "tell"}


GOOD = "Return the response of a request, as text in the encoding of its head, and raise an error for none."
BAD = "The answer that came from somebody behind the door."


def test_limits_that_are_not_kept_are_listed():
    """Each limit is named with the kind of prose and what was counted; what keeps all of them gives nothing."""
    assert beyond_limits([passage(GOOD, "docstrings", "function")]) == []
    found = "\n".join(beyond_limits([passage(BAD, "docstrings", "function")]))
    for said in ("answer 111", "come/came 111", "somebody 111", "response 0", "“door” 1 x", "0% of functions"):
        assert said in found


def test_a_table_has_a_column_for_each_kind():
    """The table shows the words of each kind and the occurrences in a thousand."""
    lines = prose_table([passage(GOOD, "docstrings", "function"), passage(BAD)]).splitlines()
    assert lines[1].split() == ["words", "9", "20", "0", "0", "0", "0"]
    assert lines[2].split()[:4] == ["answer", "<=", "1.5", "111.11"]


def drawn_from(number, **more):
    """Return so many error strings and docstrings."""
    return [
        passage(f"The message of error number {at} is this. {more}", kind, of, owner=f"f{at}")
        for kind, of in (("error strings", ""), ("docstrings", "function"))
        for at in range(number)
    ]


def test_a_sample_is_drawn_by_its_seed_and_found_in_the_other_commit():
    """One seed draws the same passages again; their counterparts stand in another file, under the same name."""
    old = drawn_from(40)
    new = [each._replace(path="core/src/moved.py", text="Another text altogether.") for each in reversed(old)]
    pairs = sample(3, old, new)
    assert pairs == sample(3, old, new) != sample(4, old, new)
    assert [before.kind for before, _ in pairs] == [kind for kind, count in DRAWN.items() for _ in range(count)]
    assert all((before.owner, before.kind) == (after.owner, after.kind) for before, after in pairs)
    assert shown(*pairs[0]).splitlines()[-1] == "    after:   Another text altogether."
    assert [before for before, _ in sample(3, old)] == [before for before, _ in pairs]


def test_a_renamed_function_is_found_by_its_text():
    """Where file and name differ, the most similar passage of the same file name is the counterpart."""
    [before] = drawn_from(1)[:1]
    after = before._replace(owner="g", ordinal=4, text=before.text.replace("error", "failure"))
    assert sample(0, [before], [after]) == [(before, after)]
    assert sample(0, [before], [after._replace(text="?")]) == []
