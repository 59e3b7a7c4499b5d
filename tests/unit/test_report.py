"""The figures of a replay against a little shop's, computed by hand."""

import math

import numpy as np
import pytest

from windowshop.evaluate.contest import Entry
from windowshop.evaluate.protocol import by_time, leave_last_out
from windowshop.evaluate.report import remarks, report, verdicts
from windowshop.evaluate.trace import Draft
from windowshop.profile import EventRow
from windowshop.records import KIND_CODE, item_key

DAY_MS = 86_400_000
ITEMS = [f"i{item:02}" for item in range(20)]


def event(row, user, item, day, kind="purchase"):
    name = f"i{item:02}"
    return EventRow(
        f"u:{user}", f"e{row}", row, KIND_CODE[kind], int(day * DAY_MS), row,
        name, item_key("s", name), 1.0, None,
    )  # fmt: skip


def trace_of(events):
    draft = Draft()
    for row, one in enumerate(events):
        draft.add(event(row, *one))
    return draft.finish(ITEMS)


def lists(*rows):
    """Lists of ten, filled up with nothing."""
    return np.array([[*row, *[-1] * (10 - len(row))] for row in rows], np.intp)


# Sixteen purchases before the split, at the first of the last four: 0 has 8 of them, 1 has 6,
# 2 has 2. Item 5 was looked at, no more; item 7 nobody knew.
BEFORE = [("a", item, day) for day, item in enumerate([0] * 8 + [1] * 5 + [2])]
BEFORE += [("b", 1, 14), ("b", 2, 15)]
LOOKED = [("c", 5, 13, "view"), ("a", 9, 10, "view")]
AFTER = [("a", 0, 20), ("b", 7, 21), ("c", 5, 22), ("d", 7, 23)]


@pytest.fixture(scope="module")
def found():
    trial = by_time(trace_of([*BEFORE, *LOOKED, *AFTER]), 0.8, 1.0, None, 1)
    assert [trial.trace.users[query.user] for query in trial.queries] == [
        "u:a",
        "u:b",
        "u:c",
        "u:d",
    ]
    ours = Entry(
        {"all": lists([1, 0], [7, 0], [3, 5], []), "new": lists([], [7, 0], [], [0, 6])},
        {},
        2.0,
        {1: np.array([7, 3])},
    )
    theirs = Entry(
        {"all": lists([0], [1], [2], [0]), "new": lists([], [1], [], [0])},
        {"all": "no decay", "new": "no decay"},
        0.1,
        {1: np.array([0])},
    )
    return report("time", "hand", 1, trial, {"windowshop": ours, "popularity": theirs})


def test_means_are_over_the_queries_of_a_task(found):
    second = 1 / math.log2(3)
    every = found["results"]["windowshop"]["all"]
    assert every["n"] == 4
    assert every["ndcg@10"] == pytest.approx((second + 1 + second + 0) / 4, abs=1e-5)
    assert every["mrr@10"] == pytest.approx((0.5 + 1 + 0.5) / 4)
    assert every["hit@10"] == every["recall@10"] == 0.75
    # c had looked at 5 and a had bought 0: neither was new to them.
    fresh = found["results"]["windowshop"]["new"]
    assert fresh["n"] == 2
    assert fresh["ndcg@10"] == 0.5
    assert found["results"]["popularity"]["all"]["ndcg@10"] == 0.25


def test_coverage_novelty_and_the_share_that_was_cold(found):
    every = found["results"]["windowshop"]["all"]
    assert every["coverage@10"] == 5 / 20  # 0, 1, 3, 5, 7
    counts = {0: 8, 1: 6, 2: 2}
    shown = [1, 0, 7, 0, 3, 5]
    surprise = [-math.log2((counts.get(item, 0) + 1) / (16 + 20)) for item in shown]
    assert every["novelty@10"] == pytest.approx(sum(surprise) / 6, abs=1e-5)
    assert every["cold@10"] == pytest.approx(2 / 6, abs=1e-5)  # 7 and 3; somebody looked at 5


def test_by_history_counts_every_event_before(found):
    parts = found["results"]["windowshop"]["all"]["by_history"]
    # d has none, c one, b two, a the rest: 14 purchases and a look.
    assert {name: part["n"] for name, part in parts.items()} == {"0": 1, "1-5": 2, "6-50": 1}
    assert parts["0"]["ndcg@10"] == 0
    assert parts["1-5"]["mrr@10"] == 0.75
    assert parts["6-50"]["mrr@10"] == 0.5


def test_cold_finds_are_counted_in_the_longer_lists(found):
    """b was the first to take 7; when d took it, it was known."""
    ours, theirs = (found["results"][name]["new"]["cold"] for name in ("windowshop", "popularity"))
    assert (ours["hits"], ours["items"], ours["n"], ours["recall@100"]) == (1, 1, 1, 1.0)
    assert (theirs["hits"], theirs["items"], theirs["n"], theirs["recall@100"]) == (0, 1, 1, 0.0)
    assert 0 < ours["low"] < 1 == ours["high"]
    assert 0 == theirs["low"] < theirs["high"] < 1
    assert "cold" not in found["results"]["windowshop"]["all"]


def test_people_are_told_by_what_runs_are_compared_and_what_was_left_out(found):
    lines = "\n".join(verdicts(found, "all"))
    assert "windowshop over popularity: 2.262 times its NDCG@10" in lines
    assert "to compare runs by: popularity 0.2500" in lines
    lines = "\n".join(verdicts(found, "new"))
    assert "windowshop has 1 of 1 that were taken among its first 100" in lines
    assert "popularity has 0 of 1" in lines
    assert remarks({**found, "left_out": {"ease": "too large"}}) == ["ease is left out: too large"]


def test_last_events_are_told_apart_by_how_often_others_took_them():
    """Known are 0 five times, and 1 four times: of these the last events are not."""
    events = [(f"u{n}", 0, n) for n in range(5)] + [(f"u{n}", 1, n + 0.5) for n in range(4)]
    events += [("u0", 2, 30), ("u1", 3, 31), ("u2", 4, 32), ("u3", 6, 33), ("u4", 1, 34)]
    events += [("x", 9, 1), ("x", 0, 35)]
    trial = leave_last_out(trace_of(events), 1, None, 1)
    rows = [[0 if trial.trace.users[query.user] == "u:x" else 8] for query in trial.queries]
    entry = Entry({"new": lists(*rows)}, {}, 1.0)
    figures = report("leave-last-out", "hand", 1, trial, {"windowshop": entry})
    figures = figures["results"]["windowshop"]["new"]
    assert {name: part["n"] for name, part in figures["by_target"].items()} == {"<5": 5, ">=5": 1}
    assert figures["by_target"][">=5"]["ndcg@10"] == 1
    assert figures["by_target"]["<5"]["ndcg@10"] == 0
    assert figures["cold@10"] == pytest.approx(5 / 6, abs=1e-5)  # nobody had 8
