"""Media types of files, recognized by their first bytes."""

from __future__ import annotations

import re

__all__ = ["media_problem", "media_type"]

_SIGNATURES = {
    "image/png": rb"\x89PNG", "image/jpeg": rb"\xff\xd8\xff", "image/gif": rb"GIF8", "image/webp": rb"RIFF.{4}WEBP",
    "image/bmp": rb"BM.{4}\x00{4}", "image/tiff": rb"II[*+]\x00|MM\x00[*+]",
    "image/avif": rb".{4}ftyp(avi[fs]|m[is]f1.{0,64}avi[fs])", "image/heic": rb".{4}ftyp(he[iv][cmsx]|m[is]f1)",
    "audio/wav": rb"(RIFF|RF64).{4}WAVE", "audio/aiff": rb"FORM.{4}AIF[FC]", "audio/flac": rb"fLaC",
    "audio/mpeg": rb"ID3[\x02-\x04]|\xff[\xe2\xe3\xf2\xf3\xfa\xfb]", "audio/aac": rb"\xff[\xf0\xf1\xf8\xf9]",
    "audio/ogg": rb"OggS", "audio/mp4": rb".{4}ftyp", "audio/webm": rb"\x1a\x45\xdf\xa3",
    "application/pdf": rb"(\xef\xbb\xbf)?\s*%PDF", "text/html": rb"(\xef\xbb\xbf)?\s*(?i:<!doctype html|<html)",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": rb"PK\x03\x04.*word/document\.xml",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": rb"PK\x03\x04.*xl/workbook\.xml",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": rb"PK\x03\x04.*ppt/presentation\.xml",
    "text/plain": rb"([\t\n\f\r -~]++|[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3})++\Z",
}  # fmt: skip
"""Patterns of the first bytes, the special ones before the general. The last is UTF-8 without control characters."""

_TEXTS = r"text/.+|.+(json|xml|yaml|javascript|rtf)"
"""Pattern of the media types whose files are text."""


def media_type(data: object, usual: str, name: str = "") -> str:
    """Return the media type that bytes show, if it is of the same class of parts as another; else an empty string.

    Args:
        data: The bytes. The type of anything else, and of no bytes, is `usual`.
        usual: The other media type.
        name: Name of the file, which says what kind of text a text is.
    """
    if not isinstance(data, bytes) or not data:
        return usual
    found = _recognized(data, name)
    return found if _class_for(found) == _class_for(usual) else ""


def media_problem(data: bytes, name: str = "") -> str:
    """Return a clause on bytes that are of another class of parts, or not recognized."""
    if found := _recognized(data, name):
        return (
            f"holds {found}; use {_class_for(found)}{'.from_path' if name else ''}, or pass mime_type if it is another"
        )
    return "is of no type that its first bytes show; pass its mime_type"


def _recognized(data: bytes, name: str) -> str:
    found = next((kind for kind, pattern in _SIGNATURES.items() if re.match(pattern, data, re.DOTALL)), "")
    if name and found == "text/plain":
        import mimetypes  # noqa: PLC0415 (reads files of the system)

        named = mimetypes.guess_type(name)[0] or ""
        return named if re.fullmatch(_TEXTS, named) else found
    return found


def _class_for(found: str) -> str:
    return {"image": "Image", "audio": "Audio"}.get(found.partition("/")[0], "Document")
