"""The API over a shop in memory and over the real one: the same tests run on both."""

import pytest

from tests.integration.api.sites import Site, in_memory
from windowshop.local import EventQueue, open_shop, wall_ms


@pytest.fixture(scope="session")
def real_shop(tmp_path_factory):
    shop = open_shop(tmp_path_factory.mktemp("home"))
    events = EventQueue(shop)
    yield shop, events
    events.close()
    shop.close()


@pytest.fixture(params=["memory", "real"])
def site(request):
    if request.param == "memory":
        yield in_memory()
        return
    shop, events = request.getfixturevalue("real_shop")
    site = Site(shop, events, shop.world.log, wall_ms)
    yield site
    sweep(shop, site.store)


def sweep(shop, store):
    """Leave the store as a new one: opening another for every test would take threads and memory."""
    while rows := shop.list_items(store)[0]:
        shop.delete_items(store, [row["item_id"] for row in rows])
    for user in shop.world.log.users(store):
        shop.forget(store, user)


@pytest.fixture
def memory():
    """The shop in memory alone, for what has nothing to do with a shop."""
    return in_memory()


@pytest.fixture
def api(site):
    """A client of an open shop."""
    return site.client()


@pytest.fixture
def stocked(site, api):
    """The same, with a few items that can be recommended."""
    rows = [
        {"item_id": f"i{n}", "title": f"Organic milk {n}", "brand": "Acme", "price": n + 0.5}
        for n in range(8)
    ]
    assert api.put("/v1/items", json={"items": rows}).json() == {"accepted": 8, "rejected": []}
    while site.shop.embed_waiting(site.store):
        pass
    return api
