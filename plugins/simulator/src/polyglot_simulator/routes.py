"""The dialects by path and by driver: OpenAI's chat completions, and those that installed packages bring.

A package names the module of its dialect in the entry-point group ``polyglot.dialects``. The module is imported when
its driver is requested, or a path that no module imported so far has.
"""

from __future__ import annotations

import re
import sys
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, NamedTuple, cast
from urllib.parse import unquote

from polyglot_core.errors import ConfigError
from polyglot_simulator.contract import Access
from polyglot_simulator.embeddings import OpenAIEmbeddings
from polyglot_simulator.openai_chat import OpenAIChat, openai_models

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from polyglot_simulator.contract import Dialect, ModelList

__all__ = ["DEFAULT_DIALECT", "GROUP", "Route", "access_of", "route", "supported_drivers"]

GROUP = "polyglot.dialects"

DEFAULT_DIALECT: Dialect = OpenAIChat()
"""The dialect of responses to unknown paths, too."""

_OWN_PATHS: Mapping[str, Dialect] = {"/v1/chat/completions": DEFAULT_DIALECT, "/v1/embeddings": OpenAIEmbeddings()}
_MODELS_PATH = "/v1/models"
_DEFAULT_DRIVER = "openai"
_DEFAULT_ACCESS = Access()

_PACKAGES: Mapping[str, str] = {
    "anthropic": "polyglot-anthropic",
    "azure-openai": "polyglot-openai",
    "bedrock": "polyglot-bedrock",
    "cohere": "polyglot-cohere",
    "gemini": "polyglot-google",
    "mistral": "polyglot-mistral",
    "ollama": "polyglot-ollama",
    "openai-responses": "polyglot-openai",
    "vertex": "polyglot-google",
}
"""Polyglot's own packages by driver, so that an error can name the one that is missing."""


class Route(NamedTuple):
    """Where a request goes.

    Attributes:
        dialect: The dialect of its path.
        fields: Fields that the path contains, which are added to the body.
        accesses: The headers that may carry the key.
        models: Returns the list of models, if it is requested there; None if replies are.
    """

    dialect: Dialect
    fields: Mapping[str, Any]
    accesses: tuple[Access, ...]
    models: ModelList | None = None


class _Found(NamedTuple):
    """The tables of a dialect's module."""

    routes: Mapping[str, Dialect]
    accesses: Mapping[str, Access]
    models: Mapping[str, ModelList]


def route(path: str, query: str) -> Route | None:
    """Return where a request goes, or None if no dialect has its path."""
    if (own := _OWN_PATHS.get(path)) is not None:
        return Route(own, {}, (_DEFAULT_ACCESS,))
    for found in _importable():
        lists = [(pattern, next(iter(found.routes.values())), models) for pattern, models in found.models.items()]
        for pattern, dialect, models in [*((*row, None) for row in found.routes.items()), *lists]:
            if match := re.fullmatch(pattern, f"{path}?{query}"):
                fields = {name: unquote(text) for name, text in match.groupdict().items() if text is not None}
                # A provider may accept a bearer token beside a key in a header of its own.
                return Route(dialect, fields, (_DEFAULT_ACCESS, *found.accesses.values()), models)
    return Route(DEFAULT_DIALECT, {}, (_DEFAULT_ACCESS,), openai_models) if path == _MODELS_PATH else None


def access_of(driver: str) -> Access:
    """Return how `driver` reaches its dialect.

    Raises:
        ConfigError: No installed package brings the dialect of that driver, or its module is unusable.
    """
    if driver == _DEFAULT_DRIVER:
        return _DEFAULT_ACCESS
    module = _modules().get(driver)
    if module is None:
        raise ConfigError(_missing(driver), phase="configure")
    return _imported(driver, module).accesses[driver]


def supported_drivers() -> list[str]:
    """Return the drivers whose dialects are installed, by name."""
    return sorted({_DEFAULT_DRIVER, *_modules()})


def _missing(driver: str) -> str:
    package = _PACKAGES.get(driver)
    remedy = (
        f"Install the package that brings it: pip install {package}"
        if package
        else f"Install a package with an entry point {driver!r} in the group {GROUP!r}"
    )
    return (
        f"The simulator has no dialect for the driver {driver!r}; it has those of {', '.join(supported_drivers())}. "
        f"{remedy}."
    )


def _modules() -> Mapping[str, str]:
    """Return the modules of dialects by driver, in the order of the drivers' names."""
    return _modules_on(tuple(sys.path))


@cache
def _modules_on(_path: tuple[str, ...]) -> Mapping[str, str]:
    """Read the entry points once for each import path: this takes milliseconds, and there is a route a request."""
    return {point.name: point.value for point in sorted(entry_points(group=GROUP))}


def _importable() -> Iterator[_Found]:
    """Import one module after the other; one that is unusable does not hide the paths of the next."""
    for driver, module in _modules().items():
        try:
            yield _imported(driver, module)
        except ConfigError:
            continue


@cache
def _imported(driver: str, module: str) -> _Found:
    try:
        named = import_module(module)
        found = _Found(named.ROUTES, named.ACCESS, getattr(named, "MODELS", {}))
    except Exception as error:
        raise ConfigError(
            f"The dialect of the driver {driver!r} cannot be used: {module} raised {type(error).__name__}: {error}. "
            f"It must be importable and have ROUTES and ACCESS; see polyglot_simulator.dialect.",
            phase="configure",
        ) from error
    if driver not in cast("Mapping[object, object]", found.accesses):
        raise ConfigError(f"ACCESS in {module} has no row for the driver {driver!r}; add one.", phase="configure")
    return found
