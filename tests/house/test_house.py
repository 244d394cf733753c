"""Rules of the house that no single test of a part would hold."""

from __future__ import annotations

import ast
import itertools
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

import pytest

from streams.runtime.kafka import jars
from topics import load_catalogue

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("streams", "connectors", "topics", "schemas")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")


def ours(*suffixes: str) -> Iterator[Path]:
    """Every text file of the tree with one of these endings; what tools made is left out."""
    made = {".git", ".venv", "build", "dist", ".cimstream", ".hypothesis", "__pycache__"}
    for folder, names, files in os.walk(ROOT):
        names[:] = [n for n in names if n not in made and not n.endswith("_cache")]
        yield from (Path(folder, f) for f in files if not suffixes or Path(f).suffix in suffixes)


def modules() -> Iterator[Path]:
    for package in PACKAGES:
        yield from (ROOT / package).rglob("*.py")


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


# --- layers -------------------------------------------------------------------------------------


def test_the_import_contracts_hold() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()",
         "--no-cache"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def test_the_contract_that_keeps_connectors_apart_names_all_of_them() -> None:
    folders = {
        f"connectors.{path.parent.name}" for path in (ROOT / "connectors").glob("*/__init__.py")
    }
    contracts = PROJECT["tool"]["importlinter"]["contracts"]
    (named,) = (contract["modules"] for contract in contracts if contract["id"] == "connectors")
    assert set(named) == folders


def test_only_the_hardened_parser_reads_xml_of_others() -> None:
    """These calls of lxml and expat read XML; that of others needs the limits of schemas/xml.py."""
    calls = {
        "ParserCreate",
        "XMLParser",
        "XMLPullParser",
        "fromstring",
        "iterparse",
        "parse",
        "XML",
    }
    found = {
        relative(path)
        for path in modules()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in calls
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id in ("etree", "expat")
    }
    assert found == {
        "schemas/xml.py",
        "schemas/parsers.py",  # makes the one of schemas/xml.py, for each thread
        "schemas/profiles/shapes.py",  # reads the XSDs that we ship
        "schemas/profiles/validation.py",  # compiles them
    }


# --- packages -----------------------------------------------------------------------------------


@pytest.mark.parametrize("package", PACKAGES)
def test_no_dependency_brings_a_package_of_our_name(package: str) -> None:
    assert package not in sys.stdlib_module_names
    elsewhere = [
        entry
        for entry in sys.path
        if Path(entry, package, "__init__.py").exists() and Path(entry).resolve() != ROOT
    ]
    assert elsewhere == []


def test_the_distribution_is_installed_with_its_command() -> None:
    (command,) = distribution("cimstream").entry_points.select(group="console_scripts")
    assert (command.name, command.value) == ("cimstream", "streams.cli:main")


def test_every_module_says_what_lives_there() -> None:
    silent = [
        relative(path)
        for path in modules()
        if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert silent == []


def test_no_module_and_no_function_is_too_long_to_read() -> None:
    """400 lines a module; 70 a function, its docstring not counted."""
    long = [relative(path) for path in modules() if len(path.read_text("utf-8").splitlines()) > 400]
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                first = node.body[0]
                if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                    first = node.body[1] if len(node.body) > 1 else first
                if (node.end_lineno or 0) - first.lineno >= 70:
                    long.append(f"{relative(path)}:{node.name}")
    assert long == []


# --- what is installed --------------------------------------------------------------------------


def locked() -> dict[str, str]:
    """Name to the lines of its entry."""
    entries = re.split(r"\n(?=[a-z0-9])", LOCK.partition("\n")[2])
    pins = (re.match(r"([a-z0-9-]+)(\[[a-z,]+\])?==", entry) for entry in entries)
    return {pin.group(1): entry for pin, entry in zip(pins, entries, strict=True) if pin}


def test_everything_in_the_lock_file_has_hashes_and_no_address() -> None:
    pins = locked()
    assert len(pins) > 20
    assert [name for name, entry in pins.items() if "--hash=sha256:" not in entry] == []
    assert re.findall(r"https?:|--(?:extra-)?index|--find-links|file:| @ ", LOCK) == []


def test_every_requirement_is_locked() -> None:
    project = PROJECT["project"]
    extras = itertools.chain.from_iterable(project["optional-dependencies"].values())
    wanted = [*project["dependencies"], *extras]
    names = {re.split(r"[<>=!~\[ ;]", requirement)[0] for requirement in wanted}
    assert names - locked().keys() == set()


# --- what is written ----------------------------------------------------------------------------


def test_the_documented_kafka_is_the_one_that_is_started() -> None:
    named = {
        relative(path): set(re.findall(r"Kafka (\d+\.\d+\.\d+)", path.read_text("utf-8")))
        for path in ours(".md")
    }
    assert named["CHANGELOG.md"] == {jars.kafka_version()}
    assert {version for found in named.values() for version in found} == {jars.kafka_version()}


def test_the_changelog_has_the_version_of_the_project_or_work_on_the_next() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    version = PROJECT["project"]["version"]
    assert re.search(rf"^## \[(Unreleased|{re.escape(version)})\]", text, re.MULTILINE)


def test_no_file_names_a_machine_or_a_package_index() -> None:
    """The project builds anywhere: no home of a person, no path of where it was written."""
    home = re.compile(r"(?<![\w.~-])/(?:home|Users|root)/\w+")
    index = re.compile(r"index-url|files\.pythonhosted|pypi\.org/simple|repo1?\.maven\.apache\.org")
    here = str(ROOT) + "/" if len(ROOT.parts) > 2 else None
    found = []
    for path in ours():
        if path == Path(__file__).resolve() or path.suffix in (".gz", ".zip", ".png"):
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        if home.search(text) or index.search(text) or (here and here in text):
            found.append(relative(path))
    assert [name for name in found if name != "Makefile"] == []


def test_every_target_of_the_makefile_is_explained() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    phony = re.search(r"^\.PHONY:(.*)$", text, re.MULTILINE)
    assert phony
    explained = set(re.findall(r"^([a-z-]+):.*## ", text, re.MULTILINE))
    assert explained == set(phony.group(1).split())


def test_ci_runs_what_a_developer_runs() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert "make test" in script.read_text(encoding="utf-8")


# --- the catalogue and what it names ------------------------------------------------------------


def test_every_profile_of_the_catalogue_exists() -> None:
    for noun in load_catalogue().nouns.values():
        if noun.profile is not None:
            assert (ROOT / "schemas" / "profiles" / noun.profile / "profile.xsd").exists()


def test_every_code_with_which_the_catalogue_refuses_is_explained() -> None:
    codes = tomllib.loads((ROOT / "schemas" / "errors.toml").read_text(encoding="utf-8"))
    named = re.findall(r'"((?:noun|verb|interface)_\w+)"',
                       (ROOT / "topics" / "catalogue" / "model.py").read_text("utf-8"))  # fmt: skip
    assert named
    assert set(named) <= codes.keys()
