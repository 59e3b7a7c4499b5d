"""CloudFormation stacks from a folder that CDK synthesized: created, updated and deleted by boto3
alone, with neither the CDK's command line nor its bootstrap stack.
"""

import contextlib
import io
import json
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

BOOTSTRAP_VERSION = "/cdk-bootstrap/hnb659fds/version"
LONGEST_BODY = 51_200
"""Bytes of a template in a request; a larger one is fetched from a bucket."""
PATIENCE_S = 300.0
_BROKEN = ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED")
"""A stack in one of these can only be deleted."""


class Failed(Exception):
    """A stack did not become what it should be; the text says which part, and why."""


@dataclass(frozen=True, slots=True)
class Stack:
    """One stack of a synthesized folder: its name, its template, its files and their keys."""

    name: str
    template: Path
    assets: Mapping[str, Any]


def synthesized(folder: Path) -> list[Stack]:
    """The stacks in a folder, each after those that it depends on. Raises Failed."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise Failed(f"{folder} holds nothing that CDK synthesized: {error}") from None
    artifacts = manifest["artifacts"]
    ordered: dict[str, Stack] = {}

    def add(name: str) -> None:
        artifact = artifacts[name]
        if name in ordered or artifact["type"] not in _KINDS:
            return
        for needed in artifact.get("dependencies", ()):
            add(needed)
        if artifact["type"] == "aws:cloudformation:stack":
            ordered[name] = _stack(folder, name, artifact)

    for name in sorted(artifacts):
        add(name)
    return list(ordered.values())


_KINDS = ("aws:cloudformation:stack", "cdk:asset-manifest")


def _stack(folder: Path, name: str, artifact: Mapping[str, Any]) -> Stack:
    listed = json.loads((folder / f"{name}.assets.json").read_text("utf-8"))
    properties = artifact["properties"]
    return Stack(
        properties.get("stackName", name), folder / properties["templateFile"], listed["files"]
    )


class Place:
    """Where boto3 calls: what the environment says, or an address with its own certificate."""

    def __init__(
        self, session: boto3.Session, endpoint: str | None = None, certificate: Path | None = None
    ) -> None:
        self._session, self._endpoint = session, endpoint
        self._verify = str(certificate) if certificate else None

    @property
    def region(self) -> str:
        """Such as eu-central-1."""
        return str(self._session.region_name)

    def client(self, service: str) -> Any:
        """A client of a service, made anew each time."""
        return self._session.client(
            service,
            endpoint_url=self._endpoint,
            verify=self._verify,
            # A bucket in the host's name would need a name server that knows it.
            config=Config(s3={"addressing_style": "path"}),
        )


class Cloud:
    """CloudFormation, and the bucket for its files."""

    def __init__(self, place: Place, tell: Callable[[str], None]) -> None:
        self._place, self._tell = place, tell
        self.client = place.client
        self._account: str | None = None

    @property
    def account(self) -> str:
        """The account's number."""
        if self._account is None:
            self._account = str(self.client("sts").get_caller_identity()["Account"])
        return self._account

    def filled(self, text: str) -> str:
        """CDK's names of buckets and keys, with this account and region in them."""
        for word, value in (
            ("AWS::AccountId", self.account),
            ("AWS::Region", self._place.region),
            ("AWS::Partition", "aws"),
        ):
            text = text.replace(f"${{{word}}}", value)
        return text

    def bootstrap(self) -> None:
        """The version that templates may ask for. The bucket is made when files come."""
        self.client("ssm").put_parameter(
            Name=BOOTSTRAP_VERSION, Value="30", Type="String", Overwrite=True
        )

    def deploy(self, folder: Path, stacks: Sequence[Stack]) -> dict[str, dict[str, str]]:
        """Create or update them in this order; the outputs by stack. Raises Failed."""
        self.bootstrap()
        outputs = {}
        for stack in stacks:
            self._upload(folder, stack)
            began = time.monotonic()
            done = self._deploy(folder, stack)
            self._tell(f"{stack.name}: {done} in {time.monotonic() - began:.1f} s")
            outputs[stack.name] = self.outputs(stack.name)
        return outputs

    def outputs(self, name: str) -> dict[str, str]:
        """What a stack put out. Raises Failed where there is none."""
        found = self._found(name)
        if found is None:
            raise Failed(f"there is no stack {name}")
        return {one["OutputKey"]: one["OutputValue"] for one in found.get("Outputs", ())}

    def delete(self, name: str) -> bool:
        """Delete a stack and what is in its buckets; False where there was none. Raises Failed."""
        if self._found(name) is None:
            return False
        cloudformation = self.client("cloudformation")
        for resource in cloudformation.describe_stack_resources(StackName=name)["StackResources"]:
            if resource["ResourceType"] == "AWS::S3::Bucket":
                self.empty(resource["PhysicalResourceId"])
        began = time.time()
        cloudformation.delete_stack(StackName=name)
        status = self._settled(name)
        if status is not None:
            raise Failed(self._reasons(name, f"{name} could not be deleted ({status})", began))
        return True

    def empty(self, bucket: str) -> None:
        """Delete every version of every object."""
        s3 = self.client("s3")
        with _unless("NoSuchBucket"):
            for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
                found = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
                if found:
                    doomed = [{"Key": one["Key"], "VersionId": one["VersionId"]} for one in found]
                    s3.delete_objects(Bucket=bucket, Delete={"Objects": doomed, "Quiet": True})

    def _upload(self, folder: Path, stack: Stack) -> None:
        """Files that are not there already: their keys are hashes of what is in them."""
        s3 = self.client("s3")
        for asset in stack.assets.values():
            source = folder / asset["source"]["path"]
            for place in asset["destinations"].values():
                bucket, key = self.filled(place["bucketName"]), self.filled(place["objectKey"])
                self._have(bucket)
                try:
                    s3.head_object(Bucket=bucket, Key=key)
                except ClientError:
                    if asset["source"].get("packaging") == "zip":
                        s3.put_object(Bucket=bucket, Key=key, Body=_zipped(source))
                    else:
                        s3.upload_file(str(source), bucket, key)

    def _have(self, bucket: str) -> None:
        where = {"LocationConstraint": self._place.region}
        # The one region that may not be named.
        more = {} if self._place.region == "us-east-1" else {"CreateBucketConfiguration": where}
        with _unless("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
            self.client("s3").create_bucket(Bucket=bucket, **more)

    def _deploy(self, folder: Path, stack: Stack) -> str:
        found = self._found(stack.name)
        if found is not None and found["StackStatus"] in _BROKEN:
            self.delete(stack.name)
            found = None
        cloudformation = self.client("cloudformation")
        call = cloudformation.create_stack if found is None else cloudformation.update_stack
        began = time.time()
        try:
            call(
                StackName=stack.name,
                Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"],
                **self._template(folder, stack),
            )
        except ClientError as error:
            said = error.response["Error"].get("Message", "")
            if found is not None and "No updates" in said:
                return "as it was"
            raise Failed(f"{stack.name}: {said}") from None
        status = self._settled(stack.name)
        if status not in {"CREATE_COMPLETE", "UPDATE_COMPLETE"}:
            title = f"{stack.name} could not be deployed ({status})"
            raise Failed(self._reasons(stack.name, title, began))
        return "created" if found is None else "updated"

    def _template(self, folder: Path, stack: Stack) -> dict[str, str]:
        body = stack.template.read_text("utf-8")
        if len(body.encode()) <= LONGEST_BODY:
            return {"TemplateBody": body}
        for asset in stack.assets.values():
            if folder / asset["source"]["path"] == stack.template:
                place = next(iter(asset["destinations"].values()))
                bucket, key = self.filled(place["bucketName"]), self.filled(place["objectKey"])
                address = self.client("s3").meta.endpoint_url
                return {"TemplateURL": f"{address}/{bucket}/{key}"}
        raise Failed(f"{stack.name}: its template is too large and is in no bucket")

    def _found(self, name: str) -> dict[str, Any] | None:
        try:
            stacks = self.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
        except ClientError as error:
            if error.response["Error"].get("Code") == "ValidationError":
                return None
            raise
        found = next((one for one in stacks if one["StackStatus"] != "DELETE_COMPLETE"), None)
        return None if found is None else dict(found)

    def _settled(self, name: str) -> str | None:
        """The status that a stack comes to rest in; None once it is gone. Raises Failed."""
        end = time.monotonic() + PATIENCE_S
        pause = 0.05
        while time.monotonic() < end:
            found = self._found(name)
            if found is None:
                return None
            status = str(found["StackStatus"])
            if not status.endswith("_IN_PROGRESS"):
                return status
            time.sleep(pause)
            pause = min(pause * 1.5, 2.0)
        raise Failed(f"{name} is still busy after {PATIENCE_S:.0f} s")

    def _reasons(self, name: str, title: str, since: float) -> str:
        """A title and, below it, what failed first, in the words of CloudFormation's events."""
        with contextlib.suppress(ClientError):
            events = self.client("cloudformation").describe_stack_events(StackName=name)
            lines = [
                f"  {event['LogicalResourceId']} ({event['ResourceType']}): "
                f"{event.get('ResourceStatusReason') or event['ResourceStatus']}"
                for event in reversed(events["StackEvents"])
                if event["ResourceStatus"].endswith("_FAILED")
                and event["Timestamp"].timestamp() >= since - 1
            ]
            return "\n".join([title, *dict.fromkeys(lines)])
        return title


def _zipped(folder: Path) -> bytes:
    """A folder as a zip, the same bytes each time."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(one for one in folder.rglob("*") if one.is_file()):
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix())
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)
    return made.getvalue()


@contextlib.contextmanager
def _unless(*codes: str) -> Iterator[None]:
    """Errors of AWS with these codes are none."""
    try:
        yield
    except ClientError as error:
        if error.response["Error"].get("Code") not in codes:
            raise
