"""Generate tables of the features that drivers support: each is encoded, and compared with a request without it.

Nothing is sent. A driver that raises `RequestError` does not support the feature; one whose body is the same omits it.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from draw_features import FEATURES
from draw_providers import drivers, presets
from draw_reference import meanings
from msgspec.structs import replace

from polyglot_core import Capabilities, Inference
from polyglot_core._drivers.bound import BoundDriver, Driver
from polyglot_core.errors import RequestError
from polyglot_core.plugin import Connection, InferenceRequest, Message

if TYPE_CHECKING:
    from collections.abc import Iterator

    from draw_features import Feature

    from polyglot_core.plugin import WireRequest

__all__ = ["draw_capabilities", "draw_encoding", "draw_expressed", "draw_wire"]

_MODELS = {
    "azure-openai": ("my-deployment",),
    "bedrock": ("us.amazon.nova-2-lite-v1:0", "us.anthropic.claude-haiku-4-5-20251001-v1:0", "openai.gpt-oss-20b-1:0"),
    "gemini": ("gemini-flash-latest", "gemini-2.5-flash"),
    "vertex": ("gemini-3.5-flash", "gemini-2.5-flash"),
}
"""Models to use if the preset names none, or if a driver supports some options for some models only."""

_ADDRESSES = {"azure-openai": "https://RESOURCE.openai.azure.com"}
"""Base URLs for presets that have none."""


# Encoding


class _Encoding(NamedTuple):
    """A driver's encoding of a feature: the verdict ``yes``, ``no`` or ``omitted``, and the fields that express it."""

    verdict: str
    fields: str


@cache
def _bound() -> dict[str, BoundDriver]:
    """Return the drivers of the checkout, each bound to the endpoint of its own name."""
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


def _encoding(driver: str, feature: Feature, model: str) -> _Encoding:
    encode = _bound()[driver].encode
    plain = msgspec.json.decode(encode(replace(feature.plain, model=model)).body)
    try:
        body = msgspec.json.decode(encode(replace(feature.request, model=model)).body)
    except RequestError as error:
        return _Encoding("no", _reason(error.message))
    found = list(_differences(plain, body, ""))
    found = [difference for difference in found if difference[1] is not _GONE] or found
    fields = ", ".join(f"`{_shown(path, value)}`" for path, value in found)
    return _Encoding("yes", fields) if fields else _Encoding("omitted", "omitted")


def _reason(message: str) -> str:
    """Return ``no`` and the replacement that the driver suggests; code in it is formatted as code."""
    _, use, hint = message.rstrip(".").partition("; use ")
    return "no" + use + re.sub(r"\w+=\{.*\}|(?<!\w)'([^']+)'", lambda code: f"`{code[1] or code[0]}`", hint)


# Differences of two bodies

_GONE = object()


def _differences(plain: Any, other: Any, path: str) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 (any JSON value)
    """Yield the paths at which `other` differs from `plain`, with the values there."""
    if isinstance(plain, dict) and isinstance(other, dict):
        for name in {**other, **plain}:
            inner = f"{path}.{name}" if path else name
            if name not in plain:
                yield inner, other[name]
            else:
                yield from _differences(plain[name], other.get(name, _GONE), inner)
    elif isinstance(plain, list) and isinstance(other, list):
        yield from _new_items(plain, other, f"{path}[]")
    elif plain != other:
        yield path, other


def _new_items(plain: list[Any], other: list[Any], path: str) -> Iterator[tuple[str, Any]]:
    if len(plain) == len(other):
        for before, after in zip(plain, other, strict=True):
            yield from _differences(before, after, path)
    else:
        yield from ((path, item) for item in other if item not in plain)


def _shown(path: str, value: Any) -> str:  # noqa: ANN401 (any JSON value)
    """Return a value with its path in the body; for an item of a list, with its path in the item."""
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
    """Return a table of features and drivers: ``yes``, ``no``, ``omitted``, or that it depends on the model."""
    names = sorted(_bound())
    lines = [f"| | {' | '.join(f'[{name}](providers/{name}.md)' for name in names)} |", f"|---|{'---|' * len(names)}"]
    for subject, features in FEATURES.items():
        lines.append(f"| **{subject}** |{' |' * len(names)}")
        for feature in features:
            verdicts = ({_encoding(name, feature, model).verdict for model in _models(name)} for name in names)
            cells = (found.pop() if len(found) == 1 else "some models" for found in verdicts)
            lines.append(f"| {feature.name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def draw_expressed() -> str:
    """Return a table of the capabilities that `Inference.capabilities` finds for each driver."""
    names = sorted(_bound())
    found = {name: [_inference(name).capabilities(model) for model in _models(name)] for name in names}
    lines = [f"| | meaning | {' | '.join(names)} |", f"|---|---|{'---|' * len(names)}"]
    for capability, meaning in meanings(Capabilities).items():
        verdicts = ({getattr(each, capability) for each in found[name]} for name in names)
        cells = (("yes" if True in each else "no") if len(each) == 1 else "some models" for each in verdicts)
        lines.append(f"| `{capability}` | {meaning} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _inference(driver: str) -> Inference:
    return Inference.from_connection(_connection(driver))


def draw_encoding(driver: str) -> str:
    """Return a table of features and the fields in which a driver encodes them."""
    rows = ["| feature | encoded as |", "|---|---|"]
    rows += [f"| {feature.name} | {_by_model(driver, feature)} |" for found in FEATURES.values() for feature in found]
    return "\n".join(rows)


def _by_model(driver: str, feature: Feature) -> str:
    models: dict[str, list[str]] = {}
    for model in _models(driver):
        models.setdefault(_encoding(driver, feature, model).fields, []).append(f"`{model}`")
    if len(models) == 1:
        return next(iter(models))
    return "<br>".join(f"{', '.join(names)}: {fields}" for fields, names in models.items())


_FRAMINGS = {
    "sse": "server-sent events",
    "ndjson": "JSON objects, one per line",
    "EventStreamFramer": "binary frames of AWS's event stream",
    "StreamFramer": "server-sent events, or bare JSON objects",
}
_COMPLETE_ON = {
    "finish": (
        "A stream is complete after the end marker, or when the body ends after a finish reason. A body that ends "
        "earlier is `Truncated`."
    ),
    "end": (
        "A stream is complete only after the end marker. A body that ends earlier is `Truncated`, even after a finish "
        "reason."
    ),
}


def draw_wire(driver: str) -> str:
    """Return a list of the URLs of a driver, and of how its responses are framed and completed."""
    plain, stream = (_wire(driver, stream=stream) for stream in (False, True))
    framing = stream.framing if isinstance(stream.framing, str) else stream.framing.__name__
    unfinished = " The last event counts without its closing blank line." if stream.flush_at_eof else ""
    lines = [
        *(
            [f"- Requests are sent to `{plain.url}`."]
            if plain.url == stream.url
            else [f"- Plain requests are sent to `{plain.url}`,", f"  streaming requests to `{stream.url}`."]
        ),
        f"- Streams are {_FRAMINGS[framing]}.{unfinished}",
        f"- {_COMPLETE_ON[stream.complete_on]}",
        f"- Of several finish reasons the {stream.finish_counts} one counts.",
    ]
    return "\n".join(lines)


def _wire(driver: str, *, stream: bool) -> WireRequest:
    messages = (Message(role="user", content="Hello."),)
    return _bound()[driver].encode(InferenceRequest(model=_models(driver)[0], messages=messages, stream=stream))
