"""Checks of how a driver lists the models of its provider, if it does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from polyglot_core import testing
from polyglot_core.errors import PluginError
from polyglot_core.plugin import Model
from polyglot_testkit.check import KEY, expect
from polyglot_testkit.input_output import no_input_or_output

if TYPE_CHECKING:
    from polyglot_core.testing import BoundDriver
    from polyglot_testkit.check import Exam

__all__ = ["the_list_of_models_is_read"]

_NO_LISTS = (b"[1]", b"null", b'"text"', b'{"odd": 1}', b'{"data": [{}], "models": [{}]}', b'{"data": "x"}', b"{")
    b"[1]",
    b"null",
    b'"text"',
    b'{"odd": 1}',
    b'{"data": [{}], "models": [{}]}',
    b'{"data": "x"}',
    b"{",
    b"<p>",
)
"""Bodies that are no list of models in any dialect."""


def the_list_of_models_is_read(exam: Exam) -> bool:
    """Check that the request for the models is encoded without I/O and without the key, and that any body is read."""
    if "list_models" not in exam.driver.hooks:
        return False
    with no_input_or_output() as touched:
        wires = [next(exam.driver.pages_of_models([])).encode(exam.requests[0]) for _ in range(2)]
    expect(not touched, f"list_models does I/O ({', '.join(touched)}); move it to authorize")
    expect(wires[0] == wires[1], "list_models gives different requests for the first page")
    expect(KEY not in wires[0].url and KEY.encode() not in wires[0].body, "the key is in the request for the models")
    for body in _NO_LISTS:
        models: list[Model] = []
        error = _read(exam, next(exam.driver.pages_of_models(models)), body)
        expect(error is not None, f"list_models reads {models} from {body!r}, which is no list of models")
        expect(not isinstance(error, PluginError), f"list_models reads {body!r}: {error}")
    _read_pages(exam)
    return True


def _read_pages(exam: Exam) -> None:
    """Check that the pages of the exam are read one after the other, and that there is no request after the last."""
    models: list[Model] = []
    bodies = iter(exam.models)
    for number, page in enumerate(exam.driver.pages_of_models(models)):
        body, before = next(bodies, None), len(models)
        if body is None:
            expect(number == 0, f"list_models requests a page after the last one, which is number {number}")
            return
        error = _read(exam, page, body)
        expect(error is None, f"page {number + 1} of the models is not read: {error}")
        read = models[before:]
        expect(bool(read), f"no model is read from page {number + 1}")
        expect(all(type(model) is Model for model in read), "list_models appends values that are no Model")
        expect(all(model.id and model.raw for model in read), "a model has no id, or no provider's object in raw")
    expect(next(bodies, None) is None, "list_models requests no further page although there is one")


def _read(exam: Exam, page: BoundDriver, body: bytes) -> Exception | None:
    """Return the error that a page ends with, if any. It is received byte by byte."""
    pieces = [body[place : place + 1] for place in range(len(body))]
    headers = {"content-type": "application/json"}
    return testing.replay(page, page.encode(exam.requests[0]), pieces, headers=headers).error
