"""Encoding of a response format whose dialect has fewer fields than `JSONSchema`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from polyglot_core._authoring.options import cannot_express
from polyglot_core._values.request import JSONSchema

if TYPE_CHECKING:
    from polyglot_core._values.request import InferenceRequest

__all__ = ["annotated_schema"]

_UNNAMED = JSONSchema({}).name


def annotated_schema(request: InferenceRequest, wanted: JSONSchema, *, driver: str) -> dict[str, Any]:
    """Return a JSON Schema for a dialect that has no fields for its name and its description.

    They become its annotations ``title`` and ``description``. One that the schema has with another value is kept, and
    the other value is reported with `cannot_express`. The default name is left out.

    Args:
        request: The request.
        wanted: Its response format.
        driver: Name of the driver, for the message.

    Raises:
        RequestError: A value cannot be sent, and `request.unsupported` is ``raise``.
    """
    schema = dict(wanted.schema)
    name = None if wanted.name == _UNNAMED else wanted.name
    for field, keyword, value in (("name", "title", name), ("description", "description", wanted.description)):
        if value and schema.setdefault(keyword, value) != value:
            what = f"the {field} of a response format whose schema has another {keyword}"
            cannot_express(request, what, driver=driver, instead=f"the {keyword} of the schema alone")
    return schema
