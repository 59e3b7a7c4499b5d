"""Every call of the contract, sentence by sentence."""

import json
import re
import time

import pytest

from tests.integration.api.sites import Site
from windowshop.local import wall_ms

VIEW = {"kind": "view", "user_id": "u1", "item_id": "i1"}
ULID = re.compile("[0-9A-HJKMNP-TV-Z]{26}")


def ids(slate):
    return [item["item_id"] for item in slate["items"]]


def eventually(check, seconds=5.0):
    """Until `check()` holds: folding follows an answer, it is not part of it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if check():
            return True
        time.sleep(0.02)
    return False


# --- slates ----------------------------------------------------------------------------------------


def test_a_request_gets_a_slate(site, stocked):
    answer = stocked.post("/v1/recommendations", json={"user_id": "nobody", "limit": 3})

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    slate = answer.json()
    assert set(slate) >= {
        "request_id", "scenario", "store", "model", "as_of", "degraded", "items"
    }  # fmt: skip
    assert (slate["scenario"], slate["store"]) == ("for_you", site.store)
    assert ULID.fullmatch(slate["request_id"])
    assert slate["degraded"] is None
    assert slate["as_of"] is None
    assert len(slate["items"]) == 3
    for item in slate["items"]:
        assert set(item) >= {"item_id", "score", "fields", "reason"}
        assert set(item["reason"]) >= {"kind", "text"}


def test_the_default_limit_is_twenty_and_an_empty_request_is_one(stocked):
    assert len(stocked.post("/v1/recommendations", json={}).json()["items"]) == 8


@pytest.mark.parametrize(
    "more",
    [
        {"scenario": "for_you"},
        {"scenario": "similar", "item_ids": ["i1"]},
        {"scenario": "bought_together", "item_ids": ["i1", "i2"]},
        {"scenario": "trending"},
        {"scenario": "popular"},
        {"scenario": "buy_again", "user_id": "u1"},
        {"scenario": "recently_viewed", "anonymous_id": "g1"},
        {"scenario": "search", "query": "milk"},
        {"scenario": "rerank", "item_ids": ["i1", "i2"]},
        {"recent": [{"kind": "view", "item_id": "i1"}, {"kind": "search", "query": "milk"}]},
        {"diversity": 0.5, "caps": {"brand": 2}, "exclude": ["i1"], "fields": ["title"]},
        {"rules": [{"pin": "i3", "at": 0}], "context": {"page": "home"}},
        {"filters": {"brand": "Acme"}, "seen": "keep"},
    ],
    ids=str,
)
def test_every_kind_of_request_is_answered(stocked, more):
    answer = stocked.post("/v1/recommendations", json={"limit": 4, **more})

    assert answer.status_code == 200, answer.text
    assert answer.json()["scenario"] == more.get("scenario", "for_you")


def test_excluded_items_are_not_served(stocked):
    slate = stocked.post("/v1/recommendations", json={"exclude": ["i1", "i2"]}).json()

    assert set(ids(slate)) == {"i0", "i3", "i4", "i5", "i6", "i7"}


def test_a_batch_answers_in_order_and_later_shelves_skip_what_earlier_ones_show(stocked):
    asked = [{"limit": 3}, {"scenario": "popular", "limit": 3}, {"scenario": "trending"}]
    answer = stocked.post("/v1/recommendations/batch", json={"requests": asked, "dedupe": True})

    assert answer.status_code == 200
    slates = answer.json()["slates"]
    assert [slate["scenario"] for slate in slates] == ["for_you", "popular", "trending"]
    shown = [item_id for slate in slates for item_id in ids(slate)]
    assert len(shown) == len(set(shown))

    both = stocked.post(
        "/v1/recommendations/batch", json={"requests": [{}, {}], "dedupe": False}
    ).json()["slates"]
    assert ids(both[0]) == ids(both[1])


def test_a_batch_with_a_search_is_answered(stocked):
    asked = [{"scenario": "search", "query": "milk", "limit": 2}, {"limit": 2}]
    answer = stocked.post("/v1/recommendations/batch", json={"requests": asked})

    assert [len(slate["items"]) for slate in answer.json()["slates"]] == [2, 2]


@pytest.mark.parametrize("requests", [[], [{}] * 11, {}, None, [{"limt": 1}], [1]])
def test_a_batch_holds_one_to_ten_good_requests(stocked, requests):
    answer = stocked.post("/v1/recommendations/batch", json={"requests": requests})

    assert answer.status_code == 422


# --- events ----------------------------------------------------------------------------------------


def test_events_are_accepted_and_bad_ones_listed(api, site):
    sent = [
        VIEW,
        {**VIEW, "kind": "viewed"},
        {"kind": "view", "item_id": "i1"},
        {**VIEW, "timestamp": 1_700_000_000_000},
        {**VIEW, "timestamp": "2999-01-01T00:00:00Z"},
        {**VIEW, "item_id": "x" * 129},
        {**VIEW, "itemid": "i1"},
        "view",
        {**VIEW, "item_id": "not known yet"},
    ]
    answer = api.post("/v1/events", json={"events": sent})

    assert answer.status_code == 202
    body = answer.json()
    assert body["accepted"] == 2
    assert [one["index"] for one in body["rejected"]] == [1, 2, 3, 4, 5, 6, 7]
    assert {one["code"] for one in body["rejected"]} == {"invalid_input"}
    details = {one["index"]: one["detail"] for one in body["rejected"]}
    assert "milliseconds" in details[3]
    assert "24 hours" in details[4]
    assert "'item_id'" in details[6]


@pytest.mark.parametrize(
    "event",
    [
        {"kind": "view", "item_id": "i1"},
        {"kind": "click", "item_id": "i1", "position": 3, "request_id": "01K"},
        {"kind": "add_to_cart", "item_id": "i1"},
        {"kind": "remove_from_cart", "item_id": "i1"},
        {"kind": "purchase", "item_id": "i1", "quantity": 2, "price": 1.5, "currency": "EUR"},
        {"kind": "return", "item_id": "i1", "quantity": 1},
        {"kind": "like", "item_id": "i1"},
        {"kind": "dislike", "item_id": "i1"},
        {"kind": "rate", "item_id": "i1", "value": 4.5},
        {"kind": "search", "query": "milk"},
        {"kind": "dwell", "item_id": "i1", "value": 12},
        {"kind": "impression", "item_ids": ["i1", "i2"]},
        {"kind": "view", "item_id": "i1", "timestamp": 1_700_000_000.5},
        {"kind": "view", "item_id": "i1", "timestamp": "2026-01-01T12:00:00+02:00"},
        {"kind": "view", "item_id": "蛋糕/ä", "event_id": "e", "context": {"page": "home", "n": 1}},
    ],
    ids=lambda event: event["kind"],
)
def test_every_kind_of_event_is_taken_and_exported_as_sent(api, event):
    sent = {**event, "anonymous_id": "g1"}

    answer = api.post("/v1/events", json={"events": [sent]})
    assert answer.status_code == 202
    assert answer.json() | {"unknown_items": 0} == {
        "accepted": 1,
        "rejected": [],
        "unknown_items": 0,
    }

    (held,) = api.post("/v1/users/export", json={"anonymous_id": "g1"}).json()["events"]
    assert held["event_id"]
    for name in set(event) - {"timestamp"}:
        assert held[name] == event[name]


@pytest.mark.parametrize(
    "fields",
    [
        {"timestamp": "0001-01-01T00:00:00Z"},
        {"timestamp": "0001-01-01T00:00:00+14:00"},
        {"timestamp": -62_135_596_800},
        {"timestamp": -62_135_596_800.5},
        {"timestamp": -0.0001},
        {"timestamp": "1969-12-31T23:59:59.999999999Z"},
        {"kind": "purchase", "quantity": 1e9, "price": 1e12},
        {"kind": "purchase", "quantity": 5e-324, "price": 0},
        {"kind": "click", "position": 1_000_000},
        {"kind": "dwell", "value": 86_400},
        {"kind": "rate", "value": 1.0000000001},
        {"context": {f"name {n}": "x" * 2000 for n in range(50)}},
        {"context": {"": None, "$": 2**64 - 1, "a.b": -(2**63), "'": 1e308}},
        {"kind": "impression", "item_id": None, "item_ids": [f"i{n}" for n in range(500)]},
        {"kind": "search", "item_id": None, "query": "\u0000\u202e\U0001f9c0" * 333},
        {"event_id": "e" * 128, "request_id": "'; DROP TABLE events; --"},
        {"anonymous_id": "\U0001f9c0" * 128},
    ],
    ids=lambda fields: str(fields)[:40],
)
def test_extreme_values_are_taken_or_rejected_and_never_our_fault(api, fields):
    event = {"kind": "view", "anonymous_id": "g1", "item_id": "i1", **fields}
    answer = api.post("/v1/events", json={"events": [event, {**VIEW, "user_id": "u2"}]})
    assert answer.status_code == 202, answer.text
    assert {one["index"] for one in answer.json()["rejected"]} <= {0}

    guest = {"anonymous_id": event["anonymous_id"]}
    held = api.post("/v1/users/export", json=guest)
    assert held.status_code == 200, held.text
    assert len(held.json()["events"]) == answer.json()["accepted"] - 1
    assert api.post("/v1/recommendations", json=guest).status_code == 200


def test_a_retry_counts_once_and_an_event_without_id_and_time_each_time(api):
    for event in [{**VIEW, "event_id": "e1"}, {**VIEW, "timestamp": 1_700_000_000}, VIEW]:
        for _ in range(2):
            api.post("/v1/events", json={"events": [event]})

    assert len(api.post("/v1/users/export", json={"user_id": "u1"}).json()["events"]) == 4


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/events"),
        ({"events": []}, "/events"),
        ({"events": [VIEW] * 501}, "/events"),
        ({"events": VIEW}, "/events"),
        ({"events": None}, "/events"),
        ({"events": [VIEW], "event": []}, "/event"),
        ([VIEW], ""),
        (None, ""),
        ("x", ""),
    ],
    ids=lambda value: str(value)[:20],
)
def test_an_envelope_that_cannot_be_read_is_one_error(api, body, pointer):
    answer = api.post(
        "/v1/events", content=json.dumps(body), headers={"Content-Type": "application/json"}
    )

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == pointer


def test_five_hundred_events_are_one_call(api):
    events = [{**VIEW, "event_id": str(n)} for n in range(500)]

    assert api.post("/v1/events", json={"events": events}).json()["accepted"] == 500


def test_a_beacon_sends_text(api):
    answer = api.post(
        "/v1/events",
        content=b'{"events": [{"kind": "view", "anonymous_id": "g", "item_id": "i"}]}',
        headers={"Content-Type": "text/plain;charset=UTF-8"},
    )

    assert (answer.status_code, answer.json()["accepted"]) == (202, 1)


def test_the_newest_event_shows_in_the_next_slate(stocked):
    event = {**VIEW, "user_id": "fresh", "timestamp": "2026-01-01T12:00:00Z"}
    stocked.post("/v1/events", json={"events": [event]})
    ask = {"user_id": "fresh", "scenario": "recently_viewed"}

    def seen():
        return stocked.post("/v1/recommendations", json=ask).json()

    if seen()["model"] != "fake":
        assert eventually(lambda: seen()["as_of"] == "2026-01-01T12:00:00.000Z")
        assert ids(seen()) == ["i1"]


# --- health ----------------------------------------------------------------------------------------


def test_readyz_counts_what_can_be_recommended(stocked, site):
    answer = stocked.get("/readyz")

    assert answer.status_code == 200
    state = answer.json()
    assert (state["status"], state["store"], state["items"]) == ("ready", site.store, 8)
    assert set(state) >= {"model", "users"}


def test_readyz_is_ready_without_any_item(api):
    assert api.get("/readyz").json()["items"] == 0


def test_stores_are_apart(api, site):
    api.put("/v1/items", json={"items": [{"item_id": "a", "title": "A"}]})
    other = f"not-{site.store}"

    assert api.get("/v1/items/a", headers={"Windowshop-Store": other}).status_code == 404
    del api.headers["Windowshop-Store"]
    assert api.get("/readyz").json()["store"] == "default"


def test_events_of_unknown_items_are_accepted_and_counted(real_shop):
    shop, events = real_shop
    api = Site(shop, events, shop.world.log, wall_ms).client()
    rows = [{"kind": "view", "item_id": f"unheard-of-{n}", "anonymous_id": "g"} for n in range(2)]

    answer = api.post("/v1/events", json={"events": rows})

    assert answer.json() == {"accepted": 2, "rejected": [], "unknown_items": 2}
