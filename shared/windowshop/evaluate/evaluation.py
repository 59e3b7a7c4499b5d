"""One replay from start to end: the queries, the baselines, the product, the figures."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from windowshop.errors import InvalidInput
from windowshop.evaluate import ablations
from windowshop.evaluate import protocol as protocols
from windowshop.evaluate.contest import Contest, compete
from windowshop.evaluate.homes import Bar, Subject
from windowshop.evaluate.past import Past
from windowshop.evaluate.protocol import Protocol, Trial
from windowshop.evaluate.replay import Variant, replay
from windowshop.evaluate.report import PRODUCT, TRAINED, Json, report
from windowshop.evaluate.trace import Trace

VALIDATED = 5_000
"""Queries of the validation that the baselines' settings are chosen by."""


class Learning(NamedTuple):
    """How to ask with what was learned, and how it was learned."""

    variant: Variant
    told: Json


Learn = Callable[[Past, Trial, Trial, int, Bar], Learning]
"""What learns from a trial, for a later one, given a shop's past, a seed and a bar."""


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
    ablate: bool = False,
) -> Json:
    """The figures. `most` queries (None: all; `time`: 20,000). `validate`: on the validation, for
    whoever chooses settings. `learn`: what learned from before the queries is asked too. `ablate`:
    the best of the two is asked without each of its signals, and with late knowledge. Raises
    InvalidInput where there is nothing to replay.
    """
    trace = subject.trace
    pick = protocols.validation_of if validate else protocols.trial_of
    trial = pick(trace, protocol, most, seed)
    if not any(len(query.new) for query in trial.queries) and not trial.live:
        raise InvalidInput("every last event is on an item that its user had before: use time")
    past = Past(subject.shop, subject.tenant, trace)
    products, told = {PRODUCT: Variant()}, dict[str, Json]()
    if learn is not None:
        lessons = protocols.lessons_of(trace, protocol, seed, early=validate)
        products[TRAINED], told["learning"] = learn(past, lessons, trial, seed, bar)
    study = _study(products, subject, trial, seed) if ablate else None
    with bar("Replaying", len(trial.queries)) as advance:
        variants = products | (study.variants if study else {})
        asked = replay(past, trial, variants, advance, deep=products)
    entries = {name: asked[name] for name in products}
    contest = Contest({}, {})
    if baselines:
        vectors = past.text_vectors() if "text_only" in baselines else None
        validation = _validation(trace, protocol, seed)
        with bar("Baselines", len(baselines)) as advance:
            contest = compete(baselines, trial, validation, vectors, seed=seed, advance=advance)
    found = report(protocol, subject.name, seed, trial, entries | contest.entries) | told
    found["left_out"] = contest.left_out
    return found | (ablations.figures(study, trial, asked, seed) if study else {})


def _study(
    products: dict[str, Variant], subject: Subject, trial: Trial, seed: int
) -> ablations.Study:
    """Of what learned, where anything did."""
    name = TRAINED if TRAINED in products else PRODUCT
    blend = subject.shop.world.blend
    return ablations.study_of(name, products[name], blend, trial, seed)


def _validation(trace: Trace, protocol: Protocol, seed: int) -> Trial | None:
    """None where too little happened before the test."""
    try:
        trial = protocols.validation_of(trace, protocol, VALIDATED, seed)
    except InvalidInput:
        return None
    return trial if trial.queries else None
