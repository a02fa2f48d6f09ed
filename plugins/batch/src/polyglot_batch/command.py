"""``polyglot batch``: the command that the package adds to ``polyglot``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from polyglot_batch.batches import Summary

__all__ = ["batch"]

_SOME_FAILED = 4


@click.command(name="batch", short_help="Make a call for each line of a file.")
@click.argument("source", type=click.Path(dir_okay=False), metavar="IN.JSONL")
@click.argument("target", type=click.Path(dir_okay=False), metavar="OUT.JSONL")
@click.option("-c", "--connection", metavar="NAME", help="Connection, preset or driver to use.")
@click.option("-m", "--model", metavar="NAME", help="Model of lines that name none, instead of the connection's.")
@click.option("-n", "--concurrency", type=click.IntRange(1), default=8, show_default=True, help="Calls at a time.")
@click.option("--retries", type=click.IntRange(0), metavar="N", help="Number of retries of each call.")
@click.option("--retry-errors", is_flag=True, help="Make the calls again that have ended with an error.")
@click.option(
    "--prices", "price_file", type=click.Path(), metavar="FILE", help="Table of prices, over the shipped one."
)
@click.option("--quiet", is_flag=True, help="Show no progress.")
@click.option("--config", type=click.Path(), metavar="FILE", help="Configuration file, instead of your own.")
def batch(source: str, target: str, **options: Any) -> None:
    """Make a call for each line of IN.JSONL, and write the results to OUT.JSONL.

    A line of the input is a JSON text, or an object with a prompt and, if needed, an id, a model or options. A line of
    the output has the id and the response, or an error. The same command resumes a batch that was interrupted: lines
    that are in the output are not sent again.

    \b
    Examples:
      polyglot batch questions.jsonl answers.jsonl
      polyglot batch -c openai -m gpt-4o-mini -n 32 in.jsonl out.jsonl
      polyglot batch --retry-errors in.jsonl out.jsonl

    The calls keep to the rate of the connection; where it has none, it is learnt from the provider's responses.

    \b
    Exit codes: 0 if every line has a response, 4 if some have an error; others as of `polyglot`.
    """  # noqa: D301 (click's sign for lines that stay as they are)
    # Imported here: they import the whole library, which `--help` does not need.
    from polyglot_batch.admission import with_rate  # noqa: PLC0415
    from polyglot_batch.batches import run_batch  # noqa: PLC0415
    from polyglot_batch.prices import Prices, shipped  # noqa: PLC0415
    from polyglot_core import Inference  # noqa: PLC0415

    own = options["price_file"]
    changed = {name: options[name] for name in ("model", "retries") if options[name] is not None}
    inference = Inference.using(options["connection"], config=options["config"], **changed)
    try:
        summary = run_batch(
            Inference.from_connection(with_rate(inference.connection)),
            source,
            target,
            concurrency=options["concurrency"],
            retry_errors=options["retry_errors"],
            progress=False if options["quiet"] else None,
            prices=None if own is None else Prices.from_file(own).over(shipped()),
        )
    except KeyboardInterrupt:
        if not options["quiet"]:
            click.echo("Interrupted; the same command makes the calls that are left.", err=True)
        raise
    if not options["quiet"]:
        click.echo(_sentence(summary), err=True)
    if summary.errors:
        click.get_current_context().exit(_SOME_FAILED)


def _sentence(summary: Summary) -> str:
    cost = f" {summary.cost}." if summary.cost.known else ""
    failed = f", {summary.errors} with an error (--retry-errors makes these calls again)" if summary.errors else ""
    made = f"{summary.made} call{'' if summary.made == 1 else 's'} made now"
    return f"{summary.done} of {summary.total} done{failed}; {made}.{cost}"
