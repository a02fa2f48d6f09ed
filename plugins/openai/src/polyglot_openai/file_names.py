"""Names of documents that have none: the API reads the type of a file from its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from polyglot_core.plugin import Document

__all__ = ["name_of"]

_OFFICE = "vnd.openxmlformats-officedocument."
_SUFFIXES = {
    "plain": "txt",
    "markdown": "md",
    "msword": "doc",
    f"{_OFFICE}wordprocessingml.document": "docx",
    f"{_OFFICE}spreadsheetml.sheet": "xlsx",
    f"{_OFFICE}presentationml.presentation": "pptx",
}
"""Suffixes of file names by the second half of a media type. The suffix of any other type is that half."""


def name_of(document: Document) -> str:
    """Return the name of a document, or one that ends as files of its media type do."""
    subtype = document.mime_type.rpartition("/")[2]
    return document.name or f"document.{_SUFFIXES.get(subtype, subtype)}"
