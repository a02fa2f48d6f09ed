"""Google's Gemini, on the Gemini API and on Vertex AI, for Polyglot."""
