"""The Polyglot driver for the generate API of Text Generation Inference."""
