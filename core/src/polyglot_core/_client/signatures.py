"""The keyword arguments of methods that pass them on, for type checkers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from polyglot_core._engine.call_options import OnLength, OnTruncated, ResumeMode, Unsupported
    from polyglot_core._values.calls import Observers
    from polyglot_core._values.connection import Connection
    from polyglot_core._values.formats import Mode
    from polyglot_core._values.limits import Limits, Rate, Retries, Timeouts
    from polyglot_core._values.options import EmbeddingOptions, Options
    from polyglot_core._values.request import RawTool, Tool
    from polyglot_core._values.secret import Secret
    from polyglot_core._values.transports import TransportLayer

__all__ = ["CallArguments", "ConnectionFields", "EmbedArguments", "TextArguments"]


class _SendArguments(TypedDict, total=False):
    """The arguments of all methods that send requests."""

    model: str | None
    timeouts: Timeouts | Mapping[str, float | None] | float | None
    retries: Retries | int | Mapping[str, float] | None
    unsupported: Unsupported
    extra: Mapping[str, Any] | None
    headers: Mapping[str, str | Secret] | None


class EmbedArguments(_SendArguments, total=False):
    """The arguments of `embed` but for the texts."""

    options: EmbeddingOptions | None
    batch_size: int | None


class CallArguments(_SendArguments, total=False):
    """The arguments of `create` but for the messages and `response_format`, whose type is that of the data."""

    options: Options | None
    stream: bool | None
    tools: Sequence[Tool | RawTool | Mapping[str, Any]]
    tool_choice: str | Mapping[str, Any] | None
    parallel_tool_calls: bool | None
    data_mode: Mode | None
    on_truncated: OnTruncated
    resume: ResumeMode | None
    on_length: OnLength


class TextArguments(CallArguments, total=False):
    """The arguments of `create` but for the messages, where the type of the data does not matter."""

    response_format: Any


class ConnectionFields(TypedDict, total=False):
    """The fields of a `Connection` that can be given by name."""

    driver: str
    model: str | None
    base_url: str | None
    api_key: Secret | str | None
    options: Options | Mapping[str, Any]
    headers: Mapping[str, str | Secret]
    timeouts: Timeouts | Mapping[str, float | None] | float
    retries: Retries | Mapping[str, float] | int
    limits: Limits | Mapping[str, int]
    rate: Rate | Mapping[str, int] | None
    fallbacks: Sequence[str | Connection]
    proxy: Secret | str | None
    ca: str | None
    transport: str | TransportLayer | None
    allow_http: bool
    auth_header: str
    auth_scheme: str
    facts: Mapping[str, Any]
    data_mode: Mode | None
    observers: Observers
