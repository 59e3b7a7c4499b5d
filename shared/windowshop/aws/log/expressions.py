"""What DynamoDB is told: values with their types, expressions, and the parts of a transaction.

Expressions are written with `#name` for every attribute and `:name` for every value.
"""

import re
from collections.abc import Mapping
from typing import Any

Value = str | int | bytes | bool | dict[str, str]
Item = dict[str, Any]
Key = tuple[str, str]
Action = dict[str, Any]
"""One part of a transaction."""

# --- the parts of a transaction -------------------------------------------------------------------


def put(
    table: str, item: Item, when: str = "", values: Mapping[str, Value] | None = None
) -> Action:
    written = {name: typed(value) for name, value in item.items() if value is not None}
    return {"Put": {"TableName": table, "Item": written, **_condition(when, "", values)}}


def update(
    table: str,
    key: Key,
    change: str,
    values: Mapping[str, Value] | None = None,
    when: str = "",
) -> Action:
    asked = {"TableName": table, "Key": key_of(key), "UpdateExpression": change}
    return {"Update": {**asked, **_condition(when, change, values)}}


def delete(table: str, key: Key, when: str) -> Action:
    return {"Delete": {"TableName": table, "Key": key_of(key), **_condition(when, "", None)}}


def _condition(when: str, change: str, values: Mapping[str, Value] | None) -> dict[str, Any]:
    condition = {"ConditionExpression": when} if when else {}
    return {**condition, **names_in(change, when), **bound(values or {})}


# --- values ---------------------------------------------------------------------------------------


def typed(value: Value) -> dict[str, Any]:
    match value:
        case bool():
            return {"BOOL": value}
        case int():
            return {"N": str(value)}
        case str():
            return {"S": value}
        case bytes():
            return {"B": value}
        case dict():
            return {"M": {name: typed(one) for name, one in value.items()}}


def item_of(raw: Mapping[str, Mapping[str, Any]]) -> Item:
    return {name: _read(value) for name, value in raw.items()}


def _read(value: Mapping[str, Any]) -> Any:
    ((kind, held),) = value.items()
    match kind:
        case "N":
            return int(held)
        case "M":
            return item_of(held)
        case _:
            return held


def key_of(key: Key) -> dict[str, dict[str, str]]:
    return {"pk": {"S": key[0]}, "sk": {"S": key[1]}}


def fields_of(item: Item) -> str:
    return ", ".join(f"'{name}': ?" for name in item)


def names_in(*expressions: str) -> dict[str, dict[str, str]]:
    names = re.findall(r"#(\w+)", " ".join(expressions))
    return {"ExpressionAttributeNames": {f"#{name}": name for name in names}} if names else {}


def bound(values: Mapping[str, Value]) -> dict[str, Any]:
    given = {f":{name}": typed(value) for name, value in values.items()}
    return {"ExpressionAttributeValues": given} if given else {}
