"""Docstrings: the text, and the descriptions of arguments, in three styles."""

from __future__ import annotations

import inspect

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyglot_answers.docstrings import read_docstring

GOOGLE = """Return the weather.

    It is a forecast.

    Args:
        city (str): Name of the city,
            in English: as on a map.
        days: How many days.
        **more: Others.

    Returns:
        days: Not an argument.

    Written by hand.
    """

NUMPY = """Return the weather.

    It is a forecast.

    Parameters
    ----------
    city : str
        Name of the city,
        in English: as on a map.
    days : int, optional
        How many days.
    **more
        Others.

    Returns
    -------
    days : int
        Not an argument.
    """

SPHINX = """Return the weather.

    It is a forecast.

    :param str city: Name of the city,
        in English: as on a map.
    :param days: How many days.
    :type days: int
    :keyword more: Others.
    :returns: Nothing.
    :raises ValueError: Never.
    """


@pytest.mark.parametrize("doc", [GOOGLE, NUMPY, SPHINX], ids=["google", "numpy", "sphinx"])
def test_a_docstring_is_read_in_every_style(doc):
    """The text outside of sections, and each argument with all lines of its description."""
    text, arguments = read_docstring(inspect.cleandoc(doc))
    assert text.startswith("Return the weather.\n\nIt is a forecast.")
    assert "Not an argument" not in text
    assert arguments == {
        "city": "Name of the city, in English: as on a map.",
        "days": "How many days.",
        "more": "Others.",
    }


@pytest.mark.parametrize(
    ("doc", "text", "arguments"),
    [
        ("", "", {}),
        ("Return it.", "Return it.", {}),
        ("Return it.\n\nArgs:", "Return it.", {}),
        ("Return it.\n\nArgs:\n    no entry\n", "Return it.", {}),
        ("Return it.\n\nArgs:\n    a: One.\n\n    b: Two.\n", "Return it.", {"a": "One.", "b": "Two."}),
        ("Return it.\n\nArgs:\n    a: One.\n\nMore text.", "Return it.\n\n\nMore text.", {"a": "One."}),
        ("Return it.\n\nArgs:\n    a (dict[str, (int)]): One.", "Return it.", {"a": "One."}),
        ("Parameters\n----------\na, b : int\n    Both.", "", {"a": "Both.", "b": "Both."}),
        ("Take care: this is text.\nAnd so: is this.", "Take care: this is text.\nAnd so: is this.", {}),
        ("Returns\nthe weather.", "Returns\nthe weather.", {}),
        ("@param a: One.", "", {"a": "One."}),
        (":param: nameless", "", {}),
    ],
)
def test_odd_docstrings_are_read(doc, text, arguments):
    """What is no section is text; a section without entries describes nothing."""
    found = read_docstring(doc)
    assert found.text.split() == text.split()
    assert found.arguments == arguments


@given(st.text(alphabet="aA:-@ \n()*.,", max_size=80))
def test_every_docstring_is_read(doc):
    """No docstring raises, and no name is empty."""
    assert all(read_docstring(inspect.cleandoc(doc)).arguments.keys())
