"""OpenAI's chat completions, and the endpoints that speak them."""
