"""Where uploads arrive: what they are taken in with, how much at once, and what became of one."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from windowshop.blobs import Blobs
from windowshop.intake import Counts
from windowshop.logs import log
from windowshop.runs import Runs
from windowshop.shop import Shop
from windowshop.uploads.lanes import Lanes
from windowshop.uploads.notices import Upload


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one call takes on. What is more, or takes longer than `left_s()`, is given to
    `hand_over`; without it only the time is limited, and the upload goes on when it comes again.
    """

    left_s: Callable[[], float] = lambda: math.inf
    hand_over: Callable[[Upload], object] | None = None
    rows: int = 1_000_000
    size: int = 2 << 30


@dataclass(frozen=True, slots=True)
class Dock:
    """`temp` is a folder for one call at a time: files that have to lie on a disk come to lie
    there.
    """

    shop: Shop
    blobs: Blobs
    lanes: Lanes
    runs: Runs
    temp: Path
    limits: Limits = Limits()


@dataclass(slots=True)
class Uploaded:
    """What became of an upload.

    status: ingested, mapped (it was a mapping); nothing to be done: ignored (another place),
    repeated (this version was done before), superseded (what is newer counts); failed, with the
    `reason`; handed_over. `seconds` since it was first begun.
    """

    status: str
    key: str
    store: str = ""
    run: str = ""
    reason: str | None = None
    counts: Counts = field(default_factory=Counts)
    to_embed: int = 0
    report: str = ""
    seconds: float = 0.0


def failed(shop: Shop, done: Uploaded, what: str = "ingest") -> Uploaded:
    """Say that an upload cannot be used."""
    done.status = "failed"
    log("uploads").warning("upload_refused", store=done.store, key=done.key, reason=done.reason)
    told = {"store": done.store, "what": what, "key": done.key, "reason": done.reason}
    shop.world.signals.announce("JobFailed", told | {"report": done.report})
    return done
