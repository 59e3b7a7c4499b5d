"""The walk of one upload: from its bytes to written items, jobs, a report, and word that it is."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from windowshop import catalog
from windowshop.blobs import Blob
from windowshop.columns import Mapping
from windowshop.errors import InvalidInput, NotReady
from windowshop.files import Bytes, NoRoom, Rows, Streamed, open_rows
from windowshop.files.report import Report
from windowshop.intake import Batch, Intake, Named
from windowshop.items import wanted_of
from windowshop.logs import log
from windowshop.runs import End, Run
from windowshop.table import Rejected, Warned
from windowshop.uploads.dock import Dock, Uploaded, failed
from windowshop.uploads.lanes import Chunks
from windowshop.uploads.mappings import declare, read_mapping
from windowshop.uploads.notices import Target, Upload
from windowshop.uploads.precedence import Precedence, Superseded

KEEP_MS = 30_000
"""Progress is kept at least so often, however few items wait."""
RESERVE_S = 45
"""So much of the time given is left for putting things down."""
PAGE = 5_000


class _TooMuch(Exception):
    """More than this call may take on, or the time is up."""


def take_in(dock: Dock, upload: Upload, target: Target, blob: Blob, run: Run) -> Uploaded:
    """Take in the version `blob` of an upload, from where `run` is. Raises what `ingest` does."""
    folder = dock.temp / "windowshop-upload"
    shutil.rmtree(folder, ignore_errors=True)  # of a call that was killed
    folder.mkdir(parents=True)
    try:
        with Report(folder / "report.csv") as report:
            return _Walk(dock, upload, target, blob, run, folder, report).walk()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class _Walk:
    """Its run's state is what a later try has to know: `basis` (what the batches depend on beside
    the file), `since`, what the shop said of the batches that are in, and what `Chunks` keeps.
    """

    def __init__(
        self,
        dock: Dock,
        upload: Upload,
        target: Target,
        blob: Blob,
        run: Run,
        folder: Path,
        report: Report,
    ) -> None:
        self._dock, self._shop, self._runs = dock, dock.shop, dock.runs
        self._upload, self._target, self._blob, self._run = upload, target, blob, run
        self._folder, self._report = folder, report
        self._store, self._order = target.store, blob.modified_ms
        self._wall = dock.shop.world.wall
        self._kept_ms = self._wall()
        self._mapping = Mapping.default()
        self._named = Named(target.store)
        self._intake = Intake(report)
        self._precedence = Precedence(dock.blobs, dock.runs, run, upload.key)
        self._chunks = self._begun()

    def _begun(self) -> Chunks:
        state = self._run.state
        state.setdefault("since", self._kept_ms)
        state.setdefault("unchanged", 0)
        state.setdefault("deleted", 0)
        return Chunks(self._dock.blobs, self._dock.lanes, self._run, self._wall)

    def walk(self) -> Uploaded:
        try:
            self._check_much(self._blob.size > self._dock.limits.size)
            self._map()
            with self._opened() as rows:
                self._read(rows)
            self._keep()
            self._chunks.end()
            if self._target.full:
                self._delete_missing()
        except InvalidInput as error:
            self._chunks.end()
            self._report.add(self._target.name, Rejected(0, "unreadable", error.detail, ""))
            return self._finish("failed", "failed", error.detail)
        except _TooMuch:
            return self._pause()
        except Superseded:
            self._chunks.end()
            return self._finish("superseded", "superseded", "a newer upload stands for all of it")
        return self._finish("done", "ingested")

    # --- looking out ---------------------------------------------------------------------------

    def _check_much(self, much: bool) -> None:
        if much and self._dock.limits.hand_over is not None:
            raise _TooMuch

    def _check_time(self) -> None:
        if self._dock.limits.left_s() < RESERVE_S:
            raise _TooMuch

    # --- reading -------------------------------------------------------------------------------

    def _map(self) -> None:
        self._mapping, basis = read_mapping(self._dock.blobs, self._store)
        if self._run.state.get("basis", basis) != basis:
            # Its batches would be others: begin again. What is in already is found unchanged.
            self._run.batches, self._run.state = 0, {}
            self._chunks = self._begun()
        self._run.state["basis"] = basis
        declare(self._shop, self._store, self._mapping)

    def _opened(self) -> Rows:
        source = Streamed(self._target.name, self._blob.size, self._stream, self._folder)
        try:
            return open_rows(source, self._mapping.options)
        except NoRoom:
            self._check_much(True)
            raise

    def _stream(self) -> Bytes:
        stream = self._dock.blobs.open(self._upload.key, self._blob.version)
        return _Paced(stream, self._check_time)

    def _read(self, rows: Rows) -> None:
        self._report.opened(rows.name, rows.about())
        repeats = catalog.find_repeats(rows, self._mapping, self._named.add)
        self._check_much(repeats.rows > self._dock.limits.rows)
        self._precedence.publish(self._named, full=self._target.full)
        outcomes = catalog.read_items(rows, self._mapping, repeats)
        for batch in self._intake.batches(rows, outcomes):
            if batch.number < self._run.batches:
                self._intake.written(len(batch.items), 0)
            else:
                self._take(batch)
        self._warn_of_language()

    def _take(self, batch: Batch) -> None:
        self._check_time()
        self._precedence.step()
        state = self._run.state
        ours = self._precedence.ours([item.item_id for item in batch.items])
        items = [item for item, mine in zip(batch.items, ours, strict=True) if mine]
        if items:
            written = self._shop.put_items(self._store, items, self._order)
            state["unchanged"] += written.unchanged
            self._chunks.add(wanted_of(self._store, items, written.waiting))
        state["unchanged"] += len(batch.items) - len(items)
        self._intake.written(len(batch.items), 0)
        self._delete(batch.gone)
        self._run.batches = batch.number + 1
        if self._chunks.full or self._wall() - self._kept_ms > KEEP_MS:
            self._keep()

    def _keep(self) -> None:
        """Everything so far is in, and its jobs are sent or remembered."""
        self._chunks.flush()
        self._runs.progress(self._run)
        self._kept_ms = self._wall()

    def _delete(self, item_ids: Sequence[str]) -> None:
        ours = self._precedence.ours(item_ids)
        gone = [item_id for item_id, mine in zip(item_ids, ours, strict=True) if mine]
        if gone:
            deleted = self._shop.delete_items(self._store, gone, self._order)
            self._run.state["deleted"] += deleted

    def _delete_missing(self) -> None:
        """Items that a complete catalogue did not name, unless they are newer than it."""
        if not self._intake.counts.accepted:
            raise InvalidInput(
                "these should be all items of the store, and not one of the rows can be used: "
                "nothing was deleted. The report says what is wrong with them"
            )
        for item_ids in self._pages():
            self._check_time()
            self._precedence.step()
            there = self._named.has(item_ids)
            self._delete([one for one, named in zip(item_ids, there, strict=True) if not named])
        self._runs.progress(self._run)

    def _pages(self) -> Iterator[list[str]]:
        cursor: int | None = None
        while True:
            rows, cursor = self._shop.world.store.scan(
                self._store, cursor, PAGE, fields=("item_id",)
            )
            yield [payload["item_id"] for _, payload in rows]
            if cursor is None:
                return

    def _warn_of_language(self) -> None:
        encoder = self._shop.world.encoder
        if encoder.languages == "en" and self._intake.reads_cjk():
            told = (
                f"many texts are Chinese, Japanese or Korean, and {encoder.name} reads English "
                "only: choose a multilingual model"
            )
            self._report.add(self._target.name, Warned(0, "language", told))
            log("uploads").warning("languages_mismatched", store=self._store, model=encoder.name)

    # --- ending --------------------------------------------------------------------------------

    def _done(self, status: str, reason: str | None) -> Uploaded:
        counts, state = self._intake.counts, self._run.state
        counts.unchanged, counts.deleted = state["unchanged"], state["deleted"]
        return Uploaded(
            status,
            self._upload.key,
            self._store,
            self._run.id,
            reason,
            counts,
            state["to_embed"],
            seconds=(self._wall() - state["since"]) / 1000,
        )

    def _pause(self) -> Uploaded:
        """Not to be ended by this call: kept as it is, for whoever goes on."""
        hand_over = self._dock.limits.hand_over
        if self._run.batches:
            self._keep()
        if hand_over is None:
            raise NotReady(f"{self._upload.key}: {self._run.batches:,} batches are in, not all yet")
        self._runs.release(self._run)
        hand_over(self._upload)
        log("uploads").info("upload_delegated", store=self._store, key=self._upload.key)
        return self._done("handed_over", None)

    def _finish(self, end: End, status: str, reason: str | None = None) -> Uploaded:
        """The report into the bucket, word of it, and the run closed: in this order, so that being
        cut off loses none of it. Who listens may hear it twice.
        """
        done = self._done(status, reason)
        done.report = f"reports/{self._store}/{self._run.id}.csv"
        with self._report.close().open("rb") as stream:
            self._dock.blobs.write(done.report, stream, "text/csv; charset=utf-8")
        if end == "failed":
            failed(self._shop, done)
        elif end == "done":
            self._announce(done)
        self._chunks.start_bulk()
        self._runs.finish(self._run, end, asdict(done))
        return done

    def _announce(self, done: Uploaded) -> None:
        counts = done.counts
        told: dict[str, Any] = {
            "store": done.store,
            "run": done.run,
            "key": done.key,
            "read": counts.read,
            "accepted": counts.accepted,
            "rejected": counts.rejected,
            "unchanged": counts.unchanged,
            "to_embed": done.to_embed,
            "deleted": counts.deleted,
            "report": done.report,
            "seconds": done.seconds,
        }
        log("uploads").info("catalogue_ingested", **told)
        signals = self._shop.world.signals
        signals.announce("CatalogIngested", told)
        signals.measure("RowsAccepted", counts.accepted)
        signals.measure("RowsRejected", counts.rejected)


class _Paced:
    """A stream that looks at the clock with every part that is read."""

    def __init__(self, inner: Bytes, check: Callable[[], None]) -> None:
        self._inner, self._check = inner, check

    def read(self, size: int = -1) -> bytes:
        self._check()
        return self._inner.read(size)

    def close(self) -> None:
        self._inner.close()
