"""What is asked of generateContent: contents of parts, system instruction, tools, and the generation's settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from polyglot_core.plugin import JSONSchema, WireRequest, cannot_express, translate_options
from polyglot_google.framing import StreamFramer
from polyglot_google.parts import PartWriter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from polyglot_core.plugin import InferenceRequest, Tool

__all__ = ["wire_request"]

_JSONObject = dict[str, Any]

_JSON_HEADERS = {"content-type": "application/json", "accept": "application/json"}
_STREAM_HEADERS = {"content-type": "application/json", "accept": "text/event-stream"}

_OPTIONS = {
    "max_tokens": "generationConfig.maxOutputTokens",
    "temperature": "generationConfig.temperature",
    "top_p": "generationConfig.topP",
    "top_k": "generationConfig.topK",
    "stop": "generationConfig.stopSequences",
    "seed": "generationConfig.seed",
    "presence_penalty": "generationConfig.presencePenalty",
    "frequency_penalty": "generationConfig.frequencyPenalty",
    "n": "generationConfig.candidateCount",
    "logprobs": "generationConfig.responseLogprobs",
    "top_logprobs": "generationConfig.logprobs",
    "reasoning_effort": "generationConfig.thinkingConfig.thinkingLevel",
    "reasoning_budget": "generationConfig.thinkingConfig.thinkingBudget",
    "service_tier": "serviceTier",
    "metadata": "labels",
}
_INSTEAD = {"user": "metadata={'user': …}, which becomes labels"}

_ROLES = {"user": "user", "assistant": "model", "tool": "user"}
_INSTRUCTING = frozenset({"system", "developer"})
_MODES = {"auto": "AUTO", "required": "ANY", "none": "NONE"}
_BUDGETS = {"none": 0, "minimal": 1024, "low": 1024, "medium": 8192, "high": 24576}
"""Tokens for an effort where a model knows budgets only; they are those of Google's own OpenAI endpoint."""
_LEVELS = frozenset({"minimal", "low", "medium", "high", "xhigh"})
_KNOWS_BUDGETS_ONLY = "gemini-2.5"


def wire_request(model_url: str, base_url: str, request: InferenceRequest, *, driver: str) -> WireRequest:
    """The request in Google's words.

    Args:
        model_url: URL of the model, to which the method is added.
        base_url: URL of the place, below which it keeps files.
        request: The request.
        driver: Name of the driver, for messages.

    Raises:
        RequestError: There are no words for something that was asked.
    """
    body = msgspec.json.encode(_body(base_url, request, driver))
    if not request.stream:
        return WireRequest(url=f"{model_url}:generateContent", body=body, headers=_JSON_HEADERS, framing="whole")
    return WireRequest(
        url=f"{model_url}:streamGenerateContent?alt=sse",
        body=body,
        headers=_STREAM_HEADERS,
        framing=StreamFramer,
        complete_on="finish",
        finish_counts="last",  # a STOP may stand on every chunk, and another reason on the last
    )


def _body(base_url: str, request: InferenceRequest, driver: str) -> _JSONObject:
    writer = PartWriter(request, base_url, driver)
    body: _JSONObject = {"contents": _contents(request, writer)}
    if instruction := _instruction(request, writer):
        body["systemInstruction"] = {"parts": instruction}
    body.update(translate_options(request, _OPTIONS, driver=driver, instead=_INSTEAD))
    settings = _settings(request, body.pop("generationConfig", {}), driver)
    if settings:
        body["generationConfig"] = settings
    if request.tools:
        body["tools"] = [{"functionDeclarations": [_declaration(tool) for tool in request.tools]}]
    if calling := _calling(request, driver):
        body["toolConfig"] = {"functionCallingConfig": calling}
    return _with_extra(body, request.extra)


def _with_extra(body: _JSONObject, extra: Mapping[str, Any]) -> _JSONObject:
    """The body with `extra` laid over it. Objects are laid over field by field, and tools stand beside the others."""
    for name, value in extra.items():
        before = body.get(name)
        if isinstance(before, dict) and isinstance(value, dict):
            body[name] = {**before, **value}
        elif name == "tools" and before and isinstance(value, list):
            body[name] = [*before, *value]
        else:
            body[name] = value
    return body


# The conversation


def _contents(request: InferenceRequest, writer: PartWriter) -> list[_JSONObject]:
    """The turns. Results of one turn's calls have to stand in one turn, so that those that follow each other join."""
    contents: list[_JSONObject] = []
    before = ""
    for message in request.messages:
        if message.role in _INSTRUCTING:
            continue
        if message.role not in _ROLES:
            writer.cannot(f"a message of the role {message.role!r}")
            continue
        parts = writer.parts(message)
        if message.role == before == "tool":
            contents[-1]["parts"] += parts
        else:
            contents.append({"role": _ROLES[message.role], "parts": parts})
        before = message.role
    return contents


def _instruction(request: InferenceRequest, writer: PartWriter) -> list[_JSONObject]:
    """The parts of all system messages: there is one place for them, wherever they stood."""
    return [part for turn in request.messages if turn.role in _INSTRUCTING for part in writer.parts(turn)]


# What else is asked


def _declaration(tool: Tool) -> _JSONObject:
    described = {"description": tool.description} if tool.description else {}
    return {"name": tool.name, **described, "parametersJsonSchema": tool.parameters}


def _calling(request: InferenceRequest, driver: str) -> _JSONObject:
    """How the model may call. VALIDATED is AUTO with arguments that keep to their schemas; ANY has such anyway."""
    if request.parallel_tool_calls is False:
        cannot_express(request, "parallel_tool_calls=False", driver=driver)
    choice = request.tool_choice
    if any(tool.strict for tool in request.tools) and choice in {None, "auto"}:
        return {"mode": "VALIDATED"}
    if choice is None:
        return {}
    return {"mode": _MODES[choice]} if choice in _MODES else {"mode": "ANY", "allowedFunctionNames": [choice]}


def _settings(request: InferenceRequest, settings: _JSONObject, driver: str) -> _JSONObject:
    """The generationConfig."""
    if isinstance(stop := settings.get("stopSequences"), str):
        settings["stopSequences"] = [stop]
    if "logprobs" in settings:
        settings.setdefault("responseLogprobs", True)
    if asked := settings.pop("thinkingConfig", None):
        settings["thinkingConfig"] = _thinking(request, asked, driver)
    wanted = request.response_format
    if wanted is not None and wanted != "text":
        settings["responseMimeType"] = "application/json"
    if isinstance(wanted, JSONSchema):
        settings["responseJsonSchema"] = wanted.schema
    return settings


def _thinking(request: InferenceRequest, asked: _JSONObject, driver: str) -> _JSONObject:
    """The thinkingConfig: a budget or a level, never both, and the thoughts are to be seen."""
    effort, budget = asked.get("thinkingLevel"), asked.get("thinkingBudget")
    if effort is not None and budget is not None:
        either = "one of the two"
        cannot_express(request, "reasoning_effort and reasoning_budget together", driver=driver, instead=either)
    if budget is None and (effort == "none" or _KNOWS_BUDGETS_ONLY in request.model):
        budget = _BUDGETS.get(str(effort))
    if budget is not None:
        return {"thinkingBudget": budget, "includeThoughts": True} if budget else {"thinkingBudget": 0}
    if effort in _LEVELS and _KNOWS_BUDGETS_ONLY not in request.model:
        return {"thinkingLevel": str(effort).upper(), "includeThoughts": True}
    cannot_express(request, f"reasoning_effort {effort!r}", driver=driver, instead="minimal, low, medium or high")
    return {"includeThoughts": True}
