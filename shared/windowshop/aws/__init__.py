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
from windowshop.aws.letters import Box, QueueLetters
from windowshop.aws.log import DynamoLog
from windowshop.aws.parameters import read_parameter
from windowshop.aws.queue import SqsQueue
from windowshop.aws.runs import DynamoRuns
from windowshop.aws.signals import AwsSignals
from windowshop.encode import Encoder, open_encoder, spec_of
from windowshop.errors import Misconfigured
from windowshop.learned import Shelf
from windowshop.ranker import Rankers
from windowshop.settings import AwsSettings, Settings, load_aws_settings, load_settings
from windowshop.shop import Shop
from windowshop.store import Store
from windowshop.store.server import Place, ServerStore
from windowshop.tower import Towers
from windowshop.world import World

LEARNED = "learned/"
"""Below this lies in the bucket what a home has in its folder of that name."""
MODELS_BELIEVED = 6
"""So many times as long as anything else: which ranker serves changes seldom, and is a call to S3
for each that may.
"""


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
    def shelf(self) -> Shelf:
        return Shelf(self.blobs, LEARNED)

    @cached_property
    def signals(self) -> AwsSignals:
        return AwsSignals(partial(self.clients, "events"), self.settings.bus)

    @cached_property
    def runs(self) -> DynamoRuns:
        return DynamoRuns(partial(self.clients, "dynamodb"), self._given("table"), wall_ms)

    @cached_property
    def keyring(self) -> SsmKeyring:
        return SsmKeyring(partial(self.clients, "ssm"), self.settings.parameters, wall_ms)

    @cached_property
    def letters(self) -> QueueLetters:
        """Those of the queues whose both ends this process was told of."""
        return QueueLetters(
            [
                Box(name.replace("_", "-"), self.queue(f"{name}_queue"), self.queue(letters))
                for name in ("catalogue", "embed", "embed_bulk", "events")
                if getattr(self.settings, letters := f"{name}_letters")
                and getattr(self.settings, f"{name}_queue")
            ],
            wall_ms,
        )

    def queue(self, name: str) -> SqsQueue:
        """The queue that a setting names: `events_queue`, `embed_letters`, ..."""
        return SqsQueue(partial(self.clients, "sqs"), self._given(name))

    @property
    def models(self) -> Path:
        """A folder with the encoder, or where it is built."""
        return self.settings.models or Path(tempfile.gettempdir()) / "windowshop-models"

    def encoder(self) -> Encoder:
        """The encoder that the settings name. Raises Misconfigured."""
        wanted = self.shop_settings
        return open_encoder(
            spec_of(wanted),
            self.models,
            threads=wanted.threads or None,
        )

    def store(self, encoder: Encoder) -> Store:
        """The vectors. Qdrant is not called before it is needed: it may be away, and popular items
        still served. Raises Misconfigured, Unavailable (where it is could not be read).
        """
        return ServerStore(self.qdrant(), encoder.name, encoder.dim)

    def open_shop(
        self,
        *,
        counting: bool = False,
        encoder: Encoder | None = None,
        store: Store | None = None,
    ) -> Shop:
        """The shop of this deployment; `counting` for the one process that refreshes its counts."""
        if encoder is None:
            encoder = self.encoder()
        if store is None:
            store = self.store(encoder)
        log = DynamoLog(
            partial(self.clients, "dynamodb"),
            self._given("table"),
            self.blobs,
            wall_ms,
            self.shop_settings.retention_days,
        )
        believed_ms = round(self.settings.believed_s * 1000)
        return Shop(
            World(
                store,
                log,
                encoder,
                self.shop_settings,
                wall_ms,
                keyring=self.keyring,
                letters=self.letters,
                signals=self.signals,
                rankers=Rankers(self.shelf, MODELS_BELIEVED * believed_ms, wall_ms),
                towers=Towers(self.shelf),
                believed_ms=believed_ms,
                counting=counting,
            )
        )

    def qdrant(self) -> Place:
        """Where the Qdrant server is: from the environment, else from SSM. Raises Misconfigured,
        Unavailable.
        """
        settings, ssm = self.settings, partial(self.clients, "ssm")
        if settings.qdrant_url:
            return Place(settings.qdrant_url, settings.qdrant_api_key)
        at = f"{settings.parameters}/qdrant"
        url = read_parameter(ssm, f"{at}/url")
        if url is None:
            raise Misconfigured(
                f"no Qdrant: put its address into the SSM parameter {at}/url, and its key into"
                f" {at}/key (a SecureString)"
            )
        return Place(url, read_parameter(ssm, f"{at}/key"), read_parameter(ssm, f"{at}/ca"))

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
