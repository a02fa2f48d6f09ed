"""The hooks that a driver implements. This file is the whole contract between Polyglot and a driver.

A driver is a module, or an object, whose functions are marked with `hookimpl`. It implements `encode_request`,
`decode_chunk` and `extract_usage`; the other hooks are optional. No hook does I/O, except `authorize`.

Arguments are passed by name: an implementation takes any subset of a hook's arguments, in any order. Those of
`decode_chunk` are bound once for each attempt, so that decoding a chunk costs one function call.

A hook may raise the errors of `polyglot_core.errors`. Any other exception becomes a `PluginError` that names the
driver, its distribution and version, and the hook.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from polyglot_core._values.connection import Connection
    from polyglot_core._values.embeddings import EmbeddingRequest, Embeddings
    from polyglot_core._values.events import Event, Failure
    from polyglot_core._values.models import Model
    from polyglot_core._values.request import InferenceRequest
    from polyglot_core._values.response import Usage
    from polyglot_core._wire.messages import Chunk, Follow, WireRequest, WireResponse

__all__ = ["CONTRACT_VERSION", "hookimpl", "hookspec"]

CONTRACT_VERSION = 1
"""Version of this contract. A driver that needs a newer one sets ``REQUIRES_CONTRACT = 2`` in its module."""

hookspec = pluggy.HookspecMarker("polyglot")
hookimpl = pluggy.HookimplMarker("polyglot")


@hookspec
def encode_request(connection: Connection, request: InferenceRequest) -> WireRequest:  # type: ignore[empty-body]
    """Encode a request in the provider's dialect.

    Called once for each attempt. Core adds the key to the headers afterwards. The `WireRequest` also specifies how the
    response is read: its framing, and what marks it as complete. No I/O.

    Raises:
        RequestError: The dialect has no field for something in the request.
    """


@hookspec
def decode_chunk(connection: Connection, chunk: Chunk, state: dict[str, Any]) -> Sequence[Event | Follow]:  # type: ignore[empty-body]
    """Return the events that a chunk of the response contains; an empty sequence if there are none.

    Called for every chunk of a response: this is the hot path. No I/O.

    `state` is a dict that belongs to one attempt and is empty at its start, for dialects in which the meaning of a
    chunk depends on earlier ones. The same chunks in the same order must give the same events.

    If the response is received by a further request, as where one request creates a task and another reads its output,
    the last event of the chunk may be a `Follow` with that request. Core sends it as a part of the same attempt, with
    the same clocks, and passes its response to this function, with the same `state`; so `state` may only hold what
    `copy.deepcopy` can copy. If the follow-up request fails before any content was received, it is retried, and not
    the first request, which would create the task a second time.

    Exceptions of msgspec for unreadable data may pass: core reports them as `Malformed`. Parse the chunk before you
    change `state`, because core may repair an unreadable chunk and decode it a second time.
    """


@hookspec
def extract_usage(connection: Connection, payload: Mapping[str, Any]) -> Usage:  # type: ignore[empty-body]
    """Return the token counts in a provider's usage object, which is the payload of a `UsageReport`.

    Called when the usage is first read, not for each report. No I/O.
    """


@hookspec
def authorize(connection: Connection, wire: WireRequest) -> WireRequest:  # type: ignore[empty-body]
    """Add credentials that depend on the encoded body or need the network. Optional.

    Called once for each attempt, after encoding; it may block. Without this hook, core sends the connection's key in
    the header named by `auth_header`.
    """


@hookspec
def decode_error(connection: Connection, response: WireResponse) -> Failure | None:
    """Parse a response with an error status. Optional. Return None to use core's parser of common shapes. No I/O."""


@hookspec
def encode_prefill(connection: Connection, request: InferenceRequest, text: str) -> WireRequest:  # type: ignore[empty-body]
    """Encode a request for the rest of a response that begins with `text`, which the model continues. Optional. No I/O.

    Also called once with an empty text before anything is sent, to check that the connection supports it.

    Raises:
        RequestError: The model or the provider does not support prefill.
    """


@hookspec
def encode_resume(connection: Connection, request: InferenceRequest, state: dict[str, Any]) -> WireRequest | None:
    """Encode a request for the rest of a response that the provider has stored. Optional. No I/O.

    `state` is that of the interrupted attempt, in which `decode_chunk` has recorded what is needed, such as the id of
    the response; the resumed attempt continues with the same dict. Return None if the response is not identified yet.
    Also called once with an empty state before anything is sent, to check that the connection supports it.

    Raises:
        RequestError: The provider does not store responses, or was not requested to store this one.
    """


@hookspec
def encode_cancel(connection: Connection, request: InferenceRequest, state: dict[str, Any]) -> WireRequest | None:
    """Encode a request that stops the provider's work on a response that the caller has abandoned. Optional. No I/O.

    `state` is that of the attempt, in which `decode_chunk` has recorded what identifies the work. Return None if
    nothing does. Called at most once for a call, when the stream is closed, or its ``with`` block left, before the end
    of the response. Core adds the key, sends the request once and waits for 2 seconds at most. If it fails, that is
    logged and not raised. It is not sent by a finalizer, nor by a process that was forked after the first request.
    """


@hookspec
def list_models(connection: Connection, data: bytes | None, models: list[Model]) -> WireRequest | None:
    """Encode the request for the provider's list of models, and read the response to it. Optional. No I/O.

    Called with `data` None for the first request, and then with the body of each response: append its models to
    `models`, which is an empty list each time, and return the request for the next page, or None if there is none.
    Core adds the key and sends the requests, with the clocks, retries and errors of a call.

    Exceptions of msgspec for a body that is no such list may pass: core reports them as `Malformed`, or as the failure
    that the body states.

    Raises:
        RequestError: There is no list of models on this connection.
    """


@hookspec
def encode_embeddings(connection: Connection, request: EmbeddingRequest) -> WireRequest:  # type: ignore[empty-body]
    """Encode a request for the vectors of a batch of texts. Optional, with `decode_embeddings`. No I/O.

    Called once for each attempt. Core adds the key and sends the request, with the clocks, retries and errors of a
    call. The response is read as one body, whatever its framing.

    Raises:
        RequestError: The dialect has no field for an option, or this connection has no embeddings.
    """


@hookspec
def decode_embeddings(connection: Connection, request: EmbeddingRequest, data: bytes) -> Embeddings:  # type: ignore[empty-body]
    """Return the vectors in the body of a response, in the order of the texts of the request. No I/O.

    Core checks their number and their lengths, and joins the batches. Exceptions of msgspec for a body without vectors
    may pass: core reports them as `Malformed`, or as the failure that the body states.
    """


@hookspec
def embedding_limits(connection: Connection, model: str) -> tuple[int, int | None]:  # type: ignore[empty-body]
    """Return how many texts one request for embeddings may have, and how many bytes together. Optional. No I/O.

    Without this hook a request has one text. For a provider with a limit of tokens, return that as the number of bytes
    in UTF-8: a text has at most as many tokens as bytes. A larger text is sent by itself. None stands for no limit.
    """
