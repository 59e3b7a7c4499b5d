"""The calls for items and users, sentence by sentence."""

import pytest

from windowshop.records import item_key

VIEW = {"kind": "view", "user_id": "u1", "item_id": "i1"}


# --- items -----------------------------------------------------------------------------------------


def test_items_are_put_and_bad_ones_listed(api, site):
    rows = [
        {"item_id": "a", "title": "A"},
        {"item_id": "b"},
        {"title": "C"},
        4,
        {"item_id": "d", "title": "D", "prize": 1},
    ]
    answer = api.put("/v1/items", json={"items": rows})

    assert answer.status_code == 202
    assert answer.json()["accepted"] == 1
    assert [one["index"] for one in answer.json()["rejected"]] == [1, 2, 3, 4]
    assert "'price'" in answer.json()["rejected"][3]["detail"]
    assert site.told == [(site.store, [item_key(site.store, "a")])]


def test_an_item_is_shown_as_it_was_put(api, site):
    row = {
        "item_id": "a", "title": "Milk", "description": "White.", "category": ["Food", "Dairy"],
        "brand": "Acme", "price": 1.5, "currency": "EUR", "image_url": "https://x.example/a.png",
        "url": "https://x.example/a", "available": False, "group_id": "milk",
        "created_at": "2026-01-01T00:00:00.000Z", "attributes": {"colour": "white", "fat": 3.5, "tags": ["a"]},
    }  # fmt: skip
    api.put("/v1/items", json={"items": [row]})

    assert api.get("/v1/items/a").json() == {**row, "embedded_at": None}

    while site.shop.embed_waiting(site.store):
        pass
    shown = api.get("/v1/items/a").json()
    if site.shop.ready(site.store)["model"] != "fake":
        assert shown["embedded_at"]


def test_only_items_that_wait_for_a_vector_are_told_of(api, site):
    row = {"item_id": "a", "title": "A", "price": 1}
    api.put("/v1/items", json={"items": [row]})
    api.put("/v1/items", json={"items": [row]})  # written and not embedded yet
    if site.shop.ready(site.store)["model"] == "fake":
        return
    assert len(site.told) == 2
    while site.shop.embed_waiting(site.store):
        pass
    api.put("/v1/items", json={"items": [row]})
    api.patch("/v1/items", json={"items": [{"item_id": "a", "price": 2}]})
    api.patch("/v1/items", json={"items": [{"item_id": "b", "price": 2}]})
    assert len(site.told) == 2
    api.patch("/v1/items", json={"items": [{"item_id": "a", "title": "B"}]})
    assert site.told[2:] == [(site.store, [item_key(site.store, "a")])]


def test_put_replaces_and_patch_merges(api):
    api.put("/v1/items", json={"items": [{"item_id": "a", "title": "A", "price": 1}]})
    patches = [
        {"item_id": "a", "price": None, "brand": "Acme"},
        {"item_id": "unknown", "price": 2},
        {"price": 2},
        None,
        {"item_id": "a", "title": None},
    ]
    answer = api.patch("/v1/items", json={"items": patches})

    assert answer.status_code == 202
    assert answer.json()["accepted"] == 1
    assert [one["index"] for one in answer.json()["rejected"]] == [1, 2, 3, 4]
    assert answer.json()["rejected"][0]["code"] == "not_found"
    shown = api.get("/v1/items/a").json()
    assert (shown["title"], shown["brand"], shown.get("price")) == ("A", "Acme", None)

    api.put("/v1/items", json={"items": [{"item_id": "a", "title": "B"}]})
    assert "brand" not in api.get("/v1/items/a").json()


@pytest.mark.parametrize(
    "item_id", ["a/b", "/", "//x/", "a b", "蛋糕", "a?b#c", "..", "delete", "+", "x" * 128]
)
def test_any_item_id_can_be_asked_for(api, item_id):
    api.put("/v1/items", json={"items": [{"item_id": item_id, "title": "A"}]})
    encoded = "".join(f"%{byte:02X}" for byte in item_id.encode())

    answer = api.get(f"/v1/items/{encoded}")
    assert (answer.status_code, answer.json().get("item_id")) == (200, item_id)


def test_an_unknown_item_is_not_found(api):
    assert api.get("/v1/items/none").status_code == 404
    assert api.get("/v1/items/" + "x" * 129).status_code == 422


def test_items_are_listed_page_by_page(api):
    rows = [{"item_id": f"i{n}", "title": f"Thing {n}"} for n in range(25)]
    api.put("/v1/items", json={"items": rows})
    seen, cursor = [], None
    while True:
        params = {"limit": 10} | ({"cursor": cursor} if cursor else {})
        page = api.get("/v1/items", params=params).json()
        seen += [item["item_id"] for item in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break

    assert sorted(seen) == sorted(row["item_id"] for row in rows)
    assert len(api.get("/v1/items?cursor=&limit=").json()["items"]) == 25


@pytest.mark.parametrize("query", ["limit=0", "limit=501", "limit=x", "cursor=nope", "limt=5"])
def test_a_wrong_page_is_an_error(api, query):
    assert api.get(f"/v1/items?{query}").status_code == 422


def test_items_are_deleted_and_deleting_again_is_no_error(api):
    api.put("/v1/items", json={"items": [{"item_id": "a", "title": "A"}]})
    for _ in range(2):
        answer = api.post("/v1/items/delete", json={"item_ids": ["a", "", 7]})
        assert answer.status_code == 202
        assert answer.json()["accepted"] == 1
        assert [one["index"] for one in answer.json()["rejected"]] == [1, 2]

    assert api.get("/v1/items/a").status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        ("PUT", "/v1/items", "items"),
        ("PATCH", "/v1/items", "items"),
        ("POST", "/v1/items/delete", "item_ids"),
    ],
)
def test_lists_of_items_hold_one_to_five_hundred(api, method, path, name):
    for body in ({name: []}, {name: ["x"] * 501}, {}, {name: "a"}, [], {name: ["a"], "more": 1}):
        assert api.request(method, path, json=body).status_code == 422


@pytest.mark.parametrize(
    "fields",
    [
        {"price": 1e12},
        {"price": 1e-300},
        {"attributes": {"n": 2**63 - 1, "m": -(2**63)}},
        {"attributes": {"n": 2**63}},
        {"attributes": {"n": 2**64 - 1}},
        {"attributes": {"n": 10**40}},
        {"attributes": {"n": 1e308, "m": 5e-324, "z": -0.0}},
        {"attributes": {f"name {n}": "x" * 2000 for n in range(100)}},
        {"attributes": {"日本語": ["a"] * 100, "'; DROP": True}},
        {"title": "\u0000\u202e\U0001f9c0" * 6000},
        {"description": "x" * 20_000, "category": ["a > b", ">", "c"] * 6},
        {"created_at": "0001-01-01T00:00:00Z"},
        {"created_at": 99_999_999_999},
        {"created_at": "9999-12-31T23:59:59.999999999-23:59"},
        {"group_id": "x" * 128, "currency": "x" * 8},
    ],
    ids=lambda fields: str(fields)[:40],
)
def test_extreme_values_are_taken_or_rejected_and_never_our_fault(site, api, fields):
    row = {"item_id": "a", "title": "A", **fields}
    answer = api.put("/v1/items", json={"items": [row]})
    assert answer.status_code == 202, answer.text

    if answer.json()["accepted"]:
        shown = api.get("/v1/items/a")
        assert shown.status_code == 200, shown.text
        assert api.get("/v1/items").status_code == 200
        assert api.patch("/v1/items", json={"items": [{"item_id": "a", "url": "u"}]}).json() == {
            "accepted": 1,
            "rejected": [],
        }
        while site.shop.embed_waiting(site.store):
            pass
        slate = api.post("/v1/recommendations", json={"fields": ["title", "price", "attributes"]})
        assert slate.status_code == 200, slate.text


# --- users -----------------------------------------------------------------------------------------


def test_a_user_is_exported_page_by_page(api):
    for start in range(0, 1500, 500):
        events = [{**VIEW, "event_id": f"e{n:05}"} for n in range(start, start + 500)]
        api.post("/v1/events", json={"events": events})
    held, cursor, pages = [], None, 0
    while pages == 0 or cursor:
        body = {"user_id": "u1"} | ({"cursor": cursor} if cursor else {})
        page = api.post("/v1/users/export", json=body).json()
        assert set(page) >= {"profile", "events", "merged", "next"}
        held += page["events"]
        cursor, pages = page["next"], pages + 1

    assert pages > 1
    assert sorted(event["event_id"] for event in held) == [f"e{n:05}" for n in range(1500)]
    assert api.post("/v1/users/export", json={"user_id": "u1", "cursor": "?"}).status_code == 422


def test_the_two_name_spaces_are_apart(api):
    api.post("/v1/events", json={"events": [VIEW]})

    assert len(api.post("/v1/users/export", json={"user_id": "u1"}).json()["events"]) == 1
    assert api.post("/v1/users/export", json={"anonymous_id": "u1"}).json()["events"] == []


def test_a_forgotten_user_is_gone_and_it_was_looked_for_again(api):
    api.post("/v1/events", json={"events": [VIEW, {**VIEW, "item_id": "i2"}]})
    answer = api.post("/v1/users/forget", json={"user_id": "u1"})

    assert answer.status_code == 202
    assert set(answer.json()) == {"erasure_id"}
    erasure = api.get(f"/v1/erasures/{answer.json()['erasure_id']}").json()
    assert (erasure["status"], erasure["verified"]) == ("done", True)
    assert erasure["erased"]["events"] == 2
    assert api.post("/v1/users/export", json={"user_id": "u1"}).json()["events"] == []
    assert api.get("/v1/erasures/none").status_code == 404


def test_a_guest_is_merged_and_unmerged(api):
    guest = {"kind": "view", "anonymous_id": "g1", "item_id": "i1"}
    api.post("/v1/events", json={"events": [guest, {**guest, "item_id": "i2"}, VIEW]})
    pair = {"user_id": "u1", "anonymous_id": "g1"}

    merged = api.post("/v1/users/merge", json=pair)
    assert (merged.status_code, merged.json()) == (200, {"events": 2})
    held = api.post("/v1/users/export", json={"user_id": "u1"}).json()
    assert len(held["events"]) == 3
    assert len(held["merged"]) == 1

    apart = api.post("/v1/users/unmerge", json=pair)
    assert (apart.status_code, apart.json()) == (200, {"events": 2})
    assert len(api.post("/v1/users/export", json={"user_id": "u1"}).json()["events"]) == 1
    assert api.post("/v1/users/unmerge", json=pair).status_code == 404


@pytest.mark.parametrize("path", ["export", "forget"])
def test_a_user_is_named_in_exactly_one_way(api, path):
    for body in ({}, {"user_id": "u", "anonymous_id": "g"}, {"user_id": 7}, {"user": "u"}):
        assert api.post(f"/v1/users/{path}", json=body).status_code == 422


@pytest.mark.parametrize("path", ["merge", "unmerge"])
def test_a_merge_needs_both(api, path):
    for body in ({}, {"user_id": "u"}, {"anonymous_id": "g"}, {"user_id": "u", "anonymous_id": ""}):
        assert api.post(f"/v1/users/{path}", json=body).status_code == 422
