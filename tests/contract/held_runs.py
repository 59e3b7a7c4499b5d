"""The runs of uploads in memory: for tests, held to the same suite as DynamoDB's."""

import itertools
import threading
from copy import deepcopy
from dataclasses import dataclass, field

from windowshop.errors import NotReady
from windowshop.runs import Other, Run


@dataclass
class Row:
    order: int
    key: str
    status: str = "running"
    token: str | None = None
    until: float = -1
    steps: int = 0
    named: str | None = None
    full: bool = False
    batches: int = 0
    state: dict = field(default_factory=dict)


class HeldRuns:
    """Leases are measured by `wall` (ms)."""

    def __init__(self, wall):
        self.wall = wall
        self.rows = {}
        self._tokens = map(str, itertools.count())
        self._lock = threading.Lock()

    def begin(self, store, run_id, order, key, lease_s):
        with self._lock:
            row = self.rows.setdefault((store, run_id), Row(order, key))
            if row.status != "running":
                return None
            if row.until >= self.wall():
                raise NotReady("another process is at work on this upload")
            row.token, row.steps = next(self._tokens), 0
            row.until = self.wall() + lease_s * 1000
            return Run(store, run_id, order, row.token, row.batches, deepcopy(row.state))

    def _held(self, run):
        row = self.rows[run.store, run.id]
        if row.token != run.token:
            raise NotReady("another process has taken this upload up")
        return row

    def renew(self, run, lease_s):
        self._held(run).until = self.wall() + lease_s * 1000

    def progress(self, run):
        row = self._held(run)
        row.batches, row.state = run.batches, deepcopy(run.state)

    def publish(self, run, named, *, full):
        row = self._held(run)
        row.named, row.full = named, full

    def step(self, run):
        self._held(run).steps += 1

    def release(self, run):
        row = self.rows[run.store, run.id]
        if row.token == run.token:
            row.until = -1

    def finish(self, run, end, result):
        row = self._held(run)
        row.status, row.state, row.token = end, dict(result), None

    def newer(self, run):
        return [
            other
            for other, row in self._others(run)
            if row.order > run.order and row.named and row.status in ("running", "done")
        ]

    def writing(self, run):
        return [
            other
            for other, row in self._others(run)
            if row.order < run.order
            and row.status == "running"
            and row.until >= self.wall()
            and row.steps
        ]

    def _others(self, run):
        for (store, run_id), row in sorted(self.rows.items(), key=lambda one: one[1].order):
            if store == run.store:
                yield Other(run_id, row.key, row.named, row.full, row.steps), row
