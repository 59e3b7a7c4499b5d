"""The pinned files hold what pyproject.toml asks for; a machine that cannot run it is told why."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
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
        (
            "dev.txt",
            [*PROJECT["dependencies"], *EXTRAS["dev"], *EXTRAS["server"], *EXTRAS["train"]],
        ),
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
    heavy = {
        "torch", "transformers", "sentence-transformers", "pandas", "pyarrow", "tensorboard", "pillow"
    }  # fmt: skip
    assert heavy & pinned(name).keys() == set()


def test_the_demo_needs_nothing_of_aws():
    assert {"boto3", "qdrant-client", "mangum"} & pinned("demo.txt").keys() == set()


def test_what_learns_is_neither_in_the_demo_nor_on_aws():
    learning = {canonicalize_name(Requirement(line).name) for line in EXTRAS["train"]}
    assert learning & (pinned("demo.txt").keys() | pinned("aws.txt").keys()) == set()


def test_the_core_declares_nothing_heavy():
    names = {canonicalize_name(Requirement(line).name) for line in PROJECT["dependencies"]}
    assert names & {"torch", "transformers", "pandas", "pyarrow", "boto3", "qdrant-client"} == set()


def wheel(folder, name, version, *needs):
    """A package of nothing."""
    info = f"{name}-{version}.dist-info"
    metadata = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}"]
    metadata += [f"Requires-Dist: {need}" for need in needs]
    made = {
        "METADATA": "\n".join(metadata),
        "WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any",
    }
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        for file, text in made.items():
            archive.writestr(f"{info}/{file}", text + "\n")
        archive.writestr(
            f"{info}/RECORD", "".join(f"{info}/{file},,\n" for file in [*made, "RECORD"])
        )


@pytest.mark.parametrize(
    ("needs", "installed", "says"),
    [
        (['cuda-none>=1; extra == "gpu"'], ["torch", "transformers"], "Installing torch"),
        (['nvidia-none-cu13>=1; sys_platform != "none"'], [], "No torch"),
    ],
    ids=["small", "cuda"],
)
def test_torch_is_installed_where_its_build_needs_no_cuda(tmp_path, needs, installed, says):
    home, wheels, target = (tmp_path / name for name in ("home", "wheels", "target"))
    (home / "requirements").mkdir(parents=True)
    wheels.mkdir()
    wheel(wheels, "torch", "0.0.1+cpu", *needs)
    wheel(wheels, "transformers", "0.0.2")
    shutil.copy(ROOT / "requirements" / "torch.sh", home / "requirements")
    pins = "# Two of them.\ntorch==0.0.1\ntransformers==0.0.2\n"
    (home / "requirements" / "torch.txt").write_text(pins, "utf-8")
    (home / ".venv" / "bin").mkdir(parents=True)
    (home / ".venv" / "bin" / "python").symlink_to(sys.executable)
    (home / ".venv" / "pyvenv.cfg").symlink_to(Path(sys.prefix) / "pyvenv.cfg")
    (home / ".venv" / "lib").symlink_to(Path(sys.prefix) / "lib")
    ran = subprocess.run(
        [home / "requirements" / "torch.sh"],
        env=os.environ
        | {"PIP_CONFIG_FILE": os.devnull, "PIP_FIND_LINKS": str(wheels), "PIP_NO_INDEX": "1"}
        | {"PIP_TARGET": str(target)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stdout) == (0, "")
    assert [line for line in ran.stderr.splitlines() if line.startswith("==> " + says)]
    assert ran.stderr.count("\n") == 1
    assert sorted(path.name for path in target.glob("*")) == [
        f"{name}-{version}.dist-info"
        for name, version in (("torch", "0.0.1+cpu"), ("transformers", "0.0.2"))
        if name in installed
    ]


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
