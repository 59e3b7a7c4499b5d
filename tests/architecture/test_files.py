"""What files there are, how long they may be, and what must not be in them."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CODE = ("shared", "functions", "infra")
LONGEST = 400
VAGUE = {"util", "utils", "helper", "helpers", "manager", "managers", "service", "services"}

# Files that belong to one installer, and are full of addresses; requirements/ pins for all.
LOCKS = {"uv.lock", "poetry.lock", "pdm.lock", "Pipfile.lock", "package-lock.json", "yarn.lock"}
# Where packages come from is said by whoever installs them, not by the project.
REGISTRY = re.compile(r"\b(pypi|pythonhosted|npmjs|yarnpkg|debian|ubuntu|crates)\.(org|com|io)\b")


def tracked() -> list[Path]:
    """The files of the project: what git tracks or would track."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def python_files() -> list[Path]:
    return [path for folder in CODE for path in sorted((ROOT / folder).rglob("*.py"))]


needs_git = pytest.mark.skipif(
    not (ROOT / ".git").exists() or shutil.which("git") is None, reason="not a git checkout"
)


def test_no_module_is_longer_than_can_be_kept_in_mind():
    lengths = {path: len(path.read_text("utf-8").splitlines()) for path in python_files()}
    assert lengths
    assert {
        str(path.relative_to(ROOT)): lines for path, lines in lengths.items() if lines > LONGEST
    } == {}


def test_no_module_has_a_name_that_says_nothing():
    parts = {part for path in python_files() for part in path.with_suffix("").parts}
    words = {word for part in parts for word in part.split("_")}
    assert words & VAGUE == set()


def test_every_folder_of_code_is_a_package():
    folders = {
        path.parent
        for folder in ("shared/windowshop", "functions")
        for path in (ROOT / folder).rglob("*.py")
    }
    assert [str(f.relative_to(ROOT)) for f in folders if not (f / "__init__.py").exists()] == []


@needs_git
def test_no_lock_file_of_one_installer():
    assert [path.name for path in tracked() if path.name in LOCKS] == []


@needs_git
def test_no_address_of_a_package_registry():
    found = []
    for path in tracked():
        try:
            text = path.read_text("utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{path.relative_to(ROOT)}: {hit[0]}" for hit in REGISTRY.finditer(text)]
    assert found == []
