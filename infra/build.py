"""`make build`: one zip a function for Lambda's two machines, the bulk lane's image context, and
the OpenAPI document, into dist/; and under dist/host/ the zips for the interpreter that builds.

Without Docker. What has not changed since the last build is kept.
"""

import argparse
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from infra.alone import alone
from infra.packing import image, leftout, openapi, probe
from infra.packing.targets import DEPLOYED_TO, HOST, Target
from infra.packing.unpacked import NotBuilt, Unpacked, compile_all, compiled, unpack
from infra.packing.zips import Packed, pack
from windowshop.encode import DEFAULT, ModelSpec
from windowshop.encode.models import BUILT
from windowshop.encode.prepared import prepare

ROOT = Path(__file__).resolve().parents[1]
DIST = ROOT / "dist"
LIMIT = 240_000_000
"""Bytes of a package, unpacked. Lambda takes 262,144,000."""


@dataclass(frozen=True, slots=True)
class Function:
    """A deployed function: the folder of its code, its entry, whether it turns text to vectors."""

    name: str
    folder: str
    module: str
    embeds: bool

    @property
    def handler(self) -> str:
        return f"{self.module}.handler"


FUNCTIONS = (
    Function("recommend", "recommend", "functions.recommend.handler", embeds=True),
    Function("events", "events", "functions.events.handler", embeds=True),
    Function("ingest", "ingest", "functions.ingest.handler", embeds=False),
    Function("worker", "ingest", "functions.ingest.worker", embeds=True),
)


def zip_path(function: str, target: Target, dist: Path = DIST) -> Path:
    if target.is_host:
        return dist / "host" / f"{function}.zip"
    return dist / f"{function}-{target.name}.zip"


class Build:
    """One run: what several packages share is made once."""

    def __init__(self, dist: Path = DIST, model: str = DEFAULT) -> None:
        self.dist, self._work = dist, dist / ".work"
        self._work.mkdir(parents=True, exist_ok=True)
        self._spec = ModelSpec(model)
        self._model: Path | None = None

    def zips(
        self, target: Target, functions: Sequence[Function] = FUNCTIONS
    ) -> dict[str, dict[str, Any]]:
        """The packages of `functions` for `target`: what each is like. Raises NotBuilt."""
        with alone(self._work / "lock"):  # two at once would unpack into the same folders
            parts = Parts(target, unpack(target, self._work), *self._code(target), self._prepared())
            with ThreadPoolExecutor(os.cpu_count()) as pool:  # packing leaves the interpreter free
                made = pool.map(partial(self._package, parts), functions)
                return {function.name: one for function, one in zip(functions, made, strict=True)}

    def _prepared(self) -> Path:
        """The folder of the built model; its name is the model's."""
        if self._model is None:
            self._model = prepare(self._spec, self._work / "built", self._work / "models")
        return self._model

    def _code(self, target: Target) -> tuple[Path, list[str]]:
        """A folder with our own code, and its files; compiled where the target's Python is here."""
        folder = self._work / target.name / "code"
        shutil.rmtree(folder, ignore_errors=True)
        own = _own_files()
        for name, path in own.items():
            copy = folder / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
        interpreter = target.interpreter()
        if interpreter is not None:
            compile_all(interpreter, folder)
        return folder, [*own, *compiled(folder, own, target)]

    def _package(self, parts: "Parts", function: Function) -> dict[str, Any]:
        target = parts.target
        path = zip_path(function.name, target, self.dist)
        entries = parts.entries(function)
        known = self._work / target.name / f"{function.name}.json"
        key = parts.key(entries)
        try:
            before: dict[str, Any] = json.loads(known.read_text("utf-8"))
            if before["key"] == key and path.stat().st_size == before["zipped"]:
                return before
        except (OSError, ValueError, KeyError):
            pass
        path.parent.mkdir(parents=True, exist_ok=True)
        # The emulator unpacks a zip as soon as it has it: there, packing hard is time lost.
        packed = pack(path, entries, level=1 if target.is_host else 6)
        check_size(function.name, packed)
        made = {"key": key, "compiled": parts.packages.compiled, **packed.as_json()}
        known.write_text(json.dumps(made), "utf-8")
        return made


@dataclass(frozen=True, slots=True)
class Parts:
    """All that the packages for one target are taken from. `own` are the files in `code`."""

    target: Target
    packages: Unpacked
    code: Path
    own: list[str]
    model: Path

    def entries(self, function: Function) -> dict[str, Path]:
        """Name in the package: file."""
        entries = {
            path: self.packages.folder / path
            for package, paths in self.packages.files.items()
            if leftout.needed(package, function.name)
            for path in paths
        }
        ours = tuple(f"functions/{part}" for part in (f"{function.folder}/", "__"))
        entries |= {
            name: self.code / name for name in self.own if name.startswith(("windowshop/", *ours))
        }
        carried = self.model.iterdir() if function.embeds else [self.model / BUILT]
        return entries | {f"models/{self.model.name}/{path.name}": path for path in carried}

    def key(self, entries: Mapping[str, Path]) -> str:
        """A name for all of a package's content, without reading the unpacked wheels again."""
        known = hashlib.sha256(self.packages.key.encode() + Path(__file__).read_bytes())
        for name, path in sorted(entries.items()):
            known.update(name.encode())
            if not path.is_relative_to(self.packages.folder):
                known.update(hashlib.sha256(path.read_bytes()).digest())
        return known.hexdigest()


def check_size(name: str, packed: Packed) -> None:
    if packed.unzipped > LIMIT:
        raise NotBuilt(
            f"{name} has {packed.unzipped / 1e6:.0f} MB unpacked, {LIMIT / 1e6:.0f} are allowed:"
            " see infra/packing/leftout.py for what else can stay away"
        )


def host_zips(functions: Sequence[str] | None = None, dist: Path = DIST) -> dict[str, Path]:
    """The packages for this interpreter, built where the code has changed. Raises NotBuilt."""
    wanted = [one for one in FUNCTIONS if functions is None or one.name in functions]
    Build(dist).zips(HOST, wanted)
    return {one.name: zip_path(one.name, HOST, dist) for one in wanted}


def _own_files() -> dict[str, Path]:
    """Everything in `windowshop` and the modules of all functions."""
    library = [path for path in (ROOT / "shared" / "windowshop").rglob("*") if path.is_file()]
    bound = list((ROOT / "functions").rglob("*.py"))
    return {
        path.relative_to(top).as_posix(): path
        for top, paths in ((ROOT / "shared", library), (ROOT, bound))
        for path in sorted(paths)
        if "__pycache__" not in path.parts
    }


def _table(sizes: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Iterator[str]:
    yield f"{'package':<22}{'zip MB':>8}{'unpacked MB':>13}{'files':>7}{'import CPU ms':>15}"
    for target, functions in sizes.items():
        for name, made in functions.items():
            spent = made["import_cpu_ms"]
            yield (
                f"{f'{name} ({target})':<22}{made['zipped'] / 1e6:>8.1f}"
                f"{made['unzipped'] / 1e6:>13.1f}{made['files']:>7}"
                f"{'' if spent is None else f'{spent:.0f}':>15}"
            )


def main(arguments: Sequence[str] | None = None) -> int:
    asked = argparse.ArgumentParser(prog="make build", description=__doc__)
    asked.add_argument("--host", action="store_true", help="only the zips for this interpreter")
    asked.add_argument("--model", default=DEFAULT, help="the encoder: a name or a folder")
    asked.add_argument("--dist", type=Path, default=DIST)
    given = asked.parse_args(arguments)
    build = Build(given.dist, given.model)
    targets = (HOST,) if given.host else (*DEPLOYED_TO, HOST)
    try:
        sizes = {target.name: build.zips(target) for target in targets}
        if not given.host:
            openapi.write(given.dist / "openapi.json")
            image.assemble(given.dist / "worker-image", given.model)
    except NotBuilt as error:
        print(error, file=sys.stderr)
        return 1
    for target in targets:
        for one in FUNCTIONS:
            path = zip_path(one.name, target, given.dist)
            spent = None if given.host else probe.import_cpu_ms(path, one.module, target)
            sizes[target.name][one.name]["import_cpu_ms"] = spent
    (given.dist / "sizes.json").write_text(json.dumps(sizes, indent=2) + "\n", "utf-8")
    print("\n".join(_table(sizes)))
    for target in targets:
        if target.interpreter() is None:
            name = f"python{target.version}"
            print(f"{target.name} is not compiled and starts slowly: {name} is not on the PATH")
    return 0


if __name__ == "__main__":
    sys.exit(main())
