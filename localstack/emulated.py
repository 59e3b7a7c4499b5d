"""The whole of AWS that the shop needs, on this machine and without Docker: the emulator, the
stand-in for Qdrant, and the stacks of infra/, deployed into the one and pointed to the other.

Everything that it writes is below one folder, and goes with it.
"""

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3

from infra.build import host_zips
from localstack import emulator as emulators
from localstack import qdrant_standin
from localstack.emulator import ROOT, Emulator
from localstack.qdrant_standin import Standin
from localstack.stacks import Place
from localstack.up import DEPLOYMENT, Tell, deploy, point_to_qdrant, synthesize

_ORPHANS = ROOT / "localstack" / "orphans.py"
_INHERITED = ("HOME", "LANG", "LD_LIBRARY_PATH", "PATH")
"""What a worker needs of this machine's environment, and nothing of ours."""


@dataclass(slots=True)
class Emulated:
    """A deployed shop. `outputs` are those of the stacks."""

    emulator: Emulator
    qdrant: Standin
    place: Place
    outputs: Mapping[str, str]
    folder: Path

    @property
    def variables(self) -> dict[str, str]:
        """The environment of a program that talks to it, and to no other account."""
        none = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
        return {**self.emulator.variables, **none}

    @property
    def api(self) -> str:
        """The address of the HTTP API."""
        return self.outputs["ApiUrl"]

    def config(self) -> dict[str, str]:
        """Where the deployment's parts are, as it wrote it down for the command line."""
        return dict(config_of(self.place, DEPLOYMENT))

    def start_worker(self, **settings: str) -> "subprocess.Popen[bytes]":
        """The worker of the bulk lane, from its package, as AWS Batch would start it: it ends by
        itself when the queue stays empty. What it says is in worker.log.
        """
        code = self._unpacked(ROOT / "dist" / "host" / "worker.zip")
        kept = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        with (self.folder / "worker.log").open("ab") as out:
            return subprocess.Popen(
                [sys.executable, str(_ORPHANS), "functions.ingest.worker"],
                cwd=code,
                env={**kept, **self.variables, **self.config(), **settings},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _unpacked(self, package: Path) -> Path:
        """Where the emulator unpacked this package for a function, or it is done here."""
        with package.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        places = self.folder / "aws" / "packages" / digest, self.folder / "worker"
        for place in places:
            if place.exists():
                return place
        with zipfile.ZipFile(package) as archive:
            archive.extractall(places[1])
        return places[1]


@contextlib.contextmanager
def running(
    folder: Path,
    tell: Tell,
    *,
    port: int | None = None,
    qdrant_port: int | None = None,
    strict: bool = False,
    more: Mapping[str, str] | None = None,
) -> Iterator[Emulated]:
    """A deployed shop for as long as the block lasts; `folder` is emptied before and after.

    For `strict` and `more` see `emulator.start`. Raises RuntimeError, and Failed for what concerns
    the stacks.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with contextlib.ExitStack() as ends:
        ends.callback(shutil.rmtree, folder, ignore_errors=True)
        tell("packages of the functions: dist/host")
        host_zips()
        qdrant = qdrant_standin.start(qdrant_port, folder / "qdrant")
        ends.callback(qdrant.stop)
        tell(f"stand-in for Qdrant: {qdrant.url}")
        emulator = emulators.start(port, folder / "aws", strict=strict, more=more)
        ends.callback(emulator.stop)
        tell(f"emulator of AWS: {emulator.url}")
        tell("synthesizing the stacks")
        synthesize(DEPLOYMENT, folder / "stacks")
        place = _place(emulator)
        outputs = deploy(place, folder / "stacks", DEPLOYMENT, tell)
        point_to_qdrant(place, DEPLOYMENT, qdrant.url)
        yield Emulated(emulator, qdrant, place, outputs, folder)


def config_of(place: Place, deployment: str) -> Mapping[str, str]:
    """The WINDOWSHOP_* values of a deployment, by name."""
    found: Any = place.client("ssm").get_parameter(Name=f"/windowshop/{deployment}/config")
    values: Mapping[str, str] = json.loads(found["Parameter"]["Value"])
    return values


def _place(emulator: Emulator) -> Place:
    given = emulator.variables
    session = boto3.Session(
        aws_access_key_id=given["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=given["AWS_SECRET_ACCESS_KEY"],
        region_name=given["AWS_DEFAULT_REGION"],
    )
    return Place(session, emulator.url, emulator.certificate)
