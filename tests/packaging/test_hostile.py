"""Five hostile packages beside good ones: every other connection works, and each hostile package is named.

One ends the process when it is imported, one never returns, one writes to standard output, one registers the names of
others, and one has drivers that violate the contract.
"""

from __future__ import annotations

import json
import re

import pytest

pytestmark = pytest.mark.wheels

HELLO = "Hello from the simulator."

CONFIG = """
[connections.by-preset]
preset = "polyglot-openai:openai"
base_url = "{url}"
api_key = "test-key-12345"
model = "m"

[connections.by-driver]
driver = "polyglot-openai:openai"
base_url = "{url}"
model = "m"

[connections.by-other-preset]
preset = "deepseek"
base_url = "{url}"
api_key = "test-key-12345"
model = "m"

[connections.contested]
driver = "openai"
base_url = "{url}"
model = "m"

[connections.exits]
driver = "exits"
model = "m"

[connections.hangs]
driver = "hangs"
model = "m"

[connections.writes]
driver = "writes"
base_url = "{url}"
model = "m"

[connections.misspelt]
driver = "misspelt"
model = "m"

[connections.attribute]
driver = "attribute"
model = "m"

[connections.nothing]
driver = "nothing"
base_url = "{url}"
model = "m"
"""

STREAM = """
import asyncio, json, sys
from polyglot_core import AsyncInference, Inference

async def text(name):
    return await AsyncInference.using(name).create("Hi", stream=True).text()

names = sys.argv[1:]
print(json.dumps([[Inference.using(name).create("Hi").text(), asyncio.run(text(name))] for name in names]))
"""

FAIL = """
import json, sys
from polyglot_core import Inference, PolyglotError

try:
    Inference.using(sys.argv[1]).create("Hi", stream=True).response()
except PolyglotError as error:
    print(json.dumps([type(error).__name__, error.message]))
"""

WORK = ("by-preset", "by-driver", "by-other-preset")


@pytest.fixture(scope="module")
def simulated(hostile):
    """The URL of a simulator that runs in the environment."""
    program = f"from polyglot_simulator import Simulator\nimport sys\nwith Simulator(reply={HELLO!r}) as simulator:\n"
    program += "    print(simulator.base_url, flush=True)\n    sys.stdin.read()\n"
    with hostile.started(program) as process:
        yield process.stdout.readline().strip()
        process.stdin.close()


@pytest.fixture(scope="module")
def variables(hostile, simulated):
    """The environment variables that name the configuration."""
    file = hostile.folder / "polyglot.toml"
    file.write_text(CONFIG.format(url=simulated), "utf-8")
    file.chmod(0o600)
    return {"POLYGLOT_CONFIG": str(file)}


def printed(run):
    """Return what a program printed as JSON."""
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def error_of(hostile, variables, name):
    """Return class and message of the error of a call over a connection."""
    return printed(hostile.program(FAIL, name, **variables))


def test_every_other_connection_works(hostile, variables):
    """Calls over connections that name no hostile package succeed, sync and async, and write nothing else."""
    run = hostile.program(STREAM, *WORK, **variables)
    assert printed(run) == [[HELLO, HELLO]] * len(WORK)
    assert run.stderr == ""


def test_presets_of_the_contested_driver_work(hostile, simulated):
    """A preset uses the driver of its own package, so a package that registers the driver's name changes nothing."""
    key = {"POLYGLOT_GROQ_BASE_URL": simulated, "POLYGLOT_GROQ_API_KEY": "test-key", "POLYGLOT_GROQ_MODEL": "m"}
    assert printed(hostile.program(STREAM, "groq", **key)) == [[HELLO, HELLO]]


@pytest.mark.parametrize(
    ("name", "kind", "parts"),
    [
        ("exits", "PluginError", ["Driver 'exits' of polyglot-exits 6.1", "SystemExit: polyglot-exits does not like"]),
        (
            "contested",
            "ConfigError",
            ["polyglot-claims 6.2 and polyglot-openai", 'driver = "polyglot-openai:openai"', "[packages]"],
        ),
        ("openai", "ConfigError", ["preset name 'openai'", "polyglot-claims 6.2", 'preset = "polyglot-openai:openai"']),
        (
            "misspelt",
            "PluginError",
            ["Driver 'misspelt' of polyglot-wrong-hooks 6.3", "decode_chunks", "did you mean 'decode_chunk'?"],
        ),
        (
            "attribute",
            "PluginError",
            [
                "polyglot-wrong-hooks 6.3",
                "'polyglot_wrong_hooks.unmarked:Driver'",
                "mean 'polyglot_wrong_hooks.unmarked'",
            ],
        ),
        ("nothing", "PluginError", ["polyglot-wrong-hooks 6.3", "returned NoneType from decode_chunk"]),
    ],
)
def test_connection_that_names_a_hostile_package(hostile, variables, name, kind, parts):
    """The error of the call names the package and its version, and what is wrong."""
    found, message = error_of(hostile, variables, name)
    assert found == kind
    assert all(part in message for part in parts), message


def test_connection_whose_package_writes(hostile, variables):
    """The command prints the response alone; what the package wrote is a warning that names it."""
    run = hostile.command("polyglot", "stream", "-c", "writes", "Hi", **variables)
    assert "Thank you" not in run.stdout
    assert "Driver 'writes' of polyglot-writes 6.4 wrote to standard output" in run.stderr


def test_connection_whose_package_hangs(hostile, variables):
    """The package is named after five seconds, while the import goes on; the program can be interrupted."""
    with hostile.started("from polyglot_core import Inference; Inference.using('hangs')", **variables) as process:
        line = process.stderr.readline()
        process.kill()
    assert "Driver 'hangs' of polyglot-hangs 6.5 is being imported for 5 seconds" in line


def test_choice_of_the_file(hostile, variables, tmp_path):
    """The table ``packages`` makes the bare name work for all connections, in the file and in code."""
    file = tmp_path / "chosen.toml"
    text = (hostile.folder / "polyglot.toml").read_text("utf-8")
    file.write_text(f'[packages]\nopenai = "polyglot-openai"\n{text}', "utf-8")
    file.chmod(0o600)
    assert printed(hostile.program(STREAM, "contested", POLYGLOT_CONFIG=str(file))) == [[HELLO, HELLO]]


@pytest.mark.parametrize("allowed", ["polyglot-openai", "polyglot-openai:openai"])
def test_choice_of_the_allow_list(hostile, variables, allowed):
    """The allow list makes the bare name work, and keeps the code of the others out."""
    run = hostile.program(STREAM, "contested", POLYGLOT_DRIVERS=allowed, **variables)
    assert printed(run) == [[HELLO, HELLO]]


def test_list_of_drivers_names_each(hostile):
    """``polyglot drivers`` lists the good ones as usable, and states what is wrong with each hostile one."""
    found = {row["name"]: row for row in printed(hostile.command("polyglot", "drivers", "--json"))}
    good = {"acme", "azure-openai", "contract-one", "openai-responses", "polyglot-openai:openai"}
    assert good <= {name for name, row in found.items() if row["usable"]}
    for name, reason in {
        "exits": "Driver 'exits' of polyglot-exits 6.1 could not be imported: SystemExit",
        "hangs": "Driver 'hangs' of polyglot-hangs 6.5 could not be imported: ImportError: the import did not end within 5 s",
        "misspelt": "which is not a hook (did you mean 'decode_chunk'?)",
        "attribute": "polyglot-wrong-hooks 6.3",
    }.items():
        assert not found[name]["usable"]
        assert reason in found[name]["reason"]
    for name, note in {
        "writes": "It wrote to standard output when it was imported",
        "unmarked": "It has authorize, which is not called",
        "polyglot-claims:openai": "The name 'openai' is also registered by polyglot-openai",
        "polyglot-openai:openai": "The name 'openai' is also registered by polyglot-claims 6.2.",
        "acme": "A preset of polyglot-claims 6.2 has this name and is used first; the driver is 'polyglot-acme:acme'.",
    }.items():
        assert found[name]["usable"]
        assert note in " ".join(found[name]["notes"])
    lines = hostile.command("polyglot", "drivers").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["NAME", *found]


def test_list_of_connections(hostile, variables):
    """``polyglot connections`` ends, and states for each connection whether it can be used."""
    found = {row["name"]: row for row in printed(hostile.command("polyglot", "connections", "--json", **variables))}
    assert all(found[name]["usable"] for name in WORK)
    assert not any(found[name]["usable"] for name in ("exits", "hangs", "contested", "misspelt"))
    assert "polyglot-hangs 6.5" in found["hangs"]["reason"]


def test_doctor_names_each(hostile, variables):
    """``polyglot doctor`` reports each as a problem, with its package, and ends with the exit code 1."""
    run = hostile.command("polyglot", "doctor", **variables)
    assert run.returncode == 1
    assert all(len(line) <= 80 or "/" in line for line in run.stdout.splitlines())  # paths are not broken
    said = re.sub(r"\s+", " ", run.stdout[run.stdout.index("problems found") :])
    for part in (
        "Driver 'exits' of polyglot-exits 6.1 could not be imported",
        "Driver 'hangs' of polyglot-hangs 6.5 could not be imported",
        "Driver 'misspelt' of polyglot-wrong-hooks 6.3 implements decode_chunks",
        "Driver 'unmarked' of polyglot-wrong-hooks 6.3: It has authorize",
        "Driver 'writes' of polyglot-writes 6.4: It wrote to standard output",
        "The name 'openai' is registered by polyglot-claims and polyglot-openai.",
    ):
        assert part in said, said
    report = json.loads(hostile.command("polyglot", "doctor", "--json", **variables).stdout)
    assert report["contested"] == {"openai": ["polyglot-claims", "polyglot-openai"]}
    assert report["packages"]["polyglot-hangs"] == "6.5"
    assert any("A preset of polyglot-claims 6.2" in note for note in report["notes"])
    assert "test-key-12345" not in run.stdout + json.dumps(report)
