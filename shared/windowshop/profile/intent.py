"""What a user is after this minute: the last few things they browsed. Pure."""

from typing import NamedTuple

from windowshop.profile.events import SEARCH, of_kinds
from windowshop.profile.fold import Profile

BROWSED = of_kinds("view", "click", "add_to_cart", "like", "dwell")
STEPS = 3
FADE = 0.5


class Step(NamedTuple):
    """One item browsed, or one search; `weight` halves with every step back."""

    item: int
    query: str | None
    kind: int
    weight: float


def intent(profile: Profile, now_ms: int, hours: float = 3.0) -> list[Step]:
    """The last few browsing events of the last `hours`, newest first, each item and query once.

    A purchase is no intent: it ends one. Weights: 1, 1/2, 1/4.
    """
    since = now_ms - hours * 3_600_000
    tail = profile.events[-50:]
    tail = tail[BROWSED[tail["kind"]] & (tail["time"] >= since)]
    found: list[tuple[tuple[int, int], int, str | None, int]] = [
        ((int(e["time"]), int(e["row"])), int(e["item"]), None, int(e["kind"])) for e in tail
    ]
    found += [((s.time, s.row), 0, s.text, SEARCH) for s in profile.searches if s.time >= since]
    found.sort(key=lambda one: one[0], reverse=True)
    steps: dict[tuple[int, str | None], Step] = {}
    for _, item, query, kind in found:
        if (item, query) not in steps:
            steps[item, query] = Step(item, query, kind, FADE ** len(steps))
        if len(steps) == STEPS:
            break
    return list(steps.values())
