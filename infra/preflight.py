"""Looks, before a deployment, whether the account can carry it; it changes nothing.

python -m infra.preflight [--deployment NAME]
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from infra.config import Config, Mistaken, load

LAMBDA_CONCURRENCY = ("lambda", "L-B99A9384")
GPU_SPOT = ("ec2", "L-3819A6DF")
"""vCPUs of all G and VT Spot instances together."""
STANDARD = ("ec2", "L-1216C47A")
"""vCPUs of running on-demand instances of the families A, C, D, H, I, M, R, T and Z."""
UNRESERVED = 100
"""What AWS wants left when concurrency is reserved."""
BOOTSTRAP = "/cdk-bootstrap/hnb659fds/version"
_IMAGES = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-"

_UNKNOWN = "cannot be asked for: that needs the right servicequotas:GetServiceQuota"

Verdict = Literal["ok", "note", "stop"]
Ask = Callable[[str], Any]
"""A service's name -> its client."""


@dataclass(frozen=True, slots=True)
class Finding:
    """`note`: it works, but not as one might expect; `stop`: the deployment would fail."""

    verdict: Verdict
    about: str
    says: str

    def __str__(self) -> str:
        return f"{self.verdict:>4}  {self.about}: {self.says}"


def findings(config: Config, ask: Ask) -> Iterator[Finding]:
    """What there is to say, in order. Raises botocore's errors."""
    yield from _account(ask)
    yield from _concurrency(config, ask)
    yield from _bulk(config, ask)
    yield from _qdrant(config, ask)


def _account(ask: Ask) -> Iterator[Finding]:
    who = ask("sts").get_caller_identity()
    region = ask("ssm").meta.region_name
    yield Finding("ok", "account", f"{who['Account']} in {region}")
    version = _parameter(ask, BOOTSTRAP)
    if version is None:
        yield Finding("stop", "cdk bootstrap", "run: npx aws-cdk@2 bootstrap")
    else:
        yield Finding("ok", "cdk bootstrap", f"version {version}")


def _concurrency(config: Config, ask: Ask) -> Iterator[Finding]:
    limit = _quota(ask, LAMBDA_CONCURRENCY)
    lanes = config.events.concurrency + config.ingest.concurrency + config.worker.concurrency
    about = "Lambda concurrency"
    if limit is None:
        yield Finding("note", about, _UNKNOWN)
    elif config.api.reserved is not None and limit < config.api.reserved + UNRESERVED:
        yield Finding(
            "stop",
            about,
            f"api.reserved = {config.api.reserved} needs a limit of "
            f"{config.api.reserved + UNRESERVED}, the account's is {limit}: leave it out, or "
            + _request(LAMBDA_CONCURRENCY, config.api.reserved + UNRESERVED),
        )
    elif limit <= lanes:
        yield Finding(
            "note",
            about,
            f"{limit}, and the queues' functions may use {lanes} of it at once: ingest can starve "
            "requests. Lower the lanes' concurrency, or " + _request(LAMBDA_CONCURRENCY, 1_000),
        )
    else:
        yield Finding("ok", about, f"{limit}, at least {limit - lanes} for requests")


def _bulk(config: Config, ask: Ask) -> Iterator[Finding]:
    bulk = config.bulk
    if bulk.workers != "batch":
        return
    gpu, cpu = _quota(ask, GPU_SPOT), _quota(ask, STANDARD)
    if gpu is None or cpu is None:
        yield Finding("note", "vCPUs of Batch", _UNKNOWN)
        return
    if bulk.gpu_vcpus == 0:
        yield Finding("ok", "GPU Spot vCPUs", "none asked for (bulk.gpu_vcpus = 0)")
    elif gpu < 4:
        yield Finding(
            "note",
            "GPU Spot vCPUs",
            f"{gpu}: no GPU will start. Set bulk.gpu_vcpus = 0 until there are some, and "
            + _request(GPU_SPOT, bulk.gpu_vcpus),
        )
    else:
        enough: Verdict = "ok" if gpu >= bulk.gpu_vcpus else "note"
        yield Finding(enough, "GPU Spot vCPUs", f"{gpu} of {bulk.gpu_vcpus} asked for")
    if cpu < bulk.cpu_vcpus:
        yield Finding(
            "note" if cpu >= 4 else "stop",
            "on-demand vCPUs",
            f"{cpu} of {bulk.cpu_vcpus} asked for: " + _request(STANDARD, bulk.cpu_vcpus),
        )
    else:
        yield Finding("ok", "on-demand vCPUs", f"{cpu}")


def _qdrant(config: Config, ask: Ask) -> Iterator[Finding]:
    if config.qdrant.host == "own":
        newest = _parameter(ask, _IMAGES + ("arm64" if config.qdrant.arm else "x86_64"))
        verdict: Verdict = "ok" if newest == config.qdrant.image else "note"
        yield Finding(verdict, "qdrant.image", f'"{config.qdrant.image}"; the newest is "{newest}"')
        return
    for name, what in (("url", "String"), ("key", "SecureString")):
        path = f"{config.parameters}/qdrant/{name}"
        if _parameter(ask, path) is None:
            yield Finding(
                "stop" if name == "url" else "note",
                f"qdrant {name}",
                f"missing: aws ssm put-parameter --name {path} --type {what} --value ...",
            )
        else:
            yield Finding("ok", f"qdrant {name}", path)


def _quota(ask: Ask, quota: tuple[str, str]) -> int | None:
    """The account's quota, or AWS's default where the account has none of its own; None where
    nobody may ask.
    """
    service, code = quota
    client = ask("service-quotas")
    for call in (client.get_service_quota, client.get_aws_default_service_quota):
        try:
            return int(call(ServiceCode=service, QuotaCode=code)["Quota"]["Value"])
        except ClientError:
            continue
    return None


def _parameter(ask: Ask, name: str) -> str | None:
    try:
        return str(ask("ssm").get_parameter(Name=name)["Parameter"]["Value"])
    except ClientError as error:
        if error.response["Error"]["Code"] != "ParameterNotFound":
            raise
        return None


def _request(quota: tuple[str, str], value: int) -> str:
    service, code = quota
    return (
        "aws service-quotas request-service-quota-increase "
        f"--service-code {service} --quota-code {code} --desired-value {value}"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m infra.preflight", description=__doc__)
    parser.add_argument("--deployment", default="shop")
    given = parser.parse_args(arguments)
    try:
        config = load(given.deployment)
        session = boto3.Session(region_name=config.region or None)
        found = list(findings(config, session.client))
    except Mistaken as error:
        print(error, file=sys.stderr)
        return 2
    except (BotoCoreError, ClientError) as error:
        print(f"AWS cannot be asked: {error}", file=sys.stderr)
        return 1
    for finding in found:
        print(finding)
    return 1 if any(finding.verdict == "stop" for finding in found) else 0


if __name__ == "__main__":
    sys.exit(main())
