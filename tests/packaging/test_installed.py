"""What a user has who installs the wheels and nothing else: no checkout, no configuration, no key."""

from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.wheels

LIST_DISTRIBUTIONS = """
import json
from importlib import metadata

ours = [dist for dist in metadata.distributions() if dist.name.startswith("polyglot")]
print(json.dumps({dist.name: [str(dist.locate_file("")), dist.read_text("direct_url.json")] for dist in ours}))
"""

LIST_MODULES = """
import json
import polyglot_cli, polyglot_core, polyglot_openai, polyglot_simulator

print(json.dumps([module.__file__ for module in (polyglot_core, polyglot_openai, polyglot_simulator, polyglot_cli)]))
"""


STREAM_FROM_SIMULATOR = """
import asyncio, json
from polyglot_core import AsyncInference, Inference
from polyglot_simulator import Simulator

async def ask(connection):
    pending = AsyncInference.from_connection(connection).create("Hello")
    deltas = [partial.content_delta async for partial in pending.stream()]
    return deltas, (await pending.response()).outcome

with Simulator(reply="One two three.") as simulator:
    pending = Inference.from_connection(simulator.connection).create("Hello")
    deltas = [partial.content_delta for partial in pending.stream()]
    print(json.dumps([[deltas, pending.response().outcome], asyncio.run(ask(simulator.connection))]))
"""


def test_every_package_comes_from_its_wheel(installed):
    """All polyglot distributions of the environment, and no others, were installed from the wheels just built."""
    found = json.loads(installed.program(LIST_DISTRIBUTIONS).stdout)
    assert set(found) == {"polyglot-core", "polyglot-openai", "polyglot-simulator", "polyglot-cli"}
    for place, direct in found.values():
        assert place.startswith(str(installed.folder))
        assert json.loads(direct)["url"].startswith(installed.wheelhouse.as_uri())
        assert "archive_info" in json.loads(direct)


def test_every_module_is_the_installed_one(installed):
    """Packages are imported from the environment; the checkout is not on the path."""
    for file in json.loads(installed.program(LIST_MODULES).stdout):
        assert file.startswith(str(installed.folder))


def test_the_command_streams_an_answer_at_once(installed):
    """The simulator replies where nothing is configured and no key is set."""
    run = installed.command("polyglot", "-c", "simulator", "Hello")
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip()
    assert "Traceback" not in run.stderr


def test_a_program_streams_from_the_simulator(installed):
    """A few lines of Python stream from the simulator through the installed driver, sync and async alike."""
    run = installed.program(STREAM_FROM_SIMULATOR)
    assert run.returncode == 0, run.stderr
    for deltas, outcome in json.loads(run.stdout):
        assert "".join(deltas) == "One two three."
        assert len(deltas) > 2
        assert outcome == "finished"


def test_no_module_is_imported_before_it_is_needed(installed):
    """Importing the core imports neither an HTTP client, nor plugins' metadata, nor any plugin."""
    run = installed.program("import sys, json, polyglot_core; print(json.dumps(sorted(sys.modules)))")
    modules = set(json.loads(run.stdout))
    unwanted = {"httpx", "httpx2", "importlib_metadata", "polyglot_openai", "polyglot_simulator", "anyio"}
    assert not modules & unwanted


LOAD_DRIVERS = """
import json
from polyglot_core import drivers

print(json.dumps([[driver.name, driver.distribution, driver.usable, driver.reason] for driver in drivers()]))
"""


def test_every_driver_loads_from_its_wheel(everything):
    """Installed beside each other from their wheels, all drivers load, and none stands in another's way."""
    found = json.loads(everything.program(LOAD_DRIVERS).stdout)
    assert [driver for driver in found if not driver[2]] == []
    assert {distribution for _, distribution, _, _ in found} == {
        f"polyglot-{name}" for name in ("anthropic", "bedrock", "cohere", "google", "mistral", "ollama", "openai")
    }
