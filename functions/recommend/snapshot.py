"""SnapStart: what is done before a snapshot is taken, and what is new in each process that wakes.

A process that wakes up from a snapshot is one of many with the same memory, hours or weeks later:
connections are dead, keys may have been revoked, items and counts have changed, and a random
generator with a state would draw the same in all of them (`secrets` draws from the system, which
Lambda seeds anew).
"""

import gc
import random
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any, cast

from windowshop.api import Access
from windowshop.aws import Aws
from windowshop.errors import Unavailable
from windowshop.logs import log
from windowshop.shop import Shop
from windowshop.store.server import ServerStore

HOOKS = "snapshot_restore_py"  # part of Lambda's own Python, where it has SnapStart
WARMING = ("/livez", "/openapi.json", "/v1/nothing")
SERVICES = ("ssm", "dynamodb", "s3", "sqs", "events")


def register(before: Callable[[], None], after: Callable[[], None]) -> bool:
    """Have the runtime call these around a snapshot; False where it takes none."""
    if find_spec(HOOKS) is None:
        return False
    hooks = import_module(HOOKS)
    hooks.register_before_snapshot(before)
    hooks.register_after_restore(after)
    return True


def warm(answer: Callable[[Mapping[str, Any]], Any], aws: Aws, shop: Shop) -> None:
    """Do once what the first request would wait for, as far as it needs nobody else; and keep no
    connection that was needed to open the shop.
    """
    shop.world.query_vector("a first search")
    for path in WARMING:
        answer(_get(path))
    for service in SERVICES:
        aws.clients(service)
    aws.clients.renew()
    gc.collect()
    gc.freeze()  # what is loaded stays: no collection needs to walk it again


def renew(aws: Aws, shop: Shop, access: Access) -> None:
    """Believe nothing that was read before, and connect to everybody again."""
    random.seed()
    aws.clients.renew()
    aws.keyring.renew()
    access.renew()
    with shop.world.lock:
        shop.world.tenants.clear()
    store = cast(ServerStore, shop.world.store)
    try:
        place = aws.qdrant()
        store.renew(place.url, place.key, place.ca)
    except Unavailable as error:  # where Qdrant was may still be right
        log("snapshot").warning("qdrant_not_looked_up", detail=error.detail)
        store.renew()


def _get(path: str) -> Mapping[str, Any]:
    """The event of a GET without a key."""
    return {
        "version": "2.0",
        "headers": {"host": "localhost"},
        "rawQueryString": "",
        "isBase64Encoded": False,
        "requestContext": {
            "http": {"method": "GET", "path": path, "sourceIp": "127.0.0.1"},
            "stage": "$default",
        },
    }
