"""Names of models in paths."""

from __future__ import annotations

from urllib.parse import quote

from polyglot_core.errors import RequestError

__all__ = ["in_path"]


def in_path(model: str, driver: str) -> str:
    """Return the name of a model as one segment of a path.

    Raises:
        RequestError: The name would select another path, or cannot be encoded.
    """
    try:
        segment = quote(model, safe="")
    except UnicodeEncodeError:
        segment = ""
    if segment.strip(".") == "":
        msg = f"The model {model!r} cannot be part of a URL. Check the name."
        raise RequestError(msg, provider=driver, phase="encode")
    return segment
