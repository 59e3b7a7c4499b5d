"""Reasons: the signal and the past event that contributed most, in words for shoppers."""

from collections.abc import Mapping
from typing import Any, Literal

from windowshop.records import KINDS, Kind, Reason

_DID: Mapping[str, str] = {
    "view": "viewed",
    "click": "looked at",
    "add_to_cart": "put {} in your cart",
    "purchase": "bought",
    "like": "liked",
    "rate": "rated",
    "dwell": "spent time with",
    "search": "searched for",
}


def title_of(item: Mapping[str, Any]) -> str:
    """What to call an item: its title, else the last name of its category, else its id."""
    category = item.get("category") or [item["item_id"]]
    return str(item.get("title") or category[-1])[:200]


def because_of(kind_code: int, item: Mapping[str, Any] | None, query: str | None) -> Reason:
    """The event (of `kind_code`) on an item, or the search, that pulled most."""
    kind: Kind = KINDS[kind_code]
    if item is None:
        return Reason(
            kind="because_of", event=kind, text=f"Because you searched for “{(query or '')[:80]}”"
        )
    title = title_of(item)
    did = _DID.get(kind, "looked at")
    phrase = did.format(title) if "{}" in did else f"{did} {title}"
    return Reason(
        kind="because_of",
        item_id=item["item_id"],
        item_title=title,
        event=kind,
        text=f"Because you {phrase}",
    )


def buy_again(times: int, kind_code: int) -> Reason:
    """The user's own repeat: how often."""
    kind: Kind = KINDS[kind_code]
    verb = {"purchase": "bought", "add_to_cart": "put this in your cart", "like": "liked"}.get(
        kind, "came back to"
    )
    this = "" if "this" in verb else " this"
    often = "before" if times <= 1 else "twice" if times == 2 else f"{times} times"
    return Reason(kind="buy_again", event=kind, text=f"You {verb}{this} {often}")


def about(kind: Literal["similar", "bought_together"], item: Mapping[str, Any]) -> Reason:
    """`similar` to an item, or `bought_together` with it."""
    title = title_of(item)
    words = {"similar": f"Similar to {title}", "bought_together": f"Often taken with {title}"}
    return Reason(kind=kind, item_id=item["item_id"], item_title=title, text=words[kind])


def like_minded(item: Mapping[str, Any] | None) -> Reason:
    """Shoppers with a like history took it, near `item`, which this shopper has too."""
    if item is None:
        return Reason(kind="like_minded", text="Shoppers with a taste like yours took this")
    title = title_of(item)
    return Reason(
        kind="like_minded",
        item_id=item["item_id"],
        item_title=title,
        text=f"Shoppers who also took {title} took this",
    )


def search(query: str) -> Reason:
    return Reason(kind="search", text=f"Matches “{query[:80]}”")


def recent(kind_code: int) -> Reason:
    kind: Kind = KINDS[kind_code]
    words = {"purchase": "You bought this", "like": "You liked this"}
    return Reason(kind="recent", event=kind, text=words.get(kind, "You viewed this lately"))


def popular(half_life_days: float) -> Reason:
    span = (
        "today"
        if half_life_days <= 0.5
        else "right now"
        if half_life_days <= 2
        else "this week"
        if half_life_days <= 7
        else "this month"
    )
    return Reason(kind="popular", text=f"Popular {span}")


LATELY = Reason(kind="because_of", text="In keeping with what you did lately")
TRENDING = Reason(kind="trending", text="Trending now")
NEW = Reason(kind="new", text="New to discover")
PINNED = Reason(kind="pinned", text="Picked by the shop")
