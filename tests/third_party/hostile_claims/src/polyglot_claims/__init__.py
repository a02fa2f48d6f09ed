"""A package that registers the names ``openai`` and ``acme``, which are those of other packages."""
