"""``polyglot connections``: the names that ``-c`` accepts, and a guided way to add one."""

from __future__ import annotations

from typing import Any

import click

from polyglot_cli.groups import DefaultGroup
from polyglot_cli.parameters import complete_connection, config_option

__all__ = ["connections"]


@click.group(cls=DefaultGroup)
def connections() -> None:
    """List the connections, add one, or choose the default.

    \b
    Examples:
      polyglot connections
      polyglot connections mistral      those with this text in name, model or URL
      polyglot connections --check      send each a request
      polyglot connections add
      polyglot connections default work
      polyglot connections --json | jq -r '.[] | select(.usable) | .name'

    Your own connections and servers on this machine are always listed, hosted providers when their key is set.
    """  # noqa: D301 (click's sign for lines that stay as they are)


@connections.command(name="list")
@click.argument("text", required=False)
@click.option("show_all", "--all", is_flag=True, help="List also the providers whose key is not set.")
@click.option("--check", is_flag=True, help="Request the list of models, to see who responds and accepts the key.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array of objects, with all names.")
@config_option
def list_connections(text: str | None, config: str | None, **options: bool) -> None:
    """List the connections, one a line.

    \b
    Examples:
      polyglot connections list --all
      polyglot connections list --config work.toml
    """  # noqa: D301 (click's sign for lines that stay as they are)
    from polyglot_cli import connection_list  # noqa: PLC0415 (it imports the whole library)

    code = connection_list.list_connections(config, text, **options)
    click.get_current_context().exit(code)


@connections.command()
@click.argument("name", shell_complete=complete_connection)
@config_option
def default(name: str, config: str | None) -> None:
    """Choose the connection that is used where none is named.

    \b
    Examples:
      polyglot connections default work
      polyglot connections default ollama

    It is written into the configuration file, whose comments stay.
    """  # noqa: D301 (click's sign for lines that stay as they are)
    from polyglot_cli.default_connection import choose  # noqa: PLC0415 (it imports the whole library)

    choose(name, config)


@connections.command(short_help="Add a connection: asks, tests and writes it.")
@click.argument("name", required=False)
@click.option("--preset", metavar="NAME", help="Preset or driver that it starts from.")
@click.option("--model", metavar="NAME", help="Model of calls that name none.")
@click.option("--base-url", metavar="URL", help="URL of a server of your own, or where the preset has none.")
@click.option("--env", metavar="VARIABLE", help="Environment variable that holds the key.")
@click.option("--command", metavar="LINE", help="Command that prints the key.")
@click.option("--keyring", is_flag=True, help="Keep the key in the system's keyring; it is asked for.")
@click.option("--default/--no-default", "default", default=None, help="Use it when no connection is named, or do not.")
@click.option("--test/--no-test", "tested", default=True, help="Send one small request, or none.")
@click.option("-y", "--yes", is_flag=True, help="Ask nothing; what is not given has its default.")
@config_option
def add(**options: Any) -> None:  # noqa: ANN401 (each option's own)
    """Add a connection to the configuration file: asks, tests it, and writes it.

    \b
    Examples:
      polyglot connections add
      polyglot connections add work --preset openai --env WORK_KEY --model gpt-4.1
      polyglot connections add local --preset ollama --model qwen3 --yes --no-test
      polyglot connections add mine --preset openai --base-url http://10.0.0.5/v1

    The file's comments stay, and only you can read it. The key itself is never written into it.
    """  # noqa: D301 (click's sign for lines that stay as they are)
    from polyglot_cli.connection_wizard import Given, add_connection  # noqa: PLC0415 (it imports the whole library)

    add_connection(Given(**options))
