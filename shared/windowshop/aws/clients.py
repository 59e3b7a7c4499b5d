"""boto3, in one place: its clients, made when first used, and its errors as ours."""

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConfigNotFound,
    ConfigParseError,
    NoCredentialsError,
    NoRegionError,
    ParamValidationError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)
from botocore.loaders import create_loader
from botocore.session import get_session

from windowshop.errors import InvalidInput, Misconfigured, Unavailable, WindowshopError

CONNECT_S, READ_S = 2, 10
ATTEMPTS = 3

_REFUSED = frozenset({
    "AccessDenied",
    "AccessDeniedException",
    "AuthFailure",
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidClientTokenId",
    "KMS.AccessDeniedException",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
})  # fmt: skip
_MISSING = frozenset({
    "AWS.SimpleQueueService.NonExistentQueue",
    "NoSuchBucket",
    "QueueDoesNotExist",
    "ResourceNotFoundException",
})  # fmt: skip
_INVALID = frozenset({
    "EntityTooLarge",
    "InvalidMessageContents",
    "InvalidParameterValue",
    "MalformedDetail",
    "ValidationException",
})  # fmt: skip


class Clients:
    """One session and its clients. Thread-safe; `renew` drops all of them (after a restore), but
    not the services' descriptions that botocore has read: reading them is most of the work.
    """

    def __init__(self, region: str | None = None, profile: str | None = None) -> None:
        self._region, self._profile = region, profile
        self._lock = threading.Lock()
        self._descriptions = create_loader()
        self._session: Any = None
        self._held: dict[str, Any] = {}

    def __call__(self, service: str) -> Any:
        """The client of a service: dynamodb, s3, sqs, ssm, events, batch. Raises Misconfigured."""
        found = self._held.get(service)
        if found is None:
            with self._lock, translated():
                if self._session is None:
                    self._session = self._new_session()
                found = self._held.get(service) or self._session.client(
                    service,
                    config=Config(
                        connect_timeout=CONNECT_S,
                        read_timeout=READ_S,
                        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
                        max_pool_connections=32,
                        s3={"addressing_style": "path"},
                    ),
                )
                self._held[service] = found
        return found

    def _new_session(self) -> boto3.Session:
        core = get_session()
        core.register_component("data_loader", self._descriptions)
        return boto3.Session(
            region_name=self._region, profile_name=self._profile, botocore_session=core
        )

    def renew(self) -> None:
        """Forget every client and what it remembers: connections, credentials."""
        with self._lock:
            self._session, self._held = None, {}


def translate(error: Exception) -> WindowshopError:
    """What a caller can do about it: mend the data, mend the deployment, or try again."""
    if isinstance(error, ClientError):
        return _refused(error)
    if isinstance(error, NoRegionError):
        return Misconfigured("no AWS region: set AWS_DEFAULT_REGION, such as eu-central-1")
    if isinstance(
        error, NoCredentialsError | PartialCredentialsError | SSOError | TokenRetrievalError
    ):
        return Misconfigured(
            "no AWS credentials that count: `aws configure` or `aws sso login`, or set AWS_PROFILE"
            f" ({_first_words(str(error))})"
        )
    if isinstance(error, ProfileNotFound | ConfigNotFound | ConfigParseError):
        return Misconfigured(f"AWS_PROFILE: {_first_words(str(error))}")
    if isinstance(error, ParamValidationError):
        return InvalidInput(f"AWS cannot take this: {_first_words(str(error))}")
    return Unavailable(f"AWS cannot be reached: {_first_words(str(error))}")


def _refused(error: ClientError) -> WindowshopError:
    code = str(error.response.get("Error", {}).get("Code", ""))
    text = str(error.response.get("Error", {}).get("Message", ""))
    said = f"{error.operation_name}: {code}: {_first_words(text)}"
    if code in _REFUSED:
        return Misconfigured(f"AWS refuses: {said}")
    if code in _MISSING:
        return Misconfigured(f"a part of the deployment is missing: {said}")
    if code in _INVALID:
        return InvalidInput(f"AWS cannot take this: {said}")
    return Unavailable(f"AWS failed: {said}")


def _first_words(text: str) -> str:
    return " ".join(text.split())[:300]


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """What boto3 raises in the block comes out as one of ours."""
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise translate(error) from error
