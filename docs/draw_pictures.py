"""Make the pictures of the pages: ``python docs/draw_pictures.py play``.

It needs a Chromium of the system (``chromium-headless-shell``, ``chromium`` or ``google-chrome``) and the extra
``polyglot-cli[play]``. The pictures are written to ``docs/pictures``, light and dark.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_FOLDER = Path(__file__).resolve().parent
_PICTURES = _FOLDER / "pictures"
_DRIVER = _FOLDER.parent / "plugins" / "cli" / "tests" / "chromium.py"
_SIZE = (1180, 730)  # CSS pixels
_PROMPT = "How warm will it be in Oslo?"
_FINISHED = "!document.querySelector('#send').disabled"


def draw_play() -> None:
    """Write pictures of `polyglot play`: two responses side by side, and one that was cut."""
    from polyglot_cli.play.server import serving  # noqa: PLC0415 (the extra)

    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        _without_keys(Path(folder)),
        serving(0, None, None) as (url, _),
        _chromium().opened(Path(folder) / "profile") as page,
    ):
        page.emulate(*_SIZE)
        page.visit(url)
        page.wait_for("document.querySelector('#connection-a')?.value")
        page.evaluate("document.querySelector('#alone').hidden = true")
        page.focus("#prompt")
        page.type(_PROMPT)
        page.evaluate("document.querySelector('#model-a').value = 'simulator-cut'")
        _send(page)
        _write(page, "play-cut")
        page.click("#compare")
        page.evaluate("document.querySelector('#model-a').value = 'simulator-tools'")
        page.evaluate("document.querySelector('#model-b').value = 'simulator-reasoning'")
        _send(page)
        _write(page, "play")


def _send(page: Any) -> None:  # noqa: ANN401 (a class of a module that is loaded by its path)
    page.press("Enter", control=True)
    page.wait_for(_FINISHED)
    page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")


def _write(page: Any, name: str) -> None:  # noqa: ANN401 (as above)
    for scheme in ("light", "dark"):
        page.emulate(*_SIZE, scheme=scheme)
        file = _PICTURES / f"{name}-{scheme}.png"
        file.write_bytes(page.picture())
        print(f"{file.relative_to(_FOLDER.parent)}: {file.stat().st_size:,} bytes")


def _chromium() -> Any:  # noqa: ANN401 (a module)
    """Return the module that drives the browser, which the tests of the command use too."""
    spec = importlib.util.spec_from_file_location("chromium", _DRIVER)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(_DRIVER)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@contextlib.contextmanager
def _without_keys(home: Path) -> Iterator[None]:
    """Remove keys and the configuration from the environment, so that pictures show none of the author's."""
    usual = dict(os.environ)
    for name in usual:
        if name.endswith(("_KEY", "_TOKEN")) or name.startswith("POLYGLOT_"):
            del os.environ[name]
    os.environ.update({"HOME": str(home), "XDG_CONFIG_HOME": str(home)})
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(usual)


PICTURES: dict[str, Callable[[], None]] = {"play": draw_play}
"""Function that makes each group of pictures."""


if __name__ == "__main__":
    _PICTURES.mkdir(exist_ok=True)
    for name in sys.argv[1:] or PICTURES:
        PICTURES[name]()
