"""From a shop's past to rankers, one a task."""

from windowshop.evaluate.homes import Bar
from windowshop.evaluate.past import Past
from windowshop.evaluate.protocol import Task, Trial
from windowshop.rank import Rankers, Scorer
from windowshop.ranker import Ranker
from windowshop.train.examples import collect
from windowshop.train.fits import Fit, fit


class Learned:
    """Rankers that were just learned, held in memory."""

    def __init__(self, fits: dict[Task, Fit]) -> None:
        self.fits = fits
        self._rankers = {task: Ranker(one.model, one.features) for task, one in fits.items()}

    def get(self, store: str, task: str) -> Scorer | None:
        return self._rankers.get(task)  # type: ignore[call-overload, no-any-return]


def train_rankers(past: Past, trial: Trial, seed: int, bar: Bar) -> Learned:
    """Replay the trial's queries and learn from what was taken. A task with too few of them has no
    ranker.
    """
    with bar("Collecting", len(trial.queries)) as advance:
        examples = collect(past, trial, advance)
    fits: dict[Task, Fit] = {}
    with bar("Learning", len(examples)) as advance:
        for task in list(examples):
            found = fit(examples.pop(task), seed)
            if found is not None:
                fits[task] = found
            advance(1)
    return Learned(fits)


def learn(past: Past, trial: Trial, seed: int, bar: Bar) -> Rankers:
    """`train_rankers`, for `evaluate`."""
    return train_rankers(past, trial, seed, bar)
