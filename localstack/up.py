"""Deploys the stacks of infra/ into the emulator that AWS_ENDPOINT_URL names, or takes them away.

    python -m localstack.up [--deployment NAME] [--containers] [--json]
    python -m localstack.up down [--deployment NAME]

QDRANT_URL and QDRANT_API_KEY, where they are set, become the parameters that functions read them
from; the address is then the one at which the functions reach it.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from localstack.stacks import Cloud, Failed, Place, Stack, synthesized

ROOT = Path(__file__).resolve().parents[1]
DEPLOYMENT = "local"
PARTS = ("State", "Ingest", "Events", "Recommend")
"""What an emulator can run. Network, machines, AWS Batch, alarms and the edge are only checked."""

Tell = Callable[[str], None]


def synthesize(deployment: str, out: Path, *, containers: bool = False) -> None:
    """Write the templates and files of a deployment to `out`, in a process of its own: it starts
    Node, and is gone with it. Raises Failed.
    """
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, "-m", "localstack.up", "synth", "--deployment", deployment]
    done = subprocess.run(
        [*command, "--out", str(out), *(["--containers"] if containers else [])],
        cwd=ROOT,
        env={**os.environ, "CDK_CONTEXT_JSON": json.dumps({"aws:cdk:disable-asset-staging": True})},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise Failed(f"synthesizing {deployment} failed:\n{(done.stdout + done.stderr)[-4000:]}")


def deploy(place: Place, assembly: Path, deployment: str, tell: Tell) -> Mapping[str, str]:
    """The stacks of a synthesized folder, deployed; what they put out. Raises Failed."""
    cloud = Cloud(place, tell)
    outputs: dict[str, str] = {}
    for put_out in cloud.deploy(assembly, _ours(assembly, deployment)).values():
        outputs |= {key: text for key, text in put_out.items() if not key.startswith("Exports")}
    endpoint = cloud.client("apigatewayv2").meta.endpoint_url
    # The address that AWS would give it has no name server here.
    outputs["ApiUrl"] = f"{endpoint}/_aws/execute-api/{outputs['Api']}/$default"
    return outputs


def remove(place: Place, deployment: str, tell: Tell) -> None:
    """The stacks, their data and their parameters, deleted. Raises Failed."""
    cloud = Cloud(place, tell)
    for part in reversed(PARTS):
        if cloud.delete(_name(deployment, part)):
            tell(f"{_name(deployment, part)}: deleted")
    ssm = cloud.client("ssm")
    for page in ssm.get_paginator("get_parameters_by_path").paginate(
        Path=f"/windowshop/{deployment}", Recursive=True
    ):
        names = [one["Name"] for one in page["Parameters"]]
        for start in range(0, len(names), 10):
            ssm.delete_parameters(Names=names[start : start + 10])


def point_to_qdrant(place: Place, deployment: str, url: str, key: str | None = None) -> None:
    """Write down where the functions find Qdrant."""
    ssm, prefix = place.client("ssm"), f"/windowshop/{deployment}/qdrant"
    ssm.put_parameter(Name=f"{prefix}/url", Value=url, Type="String", Overwrite=True)
    if key:
        ssm.put_parameter(Name=f"{prefix}/key", Value=key, Type="SecureString", Overwrite=True)


def _ours(assembly: Path, deployment: str) -> list[Stack]:
    wanted = {_name(deployment, part) for part in PARTS}
    stacks = [stack for stack in synthesized(assembly) if stack.name in wanted]
    missing = sorted(wanted - {stack.name for stack in stacks})
    if missing:
        raise Failed(f"{assembly} has no {', '.join(missing)}")
    return stacks


def _name(deployment: str, part: str) -> str:
    return f"Windowshop-{deployment}-{part}"


def _synth(deployment: str, out: Path, *, containers: bool) -> None:
    from infra import node
    from infra.config import load

    node.install()
    from infra.app import build

    config = load(deployment)
    if containers:
        # Functions in Lambda's own image take the packages for Lambda, for this machine's kind.
        arm = platform.machine().lower() in {"arm64", "aarch64"}
        machine = {"packages": None, "architecture": "arm64" if arm else "x86-64"}
        config = config.model_copy(update=machine)
    build(config, out, nag=False).synth()


def _up(place: Place, deployment: str, *, containers: bool, as_json: bool) -> None:
    def tell(line: str) -> None:
        print(line, file=sys.stderr)

    with tempfile.TemporaryDirectory(prefix="windowshop-synth-") as folder:
        tell(f"synthesizing {deployment}")
        synthesize(deployment, Path(folder), containers=containers)
        outputs = deploy(place, Path(folder), deployment, tell)
    if os.environ.get("QDRANT_URL"):
        point_to_qdrant(
            place, deployment, os.environ["QDRANT_URL"], os.environ.get("QDRANT_API_KEY")
        )
    print(json.dumps(outputs, indent=2) if as_json else table(outputs))


def table(rows: Mapping[str, str]) -> str:
    """Names and values, one below the other."""
    width = max(map(len, rows), default=0)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows.items())


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m localstack.up",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("verb", nargs="?", choices=("up", "down", "synth"), default="up")
    parser.add_argument("--deployment", default=DEPLOYMENT, help="a file of infra/deployments")
    parser.add_argument("--out", type=Path, help="where `synth` writes", default=ROOT / "cdk.out")
    parser.add_argument("--json", action="store_true", help="print the outputs as JSON")
    parser.add_argument(
        "--containers",
        action="store_true",
        help="the emulator runs functions in containers: give it the packages for Lambda",
    )
    given = parser.parse_args(arguments)
    if given.verb == "synth":
        _synth(given.deployment, given.out, containers=given.containers)
        return 0
    if not os.environ.get("AWS_ENDPOINT_URL"):
        print(
            "AWS_ENDPOINT_URL is not set: name an emulator, such as http://127.0.0.1:4566."
            " For AWS itself see docs/aws.md.",
            file=sys.stderr,
        )
        return 2
    place = Place(boto3.Session())
    try:
        if given.verb == "down":
            remove(place, given.deployment, print)
        else:
            _up(place, given.deployment, containers=given.containers, as_json=given.json)
    except (Failed, BotoCoreError, ClientError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
