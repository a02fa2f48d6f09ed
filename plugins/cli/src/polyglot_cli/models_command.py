"""``polyglot models``: the models of a provider."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from polyglot_cli.parameters import complete_connection, config_option, name

if TYPE_CHECKING:
    from polyglot_core import Model

__all__ = ["models"]


@click.command(short_help="List the models of a provider.")
@click.argument("text", required=False)
@click.option(
    "-c", "--connection", type=name, metavar="NAME", shell_complete=complete_connection, help="Connection to use."
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array of objects.")
@config_option
def models(text: str | None, connection: str | None, as_json: bool, config: str | None) -> None:  # noqa: FBT001 (click's)
    """List the models of a provider, one a line, with their limits of tokens.

    \b
    Examples:
      polyglot models
      polyglot models -c ollama
      polyglot models -c openai gpt-4     those with this text in the name
      polyglot models --json | jq -r '.[].id'
    """  # noqa: D301 (click's sign for lines that stay as they are)
    from polyglot_cli.output import Output, write_line  # noqa: PLC0415 (needed when it runs)
    from polyglot_cli.views import as_json as json_text  # noqa: PLC0415 (it imports the whole library)
    from polyglot_core import Inference  # noqa: PLC0415 (as above)

    with Inference.using(connection, config=config) as inference:
        found = [model for model in inference.models() if text is None or text.lower() in model.id.lower()]
    if as_json:
        Output().write(json_text([_fields(model) for model in found], indent=2) + "\n")
        return
    if not found:
        write_line("The provider lists no models." if text is None else f"No model has the text {text!r}.")
    width = max((len(model.id) for model in found), default=0)
    Output().write("".join(_line(model, width) + "\n" for model in found))


def _fields(model: Model) -> dict[str, object]:
    fields = {field: getattr(model, field) for field in ("id", "name", "context_tokens", "output_tokens")}
    return {**fields, "created": model.created and model.created.isoformat()}


def _line(model: Model, width: int) -> str:
    from polyglot_cli.control_sequences import one_line  # noqa: PLC0415 (needed when it runs)

    limits = [
        f"{count:,} tokens {word}"
        for count, word in ((model.context_tokens, "in"), (model.output_tokens, "out"))
        if count is not None
    ]
    return one_line(f"{model.id:<{width}}  {', '.join(limits)}".rstrip())
