"""OpenTelemetry spans and metrics of calls, by the semantic conventions for generative AI."""

from __future__ import annotations

from polyglot_otel.telemetry import Telemetry, telemetry

__all__ = ["Telemetry", "telemetry"]
