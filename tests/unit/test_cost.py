"""The arithmetic of docs/scale.md: what is paid for is paid for once, and grows as it should."""

import tomllib

import pytest

from bench.cost import (
    LOADS,
    PRICES,
    Load,
    Shape,
    at_rest,
    duration_ms,
    month,
    personalize,
    prices,
    shape_of,
)
from bench.scale import needs

MILLION = 1_000_000


class Recorded:
    """Prices that note what was asked for."""

    def __init__(self):
        self.asked, self._usd = {}, prices()

    def __call__(self, name, quantity):
        self.asked[name] = self.asked.get(name, 0) + quantity
        return self._usd(name, quantity)


def load(**changed):
    given = {"slates": MILLION, "events": 10 * MILLION, "together": 1, "qdrant_nodes": 1}
    return Load(**{**given, "qdrant": "t4g_medium_hour", "disk_gb": 20, **changed})


def test_every_price_has_a_source_and_is_used():
    table = tomllib.loads(PRICES.read_text("utf-8"))
    assert all(one["source"].startswith("https://aws.amazon.com/") for one in table.values())
    usd = Recorded()
    for one in (*LOADS, load(slates=400 * MILLION)):
        month(one, Shape(), usd)
        personalize(one, usd)
    assert usd.asked.keys() == table.keys()


def test_what_one_call_is_billed_for():
    usd = Recorded()
    month(load(), Shape(batch=10, restores=0), usd)
    assert usd.asked["http_api_call"] == 11 * MILLION
    # sent one by one, received and deleted ten together; and what five readers ask for at rest
    assert usd.asked["sqs_fifo_request"] == pytest.approx(12 * MILLION + 5 * 730 * 180)
    # an event, and its user's head twice; and an entry of the feed for each batch
    writes = 31 * MILLION + 730 * 60
    assert usd.asked["dynamodb_write"] == pytest.approx(writes)
    calls = 12 * MILLION + 730 * 60
    assert usd.asked["lambda_call"] == pytest.approx(calls)


def test_events_that_come_together_cost_less():
    usd = prices()
    single, ten = (sum(month(load(together=n), Shape(), usd).values()) for n in (1, 10))
    assert ten < single


def test_a_function_with_a_share_of_a_core_takes_longer():
    half = Shape(memory_gb=1_769 / 1024 / 2, slower=1)
    assert duration_ms(10, 5, half) == pytest.approx(25)
    assert duration_ms(10, 5, Shape(memory_gb=4, slower=1)) == pytest.approx(15)


def test_what_is_always_free_is_taken_off_and_never_more():
    full, less = (at_rest(Shape(), prices(), free=free) for free in (False, True))
    assert all(0 <= less[name] <= full[name] for name in full)


def test_personalize_has_a_least_price():
    assert personalize(load(slates=1_000), prices()) == pytest.approx((0.15, 146))
    assert personalize(load(slates=36 * MILLION), prices()) == pytest.approx((5_400, 2_000))


def test_times_are_those_that_were_measured_unless_others_are_given():
    figures = {"function_slate_cpu_ms": 4.0, "function_events_per_s": 250.0}
    shape, said = shape_of(figures, {"slate_ms": 9.0})
    assert (shape.slate_ms, shape.fold_ms, shape.post_ms) == (9.0, 4.0, Shape().post_ms)
    assert ["given" in said[0], "assumed" in said[1], "measured" in said[2]] == [True] * 3


def test_twice_the_rate_needs_twice_as_much():
    once, twice = (
        {need.what: need.needed for need in needs(rate, 10, 100_000, Shape())}
        for rate in (1_000, 2_000)
    )
    calls = "API Gateway, calls a second"
    assert (once[calls], twice[calls]) == ("2,000", "4,000")
    assert once.keys() == twice.keys()
