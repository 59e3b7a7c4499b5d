"""The DynamoDB table under the log: values in and out, pages, batches, retries and errors.

A condition that does not hold is an answer (False, or a code), never an exception.
"""

import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent import futures
from typing import Any, TypeVar

from botocore.exceptions import ClientError

from windowshop.aws.clients import translate, translated
from windowshop.aws.log.expressions import (
    Action,
    Item,
    Key,
    Value,
    bound,
    fields_of,
    item_of,
    key_of,
    names_in,
    put,
    typed,
    update,
)
from windowshop.errors import Unavailable

WORKERS = 8
GET = 100  # DynamoDB's limits of keys in one read, statements in one batch, actions together
STATEMENTS = 25
ACTIONS = 100
TRIES = 8
SEGMENTS = 4  # parts of the table that are scanned side by side

LAST = "~"
"""Sorts behind every character that a key of ours has."""

_FAILED = "ConditionalCheckFailed"
_PASSING = frozenset({
    "InternalServerError",
    "ProvisionedThroughputExceeded",
    "RequestLimitExceeded",
    "ThrottlingError",
    "TransactionConflict",
})  # fmt: skip
_WHOLE = {
    "ValidationError": "ValidationException",
    "ResourceNotFound": "ResourceNotFoundException",
}
_A = TypeVar("_A")
_B = TypeVar("_B")


class Table:
    """Thread-safe. Every method raises Unavailable, Misconfigured, InvalidInput. `client` gives the
    DynamoDB client; `pause` waits, for a number of seconds, before something is tried again.
    """

    def __init__(
        self, client: Callable[[], Any], name: str, pause: Callable[[float], None] = time.sleep
    ) -> None:
        self.name = name
        self._make = client
        self._pause = pause
        self._closed = False
        self._lock = threading.Lock()
        self._pool: futures.ThreadPoolExecutor | None = None
        self._inside = threading.local()

    # --- reading ------------------------------------------------------------------------------

    def get(self, key: Key) -> Item | None:
        """An item as it is now."""
        found = self._call("get_item", TableName=self.name, Key=key_of(key), ConsistentRead=True)
        return item_of(found["Item"]) if "Item" in found else None

    def get_many(self, keys: Iterable[Key], attributes: Sequence[str] = ()) -> dict[Key, Item]:
        """Those of the items that there are, as they are now; with `attributes`, these and the
        keys alone.
        """
        distinct = list(dict.fromkeys(keys))
        parts = [distinct[at : at + GET] for at in range(0, len(distinct), GET)]
        return {
            (item["pk"], item["sk"]): item
            for found in self.each(lambda part: self._get_part(part, attributes), parts)
            for item in found
        }

    def _get_part(self, keys: Sequence[Key], attributes: Sequence[str]) -> list[Item]:
        asked: dict[str, Any] = {"Keys": [key_of(key) for key in keys], "ConsistentRead": True}
        if attributes:
            projection = ", ".join(f"#{name}" for name in (*attributes, "pk", "sk"))
            asked |= {"ProjectionExpression": projection, **names_in(projection)}
        found: list[Item] = []
        for attempt in range(TRIES):
            answer = self._call("batch_get_item", RequestItems={self.name: asked})
            found += map(item_of, answer["Responses"].get(self.name, ()))
            left = answer.get("UnprocessedKeys", {}).get(self.name)
            if not left:
                return found
            asked = left
            self.wait(attempt)
        raise self._busy()

    def query(
        self,
        pk: str,
        low: str = "",
        high: str | None = None,
        *,
        where: str = "",
        values: Mapping[str, Value] | None = None,
        attributes: Sequence[str] = (),
        settled: bool = False,
    ) -> Iterator[Item]:
        """Items of a partition in the order of their sort keys: from `low` to `high`, or those that
        begin with `low`. `where`: a filter. They are as they are now, unless `settled` says that
        what was written this very second is not asked for: that costs half.
        """
        asked: dict[str, Any] = {
            "KeyConditionExpression": "#pk = :pk AND #sk BETWEEN :low AND :high",
            "ConsistentRead": not settled,
        }
        bounds: dict[str, Value] = {
            "pk": pk,
            "low": low or " ",
            "high": low + LAST if high is None else high,
            **(values or {}),
        }
        asked = self._asked(asked, where, bounds, attributes)
        while True:
            answer = self._call("query", **asked)
            yield from map(item_of, answer["Items"])
            if "LastEvaluatedKey" not in answer:
                return
            asked["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    def scan(
        self, where: str, values: Mapping[str, Value], attributes: Sequence[str] = ()
    ) -> Iterator[Item]:
        """The items of the whole table for which the filter holds, in no order, but for what was
        written this very second. Several segments are read side by side.
        """
        asked = self._asked({}, where, values, attributes)

        def page(segment: int, start: Mapping[str, Any]) -> tuple[int, Any]:
            return segment, self._call(
                "scan", Segment=segment, TotalSegments=SEGMENTS, **start, **asked
            )

        pool = self._workers()
        pages = {pool.submit(page, segment, {}) for segment in range(SEGMENTS)}
        while pages:
            done, pages = futures.wait(pages, return_when=futures.FIRST_COMPLETED)
            for one in done:
                segment, answer = one.result()
                if "LastEvaluatedKey" in answer:
                    start = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}
                    pages.add(pool.submit(page, segment, start))
                yield from map(item_of, answer["Items"])

    def _asked(
        self,
        asked: Mapping[str, Any],
        where: str,
        values: Mapping[str, Value],
        attributes: Sequence[str],
    ) -> dict[str, Any]:
        projection = ", ".join(f"#{name}" for name in attributes)
        names = names_in(asked.get("KeyConditionExpression", ""), where, projection)
        return {
            "TableName": self.name,
            **asked,
            **({"FilterExpression": where} if where else {}),
            **({"ProjectionExpression": projection} if projection else {}),
            **names,
            **bound(values),
        }

    # --- writing ------------------------------------------------------------------------------

    def insert(self, items: Sequence[Item]) -> list[bool]:
        """Write items whose keys are not taken yet; says of each whether it was written.

        Statements of 25 a call, one write unit a KB each: transactions would take two.
        """
        statements = [
            {
                "Statement": f'INSERT INTO "{self.name}" VALUE {{{fields_of(item)}}}',
                "Parameters": [typed(value) for value in item.values()],
            }
            for item in items
        ]
        return [code == "" for code in self._execute(statements, "DuplicateItem")]

    def delete(self, keys: Sequence[Key], attribute: str, most: int) -> None:
        """Delete those of the items whose attribute, a number, is at most that."""
        # Only the names of the table and of an attribute are ours to put in; values are bound.
        where = f'WHERE "pk" = ? AND "sk" = ? AND "{attribute}" <= ?'
        statement = f'DELETE FROM "{self.name}" {where}'  # noqa: S608
        given = [[typed(pk), typed(sk), typed(most)] for pk, sk in keys]
        self._execute([{"Statement": statement, "Parameters": one} for one in given], _FAILED)

    def _execute(self, statements: Sequence[dict[str, Any]], expected: str) -> list[str]:
        """What became of each: "" for done, or the expected code."""
        parts = [statements[at : at + STATEMENTS] for at in range(0, len(statements), STATEMENTS)]
        return [
            code
            for codes in self.each(lambda part: self._execute_part(part, expected), parts)
            for code in codes
        ]

    def _execute_part(self, statements: Sequence[dict[str, Any]], expected: str) -> list[str]:
        codes = [""] * len(statements)
        left = list(range(len(statements)))
        for attempt in range(TRIES):
            answer = self._call(
                "batch_execute_statement", Statements=[statements[at] for at in left]
            )
            again = []
            for at, one in zip(left, answer["Responses"], strict=True):
                code = one.get("Error", {}).get("Code", "")
                if code in _PASSING:
                    again.append(at)
                elif code in {"", expected}:
                    codes[at] = code
                else:
                    error = {**one["Error"], "Code": _WHOLE.get(code, code)}
                    raise translate(ClientError({"Error": error}, "BatchExecuteStatement"))
            left = again
            if not left:
                return codes
            self.wait(attempt)
        raise self._busy()

    def put(self, item: Item, when: str = "", values: Mapping[str, Value] | None = None) -> bool:
        """Write an item whole. False where the condition does not hold."""
        return self._conditional("put_item", put(self.name, item, when, values)["Put"])

    def update(
        self,
        key: Key,
        change: str,
        values: Mapping[str, Value] | None = None,
        when: str = "",
    ) -> bool:
        """Change an item, or make it. False where the condition does not hold."""
        return self._conditional(
            "update_item", update(self.name, key, change, values, when)["Update"]
        )

    def remove(self, key: Key) -> None:
        self._call("delete_item", TableName=self.name, Key=key_of(key))

    def put_in(self, key: Key, attribute: str, name: str, value: Value) -> None:
        """Set one entry, of any name, in an attribute that is a map."""
        self.update(key, f"SET #{attribute} = if_not_exists(#{attribute}, :none)", {"none": {}})
        self._call(
            "update_item",
            TableName=self.name,
            Key=key_of(key),
            UpdateExpression="SET #attribute.#entry = :value",
            ExpressionAttributeNames={"#attribute": attribute, "#entry": name},
            ExpressionAttributeValues=bound({"value": value})["ExpressionAttributeValues"],
        )

    def transact(self, actions: Sequence[Action]) -> list[str]:
        """All of the actions or none: at most a hundred, on different items. An empty list when
        they are done; else a code for each, "" for those whose condition would have held.
        """
        for attempt in range(TRIES):
            with translated():
                try:
                    self._client().transact_write_items(TransactItems=list(actions))
                except ClientError as error:
                    if error.response["Error"]["Code"] != "TransactionCanceledException":
                        raise
                    reasons = error.response.get("CancellationReasons", ())
                else:
                    return []
            codes = [reason.get("Code", "None") for reason in reasons]
            if _FAILED in codes:
                return [code if code == _FAILED else "" for code in codes]
            self.wait(attempt)  # another transaction was at one of the items, or too much at once
        raise self._busy()

    def _conditional(self, operation: str, asked: dict[str, Any]) -> bool:
        for attempt in range(TRIES):
            with translated():
                try:
                    getattr(self._client(), operation)(**asked)
                except ClientError as error:
                    code = error.response["Error"]["Code"]
                    if code == f"{_FAILED}Exception":
                        return False
                    if code != "TransactionConflictException":
                        raise
                else:
                    return True
            self.wait(attempt)  # a transaction was at the item
        raise self._busy()

    # --- the whole ----------------------------------------------------------------------------

    def each(self, work: Callable[[_A], _B], parts: Sequence[_A]) -> list[_B]:
        """The work done on all parts, a few at a time. An error is raised when nothing is at work
        any more: what was given up must not be written later, when a frozen process wakes up.
        """
        if len(parts) < 2 or getattr(self._inside, "here", False):
            return [work(part) for part in parts]  # a worker that waited for workers might for ever
        pool = self._workers()
        tasks = [pool.submit(work, part) for part in parts]
        done, left = futures.wait(tasks, return_when=futures.FIRST_EXCEPTION)
        for task in left:
            task.cancel()
        futures.wait(left)
        for task in done:
            task.result()
        return [task.result() for task in tasks]

    def _workers(self) -> futures.ThreadPoolExecutor:
        with self._lock:
            self._check()
            if self._pool is None:
                self._pool = futures.ThreadPoolExecutor(WORKERS, "log", self._enter)
            return self._pool

    def _enter(self) -> None:
        self._inside.here = True

    def wait(self, attempt: int) -> None:
        """Before what was refused is tried again: longer each time, and never all in step."""
        self._pause(min(0.02 * 2**attempt, 1.0) * (0.5 + secrets.randbelow(1000) / 1000))

    def close(self) -> None:
        with self._lock:
            self._closed = True
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown()

    def _client(self) -> Any:
        self._check()
        return self._make()

    def _check(self) -> None:
        if self._closed:
            raise Unavailable("the event log is closed")

    def _call(self, operation: str, **asked: Any) -> Any:
        with translated():
            return getattr(self._client(), operation)(**asked)

    def _busy(self) -> Unavailable:
        return Unavailable(f"the table {self.name} takes no more just now: try again shortly")
