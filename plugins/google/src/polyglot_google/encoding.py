"""Encoding of a request to generateContent: contents of parts, system instruction, tools, and generationConfig."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from polyglot_core.plugin import (
    JSONSchema,
    RawTool,
    Tool,
    annotated_schema,
    cannot_express,
    json_request,
    merged,
    translate_options,
)
from polyglot_google.framing import StreamFramer
from polyglot_google.parts import Writer

if TYPE_CHECKING:
    from polyglot_core.plugin import InferenceRequest, WireRequest

__all__ = ["wire_request"]

_JSONObject = dict[str, Any]

_OPTIONS = {
    "max_tokens": "generationConfig.maxOutputTokens",
    "temperature": "generationConfig.temperature",
    "top_p": "generationConfig.topP",
    "top_k": "generationConfig.topK",
    "stop": "generationConfig.stopSequences[]",
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

_MODES = {"auto": "AUTO", "required": "ANY", "none": "NONE"}
_BUDGETS = {"none": 0, "minimal": 1024, "low": 1024, "medium": 8192, "high": 24576}
"""Tokens by effort, for models that accept budgets only; the values are those of Google's own OpenAI endpoint."""
_LEVELS = frozenset({"minimal", "low", "medium", "high", "xhigh"})
_KNOWS_BUDGETS_ONLY = "gemini-2.5"


def wire_request(model_url: str, base_url: str, request: InferenceRequest, *, driver: str) -> WireRequest:
    """Return the request to generateContent or streamGenerateContent.

    Args:
        model_url: URL of the model, to which the method is added.
        base_url: URL of the endpoint, below which it keeps files.
        request: The request.
        driver: Name of the driver, for error messages.

    Raises:
        RequestError: The request uses a feature that the API does not have.
    """
    method = "streamGenerateContent?alt=sse" if request.stream else "generateContent"
    return json_request(
        f"{model_url}:{method}",
        _body(base_url, request, driver),
        stream=request.stream,
        framing=StreamFramer,
        finish_counts="last",  # a STOP may be sent with every chunk, and another reason with the last
        response_headers=("x-gemini-service-tier",),
    )


def _body(base_url: str, request: InferenceRequest, driver: str) -> _JSONObject:
    instruction, contents = Writer(request, base_url, driver).conversation()
    body: _JSONObject = {"contents": contents}
    if instruction:
        body["systemInstruction"] = {"parts": instruction}
    body.update(translate_options(request, _OPTIONS, driver=driver, instead=_INSTEAD))
    settings = _settings(request, body.pop("generationConfig", {}), driver)
    if settings:
        body["generationConfig"] = settings
    if request.tools:
        body["tools"] = _tools(request)
    if calling := _calling(request, driver):
        body["toolConfig"] = {"functionCallingConfig": calling}
    return merged(body, _as_written(request.extra, body))


def _as_written(extra: Mapping[str, Any], body: Mapping[str, Any]) -> _JSONObject:
    """Return `extra` with the names of the fields as the body has them, also if the user writes them in snake case.

    The API reads both, as one field, so that both must not be sent.
    """
    fields: _JSONObject = {}
    for name, value in extra.items():
        camel = _camel(str(name))
        known = camel if camel in body else name
        before = body.get(known)
        both = isinstance(before, Mapping) and isinstance(value, Mapping)
        given = _as_written(value, before) if both else value  # type: ignore[arg-type]  # both are objects
        fields[known] = merged({known: fields[known]}, {known: given})[known] if known in fields else given
    return fields


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))


# Tools


def _tools(request: InferenceRequest) -> list[Mapping[str, Any]]:
    """Return the functions as one tool, then the tools of the API's own shape."""
    functions = [tool for tool in request.tools if isinstance(tool, Tool)]
    declared = [{**tool.fields("parametersJsonSchema", strict=False), **tool.extra} for tool in functions]
    own = [tool.payload for tool in request.tools if isinstance(tool, RawTool)]
    return [*([{"functionDeclarations": declared}] if declared else []), *own]


def _calling(request: InferenceRequest, driver: str) -> _JSONObject:
    """Return the mode of tool calls. VALIDATED is AUTO with arguments that match their schemas; ANY implies that."""
    if request.parallel_tool_calls is False:
        cannot_express(request, "parallel_tool_calls=False", driver=driver)
    choice = request.tool_choice
    if any(isinstance(tool, Tool) and tool.strict for tool in request.tools) and choice in {None, "auto"}:
        return {"mode": "VALIDATED"}
    if choice is None:
        return {}
    return {"mode": _MODES[choice]} if choice in _MODES else {"mode": "ANY", "allowedFunctionNames": [choice]}


# Settings


def _settings(request: InferenceRequest, settings: _JSONObject, driver: str) -> _JSONObject:
    """Return the generationConfig."""
    if "logprobs" in settings:
        settings.setdefault("responseLogprobs", True)
    if config := settings.pop("thinkingConfig", None):
        settings["thinkingConfig"] = _thinking(request, config, driver)
    wanted = request.response_format
    if wanted is not None and wanted != "text":
        settings["responseMimeType"] = "application/json"
    if isinstance(wanted, JSONSchema):
        settings["responseJsonSchema"] = annotated_schema(request, wanted, driver=driver)
    return settings


def _thinking(request: InferenceRequest, config: _JSONObject, driver: str) -> _JSONObject:
    """Return the thinkingConfig: a budget or a level, never both. Thoughts are included in the response."""
    effort, budget = config.get("thinkingLevel"), config.get("thinkingBudget")
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
