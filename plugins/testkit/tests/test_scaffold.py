"""New packages: what is written, that it works as it is, and what is refused."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib

import pytest
from click.testing import CliRunner

from polyglot_cli.commands import polyglot
from polyglot_core.errors import ConfigError
from polyglot_testkit.scaffold import new_driver, new_preset

SHARED = {".github/workflows/checks.yml", ".gitignore", "LICENSE", "README.md", "pyproject.toml"}


def files(folder):
    """Return the texts of the files in a folder by path."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_text("utf-8") for path in found}


def installed(folder):
    """Write the metadata of a package beside its source, as an installation does; return the path for imports."""
    project = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]
    source = folder / "src"
    metadata = source / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    metadata.mkdir()
    heading = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    (metadata / "METADATA").write_text(heading, "utf-8")
    groups = project["entry-points"].items()
    lines = [line for group, names in groups for line in (f"[{group}]", *(f"{n} = {m}" for n, m in names.items()))]
    (metadata / "entry_points.txt").write_text("\n".join(lines), "utf-8")
    return source


def run_tests(folder):
    """Run the tests of a package, which is found as an installed one, in a process of its own."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    variables = {
        **os.environ,
        "PYTHONPATH": str(installed(folder)),
        "HOME": str(folder),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, timeout=120, check=False)


def test_driver_has_all_files(tmp_path):
    """A driver's package is complete, and no placeholder is left in it."""
    folder = new_driver("acme-two", tmp_path)
    assert folder == tmp_path / "polyglot-acme-two"
    found = files(folder)
    assert set(found) == SHARED | {
        *(f"src/polyglot_acme_two/{name}" for name in ("__init__.py", "driver.py", "py.typed", "simulated.py")),
        *(f"tests/{name}" for name in ("test_driver.py", "test_exam.py")),
        *(f"tests/recordings/{name}" for name in ("failed.sse", "overloaded.json", "plain.json", "stream.sse")),
    }
    assert not [path for path, text in found.items() if "$" in text.replace("${{ matrix.python }}", "")]
    project = tomllib.loads(found["pyproject.toml"])["project"]
    assert project["entry-points"]["polyglot.drivers"] == {"acme-two": "polyglot_acme_two.driver"}
    assert project["entry-points"]["polyglot.dialects"] == {"acme-two": "polyglot_acme_two.simulated"}
    assert "polyglot_acme_two" not in found["src/polyglot_acme_two/simulated.py"]  # nothing of the driver is imported


def test_preset_has_all_files(tmp_path):
    """A preset's package requires the package of its driver, in the installed version."""
    found = files(new_preset("garden", tmp_path, driver="anthropic"))
    assert set(found) == SHARED | {
        *(f"src/polyglot_garden/{name}" for name in ("__init__.py", "presets.py", "py.typed")),
        "tests/test_preset.py",
    }
    assert not [path for path, text in found.items() if "$" in text.replace("${{ matrix.python }}", "")]
    project = tomllib.loads(found["pyproject.toml"])["project"]
    assert project["entry-points"]["polyglot.presets"] == {"garden": "polyglot_garden.presets"}
    assert project["dependencies"] == ["polyglot-core>=1.0.0.dev0,<2", "polyglot-anthropic>=1.0.0.dev0"]


@pytest.mark.http
@pytest.mark.parametrize(
    "write",
    [new_driver, new_preset, lambda name, directory: new_preset(name, directory, driver="bedrock")],
    ids=["driver", "row", "row of another driver"],
)
def test_new_package_passes_its_tests(write, tmp_path):
    """The tests of a new package pass, the exam and streams from its simulated dialect among them."""
    run = run_tests(write("garden-two", tmp_path))
    assert run.returncode == 0, run.stdout + run.stderr
    assert "passed" in run.stdout


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Acme", r"begins with a letter \(did you mean 'acme'\?\)\."),
        ("acme corp", r"\(did you mean 'acme-corp'\?\)"),
        ("acme_corp", r"\(did you mean 'acme-corp'\?\)"),
        ("acme--corp", r"\(did you mean 'acme-corp'\?\)"),
        ("Polyglot-Acme", r"\(did you mean 'acme'\?\)"),
        ("../acme", r"\(did you mean 'acme'\?\)"),
        ("8ball", r"begins with a letter\.$"),
        ("", r"begins with a letter\.$"),
        ("acme\n", r"\(did you mean 'acme'\?\)"),
        ("über", r"invalid"),
        ("a" * 41, r"has 41 characters; 40 are allowed"),
        ("class", r"keyword of Python; choose another, such as 'class-api'"),
        ("match", r"keyword of Python"),
        ("polyglot-acme", r"would make the package polyglot-polyglot-acme; use the name 'acme'"),
        ("openai", r"taken: it is a driver of polyglot-openai 1\.0\.0\.dev0\. Choose another name"),
        ("groq", r"taken: it is a preset of polyglot-openai"),
        ("testkit", r"taken: polyglot-testkit 1\.0\.0\.dev0 is installed"),
    ],
)
@pytest.mark.parametrize("write", [new_driver, new_preset])
def test_name_that_cannot_be_used(write, name, message, tmp_path):
    """A name that is invalid or taken is an error that states what to do, and nothing is written."""
    with pytest.raises(ConfigError, match=message):
        write(name, tmp_path)
    assert not list(tmp_path.iterdir())


def test_unknown_driver_of_a_row(tmp_path):
    """The error names the nearest driver and the installed ones."""
    with pytest.raises(
        ConfigError, match=r"no driver 'opnai' \(did you mean 'openai'\?\). Installed drivers: anthropic,"
    ):
        new_preset("garden", tmp_path, driver="opnai")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("existing", ["folder", "file", "dangling link"])
def test_nothing_is_overwritten(existing, tmp_path):
    """What has the name of the new folder stays as it is."""
    target = tmp_path / "polyglot-garden"
    if existing == "folder":
        target.mkdir()
        (target / "README.md").write_text("mine")
    elif existing == "file":
        target.write_text("mine")
    else:
        target.symlink_to(tmp_path / "nowhere")
    before = sorted(path.name for path in tmp_path.rglob("*"))
    with pytest.raises(ConfigError, match="exists, and nothing is overwritten"):
        new_driver("garden", tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


def test_missing_directory(tmp_path):
    """The error names the folder that has to be created."""
    with pytest.raises(ConfigError, match=r"There is no folder '.*projects'; create it first"):
        new_driver("garden", tmp_path / "projects")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_folder_that_cannot_be_written(tmp_path):
    """The error names the folder and the cause, and no temporary folder is left."""
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(ConfigError, match="could not be written: Permission denied"):
            new_driver("garden", tmp_path)
        assert not list(tmp_path.iterdir())
    finally:
        tmp_path.chmod(0o700)


def test_interrupted_write_leaves_nothing(tmp_path):
    """A file that cannot be written leaves neither the folder nor a temporary one."""
    from pathlib import PurePosixPath

    from polyglot_testkit.scaffold.writing import write_folder

    texts = {PurePosixPath("a.txt"): "", PurePosixPath("b" * 300): ""}
    with pytest.raises(ConfigError, match="could not be written: File name too long"):
        write_folder(tmp_path, "polyglot-garden", texts)
    assert not list(tmp_path.iterdir())


def test_command_prints_the_next_steps(tmp_path):
    """The command states where the package is, and the next three commands; the path is quoted for a shell."""
    folder = tmp_path / "my projects"
    folder.mkdir()
    ended = CliRunner().invoke(polyglot, ["new-driver", "garden", "--directory", str(folder)])
    assert ended.exit_code == 0, ended.output
    first, *steps = ended.output.splitlines()
    assert first == f"{folder / 'polyglot-garden'} is written. Next:"
    assert steps == [
        f"  cd '{folder / 'polyglot-garden'}'",
        '  python -m pip install -e ".[test,lint]"',
        "  python -m pytest",
    ]
    assert (folder / "polyglot-garden" / "pyproject.toml").is_file()


def test_command_writes_a_row(tmp_path):
    """The option for a row takes the driver that is named."""
    arguments = ["new-driver", "garden", "--row", "--driver", "mistral", "--directory", str(tmp_path)]
    ended = CliRunner().invoke(polyglot, arguments)
    assert ended.exit_code == 0, ended.output
    assert 'driver="mistral"' in (tmp_path / "polyglot-garden/src/polyglot_garden/presets.py").read_text("utf-8")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["Garden"], 3, "did you mean 'garden'"),
        (["garden", "--driver", "openai"], 2, "add --row"),
        ([], 2, "Missing argument"),
    ],
)
def test_command_that_cannot_be_run(arguments, code, message, tmp_path):
    """A name that cannot be used is an error of the configuration; wrong options are one of the command line."""
    ended = CliRunner().invoke(polyglot, ["new-driver", *arguments, "--directory", str(tmp_path)])
    assert ended.exit_code == code
    assert message in ended.output
    assert "Traceback" not in ended.output
    assert not list(tmp_path.iterdir())


def test_help_imports_no_library():
    """The help of the command imports neither core nor the templates."""
    program = (
        "import sys; from polyglot_testkit.scaffold_command import new_driver; "
        "print([name for name in ('polyglot_core', 'polyglot_testkit.exam', 'pytest') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout.strip() == "[]"
