"""EASE, iALS and session-kNN against plain arithmetic on little shops."""

import math

import numpy as np
import pytest

from windowshop.evaluate import factors, sessions
from windowshop.evaluate.baselines import DAY_MS
from windowshop.evaluate.factors import ease, ials
from windowshop.evaluate.protocol import by_time, leave_last_out
from windowshop.evaluate.sessions import session_knn
from windowshop.evaluate.trace import Draft
from windowshop.profile import EventRow
from windowshop.records import KIND_CODE, item_key

MINUTE = 60_000


def shop(users=10, items=14, visits=6, seed=1, *, timed=True):
    """People who come for some minutes, some of them at once, and take something each few."""
    random = np.random.default_rng(seed)
    draft, row = Draft(), 0
    for user in range(users):
        for visit in range(visits):
            when = int(visit * DAY_MS + random.integers(60) * MINUTE)
            for _ in range(int(random.integers(1, 6))):
                row += 1
                when += int(random.integers(1, 25)) * MINUTE
                name = f"i{int(random.integers(items) * random.random()):02}"
                draft.add(
                    EventRow(
                        f"u:{user:02}", f"e{row}", row, KIND_CODE["purchase"], when if timed else 0,
                        row, name, item_key("s", name), 1.0, None,
                    )
                )  # fmt: skip
    return draft.finish(f"i{item:02}" for item in range(items + 2))


@pytest.fixture(scope="module")
def trial():
    return by_time(shop(), 0.7, 1.0, None, 1)


def taken(trial, user, until):
    """(item, time) of a user's purchases before a moment, or of all that are known."""
    trace = trial.trace
    return [
        (int(trace.item[at]), int(trace.time[at]))
        for at in range(len(trace))
        if trace.user[at] == user and (trace.time[at] < until if trial.live else trial.known[at])
    ]


def table(trial, until_of):
    """How often each user [row] took each item [column]."""
    counts = np.zeros((len(trial.trace.users), len(trial.trace.items)))
    for user in range(len(counts)):
        for item, _ in taken(trial, user, until_of):
            counts[user, item] += 1
    return counts


@pytest.mark.parametrize("protocol", ["time", "leave-last-out"])
@pytest.mark.parametrize("block", [4, 1_024])
def test_ease_is_a_ridge_regression_of_each_item_on_all_others(monkeypatch, protocol, block):
    monkeypatch.setattr(factors, "BLOCK", block)
    trace, penalty = shop(), 3.0
    test = by_time(trace, 0.7, 1.0, None, 1)
    if protocol == "leave-last-out":
        test = leave_last_out(trace, 1, None, 1)
    rows = (table(test, test.begin) > 0).astype(float)
    count = rows.shape[1]
    model = np.zeros((count, count))
    for item in range(count):
        others = [other for other in range(count) if other != item]
        some = rows[:, others]
        normal = some.T @ some + penalty * np.eye(count - 1)
        model[others, item] = np.linalg.solve(normal, some.T @ rows[:, item])
    for query, scores in zip(test.queries, ease(penalty)(test), strict=True):
        own = sorted({item for item, _ in taken(test, query.user, query.time)} & known(rows))
        np.testing.assert_allclose(scores, np.maximum(model[own].sum(axis=0), 0), atol=1e-5)


def known(rows):
    """Items that anything was learned about."""
    return set(np.flatnonzero(rows.sum(axis=0)).tolist())


def test_ials_minimises_its_weighted_squares_and_folds_in_what_the_user_has_now(trial):
    """With a factor for each user there is one minimum, whichever way one goes there."""
    confidence, penalty, width = 2.0, 1.5, 16
    counts = table(trial, trial.begin)
    weights = 1 + confidence * np.log1p(counts) * (counts > 0)
    items = np.random.default_rng(2).random((counts.shape[1], width)) * 0.01

    def solved(weights, wanted, others):
        inner = (others * weights[:, None]).T @ others + penalty * np.eye(width)
        return np.linalg.solve(inner, others.T @ (weights * wanted))

    for _ in range(150):
        users = np.array([solved(w, c > 0, items) for w, c in zip(weights, counts, strict=True)])
        items = np.array(
            [solved(w, c > 0, users) for w, c in zip(weights.T, counts.T, strict=True)]
        )
    items[counts.sum(axis=0) == 0] = 0
    method = ials(width, confidence, penalty, 300, seed=1)
    for query, scores in zip(trial.queries, method(trial), strict=True):
        own = np.zeros(len(items))
        for item, _ in taken(trial, query.user, query.time):
            own[item] += item in known(counts)
        user = solved(1 + confidence * np.log1p(own), own > 0, items)
        np.testing.assert_allclose(scores, np.maximum(items @ user, 0), atol=2e-3)
        assert scores.max() > 0.2 or not own.any()


def split_up(trial, user, until):
    """A user's sessions: lists of (item, time)."""
    found = []
    for item, time in taken(trial, user, until):
        if not found or (trial.trace.timed and time - found[-1][-1][1] > 30 * MINUTE):
            found.append([])
        found[-1].append((item, time))
    return found


@pytest.mark.parametrize("fading", [True, False])
@pytest.mark.parametrize(("neighbours", "sample"), [(3, 1_000), (500, 8)])
@pytest.mark.parametrize("timed", [True, False])
def test_session_knn(monkeypatch, neighbours, sample, timed, fading):
    monkeypatch.setattr(sessions, "SAMPLE", sample)
    trace = shop(timed=timed)
    trial = by_time(trace, 0.7, 1.0, None, 1) if timed else leave_last_out(trace, 1, None, 1)
    for query, scores in zip(trial.queries, session_knn(neighbours, fading)(trial), strict=True):
        all_of = {u: split_up(trial, u, query.time) for u in range(len(trace.users))}
        right = np.zeros(len(trace.items))
        if all_of[query.user]:
            mine = all_of[query.user].pop()
            moments = sorted({time for _, time in mine}) if timed else range(len(mine))
            steps = {moment: step + 1 for step, moment in enumerate(moments)}
            weight = {}
            for place, (item, time) in enumerate(mine):
                weight[item] = steps[time if timed else place] / len(steps) if fading else 1.0
            norm = math.sqrt(sum(value**2 for value in weight.values()))
            others = sorted(
                (session for some in all_of.values() for session in some),
                key=lambda session: session[0][1],
            )
            others = [{item for item, _ in session} for session in others]
            others = [some for some in others if some & weight.keys()]
            if timed:
                others = others[-sample:]
            alike = [
                sum(weight.get(item, 0) for item in some) / norm / math.sqrt(len(some))
                for some in others
            ]
            for place in np.argsort(-np.array(alike), kind="stable")[:neighbours]:
                for item in others[place]:
                    right[item] += alike[place]
        np.testing.assert_allclose(scores, right, atol=1e-9)
