"""Files in the requests of all drivers: the type that their bytes show, in the words of each dialect, or an error."""

from __future__ import annotations

import base64
import json

import pytest

from polyglot_core import Audio, Document, Image, Inference, Message, RequestError, Text
from polyglot_simulator import Simulator

for package in ("polyglot_mistral", "polyglot_bedrock"):
    pytest.importorskip(package, reason="the drivers are no requirements of the simulator")

IMAGES = {
    "image/png": b"\x89PNG\r\n\x1a\n",
    "image/jpeg": b"\xff\xd8\xff\xe0",
    "image/gif": b"GIF89a",
    "image/webp": b"RIFF\x04\0\0\0WEBP",
}
SOUNDS = {
    "audio/wav": b"RIFF\x04\0\0\0WAVE",
    "audio/mpeg": b"ID3\x04\0",
    "audio/flac": b"fLaC\0",
    "audio/ogg": b"OggS\0",
    "audio/mp4": b"\0\0\0\x20ftypM4A \0",
    "audio/aac": b"\xff\xf1\x50\x80",
    "audio/aiff": b"FORM\0\0\0\4AIFF",
    "audio/webm": b"\x1a\x45\xdf\xa3\x01",
}
DOCUMENTS = {"report.pdf": b"%PDF-1.7", "notes.md": b"# Oak", "trees.csv": b"a,b\n1,2", "page.html": b"<!doctype html>"}

SHORT = {"audio/mpeg": "mp3", "audio/mp4": "m4a"}
BEDROCK = {"audio/mpeg": "mp3", "audio/aiff": None}
SUFFIXES = {"report.pdf": "pdf", "notes.md": "md", "trees.csv": "csv", "page.html": "html"}
TYPES = {"pdf": "application/pdf", "md": "text/markdown", "csv": "text/csv", "html": "text/html"}


def encoded(data):
    return base64.b64encode(data).decode()


def block(driver, part):
    """Return what the request has of a part, or the error."""
    with Simulator("ok") as simulator:
        inference = Inference.from_connection(simulator.connection_for(driver))
        try:
            inference.text([Message(role="user", content=[Text("Look:"), part])])
        except RequestError as error:
            return error
        body = simulator.requests[-1].body
    (turn,) = next(body[name] for name in ("messages", "contents", "input") if name in body)
    return (
        turn["images"][0] if "images" in turn else next(turn[name] for name in ("content", "parts") if name in turn)[-1]
    )


def image_of(driver, kind, text):
    """Return an image in the words of a dialect."""
    url = f"data:{kind};base64,{text}"
    match driver:
        case "anthropic":
            return {"type": "image", "source": {"type": "base64", "media_type": kind, "data": text}}
        case "bedrock":
            return {"image": {"format": kind.removeprefix("image/"), "source": {"bytes": text}}}
        case "gemini" | "vertex":
            return {"inlineData": {"mimeType": kind, "data": text}}
        case "ollama":
            return text
        case "openai-responses":
            return {"type": "input_image", "image_url": url}
    return {"type": "image_url", "image_url": {"url": url}}


DRIVERS = (
    "anthropic",
    "azure-openai",
    "bedrock",
    "cohere",
    "gemini",
    "mistral",
    "ollama",
    "openai",
    "openai-responses",
    "vertex",
)


@pytest.mark.parametrize("driver", DRIVERS)
def test_image_is_sent_as_what_its_bytes_show(driver, tmp_path):
    """From a path, whatever the file is called, and from the bytes alone."""
    for kind, data in IMAGES.items():
        (file := tmp_path / "picture.bmp").write_bytes(data)
        for part in (Image.from_path(file), Image(data=data)):
            assert block(driver, part) == image_of(driver, kind, encoded(data)), kind


@pytest.mark.parametrize("driver", DRIVERS)
def test_audio_is_sent_in_its_format(driver, tmp_path):
    """By the dialect's name of the format; a driver that cannot send it says so."""
    for kind, data in SOUNDS.items():
        (file := tmp_path / "sound").write_bytes(data)
        text, sent = encoded(data), block(driver, Audio.from_path(file))
        subtype = kind.removeprefix("audio/")
        if driver in {"openai", "azure-openai", "mistral"}:
            assert sent == {"type": "input_audio", "input_audio": {"data": text, "format": SHORT.get(kind, subtype)}}
        elif driver in {"gemini", "vertex"}:
            assert sent == {"inlineData": {"mimeType": kind, "data": text}}
        elif driver == "bedrock" and (named := BEDROCK.get(kind, subtype)):
            assert sent == {"audio": {"format": named, "source": {"bytes": text}}}
        else:
            assert isinstance(sent, RequestError), (driver, kind)


@pytest.mark.parametrize("driver", DRIVERS)
def test_document_is_sent_as_its_type(driver, tmp_path):
    """A PDF is recognized by its bytes, and the kind of a text by the name of the file."""
    for name, data in DOCUMENTS.items():
        (file := tmp_path / name).write_bytes(data)
        sent, text, suffix = block(driver, Document.from_path(file)), encoded(data), SUFFIXES[name]
        kind = TYPES[suffix]
        url = f"data:{kind};base64,{text}"
        match driver:
            case "openai" | "azure-openai":
                assert sent == {"type": "file", "file": {"filename": f"document.{suffix}", "file_data": url}}
            case "openai-responses":
                assert sent == {"type": "input_file", "filename": f"document.{suffix}", "file_data": url}
            case "anthropic":
                plain = {"type": "text", "media_type": "text/plain", "data": data.decode()}
                pdf = {"type": "base64", "media_type": kind, "data": text}
                assert sent == {"type": "document", "source": pdf if suffix == "pdf" else plain}
            case "bedrock":
                assert sent == {"document": {"name": "document", "format": suffix, "source": {"bytes": text}}}
            case "gemini" | "vertex":
                assert sent == {"inlineData": {"mimeType": kind, "data": text}}
            case "mistral":
                assert sent == {"type": "document_url", "document_url": url}
            case _:
                assert isinstance(sent, RequestError), json.dumps(sent)
