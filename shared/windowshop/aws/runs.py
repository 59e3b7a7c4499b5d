"""The runs of uploads in the DynamoDB table: pk `r/<store>`, sk `<order, 13 digits>-<run id>`."""

import contextlib
import secrets
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import orjson
from botocore.exceptions import ClientError

from windowshop.aws.clients import translated
from windowshop.errors import NotReady
from windowshop.runs import End, Other, Run

KEPT_S = 60 * 86_400
"""For how long a run is remembered: no message of it comes later than that."""
LONGEST_MS = 2 * 86_400_000
"""So far apart in their orders runs may be at work at the same time."""
_NAMES = {
    f"#{name}": name for name in ("status", "token", "order", "state", "key", "full", "named")
}

Item = dict[str, Any]


class _Lost(Exception):
    """The condition of a write does not hold."""


@contextlib.contextmanager
def _conditional() -> Iterator[None]:
    with translated():
        try:
            yield
        except ClientError as error:
            if error.response["Error"]["Code"] == "ConditionalCheckFailedException":
                raise _Lost from None
            raise


class DynamoRuns:
    """`client` gives the DynamoDB client. Leases are measured by `wall` (ms)."""

    def __init__(self, client: Callable[[], Any], table: str, wall: Callable[[], int]) -> None:
        self._client = client
        self._table = table
        self._wall = wall

    # --- one run -------------------------------------------------------------------------------

    def begin(self, store: str, run_id: str, order: int, key: str, lease_s: float) -> Run | None:
        now = self._wall()
        run = Run(store, run_id, order, secrets.token_hex(8))
        try:
            item = self._update(
                run,
                "SET #status = :running, #token = :token, #order = :order, #key = :key, "
                "steps = :none, lease_ms = :until, expires = :expires",
                "attribute_not_exists(pk) OR (#status = :running AND lease_ms < :now)",
                running="running",
                token=run.token,
                order=order,
                key=key,
                none=0,
                until=self._until(lease_s),
                expires=now // 1000 + KEPT_S,
                now=now,
            )
        except _Lost:
            held = self._read(run)
            if held.get("status", {}).get("S", "running") != "running":
                return None
            left = max(_number(held, "lease_ms") - now, 0) // 1000
            raise NotReady(
                f"another process is at work on this upload, for {left} s at most if it died"
            ) from None
        run.batches = _number(item, "batches")
        run.state = orjson.loads(item["state"]["S"]) if "state" in item else {}
        return run

    def renew(self, run: Run, lease_s: float) -> None:
        self._held(run, "SET lease_ms = :until", until=self._until(lease_s))

    def progress(self, run: Run) -> None:
        self._held(
            run,
            "SET batches = :batches, #state = :state",
            batches=run.batches,
            state=orjson.dumps(run.state).decode(),
        )

    def publish(self, run: Run, named: str, *, full: bool) -> None:
        self._held(run, "SET #named = :named, #full = :full", named=named, full=int(full))

    def step(self, run: Run) -> None:
        self._held(run, "ADD steps :one", one=1)

    def release(self, run: Run) -> None:
        with contextlib.suppress(NotReady):
            self._held(run, "SET lease_ms = :none", none=0)

    def finish(self, run: Run, end: End, result: Mapping[str, Any]) -> None:
        self._held(
            run,
            "SET #status = :end, #state = :state REMOVE #token, lease_ms",
            end=end,
            state=orjson.dumps(dict(result)).decode(),
        )

    # --- the others ----------------------------------------------------------------------------

    def newer(self, run: Run) -> list[Other]:
        # Digits and a minus come before a tilde.
        items = self._query(run.store, f"{_rank(run.order)}~", "~")
        live = ("running", "done")
        return [_other(item) for item in items if "named" in item and item["status"]["S"] in live]

    def writing(self, run: Run) -> list[Other]:
        first, now = _rank(max(run.order - LONGEST_MS, 0)), self._wall()
        return [
            _other(item)
            for item in self._query(run.store, first, _rank(run.order))
            if item["status"]["S"] == "running"
            and _number(item, "lease_ms") >= now
            and _number(item, "steps")
        ]

    def _query(self, store: str, first: str, last: str) -> Iterator[Item]:
        following: Item = {}
        while True:
            with translated():
                page = self._client().query(
                    TableName=self._table,
                    KeyConditionExpression="pk = :pk AND sk BETWEEN :first AND :last",
                    ExpressionAttributeValues={
                        ":pk": {"S": f"r/{store}"},
                        ":first": {"S": first},
                        ":last": {"S": last},
                    },
                    ProjectionExpression="sk, #status, #key, #named, #full, steps, lease_ms",
                    ExpressionAttributeNames={
                        name: _NAMES[name] for name in ("#status", "#key", "#named", "#full")
                    },
                    ConsistentRead=True,
                    **following,
                )
            yield from page["Items"]
            if "LastEvaluatedKey" not in page:
                return
            following = {"ExclusiveStartKey": page["LastEvaluatedKey"]}

    # --- the table -----------------------------------------------------------------------------

    def _until(self, lease_s: float) -> int:
        return self._wall() + round(lease_s * 1000)

    def _held(self, run: Run, change: str, **values: str | int) -> None:
        """A write to a run as long as we hold it."""
        try:
            self._update(run, change, "#token = :held", held=run.token, **values)
        except _Lost:
            raise NotReady("another process has taken this upload up") from None

    def _update(self, run: Run, change: str, condition: str, **values: str | int) -> Item:
        """The item as it is after the change. Raises _Lost."""
        used = f"{change} {condition} "
        with _conditional():
            answer = self._client().update_item(
                TableName=self._table,
                Key=_key(run),
                UpdateExpression=change,
                ConditionExpression=condition,
                ExpressionAttributeNames={n: v for n, v in _NAMES.items() if f"{n} " in used},
                ExpressionAttributeValues={
                    f":{name}": {"N": str(value)} if isinstance(value, int) else {"S": value}
                    for name, value in values.items()
                },
                ReturnValues="ALL_NEW",
            )
        found: Item = answer["Attributes"]
        return found

    def _read(self, run: Run) -> Item:
        with translated():
            answer = self._client().get_item(
                TableName=self._table, Key=_key(run), ConsistentRead=True
            )
        found: Item = answer.get("Item", {})
        return found


def _rank(order: int) -> str:
    return f"{order:013d}"


def _key(run: Run) -> Item:
    return {"pk": {"S": f"r/{run.store}"}, "sk": {"S": f"{_rank(run.order)}-{run.id}"}}


def _number(item: Item, name: str) -> int:
    return int(item.get(name, {}).get("N", "0"))


def _other(item: Item) -> Other:
    return Other(
        item["sk"]["S"].partition("-")[2],
        item["key"]["S"],
        item.get("named", {}).get("S"),
        bool(_number(item, "full")),
        _number(item, "steps"),
    )
