"""The report of an exam as text, as JSON and as a web page."""

from __future__ import annotations

import html
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from polyglot_testkit.exam import Report

__all__ = ["as_html", "as_json", "as_text", "summary"]

_STATES = {"failed": "FAILED", "warned": "WARNING", "not run": "not run", "passed": "passed"}


def summary(report: Report) -> str:
    """Return the result in one sentence."""
    verdict = "did not pass" if report.failed else "passed"
    counts = f"{len(report.passed)} checks passed, {len(report.failed)} failed, {len(report.skipped)} not run"
    warned = f", {len(report.warned)} warnings" if report.warned else ""
    return f"{report.name} {verdict}: {counts}{warned}."


def as_text(report: Report) -> str:
    """Return the report for a terminal: failures first, then what was not run, thin recordings, hooks and cost."""
    order = list(_STATES)
    rows = sorted(report.results, key=lambda result: order.index(result.state))
    lines = [f"{_STATES[each.state]:8} {each.name}" + (f"\n         {each.why}" if each.why else "") for each in rows]
    if report.thin:
        lines += ["", "THIN RECORDINGS: the exam could not see these features. Record them."]
        lines += [f"  - {feature}: {how}" for feature, how in report.thin.items()]
    if report.hooks:
        lines += ["", "Hooks", *(f"  {hook}: {state}" for hook, state in report.hooks.items())]
    if report.left_out:
        lines += ["", "Left out", *(f"  {name}: {why}" for name, why in report.left_out.items())]
    return "\n".join([*lines, "", *_cost(report), summary(report)])


def _cost(report: Report) -> list[str]:
    if report.cost is None:
        return []
    times = report.cost.driver / report.cost.reference
    line = (
        f"decode_chunk takes {report.cost.driver:.1f} µs per chunk, {times:.1f} times as long as the reference driver "
        f"({report.cost.reference:.1f} µs)."
    )
    return [line]


def to_dict(report: Report) -> dict[str, Any]:
    """Return the report as a JSON value."""
    cost = None if report.cost is None else report.cost._asdict()
    return {
        "name": report.name,
        "passed": not report.failed,
        "checks": [result._asdict() for result in report.results],
        "thin": dict(report.thin),
        "hooks": dict(report.hooks),
        "left_out": dict(report.left_out),
        "microseconds_per_chunk": cost,
    }


def as_json(report: Report) -> str:
    """Return the report as JSON text."""
    return json.dumps(to_dict(report), indent=2, ensure_ascii=False)


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>
:root {{ color-scheme: light dark; --ink: #1d2127; --quiet: #5b6470; --page: #fff; --line: #d9dde3;
  --passed: #1a7f37; --failed: #c02626; --warned: #9a6700; }}
@media (prefers-color-scheme: dark) {{ :root {{ --ink: #e4e8ee; --quiet: #9aa4b1; --page: #14171c; --line: #333a44;
  --passed: #4cc26a; --failed: #ff7b72; --warned: #d9a520; }} }}
body {{ font: 1rem/1.5 system-ui, sans-serif; color: var(--ink); background: var(--page); max-width: 60rem;
  margin: 2rem auto; padding: 0 1rem; }}
h1 {{ font-size: 1.4rem; }} h2 {{ font-size: 1.1rem; margin-top: 2rem; }}
table {{ border-collapse: collapse; width: 100%; }}
td {{ border-top: 1px solid var(--line); padding: .35rem .75rem .35rem 0; vertical-align: top; }}
td:last-child {{ overflow-wrap: anywhere; }}
td:first-child {{ white-space: nowrap; width: 6rem; }}
.passed {{ color: var(--passed); }} .failed {{ color: var(--failed); font-weight: 600; }}
.warned {{ color: var(--warned); }} .quiet, .not-run {{ color: var(--quiet); }}
</style></head><body>
<h1>{title}</h1><p>{summary}</p>{sections}
</body></html>
"""


def as_html(report: Report) -> str:
    """Return the report as one web page, light or dark as the browser is, without other files."""
    order = list(_STATES)
    results = sorted(report.results, key=lambda result: order.index(result.state))
    rows = [
        f'<tr><td class="{result.state.replace(" ", "-")}">{_STATES[result.state]}</td><td>{html.escape(result.name)}'
        + (f'<br><span class="quiet">{html.escape(result.why)}</span>' if result.why else "")
        + "</td></tr>"
        for result in results
    ]
    sections = [
        _section("Checks", rows),
        _section("Thin recordings: what the exam could not see", _pairs(report.thin.items())),
        _section("Hooks", _pairs(report.hooks.items())),
        _section("Left out", _pairs(report.left_out.items())),
        *(f"<p>{html.escape(line)}</p>" for line in _cost(report)),
    ]
    title = html.escape(f"The exam of {report.name}")
    return _PAGE.format(title=title, summary=html.escape(summary(report)), sections="".join(sections))


def _pairs(pairs: Iterable[tuple[str, str]]) -> list[str]:
    return [f"<tr><td>{html.escape(name)}</td><td>{html.escape(value)}</td></tr>" for name, value in pairs]


def _section(title: str, rows: list[str]) -> str:
    return f"<h2>{title}</h2><table>{''.join(rows)}</table>" if rows else ""
