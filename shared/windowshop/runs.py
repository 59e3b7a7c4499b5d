"""The port to the runs: how far each uploaded file has come on its way into the catalogue.

A run is one version of one file, ranked among others by its order (when it was uploaded, ms). One
process at a time holds it; when that dies the next takes the run up where it was.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

End = Literal["done", "superseded", "failed"]


@dataclass(slots=True)
class Run:
    """A run that this process holds: `batches` of rows are in, and what is to be known of them."""

    store: str
    id: str
    order: int
    token: str
    batches: int = 0
    state: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Other:
    """Another run of the same store. `named` is the blob with the items that it names, `full`: all
    that the store should have. `steps` counts what it has begun to write.
    """

    id: str
    key: str
    named: str | None
    full: bool
    steps: int


class Runs(Protocol):
    """Every method raises Unavailable when the runs cannot be reached; those that change a run
    raise NotReady when another process has taken it up.
    """

    def begin(self, store: str, run_id: str, order: int, key: str, lease_s: float) -> Run | None:
        """Take up a run, new or left behind; None where it has ended. Raises NotReady while another
        process holds it.
        """

    def renew(self, run: Run, lease_s: float) -> None:
        """The run is held for so long from now."""

    def progress(self, run: Run) -> None:
        """Keep `run.batches` and `run.state`."""

    def publish(self, run: Run, named: str, *, full: bool) -> None:
        """Let older runs know what this one names."""

    def step(self, run: Run) -> None:
        """All that was written so far has taken effect, and more is about to be written."""

    def newer(self, run: Run) -> list[Other]:
        """Published runs of a greater order, but for those that came to nothing."""

    def writing(self, run: Run) -> list[Other]:
        """Runs of a smaller order that are held, and have begun to write."""

    def release(self, run: Run) -> None:
        """Let go of a run that has not ended: the next may take it up at once."""

    def finish(self, run: Run, end: End, result: Mapping[str, Any]) -> None:
        """The run has ended."""
