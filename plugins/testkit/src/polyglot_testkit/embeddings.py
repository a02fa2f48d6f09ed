"""The embeddings of a driver, read from the bodies of its responses without a socket; and a check of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec.structs import replace

from polyglot_core import testing
from polyglot_core.errors import PluginError, RequestError
from polyglot_core.plugin import EmbeddingRequest, Message, json_access
from polyglot_testkit.check import KEY, ExamFailed, expect
from polyglot_testkit.input_output import no_input_or_output

if TYPE_CHECKING:
    from collections.abc import Sequence

    from polyglot_core.errors import PolyglotError
    from polyglot_core.plugin import Embeddings, WireRequest
    from polyglot_core.testing import BoundDriver

__all__ = ["Embedded", "check_embeddings", "embed_texts"]

_NO_VECTORS = (b"[1]", b"null", b'"text"', b'{"odd": 1}', b'{"data": [{}]}', b'{"embeddings": ["x"]}', b"{")
"""Bodies that have no vectors in any dialect."""

_OPTIONS: dict[str, Any] = {"dimensions": 256, "input_type": "query", "encoding": "base64"}


class Embedded(NamedTuple):
    """The result of reading the vectors of one batch of texts.

    Attributes:
        embeddings: The vectors; None if the body could not be read.
        request: The request for them.
        error: The error that the body ended with, or None.
    """

    embeddings: Embeddings | None
    request: WireRequest
    error: PolyglotError | None = None


def embed_texts(
    driver: BoundDriver,
    texts: Sequence[str],
    body: bytes | None = None,
    *,
    model: str = "m",
    **options: Any,  # noqa: ANN401 (each has its own type)
) -> Embedded:
    """Read the vectors of texts from a body, as core does. It is received byte by byte.

    Args:
        driver: The driver, bound to a connection.
        texts: The texts of one batch.
        body: The body of the response; None to encode the request only.
        model: Name of the model.
        options: Options of the request, such as ``dimensions``.

    Raises:
        PolyglotError: The driver cannot encode the request.
    """
    messages = tuple(Message(role="user", content=text) for text in texts)
    request = EmbeddingRequest(model=model, messages=messages, options=options)
    bound = driver.for_batch(request)
    wire = bound.encode(request)
    if body is None:
        return Embedded(None, wire)
    pieces = [body[place : place + 1] for place in range(len(body))]
    replayed = testing.replay(bound, wire, pieces, headers={"content-type": "application/json"})
    return Embedded(request.received[0] if replayed.error is None else None, wire, replayed.error)


def check_embeddings(driver: BoundDriver, texts: Sequence[str], body: bytes, *, model: str = "m") -> Embeddings:
    """Check that a driver requests the vectors of texts without I/O and without the key, and reads them and no others.

    Args:
        driver: The driver, bound to a connection with the key of the exam, ``polyglot_testkit.check.KEY``, or without.
        texts: Different texts, as many as a request may have.
        body: A response to the request for them.
        model: Name of the model.

    Returns:
        What the driver has read from the body.

    Raises:
        ExamFailed: The driver does not do what it should. The message is a sentence.
    """
    with no_input_or_output() as touched:
        wires = [embed_texts(driver, texts, model=model).request for _ in range(2)]
    expect(not touched, f"encode_embeddings does I/O ({', '.join(touched)}); move it to authorize")
    expect(wires[0] == wires[1], "encode_embeddings gives different requests for the same texts")
    expect(KEY not in wires[0].url and KEY.encode() not in wires[0].body, "the key is in the request for the vectors")
    _check_texts(texts, wires[0])
    _check_options(driver, texts, model, wires[0])
    for odd in _NO_VECTORS:
        found = embed_texts(driver, texts, odd, model=model)
        expect(found.error is not None, f"decode_embeddings reads {found.embeddings} from {odd!r}")
        expect(not isinstance(found.error, PluginError), f"decode_embeddings reads {odd!r}: {found.error}")
    for length in range(0, len(body.rstrip()), max(1, len(body) // 16)):
        cut = embed_texts(driver, texts, body[:length], model=model)
        expect(cut.error is not None, f"a body that is cut off after {length} bytes has vectors")
    embeddings, _, error = embed_texts(driver, texts, body, model=model)
    if embeddings is None:
        raise ExamFailed(f"decode_embeddings does not read the body: {error}")
    expect(bool(embeddings.raw), "the provider's object is not in raw")
    return embeddings


def _check_texts(texts: Sequence[str], wire: WireRequest) -> None:
    """Check that the body has each text once, in order."""
    sent = json_access.text(json_access.parse(wire.body))
    places = [sent.find(json_access.text([text])[1:-1]) for text in texts]
    expect(-1 not in places, "a text is not in the request for the vectors")
    expect(places == sorted(places), "the texts are in another order in the request")


def _check_options(driver: BoundDriver, texts: Sequence[str], model: str, plain: WireRequest) -> None:
    """Check that each option changes the request, is what the request has anyway, or is refused."""
    for name, value in _OPTIONS.items():
        try:
            wire = embed_texts(driver, texts, model=model, **{name: value}).request
        except RequestError:
            continue
        is_default = json_access.text(value) in plain.body.decode()
        expect(
            replace(wire, headers={}) != replace(plain, headers={}) or is_default, f"the option {name} has no effect"
        )
