"""Parts from files: the media type is the one that the bytes show."""

from __future__ import annotations

import pytest

from polyglot_core import Audio, Connection, Document, Image, Inference, Message, RequestError
from polyglot_core._values.media_types import media_type

pytestmark = pytest.mark.usefixtures("toy_driver")

OFFICE = "application/vnd.openxmlformats-officedocument"

FILES = {
    "image/png": b"\x89PNG\r\n\x1a\n",
    "image/jpeg": b"\xff\xd8\xff\xe0\0\x10JFIF",
    "image/gif": b"GIF89a",
    "image/webp": b"RIFF\x1a\0\0\0WEBPVP8 ",
    "image/bmp": b"BM\x46\0\0\0\0\0\0\0",
    "image/tiff": b"II*\0\x08\0\0\0",
    "image/heic": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
    "image/avif": b"\0\0\0\x1cftypmif1\0\0\0\0mif1avif",
    "audio/wav": b"RIFF\x24\0\0\0WAVEfmt ",
    "audio/mpeg": b"\xff\xfb\x90\x64",
    "audio/flac": b"fLaC\0\0\0\x22",
    "audio/ogg": b"OggS\0\x02",
    "audio/mp4": b"\0\0\0\x20ftypM4A \0\0\0\0",
    "audio/aac": b"\xff\xf1\x50\x80",
    "audio/aiff": b"FORM\0\0\0\x2eAIFFCOMM",
    "audio/webm": b"\x1a\x45\xdf\xa3\x9f\x42\x86",
    "application/pdf": b"\xef\xbb\xbf\n%PDF-1.7\n",
    f"{OFFICE}.wordprocessingml.document": b"PK\x03\x04\x14\0[Content_Types].xml\0PK\x03\x04\0\0word/document.xml\0",
    f"{OFFICE}.spreadsheetml.sheet": b"PK\x03\x04\x14\0[Content_Types].xml\0xl/workbook.xml\0",
    f"{OFFICE}.presentationml.presentation": b"PK\x03\x04\x14\0[Content_Types].xml\0ppt/presentation.xml\0",
    "text/html": b"  <!DOCTYPE html><p>Oak",
    "text/plain": "Öl, 30 °C, 😀\n\tBM, GIF and %PDF".encode(),
}
CLASSES = {"image": Image, "audio": Audio}


def class_for(kind):
    return CLASSES.get(kind.partition("/")[0], Document)


def refused(part):
    """Return the message with which a request that holds a part is refused."""
    inference = Inference.from_connection(Connection(name="here", driver="toy", model="m"))
    with pytest.raises(RequestError) as caught:
        inference.create([Message(role="user", content=[part])])
    return caught.value.message


@pytest.mark.parametrize("kind", FILES)
def test_type_is_the_one_that_the_bytes_show(kind, tmp_path):
    """In the constructor, and from a file of any name."""
    part_class, data = class_for(kind), FILES[kind]
    assert part_class(data=data) == part_class(data=data, mime_type=kind)
    for name in ("photo.png", "scan.pdf", "talk.mp3", "no_suffix"):
        (file := tmp_path / name).write_bytes(data)
        assert part_class.from_path(file) == part_class.from_path(str(file)) == part_class(data=data, mime_type=kind)


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("part_class", [Image, Audio, Document])
def test_file_of_another_class_is_refused(kind, part_class, tmp_path):
    """The error names the file, its type and the class that is for it."""
    right = class_for(kind)
    if part_class is right:
        return
    (file := tmp_path / "photo.png").write_bytes(FILES[kind])
    with pytest.raises(RequestError) as caught:
        part_class.from_path(file)
    assert caught.value.message == (
        f"The file {str(file)!r} holds {kind}; use {right.__name__}.from_path, or pass mime_type if it is another."
    )
    said = refused(part_class(data=FILES[kind]))
    assert said == (
        f"messages[0].content[0].data holds {kind}; use {right.__name__}, or pass mime_type if it is another."
    )


@pytest.mark.parametrize("data", [b"\0\1\2", b"\x80\x81", b"text\0", b"RIFF\0\0\0\0AVI ", b"PK\x03\x04\0"])
def test_unknown_bytes_are_refused(data, tmp_path):
    """Unless their type is given, which is used as it is."""
    (file := tmp_path / "notes.txt").write_bytes(data)
    for part_class in (Image, Audio, Document):
        with pytest.raises(RequestError, match=r"notes\.txt' is of no type that its first bytes show; pass its mime"):
            part_class.from_path(file)
        assert "data is of no type that its first bytes show; pass its mime_type" in refused(part_class(data=data))
        part = part_class.from_path(file, mime_type="x/y", cache=True)
        assert part == part_class(data=data, mime_type="x/y", cache=True)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("notes.md", "text/markdown"),
        ("trees.CSV", "text/csv"),
        ("page.html", "text/html"),
        ("data.json", "application/json"),
        ("notes.txt", "text/plain"),
        ("notes", "text/plain"),
        ("report.pdf", "text/plain"),
        ("report.docx", "text/plain"),
        ("talk.wav", "text/plain"),
    ],
)
def test_name_states_the_kind_of_a_text(name, expected, tmp_path):
    """It does not make a text of what is none, nor the reverse."""
    (file := tmp_path / name).write_bytes(b"a,b")
    assert Document.from_path(file, name="a.csv") == Document(data=b"a,b", mime_type=expected, name="a.csv")
    file.write_bytes(b"%PDF-")
    assert Document.from_path(file).mime_type == "application/pdf"


def test_drawing_is_an_image(tmp_path):
    """SVG is text of which the name states that it is an image."""
    (file := tmp_path / "a.svg").write_bytes(b"<svg/>")
    assert Image.from_path(file).mime_type == "image/svg+xml"


@pytest.mark.parametrize("part_class", [Image, Audio, Document])
def test_file_that_cannot_be_read_is_named(part_class, tmp_path):
    """By the error of the operating system."""
    for path in (tmp_path / "missing.png", tmp_path):
        with pytest.raises(OSError, match=path.name):
            part_class.from_path(path)
    with pytest.raises(TypeError, match="detial"):
        part_class(data=b"", detial="low")


def test_parts_without_bytes_have_the_usual_type():
    """As before a provider has fetched them; an empty part is reported as such."""
    assert Image(url="https://a.example/b").mime_type == "image/png"
    assert Document(file_id="1").mime_type == Document(url="https://a.example/b").mime_type == "application/pdf"
    assert refused(Audio(data=b"")) == "messages[0].content[0].data is empty."


@pytest.mark.parametrize(
    "part", [Image(data=FILES["image/gif"]), Audio(data=b"fLaC"), Document(data=b"Hi"), Image(data=b"?")]
)
def test_type_survives_json(part):
    """A recognized type is a field like any other."""
    message = Message(role="user", content=(part,))
    assert Message.from_dict(message.to_dict()) == message


def test_long_text_is_read_once():
    """The pattern of UTF-8 never goes back, so that a long text with an odd end is recognized in linear time."""
    text = "aä😀\n".encode() * 200_000
    assert media_type(text, "text/plain") == "text/plain"
    assert media_type(text + b"\0", "text/plain") == ""
