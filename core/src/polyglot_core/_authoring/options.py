"""The request options: one name for all providers, translated by each driver, never dropped silently."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polyglot_core._values.options import EMBEDDING, NAMES, unknown_option
from polyglot_core.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from polyglot_core._values.request import InferenceRequest

__all__ = ["cannot_express", "translate_options"]

_NEUTRAL = {"n": 1, "logprobs": False, "presence_penalty": 0, "frequency_penalty": 0}
"""Values that equal the providers' defaults: a dialect without the option may omit them."""


def translate_options(
    request: InferenceRequest, names: Mapping[str, str], *, driver: str, instead: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return the request's options as fields of the dialect.

    Args:
        request: The request.
        names: Option → field of the dialect. A dotted name is a field of a nested object. A name that ends with ``[]``
            is a field that takes a list: a single text becomes a list of one.
        driver: Name of the driver, for messages.
        instead: Option → alternative to suggest, for options that the dialect does not have.

    Raises:
        RequestError: An option is unknown; or the dialect does not have it and `request.unsupported` is ``raise``.
    """
    body: dict[str, Any] = {}
    for option, value in request.options.items():
        if value is None:
            continue
        if option not in NAMES and option not in EMBEDDING:
            raise RequestError(unknown_option(option), provider=driver, phase="encode")
        if option in names:
            _put(body, names[option], value)
        elif option not in _NEUTRAL or value != _NEUTRAL[option]:
            cannot_express(request, f"option {option!r}", driver=driver, instead=(instead or {}).get(option))
    return body


def cannot_express(request: InferenceRequest, what: str, *, driver: str, instead: str | None = None) -> None:
    """Raise, warn or return, as `request.unsupported` specifies, for something that the dialect cannot express.

    If this function returns, omit the field.

    Args:
        request: The request.
        what: What cannot be expressed, such as ``"option 'top_k'"``.
        driver: Name of the driver, for the message.
        instead: Alternative to suggest in the message.

    Raises:
        RequestError: `request.unsupported` is ``raise``, the default.
    """
    hint = (
        f"use {instead}"
        if instead
        else "leave it out, or pass unsupported='drop'; extra={…} goes into the body as it is"
    )
    message = f"The driver {driver!r} cannot express {what}; {hint}."
    if request.unsupported == "raise":
        raise RequestError(message, provider=driver, phase="encode")
    if request.unsupported == "warn":
        _warn(message)


def _warn(message: str) -> None:
    """Warn with the location of the first caller outside Polyglot's packages; before Python 3.12, of the driver."""
    if sys.version_info >= (3, 12):
        warnings.warn(message, skip_file_prefixes=(str(Path(__file__).parents[2] / "polyglot_"),))
    else:
        warnings.warn(message, stacklevel=3)


def _put(body: dict[str, Any], dotted: str, value: object) -> None:
    *path, last = dotted.removesuffix("[]").split(".")
    for name in path:
        body = body.setdefault(name, {})
    body[last] = [value] if dotted.endswith("[]") and isinstance(value, str) else value
