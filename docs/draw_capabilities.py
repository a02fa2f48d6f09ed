"""Tables of what the drivers can say, by asking them: each feature is encoded, and the body compared with one without.

Nothing is sent. A driver that raises `RequestError` cannot say it; one whose body is the same leaves it out.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from draw_features import FEATURES
from draw_providers import drivers, presets
from msgspec.structs import replace

from polyglot_core._drivers.bound import BoundDriver, Driver
from polyglot_core.errors import RequestError
from polyglot_core.plugin import Connection, InferenceRequest, Message

if TYPE_CHECKING:
    from collections.abc import Iterator

    from draw_features import Feature

    from polyglot_core.plugin import WireRequest

__all__ = ["draw_capabilities", "draw_said", "draw_wire"]

_MODELS = {
    "azure-openai": ("my-deployment",),
    "bedrock": ("us.amazon.nova-2-lite-v1:0", "us.anthropic.claude-haiku-4-5-20251001-v1:0", "openai.gpt-oss-20b-1:0"),
    "gemini": ("gemini-flash-latest", "gemini-2.5-flash"),
    "vertex": ("gemini-3.5-flash", "gemini-2.5-flash"),
}
"""Models to ask for, where the preset names none or where drivers say some options to one model and not to another."""

_ADDRESSES = {"azure-openai": "https://RESOURCE.openai.azure.com"}
"""Addresses of presets that have none."""


# Asking


class _Said(NamedTuple):
    """What a driver makes of a feature: ``yes``, ``no`` or ``left out``, and the words that it has for it."""

    verdict: str
    words: str


@cache
def _bound() -> dict[str, BoundDriver]:
    """The checkout's drivers, each for the place of its own name."""
    return {name: Driver(name, module).bind(_connection(name)) for name, module in drivers().items()}


@cache
def _connection(driver: str) -> Connection:
    preset = presets()[driver]
    return Connection(
        name=driver,
        driver=driver,
        model=preset.model,
        base_url=preset.base_url or _ADDRESSES[driver],
        api_key="test-key",
        auth_header=preset.auth_header,
        auth_scheme=preset.auth_scheme,
        facts=preset.facts,
    )


def _models(driver: str) -> tuple[str, ...]:
    return _MODELS.get(driver) or (str(_connection(driver).model),)


def _ask(driver: str, feature: Feature, model: str) -> _Said:
    encode = _bound()[driver].encode
    plain = msgspec.json.decode(encode(replace(feature.plain, model=model)).body)
    try:
        body = msgspec.json.decode(encode(replace(feature.asked, model=model)).body)
    except RequestError as error:
        return _Said("no", _refusal(error.message))
    found = list(_differences(plain, body, ""))
    found = [difference for difference in found if difference[1] is not _GONE] or found
    words = ", ".join(f"`{_shown(path, value)}`" for path, value in found)
    return _Said("yes", words) if words else _Said("left out", "left out")


def _refusal(message: str) -> str:
    """``no``, and what the driver says to use instead; what is code is shown as code."""
    _, use, hint = message.rstrip(".").partition("; use ")
    return "no" + use + re.sub(r"\w+=\{.*\}|(?<!\w)'([^']+)'", lambda code: f"`{code[1] or code[0]}`", hint)


# What is new in a body

_GONE = object()


def _differences(plain: Any, said: Any, path: str) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 (any JSON value)
    """Where `said` differs from `plain`, and what stands there."""
    if isinstance(plain, dict) and isinstance(said, dict):
        for name in {**said, **plain}:
            inner = f"{path}.{name}" if path else name
            if name not in plain:
                yield inner, said[name]
            else:
                yield from _differences(plain[name], said.get(name, _GONE), inner)
    elif isinstance(plain, list) and isinstance(said, list):
        yield from _new_items(plain, said, f"{path}[]")
    elif plain != said:
        yield path, said


def _new_items(plain: list[Any], said: list[Any], path: str) -> Iterator[tuple[str, Any]]:
    if len(plain) == len(said):
        for one, other in zip(plain, said, strict=True):
            yield from _differences(one, other, path)
    else:
        yield from ((path, item) for item in said if item not in plain)


def _shown(path: str, value: Any) -> str:  # noqa: ANN401 (any JSON value)
    """A value with its name in the body; where it stands in a list, with its name in there."""
    while isinstance(value, dict) and len(value) == 1:
        ((name, value),) = value.items()
        path = f"{path}.{name}"
    if value is _GONE:
        return f"no {path}"
    path = path.rpartition("[]")[2].removeprefix(".")
    text = msgspec.json.format(msgspec.json.encode(value), indent=0).decode().replace("\n", "")
    return f"{path}: {text}" if path else text


# Tables


def draw_capabilities() -> str:
    """A table of features and drivers: ``yes``, ``no``, ``left out``, or that it depends on the model."""
    names = sorted(_bound())
    lines = [f"| | {' | '.join(f'[{name}](providers/{name}.md)' for name in names)} |", f"|---|{'---|' * len(names)}"]
    for subject, features in FEATURES.items():
        lines.append(f"| **{subject}** |{' |' * len(names)}")
        for feature in features:
            verdicts = ({_ask(name, feature, model).verdict for model in _models(name)} for name in names)
            cells = (found.pop() if len(found) == 1 else "some models" for found in verdicts)
            lines.append(f"| {feature.name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def draw_said(driver: str) -> str:
    """A table of features and what a driver says for them, in its provider's words."""
    rows = ["| asked | said |", "|---|---|"]
    rows += [f"| {feature.name} | {_by_model(driver, feature)} |" for found in FEATURES.values() for feature in found]
    return "\n".join(rows)


def _by_model(driver: str, feature: Feature) -> str:
    models: dict[str, list[str]] = {}
    for model in _models(driver):
        models.setdefault(_ask(driver, feature, model).words, []).append(f"`{model}`")
    if len(models) == 1:
        return next(iter(models))
    return "<br>".join(f"{', '.join(asked)}: {words}" for words, asked in models.items())


_FRAMINGS = {
    "sse": "server-sent events",
    "ndjson": "JSON objects, one a line",
    "EventStreamFramer": "binary frames of AWS's event stream",
    "StreamFramer": "server-sent events, or JSON objects where they should be",
}
_COMPLETE_ON = {
    "finish": (
        "It is whole when it says so itself, or when the body ends after a finish reason; a body that ends before is "
        "`Truncated`."
    ),
    "end": "It is whole when it says so itself; a body that ends before is `Truncated`, even after a finish reason.",
}


def draw_wire(driver: str) -> str:
    """A list of how a driver asks and how its answers end, as its requests say."""
    plain, stream = (_wire(driver, stream=stream) for stream in (False, True))
    framing = stream.framing if isinstance(stream.framing, str) else stream.framing.__name__
    unfinished = " A last event without its blank line counts." if stream.flush_at_eof else ""
    lines = [
        f"- A plain answer is asked for at `{plain.url}`" + ("." if plain.url == stream.url else ","),
        *([] if plain.url == stream.url else [f"  a stream at `{stream.url}`."]),
        f"- A stream is {_FRAMINGS[framing]}.{unfinished}",
        f"- {_COMPLETE_ON[stream.complete_on]}",
        f"- Of several finish reasons the {stream.finish_counts} one counts.",
    ]
    return "\n".join(lines)


def _wire(driver: str, *, stream: bool) -> WireRequest:
    messages = (Message(role="user", content="Hello."),)
    return _bound()[driver].encode(InferenceRequest(model=_models(driver)[0], messages=messages, stream=stream))
