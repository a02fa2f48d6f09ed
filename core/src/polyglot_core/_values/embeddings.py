"""Embeddings: the request for a batch of texts, how texts are divided into batches, and the vectors received."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from itertools import chain
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from polyglot_core._values.request import InferenceRequest
from polyglot_core._values.response import Usage
from polyglot_core.errors import Malformed

__all__ = ["EmbeddingRequest", "Embeddings", "batches_of", "check_vectors", "joined"]


class Embeddings(Struct, frozen=True, kw_only=True):
    """The vectors of texts.

    Attributes:
        vectors: A vector for each text, in the order of the texts. All have the same length.
        usage: Token counts of all requests together, or None if the provider did not report any.
        model: Model that made the vectors, by the provider's name; None if the response does not state it.
        raw: The provider's object of each response, in order, without the vectors.
    """

    vectors: list[list[float]]
    usage: Usage | None = None
    model: str | None = None
    raw: tuple[Mapping[str, Any], ...] = ()


class EmbeddingRequest(InferenceRequest, frozen=True, kw_only=True):
    """A request for the vectors of a batch of texts, as the driver receives it.

    Attributes:
        model: Name of the model.
        messages: The texts, for observers and for packages that admit requests; a driver reads `texts`.
        stream: False.
        options: The options of `embed`, which are `EmbeddingOptions`.
        tools: None, an empty tuple.
        tool_choice: None.
        parallel_tool_calls: None.
        response_format: None.
        unsupported: What happens with an option that the driver cannot express: ``raise``, ``warn`` or ``drop``.
        extra: Further fields of the request body, sent unchanged.
        headers: Headers of this call, with names in lower case. Core adds them; a driver reads them only if it signs
            requests.
        received: The vectors of the batches before.
    """

    received: list[Embeddings] = field(default_factory=list)

    @property
    def texts(self) -> list[str]:
        """Return the texts: at least one, and none is blank."""
        return [str(message.content) for message in self.messages]


def batches_of(request: EmbeddingRequest, most: int, size: int | None) -> Iterator[tuple[int, EmbeddingRequest]]:
    """Yield a request for each batch of up to `most` texts, of `size` bytes in all unless it has one text.

    Before each is the index of its first text.
    """
    first, total = 0, 0
    for index, text in enumerate(request.texts):
        total += (added := len(text.encode()))
        if index > first and (index - first >= most or total > (size or math.inf)):
            yield first, replace(request, messages=request.messages[first:index])
            first, total = index, added
    yield first, replace(request, messages=request.messages[first:])


def joined(batches: Sequence[Embeddings]) -> Embeddings:
    """Return the vectors of several batches as one."""
    vectors, raw = (list(chain.from_iterable(getattr(each, name) for each in batches)) for name in ("vectors", "raw"))
    counts = [batch.usage for batch in batches if batch.usage]
    usage = reduce(Usage.__add__, counts) if counts else None
    return Embeddings(vectors=vectors, usage=usage, model=batches[0].model if batches else None, raw=tuple(raw))


def check_vectors(received: Embeddings, request: EmbeddingRequest, start: int) -> None:
    """Check the vectors of a batch whose first text is `start`.

    Raises:
        Malformed: There are more or fewer vectors than texts, or one has another length than requested, or than the
            first one of all batches, or a number that is not finite.
    """
    vectors, count = received.vectors, len(request.messages)
    if len(vectors) != count:
        raise Malformed(f"The response has {len(vectors)} vectors for the {count} texts from texts[{start}] on.")
    size = request.options.get("dimensions") or len([*request.received[:1], received][0].vectors[0]) or 1
    for index, vector in enumerate(vectors, start):
        if len(vector) != size or not math.isfinite(sum(vector)):
            raise Malformed(f"The vector of texts[{index}] has {len(vector)} numbers, and not {size} that are finite.")
