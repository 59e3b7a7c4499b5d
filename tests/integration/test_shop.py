"""The embedded shop as a whole: real encoder, real Qdrant Edge, real log, in one folder."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from windowshop.errors import InvalidInput, NotFound
from windowshop.local import open_shop
from windowshop.records import Batch, Event, Item, Request, Slate, format_instant, read
from windowshop.shop import Shop
from windowshop.store import Sparse, WordSearch
from windowshop.vocabulary import words_of

NOW = 1_790_000_000_000  # a fixed "now" for events; the shop's clock follows events
DAY = 86_400_000
STORE = "default"
AISLES = {
    "Dairy": ["Organic Milk", "Whole Milk", "Greek Yogurt", "Cheddar Cheese", "Butter"],
    "Bakery": ["Sourdough Bread", "Bagels", "Croissant", "Rye Bread", "Baguette"],
    "Pets": ["Dry Dog Food", "Dog Treats", "Cat Litter", "Cat Food", "Dog Leash"],
    "Garden": ["Rose Seeds", "Garden Hose", "Plant Fertilizer", "Flower Pot", "Rake"],
}


def catalogue() -> list[Item]:
    items = []
    for aisle, titles in AISLES.items():
        for number, title in enumerate(titles):
            items.append(
                Item(
                    item_id=title.lower().replace(" ", "-"),
                    title=title,
                    category=[aisle, title.split()[-1]],
                    brand="Acme" if number % 2 else "Best",
                    price=1.0 + number,
                    currency="USD",
                    attributes={"colour": ["red", "green"][number % 2]},
                )
            )
    return items


def did(user: str, kind: str, item: str | None, days_ago: float = 0, **more: Any) -> Event:
    who = {"anonymous_id": user[1:]} if user.startswith("?") else {"user_id": user}
    body = {
        "kind": kind,
        "item_id": item,
        "timestamp": (NOW - days_ago * DAY) / 1000,
        **who,
        **more,
    }
    return read(Event, {name: value for name, value in body.items() if value is not None})


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    (folder / "windowshop.toml").write_text('clock = "events"\n')
    return folder


@pytest.fixture(scope="module")
def shop(home: Path) -> Iterator[Shop]:
    shop = open_shop(home)
    assert shop.put_items(STORE, catalogue()).to_embed == 20
    assert shop.embed_waiting(STORE) == 20
    assert shop.embed_waiting(STORE) == 0
    events = [
        *(did("ann", "purchase", "organic-milk", days) for days in (30, 20, 10, 1)),
        *(did("ann", "purchase", "sourdough-bread", days) for days in (20, 1)),
        did("ann", "view", "dry-dog-food", 0.5),
        *(did(f"crowd{n}", "purchase", "bagels", n % 5) for n in range(10)),
        *(did(f"crowd{n}", "purchase", "butter", n % 5) for n in range(8)),
        did("zoe", "view", "rose-seeds", 2),
        did("zoe", "like", "plant-fertilizer", 1),
    ]
    recorded = shop.record(STORE, events, NOW)
    assert (recorded.accepted, recorded.duplicates, recorded.unknown_items) == (len(events), 0, 0)
    yield shop
    shop.close()


def ask(shop: Shop, **body: Any) -> Slate:
    return shop.recommend(STORE, read(Request, body))


def ids(slate: Slate) -> list[str]:
    return [item.item_id for item in slate.items]


def test_for_you_blends_own_repeats_meaning_and_popularity(shop: Shop) -> None:
    slate = ask(shop, user_id="ann", seen="keep", limit=10)
    assert ids(slate)[0] == "organic-milk"
    kinds = {item.reason.kind for item in slate.items}
    assert {"buy_again", "because_of", "popular"} <= kinds
    assert slate.items[0].reason.text == "You bought this 4 times"
    assert slate.as_of == format_instant(NOW - DAY // 2)
    assert slate.degraded is None


def test_a_reason_names_an_event_that_the_user_did(shop: Shop) -> None:
    for item in ask(shop, user_id="zoe", limit=10).items:
        if item.reason.kind == "because_of":
            assert item.reason.item_id in ("rose-seeds", "plant-fertilizer")
            assert item.reason.item_title is not None
            assert item.reason.item_title in item.reason.text


def test_shoppers_with_a_like_history_show_what_comes_next(shop: Shop) -> None:
    events = [
        *(did(f"fan{n}", "purchase", "cat-litter", 3) for n in range(6)),
        *(did(f"fan{n}", "purchase", "cat-food", 2) for n in range(6)),
        did("kim", "purchase", "cat-litter", 1),
    ]
    shop.record("cats", events, NOW)
    shop.put_items("cats", catalogue())
    shop.embed_waiting("cats")
    slate = shop.recommend("cats", read(Request, {"user_id": "kim", "seen": "drop"}))
    first = slate.items[0]
    assert first.item_id == "cat-food"
    assert first.reason.kind == "like_minded"
    assert first.reason.text == "Shoppers who also took Cat Litter took this"
    assert first.reason.item_id == "cat-litter"
    # Nobody is their own neighbour, and another store's shoppers are nobody's.
    alone = shop.recommend("cats", read(Request, {"user_id": "fan0", "seen": "keep"}))
    assert {i.item_id for i in alone.items if i.reason.kind == "like_minded"} <= {
        "cat-litter",
        "cat-food",
    }
    assert "like_minded" not in {i.reason.kind for i in ask(shop, user_id="kim").items}


def test_guests_and_strangers_get_what_is_popular(shop: Shop) -> None:
    for body in ({}, {"user_id": "nobody"}, {"anonymous_id": "ann"}):
        slate = ask(shop, **body, limit=5)
        assert ids(slate)[:2] == ["bagels", "butter"]
        assert slate.items[0].reason.text == "Popular right now"
        assert slate.as_of is None


@pytest.mark.parametrize("scenario", ["for_you", "popular", "trending"])
def test_a_slate_is_full_while_items_last_and_repeats_none(shop: Shop, scenario: str) -> None:
    slate = ask(shop, user_id="ann", scenario=scenario, limit=20)
    assert len(ids(slate)) == len(set(ids(slate))) == 20
    assert ask(shop, user_id="ann", scenario=scenario, limit=20).items == slate.items


def test_similar_finds_its_kind_and_leaves_the_item_out(shop: Shop) -> None:
    slate = ask(shop, scenario="similar", item_ids=["dry-dog-food"], limit=3)
    assert "dry-dog-food" not in ids(slate)
    assert "dog-treats" in ids(slate)
    assert slate.items[0].reason.text == "Similar to Dry Dog Food"


def test_bought_together_shows_what_stood_in_the_same_baskets(shop: Shop) -> None:
    slate = ask(shop, scenario="bought_together", item_ids=["bagels"], limit=3)
    assert ids(slate)[0] == "butter"
    assert slate.items[0].reason.kind == "bought_together"
    assert slate.items[0].reason.item_id == "bagels"


def test_own_scenarios_show_own_items_only(shop: Shop) -> None:
    assert ids(ask(shop, scenario="buy_again", user_id="ann")) == [
        "organic-milk",
        "sourdough-bread",
    ]
    assert ids(ask(shop, scenario="recently_viewed", user_id="ann")) == ["dry-dog-food"]
    assert ids(ask(shop, scenario="buy_again", user_id="nobody")) == []


def test_search_by_meaning_and_by_words(shop: Shop) -> None:
    assert ids(ask(shop, scenario="search", query="bagels", limit=3))[0] == "bagels"
    puppy = ask(shop, scenario="search", query="something for my puppy", limit=4)
    assert sum("dog" in item for item in ids(puppy)) >= 2
    assert puppy.items[0].reason.kind == "search"


def test_search_finds_misspelled_words_and_what_the_counts_say_is_rare(shop: Shop) -> None:
    def found(query: str) -> list[str]:
        return ids(ask(shop, scenario="search", query=query, limit=3))

    assert found("organik milc")[0] == "organic-milk"
    assert any("words" in one for one in shop.maintain())
    assert not any("words" in one for one in shop.maintain())
    lexicon = shop.world.tenant(STORE).words.lexicon
    assert (lexicon.items, lexicon.found("dog"), lexicon.found("rake")) == (20, 3, 1)
    assert found("rakke")[0] == "rake"
    assert found("fertiliser")[0] == "plant-fertilizer"
    green = ask(shop, scenario="search", query="milk", filters={"brand": "Acme"})
    assert "organic-milk" not in ids(green)
    assert "whole-milk" in ids(green)


def test_items_of_before_get_their_words(tmp_path: Path) -> None:
    shop = open_shop(tmp_path)
    try:
        shop.put_items(STORE, catalogue())
        shop.embed_waiting(STORE)
        items = dict(shop.world.store.scan(STORE, None, 100)[0])
        none = Sparse(np.empty(0, np.uint32), np.empty(0, np.float32))
        shop.world.store.put_items(STORE, items, dict.fromkeys(items, none))
        rake = words_of({1: {"title": "rake"}})[1]
        assert shop.world.store.search(STORE, [WordSearch(rake, 3)]) == [[]]
        shop.maintain()
        hit = shop.world.store.search(STORE, [WordSearch(rake, 3)])[0][0]
        assert shop.world.store.items(STORE, [hit.key])[hit.key]["item_id"] == "rake"
        assert shop.world.store.waiting(STORE, 10) == []
    finally:
        shop.close()


def test_rerank_orders_what_it_is_given_and_nothing_else(shop: Shop) -> None:
    given = ["rake", "organic-milk", "no-such-item", "bagels"]
    slate = ask(shop, scenario="rerank", user_id="ann", item_ids=given)
    assert ids(slate) == ["organic-milk", "bagels", "rake"]


def test_filters_hold_for_every_item(shop: Shop) -> None:
    slate = ask(shop, user_id="ann", filters={"category": "Pets", "price": {"lt": 4}}, limit=20)
    assert sorted(ids(slate)) == ["cat-litter", "dog-treats", "dry-dog-food"]
    with pytest.raises(InvalidInput, match="windowshop fields add"):
        ask(shop, filters={"attributes.colour": "red"})
    shop.declare_field(STORE, "colour", "keyword")
    assert len(ids(ask(shop, filters={"attributes.colour": "red"}, limit=20))) == 12


def test_placeholders_in_filters(shop: Shop) -> None:
    body = {"filters": {"category": "$item.category"}, "item_ids": ["organic-milk"]}
    assert ids(ask(shop, scenario="similar", **body)) == ["whole-milk"]
    one_up = {"filters": {"brand": "$item.brand"}, "item_ids": ["organic-milk"]}
    cards = [shop.get_item(STORE, item) for item in ids(ask(shop, scenario="similar", **one_up))]
    assert {card["brand"] for card in cards} == {"Best"}
    last = ask(shop, user_id="ann", filters={"category": "$user.last_category"}, seen="keep")
    assert ids(last) == ["dry-dog-food", "cat-food"]


def test_exclude_and_the_three_ways_of_seen(shop: Shop) -> None:
    assert "bagels" not in ids(ask(shop, exclude=["bagels"], limit=20))
    keep = ids(ask(shop, user_id="ann", seen="keep", limit=20))
    demote = ids(ask(shop, user_id="ann", limit=20))
    drop = ids(ask(shop, user_id="ann", seen="drop", limit=20))
    assert keep.index("dry-dog-food") <= demote.index("dry-dog-food")
    assert not {"organic-milk", "sourdough-bread", "dry-dog-food"} & set(drop)
    assert len(drop) == 17


def test_caps_rules_and_pins(shop: Shop) -> None:
    capped = ask(shop, caps={"brand": 2}, limit=10, fields=["brand"])
    brands = [item.fields["brand"] for item in capped.items]
    assert len(brands) == 4
    assert {brands.count(brand) for brand in brands} == {2}
    rules = [
        {"boost": 100, "where": {"category": "Garden"}},
        {"bury": 0, "where": {"brand": "Acme"}},
        {"pin": "cat-litter", "at": 0},
    ]
    slate = ask(shop, user_id="zoe", rules=rules, limit=6)
    assert ids(slate)[0] == "cat-litter"
    assert slate.items[0].reason.kind == "pinned"
    assert shop.get_item(STORE, ids(slate)[1])["category"][0] == "Garden"


def test_diversity_mixes_aisles(shop: Shop) -> None:
    def aisles(diversity: float) -> int:
        slate = ask(shop, scenario="similar", item_ids=["cat-food"], limit=6, diversity=diversity)
        return len({shop.get_item(STORE, item)["category"][0] for item in ids(slate)})

    assert aisles(0.9) > aisles(0.0)


def test_fields_are_what_was_asked_for(shop: Shop) -> None:
    slate = ask(shop, limit=1, fields=["title", "attributes.colour", "category"])
    assert slate.items[0].fields == {
        "title": "Bagels",
        "attributes.colour": "green",
        "category": ["Bakery", "Bagels"],
    }
    assert ask(shop, limit=1, fields=[]).items[0].fields == {}
    with pytest.raises(InvalidInput, match="did you mean 'title'"):
        ask(shop, fields=["titel"])


def test_recent_events_count_for_this_answer_only(shop: Shop) -> None:
    recent = [{"kind": "view", "item_id": "garden-hose"}]
    slate = ask(shop, anonymous_id="fresh", recent=recent, limit=5, seen="drop")
    assert slate.as_of is not None
    assert slate.items[0].reason.item_id == "garden-hose"
    assert ask(shop, anonymous_id="fresh", limit=5).as_of is None


def test_batch_shows_nothing_twice_unless_told(shop: Shop) -> None:
    requests = [{"scenario": "popular", "limit": 8}, {"scenario": "trending", "limit": 8}]
    first, second = shop.recommend_batch(STORE, read(Batch, {"requests": requests}))
    assert not set(ids(first)) & set(ids(second))
    first, second = shop.recommend_batch(
        STORE, read(Batch, {"requests": requests, "dedupe": False})
    )
    assert set(ids(first)) & set(ids(second))


# --- writes; each in a store of its own ------------------------------------------------------------


def test_repeated_and_changed_uploads(shop: Shop) -> None:
    store = "uploads"
    items = catalogue()
    shop.put_items(store, items)
    shop.embed_waiting(store)
    again = shop.put_items(store, items)
    assert (again.unchanged, again.to_embed) == (20, 0)
    items[0].price = 99.0
    priced = shop.put_items(store, items)
    assert (priced.unchanged, priced.to_embed) == (19, 0)
    assert shop.get_item(store, "organic-milk")["price"] == 99.0
    assert shop.get_item(store, "organic-milk")["embedded_at"] is not None
    items[0].title = "Oat Drink"
    renamed = shop.put_items(store, items)
    assert (renamed.unchanged, renamed.to_embed) == (19, 1)
    assert shop.get_item(store, "organic-milk")["embedded_at"] is None
    assert shop.embed_waiting(store) == 1


def test_an_older_upload_does_not_overwrite_a_newer_one(shop: Shop) -> None:
    store = "orders"
    shop.put_items(store, [Item(item_id="a", title="new")], order=20)
    shop.put_items(store, [Item(item_id="a", title="old")], order=10)
    assert shop.get_item(store, "a")["title"] == "new"


def test_patch_merges_and_rejects_strangers(shop: Shop) -> None:
    store = "patches"
    shop.put_items(store, [Item(item_id="a", title="Tea", price=2, attributes={"x": 1, "y": 2})])
    written = shop.patch_items(
        store,
        [
            {"item_id": "a", "price": None, "attributes": {"x": None, "z": 3}},
            {"item_id": "b", "price": 3},
            {"item_id": "a", "prise": 3},
            "nonsense",
        ],
    )
    assert written.accepted == 1
    assert [(r.index, r.code) for r in written.rejected] == [
        (1, "not_found"),
        (2, "invalid_input"),
        (3, "invalid_input"),
    ]
    item = shop.get_item(store, "a")
    assert "price" not in item
    assert item["attributes"] == {"y": 2, "z": 3}


def test_unavailable_items_are_not_served_unless_asked_for(shop: Shop) -> None:
    store = "stock"
    shop.put_items(
        store, [Item(item_id="a", title="A"), Item(item_id="b", title="B", available=False)]
    )
    assert ids(shop.recommend(store, Request())) == ["a"]
    assert ids(shop.recommend(store, read(Request, {"filters": {"available": False}}))) == ["b"]
    both = read(Request, {"filters": {"available": {"any_of": [True, False]}}})
    assert sorted(ids(shop.recommend(store, both))) == ["a", "b"]


def test_events_of_an_item_count_from_the_moment_it_exists(shop: Shop) -> None:
    store = "early"
    shop.put_items(store, [i for i in catalogue() if i.item_id != "dog-treats"])
    shop.embed_waiting(store)
    recorded = shop.record(store, [did("bob", "view", "dog-treats")], NOW)
    assert (recorded.accepted, recorded.unknown_items) == (1, 1)
    before = shop.recommend(store, read(Request, {"user_id": "bob", "limit": 3}))
    assert "because_of" not in {item.reason.kind for item in before.items}
    assert before.as_of == format_instant(NOW)
    shop.put_items(store, [i for i in catalogue() if i.item_id == "dog-treats"])
    shop.embed_waiting(store)
    after = shop.recommend(store, read(Request, {"user_id": "bob", "limit": 3, "seen": "drop"}))
    assert after.items[0].reason.item_id == "dog-treats"


def test_duplicates_and_late_events_change_nothing_they_should_not(shop: Shop) -> None:
    store = "dupes"
    shop.put_items(store, catalogue())
    shop.embed_waiting(store)
    events = [did("bob", "view", item, n) for n, item in enumerate(["rake", "bagels", "butter"])]
    shop.record(store, events, NOW)
    slate = shop.recommend(store, read(Request, {"user_id": "bob"}))
    again = shop.record(store, list(reversed(events)), NOW + 5)
    assert again.duplicates == 3
    assert shop.recommend(store, read(Request, {"user_id": "bob"})).items == slate.items
    assert len(shop.export(store, "u:bob")["events"]) == 3


def test_events_far_ahead_are_rejected(shop: Shop) -> None:
    wall = shop.world.wall()
    ahead = read(
        Event,
        {"kind": "view", "item_id": "a", "user_id": "x", "timestamp": wall / 1000 + 90_000},
    )
    recorded = shop.record("ahead", [ahead], wall)
    assert recorded.accepted == 0
    assert "24 hours" in recorded.rejected[0].detail


def test_merge_unmerge_export_and_forget(shop: Shop) -> None:
    store = "people"
    shop.put_items(store, catalogue())
    shop.embed_waiting(store)
    shop.record(
        store,
        [
            did("?guest", "view", "rake", 2),
            did("meg", "view", "bagels", 1),
            did("kim", "view", "butter"),
        ],
        NOW,
    )
    assert shop.merge(store, "meg", "guest") == 1
    assert shop.merge(store, "meg", "guest") == 1
    merged = shop.export(store, "u:meg")
    assert sorted(e["item_id"] for e in merged["events"]) == ["bagels", "rake"]
    assert len(merged["merged"]) == 1
    assert set(
        ids(shop.recommend(store, read(Request, {"user_id": "meg", "scenario": "recently_viewed"})))
    ) == {
        "rake",
        "bagels",
    }
    assert shop.unmerge(store, "meg", "guest") == 1
    with pytest.raises(NotFound):
        shop.unmerge(store, "meg", "guest")
    assert [e["item_id"] for e in shop.export(store, "u:meg")["events"]] == ["bagels"]
    shop.merge(store, "meg", "guest")
    erasure = shop.forget(store, "u:meg")
    assert erasure["verified"] is True
    assert erasure["erased"] == {"events": 2, "profiles": 2}
    assert shop.erasure(store, erasure["erasure_id"])["status"] == "done"
    for who in ("u:meg", "a:guest"):
        assert shop.export(store, who)["events"] == []
    late = shop.record(store, [did("meg", "view", "rake", 3)], NOW - 1)
    assert late.users == set()
    assert [e["item_id"] for e in shop.export(store, "u:kim")["events"]] == ["butter"]


def test_stores_never_see_each_other(shop: Shop) -> None:
    shop.put_items("left", [Item(item_id="a", title="Left thing")])
    shop.put_items("right", [Item(item_id="b", title="Right thing")])
    shop.record("left", [did("bob", "view", "a")], NOW)
    assert ids(shop.recommend("right", read(Request, {"user_id": "bob"}))) == ["b"]
    assert shop.export("right", "u:bob")["events"] == []
    with pytest.raises(NotFound):
        shop.get_item("right", "a")


def test_rebuilt_profiles_equal_the_live_ones(shop: Shop) -> None:
    users = ["ann", "zoe", "crowd1"]
    before = [ask(shop, user_id=user, limit=20).items for user in users]
    report = shop.rebuild(STORE)
    assert report["users"] == 12
    assert [ask(shop, user_id=user, limit=20).items for user in users] == before


def test_everything_is_there_after_closing_and_opening(tmp_path: Path) -> None:
    (tmp_path / "windowshop.toml").write_text('clock = "events"\n')
    first = open_shop(tmp_path)
    first.put_items(STORE, catalogue())
    first.embed_waiting(STORE)
    first.record(STORE, [did("ann", "purchase", "rake", n) for n in range(3)], NOW)
    before = first.recommend(STORE, read(Request, {"user_id": "ann"}))
    first.close()
    second = open_shop(tmp_path)
    try:
        after = second.recommend(STORE, read(Request, {"user_id": "ann"}))
        assert after.items == before.items
        assert second.ready(STORE) == {
            "status": "ready",
            "store": STORE,
            "model": first.world.encoder.name,
            "items": 20,
            "users": 1,
        }
    finally:
        second.close()


def test_an_empty_shop_answers_with_an_empty_slate(shop: Shop) -> None:
    for scenario in ("for_you", "popular", "trending", "buy_again", "recently_viewed"):
        slate = shop.recommend("nothing", read(Request, {"scenario": scenario, "user_id": "x"}))
        assert slate.items == []
    assert (
        shop.recommend("nothing", read(Request, {"scenario": "search", "query": "tea"})).items == []
    )
