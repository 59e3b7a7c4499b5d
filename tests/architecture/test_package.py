"""What is built and shipped: all of the library, and nothing else."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (built,) = folder.glob("*.whl")
    with zipfile.ZipFile(built) as archive:
        yield archive


def test_the_wheel_holds_the_library_whole(wheel):
    source = ROOT / "shared" / "windowshop"
    files = {
        path.relative_to(source.parent).as_posix()
        for path in source.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    shipped = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert shipped == files
    assert {
        "windowshop/py.typed",
        "windowshop/page/index.html",
        "windowshop/weights.toml",
    } <= shipped


def test_the_wheel_names_its_licence_and_its_command(wheel):
    names = [name for name in wheel.namelist() if ".dist-info/" in name]
    assert any(name.endswith("licenses/LICENSE") for name in names)
    entry = wheel.read(next(name for name in names if name.endswith("entry_points.txt"))).decode()
    assert "windowshop = windowshop.cli:main" in entry
