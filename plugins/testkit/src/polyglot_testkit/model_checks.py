"""Checks of how a driver lists the models of its provider, if it does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from polyglot_core.errors import PluginError
from polyglot_core.plugin import Model
from polyglot_testkit.check import KEY, expect
from polyglot_testkit.input_output import no_input_or_output
from polyglot_testkit.model_lists import list_models

if TYPE_CHECKING:
    from polyglot_testkit.check import Exam

__all__ = ["the_list_of_models_is_read"]

_NO_LISTS = (b"[1]", b"null", b'"text"', b'{"odd": 1}', b'{"data": [{}], "models": [{}]}', b'{"data": "x"}', b"{")
"""Bodies that are no list of models in any dialect."""


def the_list_of_models_is_read(exam: Exam) -> bool:
    """Check that the list is requested without I/O and without the key, and read from its pages and nothing else."""
    if "list_models" not in exam.driver.hooks:
        expect(not exam.models, "pages of models are given, but the driver has no hook list_models")
        return False
    with no_input_or_output() as touched:
        wires = [list_models(exam.driver, ()).requests[0] for _ in range(2)]
    expect(not touched, f"list_models does I/O ({', '.join(touched)}); move it to authorize")
    expect(wires[0] == wires[1], "list_models gives different requests for the first page")
    expect(KEY not in wires[0].url and KEY.encode() not in wires[0].body, "the key is in the request for the models")
    for body in _NO_LISTS:
        found = list_models(exam.driver, [body])
        expect(found.error is not None, f"list_models reads {found.models} from {body!r}, which is no list of models")
        expect(not isinstance(found.error, PluginError), f"list_models reads {body!r}: {found.error}")
    if exam.models:
        _read_pages(exam)
    return True


def _read_pages(exam: Exam) -> None:
    """Check that the pages of the exam are read, and that as many are requested."""
    models, requests, error = list_models(exam.driver, exam.models)
    expect(error is None, f"page {len(requests)} of the models is not read: {error}")
    pages = f"there are {len(exam.models)} pages of models, and list_models requests"
    expect(len(requests) <= len(exam.models), f"{pages} a further one")
    expect(len(requests) == len(exam.models), f"{pages} {len(requests)}")
    expect(bool(models), "no model is read from the pages of models")
    expect(all(type(model) is Model for model in models), "list_models appends values that are no Model")
    expect(all(model.id and model.raw for model in models), "a model has no id, or no provider's object in raw")
    foreign = [model.id for model in models if not _is_in(model.id, exam.models)]
    expect(not foreign, f"the models {', '.join(foreign)} are not in the pages")


def _is_in(name: str, pages: tuple[bytes, ...]) -> bool:
    """Return whether a page has the id, maybe as a part of a longer one."""
    return any(name.encode() in page for page in pages)
