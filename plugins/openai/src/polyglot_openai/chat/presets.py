"""Endpoints that speak OpenAI's chat completions, as rows of data.

A row states the base URL of an endpoint and how it differs from the dialect, and nothing that is the same everywhere.
Sources are the providers' own references and recorded exchanges. A row names a model only if a response was received
from it.
"""

from __future__ import annotations

from polyglot_core.plugin import Preset

__all__ = ["PRESETS"]

_THINK_TAGS = ("<think>", "</think>")
_TOP_K = {"top_k": "top_k"}
_NO_THINKING = "(none)"
"""Stands for thinking where an endpoint rejects a turn with tool calls that has none, or an empty text."""

PRESETS = {
    # Developers of models
    "openai": Preset(
        driver="openai",
        base_url="https://api.openai.com/v1",
        api_key_env="OPENAI_API_KEY",
        model="gpt-4o-mini",
        facts={"token_limit": "max_completion_tokens"},
    ),
    "ai21": Preset(
        driver="openai",
        base_url="https://api.ai21.com/studio/v1",
        api_key_env="AI21_API_KEY",
        facts={"stream_usage": False, "developer_role": "system", "unsupported": ("json_schema",)},
    ),
    "deepseek": Preset(
        driver="openai",
        base_url="https://api.deepseek.com",
        api_key_env="DEEPSEEK_API_KEY",
        model="deepseek-v4-flash",
        data_mode="tool",  # schemas are enforced for the arguments of tools alone
        facts={
            "developer_role": "system",
            "unsupported": ("json_schema", "image", "audio", "document"),
            "reasoning_back": ("reasoning_content",),
            "reasoning_default": _NO_THINKING,
            "failed_on": {"insufficient_system_resource": 503},
        },
    ),
    "gemini-openai": Preset(
        driver="openai",
        base_url="https://generativelanguage.googleapis.com/v1beta/openai",
        api_key_env="GEMINI_API_KEY",
        model="gemini-3.5-flash",
        facts={
            "options": {"reasoning_budget": "extra_body.google.thinking_config.thinking_budget"},
            "developer_role": "system",
            "think_tags": ("<thought>", "</thought>"),
            "reasoning_signature": "extra_content.google.thought_signature",
            "reasoning_back": ("extra_content.google.thought_signature",),
            "call_signature": "extra_content.google.thought_signature",
        },
    ),
    "inception": Preset(
        driver="openai",
        base_url="https://api.inceptionlabs.ai/v1",
        api_key_env="INCEPTION_API_KEY",
        model="mercury",
        facts={"developer_role": "system"},
    ),
    "meta": Preset(
        driver="openai",
        base_url="https://api.llama.com/compat/v1",
        api_key_env="LLAMA_API_KEY",
        facts={"token_limit": "max_completion_tokens", "developer_role": "system"},
    ),
    "minimax": Preset(
        driver="openai",
        base_url="https://api.minimax.io/v1",
        api_key_env="MINIMAX_API_KEY",
        facts={
            "body": {"reasoning_split": True},  # without it the thinking is sent inside the text, between tags
            "token_limit": "max_completion_tokens",
            "developer_role": "system",
            "reasoning_back": ("reasoning_details",),
            "error_at": "base_resp",
            "error_statuses": {
                "1000": 500,
                "1001": 504,
                "1002": 429,
                "1004": 401,
                "1008": 402,
                "1013": 500,
                "1026": 400,
                "1027": 400,
                "1039": 429,
                "2013": 400,
                "2049": 401,
            },
        },
    ),
    "moonshot": Preset(
        driver="openai",
        base_url="https://api.moonshot.ai/v1",
        api_key_env="MOONSHOT_API_KEY",
        model="kimi-k3",
        facts={
            "developer_role": "system",
            "reasoning_back": ("reasoning_content",),
            "reasoning_default": _NO_THINKING,
            "usage_at": ("choices.0.usage",),
            "prefill": {"message": {"partial": True}},
        },
    ),
    "perplexity": Preset(
        driver="openai",
        base_url="https://api.perplexity.ai",
        api_key_env="PERPLEXITY_API_KEY",
        model="sonar",
        facts={
            "options": _TOP_K,
            "developer_role": "system",
            "unsupported": ("tools", "tool_choice", "parallel_tool_calls", "json"),
            "think_tags": _THINK_TAGS,
            "citations_at": ("search_results", "citations"),
        },
    ),
    "qwen": Preset(
        driver="openai",
        base_url="https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
        api_key_env="DASHSCOPE_API_KEY",
        model="qwen3-max",
        facts={"options": {**_TOP_K, "reasoning_budget": "thinking_budget"}, "developer_role": "system"},
    ),
    "writer": Preset(
        driver="openai",
        base_url="https://api.writer.com/v1",
        api_key_env="WRITER_API_KEY",
        model="palmyra-x4",
        facts={"path": "/chat", "developer_role": "system"},
    ),
    "xai": Preset(
        driver="openai",
        base_url="https://api.x.ai/v1",
        api_key_env="XAI_API_KEY",
        model="grok-4.3",
        facts={
            "token_limit": "max_completion_tokens",
            "reasoning_back": ("reasoning_content",),
            "citations_at": ("citations",),
        },
    ),
    "zai": Preset(
        driver="openai",
        base_url="https://api.z.ai/api/paas/v4",
        api_key_env="ZAI_API_KEY",
        model="glm-4.7",
        facts={
            "options": {"user": "user_id"},
            "developer_role": "system",
            "unsupported": ("json_schema",),
            "reasoning_back": ("reasoning_content",),
        },
    ),
    # Hosts of other developers' models
    "avian": Preset(
        driver="openai",
        base_url="https://api.avian.io/v1",
        api_key_env="AVIAN_API_KEY",
        model="moonshotai/kimi-k2.5",
        facts={"reasoning_back": ("reasoning_content",)},
    ),
    "baseten": Preset(
        driver="openai",
        base_url="https://inference.baseten.co/v1",
        api_key_env="BASETEN_API_KEY",
        model="zai-org/GLM-5.2",
        facts={"options": _TOP_K, "reasoning_back": ("reasoning_content",)},
    ),
    "cerebras": Preset(
        driver="openai",
        base_url="https://api.cerebras.ai/v1",
        api_key_env="CEREBRAS_API_KEY",
        model="gpt-oss-120b",
        facts={"token_limit": "max_completion_tokens", "developer_role": "system"},
    ),
    "crusoe": Preset(
        driver="openai",
        base_url="https://api.inference.crusoecloud.com/v1",
        api_key_env="CRUSOE_API_KEY",
        model="zai/GLM-5.2",
        facts={"options": _TOP_K, "reasoning_back": ("reasoning",)},
    ),
    "deepinfra": Preset(
        driver="openai",
        base_url="https://api.deepinfra.com/v1/openai",
        api_key_env="DEEPINFRA_API_KEY",
        facts={"options": _TOP_K, "reasoning_back": ("reasoning_content",)},
    ),
    "doubleword": Preset(
        driver="openai",
        base_url="https://api.doubleword.ai/v1",
        api_key_env="DOUBLEWORD_API_KEY",
        model="Qwen/Qwen3.5-9B",
        facts={"options": _TOP_K, "reasoning_back": ("reasoning_content",)},
    ),
    "fireworks": Preset(
        driver="openai",
        base_url="https://api.fireworks.ai/inference/v1",
        api_key_env="FIREWORKS_API_KEY",
        facts={"options": _TOP_K, "reasoning_back": ("reasoning_content",)},
    ),
    "groq": Preset(
        driver="openai",
        base_url="https://api.groq.com/openai/v1",
        api_key_env="GROQ_API_KEY",
        model="llama-3.3-70b-versatile",
        facts={
            "token_limit": "max_completion_tokens",
            "unsupported": ("logprobs", "top_logprobs", "name"),
            "think_tags": _THINK_TAGS,
            "usage_at": ("x_groq.usage",),
        },
    ),
    "heroku": Preset(
        driver="openai",
        base_url="https://us.inference.heroku.com/v1",
        api_key_env="INFERENCE_KEY",
        facts={"developer_role": "system"},
    ),
    "huggingface": Preset(
        driver="openai",
        base_url="https://router.huggingface.co/v1",
        api_key_env="HF_TOKEN",
        model="meta-llama/Llama-3.1-8B-Instruct",
        facts={
            "think_tags": _THINK_TAGS,
            "reasoning_back": ("reasoning_content",),
            "usage_at": ("x_groq.usage",),  # it forwards the responses of the endpoints behind it
        },
    ),
    "hyperbolic": Preset(
        driver="openai",
        base_url="https://api.hyperbolic.xyz/v1",
        api_key_env="HYPERBOLIC_API_KEY",
        facts={"options": _TOP_K, "developer_role": "system", "think_tags": _THINK_TAGS},
    ),
    "nebius": Preset(
        driver="openai",
        base_url="https://api.tokenfactory.nebius.com/v1",
        api_key_env="NEBIUS_API_KEY",
        facts={"options": _TOP_K, "think_tags": _THINK_TAGS, "reasoning_back": ("reasoning_content",)},
    ),
    "novita": Preset(
        driver="openai",
        base_url="https://api.novita.ai/openai/v1",
        api_key_env="NOVITA_API_KEY",
        facts={"options": _TOP_K, "think_tags": _THINK_TAGS, "reasoning_back": ("reasoning_content",)},
    ),
    "nvidia": Preset(
        driver="openai",
        base_url="https://integrate.api.nvidia.com/v1",
        api_key_env="NVIDIA_API_KEY",
        facts={"developer_role": "system", "think_tags": _THINK_TAGS, "reasoning_back": ("reasoning_content",)},
    ),
    "sambanova": Preset(
        driver="openai",
        base_url="https://api.sambanova.ai/v1",
        api_key_env="SAMBANOVA_API_KEY",
        facts={"options": _TOP_K, "developer_role": "system", "think_tags": _THINK_TAGS},
    ),
    "together": Preset(
        driver="openai",
        base_url="https://api.together.xyz/v1",
        api_key_env="TOGETHER_API_KEY",
        model="meta-llama/Llama-3.3-70B-Instruct-Turbo",
        facts={"options": _TOP_K, "developer_role": "system", "think_tags": _THINK_TAGS},
    ),
    "venice": Preset(
        driver="openai",
        base_url="https://api.venice.ai/api/v1",
        api_key_env="VENICE_API_KEY",
        model="qwen3-5-9b",
        facts={
            "options": _TOP_K,
            "reasoning_encrypted": "reasoning_encrypted",
            "reasoning_back": ("reasoning_content",),
        },
    ),
    # Gateways
    "aihubmix": Preset(
        driver="openai",
        base_url="https://aihubmix.com/v1",
        api_key_env="AIHUBMIX_API_KEY",
        model="gpt-4o-mini",
    ),
    "github": Preset(
        driver="openai",
        base_url="https://models.github.ai/inference",
        api_key_env="GITHUB_TOKEN",
        facts={"headers": {"x-github-api-version": "2022-11-28"}},
    ),
    "github-copilot": Preset(
        driver="openai",
        base_url="https://api.githubcopilot.com",
        api_key_env="GITHUB_COPILOT_TOKEN",
        model="gpt-4o",
        facts={
            "headers": {"editor-version": "polyglot/1.0"},  # requests without the name of an editor are rejected
            "reasoning_fields": ("reasoning_text", "reasoning_content", "reasoning"),
            "reasoning_signature": "reasoning_opaque",
            "reasoning_back": ("reasoning_text", "reasoning_opaque"),
        },
    ),
    "litellm-proxy": Preset(
        driver="openai",
        base_url="http://localhost:4000/v1",
        facts={
            "cache_marks": True,
            "reasoning_blocks": "thinking_blocks",
            "reasoning_back": ("reasoning_content", "thinking_blocks"),
            "response_headers": ("x-litellm-*", "llm_provider-*"),
        },
    ),
    "opencode-zen": Preset(
        driver="openai",
        base_url="https://opencode.ai/zen/v1",
        api_key_env="OPENCODE_API_KEY",
        facts={"reasoning_back": ("reasoning_content",)},
    ),
    "openrouter": Preset(
        driver="openai",
        base_url="https://openrouter.ai/api/v1",
        api_key_env="OPENROUTER_API_KEY",
        model="openai/gpt-4o-mini",
        facts={
            "options": {**_TOP_K, "reasoning_effort": "reasoning.effort", "reasoning_budget": "reasoning.max_tokens"},
            "cache_marks": True,
            "document_urls": True,
            "reasoning_back": ("reasoning_details",),
        },
    ),
    "portkey": Preset(
        driver="openai",
        base_url="https://api.portkey.ai/v1",
        api_key_env="PORTKEY_API_KEY",
        auth_header="x-portkey-api-key",
        auth_scheme="",
    ),
    "vercel": Preset(
        driver="openai",
        base_url="https://ai-gateway.vercel.sh/v1",
        api_key_env="AI_GATEWAY_API_KEY",
        model="openai/gpt-5",
        facts={
            "options": {"reasoning_effort": "reasoning.effort", "reasoning_budget": "reasoning.max_tokens"},
            "cache_marks": True,
            "reasoning_back": ("reasoning_details",),
        },
    ),
    # Endpoints of a customer's own: the base URL depends on account, region or workspace and has to be specified.
    "azure-openai": Preset(  # https://RESOURCE.openai.azure.com
        driver="azure-openai",
        base_url=None,
        api_key_env="AZURE_OPENAI_API_KEY",
        auth_header="api-key",
        auth_scheme="",
    ),
    "azure-v1": Preset(  # https://RESOURCE.openai.azure.com/openai/v1
        driver="openai",
        base_url=None,
        api_key_env="AZURE_OPENAI_API_KEY",
        auth_header="api-key",
        auth_scheme="",
        facts={"token_limit": "max_completion_tokens"},
    ),
    "bedrock-openai": Preset(  # https://bedrock-runtime.REGION.amazonaws.com/openai/v1
        driver="openai",
        base_url=None,
        api_key_env="AWS_BEARER_TOKEN_BEDROCK",
        model="openai.gpt-oss-20b-1:0",
        facts={"token_limit": "max_completion_tokens", "reasoning_back": ("reasoning",)},
    ),
    "cloudflare": Preset(  # https://api.cloudflare.com/client/v4/accounts/ACCOUNT/ai/v1
        driver="openai",
        base_url=None,
        api_key_env="CLOUDFLARE_API_TOKEN",
        model="@cf/meta/llama-3.3-70b-instruct-fp8-fast",
        facts={"developer_role": "system", "think_tags": _THINK_TAGS},
    ),
    "databricks": Preset(  # https://WORKSPACE/serving-endpoints
        driver="openai",
        base_url=None,
        api_key_env="DATABRICKS_TOKEN",
        facts={"stream_usage": False, "developer_role": "system", "cache_marks": True},
    ),
    "gpustack": Preset(  # https://SERVER/v1
        driver="openai",
        base_url=None,
        api_key_env="GPUSTACK_API_KEY",
        facts={
            "options": _TOP_K,
            "developer_role": "system",
            "think_tags": _THINK_TAGS,
            "reasoning_back": ("reasoning_content",),
        },
    ),
    "snowflake": Preset(  # https://ACCOUNT.snowflakecomputing.com/api/v2/cortex/v1
        driver="openai",
        base_url=None,
        api_key_env="SNOWFLAKE_CORTEX_PAT",
        model="claude-sonnet-4-6",
        facts={
            "options": {"reasoning_effort": "reasoning.effort"},
            "token_limit": "max_completion_tokens",
            "developer_role": "system",
            "reasoning_back": ("reasoning_details",),
        },
    ),
    "watsonx": Preset(  # https://REGION.ml.cloud.ibm.com/ml/v1
        driver="openai",
        base_url=None,
        api_key_env="WATSONX_TOKEN",
        model="meta-llama/llama-3-3-70b-instruct",
        facts={"developer_role": "system"},
    ),
    # Local servers
    "llamacpp": Preset(
        driver="openai",
        base_url="http://localhost:8080/v1",
        facts={
            "options": _TOP_K,
            "developer_role": "system",
            "think_tags": _THINK_TAGS,
            "reasoning_back": ("reasoning_content",),
            "prefill": {},
            "complete_on": "both",  # llama-cpp-python also sends [DONE] if another request has interrupted this one
        },
    ),
    "lmstudio": Preset(
        driver="openai",
        base_url="http://localhost:1234/v1",
        facts={"options": _TOP_K, "developer_role": "system", "think_tags": _THINK_TAGS},
    ),
    "mistralrs": Preset(
        driver="openai",
        base_url="http://localhost:1234/v1",
        facts={"options": _TOP_K, "developer_role": "system", "think_tags": _THINK_TAGS},
    ),
    "ollama-openai": Preset(
        driver="openai",
        base_url="http://localhost:11434/v1",
        facts={
            "developer_role": "system",
            "result_parts": True,
            "think_tags": _THINK_TAGS,
            "reasoning_back": ("reasoning",),
        },
    ),
    "tgi": Preset(
        driver="openai",
        base_url="http://localhost:8080/v1",
        model="tgi",
        facts={
            "developer_role": "system",
            "schema_at": ("json_object", "value"),
            "think_tags": _THINK_TAGS,
        },
    ),
    "vllm": Preset(
        driver="openai",
        base_url="http://localhost:8000/v1",
        facts={
            "options": _TOP_K,
            "developer_role": "system",
            "think_tags": _THINK_TAGS,
            "reasoning_back": ("reasoning",),
            "prefill": {"body": {"continue_final_message": True, "add_generation_prompt": False}},
        },
    ),
}
"""Rows by preset name.

Facts, each with the default that applies if it is missing. A path inside an object is written with dots: ``a.b``.

Endpoint:
    path: What follows the base URL; ``/chat/completions``. ``{deployment}`` stands for the deployment.
    query: Parameters of the URL, by name. None.
    headers: Headers, by lower-case name. None.
    deployment: Name of the deployment; by default that of the model.
    token_provider: Function without arguments that returns a token. It is called before every request, by the driver
        ``azure-openai`` only. None: the key is sent.
Request:
    body: Fields of every request; the fields of the user's request override them. None.
    token_limit: Field for the option ``max_tokens``; ``max_tokens``.
    options: Field by option, for options that have another field here or that only this endpoint has. None.
    unsupported: What the endpoint does not support: options, and any of ``tools``, ``tool_choice``,
        ``parallel_tool_calls``, ``json``, ``json_schema``, ``image``, ``audio``, ``document`` and ``name`` (of a
        speaker). Nothing.
    developer_role: Role under which messages of the developer are sent; ``developer``.
    stream_usage: True if a streamed request may ask for a usage report; true.
    schema_at: Type of a response format that is a JSON Schema, and the field of it that holds the schema;
        ``("json_schema", "json_schema")``, which is an envelope with name and schema.
    cache_marks: True if text may be marked as the end of the part to be cached; false.
    document_urls: True if a document may be sent by its URL; false.
    result_parts: True if a tool result may have parts, such as images; false: it is text.
    reasoning_back: Fields in which the assistant's thinking is sent back; none, and thinking is dropped.
    reasoning_default: What is sent in the first of them on a turn with tool calls but without thinking, for endpoints
        that reject such a turn; nothing.
    prefill: How a request makes the model continue the assistant's last message: fields of that message (``message``)
        and of the body (``body``). Unknown, and ``resume="prefill"`` is an error. An empty object: no field is needed.
Embeddings:
    embedding_path: What follows the base URL for embeddings, as in ``path``; ``/embeddings``.
    embedding_limits: Most texts of a request, and most bytes of them together, or None; ``(2048, 300_000)``.
    embedding_encoding: How numbers are requested: ``base64``, ``float``, or None for no such field; ``base64``.
Response:
    reasoning_fields: Fields with thinking as text, of which the first one with text counts; ``reasoning_content``,
        ``reasoning``.
    reasoning_blocks: Field with thinking in blocks, with signatures and encrypted ones; ``reasoning_details``.
    reasoning_signature: Path of a signature for the thinking; none.
    reasoning_encrypted: Path of encrypted thinking; none.
    think_tags: Opening and closing tag of thinking inside the text; none.
    call_signature: Path of the signature in a tool call, both received and sent back; none.
    citations_at: Paths of a list of sources outside the choices, of which the first one present counts; none.
    usage_at: Paths of the usage if it is not in ``usage``; none.
    error_at: Path of an object whose ``status_code``, unless it is 0, means that the request failed; none.
    error_statuses: HTTP status by such a code. None.
    failed_on: HTTP status by a finish reason that means a failure of the provider. None.
    complete_on: Whether the response is complete at the end of the body after a ``finish`` reason, or only at the
        ``end`` marker, or only at that marker after a reason (``both``); ``finish``.
    finish_counts: Which finish reason counts if there are several: ``first`` or ``last``; ``first``.
    flush_at_eof: True if a last event without its blank line counts; false.
    response_headers: Further headers of the response to keep, in lower case; ``*`` stands for any characters. One that
        ends with ``-id`` has the id of the request if no usual header has; ids of two gateways, ``helicone-id`` and
        ``x-vercel-id``.
"""
