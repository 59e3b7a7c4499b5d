"""One replay from start to end: the queries, the baselines, the product, the figures."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from windowshop.errors import InvalidInput
from windowshop.evaluate import protocol as protocols
from windowshop.evaluate.contest import Entry, compete
from windowshop.evaluate.homes import Bar, Subject
from windowshop.evaluate.past import Past
from windowshop.evaluate.protocol import Protocol, Trial
from windowshop.evaluate.replay import replay
from windowshop.evaluate.report import PRODUCT, TRAINED, Json, report
from windowshop.evaluate.trace import Trace
from windowshop.rank import Rankers, Unlearned
from windowshop.records import item_key

READ = 1_000
VALIDATED = 5_000
"""Queries of the validation that the baselines' settings are chosen by."""

Learn = Callable[[Past, Trial, int, Bar], Rankers]
"""What learns from a trial, given a shop's past, a seed and a bar: rankers."""


def evaluate(
    subject: Subject,
    protocol: Protocol,
    most: int | None,
    seed: int,
    baselines: Sequence[str],
    bar: Bar,
    *,
    validate: bool = False,
    learn: Learn | None = None,
) -> Json:
    """The figures. `most` queries (None: all; `time`: 20,000). `validate`: on the validation, for
    whoever chooses settings. `learn`: what learned from before the queries is asked too. Raises
    InvalidInput where there is nothing to replay.
    """
    trace = subject.trace
    pick = protocols.validation_of if validate else protocols.trial_of
    trial = pick(trace, protocol, most, seed)
    if not any(len(query.new) for query in trial.queries) and not trial.live:
        raise InvalidInput("every last event is on an item that its user had before: use time")
    past = Past(subject.shop, subject.tenant, trace)
    variants: dict[str, Rankers] = {PRODUCT: Unlearned()}
    if learn is not None:
        lessons = protocols.lessons_of(trace, protocol, seed, early=validate)
        variants[TRAINED] = learn(past, lessons, seed, bar)
    with bar("Replaying", len(trial.queries)) as advance:
        entries: dict[str, Entry] = replay(past, trial, variants, advance)
    if baselines:
        vectors = _vectors(subject, trace) if "text_only" in baselines else None
        with bar("Baselines", len(baselines)) as advance:
            entries |= compete(
                baselines,
                trial,
                _validation(trace, protocol, seed),
                vectors,
                advance=advance,
            )
    return report(protocol, subject.name, seed, trial, entries)


def _validation(trace: Trace, protocol: Protocol, seed: int) -> Trial | None:
    """None where too little happened before the test."""
    try:
        trial = protocols.validation_of(trace, protocol, VALIDATED, seed)
    except InvalidInput:
        return None
    return trial if trial.queries else None


def _vectors(subject: Subject, trace: Trace) -> NDArray[np.float32]:
    """The items' text vectors [items, dim]; zeros where there is none."""
    world = subject.shop.world
    rows = np.zeros((len(trace.items), world.encoder.dim), np.float32)
    for start in range(0, len(trace.items), READ):
        names = trace.items[start : start + READ]
        keys = {item_key(subject.tenant, name): start + place for place, name in enumerate(names)}
        for key, vector in world.store.vectors(subject.tenant, list(keys)).items():
            rows[keys[key]] = vector
    return rows
