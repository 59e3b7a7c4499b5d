"""What `windowshop doctor --deployment` looks at: each part of a deployment, asked a little."""

from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

from windowshop.aws import Aws
from windowshop.errors import Misconfigured, Unavailable, WindowshopError
from windowshop.records import format_instant
from windowshop.shop import Shop

LANES = ("catalogue", "embed", "embed_bulk", "events")
MANY_WAITING = 1_000_000


class Check(NamedTuple):
    """What was found of a part, and how to mend it if it is wrong."""

    name: str
    state: Literal["ok", "warning", "broken"]
    detail: str
    mend: str | None = None


def checks(aws: Aws, shop: Shop, name: str, store: str | None = None) -> Iterator[Check]:
    """Every part in turn: one that is broken does not keep from looking at the others."""
    looks: list[tuple[str, Callable[[], Iterator[Check]]]] = [
        ("event log", lambda: _log(aws, shop)),
        ("bucket", lambda: _bucket(aws)),
        ("queues", lambda: _queues(aws, name)),
        ("keys", lambda: _keys(aws, name)),
        ("Qdrant", lambda: _vectors(aws, shop)),
        ("stores", lambda: _stores(shop, store)),
    ]
    for part, look in looks:
        try:
            yield from look()
        except WindowshopError as error:
            yield Check(part, "broken", error.detail, _mend(error))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
            yield Check(part, "broken", f"{type(error).__name__}: {error}")


def _mend(error: WindowshopError) -> str | None:
    if isinstance(error, Misconfigured):
        return "change what it names (`cdk deploy` makes missing parts anew), then look again"
    return "look again in a minute" if isinstance(error, Unavailable) else None


def _log(aws: Aws, shop: Shop) -> Iterator[Check]:
    stores = shop.world.log.stores()
    yield Check("event log", "ok", f"table {aws.settings.table}: stores {', '.join(stores) or '-'}")


def _bucket(aws: Aws) -> Iterator[Check]:
    next(iter(aws.blobs.list("catalog/")), None)
    yield Check("bucket", "ok", f"{aws.settings.bucket}: upload below catalog/<store>/")


def _queues(aws: Aws, name: str) -> Iterator[Check]:
    waiting = {
        lane.replace("_", "-"): aws.queue(f"{lane}_queue").depth()
        for lane in LANES
        if getattr(aws.settings, f"{lane}_queue")
    }
    said = ", ".join(f"{lane} {depth:,}" for lane, depth in waiting.items())
    yield Check("queues", "ok", f"messages waiting: {said}")
    if dead := aws.letters.count_letters(""):
        mend = f"`windowshop dead-letters list --deployment {name}`"
        yield Check("queues", "warning", f"{dead:,} dead letters", mend)


def _keys(aws: Aws, name: str) -> Iterator[Check]:
    if aws.keyring.has_keys():
        yield Check("keys", "ok", "there are some: every call needs one")
    else:
        mend = f"`windowshop keys create --role secret --deployment {name}`"
        yield Check("keys", "warning", "there are none: nobody can call the API", mend)


def _vectors(aws: Aws, shop: Shop) -> Iterator[Check]:
    """Opens the model, whose name the collections have."""
    stores, model = shop.world.store.tenants(), shop.world.encoder
    yield Check("Qdrant", "ok", f"{aws.qdrant().url}: stores {', '.join(stores) or '-'}")
    yield Check("model", "ok", f"{model.name}, reads {model.languages}")


def _stores(shop: Shop, store: str | None) -> Iterator[Check]:
    log, vectors = shop.world.log, shop.world.store
    names = [store] if store else sorted({*log.stores(), *vectors.tenants()})
    for name in names:
        newest = log.newest(name)
        yield Check(
            f"store {name}",
            "ok",
            f"{vectors.count(name):,} items, {vectors.count_users(name):,} users, "
            f"{log.count(name):,} events"
            + (f", the newest of {format_instant(newest)}" if newest else ""),
        )
        if waiting := len(vectors.waiting(name, MANY_WAITING)):
            detail = f"{waiting:,} items wait for their vectors"
            yield Check(f"store {name}", "warning", detail, "is a worker at it? see the queues")
