"""The Polyglot driver for Claude on Bedrock by InvokeModel."""
