"""The contract between Polyglot and a driver, whole.

A driver is a module that implements the first three of these functions with `hookimpl`, and as many of the others as it
needs. None of them does I/O, but for `authorize`. An implementation may leave arguments out and may take them in any
order; they are passed by name, bound once when the driver is chosen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from polyglot_core._values.connection import Connection
    from polyglot_core._values.events import Event, Failure
    from polyglot_core._values.request import InferenceRequest
    from polyglot_core._values.response import Usage
    from polyglot_core._wire.messages import Chunk, WireRequest, WireResponse

__all__ = ["CONTRACT_VERSION", "hookimpl", "hookspec"]

CONTRACT_VERSION = 1
"""Version of this file. A driver that needs a newer one says so with ``REQUIRES_CONTRACT = 2`` in its module."""

hookspec = pluggy.HookspecMarker("polyglot")
hookimpl = pluggy.HookimplMarker("polyglot")


@hookspec
def encode_request(connection: Connection, request: InferenceRequest) -> WireRequest:  # type: ignore[empty-body]
    """Say the request in the provider's dialect. Called once per attempt; no I/O; the key is added afterwards.

    Raises:
        RequestError: The dialect has no words for something that was asked.
    """


@hookspec
def decode_chunk(connection: Connection, chunk: Chunk, state: dict[str, Any]) -> Sequence[Event]:  # type: ignore[empty-body]
    """Say what a chunk means. Called for every chunk: the hot path; no I/O.

    `state` is a dict of this attempt's own, empty at its start, for dialects whose chunks depend on earlier ones. The
    same chunks in the same order must give the same events. What msgspec raises for unreadable data may pass through;
    read the chunk before `state` is changed, because one that could be put right is decoded again.
    """


@hookspec
def extract_usage(connection: Connection, payload: Mapping[str, Any]) -> Usage:  # type: ignore[empty-body]
    """Read the provider's usage object, as an earlier `UsageReport` carried it; no I/O."""


@hookspec
def authorize(connection: Connection, wire: WireRequest) -> WireRequest:  # type: ignore[empty-body]
    """Optional: add credentials that need the encoded body or the network. After encoding, once per attempt; may block.

    Without it the key is put where the connection's `auth_header` says.
    """


@hookspec
def decode_error(connection: Connection, response: WireResponse) -> Failure | None:
    """Optional: read an answer with an error status. None leaves it to core, which knows the common shapes; no I/O."""


@hookspec
def encode_prefill(connection: Connection, request: InferenceRequest, text: str) -> WireRequest:  # type: ignore[empty-body]
    """Optional: ask for the rest of an answer whose beginning is `text`; the model writes on from there. No I/O.

    Called once with an empty text before anything is sent, to find out whether it can be done.

    Raises:
        RequestError: This model or place cannot.
    """


@hookspec
def encode_resume(connection: Connection, request: InferenceRequest, state: dict[str, Any]) -> WireRequest | None:
    """Optional: ask the provider for the rest of an answer that it has kept. No I/O.

    `state` is that of the attempt that broke off, in which `decode_chunk` has noted what is needed, and it goes on
    with the same one. None: it is not yet known which answer it was. Called once with an empty state before anything is
    sent, to find out whether it can be done.

    Raises:
        RequestError: The provider keeps no answers, or was not asked to keep this one.
    """
