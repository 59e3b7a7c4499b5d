"""What is asked again, how late lateness is, and what the figures of both say."""

import numpy as np
import pytest

from windowshop.evaluate import ablations
from windowshop.evaluate.contest import Entry
from windowshop.evaluate.freshness import DAY_MS, known_until
from windowshop.evaluate.protocol import Query, Trial
from windowshop.evaluate.replay import Variant
from windowshop.evaluate.trace import Draft

BLEND = {
    "popular_half_life": 2.0,
    "for_you": {"habit": 1.0, "popular": 0.02, "gone": 0.0, "few": {"habit": 0, "late": 0.5}},
    "similar": {"popular": 0.05},
}


def test_every_signal_that_counts_for_anybody_is_left_out_once():
    assert ablations.signals_of(BLEND) == ["habit", "late", "popular"]


def test_a_signal_is_left_out_wherever_it_has_a_weight_and_nothing_else_changes():
    found = ablations.left_out(BLEND, "popular")
    assert found["for_you"]["popular"] == found["similar"]["popular"] == 0
    assert ablations.left_out(BLEND, "habit")["for_you"]["few"]["habit"] == 0
    assert found["for_you"]["few"] == BLEND["for_you"]["few"]
    assert found["popular_half_life"] == 2.0
    assert BLEND["for_you"]["popular"] == 0.02


@pytest.mark.parametrize(
    ("freshness", "until"),
    [("live", 20 * DAY_MS + 5), ("daily", 20 * DAY_MS), ("frozen", 7 * DAY_MS + 9)],
)
def test_what_is_late_ends_at_midnight_or_where_the_test_begins(freshness, until):
    assert known_until(freshness, 20 * DAY_MS + 5, 7 * DAY_MS + 9) == until


def test_at_midnight_all_of_the_day_before_is_known():
    assert known_until("daily", 20 * DAY_MS, 0) == 20 * DAY_MS


def trial(count, *, live=True):
    """So many queries of as many users, each of whom took item 0; to every other it was new."""
    truth, none = np.array([0]), np.array([], np.intp)
    queries = [Query(u, DAY_MS * 9 + u, truth, truth if u % 2 else none, 0) for u in range(count)]
    return Trial(Draft().finish([]), queries, live, np.ones(0, bool), begin=DAY_MS * 9)


def entry(place, count):
    lists = np.full((count, 10), 99, np.intp)
    lists[:, place] = 0
    return Entry({"all": lists, "new": lists}, {}, 1.0)


def test_figures_compare_each_variant_with_the_product_on_the_same_queries():
    asked = trial(6)
    study = ablations.study_of("windowshop", Variant(), BLEND, asked, 1)
    assert len(study.variants) == 3 + 4
    assert all(variant.rows == study.rows for variant in study.variants.values())
    first, second = entry(0, 6), entry(1, 6)  # NDCG 1 and 1 / log2(3)
    entries = {"windowshop": first} | dict.fromkeys(study.variants, second)
    found = ablations.figures(study, asked, entries, 1)
    assert found["studied"]["queries"] == 6
    assert found["studied"]["new"] == {"ndcg@10": 1.0, "recall@10": 1.0, "n": 3}
    assert set(found["ablations"]) == {"habit", "late", "popular"}
    without = found["ablations"]["habit"]["all"]
    assert without["ndcg@10"] == pytest.approx(1 / np.log2(3), abs=1e-5)
    assert without["ratio"] == without["low"] == without["high"] == 0.6309
    assert set(found["freshness"]) == {"profile", "counts"}
    late = found["freshness"]["profile"]
    assert set(late) == {"live", "daily", "frozen"}
    assert late["live"]["all"]["ndcg@10"] == 1.0
    assert late["daily"]["all"]["ratio"] == 0.6309
    assert [name for name, _ in ablations.told(found, "all")] == [
        "without habit", "without late", "without popular", "profile daily", "profile frozen",
        "popularity daily", "popularity frozen",
    ]  # fmt: skip


def test_without_times_there_is_no_freshness():
    asked = trial(4, live=False)
    study = ablations.study_of("windowshop", Variant(), BLEND, asked, 1)
    assert not study.late
    entries = dict.fromkeys(["windowshop", *study.variants], entry(0, 4))
    assert "freshness" not in ablations.figures(study, asked, entries, 1)


def test_of_many_queries_some_are_drawn_with_the_seed():
    asked = trial(ablations.STUDIED + 50)
    draw = [
        ablations.study_of("windowshop", Variant(), BLEND, asked, seed).rows for seed in (1, 1, 2)
    ]
    assert len(draw[0]) == ablations.STUDIED
    assert draw[0] == draw[1] != draw[2]
