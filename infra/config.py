"""What a deployment may turn: deployments/<name>.toml, checked before anything is synthesized."""

import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from windowshop.blend import overlaid
from windowshop.settings import default_blend

DEPLOYMENTS = Path(__file__).parent / "deployments"
ROOT = Path(__file__).resolve().parents[1]

Memory = Annotated[int, Field(ge=256, le=10_240)]
Concurrency = Annotated[int, Field(ge=2, le=1_000)]
"""AWS takes no MaximumConcurrency below 2."""
Days = Annotated[int, Field(ge=1, le=3_653)]
LogDays = Literal[1, 3, 5, 7, 14, 30, 60, 90, 120, 180, 365, 731]
"""What CloudWatch Logs can be told."""


class Mistaken(Exception):
    """A deployment's file says what cannot be; the text names the file and the field."""


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Data(_Table):
    """What is kept, and for how long."""

    removal: Literal["retain", "destroy"] = "retain"
    """What becomes of bucket, table and Qdrant's disk when a stack is deleted."""
    retention_days: Annotated[float, Field(gt=0)] | None = None
    """Events older than this leave the log by themselves; for ever unless set."""
    version_days: Days = 30
    """How long an uploaded catalogue that was replaced or deleted can still be had back."""
    chunk_days: Annotated[int, Field(ge=15, le=3_653)] = 30
    """Longer than a message can wait in its queue, for it points to a chunk."""
    report_days: Days = 90


class Api(_Table):
    """The HTTP API and the function behind it."""

    memory_mb: Memory = 1_024
    timeout_s: Annotated[int, Field(ge=3, le=29)] = 10
    """The gateway itself gives up after 30 s."""
    snapstart: bool = True
    """No cold starts, for about $3.90 a month and GB of memory_mb."""
    reserved: Annotated[int, Field(ge=1)] | None = None
    """Concurrency kept for requests alone; needs an account whose limit is 100 greater."""
    origins: tuple[str, ...] = ()
    """Web origins whose pages may call the API, such as https://shop.example."""
    rate: Annotated[int, Field(ge=10, le=100_000)] = 1_000
    """Requests a second that the gateway lets through, and at once (burst)."""
    burst: Annotated[int, Field(ge=10, le=100_000)] = 2_000
    key_rps: Annotated[float, Field(ge=0)] = 0
    """About how many requests a second a key may send to one instance; 0: no limit."""


class Lane(_Table):
    """A function that a queue feeds."""

    memory_mb: Memory = 1_024
    timeout_s: Annotated[int, Field(ge=10, le=900)] = 60
    concurrency: Concurrency = 10


class Bulk(_Table):
    """The lane for large uploads, on AWS Batch."""

    workers: Literal["none", "batch", "own"] = "none"
    """none: the function embeds everything; batch: GPU machines from zero; own: a container or
    process that you run yourself, wherever it reaches the queue.
    """
    gpu_types: tuple[str, ...] = ("g4dn.xlarge", "g5.xlarge", "g6.xlarge", "g4dn.2xlarge")
    """Spot machines; several kinds, since one alone is often not to be had."""
    gpu_vcpus: Annotated[int, Field(ge=0, le=1_000)] = 8
    """At most so many at once: two xlarge machines. 0 where the account's quota is 0."""
    cpu_types: tuple[str, ...] = ("m7i.xlarge", "m6i.xlarge", "m6a.xlarge", "m7i.2xlarge")
    cpu_vcpus: Annotated[int, Field(ge=4, le=1_000)] = 8
    """Where no GPU is to be had, and for the reading of huge uploads."""
    hold_s: Annotated[int, Field(ge=3, le=43_200)] = 300
    """So much later what a worker held that died is given to another."""


class Qdrant(_Table):
    """Where the vectors are."""

    host: Literal["bring", "own"] = "bring"
    """bring: Qdrant Cloud or a cluster of yours, its address in SSM; own: one on EC2."""
    image: Annotated[str, Field(pattern=r"^(ami-[0-9a-f]{8,17})?$")] = ""
    """The machine image (Amazon Linux 2023) of an own Qdrant, which names it so that no deployment
    changes it by itself; `python -m infra.preflight` prints the newest.
    """
    type: str = "t4g.medium"
    disk_gb: Annotated[int, Field(ge=8, le=16_384)] = 20
    running: bool = True
    """False takes the machine away and leaves its disk: to change image, type or volume."""
    snapshot_days: Days = 14

    @property
    def arm(self) -> bool:
        """Whether the machine is an arm64: a g after the number in its type says so."""
        return re.match(r"[a-z]+\d+[a-z]*g", self.type) is not None

    @property
    def package(self) -> str:
        """What Qdrant calls its release for the machine; it belongs into dist/."""
        return f"qdrant-{'aarch64' if self.arm else 'x86_64'}-unknown-linux-musl.tar.gz"


class Network(_Table):
    """Made only where qdrant.host is own or bulk.workers is batch."""

    addresses: Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+\.\d+/16$")] = "10.37.0.0/16"
    """One that no network has which this one is to be joined with."""
    zones: Annotated[int, Field(ge=2, le=6)] = 2
    endpoints: tuple[Literal["sqs", "ssm", "events", "batch"], ...] = ()
    """Services to be reached through interface endpoints instead of over IPv6, about $7.30 a month
    each: all four or none.
    """


class Edge(_Table):
    """CloudFront and a web application firewall before the API, in us-east-1."""

    api: Annotated[str, Field(pattern=r"^([a-z0-9.-]+)?$")] = ""
    """The host name of the API, as the stack Recommend puts it out; empty: no edge."""
    domain: str = ""
    certificate: Annotated[str, Field(pattern=r"^(arn:[a-z-]+:acm:us-east-1:\d{12}:.+)?$")] = ""
    """A domain of yours and its certificate in us-east-1; without them CloudFront's own."""
    address_rate: Annotated[int, Field(ge=100, le=2_000_000_000)] = 3_000
    """Requests in five minutes from one address before it is turned away."""


class Operations(_Table):
    """What tells people."""

    alarms: bool = True
    """At $0.10 a month and metric: see docs/aws.md."""
    email: Annotated[str, Field(pattern=r"^([^@\s]+@[^@\s]+)?$")] = ""
    """Where alarms go; the address must confirm once."""
    dashboard: bool = True
    log_days: LogDays = 30
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    tracing: Annotated[str, Field(pattern=r"^(arn:[a-z-]+:lambda:.+:layer:.+:\d+)?$")] = ""
    """The ARN of the layer of AWS's OpenTelemetry for Python in your region: traces of one request
    in a hundred. Empty: none.
    """
    waiting_s: Annotated[int, Field(ge=60)] = 900
    """An alarm is raised when a message has waited for so long."""
    p99_ms: Annotated[int, Field(ge=50)] = 1_000


class Config(_Table):
    """A deployment. Its stacks are called Windowshop-<name>-<part>."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,23}$")]
    account: Annotated[str, Field(pattern=r"^(\d{12})?$")] = ""
    region: Annotated[str, Field(pattern=r"^([a-z]{2}(-[a-z]+)+-\d)?$")] = ""
    """Both empty: those that the command line of AWS is set up for."""
    architecture: Literal["arm64", "x86-64"] = "arm64"
    packages: Path | None = None
    """The folder of the functions' packages, from the top of the repository; without it they are
    dist/<function>-<architecture>.zip, as `make build` names them.
    """
    clock: Literal["wall", "events"] = "wall"
    model: str = "all-MiniLM-L6-v2"
    weights: dict[str, float] = {}
    blend: dict[str, Any] = {}
    """As the table of that name in windowshop.toml: how much each signal counts."""
    small_items: Annotated[int, Field(ge=0)] = 2_000
    """Up to so many new texts in an upload take the fast lane."""
    believed_s: Annotated[float, Field(ge=0, le=3_600)] = 10
    tags: dict[str, str] = {}
    data: Data = Data()
    api: Api = Api()
    events: Lane = Lane(memory_mb=1_024, timeout_s=60, concurrency=20)
    ingest: Lane = Lane(memory_mb=2_048, timeout_s=900, concurrency=2)
    worker: Lane = Lane(memory_mb=3_008, timeout_s=300, concurrency=5)
    bulk: Bulk = Bulk()
    qdrant: Qdrant = Qdrant()
    network: Network = Network()
    edge: Edge = Edge()
    operations: Operations = Operations()

    @property
    def parameters(self) -> str:
        """What the names of the deployment's SSM parameters begin with."""
        return f"/windowshop/{self.name}"

    @property
    def networked(self) -> bool:
        """Whether the deployment has a network of its own."""
        return self.qdrant.host == "own" or self.bulk.workers == "batch"

    def called(self, part: str) -> str:
        """The physical name of a part: a queue, a function, a bus."""
        return f"windowshop-{self.name}-{part}"

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.qdrant.host == "own" and not self.qdrant.image:
            raise ValueError(
                "qdrant.image: name a machine image (python -m infra.preflight prints the newest)"
            )
        if self.network.endpoints and len(set(self.network.endpoints)) < 4:
            raise ValueError("network.endpoints: all of sqs, ssm, events, batch, or none")
        if bool(self.edge.domain) != bool(self.edge.certificate):
            raise ValueError("edge.domain and edge.certificate: give both or neither")
        overlaid(default_blend(), self.blend)
        return self


def load(name: str, folder: Path = DEPLOYMENTS) -> Config:
    """The deployment of that name. Raises Mistaken."""
    path = folder / f"{name}.toml"
    try:
        values = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        known = ", ".join(sorted(file.stem for file in folder.glob("*.toml"))) or "none"
        raise Mistaken(f"{path} does not exist; there are: {known}") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise Mistaken(f"{path} cannot be read: {error}") from None
    try:
        return Config.model_validate({"name": name, **values})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(map(str, first["loc"]))
        said = first["msg"].removeprefix("Value error, ")
        raise Mistaken(f"{path}: {field}: {said}" if field else f"{path}: {said}") from None
