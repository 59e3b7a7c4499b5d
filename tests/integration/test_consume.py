"""A queue's messages into a real shop."""

import contextlib
import json

from windowshop import consume
from windowshop.local import open_shop, wall_ms
from windowshop.records import Event


def test_messages_are_logged_folded_and_delivered_twice_without_harm(tmp_path):
    now = wall_ms()
    seen = Event(kind="view", user_id="u1", item_id="i1")
    ahead = Event(kind="view", user_id="u1", item_id="i2", timestamp="2999-01-01T00:00:00Z")
    good, partly = (
        json.loads(json.dumps(consume.message("default", some, now)))
        for some in ([seen, seen], [seen, ahead])
    )
    with contextlib.closing(open_shop(tmp_path)) as shop:
        for _ in range(2):
            outcomes = consume.events(shop, [good, {"store": "default"}, partly])
            assert [one.status for one in outcomes] == ["ok", "dead", "dead"]

        held = shop.export("default", "u:u1")
        assert len(held["events"]) == 3
        assert shop.fold_waiting("default") == 0

    letter = outcomes[2].letter
    assert letter is not None
    assert [event["item_id"] for event in letter["events"]] == ["i2"]
    assert "24 hours" in (outcomes[2].reason or "")
