"""A deployment from outside, as the command line acts on it: found by its name."""

import re
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Generic, TypeVar, cast

import orjson

from windowshop.aws import Aws
from windowshop.aws.clients import Clients
from windowshop.aws.parameters import read_parameter
from windowshop.encode import Encoder
from windowshop.errors import InvalidInput, Misconfigured, NotFound
from windowshop.settings import read_deployment
from windowshop.shop import Shop
from windowshop.store import Store

NAME = re.compile(r"[a-z][a-z0-9-]{0,23}", re.ASCII)
T = TypeVar("T")


class Later(Generic[T]):
    """A port that is opened when it is first used: keys and letters need neither model nor Qdrant,
    and neither need be at hand then.
    """

    def __init__(self, opens: Callable[[], T]) -> None:
        self._opens: Callable[[], T] | None = opens

    def __getattr__(self, name: str) -> Any:
        if self._opens is not None:
            self._opened, self._opens = self._opens(), None
        return getattr(self._opened, name)

    def close(self) -> None:
        """What was never opened need not be closed."""
        if self._opens is None:
            cast(Any, self._opened).close()


def find(name: str) -> Aws:
    """The deployment of that name in the account and region of this shell.

    Raises InvalidInput, NotFound, Misconfigured (no credentials, no region), Unavailable.
    """
    if not NAME.fullmatch(name):
        raise InvalidInput(f"--deployment {name[:64]!r}: a name has 1-24 of a-z, 0-9 and -")
    clients, parameter = Clients(), f"/windowshop/{name}/config"
    text = read_parameter(partial(clients, "ssm"), parameter)
    if text is None:
        region = clients("ssm").meta.region_name
        raise NotFound(
            f"there is no deployment {name!r} in {region}: SSM has no parameter {parameter}."
            " Is it another region (AWS_DEFAULT_REGION) or account (AWS_PROFILE)?"
        )
    values: object = None
    with suppress(orjson.JSONDecodeError):
        values = orjson.loads(text)
    if not isinstance(values, dict):
        raise Misconfigured(f"SSM parameter {parameter}: it should be an object of JSON")
    settings, own = read_deployment({key: str(value) for key, value in values.items()})
    return Aws(settings, own, clients)


def open_late(aws: Aws) -> Shop:
    """The shop of a deployment; model and Qdrant are opened when something needs them."""
    encoder = cast(Encoder, Later(aws.encoder))
    return aws.open_shop(encoder=encoder, store=cast(Store, Later(lambda: aws.store(encoder))))
