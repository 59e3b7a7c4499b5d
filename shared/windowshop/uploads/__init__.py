"""Uploads -> items and embedding jobs: what lands in the bucket becomes the catalogue.

A run is one version of one file. It may be begun again wherever it broke off: its batches are the
same every time, so those that are in are passed over, and what is written twice changes nothing.
An older upload never overwrites a newer one, in whatever order they come to be read.
"""

import contextlib
import hashlib
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace

from windowshop.blobs import Blob
from windowshop.errors import (
    InvalidInput,
    Misconfigured,
    NotFound,
    NotReady,
    Unavailable,
    WindowshopError,
)
from windowshop.jobs import Outcome, outcome_of
from windowshop.logs import log
from windowshop.runs import Run, Runs
from windowshop.uploads.dock import Dock, Limits, Uploaded, failed
from windowshop.uploads.lanes import Lanes, sweep
from windowshop.uploads.mappings import take_mapping
from windowshop.uploads.notices import Upload, target_of, upload_of
from windowshop.uploads.walk import take_in

__all__ = [
    "Dock",
    "Lanes",
    "Limits",
    "Upload",
    "Uploaded",
    "ingest",
    "ingest_patiently",
    "outcomes",
    "sweep",
    "upload_of",
]

LEASE_S = 60
"""So long after its process died a run can be taken up."""
LONGEST_WAIT_S = 60


def outcomes(dock: Dock, batch: Sequence[object]) -> list[Outcome]:
    """Events of the bucket, taken in one after the other. Raises Misconfigured."""
    return [_outcome(dock, event) for event in batch]


def _outcome(dock: Dock, event: object) -> Outcome:
    try:
        ingest(dock, upload_of(event))
    except Misconfigured:
        raise
    except Exception as error:  # noqa: BLE001 - its neighbours in the batch are still to come
        outcome = outcome_of(error)
        if outcome.fault:
            log("uploads").error("upload_failed", error=error)
        return outcome
    return Outcome()


def ingest(dock: Dock, upload: Upload) -> Uploaded:
    """Take in one upload; what is wrong with it is in the answer, in its report, and announced.

    Raises NotReady (another process has it, or the time is up: it goes on from there when it comes
    again), Unavailable, Misconfigured.
    """
    try:
        target = target_of(upload.key)
    except InvalidInput as error:
        return failed(dock.shop, Uploaded("failed", upload.key, reason=error.detail))
    if target is None:
        return Uploaded("ignored", upload.key)
    done = Uploaded("superseded", upload.key, target.store)
    try:
        blob = dock.blobs.head(upload.key)
    except NotFound:
        done.reason = "it is no longer there"
        return done
    if upload.version is not None and blob.version != upload.version:
        done.reason = "a newer version is there"
        return done
    if target.is_mapping:
        return take_mapping(dock, done)
    done.run = run_id(upload.bucket, blob)
    order = blob.modified_ms
    run = dock.runs.begin(target.store, done.run, order, upload.key, LEASE_S)
    if run is None:
        done.status = "repeated"
        return done
    with _held(dock.runs, run):
        return take_in(dock, upload, target, blob, run)


def ingest_patiently(dock: Dock, upload: Upload, stop: threading.Event) -> Uploaded | None:
    """Take in one upload, however long it has to wait for others or for what is away. Once `stop`
    is set it is put down where it is, and None returned. Raises Misconfigured.
    """
    limits = dock.limits
    stopping = replace(limits, left_s=lambda: 0 if stop.is_set() else limits.left_s())
    tries = 0
    while not stop.is_set():
        try:
            return ingest(replace(dock, limits=stopping), upload)
        except (NotReady, Unavailable) as error:
            log("uploads").info("upload_delayed", key=upload.key, detail=error.detail)
            tries += 1
            stop.wait(min(2**tries, LONGEST_WAIT_S))
    return None


def run_id(bucket: str, blob: Blob) -> str:
    """One version of one object; where no versions are kept, its time and size stand for one."""
    version = blob.version or f"{blob.modified_ms}-{blob.size}"
    return hashlib.blake2b(f"{bucket}/{blob.key}/{version}".encode(), digest_size=12).hexdigest()


@contextlib.contextmanager
def _held(runs: Runs, run: Run) -> Iterator[None]:
    """The run is ours while the block runs; if it was not ended in it, it is let go of."""
    over = threading.Event()

    def renew() -> None:
        while not over.wait(LEASE_S / 4):
            try:
                runs.renew(run, LEASE_S)
            except WindowshopError as error:  # the walk finds out by itself
                log("uploads").warning("run_not_renewed", detail=error.detail)

    thread = threading.Thread(target=renew, name="renew", daemon=True)
    thread.start()
    try:
        yield
    except BaseException:
        with contextlib.suppress(WindowshopError):  # then its lease ends soon
            runs.release(run)
        raise
    finally:
        over.set()
        thread.join()
