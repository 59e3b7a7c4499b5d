"""The product itself, asked as it would have been: its log, profiles, counts and slates, in a home
that is thrown away, on a clock that is moved from query to query.
"""

import time
from collections.abc import Callable, Mapping

import numpy as np

from windowshop.errors import Unavailable
from windowshop.evaluate.contest import Entry
from windowshop.evaluate.metrics import TOP, Lists
from windowshop.evaluate.past import Past
from windowshop.evaluate.protocol import Task, Trial
from windowshop.rank import Rankers
from windowshop.records import Request
from windowshop.shop import Shop

Advance = Callable[[int], None]


def replay(
    past: Past, trial: Trial, variants: Mapping[str, Rankers], advance: Advance = lambda _: None
) -> dict[str, Entry]:
    """The product's lists for a trial, under the given names once with each of the rankers. Raises
    Unavailable where a slate is not whole.
    """
    shop, tenant = past.shop, past.tenant
    numbers = {name: number for number, name in enumerate(trial.trace.items)}
    count = len(trial.queries)
    lists: dict[str, dict[Task, Lists]] = {
        name: {task: np.full((count, TOP), -1, np.intp) for task in trial.tasks}
        for name in variants
    }
    spent = dict.fromkeys(variants, 0.0)
    for row, query in enumerate(trial.queries):
        past.advance(trial, query)
        user = trial.trace.users[query.user]
        past.fold_all()  # so that the first variant does not pay for all
        for name, rankers in variants.items():
            shop.world.rankers = rankers
            for task, found in lists[name].items():
                if task == "new" and not len(query.new):
                    continue
                begin = time.process_time()
                names = _ask(shop, tenant, user, task)
                spent[name] += time.process_time() - begin
                found[row, : len(names)] = [numbers[item] for item in names]
        advance(1)
    return {
        name: Entry(found, {}, spent[name] * 1000 / max(_asked(found), 1))
        for name, found in lists.items()
    }


def _asked(lists: Mapping[Task, Lists]) -> int:
    return sum(int((found[:, 0] >= 0).sum()) for found in lists.values())


def request_of(user: str, task: Task, limit: int = TOP) -> Request:
    """What a replayed user (`records.user_name`) asks for."""
    space, _, name = user.partition(":")
    return Request(
        scenario="for_you",
        user_id=name if space == "u" else None,
        anonymous_id=name if space == "a" else None,
        limit=limit,
        seen="drop" if task == "new" else "keep",
        fields=[],
    )


def _ask(shop: Shop, tenant: str, user: str, task: Task) -> list[str]:
    slate = shop.recommend(tenant, request_of(user, task))
    if slate.degraded is not None:
        raise Unavailable(f"a slate was not whole: {slate.degraded.detail}")
    return [item.item_id for item in slate.items]
