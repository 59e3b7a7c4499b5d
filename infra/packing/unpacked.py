"""The dependencies of all functions for one target: a folder of trimmed packages, made once.

For Lambda's machines pip takes the wheels that requirements/aws.txt pins, by their hashes. For the
interpreter that builds they are taken from its own environment, which holds the same versions.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.utils import canonicalize_name

from infra.packing import leftout
from infra.packing.pins import LOCK, Pin, pins
from infra.packing.targets import Target

MARK = "unpacked.json"
_SOURCES = [Path(__file__).with_name(f"{name}.py") for name in ("leftout", "pins", "targets")]


@dataclass(frozen=True, slots=True)
class Unpacked:
    """`files` of each package lie under `folder`, by relative path. `key` names all of it."""

    folder: Path
    key: str
    files: dict[str, list[str]]
    compiled: bool


class NotBuilt(Exception):
    """A package cannot be built; the text says what to do."""


def unpack(target: Target, work: Path) -> Unpacked:
    """The dependencies for `target`, under `work`; kept for the next build. Raises NotBuilt."""
    folder = work / target.name / "packages"
    interpreter = target.interpreter()
    key = _key(target, interpreter)
    mark = folder.with_name(MARK)
    try:
        known = json.loads(mark.read_text("utf-8"))
        if known["key"] == key:
            return Unpacked(folder, key, known["files"], interpreter is not None)
    except (OSError, ValueError, KeyError):
        pass
    mark.unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    wanted = [pin for pin in pins(target).values() if leftout.needed(pin.name)]
    files = _copied(wanted, folder) if target.is_host else _installed(wanted, target, folder)
    if interpreter is not None:
        compile_all(interpreter, folder)
        files = {name: [*paths, *compiled(folder, paths, target)] for name, paths in files.items()}
    mark.write_text(json.dumps({"key": key, "files": files}), "utf-8")
    return Unpacked(folder, key, files, interpreter is not None)


def _key(target: Target, interpreter: str | None) -> str:
    known = hashlib.sha256(f"{target}{interpreter is not None}{sys.prefix}".encode())
    for path in (LOCK, Path(__file__), *_SOURCES):
        known.update(path.read_bytes())
    return known.hexdigest()


def _copied(wanted: Sequence[Pin], folder: Path) -> dict[str, list[str]]:
    """From the environment of this interpreter."""
    files = {}
    for pin in wanted:
        try:
            package = metadata.distribution(pin.name)
        except metadata.PackageNotFoundError:
            package = None
        if package is None or package.version != pin.version:
            raise NotBuilt(
                f"{sys.prefix} does not hold {pin.name} {pin.version}: run requirements/install.sh"
                " dev, and build with .venv/bin/python"
            )
        files[pin.name] = [path for path in _recorded(package) if leftout.kept(path)]
        for path in files[pin.name]:
            copy = folder / path
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(str(package.locate_file(path)), copy)
    return files


def _installed(wanted: Sequence[Pin], target: Target, folder: Path) -> dict[str, list[str]]:
    """With pip, from wheels for another machine."""
    listed = folder.with_name("requirements.txt")
    listed.write_text("\n".join(pin.line for pin in wanted) + "\n", "utf-8")
    command = [
        *(sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--quiet"),
        *("--target", str(folder), "--no-compile", "--no-deps", "--require-hashes"),
        *("--only-binary", ":all:", "--implementation", "cp", "--python-version", target.version),
        *(part for tag in target.platforms for part in ("--platform", tag)),
        *("--requirement", str(listed)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotBuilt(f"pip cannot have the wheels for {target.name}:\n{done.stderr.strip()}")
    files: dict[str, list[str]] = {}
    for package in metadata.distributions(path=[str(folder)]):
        name = canonicalize_name(package.metadata["Name"])
        recorded = list(_recorded(package))
        files[name] = [path for path in recorded if leftout.kept(path)]
        for path in recorded:
            if not leftout.kept(path):
                (folder / path).unlink(missing_ok=True)
    if missing := {pin.name for pin in wanted} - files.keys():
        raise NotBuilt(f"pip left out {', '.join(sorted(missing))} for {target.name}")
    return files


def _recorded(package: metadata.Distribution) -> Iterator[str]:
    """The files of a package, as it recorded them."""
    for path in package.files or ():
        if not str(path).startswith("../"):
            yield path.as_posix()


def compile_all(interpreter: str, folder: Path) -> None:
    """Compile every module below `folder`, for ever: a function's disk is read-only, so what is not
    compiled here is compiled again at every cold start, for as long as the import itself takes.

    One process and a fixed seed: the same files give the same bytes.
    """
    command = [
        *(interpreter, "-m", "compileall", "-q", "-j", "1", "-s", str(folder)),
        *("--invalidation-mode", "unchecked-hash", str(folder)),
    ]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    # What does not compile is not meant for this version (and not imported by it).
    subprocess.run(
        command, env=clean | {"PYTHONHASHSEED": "0"}, stdout=subprocess.DEVNULL, check=False
    )


def compiled(folder: Path, paths: Iterable[str], target: Target) -> list[str]:
    """The compiled modules of `paths`, as far as there are any."""
    made = []
    for path in paths:
        place, _, name = path.rpartition("/")
        if name.endswith(".py"):
            cached = f"{name.removesuffix('.py')}.cpython-{target.version.replace('.', '')}.pyc"
            made.append("/".join((*([place] if place else []), "__pycache__", cached)))
    return [path for path in made if (folder / path).is_file()]
