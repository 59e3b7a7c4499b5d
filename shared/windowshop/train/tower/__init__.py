"""A tower learned from a shop's own past: a place for every item, and one for every shopper, so
that what is taken next lies near. Needs the extras `train` and `torch`; what serves it does not.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from windowshop.errors import InvalidInput, Misconfigured
from windowshop.evaluate.homes import Bar
from windowshop.evaluate.trace import Trace
from windowshop.rank import Floats, Keys
from windowshop.train.tower.config import Config, Loss
from windowshop.train.tower.data import sequences

__all__ = ["Config", "Loss", "TowerFit", "check", "fit_tower"]

Json = dict[str, Any]

FEWEST = 50
"""Events after which something was taken: with fewer there is nothing to learn."""


@dataclass(frozen=True, slots=True)
class TowerFit:
    """A user tower (ONNX), what places items (npz; both as `windowshop.tower` reads them), and how
    they were made.
    """

    onnx: bytes
    items: bytes
    card: Json


def check() -> None:
    """Raises Misconfigured where the extra is missing."""
    if find_spec("torch") is None:
        raise Misconfigured(
            "a tower is learned with torch, which is missing: pip install 'windowshop[train,torch]'"
        )


def fit_tower(
    trace: Trace,
    known: NDArray[np.bool_],
    keys: Keys,
    vectors: Floats,
    *,
    seed: int,
    bar: Bar,
    then: NDArray[np.bool_] | None = None,
    loss: Loss = "softmax",
    epochs: int | None = None,
    log_dir: Path | None = None,
    minutes: float = 20.0,
    say: Callable[[str], None] = lambda _: None,
    config: Config | None = None,
) -> TowerFit:
    """A tower that learned from the `known` events [events], and from nothing else.

    `keys` and `vectors` [items, dim]: of the trace's items; those whose vector is zero take no
    part. Without `epochs` there are as many as what each user took next, among the events of
    `then`, is found best after. `minutes` of the processor's time are a limit; where it is reached
    no seed repeats a run. Raises Misconfigured without torch, InvalidInput where there is too
    little to learn from.
    """
    check()
    from windowshop.train.tower.fitting import fit

    usable: NDArray[np.bool_] = np.any(vectors, axis=1)
    rows = np.cumsum(usable) - 1
    whole = sequences(trace, known, usable, then)
    if np.count_nonzero(whole.part(whole.early).followed) < FEWEST:
        raise InvalidInput(
            f"a tower learns from what followed what: it needs at least {FEWEST} events after which"
            " the same user took something, on items with a text vector; record more first"
        )
    of = replace(whole, item=rows[whole.item].astype(np.int32))
    with _logs(log_dir, say) as watch:
        own = replace(config or Config(), loss=loss)
        made = fit(own, of, vectors[usable], keys[usable], seed, epochs, minutes, bar, watch)
    return TowerFit(*made)


@contextmanager
def _logs(folder: Path | None, say: Callable[[str], None]) -> Iterator[Callable[..., None]]:
    """What is told an epoch's part, number and figures, and writes them for TensorBoard."""
    if folder is None:
        yield lambda *_: None
        return
    if find_spec("tensorboardX") is None:
        say("no logs for TensorBoard: they need the extra `train`: pip install 'windowshop[train]'")
        yield lambda *_: None
        return
    from tensorboardX import SummaryWriter

    writer = SummaryWriter(str(folder))
    try:

        def watch(number: int, figures: dict[str, float]) -> None:
            for name, value in figures.items():
                writer.add_scalar(name, value, number)

        yield watch
    finally:
        writer.close()
