"""A call as a Python program that makes the same one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from polyglot_core import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from polyglot_cli.play.call import AttachedFile, PageCall

__all__ = ["as_python"]


def as_python(call: PageCall, *, config: str | None, simulated: bool) -> str:
    """Return a program that streams the text of the response. Attached files are read from the working directory.

    Args:
        call: The call.
        config: Path of the configuration file; None is the default one.
        simulated: Whether the connection is the simulator of the page.

    Raises:
        RequestError: The call has neither a text nor a file, or a file is of no known type.
    """
    call.messages()  # raises if the call cannot be made
    lines = [
        *_imports(call, simulated=simulated),
        "",
        *_opening(call, config, simulated=simulated),
        "    stream = inference.stream(",
        *(f"        {argument}," for argument in _arguments(call)),
        "    )",
        "    for text in stream.text():",
        '        print(text, end="", flush=True)',
    ]
    return "\n".join([*lines, ""])


def _imports(call: PageCall, *, simulated: bool) -> Iterator[str]:
    parts = [file.part for file in call.files]
    names = {"Inference", *(type(part).__name__ for part in parts)}
    names |= {"Message"} if _has_messages(call) else set()
    names |= {"Text"} if parts and call.prompt.strip() else set()
    if any(isinstance(part, Text) for part in parts):
        yield "from pathlib import Path"
        yield ""
    yield f"from polyglot_core import {', '.join(sorted(names))}"
    if simulated:
        yield "from polyglot_simulator import Simulator"


def _has_messages(call: PageCall) -> bool:
    return bool(call.files or call.system.strip())


def _opening(call: PageCall, config: str | None, *, simulated: bool) -> Iterator[str]:
    if simulated:
        yield "with Simulator() as simulator:"
        yield "    inference = Inference.from_connection(simulator.connection)"
        return
    chosen = _literal(call.connection) + ("" if config is None else f", config={_literal(config)}")
    yield f"with Inference.using({chosen}) as inference:"


def _arguments(call: PageCall) -> Iterator[str]:
    content = _content(call)
    if _has_messages(call):
        system = [_message("system", _literal(call.system))] if call.system.strip() else []
        yield f"[{', '.join([*system, _message('user', content)])}]"
    else:
        yield content
    if call.model:
        yield f"model={_literal(call.model)}"
    if call.options:
        items = (f"{_literal(name)}: {_value(value)}" for name, value in call.options.items())
        yield f"options={{{', '.join(items)}}}"


def _value(value: object) -> str:
    return _literal(value) if isinstance(value, str) else repr(value)


def _message(role: str, content: str) -> str:
    return f"Message(role={_literal(role)}, content={content})"


def _content(call: PageCall) -> str:
    if not call.files:
        return _literal(call.prompt)
    parts = [_part(file) for file in call.files]
    text = [f"Text({_literal(call.prompt)})"] if call.prompt.strip() else []
    return f"[{', '.join([*parts, *text])}]"


def _part(file: AttachedFile) -> str:
    part = file.part
    if isinstance(part, Text):
        return f"Text(Path({_literal(file.name)}).read_text())"
    return f"{type(part).__name__}.from_path({_literal(file.name)})"


def _literal(text: str) -> str:
    """Return a text as a literal in double quotes, whose escapes JSON and Python have in common."""
    return json.dumps(text, ensure_ascii=False) if text.replace("\n", "").isprintable() else json.dumps(text)
