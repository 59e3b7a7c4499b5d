"""The AWS world: SQS, EventBridge, S3, DynamoDB and a Qdrant server behind the same verbs.

An emulator is this code with another endpoint in the environment (`AWS_ENDPOINT_URL`,
`QDRANT_URL`), nothing else.
"""

import tempfile
import time
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from windowshop.aws.blobs import S3Blobs
from windowshop.aws.clients import Clients
from windowshop.aws.keyring import SsmKeyring
from windowshop.aws.letters import QueueLetters
from windowshop.aws.log import DynamoLog
from windowshop.aws.parameters import read_parameter
from windowshop.aws.queue import SqsQueue
from windowshop.aws.runs import DynamoRuns
from windowshop.aws.signals import AwsSignals
from windowshop.encode import ModelSpec, open_encoder
from windowshop.errors import Misconfigured
from windowshop.settings import AwsSettings, Settings, load_aws_settings, load_settings
from windowshop.shop import Shop
from windowshop.store.server import ServerStore
from windowshop.world import World


def wall_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass
class Aws:
    """The ports of a deployment, each made when it is first used. Raises Misconfigured naming the
    setting that is missing.
    """

    settings: AwsSettings
    shop_settings: Settings
    clients: Clients

    @cached_property
    def blobs(self) -> S3Blobs:
        return S3Blobs(partial(self.clients, "s3"), self._given("bucket"))

    @cached_property
    def signals(self) -> AwsSignals:
        return AwsSignals(partial(self.clients, "events"), self.settings.bus)

    @cached_property
    def runs(self) -> DynamoRuns:
        return DynamoRuns(partial(self.clients, "dynamodb"), self._given("table"), wall_ms)

    @cached_property
    def keyring(self) -> SsmKeyring:
        return SsmKeyring(partial(self.clients, "ssm"), self.settings.parameters, wall_ms)

    def queue(self, name: str) -> SqsQueue:
        """The queue that a setting names: `events_queue`, `embed_letters`, ..."""
        return SqsQueue(partial(self.clients, "sqs"), self._given(name))

    def open_shop(self, *, counting: bool = False) -> Shop:
        """The shop of this deployment; `counting` for the one process that refreshes its counts.

        Qdrant is not called before it is needed: it may be away, and popular items still served.
        """
        settings, wanted = self.settings, self.shop_settings
        encoder = open_encoder(
            ModelSpec(
                wanted.model,
                runtime=None if wanted.runtime == "auto" else wanted.runtime,
                pooling=wanted.pooling,
                query_prefix=wanted.query_prefix,
                passage_prefix=wanted.passage_prefix,
                max_tokens=wanted.max_tokens,
            ),
            settings.models or Path(tempfile.gettempdir()) / "windowshop-models",
            threads=wanted.threads or None,
        )
        url, key = self.qdrant()
        log = DynamoLog(
            partial(self.clients, "dynamodb"),
            self._given("table"),
            self.blobs,
            wall_ms,
            wanted.retention_days,
        )
        return Shop(
            World(
                ServerStore(url, encoder.name, encoder.dim, key=key),
                log,
                encoder,
                wanted,
                wall_ms,
                keyring=self.keyring,
                letters=QueueLetters(self),
                signals=self.signals,
                believed_ms=round(settings.believed_s * 1000),
                counting=counting,
            )
        )

    def qdrant(self) -> tuple[str, str | None]:
        """Address and key of the Qdrant server: from the environment, else from SSM."""
        settings, ssm = self.settings, partial(self.clients, "ssm")
        if settings.qdrant_url:
            return settings.qdrant_url, settings.qdrant_api_key
        url = read_parameter(ssm, f"{settings.parameters}/qdrant/url")
        if url is None:
            raise Misconfigured(
                f"no Qdrant: put its address into the SSM parameter {settings.parameters}"
                "/qdrant/url, and its key into .../qdrant/key (a SecureString)"
            )
        return url, read_parameter(ssm, f"{settings.parameters}/qdrant/key")

    def _given(self, name: str) -> str:
        value = str(getattr(self.settings, name))
        if not value:
            raise Misconfigured(f"WINDOWSHOP_{name.upper()} is not set")
        return value


def open_aws(settings: AwsSettings | None = None, shop_settings: Settings | None = None) -> Aws:
    """The deployment that the environment names. Touches nothing yet. Raises Misconfigured."""
    return Aws(settings or load_aws_settings(), shop_settings or load_settings(None), Clients())


def open_shop(settings: AwsSettings | None = None, *, counting: bool = False) -> Shop:
    """The shop of the deployment that the environment names. Raises Misconfigured, Unavailable."""
    return open_aws(settings).open_shop(counting=counting)
