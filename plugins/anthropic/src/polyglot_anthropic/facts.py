"""The facts of a preset: how an endpoint differs from the dialect, and the defaults."""

from __future__ import annotations

from msgspec import Struct

__all__ = ["Facts"]


class Facts(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The parsed facts of a preset.

    Attributes:
        max_tokens: Limit of generated tokens if the request has none, since the dialect requires one. Every model can
            generate as many as the default.
        path: What is added to the base URL; ``{model}`` stands for the model.
        stream_path: The same for a stream; None is `path`.
        body_version: Version of the dialect if it is sent in the body, and the model in the path; None is a header.
        unsigned_thinking: True if the endpoint sends thinking without a signature, and accepts it back.
    """

    max_tokens: int = 4096
    path: str = "/messages"
    stream_path: str | None = None
    body_version: str | None = None
    unsigned_thinking: bool = False
