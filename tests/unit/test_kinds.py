"""The numbers that items are compared by, kept by key."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from windowshop import kinds
from windowshop.kinds import Kinds, row_of

KEYS = st.lists(st.integers(1, 40), max_size=12)


def keys(*values):
    return np.array(values, np.uint64)


def test_equal_things_have_equal_numbers_and_nothing_has_0():
    tea = row_of({"category": ["Drinks", "Tea"], "brand": "Leaf", "price": 4})
    cola = row_of({"category": ["Drinks", "Soda"], "brand": "Leaf", "price": 2.5})
    assert tea[kinds.TYPE] != cola[kinds.TYPE]
    assert tea[kinds.AISLE] == cola[kinds.AISLE] != 0
    assert tea[kinds.BRAND] == cola[kinds.BRAND] != 0
    assert (tea[kinds.PRICE], cola[kinds.PRICE]) == (4.0, 2.5)
    bare = row_of({"category": [], "brand": None, "price": -1})
    assert bare == row_of({}) == row_of(None) == (0.0, 0.0, 0.0, 0.0)


@given(st.lists(st.tuples(st.booleans(), KEYS), max_size=12), KEYS)
def test_what_was_put_last_is_found_until_it_is_forgotten(steps, asked):
    held, plain = Kinds(), {}
    for number, (put, drawn) in enumerate(steps, 1):
        some = sorted(set(drawn))
        if put:
            held.put(keys(*some), np.full((len(some), kinds.WIDTH), float(number)))
            plain |= dict.fromkeys(some, float(number))
        else:
            held.forget(keys(*some))
            plain = {key: value for key, value in plain.items() if key not in some}
    rows, found = held.find(keys(*asked))
    assert found.tolist() == [key in plain for key in asked]
    assert rows[:, 0].tolist() == [plain.get(key, 0.0) for key in asked]


def test_there_is_an_end_to_what_is_held(monkeypatch):
    monkeypatch.setattr(kinds, "MOST", 3_000)
    held = Kinds()
    for start in range(0, 10_000, 1_000):
        held.put(np.arange(start, start + 1_000, dtype=np.uint64), np.ones((1_000, 4)))
    _, found = held.find(np.arange(10_000, dtype=np.uint64))
    assert 1_000 <= found.sum() <= 3_000
    assert found[-1]
