"""The functions one after the other, in memory: from a request of API Gateway to a queue's batch and
to the next slate.
"""

import pytest

from functions.events.entry import build as build_events
from functions.recommend.entry import build as build_recommend
from tests.integration.functions.conftest import STORE
from tests.integration.functions.recorded import http, json_of
from windowshop.api import Access
from windowshop.aws.batches import Deliveries
from windowshop.aws.events import SqsEvents
from windowshop.errors import Unavailable
from windowshop.keys import make_key, sign_user_token

# The client's own memory has no payload indexes and searches exactly, and says so.
pytestmark = pytest.mark.filterwarnings("ignore:Payload indexes", "ignore:Local mode")

NAMES = ("tent", "sleeping bag", "camping stove", "novel", "cookbook", "atlas")


@pytest.fixture
def told():
    return []


@pytest.fixture
def gateway(shop, clock, events, told):
    access = Access(shop.world.keyring, clock, keys_required=True)
    made = build_recommend(
        shop,
        access,
        SqsEvents(shop.world, events.queue),
        lambda store, keys: told.append((store, len(keys))),
    )
    yield made
    made.close()


@pytest.fixture
def handler(shop, events, heard):
    return build_events(shop, Deliveries(events.queue, events.letters, heard, fifo=True), {})


@pytest.fixture
def call(shop, gateway):
    """Make a call with a new key; returns the status and the JSON of the answer."""

    def make(method, path, body=None, role="secret", store=STORE):
        key, stored = make_key(store, role, 0)
        shop.world.keyring.put_key(stored)
        answer = gateway(http(method, path, body, authorization=f"Bearer {key}"))
        return answer["statusCode"], json_of(answer)

    return make


@pytest.fixture
def stocked(shop, call, told):
    rows = [{"item_id": name.replace(" ", "-"), "title": name.title()} for name in NAMES]
    status, taken = call("PUT", "/v1/items", {"items": rows})
    assert (status, taken["accepted"]) == (202, len(NAMES))
    assert told == [(STORE, len(NAMES))]
    shop.embed_waiting(STORE)


def view(item="tent", **who):
    return {"kind": "view", "item_id": item, **(who or {"user_id": "ann"})}


def top(call, **who):
    status, slate = call("POST", "/v1/recommendations", {"limit": 2, "seen": "drop", **who})
    assert status == 200
    return [item["item_id"] for item in slate["items"]], slate


def because_of(slate):
    """The items that reasons of the slate name."""
    return {item["reason"]["item_id"] for item in slate["items"]} - {None}


@pytest.mark.usefixtures("stocked")
def test_an_event_changes_the_next_slate(call, events, handler):
    assert top(call, user_id="ann")[1]["as_of"] is None
    status, taken = call("POST", "/v1/events", {"events": [view()]})
    assert (status, taken["accepted"]) == (202, 1)
    _, again = events.poll(handler)
    assert again == []

    items, slate = top(call, user_id="ann")
    assert slate["as_of"] is not None
    assert "tent" not in items
    assert because_of(slate) == {"tent"}
    assert slate["degraded"] is None


@pytest.mark.usefixtures("stocked")
def test_an_answer_lost_on_its_way_and_sent_again_counts_once(call, events, handler, shop):
    event = view() | {"event_id": "e-1"}
    for _ in range(3):
        call("POST", "/v1/events", {"events": [event]})
    while events.poll(handler):
        pass
    assert shop.export(STORE, "u:ann")["profile"]["events"] == 1


@pytest.mark.usefixtures("stocked")
def test_events_under_way_when_their_user_is_forgotten_change_nothing(
    call, events, handler, shop, clock, heard
):
    call("POST", "/v1/events", {"events": [view()]})
    events.poll(handler)
    call("POST", "/v1/events", {"events": [view("novel"), view("atlas", user_id="bob")]})
    clock.sleep(0.01)
    status, started = call("POST", "/v1/users/forget", {"user_id": "ann"})
    assert status == 202
    told = dict(heard.announced)["UserForgotten"]
    assert told == {
        "store": STORE,
        "erasure_id": started["erasure_id"],
        "events": 1,
        "profiles": 1,
    }

    _, again = events.poll(handler)
    assert again == []
    assert shop.export(STORE, "u:ann")["events"] == []
    assert shop.world.store.count_users(STORE) == 1
    assert call("GET", f"/v1/erasures/{started['erasure_id']}")[1]["verified"]


@pytest.mark.usefixtures("stocked")
def test_a_page_speaks_for_its_user_with_a_token(call, events, handler, shop, clock):
    secret = shop.world.keyring.signing_secret(STORE, create=True)
    token = sign_user_token("ann", secret, clock() // 1000 + 60)
    assert call("POST", "/v1/events", {"events": [view()]}, role="publishable")[0] == 403
    sent = {"events": [{"kind": "view", "item_id": "tent", "user_token": token}]}
    assert call("POST", "/v1/events", sent, role="publishable")[0] == 202
    events.poll(handler)

    assert because_of(top(call, user_token=token)[1]) == {"tent"}


@pytest.mark.usefixtures("stocked")
def test_while_qdrant_is_away_slates_are_popular_and_say_so(call, shop, heard, monkeypatch):
    shop.refresh()

    def away(*_, **__):
        raise Unavailable("Qdrant cannot be reached")

    for name in ("users", "items", "vectors", "search", "scan", "neighbours"):
        monkeypatch.setattr(shop.world.store, name, away)
    items, slate = top(call, user_id="ann")
    assert slate["degraded"]["code"] == "unavailable"
    assert heard.sum("DegradedSlates") == 1
    assert [unit for name, _, unit in heard.measured if name == "SlateMilliseconds"] == [
        "Milliseconds"
    ]
    assert isinstance(items, list)


def test_a_store_is_ready_without_items(call):
    status, state = call("GET", "/readyz")
    assert (status, state["status"], state["items"]) == (200, "ready", 0)
