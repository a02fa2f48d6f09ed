"""The columns of a preset's row: what the driver knows of a place that speaks the dialect, and the defaults."""

from __future__ import annotations

from msgspec import Struct

__all__ = ["Facts"]


class Facts(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A row's facts, read.

    Attributes:
        max_tokens: Most tokens to generate where the request says nothing, since the dialect wants a number. Every
            model can generate as many as the default.
        path: What is added to the base URL; ``{model}`` stands for the model.
        stream_path: The same for a stream; None is `path`.
        body_version: Version of the dialect where it stands in the body, and the model in the path; None is a header.
        unsigned_thinking: Whether the place gives thinking without a signature, and takes it back so.
    """

    max_tokens: int = 4096
    path: str = "/messages"
    stream_path: str | None = None
    body_version: str | None = None
    unsigned_thinking: bool = False
