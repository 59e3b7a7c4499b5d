"""The pinned files hold what pyproject.toml asks for; a machine that cannot run it is told why."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from requirements.fit import facts, machine_flaw, python_flaw

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
GOOD = {
    "system": "Linux",
    "machine": "x86_64",
    "macos": (),
    "glibc": (2, 36),
    "version": (3, 12),
    "implementation": "CPython",
    "64bit": True,
    "free_threaded": False,
    "missing": [],
    "ensurepip": True,
}
MAC = GOOD | {"system": "Darwin", "machine": "arm64", "macos": (14, 5), "glibc": None}


def pinned(name):
    """{package: (version, number of hashes)} of one file."""
    text = (ROOT / "requirements" / name).read_text("utf-8")
    entries = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)[1:]
    heads = [re.match(r"([a-z0-9-]+)==(\S+)", entry) for entry in entries]
    assert all(heads)
    return {
        head[1]: (head[2], entry.count("--hash=sha256:"))
        for head, entry in zip(heads, entries, strict=True)
    }


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("demo.txt", PROJECT["dependencies"]),
        ("dev.txt", PROJECT["dependencies"] + EXTRAS["dev"] + EXTRAS["server"]),
        ("aws.txt", PROJECT["dependencies"] + EXTRAS["aws"] + EXTRAS["server"]),
    ],
)
def test_pins_satisfy_what_is_declared(name, wanted):
    pins = pinned(name)
    for requirement in map(Requirement, wanted):
        package = canonicalize_name(requirement.name)
        if package != "windowshop":
            assert pins[package][0] in requirement.specifier, f"{requirement}: run `make lock`"


@pytest.mark.parametrize("name", ["demo.txt", "dev.txt", "aws.txt"])
def test_every_pin_has_hashes(name):
    assert [package for package, (_, hashes) in pinned(name).items() if not hashes] == []


def test_the_test_environment_contains_the_demos():
    assert pinned("demo.txt").items() <= pinned("dev.txt").items()


def test_the_functions_run_what_the_tests_run():
    assert pinned("aws.txt").items() <= pinned("dev.txt").items()


@pytest.mark.parametrize("name", ["demo.txt", "dev.txt", "aws.txt"])
def test_nothing_heavy_is_pinned(name):
    heavy = {"torch", "transformers", "sentence-transformers", "pandas", "pyarrow"}
    assert heavy & pinned(name).keys() == set()


def test_the_demo_needs_nothing_of_aws():
    assert {"boto3", "qdrant-client", "mangum"} & pinned("demo.txt").keys() == set()


def test_the_core_declares_nothing_heavy():
    names = {canonicalize_name(Requirement(line).name) for line in PROJECT["dependencies"]}
    assert names & {"torch", "transformers", "pandas", "pyarrow", "boto3", "qdrant-client"} == set()


def test_this_machine_fits():
    assert machine_flaw(facts()) is None
    assert python_flaw(facts()) is None


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        (GOOD | {"glibc": (2, 27)}, "glibc 2.28 or newer"),
        (GOOD | {"glibc": None}, "Debian-based image"),
        (GOOD | {"machine": "i686"}, "64-bit"),
        (GOOD | {"system": "Windows"}, "WSL"),
        (MAC | {"macos": (13, 6)}, "macOS 14"),
        (MAC | {"machine": "x86_64"}, "Intel"),
    ],
)
def test_an_unfit_machine_is_told_why(changed, says):
    assert says in machine_flaw(changed)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"version": (3, 10)}, "is 3.10"),
        ({"version": (3, 15)}, "is 3.15"),
        ({"implementation": "PyPy"}, "PyPy"),
        ({"64bit": False}, "32-bit"),
        ({"free_threaded": True}, "free-threaded"),
        ({"missing": ["sqlite3"]}, "without sqlite3"),
        ({"ensurepip": False}, "apt-get install python3.12-venv"),
    ],
)
def test_an_unfit_python_is_told_why(changed, says):
    assert says in python_flaw(GOOD | changed)


def test_fitting_ones_are_not_turned_away():
    assert [flaw(known) for known in (GOOD, MAC) for flaw in (machine_flaw, python_flaw)] == [
        None
    ] * 4


def test_the_check_is_silent_where_all_is_well():
    ran = subprocess.run(
        [sys.executable, ROOT / "requirements" / "fit.py"], capture_output=True, check=True
    )
    assert (ran.stdout, ran.stderr) == (b"", b"")
